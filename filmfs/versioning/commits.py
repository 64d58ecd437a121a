"""CommitId: a chain of hashes over what each commit changed.

    CommitId = BLAKE3("filmfs commit 1\\n" · msgpack [parent ids, time, author, message, changes])

`changes` are sorted by path: [path] for a name that is gone, and for a name that is new or whose inode changed
[path, kind, mode, uid, gid, mtime, rdev, xattrs, size, content, symlink target, where a directory moved from]. The cost
is that of the change, not of the tree. It needs every content that it names to be sealed.
"""

from collections.abc import Iterable
from typing import Any

from blake3 import blake3

from filmfs.core.ids import EMPTY_CONTENT, CommitId, FileId
from filmfs.store.records import canonical
from filmfs.versioning.layers import Layer
from filmfs.versioning.rows import Inode, Kind, split_entry_key
from filmfs.versioning.tree import View

_DOMAIN = b"filmfs commit 1\n"


def commit_id(
    layer: Layer, parents: list[CommitId], changes: Iterable[bytes], after: View, before: View | None
) -> CommitId | None:
    """The id of the commit `layer`, whose `changes` keys are given; None while a content is not sealed."""
    described = _describe(changes, after, before)
    if described is None:
        return None
    head = [list(parents), layer.time, layer.author, layer.message]
    return CommitId(blake3(_DOMAIN + canonical([*head, described])).digest())


def _describe(changes: Iterable[bytes], after: View, before: View | None) -> list[list[Any]] | None:
    found: dict[bytes, list[Any]] = {}
    for change in changes:
        kind, prefix = change[8:9], change[9:]
        if kind == b"i":
            paths = _paths_of(FileId(int.from_bytes(prefix, "big")), after)
        else:
            paths = _path_of_entry(prefix, after)
        for path, inode, file in paths:
            if inode is None:
                found.setdefault(path, [path])
            elif isinstance(inode.content, int):
                return None
            else:
                found[path] = _fields(path, inode, file, before)
    return [found[path] for path in sorted(found)]


_Path = tuple[bytes, Inode | None, FileId]


def _paths_of(file: FileId, view: View) -> list[_Path]:
    inode = view.inode(file)
    if inode is None:
        return []
    if not inode.links:
        return [(b"", inode, file)]
    paths: list[_Path] = []
    for parent, name in inode.links:
        above = view.path_of(parent)
        if above is not None:
            paths.append((above + b"/" + name, inode, file))
    return paths


def _path_of_entry(prefix: bytes, view: View) -> list[_Path]:
    directory, key = split_entry_key(prefix)
    above = view.path_of(directory) if view.inode(directory) is not None else None
    if above is None:
        return []
    entry = view.find(directory, key) if len(key) <= 255 else None
    if entry is None:
        return [(above + b"/" + key, None, directory)]
    return [(above + b"/" + entry.name, view.get_inode(entry.file), entry.file)]


def _fields(path: bytes, inode: Inode, file: FileId, before: View | None) -> list[Any]:
    moved_from = None
    if inode.kind is Kind.DIRECTORY and before is not None and before.inode(file) is not None:
        old = before.path_of(file)
        moved_from = old if old is not None and b"/" + old != path else None
    content = EMPTY_CONTENT if inode.kind is Kind.FILE and inode.content is None else inode.content
    facts = [int(inode.kind), inode.mode, inode.uid, inode.gid, inode.mtime, inode.rdev, inode.xattrs]
    return [path, *facts, inode.size, content, inode.target, moved_from]
