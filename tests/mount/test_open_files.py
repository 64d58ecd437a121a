"""Files that are open, without a mount: what a flush, a crash, sealing and a failing disk meet amid writing."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.core.errors import CrossBranch, FilmFSError, Stale, TooLarge
from filmfs.core.ids import ROOT_FILE, BranchId
from filmfs.mount.flushing import Flusher
from filmfs.versioning.rows import Kind
from filmfs.vfs.changes import Changes
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import NodeId, Space, node_id, split_node
from filmfs.vfs.ranges import write_at
from tests.support import Ticks

MIB = 1 << 20
MAIN = node_id(Space(BranchId(1)), ROOT_FILE)


class Writer:
    """A FileSystem that is written to as a door does."""

    def __init__(self, root: str, clock: Ticks) -> None:
        self.archive = Archive(root, Mode.WRITE, clock=clock)
        self.fs = FileSystem(self.archive, status=dict)
        self.history = self.archive.history

    def create(self, name: str, data: bytes = b"") -> NodeId:
        """A closed file."""
        node = self.fs.make(MAIN, name.encode(), Kind.FILE, 0o644, 0, 0).node
        if data:
            self.edit(node, 0, data)
        return node

    def edit(self, node: NodeId, offset: int, data: bytes) -> None:
        """Open, write, close."""
        handle = self.open(node)
        self.write(handle, offset, data)
        self.fs.close(handle)

    def open(self, node: NodeId) -> int:
        return self.fs.open(node, writing=True)

    def write(self, handle: int, offset: int, data: bytes) -> None:
        file = self.fs.file(handle).file
        assert file is not None
        write_at(file, offset, data)

    def read(self, node: NodeId) -> bytes:
        handle = self.fs.open(node, writing=False)
        file = self.fs.file(handle).file
        assert file is not None
        data = self.archive.contents.read(file.map, 0, file.size)
        self.fs.close(handle)
        return data

    def flush(self) -> None:
        """As the door's flusher does."""
        cut = self.fs.cut()
        self.history.write(cut)
        self.history.settle(cut)
        self.history.tidy(cut)

    def seal(self) -> int:
        """Hashes what may be hashed."""
        ready = self.history.drafts.sealable()
        for sealable in ready:
            self.fs.sealed(self.history.seal(sealable))
        self.flush()
        return len(ready)

    def crash(self) -> None:
        """The process is gone; what the page cache has stays."""
        self.archive.close()
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/self/fd/{number}").startswith(self.archive.blobs.staging_directory):
                    os.close(int(number))


@pytest.fixture
def writer(root: str, clock: Ticks) -> Iterator[Writer]:
    writer = Writer(root, clock)
    yield writer
    writer.crash()
    assert check_archive(root, data=True).faults == ()


@pytest.fixture
def data() -> bytes:
    return os.urandom(MIB)


def after_a_crash(writer: Writer, clock: Ticks, node: NodeId) -> bytes:
    writer.crash()
    assert check_archive(writer.archive.root, data=True).faults == ()
    again = Writer(writer.archive.root, clock)
    try:
        return again.read(node)
    finally:
        again.flush()
        again.seal()
        again.crash()


