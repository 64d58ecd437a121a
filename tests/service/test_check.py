"""`check`: a sound archive is called sound whatever was cut off, and each sort of damage is found where it shows."""

import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb
import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.adding import scan, take_bytes
from filmfs.archive.check import Report, check_archive
from filmfs.archive.check import main as walk
from filmfs.archive.commands import run_and_flush
from filmfs.core.errors import NotAnArchive, WrongVersion
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import LEAF_SIZE, ROOT_FILE, LayerId, content_id, identify
from filmfs.store import records
from filmfs.store.contents import CONTENT, DRAFT, LEAVES
from filmfs.store.database import TABLES
from filmfs.versioning.rows import DIRENT, INODE, Inode, Kind, entry_prefix, inode_prefix, layer_of, layer_suffix
from tests.support import NOW, Ticks, an_inode, edit_whole, keep_draft, main_of, stage, tree_of

CLIP = random.Random(1).randbytes(3 * LEAF_SIZE + 100)
FRAME = random.Random(2).randbytes(20_000)
LATER = random.Random(3).randbytes(9_000)
LONG = 35 * LEAF_SIZE  # enough for pages of leaf hashes
CLIP_ID, _ = identify([CLIP])


def make_sources(source: Path) -> None:
    """Files of every sort."""
    card = source / "A001"
    card.mkdir(parents=True)
    (source / "B" / "empty").mkdir(parents=True)
    (card / "clip.mov").write_bytes(CLIP)
    (card / "note.txt").write_text("a few words")
    (card / "twin.exr").write_bytes(FRAME)
    os.link(card / "twin.exr", source / "B" / "other-twin.exr")
    (card / "nothing").touch()
    with open(source / "B" / "long.mxf", "wb") as file:
        file.write(b"header")
        file.truncate(LONG)
    os.symlink("A001/clip.mov", source / "link")
    os.mkfifo(source / "pipe")
    os.setxattr(card / "note.txt", "user.reel", b"A001")
    (source / "old.txt").write_text("only in the first commits")


def add(archive: Archive, source: Path, message: str) -> None:
    """What `filmfs add` does."""
    taking = take_bytes(
        archive, scan([str(source).encode() + b"/"], []), archive.history.view_of("main"), lambda n, p: None
    )
    assert taking.problems == []
    spool = os.path.join(archive.root, ".publish-test")
    with open(spool, "wb") as file:
        records.write_frames(file, [new.as_value() for new in taking.new])
    run_and_flush(archive, "publish", {"branch": "main", "spool": spool, "message": message, "author": "tester"})
    os.unlink(spool)


