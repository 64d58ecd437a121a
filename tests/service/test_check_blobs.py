"""`check`: damage of blobs, of what is said of them, and of the database itself is found where it shows."""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import LEAF_SIZE, ROOT_FILE, LayerId, content_id, identify
from filmfs.store.contents import CONTENT
from filmfs.versioning.rows import layer_suffix
from tests.service.damage import CLIP, CLIP_ID, content_key, edit, kinds, places, raw_records, sealed_file
from tests.support import an_inode, keep_draft, main_of, stage

# Files of blobs


@pytest.fixture
def root(full_root: str) -> str:
    """The archive to damage."""
    return full_root


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
