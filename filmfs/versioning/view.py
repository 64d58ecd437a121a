"""The tree that one lineage shows, to be read: buffers first, then the rows that are durable.

One thread owns all views of an archive, but for those over a Snapshot.
"""

from collections.abc import Iterator

from filmfs.core.errors import Corrupt, NotADirectory, NotFound, Stale
from filmfs.core.ids import ROOT_FILE, BranchId, FileId, LayerId
from filmfs.core.paths import name_key, shown
from filmfs.store.database import Database, Snapshot
from filmfs.versioning.buffers import Buffers, LayerBuffer
from filmfs.versioning.lineage import NEWEST, Lineage
from filmfs.versioning.rows import (
    DIRENT,
    INODE,
    Entry,
    Inode,
    Kind,
    directory_prefix,
    entry_prefix,
    inode_prefix,
    layer_of,
    layer_suffix,
)

_REMEMBERED = 256  # inodes that a view keeps as they were read; more would be slower, as memory that is not at hand is

BranchOf = dict[LayerId, BranchId]


class View:
    """The tree as one lineage sees it."""

    def __init__(self, database: Database | Snapshot, buffers: Buffers, branch_of: BranchOf, lineage: Lineage) -> None:
        self._database = database
        self._buffers = buffers
        self._branch_of = branch_of
        self.lineage = lineage
        self._epoch = -1
        self._seen: list[LayerBuffer] = []
        self._is_seen: dict[bytes, bool] = {}  # of layers, by the end of their rows' keys
        self._newest_first = layer_suffix(min(lineage.segments[0][1], NEWEST))
        self._inodes: dict[FileId, Inode | None] = {}  # as they are stored in …
        self._generation = -1  # … this state of the database
        self._accesses: dict[FileId, int] = {}  # when inodes were read, if that is to be shown

    @property
    def entry_changes(self) -> int:
        """Counts every entry that was changed anywhere: what was listed before may be old."""
        return self._buffers.entry_changes

    def inode(self, file: FileId) -> Inode | None:
        """The inode, if it exists here."""
        for buffer in self._seen if self._epoch == self._buffers.epoch else self._visible():
            if file in buffer.inodes:
                inode = buffer.inodes[file]
                break
        else:
            inode = self._stored_inode(file)
        if inode is not None and file in self._accesses:
            inode = inode.changed(atime=self._accesses[file])
        return None if inode is None else self._buffers.resolved(inode)

    def get_inode(self, file: FileId) -> Inode:
        """The inode. Raises Stale when it does not exist here (any more)."""
        inode = self.inode(file)
        if inode is None:
            raise Stale(f"file {file} is gone")
        return inode

    def get_directory(self, file: FileId) -> Inode:
        """The inode of a directory. Raises NotADirectory or Stale."""
        inode = self.get_inode(file)
        if inode.kind is not Kind.DIRECTORY:
            raise NotADirectory("a directory is needed here")
        return inode

    def find(self, directory: FileId, name: bytes) -> Entry | None:
        """The entry called `name`, under any Unicode normalisation. Raises BadName's kinds."""
        return self.entry_at(directory, name_key(name))

    def get(self, directory: FileId, name: bytes) -> Entry:
        """The entry called `name`. Raises NotFound."""
        entry = self.find(directory, name)
        if entry is None:
            raise NotFound(f"there is no {shown(name)!r} here")
        return entry

    def entries(self, directory: FileId) -> list[Entry]:
        """All entries of a directory, sorted by name key."""
        changed: dict[bytes, Entry | None] = {}
        for buffer in reversed(self._visible()):
            changed.update(buffer.entries.get(directory, {}))
        found: dict[bytes, Entry | None] = dict(self.stored_entries(directory))
        if changed:
            found = dict(sorted({**found, **changed}.items()))
        return [entry for entry in found.values() if entry is not None]

    def is_empty(self, directory: FileId) -> bool:
        """Whether a directory has no entries."""
        changed: dict[bytes, Entry | None] = {}
        for buffer in reversed(self._visible()):
            changed.update(buffer.entries.get(directory, {}))
        if any(entry is not None for entry in changed.values()):
            return False
        return all(key in changed for key, _ in self.stored_entries(directory))

    def walk(self, directory: FileId = ROOT_FILE, path: bytes = b"") -> Iterator[tuple[bytes, Entry, Inode]]:
        """Every entry below `directory`, parents before children: (path, entry, inode)."""
        for entry in self.entries(directory):
            below = path + b"/" + entry.name if path else entry.name
            inode = self.inode(entry.file)
            if inode is None:
                raise Corrupt(f"{shown(below)} leads to file {entry.file}, which has no record")
            yield below, entry, inode
            if entry.kind is Kind.DIRECTORY:
                yield from self.walk(entry.file, below)

    def resolve(self, parts: list[bytes]) -> FileId:
        """The inode that a path leads to; symlinks are not followed. Raises NotFound or NotADirectory."""
        file = ROOT_FILE
        for index, part in enumerate(parts):
            if self.get_inode(file).kind is not Kind.DIRECTORY:
                raise NotADirectory(f"{shown(b'/'.join(parts[:index]))} is not a directory")
            entry = self.find(file, part)
            if entry is None:
                raise NotFound(f"there is no {shown(b'/'.join(parts[: index + 1]))}")
            file = entry.file
        return file

    def path_of(self, file: FileId) -> bytes | None:
        """One path of the inode from the root, or None when it is not in the tree."""
        names: list[bytes] = []
        seen: set[FileId] = set()
        while file != ROOT_FILE:
            inode = self.inode(file)
            if inode is None or not inode.links or file in seen:
                return None
            seen.add(file)
            file, name = inode.links[0]
            names.append(name)
        return b"/".join(reversed(names))

    def _visible(self) -> list[LayerBuffer]:
        if self._epoch != self._buffers.epoch:
            self._seen = self._buffers.visible(self.lineage)
            self._epoch = self._buffers.epoch
        return self._seen

    def entry_at(self, directory: FileId, key: bytes) -> Entry | None:
        """The entry under a name key."""
        for buffer in self._seen if self._epoch == self._buffers.epoch else self._visible():
            entries = buffer.entries.get(directory)
            if entries is not None and key in entries:
                return entries[key]
        value = self._newest(DIRENT, entry_prefix(directory, key))
        return None if value is None else Entry.of_value(key, value)

    def _stored_inode(self, file: FileId) -> Inode | None:
        if self._generation != self._database.generation or len(self._inodes) >= _REMEMBERED:
            self._inodes.clear()
            self._generation = self._database.generation
        elif file in self._inodes:
            return self._inodes[file]
        value = self._newest(INODE, inode_prefix(file))
        inode = self._inodes[file] = None if value is None else Inode.of_value(value)
        return inode

    def _sees(self, key: bytes) -> bool:
        """Whether the row under a key is of a layer that can be seen here. Of a layer that never changes."""
        suffix = key[-8:]
        seen = self._is_seen.get(suffix)
        if seen is None:
            layer = layer_of(key)
            branch = self._branch_of.get(layer)
            if branch is None:
                return False
            seen = self._is_seen[suffix] = self.lineage.sees(branch, layer)
        return seen

    def _newest(self, table: bytes, prefix: bytes) -> list[object] | None:
        """The newest visible row that begins with `prefix`."""
        transaction = self._database.current()
        start = prefix + self._newest_first
        # Nearly always the first row is the one; the others follow it.
        found = transaction.first(table, start)
        if found is None:
            return None
        key, raw = found
        value: list[object] | None
        if key[:-8] == prefix and (self._is_seen.get(key[-8:]) or self._sees(key)):
            value = transaction.value(table, key, raw)
            return value
        if not key.startswith(prefix):
            return None
        for key, raw in transaction.scan(table, prefix, start):
            if key[:-8] == prefix and self._sees(key):
                value = transaction.value(table, key, raw)
                return value
        return None

    def changed_entries(self, directory: FileId) -> list[dict[bytes, Entry | None]]:
        """Entries that are not durable yet, newest first, by name key; None is *gone*."""
        found = (buffer.entries.get(directory) for buffer in self._visible())
        return [entries for entries in found if entries]

    def stored_entries(self, directory: FileId, after: bytes = b"") -> Iterator[tuple[bytes, Entry]]:
        """Durable entries by name key, those after a key; a buffer may say otherwise.

        To be read to the end, or as far as it is needed, before anything else is done.
        """
        transaction = self._database.current()
        prefix = directory_prefix(directory)
        last = b""
        for key, raw in transaction.scan(DIRENT, prefix, prefix + after + b"\1" if after else prefix):
            row = key[:-8]
            if row == last or not self._sees(key):
                continue
            last = row
            value = transaction.value(DIRENT, key, raw)
            if value is not None:
                name = row[8:-1]
                yield name, Entry.of_value(name, value)
