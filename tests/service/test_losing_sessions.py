"""Files that the disk lost bytes of, and what others have of them: commits, branches, copies, sessions that go on."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.errors import DiskFailure, FilmFSError, LostBytes, Stale
from filmfs.core.ids import ROOT_FILE, BranchId
from filmfs.versioning.rows import Kind
from filmfs.vfs.changes import Changes
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import NodeId, Space, node_id
from filmfs.vfs.openfiles import OpenFile
from filmfs.vfs.ranges import copy_range, write_at
from tests.crash.scene import assert_sound
from tests.service.losing import LosingDisk, seal, settle
from tests.support import Ticks, main_of

MAIN = node_id(Space(BranchId(1)), ROOT_FILE)


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


class Bench:
    """An archive over a disk that loses what it is told to, used as a door uses it."""

    def __init__(self, root: str, disk: LosingDisk) -> None:
        self.root = root
        self.disk = disk
        Archive.create(root, author="tester", clock=Ticks())
        self.mount()

    def mount(self) -> None:
        self.archive = Archive(self.root, Mode.WRITE, clock=Ticks())
        self.history = self.archive.history
        self.fs = FileSystem(self.archive, status=dict)

    def make(self, name: bytes) -> NodeId:
        return self.fs.make(MAIN, name, Kind.FILE, 0o644, 0, 0).node

    def open(self, node: NodeId, *, writing: bool = True, **how: bool) -> tuple[int, OpenFile]:
        handle = self.fs.open(node, writing=writing, **how)
        file = self.fs.file(handle).file
        assert file is not None
        return handle, file

    def write(self, node: NodeId, data: bytes) -> None:
        """Opens it to be written anew, and closes it."""
        handle, file = self.open(node, truncate=True)
        write_at(file, 0, data)
        self.fs.close(handle)

    def past_us(self, file: OpenFile, data: bytes, offset: int) -> None:
        assert file._through is not None
        with open(self.archive.blobs.staging_path(file._through.blob), "r+b") as staged:
            os.pwrite(staged.fileno(), data, offset)

    def flush(self, *, losing: int = 0) -> None:
        """`losing`: the sync of a staging file that fails, counted from 1."""
        self.disk.fails_at = losing
        cut = self.fs.cut()
        loss = self.history.write(cut)
        self.disk.fails_at = 0
        settle(self.fs, cut, loss)

    def seal(self) -> None:
        for _ in range(3):
            seal(self.fs, self.flush)

    def commit(self) -> None:
        self.history.commit(main_of(self.archive)[0], "a commit", "tester")

    def is_lost(self, node: NodeId) -> bool:
        try:
            self.fs.refuse_if_lost(node)
        except LostBytes:
            return True
        return False

    def read(self, point: str, path: str) -> bytes:
        view, contents = self.history.view_of(point), self.archive.contents
        inode = view.get_inode(view.resolve([path.encode()]))
        ref = inode.content
        held = self.history.drafts.map_of(ref) if isinstance(ref, int) else None
        extents = held if held is not None else contents.map_of(ref, self.history.database.current())
        assert extents.size == inode.size
        return contents.read(extents, 0, inode.size)

    def staging(self) -> list[str]:
        return os.listdir(self.archive.blobs.staging_directory)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    disk = LosingDisk()
    with disk.attached():
        bench = Bench(str(tmp_path / "archive"), disk)
        yield bench
        bench.archive.close()
        assert_sound(bench.root)


def test_a_commit_of_a_lost_file_keeps_its_bytes_when_that_is_written_anew_and_again(bench: Bench) -> None:
    node, written = bench.make(b"f"), noise(100_000, 2)
    handle, file = bench.open(node)
    write_at(file, 0, noise(9000))
    bench.flush(losing=1)
    bench.fs.close(handle)
    handle, file = bench.open(node, truncate=True)
    write_at(file, 0, written)
    bench.flush()
    assert not bench.is_lost(node)
    bench.commit()
    bench.flush()
    bench.fs.close(handle)
    bench.write(node, noise(100_000, 3))
    bench.flush()
    assert bench.read("main@2", "f") == written
    bench.seal()
    assert bench.read("main@2", "f") == written


def test_a_row_that_falls_back_has_the_length_that_its_bytes_have(bench: Bench) -> None:
    node = bench.make(b"f")
    handle, file = bench.open(node)
    write_at(file, 0, noise(9000))
    bench.flush()
    write_at(file, 9000, noise(50))
    bench.fs.close(handle)
    handle, file = bench.open(node)
    write_at(file, 0, b"edit")
    bench.flush(losing=2)
    assert bench.is_lost(node)
    bench.archive.close()
    bench.disk.cut_power(bench.root)
    assert_sound(bench.root)
    bench.mount()
    assert len(bench.read("main", "f")) in (9000, 9050)
    bench.seal()


def test_what_a_file_was_at_a_close_is_durable_though_what_follows_is_lost(bench: Bench) -> None:
    node, closed = bench.make(b"f"), noise(500_000)
    handle, file = bench.open(node, straight=True)
    bench.past_us(file, closed, 0)
    reader, _ = bench.open(node, writing=False, straight=True)
    bench.fs.close(handle)
    bench.flush()
    handle, file = bench.open(node, append=True, straight=True)
    bench.commit()
    bench.flush()
    bench.past_us(file, noise(5000, 2), 500_000)
    bench.flush(losing=1)
    assert bench.is_lost(node)
    bench.history.create_branch("other", "tester", source="main@2")
    bench.flush()
    other = bench.fs.lookup(node_id(Space(bench.history.table.get("other").id), ROOT_FILE), b"f")[0].node
    looking, _ = bench.open(other, writing=False)
    assert not bench.is_lost(other)
    for held in (looking, handle, reader):
        bench.fs.close(held)
    bench.fs.unlink(MAIN, b"f")
    bench.seal()
    assert bench.read("other", "f") == closed
    assert bench.history.lost_files() == {}
    assert bench.staging() == []
    assert not bench.history.unnamed()


def test_an_edit_of_what_a_branch_has_of_a_lost_file_is_durable(bench: Bench) -> None:
    node, durable = bench.make(b"f"), noise(500_000)
    handle, file = bench.open(node)
    write_at(file, 0, durable)
    bench.flush()
    write_at(file, 500_000, noise(500_000, 2))
    bench.fs.close(handle)
    bench.commit()
    bench.flush(losing=1)
    bench.history.create_branch("other", "tester", source="main@2")
    bench.flush()
    other = bench.fs.lookup(node_id(Space(bench.history.table.get("other").id), ROOT_FILE), b"f")[0].node
    handle, file = bench.open(other)
    write_at(file, 0, b"edit")
    bench.flush()
    assert not bench.is_lost(other)
    bench.fs.close(handle)
    bench.seal()
    bench.archive.close()
    bench.disk.cut_power(bench.root)
    bench.mount()
    assert bench.read("other", "f") == b"edit" + durable[4:]


def test_a_commit_of_a_lost_file_does_not_change_with_the_session_that_goes_on(bench: Bench) -> None:
    """It falls back on what was durable in the middle of a session that then writes in place."""
    node, durable = bench.make(b"f"), noise(500_000)
    handle, file = bench.open(node)
    write_at(file, 0, noise(9000, 2))
    bench.flush(losing=1)
    bench.fs.close(handle)
    handle, file = bench.open(node, truncate=True)
    write_at(file, 0, durable)
    bench.flush()
    bench.commit()
    bench.flush()
    assert bench.read("main@2", "f") == durable
    write_at(file, 0, noise(300_000, 3))
    bench.flush()
    assert bench.read("main@2", "f") == durable
    bench.fs.close(handle)
    bench.fs.unlink(MAIN, b"f")
    bench.seal()
    assert bench.read("main@2", "f") == durable


def test_bytes_that_are_needed_again_are_synced_before_they_are_hashed(bench: Bench) -> None:
    node = bench.make(b"f")
    handle, file = bench.open(node)
    write_at(file, 0, noise(500_000))
    bench.flush()
    write_at(file, 0, noise(500_000, 2))
    bench.fs.change(node, Changes(size=0))
    write_at(file, 0, noise(300_000, 3))
    bench.flush(losing=1)
    bench.fs.close(handle)
    bench.disk.fails_at = 1  # the pages that were written over and not synced are lost too
    for sealable in bench.history.drafts.sealable():
        with pytest.raises(DiskFailure):
            bench.history.seal(sealable)
        bench.history.drafts.unsealed(sealable.id)
    bench.disk.fails_at = 0
    bench.seal()
    bench.archive.close()
    bench.disk.cut_power(bench.root)
    assert_sound(bench.root)
    bench.mount()


@pytest.mark.parametrize("is_lost", [True, False])
def test_hashing_a_copy_cuts_nothing_that_a_durable_row_needs(bench: Bench, is_lost: bool) -> None:
    """The copy has the beginning of a file that is written anew while the copy is hashed."""
    node, copy, whole = bench.make(b"f"), bench.make(b"copy"), noise(500_000)
    bench.write(node, whole)
    reader, _ = bench.open(node, writing=False)
    writer, _ = bench.open(copy)
    assert copy_range(bench.fs.file(reader), 0, bench.fs.file(writer), 0, 300_000) == 300_000
    bench.fs.close(reader)
    bench.fs.close(writer)
    bench.flush()
    bench.write(node, noise(400_000, 2))
    outcomes = [bench.history.seal(sealable) for sealable in bench.history.drafts.sealable()]
    if is_lost:
        bench.flush(losing=1)
        for outcome in outcomes:
            bench.fs.sealed(outcome)
        bench.flush()
    bench.archive.close()
    assert_sound(bench.root)
    bench.disk.forget()
    bench.mount()
    assert bench.read("main", "f") == whole


def test_a_small_file_that_cannot_be_read_keeps_nobody_from_becoming_durable(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = bench.make(b"f")
    handle, file = bench.open(node, straight=True)
    bench.past_us(file, b"small", 0)
    bench.flush()
    failing = file._through._descriptor  # type: ignore[union-attr]
    pread = os.pread

    def fails(descriptor: int, length: int, offset: int) -> bytes:
        if descriptor == failing:
            raise OSError(5, "Input/output error")
        return pread(descriptor, length, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fails)
        bench.write(bench.make(b"other"), noise(9000))
        bench.flush()
        with pytest.raises(FilmFSError):
            bench.fs.refuse_if_not_durable(bench.fs.file(handle))
    bench.fs.close(handle)
    assert bench.read("main", "other") == noise(9000)


def test_a_node_that_was_refused_leaves_nothing_open(bench: Bench) -> None:
    node = bench.make(b"f")
    bench.write(node, noise(2 << 20))
    bench.seal()
    reader, _ = bench.open(node, writing=False, straight=True)
    with pytest.raises(Stale):
        bench.open(node)
    with pytest.raises(Stale):
        bench.open(node, writing=False)
    bench.fs.close(reader)
    assert not bench.fs._opened.is_busy(BranchId(1))
