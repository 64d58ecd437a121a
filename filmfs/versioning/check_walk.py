"""Reading inode and entry rows for a check: all rows of one key together, newest first, whatever is damaged."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from filmfs.core.errors import FilmFSError
from filmfs.core.ids import FileId, LayerId
from filmfs.core.paths import name_key, shown
from filmfs.store.findings import DAMAGED, Damaged, FaultKind, OfEntry, OfLayer, OfRow, Reading
from filmfs.versioning.check import Points, newest_row
from filmfs.versioning.rows import DIRENT, INODE, Entry, Inode, entry_prefix, inode_prefix, layer_of

_CACHED = 1 << 12

InodeRow = Inode | None | Damaged
EntryRow = Entry | None | Damaged
InodeRows = list[tuple[LayerId, InodeRow]]
EntryRows = list[tuple[LayerId, EntryRow]]


@dataclass(frozen=True, slots=True)
class Name:
    """All rows of one name in a directory, newest first."""

    key: bytes
    rows: EntryRows


class RowsWalk:
    """The two tables, side by side: each inode with the names in it. Rows of layers that nobody knows are left out."""

    def __init__(self, reading: Reading, points: Points) -> None:
        self._reading = reading
        self._points = points
        self._unknown: set[LayerId] = set()
        self._inodes_at: dict[tuple[FileId, LayerId], tuple[LayerId, InodeRow] | None] = {}

    def files(self) -> Iterator[tuple[FileId, InodeRows, Iterator[Name]]]:
        """Every inode, in order, with its names; a directory that has names and no inode comes with no rows."""
        directories = self._directories()
        following = next(directories, None)
        for file, rows in self._inodes():
            while following is not None and following[0] < file:
                yield following[0], [], following[1]
                following = next(directories, None)
            if following is not None and following[0] == file:
                yield file, rows, following[1]
                following = next(directories, None)
            else:
                yield file, rows, iter(())
        while following is not None:
            yield following[0], [], following[1]
            following = next(directories, None)

    def inode_at(self, file: FileId, at: LayerId) -> tuple[LayerId, InodeRow] | None:
        """The inode as the layer `at` sees it, with the layer that wrote it."""
        place = file, at
        if place not in self._inodes_at:
            if len(self._inodes_at) >= _CACHED:
                self._inodes_at.clear()
            row = newest_row(self._reading.transaction, self._points, INODE, inode_prefix(file), at)
            found = None if row is None else (layer_of(row[0]), read_inode(self._reading.read(INODE, *row)))
            self._inodes_at[place] = found
        return self._inodes_at[place]

    def entry_at(self, directory: FileId, key: bytes, at: LayerId) -> tuple[LayerId, EntryRow] | None:
        """The entry under a name key as the layer `at` sees it, with the layer that wrote it."""
        row = newest_row(self._reading.transaction, self._points, DIRENT, entry_prefix(directory, key), at)
        return None if row is None else (layer_of(row[0]), read_entry(key, self._reading.read(DIRENT, *row)))

    def inode_before(self, rows: InodeRows, index: int) -> InodeRow:
        """The row that rows[index] replaced; None when there was none, or it said *gone*."""
        at = rows[index][0]
        return next((inode for layer, inode in rows[index + 1 :] if self._points.sees(at, layer)), None)

    def entry_before(self, rows: EntryRows, index: int) -> EntryRow:
        """The same for an entry."""
        at = rows[index][0]
        return next((entry for layer, entry in rows[index + 1 :] if self._points.sees(at, layer)), None)

    def _inodes(self) -> Iterator[tuple[FileId, InodeRows]]:
        rows = self._reading.rows(INODE, lambda key: OfRow(file_of(key), layer_of(key)))
        for prefix, group in groupby(rows, key=lambda row: row[0][:8]):
            file = file_of(prefix)
            found: InodeRows = []
            for key, value in group:
                layer = layer_of(key)
                if self._is_known(layer):
                    inode = read_inode(value)
                    if isinstance(inode, Damaged) and value is not DAMAGED:
                        self._add(
                            FaultKind.INODE, f"the record of file {file} cannot be understood", OfRow(file, layer)
                        )
                    found.append((layer, inode))
            yield file, found

    def _directories(self) -> Iterator[tuple[FileId, Iterator[Name]]]:
        rows = self._reading.rows(DIRENT, lambda key: OfEntry(file_of(key), key[8:-9], layer_of(key)))
        for prefix, group in groupby(rows, key=lambda row: row[0][:8]):
            yield file_of(prefix), self._names(group)

    def _names(self, rows: Iterator[tuple[bytes, Any]]) -> Iterator[Name]:
        for prefix, group in groupby(rows, key=lambda row: row[0][8:-8]):
            name = prefix[:-1]
            found: EntryRows = []
            for key, value in group:
                layer = layer_of(key)
                if self._is_known(layer):
                    entry = read_entry(name, value)
                    if isinstance(entry, Damaged) and value is not DAMAGED:
                        what = f"the entry {shown(name)!r} cannot be understood"
                        self._add(FaultKind.NAME, what, OfEntry(file_of(key), name, layer))
                    found.append((layer, entry))
            yield Name(name, found)

    def _is_known(self, layer: LayerId) -> bool:
        if self._points.knows(layer):
            return True
        if layer not in self._unknown:
            self._unknown.add(layer)
            what = f"rows were written by layer {layer}, of which nothing can be read"
            self._add(FaultKind.LAYER, what, OfLayer(layer))
        return False

    def _add(self, kind: FaultKind, what: str, subject: OfRow | OfEntry | OfLayer) -> None:
        self._reading.findings.add(kind, what, subject)


def read_inode(value: Any) -> InodeRow:
    """The inode of a record: None is gone, DAMAGED cannot be read."""
    if value is None or isinstance(value, Damaged):
        return value
    try:
        return Inode.of_value(value)
    except (TypeError, ValueError, KeyError):
        return DAMAGED


def read_entry(key: bytes, value: Any) -> EntryRow:
    """The entry of a record: None is gone, DAMAGED cannot be read."""
    if value is None or isinstance(value, Damaged):
        return value
    try:
        return Entry.of_value(key, value)
    except (TypeError, ValueError, KeyError, IndexError):
        return DAMAGED


def file_of(key: bytes) -> FileId:
    """The file number that a row's key begins with."""
    return FileId(int.from_bytes(key[:8], "big"))


def key_of_name(name: bytes) -> bytes:
    """What a name should be kept under; itself when it cannot be a name."""
    try:
        return name_key(name)
    except FilmFSError:
        return name