def test_an_edit_that_is_closed_while_its_base_is_being_hashed_keeps_all_bytes(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    writer.flush()
    sealables = writer.history.drafts.sealable()
    outcome = writer.history.seal(sealables[0])
    writer.edit(node, 5000, b"edited while it was hashed")
    writer.fs.sealed(outcome)
    writer.flush()
    writer.archive.blobs.close()  # no descriptor from before helps
    expected = data[:5000] + b"edited while it was hashed" + data[5026:]
    assert writer.read(node) == expected
    assert writer.seal() == 1
    assert writer.read(node) == expected


def test_an_edit_that_is_closed_while_its_base_is_being_hashed_survives_a_flush_that_fails(
    writer: Writer, data: bytes
) -> None:
    node = writer.create("a", data)
    writer.flush()
    outcome = writer.history.seal(writer.history.drafts.sealable()[0])
    writer.edit(node, 5000, b"edited")
    failed = writer.fs.cut()
    writer.fs.sealed(outcome)
    writer.history.buffers.put_back(failed)
    writer.flush()
    writer.archive.blobs.close()
    assert writer.read(node) == data[:5000] + b"edited" + data[5006:]


@pytest.mark.parametrize("size", [100, 5000, MIB - 1])
def test_a_cut_that_was_not_flushed_takes_nothing_from_what_was(
    writer: Writer, clock: Ticks, data: bytes, size: int
) -> None:
    node = writer.create("a")
    handle = writer.open(node)
    writer.write(handle, 0, data)
    writer.flush()
    writer.fs.change(node, Changes(size=size))
    writer.write(handle, 500_000, b"more")
    kept = min(size, 500_000)
    assert after_a_crash(writer, clock, node)[:kept] == data[:kept]


@pytest.mark.parametrize("size", [100, 5000, MIB - 1])
def test_what_was_cut_off_does_not_come_back_when_the_file_grows(writer: Writer, data: bytes, size: int) -> None:
    node = writer.create("a")
    handle = writer.open(node)
    writer.write(handle, 0, data)
    writer.flush()
    writer.fs.change(node, Changes(size=size))
    writer.write(handle, MIB + 10, b"far behind")
    expected = data[:size] + bytes(MIB + 10 - size) + b"far behind"
    assert writer.read(node) == expected
    writer.fs.close(handle)
    writer.flush()
    assert writer.read(node) == expected
    writer.seal()
    assert writer.read(node) == expected


def test_a_file_that_a_full_disk_keeps_from_growing_is_as_it_was(writer: Writer) -> None:
    node = writer.create("a", b"few bytes")
    handle = writer.open(node)
    staging = writer.archive.blobs.staging_directory
    os.rename(staging, staging + ".away")
    with pytest.raises(FilmFSError):
        writer.write(handle, 0, bytes(10_000))
    os.rename(staging + ".away", staging)
    assert writer.read(node) == b"few bytes"
    writer.write(handle, 4, bytes(10_000))
    writer.fs.close(handle)
    assert writer.read(node) == b"few " + bytes(10_000)


def test_a_truncate_that_is_refused_leaves_nothing_open(writer: Writer) -> None:
    node = writer.create("a", b"x" * 10)
    with pytest.raises(TooLarge):
        writer.fs.change(node, Changes(size=1 << 63))
    writer.archive.refuse_if_busy(BranchId(1))
    assert writer.read(node) == b"x" * 10


def test_an_open_that_fails_leaves_nothing_open(writer: Writer, data: bytes) -> None:
    writer.fs.make(MAIN, b"d", Kind.DIRECTORY, 0o755, 0, 0)
    with pytest.raises(FilmFSError):
        writer.open(writer.fs.lookup(MAIN, b"d")[0].node)
    writer.archive.refuse_if_busy(BranchId(1))


def test_a_draft_that_cannot_be_hashed_is_tried_again(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    writer.flush()
    path = writer.archive.blobs.staging_path(next(iter(writer.fs.history.drafts._staged)))
    os.rename(path, path + ".away")
    for sealable in writer.history.drafts.sealable():
        with pytest.raises(FilmFSError):
            writer.history.seal(sealable)
        writer.history.drafts.unsealed(sealable.id)
    os.rename(path + ".away", path)
    assert writer.seal() == 1
    assert writer.read(node) == data


def test_a_commit_between_two_flushes_of_an_open_file_keeps_the_last_close(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    writer.flush()
    handle = writer.open(node)
    writer.write(handle, 0, b"not closed")
    writer.flush()
    branch = writer.history.table.get("main")
    commit, paths, _ = writer.history.commit(branch, "", "tester")
    assert paths == [b"a"]
    writer.flush()
    view = writer.history.view(commit)
    held = writer.archive.contents.read(
        writer.archive.contents.map_of(view.get_inode(view.resolve([b"a"])).content), 0, MIB
    )
    assert held == data
    writer.write(handle, 10, b" and more")
    writer.fs.close(handle)
    writer.flush()
    assert writer.read(node) == b"not closed and more" + data[19:]
    while writer.seal():
        pass
    assert writer.read(node) == b"not closed and more" + data[19:]


def test_many_sessions_on_one_file_leave_no_staging_files(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    expected = bytearray(data)
    for number in range(30):
        writer.edit(node, number * 1000, b"%03d" % number)
        expected[number * 1000 : number * 1000 + 3] = b"%03d" % number
        if number % 3 == 0:
            writer.flush()
        if number % 10 == 9:
            writer.seal()
    writer.flush()
    while writer.seal():
        pass
    assert writer.read(node) == expected
    assert os.listdir(writer.archive.blobs.staging_directory) == []


def test_unlinked_files_leave_no_staging_files(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    handle = writer.open(node)
    writer.write(handle, 0, b"1")
    writer.flush()
    writer.fs.unlink(MAIN, b"a")
    writer.write(handle, MIB, data)
    writer.flush()
    assert writer.read(node) == b"1" + data[1:] + data
    writer.fs.close(handle)
    writer.flush()
    assert os.listdir(writer.archive.blobs.staging_directory) == []
    writer.create("b", data)
    writer.flush()
    writer.fs.unlink(MAIN, b"b")
    writer.flush()
    assert os.listdir(writer.archive.blobs.staging_directory) == []


def test_hashing_that_was_broken_off_is_taken_up_again_for_every_file(writer: Writer, data: bytes) -> None:
    for number in range(3):
        writer.create(f"{number}", data + b"%d" % number)
    writer.flush()

    async def break_off_and_go_on() -> None:
        flusher = Flusher(writer.fs, trio.CapacityLimiter(2))
        with trio.CancelScope() as scope:
            scope.cancel()
            await flusher.seal()
        await flusher.seal()

    trio.run(break_off_and_go_on)
    assert len(writer.history.drafts) == 0


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (nothing there tells of it)
        await trio.sleep(0.05)


def test_what_is_written_while_a_file_is_being_hashed_is_durable_at_the_next_second(
    writer: Writer, data: bytes
) -> None:
    node = writer.create("slow", data)
    writer.flush()
    draft = writer.fs.archive.history.tree(writer.history.table.get("main")).get_inode(split_node(node)[1]).content
    staging = Path(writer.archive.root, "staging")
    (blob,) = staging.iterdir()
    writer.archive.blobs.close()
    blob.rename(staging.parent / "aside")
    os.mkfifo(blob)  # who reads it waits, as for a disk that is slow

    async def write_meanwhile() -> None:
        flusher = Flusher(writer.fs, trio.CapacityLimiter(2))
        async with trio.open_nursery() as nursery:
            flusher.hurry()
            nursery.start_soon(flusher.run)
            with trio.fail_after(20):
                await _until(lambda: not writer.history.drafts.resumable(draft))
            late = split_node(writer.create("late", b"written meanwhile"))[1]
            with trio.move_on_after(10):
                await _until(lambda: not any(writer.history.buffers.holding(late)))
            durable = not any(writer.history.buffers.holding(late))
            os.close(os.open(blob, os.O_WRONLY))
            nursery.cancel_scope.cancel()
        assert durable

    trio.run(write_meanwhile)
    os.rename(staging.parent / "aside", blob)


def test_a_file_can_be_opened_between_its_sealing_and_the_flush_of_that(writer: Writer, data: bytes) -> None:
    node = writer.create("a", data)
    writer.flush()
    writer.fs.change(node, Changes(mode=0o600))  # its row waits in memory, and soon names what no record describes yet
    outcome = writer.history.seal(writer.history.drafts.sealable()[0])
    writer.fs.sealed(outcome)
    assert writer.read(node) == data
    cut = writer.fs.cut()
    assert writer.read(node) == data
    writer.history.write(cut)
    assert writer.read(node) == data
    writer.history.settle(cut)
    assert writer.read(node) == data
    writer.history.tidy(cut)
    assert writer.read(node) == data


@pytest.fixture
def other(writer: Writer) -> NodeId:
    """The root of a second branch."""
    branch, _ = writer.history.create_branch("other", "tester")
    return node_id(Space(branch.id), ROOT_FILE)


def test_a_file_that_moved_to_another_branch_is_looked_up_again_before_it_is_opened_or_changed(
    writer: Writer, other: NodeId, data: bytes
) -> None:
    """The kernel may know the new name by the old number for a moment; what is written then must not be lost."""
    node = writer.create("a", data)
    reading = writer.fs.open(node, writing=False)
    writer.fs.rename(MAIN, b"a", other, b"a")
    for use in (
        lambda: writer.fs.open(node, writing=True),
        lambda: writer.fs.open(node, writing=False),
        lambda: writer.fs.change(node, Changes(size=0)),
        lambda: writer.fs.change(node, Changes(mode=0)),
        lambda: writer.fs.set_xattr(node, b"user.note", b""),
    ):
        with pytest.raises(Stale):
            use()
    file = writer.fs.file(reading).file
    assert file is not None
    assert writer.archive.contents.read(file.map, 0, MIB) == data
    writer.fs.close(reading)


def test_a_file_that_a_writer_has_open_is_copied_to_another_branch_and_not_moved(
    writer: Writer, other: NodeId, data: bytes
) -> None:
    node = writer.create("a", data)
    handle = writer.open(node)
    with pytest.raises(CrossBranch):
        writer.fs.rename(MAIN, b"a", other, b"a")
    writer.write(handle, 0, b"is not lost")
    writer.fs.close(handle)
    assert writer.read(node)[:11] == b"is not lost"
    writer.fs.rename(MAIN, b"a", other, b"a")
