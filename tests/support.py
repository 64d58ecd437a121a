"""Small things that tests arrange with: a clock, archives to throw away, files in trees, trees as plain dicts."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filmfs.archive import Archive, Mode
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import ROOT_FILE, BlobId, ContentId, DraftId, FileId
from filmfs.store.contents import ContentRef, put_literal
from filmfs.versioning.history import History
from filmfs.versioning.layers import Branch
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View

SECOND = 1_000_000_000
START = 1_795_000_000 * SECOND
NOW = START + 5 * SECOND


class Ticks:
    """A clock that moves a second on every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        self.now += SECOND
        return self.now


class Seen(NamedTuple):
    """What a tree shows under one path."""

    kind: Kind
    nlink: int
    content: ContentRef
    target: bytes


@contextmanager
def throwaway_root() -> Iterator[str]:
    """A new archive in a directory of its own, for tests that make many."""
    with tempfile.TemporaryDirectory(prefix="filmfs-test-") as directory:
        root = os.path.join(directory, "archive")
        Archive.create(root, author="tester", clock=Ticks())
        yield root


@contextmanager
def throwaway_archive() -> Iterator[Archive]:
    """The same, open for changes."""
    with throwaway_root() as root, Archive(root, Mode.WRITE, clock=Ticks()) as archive:
        yield archive


def an_inode(kind: Kind = Kind.FILE, **fields: Any) -> Inode:
    """An inode with ordinary values in all other fields."""
    return Inode(kind, 0o755, 0, 0, 1, 0, NOW, NOW, NOW, NOW).changed(**fields)


def main_of(archive: Archive) -> tuple[Branch, Tree]:
    """The branch `main` as it is now, and its tree."""
    branch = archive.history.table.get("main")
    return branch, archive.history.tree(branch)


def tree_of(archive: Archive, name: str) -> Tree:
    """The writable tree of a branch."""
    return archive.history.tree(archive.history.table.get(name))


def store_literal(archive: Archive, data: bytes) -> ContentId:
    """Stores a few bytes as a content."""
    with archive.database.write() as transaction:
        return put_literal(transaction, data)


def make_file(archive: Archive, tree: Tree, path: bytes, data: bytes = b"") -> FileId:
    """A file with those few bytes; directories on the way are made."""
    content = store_literal(archive, data) if data else None
    inode = an_inode(size=len(data), stored=len(data), content=content)
    return tree.make(make_directories(tree, path.split(b"/")[:-1]), path.split(b"/")[-1], inode)[0]


def make_directories(tree: Tree, parts: list[bytes]) -> FileId:
    """The directory at `parts`, made where it is missing."""
    file = ROOT_FILE
    for part in parts:
        entry = tree.find(file, part)
        file = entry.file if entry is not None else tree.make(file, part, an_inode(Kind.DIRECTORY))[0]
    return file


def paths_in(view: View) -> set[bytes]:
    """All paths that a view shows."""
    return {path for path, _, _ in view.walk()}


def shown_by(view: View) -> dict[bytes, Seen]:
    """All that a view shows, by path."""
    return {path: Seen(inode.kind, inode.nlink, inode.content, inode.target) for path, _, inode in view.walk()}


def read_path(archive: Archive, view: View, path: bytes) -> bytes:
    """The bytes of the file at `path`."""
    inode = view.get_inode(view.resolve(path.split(b"/")))
    data = archive.contents.read(archive.contents.map_of(inode.content), 0, inode.size)
    assert len(data) == inode.size
    return data


def stage(history: History, archive: Archive, data: bytes, offset: int = 0) -> BlobId:
    """A staging file that holds `data` from `offset` on."""
    blob = history.new_blob()
    descriptor = archive.blobs.create(blob)
    os.pwrite(descriptor, data, offset)
    os.close(descriptor)
    return blob


def edit_whole(archive: Archive, tree: Tree, file: FileId, data: bytes) -> DraftId:
    """Gives a file other bytes, as a writer who truncates it and closes it does: a draft over one staging file."""
    history = archive.history
    blob = stage(history, archive, data)
    history.drafts.begin_writing(blob)
    extents = ExtentMap(len(data), (Extent(0, len(data), blob),))
    draft = keep_draft(archive, tree, file, extents)
    history.drafts.end_writing(blob)
    history.drafts.closed(draft)
    return draft


def keep_draft(
    archive: Archive, tree: Tree, file: FileId, extents: ExtentMap, base: ContentId | None = None
) -> DraftId:
    """Has the row of `file` say a new draft of those extents."""
    history = archive.history
    draft = history.new_draft()
    layer = history.table.branches[tree.branch].open
    history.drafts.keep(draft, extents, file, layer, base)
    before = tree.get_inode(file)
    tree.put_inode(file, before.changed(content=draft, size=extents.size, stored=extents.stored))
    if isinstance(before.content, int):
        history.drafts.drop(before.content, layer)
    return draft


def reopened(archive: Archive) -> Archive:
    """The archive as another process would find it: what was not flushed is gone."""
    archive.close()
    return Archive(archive.root, Mode.WRITE, clock=archive.history.clock)


def tree_of_files(top: Path) -> Path:
    """A small camera card on the local disk."""
    for name, size in (("A001C001.mov", 300_000), ("A001C002.mov", 5000), ("notes.txt", 20)):
        top.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(os.urandom(size))
    return top
