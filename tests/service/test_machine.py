"""The versioned file system driven at random beside a model, and proven sound by `check` at the end."""

import copy
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from typing import TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.core.errors import FilmFSError
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import ROOT_FILE, ContentId
from filmfs.store.ingest import Ingest
from filmfs.versioning.layers import Branch
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from tests.service import model
from tests.service.model import Model, Node, Shown
from tests.support import NOW, Ticks, an_inode, edit_whole, keep_draft, reopened, stage, store_literal

NAMES = [b"a", b"b", b"c", "é".encode(), b"x" * 255]
SMALL = [b"", b"small", bytes(4096)]
LARGE = [random.Random(size).randbytes(size) for size in (4097, 300_000, (1 << 20) + 1)]

T = TypeVar("T")

number = st.integers(0, 11)
names = st.sampled_from(NAMES)


class VersionedFileSystem(RuleBasedStateMachine):
    """Rules pick branches, directories and files by number, so that every rule always has something to do."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory(prefix="filmfs-test-")
        self.root = os.path.join(self.directory.name, "archive")
        Archive.create(self.root, author="tester", clock=Ticks())
        self.archive = Archive(self.root, Mode.WRITE, clock=Ticks())
        self.model = Model({"main": Node(Kind.DIRECTORY, ROOT_FILE)})
        self.durable = self.model.copied()
        self.stored: list[tuple[bytes, ContentId]] = []

    @initialize()
    def store_contents(self) -> None:
        for data in SMALL[1:]:
            self.stored.append((data, store_literal(self.archive, data)))
        ingest = Ingest(self.archive.database, self.archive.blobs)
        for index, data in enumerate(LARGE):
            source = os.path.join(self.directory.name, f"source{index}")
            with open(source, "wb") as file:
                file.write(data)
            self.stored.append((data, ingest.take(os.fsencode(source)).content))
        ingest.flush()

    # Names

    @rule(of=number, at=number, name=names, what=number)
    def make_file(self, of: int, at: int, name: bytes, what: int) -> None:
        data, content = self.stored[what % len(self.stored)]
        self.make(of, at, name, data, an_inode(size=len(data), stored=len(data), content=content))

    @rule(of=number, at=number, name=names)
    def make_empty_file(self, of: int, at: int, name: bytes) -> None:
        self.make(of, at, name, b"", an_inode())

    @rule(of=number, at=number, name=names)
    def make_directory(self, of: int, at: int, name: bytes) -> None:
        self.make(of, at, name, b"", an_inode(Kind.DIRECTORY))

    @rule(of=number, at=number, name=names)
    def make_symlink(self, of: int, at: int, name: bytes) -> None:
        self.make(of, at, name, b"../target", an_inode(Kind.SYMLINK, target=b"../target", size=9))

    def make(self, of: int, at: int, name: bytes, data: bytes, inode: Inode) -> None:
        _, tree, root = self.branch(of)
        parent = pick(root.directories(), at)
        new = Node(inode.kind, ROOT_FILE, data)

        def really() -> None:
            new.file = tree.make(parent.file, name, inode)[0]

        self.both(really, lambda: model.add(parent, name, new))

    @rule(of=number, at=number, name=names, which=number)
    def link(self, of: int, at: int, name: bytes, which: int) -> None:
        _, tree, root = self.branch(of)
        parent, nodes = pick(root.directories(), at), [node for _, node in root.walk()]
        if nodes:
            node = pick(nodes, which)
            self.both(lambda: tree.link(node.file, parent.file, name, NOW), lambda: model.link(parent, name, node))

    @rule(of=number, at=number, name=names)
    def unlink(self, of: int, at: int, name: bytes) -> None:
        _, tree, root = self.branch(of)
        parent = pick(root.directories(), at)
        self.both(lambda: tree.unlink(parent.file, name, NOW), lambda: model.unlink(parent, name))

    @rule(of=number, at=number, name=names)
    def rmdir(self, of: int, at: int, name: bytes) -> None:
        _, tree, root = self.branch(of)
        parent = pick(root.directories(), at)
        self.both(lambda: tree.rmdir(parent.file, name, NOW), lambda: model.rmdir(parent, name))

    @rule(of=number, at=number, name=names, to=number, new_name=names, replace=st.booleans())
    def rename(self, of: int, at: int, name: bytes, to: int, new_name: bytes, replace: bool) -> None:
        _, tree, root = self.branch(of)
        parent, target = pick(root.directories(), at), pick(root.directories(), to)
        self.both(
            lambda: tree.rename(parent.file, name, target.file, new_name, NOW, replace=replace),
            lambda: model.rename(parent, name, target, new_name, replace),
        )

    @rule(of=number, at=number, name=names, to=number, new_name=names)
    def exchange(self, of: int, at: int, name: bytes, to: int, new_name: bytes) -> None:
        _, tree, root = self.branch(of)
        parent, target = pick(root.directories(), at), pick(root.directories(), to)
        self.both(
            lambda: tree.exchange(parent.file, name, target.file, new_name, NOW),
            lambda: model.exchange(parent, name, target, new_name),
        )

    # Bytes

    @rule(of=number, which=number, what=number)
    def write_whole(self, of: int, which: int, what: int) -> None:
        _, tree, root = self.branch(of)
        if files := root.files():
            node, data = pick(files, which), pick(LARGE, what)[what:]
            edit_whole(self.archive, tree, node.file, data)
            node.data = data

    @rule(of=number, which=number, where=st.sampled_from([0, 1, 4096, 1 << 20]), data=st.binary(min_size=1))
    def write_inside(self, of: int, which: int, where: int, data: bytes) -> None:
        _, tree, root = self.branch(of)
        if files := root.files():
            node = pick(files, which)
            blob = stage(self.archive.history, self.archive, data)
            self.edit(tree, node, lambda before: before.written(Extent(where, len(data), blob)), blob)
            padded = node.data.ljust(where, b"\0")
            node.data = padded[:where] + data + padded[where + len(data) :]

    @rule(of=number, which=number, size=st.sampled_from([0, 1, 4096, 5000, 200_000, 1 << 20, 3 << 20]))
    def truncate(self, of: int, which: int, size: int) -> None:
        _, tree, root = self.branch(of)
        if files := root.files():
            node = pick(files, which)
            self.edit(tree, node, lambda before: before.truncated(size))
            node.data = node.data[:size].ljust(size, b"\0")

    def edit(
        self, tree: Tree, node: Node, change: Callable[[ExtentMap], ExtentMap], blob: object | None = None
    ) -> None:
        drafts = self.archive.history.drafts
        ref = tree.get_inode(node.file).content
        before = drafts.map_of(ref) if isinstance(ref, int) else None
        before = before if before is not None else self.archive.contents.map_of(ref)
        if blob is not None:
            drafts.begin_writing(blob)  # type: ignore[arg-type]
        base = ref if isinstance(ref, bytes) else None
        drafts.closed(keep_draft(self.archive, tree, node.file, change(before), base))
        if blob is not None:
            drafts.end_writing(blob)  # type: ignore[arg-type]

    # History

    @rule(of=number)
    def commit(self, of: int) -> None:
        branch, _, root = self.branch(of)
        commit, _, new = self.archive.history.commit(branch, "a commit", "tester")
        if new:
            self.model.commits[commit.id] = copy.deepcopy(root)

    @rule(of=number)
    def make_branch(self, of: int) -> None:
        branch, _, root = self.branch(of)
        self.add_branch(branch.name, root)

    @precondition(lambda self: self.model.commits)
    @rule(of=number)
    def make_branch_from_commit(self, of: int) -> None:
        layer = pick(sorted(self.model.commits), of)
        table = self.archive.history.table
        owner = table.branches[table.layers[layer].branch]
        if not owner.deleted:
            self.add_branch(f"{owner.name}@{table.layers[layer].number}", self.model.commits[layer])

    def add_branch(self, source: str, root: Node) -> None:
        name = f"branch{len(self.archive.history.table.branches)}"
        self.archive.history.create_branch(name, "tester", source=source)
        self.model.branches[name] = copy.deepcopy(root)

    @precondition(lambda self: len(self.model.branches) > 1)
    @rule(of=number)
    def delete_branch(self, of: int) -> None:
        branch, _, _ = self.branch(of)
        self.archive.history.delete_branch(branch)
        del self.model.branches[branch.name]

    # Durability

    @rule()
    def flush(self) -> None:
        self.archive.history.flush()
        self.durable = self.model.copied()

    @rule()
    def seal(self) -> None:
        self.archive.history.seal_all()
        self.durable = self.model.copied()

    @rule()
    def reopen(self) -> None:
        self.flush()
        self.archive = reopened(self.archive)

    @rule()
    def crash(self) -> None:
        self.archive = reopened(self.archive)
        self.model = self.durable.copied()

    @rule()
    def compare(self) -> None:
        history = self.archive.history
        assert {branch.name for branch in history.table.alive()} == set(self.model.branches)
        for name, root in self.model.branches.items():
            assert self.shown(history.view_of(name)) == model.shown(root)
        for layer, root in self.model.commits.items():
            assert self.shown(history.view(history.table.layer(layer))) == model.shown(root)

    def teardown(self) -> None:
        try:
            self.compare()
            self.reopen()
            self.compare()
            self.seal()
            self.compare()
            assert len(self.archive.history.drafts) == 0
        finally:
            self.archive.close()
        report = check_archive(self.root, data=True)
        assert report.faults == ()
        self.directory.cleanup()

    # Helpers

    def branch(self, of: int) -> tuple[Branch, Tree, Node]:
        name = pick(sorted(self.model.branches), of)
        branch = self.archive.history.table.get(name)
        return branch, self.archive.history.tree(branch), self.model.branches[name]

    def both(self, really: Callable[[], object], as_modelled: Callable[[], None]) -> None:
        """Does both, or asserts that both refuse."""
        try:
            really()
        except FilmFSError as error:
            refused: FilmFSError | None = error
        else:
            refused = None
        try:
            as_modelled()
        except model.Refused:
            assert refused is not None
        else:
            assert refused is None, refused

    def shown(self, view: View) -> Shown:
        drafts, contents = self.archive.history.drafts, self.archive.contents
        found: Shown = {}
        for path, entry, inode in view.walk():
            data = inode.target
            if inode.kind is Kind.FILE:
                kept = drafts.map_of(inode.content) if isinstance(inode.content, int) else None
                data = contents.read(kept if kept is not None else contents.map_of(inode.content), 0, inode.size)
            found[path] = (entry.file, inode.kind, inode.nlink, data)
        return found


def pick(choices: Sequence[T], of: int) -> T:
    return choices[of % len(choices)]


TestVersionedFileSystem = VersionedFileSystem.TestCase
TestVersionedFileSystem.settings = settings(max_examples=max(settings().max_examples // 4, 10), stateful_step_count=40)