def edit(archive: Archive, branch: str, path: bytes, data: bytes, offset: int) -> None:
    """What a mount does when a file is written to in the middle: a draft of several extents."""
    tree = tree_of(archive, branch)
    file = tree.resolve(path.split(b"/"))
    base = tree.get_inode(file).content
    blob = stage(archive.history, archive, data)
    archive.history.drafts.begin_writing(blob)
    extents = archive.contents.map_of(base).written(Extent(offset, len(data), blob))
    draft = keep_draft(archive, tree, file, extents, base if isinstance(base, bytes) else None)
    archive.history.drafts.end_writing(blob)
    archive.history.drafts.closed(draft)
    archive.history.flush()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with every sort of file, two branches, commits, an edit, and an edit that is not hashed yet."""
    place = tmp_path_factory.mktemp("check")
    make_sources(place / "source")
    root = place / "archive"
    clock = Ticks()
    Archive.create(str(root), author="tester", clock=clock)
    with Archive(str(root), Mode.WRITE, clock=clock) as archive:
        history = archive.history
        add(archive, place / "source", "first card")
        history.create_branch("grade", "tester")
        edit(archive, "grade", b"A001/clip.mov", b"a new slate", LEAF_SIZE + 5)
        history.commit(history.table.get("grade"), "slate", "tester")
        branch, tree = main_of(archive)
        tree.unlink(ROOT_FILE, b"old.txt", NOW)
        top = tree.resolve([b"B"])
        tree.rmdir(top, b"empty", NOW)
        tree.rename(ROOT_FILE, b"link", top, b"link", NOW)
        history.commit(branch, "tidied", "tester")
        history.flush()
        history.seal_all()
        file, _ = tree.make(ROOT_FILE, b"later.wav", an_inode())
        edit_whole(archive, tree, file, LATER)
        history.flush()
    return root


@pytest.fixture
def root(template: Path, tmp_path: Path) -> str:
    """A copy of the template to damage."""
    target = tmp_path / "archive"
    subprocess.run(["cp", "-a", "--sparse=always", str(template), str(target)], check=True)
    return str(target)


class Raw:
    """The records of an archive, without filmfs between."""

    def __init__(self, root: str) -> None:
        self._env = lmdb.open(os.path.join(root, "meta.lmdb"), map_size=1 << 30, max_dbs=len(TABLES))
        self._tables = {name: self._env.open_db(name) for name in TABLES}

    def get(self, table: bytes, key: bytes) -> bytes:
        with self._env.begin() as transaction:
            return bytes(transaction.get(key, db=self._tables[table]))

    def value(self, table: bytes, key: bytes) -> Any:
        return records.unpack(table, key, self.get(table, key))

    def keys(self, table: bytes) -> list[bytes]:
        with self._env.begin() as transaction:
            return list(transaction.cursor(db=self._tables[table]).iternext(values=False))

    def put(self, table: bytes, key: bytes, raw: bytes) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.put(key, raw, db=self._tables[table])

    def put_value(self, table: bytes, key: bytes, value: Any) -> None:
        self.put(table, key, records.pack(table, key, value))

    def delete(self, table: bytes, key: bytes) -> None:
        with self._env.begin(write=True) as transaction:
            assert transaction.delete(key, db=self._tables[table])

    def flip(self, table: bytes, key: bytes) -> None:
        raw = bytearray(self.get(table, key))
        raw[len(raw) // 2] ^= 4
        self.put(table, key, bytes(raw))


@contextmanager
def raw_records(root: str) -> Iterator[Raw]:
    raw = Raw(root)
    yield raw
    raw._env.close()


def point(root: str, at: str, path: bytes) -> tuple[bytes, bytes]:
    """The keys of the inode row and the entry row that `at` shows under `path`."""
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of(at)
        parts = path.split(b"/")
        parent, file = view.resolve(parts[:-1]), view.resolve(parts)
        branch_of = archive.history.table.branch_of
    found = []
    with raw_records(root) as raw:
        for table, prefix in ((INODE, inode_prefix(file)), (DIRENT, entry_prefix(parent, parts[-1]))):
            rows = [key for key in raw.keys(table) if key.startswith(prefix)]
            found.append(next(key for key in rows if view.lineage.sees(branch_of[layer_of(key)], layer_of(key))))
    return found[0], found[1]


def inode_of(root: str, at: str, path: bytes) -> Inode:
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of(at)
        return view.get_inode(view.resolve(path.split(b"/")))


def content_key(root: str, at: str, path: bytes) -> bytes:
    content = inode_of(root, at, path).content
    assert isinstance(content, bytes)
    return content


def sealed_file(root: str, content: bytes) -> str:
    return os.path.join(root, "blobs", content.hex()[:2], content.hex()[2:])


def kinds(report: Report) -> set[str]:
    return {fault.kind for fault in report.faults}


def places(report: Report) -> set[str]:
    return {place for fault in report.faults for place in fault.places}


# Sound


def test_an_archive_with_everything_in_it_is_sound(root: str) -> None:
    report = check_archive(root, data=True)

    assert report.faults == ()
    assert report.branches == 2
    assert report.commits == 4
    assert report.blobs == 5
    assert report.bytes_verified >= LONG + len(CLIP) + len(FRAME)
    assert report.as_facts()["sound"] is True


def test_an_empty_archive_is_sound(tmp_path: Path) -> None:
    Archive.create(str(tmp_path / "new"), author="tester")
    report = check_archive(str(tmp_path / "new"))
    assert report.faults == ()
    assert report.notes == ()
    assert (report.branches, report.commits, report.inodes) == (1, 1, 1)


def test_it_runs_beside_a_process_that_holds_the_lock_and_writes(root: str) -> None:
    with Archive(root, Mode.WRITE) as archive:
        edit(archive, "grade", b"A001/twin.exr", b"beside", 100)
        assert check_archive(root, data=True).faults == ()
        archive.history.seal_all()
        assert check_archive(root, data=True).faults == ()


def test_the_walk_leaves_nothing_open(root: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    walk([root, "--data"])
    gc.enable()
    assert len(os.listdir("/proc/self/fd")) == before


def test_progress_is_told_and_ends_at_all_of_it(root: str) -> None:
    told: list[tuple[int, int, str]] = []
    check_archive(root, data=True, progress=lambda *step: told.append(step))
    assert {"inode", "dirent", "content", "bytes"} <= {what for _, _, what in told}
    assert all(done <= total for done, total, _ in told)


def test_a_report_survives_json(root: str) -> None:
    os.unlink(sealed_file(root, CLIP_ID))
    report = check_archive(root)
    assert Report.of_facts(report.as_facts()) == report


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnArchive):
        check_archive(str(tmp_path))


def test_an_archive_of_another_format_is_refused(root: str) -> None:
    path = os.path.join(root, "archive.toml")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("format = 1", "format = 2"))
    with pytest.raises(WrongVersion):
        check_archive(root)


# Cut off at any moment


def test_bytes_on_their_way_are_a_note(root: str) -> None:
    with open(os.path.join(root, "staging", "999999"), "wb") as file:
        file.write(b"half")
    report = check_archive(root)
    assert report.faults == ()
    assert any("staging" in note for note in report.notes)


def test_a_blob_whose_record_is_sealed_and_whose_file_is_not_placed_yet_is_sound(root: str) -> None:
    with raw_records(root) as raw:
        blobs = {key: raw.value(b"blob", key) for key in raw.keys(b"blob")}
    number = next(int.from_bytes(key, "big") for key, value in blobs.items() if value[1] == CLIP_ID)
    os.rename(sealed_file(root, CLIP_ID), os.path.join(root, "staging", str(number)))
    assert check_archive(root, data=True).faults == ()


def test_an_add_that_never_came_to_its_names_is_a_note(root: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_bytes(FRAME[::-1])
    with Archive(root, Mode.INGEST) as archive:
        take_bytes(archive, scan([bytes(tmp_path / "more")], []), archive.history.view_of("main"), lambda n, p: None)
    report = check_archive(root, data=True)
    assert report.faults == ()
    assert any("contents that no file names" in note for note in report.notes)


def test_a_crash_between_an_edit_and_the_edit_that_replaced_it_is_a_note(root: str) -> None:
    inode, _ = point(root, "main", b"later.wav")
    with raw_records(root) as raw:
        value = raw.value(INODE, inode)
        raw.put_value(INODE, inode, Inode.of_value(value).changed(content=None, size=0, stored=0).as_value())
    report = check_archive(root)
    assert report.faults == ()
    assert any("drafts" in note for note in report.notes)


@pytest.mark.crash
def test_a_writer_that_was_killed_leaves_a_sound_archive(root: str) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from filmfs.archive import Archive, Mode\n"
        "from tests.service.test_check import edit\n"
        "archive = Archive(sys.argv[1], Mode.WRITE)\n"
        "for n in range(100000):\n"
        "    edit(archive, 'main', b'A001/clip.mov', b'x' * 5000, n)\n"
        "    if n % 3 == 0: archive.history.seal_all()\n"
        "    if n % 5 == 0: archive.history.commit(archive.history.table.get('main'), 'c', 'tester')\n"
    )
    for delay in (0.5, 0.8, 1.1):
        here = str(Path(__file__).parents[2])
        with subprocess.Popen([sys.executable, "-c", script, root, here], stderr=subprocess.PIPE) as writer:
            time.sleep(delay)
            check = check_archive(root, data=True)
            writer.kill()
            assert writer.stderr is not None
            assert writer.stderr.read() == b""
        assert check.faults == ()
        assert check_archive(root, data=True).faults == ()


# Damaged records


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


# Files of blobs


def test_a_missing_blob_is_named_by_every_path_that_needs_it(root: str) -> None:
    os.unlink(sealed_file(root, CLIP_ID))
    report = check_archive(root)
    assert [fault.kind for fault in report.faults] == ["file"]
    assert report.faults[0].path == sealed_file(root, CLIP_ID)
    assert set(report.faults[0].places) == {"main:A001/clip.mov", "grade:A001/clip.mov"}


def test_a_short_blob_is_found_without_reading_it(root: str) -> None:
    os.chmod(sealed_file(root, CLIP_ID), 0o600)
    os.truncate(sealed_file(root, CLIP_ID), len(CLIP) - 1)
    assert kinds(check_archive(root)) == {"file"}


def test_rot_is_named_to_the_mebibyte_and_only_where_it_shows(root: str) -> None:
    path = sealed_file(root, CLIP_ID)
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(2 * LEAF_SIZE + 77)
        file.write(b"rot")
    assert check_archive(root).faults == ()

    report = check_archive(root, data=True)
    (fault,) = report.faults
    assert fault.kind == "bytes"
    assert f"bytes {2 * LEAF_SIZE} to {3 * LEAF_SIZE} " in fault.what
    assert fault.path == path
    assert set(fault.places) == {"main:A001/clip.mov", "grade:A001/clip.mov"}


def test_rot_under_what_a_branch_wrote_over_does_not_show_there(root: str) -> None:
    with Archive(root, Mode.WRITE) as archive:
        edit(archive, "grade", b"A001/clip.mov", b"n" * LEAF_SIZE, 2 * LEAF_SIZE)
        archive.history.seal_all()
    path = sealed_file(root, CLIP_ID)
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.seek(2 * LEAF_SIZE + 77)
        file.write(b"rot")
    (fault,) = check_archive(root, data=True).faults
    assert "main:A001/clip.mov" in fault.places
    assert "grade:A001/clip.mov" not in fault.places


def test_rot_in_a_blob_that_is_part_of_an_edit_is_found(root: str) -> None:
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of("grade")
        extents = archive.contents.map_of(view.get_inode(view.resolve([b"A001", b"clip.mov"])).content)
        (small,) = [b for b in extents.blobs() if archive.blobs.size_on_disk(b) < 100]
        path = archive.blobs.path_of(small)
    os.chmod(path, 0o600)
    with open(path, "r+b") as file:
        file.write(b"A")
    report = check_archive(root, data=True)
    assert kinds(report) == {"bytes"}
    assert places(report) == {"grade:A001/clip.mov"}


def test_a_map_that_leads_to_other_bytes_is_found(root: str) -> None:
    content = content_key(root, "grade", b"A001/clip.mov")
    with raw_records(root) as raw:
        size, extents, leaves = raw.value(CONTENT, content)
        raw.put_value(CONTENT, content, [size, [[o, n, source, at and at - 1] for o, n, source, at in extents], leaves])
    assert "bytes" in kinds(check_archive(root, data=True))


def test_a_missing_staging_file_of_a_draft_is_found_and_placed(root: str) -> None:
    shutil.rmtree(os.path.join(root, "staging"))
    os.mkdir(os.path.join(root, "staging"))
    report = check_archive(root)
    assert kinds(report) == {"file"}
    assert places(report) == {"main:later.wav"}


def test_bytes_in_a_record_that_are_another_contents_are_found(root: str) -> None:
    content = content_key(root, "main", b"A001/note.txt")
    with raw_records(root) as raw:
        size, _, leaves = raw.value(CONTENT, content)
        raw.put_value(CONTENT, content, [size, [[0, size, b"A few words", 0]], leaves])
    report = check_archive(root)
    assert kinds(report) == {"bytes"}
    assert "main:A001/note.txt" in places(report)


def test_a_file_of_tebibytes_of_nothing_takes_no_time(root: str) -> None:
    size = 1 << 40
    with Archive(root, Mode.WRITE) as archive:
        _, tree = main_of(archive)
        file, _ = tree.make(ROOT_FILE, b"disk.img", an_inode())
        blob = stage(archive.history, archive, b"x" * 5000, 1 << 39)
        archive.history.drafts.begin_writing(blob)
        draft = keep_draft(archive, tree, file, ExtentMap(size, (Extent(1 << 39, 5000, blob, 1 << 39),)))
        archive.history.drafts.end_writing(blob)
        archive.history.drafts.closed(draft)
        archive.history.seal_all()
    started = time.monotonic()
    assert check_archive(root, data=True).faults == ()
    assert time.monotonic() - started < 30


def test_sealing_clears_what_a_crash_left_in_a_hole(root: str) -> None:
    with Archive(root, Mode.WRITE) as archive:
        _, tree = main_of(archive)
        file, _ = tree.make(ROOT_FILE, b"sparse.wav", an_inode())
        blob = stage(archive.history, archive, b"w" * (3 * LEAF_SIZE))  # its middle was never acknowledged
        archive.history.drafts.begin_writing(blob)
        ends = (Extent(0, 100, blob), Extent(2 * LEAF_SIZE, LEAF_SIZE, blob, 2 * LEAF_SIZE))
        draft = keep_draft(archive, tree, file, ExtentMap(3 * LEAF_SIZE, ends))
        archive.history.drafts.end_writing(blob)
        archive.history.drafts.closed(draft)
        archive.history.seal_all()
    assert check_archive(root, data=True).faults == ()


# The database itself


@pytest.mark.parametrize("seed", range(8))
def test_garbage_in_the_database_is_a_fault_and_never_an_exception(root: str, seed: int) -> None:
    chance = random.Random(seed)
    path = os.path.join(root, "meta.lmdb", "data.mdb")
    pages = os.path.getsize(path) // 4096
    with open(path, "r+b") as file:
        for page in range(2, pages):
            if chance.random() < 0.5:
                file.seek(page * 4096)
                file.write(chance.randbytes(4096))
    assert check_archive(root).faults != ()


@pytest.mark.parametrize("size", [0, 100, 4096, 8192, 20_000])
def test_a_database_that_was_cut_short_is_a_fault(root: str, size: int) -> None:
    os.truncate(os.path.join(root, "meta.lmdb", "data.mdb"), size)
    report = check_archive(root)
    assert kinds(report) == {"database"}
    assert "meta.lmdb" in report.faults[0].what


def test_a_missing_database_is_a_fault(root: str) -> None:
    shutil.rmtree(os.path.join(root, "meta.lmdb"))
    assert kinds(check_archive(root)) == {"database"}


@pytest.mark.parametrize(("name", "kind"), [("SEGV", "database"), ("BUS", "database"), ("KILL", "unfinished")])
def test_a_walk_that_dies_is_a_fault(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    dies = tmp_path / "python"
    dies.write_text(f'#!/bin/sh\necho \'{{"progress": [1, 9, "inode"]}}\'\nkill -{name} $$\n')
    dies.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(dies))
    report = check_archive(root)
    assert kinds(report) == {kind}
    assert signal.Signals[f"SIG{name}"].name in report.faults[0].what
    assert "inode" in report.faults[0].what


# What docs/formats.md says


def test_the_worked_example_of_a_content_id() -> None:
    content, leaves = identify([b"filmfs"])
    assert leaves.hex() == "447745e4151ffdb1bd71f159ee948ae076a483b45691b3462deef4c75ab70d91"
    assert content.hex() == "a4ee2bd94a58e5d5fb6e22e250bda6620e14d1e870faf01ec561a52e6ad9e22c"
    assert content_id(6, leaves) == content
    assert layer_suffix(LayerId(2)).hex() == "fffffffffffffffd"
