"""Open files on a disk that loses bytes, at random beside plain bytes: who is told, and what a power cut leaves."""

import os
import random
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from filmfs.archive import Archive, Mode
from filmfs.core.errors import LostBytes
from filmfs.core.ids import ROOT_FILE, BranchId
from filmfs.versioning.buffers import Cut
from filmfs.versioning.lost import Loss
from filmfs.versioning.rows import Kind
from filmfs.vfs.changes import Changes
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import NodeId, Space, node_id, split_node
from filmfs.vfs.ranges import write_at
from tests.crash.scene import assert_sound
from tests.service.losing import LosingDisk, seal, settle
from tests.support import Ticks, main_of

MAIN = node_id(Space(BranchId(1)), ROOT_FILE)
DATA = [random.Random(size).randbytes(size) for size in (100, 5000, 300_000, 1 << 20)]
SIZES = [0, 1000, 4096, 250_000, 1 << 20, 3 << 20]

names = st.sampled_from([b"a", b"b", b"c"])


@dataclass
class File:
    """A file as it should be."""

    node: NodeId
    data: bytes = b""
    handle: int | None = None
    told: bool = False  # that bytes of it are lost
    blurred: bool = False  # bytes that were written in place may be seen, or not, where they are lost
    states: set[bytes] = field(default_factory=lambda: {b""})

    def was(self, data: bytes) -> bool:
        """Whether it may have been this once."""
        return data in self.states or (self.blurred and len(data) in map(len, self.states))


