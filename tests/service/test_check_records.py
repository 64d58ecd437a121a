"""`check`: damage of records and rows is found where it shows."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.core.ids import ROOT_FILE, LayerId
from filmfs.store.contents import CONTENT, DRAFT, LEAVES
from filmfs.versioning.rows import DIRENT, INODE, Inode, Kind, entry_prefix, inode_prefix, layer_of
from tests.service.damage import CLIP_ID, Raw, content_key, kinds, places, point, raw_records, sealed_file

# Damaged records


@pytest.fixture
def root(full_root: str) -> str:
    """The archive to damage."""
    return full_root


DAMAGED_RECORDS: dict[str, tuple[Callable[[str, Raw], bytes], str]] = {
    "inode": (lambda root, raw: point(root, "main", b"A001/clip.mov")[0], "main:A001/clip.mov"),
    "dirent": (lambda root, raw: point(root, "main", b"A001/note.txt")[1], "main:A001/note.txt"),
    "layer": (lambda root, raw: raw.keys(b"layer")[1], "main@2:"),
    "branch": (lambda root, raw: raw.keys(b"branch")[1], "branch 2:"),
    "content": (lambda root, raw: CLIP_ID, "main:A001/clip.mov"),
    "leaves": (lambda root, raw: raw.keys(LEAVES)[0], "main:B/long.mxf"),
    "draft": (lambda root, raw: raw.keys(DRAFT)[0], "main:later.wav"),
    "xattrs": (lambda root, raw: raw.keys(b"xattrs")[0], "main:A001/note.txt"),
    "blob": (
        lambda root, raw: next(key for key in raw.keys(b"blob") if raw.value(b"blob", key)[1] == CLIP_ID),
        "main:A001/clip.mov",
    ),
    "changes": (
        lambda root, raw: next(key for key in raw.keys(b"changes") if key[8:9] == b"d" and b"note.txt" in key),
        "main:A001/note.txt",
    ),
}


def key_of(root: str, table: str) -> bytes:
    with raw_records(root) as raw:
        choose = DAMAGED_RECORDS[table][0]
        if table in ("inode", "dirent"):
            raw._env.close()
            return choose(root, raw)
        return choose(root, raw)


@pytest.mark.parametrize("table", sorted(DAMAGED_RECORDS))
def test_a_flipped_bit_in_a_record_is_found_and_placed(root: str, table: str) -> None:
    key = key_of(root, table)
    with raw_records(root) as raw:
        raw.flip(table.encode(), key)
    report = check_archive(root)
    assert DAMAGED_RECORDS[table][1] in {p for fault in report.faults if fault.kind == "record" for p in fault.places}


@pytest.mark.parametrize("table", sorted(DAMAGED_RECORDS))
def test_a_record_that_vanished_is_found_and_placed(root: str, table: str) -> None:
    key = key_of(root, table)
    with raw_records(root) as raw:
        raw.delete(table.encode(), key)
    assert DAMAGED_RECORDS[table][1] in places(check_archive(root))


@pytest.mark.parametrize("table", ["meta", "journal"])
def test_a_flipped_bit_in_the_small_tables_is_found(root: str, table: str) -> None:
    with raw_records(root) as raw:
        raw.flip(table.encode(), raw.keys(table.encode())[0])
    assert kinds(check_archive(root)) == {"record"}


def test_a_lost_format_and_a_counter_that_went_back_are_found(root: str) -> None:
    with raw_records(root) as raw:
        raw.delete(b"meta", b"format")
        raw.put_value(b"meta", b"next:file", 3)
    assert kinds(check_archive(root)) == {"format", "counter"}


def test_a_damaged_record_does_not_hide_other_damage(root: str) -> None:
    os.unlink(sealed_file(root, content_key(root, "main", b"A001/twin.exr")))
    inode, _ = point(root, "main", b"A001/note.txt")
    with raw_records(root) as raw:
        raw.flip(INODE, inode)
    found = places(check_archive(root))
    assert {"main:A001/note.txt", "main:A001/twin.exr", "main:B/other-twin.exr", "grade:A001/twin.exr"} <= found


# Rows that do not fit


def change_inode(root: str, path: bytes, **fields: Any) -> None:
    key, _ = point(root, "main", path)
    with raw_records(root) as raw:
        raw.put_value(INODE, key, Inode.of_value(raw.value(INODE, key)).changed(**fields).as_value())


@pytest.mark.parametrize(
    ("path", "fields", "kind"),
    [
        (b"A001", {"nlink": 5}, "nlink"),
        (b"A001/twin.exr", {"nlink": 1}, "nlink"),
        (b"A001/clip.mov", {"size": 17}, "size"),
        (b"A001/clip.mov", {"stored": 1 << 50}, "size"),
        (b"A001/clip.mov", {"content": b"\1" * 32}, "content"),
        (b"A001/clip.mov", {"content": 77}, "content"),
        (b"A001/clip.mov", {"kind": Kind.FIFO}, "name"),
        (b"A001/clip.mov", {"links": ((ROOT_FILE, b"clip.mov"),)}, "name"),
        (b"A001/clip.mov", {"links": ()}, "inode"),
        (b"A001/note.txt", {"xattrs": b"\2" * 16}, "xattrs"),
        (b"B/link", {"target": b"longer than it was"}, "size"),
    ],
)
def test_an_inode_that_does_not_fit_is_found_and_placed(
    root: str, path: bytes, fields: dict[str, Any], kind: str
) -> None:
    change_inode(root, path, **fields)
    report = check_archive(root)
    assert f"main:{path.decode()}" in {p for fault in report.faults if fault.kind == kind for p in fault.places}


def test_a_name_that_leads_nowhere_is_found_and_placed(root: str) -> None:
    _, entry = point(root, "main", b"A001/note.txt")
    with raw_records(root) as raw:
        raw.put_value(DIRENT, entry, [123_456, 1, None])
    assert "main:A001/note.txt" in places(check_archive(root))


def test_a_name_that_should_be_gone_is_found(root: str) -> None:
    with raw_records(root) as raw:
        gone = next(key for key in raw.keys(DIRENT) if b"old.txt" in key and raw.value(DIRENT, key) is None)
        raw.delete(DIRENT, gone)
        layer = layer_of(gone).to_bytes(8, "big")
        raw.delete(b"changes", next(key for key in raw.keys(b"changes") if b"old.txt" in key and key[:8] == layer))
    report = check_archive(root)
    assert "name" in kinds(report)
    assert "main:old.txt" in places(report)


def test_a_change_of_a_name_that_became_one_of_a_file_is_found(root: str) -> None:
    """One bit between `d` and `i` makes the rest of the key a number of twenty bytes."""
    with raw_records(root) as raw:
        key = next(key for key in raw.keys(b"changes") if key[8:9] == b"d" and b"note.txt" in key)
        value = raw.value(b"changes", key)
        raw.delete(b"changes", key)
        raw.put_value(b"changes", key[:8] + b"i" + key[9:], value)
    assert "change" in kinds(check_archive(root))


def test_a_directory_that_hangs_on_itself_is_found(root: str) -> None:
    with Archive(root, Mode.READ) as archive:
        directory = archive.history.view_of("main").resolve([b"A001"])
    _, entry = point(root, "main", b"A001")
    with raw_records(root) as raw:
        value = raw.value(DIRENT, entry)
        layer = entry[-8:]
        raw.delete(DIRENT, entry)
        raw.put_value(DIRENT, entry_prefix(directory, b"A001") + layer, value)
    change = {"links": ((directory, b"A001"),)}
    with raw_records(root) as raw:
        key = next(found for found in raw.keys(INODE) if found.startswith(inode_prefix(directory)))
        raw.put_value(INODE, key, Inode.of_value(raw.value(INODE, key)).changed(**change).as_value())
    assert "loop" in kinds(check_archive(root))


def test_what_only_an_old_commit_shows_is_named_by_the_commit(root: str) -> None:
    content = content_key(root, "main@2", b"old.txt")
    with Archive(root, Mode.WRITE) as archive:
        archive.history.delete_branch(archive.history.table.get("grade"))
        archive.history.flush()
    with raw_records(root) as raw:
        raw.delete(CONTENT, content)
    found = places(check_archive(root))
    assert any(place.startswith("main@") and place.endswith(":old.txt") for place in found)
    assert not any(place.startswith("main:") for place in found)


def test_a_commit_that_was_tampered_with_is_found(root: str) -> None:
    with raw_records(root) as raw:
        key = LayerId(2).to_bytes(8, "big")
        value = raw.value(b"layer", key)
        value[6] = "another message"
        raw.put_value(b"layer", key, value)
    report = check_archive(root)
    assert [(fault.kind, fault.places) for fault in report.faults] == [("commit", ("main@2:",))]


def test_an_old_row_that_was_tampered_with_changes_its_commit(root: str) -> None:
    change_inode(root, b"A001/clip.mov", mtime=1)
    assert kinds(check_archive(root)) == {"commit"}


def test_two_branches_of_one_name_are_found(root: str) -> None:
    with raw_records(root) as raw:
        key = raw.keys(b"branch")[1]
        raw.put_value(b"branch", key, ["main", *raw.value(b"branch", key)[1:]])
    assert "branch" in kinds(check_archive(root))


def test_extents_that_overlap_are_found_and_placed(root: str) -> None:
    with raw_records(root) as raw:
        size, extents, leaves = raw.value(CONTENT, CLIP_ID)
        raw.put_value(CONTENT, CLIP_ID, [size, [*extents, extents[0]], leaves])
    report = check_archive(root)
    assert "extents" in kinds(report)
    assert "main:A001/clip.mov" in places(report)
