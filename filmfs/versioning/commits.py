"""CommitId: a chain of hashes over what each commit changed.

    CommitId = BLAKE3("filmfs commit 1\\n" · msgpack [parent ids, time, author, message, changes])

`changes` are sorted by path: [path] for a name that is gone, and for a name that is new or whose inode changed
[path, kind, mode, uid, gid, mtime, rdev, xattrs, size, content, symlink target, where a directory moved from]. The cost
is that of the change, not of the tree. It needs every content that it names to be sealed.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from blake3 import blake3

from filmfs.core.errors import Corrupt
from filmfs.core.ids import EMPTY_CONTENT, CommitId, FileId, LayerId
from filmfs.store.database import Snapshot, Transaction
from filmfs.store.records import canonical
from filmfs.versioning.buffers import Buffers
from filmfs.versioning.layers import LAYER, Layer, LayerTable
from filmfs.versioning.rows import CHANGES, Inode, Kind, layer_key, split_entry_key
from filmfs.versioning.view import View

_DOMAIN = b"filmfs commit 1\n"
_INODE_CHANGE = 8 + 1 + 8  # bytes of the key that tells of one: layer, kind, file


def unnamed(table: LayerTable) -> list[Layer]:
    """Commits that have no CommitId yet, oldest first."""
    return [table.layers[layer] for layer in sorted(table.unnamed)]


def compute_names(table: LayerTable, snapshot: Snapshot) -> dict[LayerId, CommitId]:
    """The ids of commits whose parents have one and whose contents are all sealed, as far as is durable.

    Changes nothing; may run in any thread.
    """
    names: dict[LayerId, CommitId] = {}

    def durable(commit: Layer) -> View:
        return View(snapshot, Buffers(), table.branch_of, table.lineage_at(commit))

    for layer in unnamed(table):
        parents = [names.get(parent) or table.layer(parent).commit for parent in layer.parents]
        known = [parent for parent in parents if parent is not None]
        if len(known) < len(parents) or not _is_frozen(snapshot, layer):
            continue
        before = durable(table.layer(layer.parents[0])) if parents else None
        changes = (key for key, _ in snapshot.current().scan(CHANGES, layer_key(layer.id)))
        commit = commit_id(layer, known, changes, durable(layer), before)
        if commit is not None:
            names[layer.id] = commit
    return names


def has_few_changes(transaction: Transaction, commits: list[Layer], most: int) -> bool:
    """Whether those commits hold no more than `most` changes."""
    for layer in commits:
        most -= sum(1 for _ in islice(transaction.scan(CHANGES, layer_key(layer.id)), most + 1))
        if most < 0:
            return False
    return True


def _is_frozen(snapshot: Snapshot, layer: Layer) -> bool:
    """Whether the commit is durable, and with it all of its changes; while it was open some may have been."""
    key = layer_key(layer.id)
    value = snapshot.current().get(LAYER, key)
    return value is not None and Layer.of_value(key, value).frozen


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
    entries, files = _by_kind(changes)
    paths = _Paths(after)
    found: dict[bytes, list[Any]] = {}
    for prefix in entries:
        directory, key = split_entry_key(prefix)
        above = paths.of_directory(directory)
        if above is None:
            continue
        entry = after.entry_at(directory, key)
        if entry is None:
            found[_joined(above, key)] = [_joined(above, key)]
        else:
            files.setdefault(entry.file)
    for file in files:
        inode = after.inode(file)
        if inode is None:
            continue
        if isinstance(inode.content, int):
            return None
        for path in paths.of_inode(inode):
            found[path] = _fields(path, inode, file, before)
    return [found[path] for path in sorted(found)]


def _by_kind(changes: Iterable[bytes]) -> tuple[list[bytes], dict[FileId, None]]:
    """The changed entries' prefixes and the changed inodes, both in the order of their keys. Raises Corrupt."""
    entries: list[bytes] = []
    files: dict[FileId, None] = {}
    for change in changes:
        if change[8:9] == b"i":
            if len(change) != _INODE_CHANGE:
                raise Corrupt("a record of what changed names no file")
            files[FileId(int.from_bytes(change[9:], "big"))] = None
        else:
            entries.append(change[9:])
    return entries, files


class _Paths:
    """Paths in one view, each directory's worked out once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._directories: dict[FileId, bytes | None] = {}

    def of_directory(self, directory: FileId) -> bytes | None:
        """The path of a directory, or None when it is not in the tree."""
        if directory not in self._directories:
            there = self._view.inode(directory) is not None
            self._directories[directory] = self._view.path_of(directory) if there else None
        return self._directories[directory]

    def of_inode(self, inode: Inode) -> Iterator[bytes]:
        """All paths of an inode; the root's is empty."""
        if not inode.links:
            yield b""
        for parent, name in inode.links:
            above = self.of_directory(parent)
            if above is not None:
                yield _joined(above, name)


def _fields(path: bytes, inode: Inode, file: FileId, before: View | None) -> list[Any]:
    moved_from = None
    if inode.kind is Kind.DIRECTORY and before is not None and before.inode(file) is not None:
        old = before.path_of(file)
        moved_from = old if old != path else None
    content = EMPTY_CONTENT if inode.kind is Kind.FILE and inode.content is None else inode.content
    facts = [int(inode.kind), inode.mode, inode.uid, inode.gid, inode.mtime, inode.device, inode.xattrs]
    return [path, *facts, inode.size, content, inode.target, moved_from]


def _joined(above: bytes, name: bytes) -> bytes:
    """The path of a name, from the root and without a slash in front, as `View.path_of` gives it."""
    return above + b"/" + name if above else name