class LosingFiles(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="filmfs-test-")
        self.root = os.path.join(self.directory.name, "archive")
        Archive.create(self.root, author="tester", clock=Ticks())
        self.undoing = ExitStack()
        self.disk = self.undoing.enter_context(LosingDisk().attached())
        self.durable: dict[bytes, bytes] = {}
        self.nodes_durable: dict[int, bytes] = {}
        self.files: dict[bytes, File] = {}
        self.flushing: tuple[Cut, Loss] | None = None
        self.commits: list[dict[bytes, File]] = []
        self.mount()

    def mount(self) -> None:
        self.archive = Archive(self.root, Mode.WRITE, clock=Ticks())
        self.history = self.archive.history
        self.fs = FileSystem(self.archive, status=dict)
        blurred = {split_node(file.node)[1] for file in self.files.values() if file.blurred}
        self.files = {
            name: File(self.fs.lookup(MAIN, name)[0].node, data, states={b"", data})
            for name, data in self.durable.items()
        }
        for name, file in self.files.items():
            if split_node(file.node)[1] in blurred:
                self.adopt(name, file)

    def adopt(self, name: bytes, file: File) -> None:
        """Takes the bytes of a file as they are; how many there are is known."""
        inode = main_of(self.archive)[1].get_inode(split_node(file.node)[1])
        assert inode.size == len(file.data)
        self.now_is(file, self.archive.contents.read(self.archive.contents.map_of(inode.content), 0, inode.size))
        self.durable[name] = self.nodes_durable[split_node(file.node)[1]] = file.data

    # What programs do

    @rule(name=names, straight=st.booleans(), cut=st.booleans())
    def open(self, name: bytes, straight: bool, cut: bool) -> None:
        file = self.files.get(name)
        if file is None:
            file = self.files[name] = File(self.fs.make(MAIN, name, Kind.FILE, 0o644, 0, 0).node)
        if file.handle is not None or (cut and not self.may_cut(file, 0)):
            return
        file.handle = self.fs.open(file.node, writing=True, truncate=cut, straight=straight)
        if cut:
            self.now_is(file, b"")

    @rule(name=names, what=st.sampled_from(DATA), at=st.sampled_from([0, 1, None]))
    def write(self, name: bytes, what: bytes, at: int | None) -> None:
        file = self.files.get(name)
        if file is None or file.handle is None:
            return
        opened = self.fs.file(file.handle).file
        assert opened is not None
        offset = len(file.data) if at is None else min(len(file.data), at * 9000)
        file.blurred |= offset < len(file.data)
        if opened.is_written_through:
            (blob,) = {name for name in os.listdir(self.archive.blobs.staging_directory) if self.is_of(opened, name)}
            descriptor = os.open(os.path.join(self.archive.blobs.staging_directory, blob), os.O_WRONLY)
            os.pwrite(descriptor, what, offset)
            os.close(descriptor)
        else:
            write_at(opened, offset, what)
        self.now_is(file, file.data[:offset] + what + file.data[offset + len(what) :])
        assert opened.size == len(file.data)

    @staticmethod
    def is_of(opened: object, name: str) -> bool:
        through = opened._through  # type: ignore[attr-defined]
        return name == str(through.blob)

    @rule(name=names, size=st.sampled_from(SIZES))
    def truncate(self, name: bytes, size: int) -> None:
        file = self.files.get(name)
        if file is not None and self.may_cut(file, size):
            file.blurred |= 0 < size < len(file.data)  # what is written there next is written in place
            self.fs.change(file.node, Changes(size=size))
            if size <= len(self.nodes_durable.get(split_node(file.node)[1], b"")):
                file.told = False  # what is left of it may be what was durable
            self.now_is(file, file.data[:size].ljust(size, b"\0"))

    def may_cut(self, file: File, size: int) -> bool:
        """As the door does: a shorter length is made durable before."""
        try:
            if self.fs.must_flush_before(file.node, size):
                self.flush(file, size)
                self.fs.refuse_if_lost(file.node)
        except LostBytes:
            self.fs.stays_uncut(file.node)
            return False
        return True

    @rule(name=names)
    def close(self, name: bytes) -> None:
        file = self.files.get(name)
        if file is not None and file.handle is not None:
            self.fs.close(file.handle)
            file.handle = None

    @rule(name=names)
    def unlink(self, name: bytes) -> None:
        if name in self.files:
            self.fs.unlink(MAIN, name)
            self.close(name)
            del self.files[name]

    @rule(name=names, to=names)
    def rename(self, name: bytes, to: bytes) -> None:
        if name in self.files and name != to:
            self.fs.rename(MAIN, name, MAIN, to)
            self.close(to)
            self.files[to] = self.files.pop(name)

    @rule(name=names)
    def chmod(self, name: bytes) -> None:
        if name in self.files:
            self.fs.change(self.files[name].node, Changes(mode=0o600))

    @rule()
    def commit(self) -> None:
        _, _, new = self.history.commit(main_of(self.archive)[0], "a commit", "tester")
        if new:
            self.commits.append(dict(self.files))
        self.flush()

    @rule(name=names)
    def fsync(self, name: bytes) -> None:
        self.flush()
        file = self.files.get(name)
        if file is None or file.handle is None:
            return
        opened = self.fs.file(file.handle).file
        assert opened is not None
        under = {opened._through.blob} if opened._through is not None else set()
        is_lost = bool({str(blob) for blob in opened.map.blobs() | under} & self.disk.lost)
        try:
            self.fs.refuse_if_lost(file.node)
        except LostBytes:
            assert is_lost
            file.told = True
        else:
            assert not is_lost
            assert not file.told

    # What the daemon does

    @rule()
    def flush(self, shrinking: File | None = None, to: int = 0) -> None:
        self.begin_flush(shrinking, to)
        self.end_flush()

    @rule()
    def begin_flush(self, shrinking: File | None = None, to: int = 0) -> None:
        """What is done before the next rule that flushes is done while this flush runs."""
        self.end_flush()
        cut, tree, made_of = self.fs.cut(), main_of(self.archive)[1], {}
        for name, file in self.files.items():
            ref = tree.get_inode(split_node(file.node)[1]).content
            extents = self.history.drafts.map_of(ref) if isinstance(ref, int) else None
            made_of[name] = {str(blob) for blob in extents.blobs()} if extents is not None else set()
        self.flushing = cut, self.history.write(cut)
        self.disk.fails_at = 0
        nodes_before, self.nodes_durable, self.durable = self.nodes_durable, {}, {}
        for name, file in self.files.items():
            number = split_node(file.node)[1]
            data = file.data[:to] if file is shrinking else file.data
            is_lost = bool(made_of[name] & self.disk.lost)
            self.nodes_durable[number] = nodes_before.get(number, b"") if is_lost else data
            self.durable[name] = self.nodes_durable[number]

    def end_flush(self) -> None:
        if self.flushing is not None:
            settle(self.fs, *self.flushing)
            self.flushing = None

    @rule(at=st.integers(1, 3), name=names)
    def fsync_losing(self, at: int, name: bytes) -> None:
        self.disk.fails_at = at
        self.fsync(name)

    @rule(
        name=names,
        what=st.sampled_from(DATA),
        straight=st.booleans(),
        how=st.sampled_from(["grow", "anew", "empty", "cut"]),
        then_commit=st.booleans(),
    )
    def write_and_lose(self, name: bytes, what: bytes, straight: bool, how: str, then_commit: bool) -> None:
        self.open(name, straight, straight)
        self.write(name, what, None)
        if how == "anew":
            self.close(name)
        self.fsync(name)
        if how == "anew":
            self.open(name, straight, True)
        elif how != "grow":
            self.truncate(name, 0 if how == "empty" else len(what) // 3)
        self.write(name, what[: len(what) // 2], None)
        if how == "anew":
            self.close(name)
        self.fsync_losing(1, name)
        if then_commit:
            self.close(name)
            self.commit()

    @rule()
    def seal(self) -> None:
        seal(self.fs, self.flush)

    @rule()
    def look(self) -> None:
        for name, file in self.files.items():
            handle = self.fs.open(file.node, writing=False)
            opened = self.fs.file(handle).file
            assert opened is not None
            assert opened.size == len(file.data), name
            assert self.archive.contents.read(opened.map, 0, opened.size) == file.data
            self.fs.close(handle)
        for number, commit in enumerate(self.commits, 2):
            view = self.history.view_of(f"main@{number}")
            found = {path: inode for path, _, inode in view.walk()}
            assert found.keys() == commit.keys()
            for path, inode in found.items():
                ref = inode.content
                kept = self.history.drafts.map_of(ref) if isinstance(ref, int) else None
                extents = kept or self.history.buffers.pending_map(ref) if isinstance(ref, bytes) else kept
                data = self.archive.contents.read(extents or self.archive.contents.map_of(ref), 0, inode.size)
                assert len(data) == inode.size
                assert commit[path].was(data)

    @rule()
    def crash(self) -> None:
        self.end()
        self.disk.cut_power(self.root)
        assert_sound(self.root)
        self.mount()
        self.look()

    @rule()
    def die(self) -> None:
        """The daemon is killed: what the machine's memory has of the files is read on, whatever the disk has."""
        self.end()
        self.disk.lost.clear()
        assert_sound(self.root)
        before = dict(self.durable)
        self.mount()
        for name, file in self.files.items():
            self.adopt(name, file)
        if self.durable != before:
            self.seal()  # until then the disk may have what it had

    def end(self) -> None:
        self.flushing = None
        self.archive.close()
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                path = os.readlink(f"/proc/self/fd/{number}")
                if path.startswith(self.archive.blobs.staging_directory) and int(number) not in self.disk.held():
                    os.close(int(number))

    def now_is(self, file: File, data: bytes) -> None:
        file.data = data
        file.states.add(data)
        if not data:
            file.told = False

    def teardown(self) -> None:
        try:
            self.look()
            if len(self.commits) % 2:
                self.crash()
            else:
                for name in list(self.files):
                    self.unlink(name)
            for _ in range(4):
                self.seal()
            assert len(self.history.drafts) == 0
            assert self.history.lost_files() == {}
            self.crash()
        finally:
            self.end()
            self.undoing.close()
        assert_sound(self.root)
        self.directory.cleanup()


TestLosingFiles = LosingFiles.TestCase
TestLosingFiles.settings = settings(max_examples=max(settings().max_examples // 4, 10), stateful_step_count=40)
