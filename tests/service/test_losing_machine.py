"""The versioned file system on a disk that loses bytes, at random beside a model: everything else stays as promised."""

import os
from contextlib import ExitStack, suppress

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import precondition, rule

from filmfs.archive import Archive, Mode
from filmfs.core.errors import LostBytes
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import BlobId, BranchId, DraftId, FileId
from filmfs.store.contents import ContentRef
from filmfs.versioning.view import View
from tests.crash.scene import assert_sound
from tests.service.losing import LosingDisk
from tests.service.model import Node
from tests.service.test_machine import LARGE, VersionedFileSystem, number, pick
from tests.support import keep_draft, stage

Refs = dict[FileId, ContentRef]


class LosingVersionedFileSystem(VersionedFileSystem):
    """Files that a flush lost are, where they wait, as they were written; elsewhere as they were durable before."""

    def __init__(self) -> None:
        super().__init__()
        self.undoing = ExitStack()
        self.disk = self.undoing.enter_context(LosingDisk().attached())
        self.sources: dict[str, str | int] = {}  # of branches that are not durable yet: a branch, or a layer
        self.kept: dict[str, dict[FileId, bytes]] = {"main": {}}  # what was durable of each branch's files
        self.session: tuple[str, Node, BlobId, DraftId] | None = None

    @rule(at=st.integers(1, 3))
    def flush_losing(self, at: int) -> None:
        """One of the syncs fails, if there are so many."""
        self.disk.fails_at = at
        self.flush()

    @rule(of=number, which=number, what=number, at=st.integers(1, 2), twice=st.booleans())
    def write_and_lose(self, of: int, which: int, what: int, at: int, twice: bool) -> None:
        if twice:
            self.write_whole(of, which, what + 1)
            self.flush()
        self.write_whole(of, which, what)
        self.flush_losing(at)

    @rule(of=number, which=number, what=number, more=number, at=st.integers(1, 2))
    def grow_and_lose(self, of: int, which: int, what: int, more: int, at: int) -> None:
        self.end_session()
        self.begin(of, which, what)
        self.flush()
        self.write_on(more)
        self.flush_losing(at)

    # What has nothing to do with it comes less often

    make_symlink = make_directory = rmdir = exchange = None  # type: ignore[assignment]

    # A file that is written for longer, with flushes meanwhile

    @precondition(lambda self: self.session is None)
    @rule(of=number, which=number, what=number)
    def begin(self, of: int, which: int, what: int) -> None:
        self.make_empty_file(of, which, b"session")
        branch, tree, root = self.branch(of)
        node, data = pick(root.files(), which), pick(LARGE, what)
        blob = stage(self.archive.history, self.archive, data)
        self.archive.history.drafts.begin_writing(blob)
        draft = keep_draft(self.archive, tree, node.file, ExtentMap.of_blob(blob, len(data)))
        node.data = data
        self.session = branch.name, node, blob, draft

    @precondition(lambda self: self.session is not None)
    @rule(what=number)
    def write_on(self, what: int) -> None:
        assert self.session is not None
        name, node, blob, draft = self.session
        branch = self.archive.history.table.get(name)
        tree = self.archive.history.tree(branch)
        inode = tree.inode(node.file)
        if inode is None or inode.content != draft:
            return self.end()
        more, at = pick(LARGE, what), len(node.data)
        descriptor = self.archive.blobs.open_staged(blob)
        os.pwrite(descriptor, more, at)
        os.close(descriptor)
        node.data += more
        extents = ExtentMap.of_blob(blob, len(node.data))
        self.archive.history.drafts.keep(draft, extents, node.file, branch.open, None)
        tree.put_inode(node.file, inode.changed(size=extents.size, stored=extents.stored))
        return None

    @precondition(lambda self: self.session is not None)
    @rule()
    def end(self) -> None:
        assert self.session is not None
        _, _, blob, draft = self.session
        self.session = None
        self.archive.history.drafts.end_writing(blob)
        self.archive.history.drafts.closed(draft)

    def end_session(self) -> None:
        if self.session is not None:
            self.end()

    # What the other rules do, in sessions that are over: open files would see to that

    def branch(self, of: int) -> tuple:  # type: ignore[type-arg,override]
        return super().branch(of)

    def edit(self, *arguments: object, **options: object) -> None:  # type: ignore[override]
        self.end_session()
        super().edit(*arguments, **options)  # type: ignore[arg-type]

    @rule(of=number, which=number, what=number)
    def write_whole(self, of: int, which: int, what: int) -> None:
        self.end_session()
        super().write_whole(of, which, what)

    @rule(of=number)
    def commit(self, of: int) -> None:
        self.end_session()
        super().commit(of)

    @precondition(lambda self: len(self.model.branches) > 1)
    @rule(of=number)
    def delete_branch(self, of: int) -> None:
        self.end_session()
        super().delete_branch(of)

    def add_branch(self, source: str, root: Node) -> None:
        self.end_session()
        before = set(self.model.branches)
        super().add_branch(source, root)
        (made,) = set(self.model.branches) - before
        name, _, commit = source.partition("@")
        layer = self.archive.history.table.get(made).lineage.segments[1][1]
        self.sources[made] = layer if commit and layer in self.durable.commits else name

    # Durability

    @rule()
    def flush(self) -> None:
        history = self.archive.history
        before = {view: self.refs(view) for view in self.views()}
        maps = {ref: history.drafts.map_of(ref) for refs in before.values() for ref in refs.values() if is_draft(ref)}
        with suppress(LostBytes):
            history.flush()
        self.disk.fails_at = 0
        lost = {ref for ref, extents in maps.items() if extents and {str(b) for b in extents.blobs()} & self.disk.lost}
        durable_before, self.durable = self.durable, self.model.copied()
        for name, root in self.model.branches.items():
            view = history.view_of(name)
            now = self.refs(view)
            for file, ref in before[name].items():
                if is_draft(ref) and ref in lost:
                    was = self.was_durable(name, file)
                    set_data(self.durable.branches[name], file, was)
                    if now[file] != ref:
                        set_data(root, file, was)
        for layer, root in self.model.commits.items():
            for file, ref in before[layer].items():
                if is_draft(ref) and ref in lost and layer not in durable_before.commits:
                    was = self.was_durable(self.name_of(history.table.layers[layer].branch), file)
                    set_data(root, file, was)
                    set_data(self.durable.commits[layer], file, was)
        for name, root in self.durable.branches.items():
            self.kept[name] = {node.file: node.data for node in root.files()}
            self.sources.pop(name, None)

    def was_durable(self, name: str, file: FileId) -> bytes:
        source = self.sources.get(name)
        if source is None:
            return self.kept[name].get(file, b"")
        if isinstance(source, str):
            return self.was_durable(source, file)
        nodes = [node for node in self.durable.commits[source].files() if node.file == file]  # type: ignore[index]
        return nodes[0].data if nodes else b""

    @rule()
    def seal(self) -> None:
        self.end_session()
        self.flush()
        history = self.archive.history
        for sealable in history.drafts.sealable():
            history.drafts.sealed(history.seal(sealable))
        self.flush()
        history.name_commits()
        self.flush()

    @rule()
    def reopen(self) -> None:
        self.end_session()
        self.flush()
        self.archive.close()
        self.disk.lost.clear()
        assert_sound(self.root)
        self.open_again()

    @rule()
    def crash(self) -> None:
        self.archive.close()
        self.disk.cut_power(self.root)
        assert_sound(self.root)
        self.open_again()

    def open_again(self) -> None:
        self.session = None
        self.archive = Archive(self.root, Mode.WRITE, clock=self.archive.history.clock)
        self.model = self.durable.copied()

    def teardown(self) -> None:
        try:
            self.compare()
            self.reopen()
            self.compare()
            while len(self.archive.history.drafts):
                before = len(self.archive.history.drafts)
                self.seal()
                assert len(self.archive.history.drafts) < before
            self.compare()
            assert os.listdir(self.archive.blobs.staging_directory) == []
            self.crash()
            self.compare()
        finally:
            self.archive.close()
            self.undoing.close()
        self.directory.cleanup()

    # Helpers

    def views(self) -> list[str | int]:
        return [*self.model.branches, *self.model.commits]

    def refs(self, at: "str | int | View") -> Refs:
        history = self.archive.history
        if isinstance(at, View):
            view = at
        else:
            view = history.view_of(at) if isinstance(at, str) else history.view(history.table.layers[at])  # type: ignore[index]
        return {entry.file: inode.content for _, entry, inode in view.walk()}

    def name_of(self, branch: BranchId) -> str:
        return self.archive.history.table.branches[branch].name


def is_draft(ref: ContentRef) -> bool:
    return isinstance(ref, int)


def set_data(root: Node, file: FileId, data: bytes) -> None:
    for node in root.files():
        if node.file == file:
            node.data = data


TestLosingVersionedFileSystem = LosingVersionedFileSystem.TestCase
TestLosingVersionedFileSystem.settings = settings(
    max_examples=max(settings().max_examples // 4, 10), stateful_step_count=40
)
