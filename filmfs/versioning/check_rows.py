"""Proves the tree of every layer, in time proportional to the rows: what a layer changed must fit what it saw.

The first layer begins with nothing. If each layer's own rows agree with one another and with the rows that they
replaced, every point of history is sound: names lead to inodes that know of them, inodes have the names that they know
of, a directory counts its sub-directories, and all of it hangs on the root. Inodes and entries are read once, side by
side: the entries of a directory have its number in front.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from filmfs.core.errors import FilmFSError
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import EMPTY_CONTENT, ROOT_FILE, FileId, LayerId
from filmfs.core.paths import name_key, shown
from filmfs.store.check import Referenced
from filmfs.store.contents import CONTENT, DRAFT, ContentRef, draft_key, unpack_extents
from filmfs.store.findings import DAMAGED, Damaged, FaultKind, OfEntry, OfLayer, OfRow, Reading
from filmfs.versioning.check import Points
from filmfs.versioning.rows import DIRENT, INODE, Entry, Inode, Kind, entry_prefix, inode_prefix, layer_of, layer_suffix
from filmfs.versioning.xattrs import XATTRS

_CACHED = 1 << 15
_MANY_LINKS = 16

InodeRow = Inode | None | Damaged
EntryRow = Entry | None | Damaged
Rows = list[tuple[LayerId, InodeRow]]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a reference to bytes leads to."""

    size: int
    stored: int
    owners: tuple[int, ...] | None  # a draft's


class RowsCheck:
    """The walk over all inode and entry rows of one view of the database."""

    def __init__(self, reading: Reading, points: Points) -> None:
        self.referenced = Referenced()
        self.files = 0
        self.highest = 0
        self._reading = reading
        self._add = reading.findings.add
        self._points = points
        self._unknown: set[LayerId] = set()
        self._kept: dict[bytes | int, _Kept | Damaged | None] = {}
        self._xattrs: set[bytes] = set()
        self._children: dict[tuple[FileId, LayerId], tuple[LayerId, InodeRow] | None] = {}
        self._many_links: tuple[Inode | None, frozenset[tuple[FileId, bytes]]] = None, frozenset()
        self._odd_stored = 0

    def run(self) -> None:
        """All of it."""
        directories = self._directories()
        following = next(directories, None)
        for file, rows in self._inodes():
            while following is not None and following[0] < file:
                self._homeless(*following)
                following = next(directories, None)
            entries: Iterator[_Name] = iter(())
            if following is not None and following[0] == file:
                entries = following[1]
            self._check_file(file, rows, entries)
            if following is not None and following[0] == file:
                following = next(directories, None)
        while following is not None:
            self._homeless(*following)
            following = next(directories, None)
        what = "{} files say another number of stored bytes than their content takes here (it came twice)"
        self._reading.findings.note(self._odd_stored, what)

    # Reading the two tables

    def _inodes(self) -> Iterator[tuple[FileId, Rows]]:
        rows = self._reading.rows(INODE, lambda key: OfRow(_file_of(key), layer_of(key)))
        for prefix, group in groupby(rows, key=lambda row: row[0][:8]):
            self.files += 1
            file = _file_of(prefix)
            self.highest = max(self.highest, file)
            found: Rows = []
            for key, value in group:
                layer = layer_of(key)
                if self._is_known(layer):
                    found.append((layer, self._inode(file, layer, value)))
            yield file, found

    def _directories(self) -> Iterator[tuple[FileId, "Iterator[_Name]"]]:
        rows = self._reading.rows(DIRENT, lambda key: OfEntry(_file_of(key), key[8:-9], layer_of(key)))
        for prefix, group in groupby(rows, key=lambda row: row[0][:8]):
            yield _file_of(prefix), self._names(group)

    def _names(self, rows: Iterator[tuple[bytes, Any]]) -> "Iterator[_Name]":
        for prefix, group in groupby(rows, key=lambda row: row[0][8:-8]):
            found: list[tuple[LayerId, EntryRow]] = []
            for key, value in group:
                layer = layer_of(key)
                if self._is_known(layer):
                    entry = read_entry(prefix[:-1], value)
                    if isinstance(entry, Damaged) and value is not DAMAGED:
                        what = f"the entry {shown(prefix[:-1])!r} cannot be understood"
                        self._add(FaultKind.NAME, what, OfEntry(_file_of(key), prefix[:-1], layer))
                    found.append((layer, entry))
            yield _Name(prefix[:-1], found)

    def _inode(self, file: FileId, layer: LayerId, value: Any) -> InodeRow:
        inode = read_inode(value)
        if isinstance(inode, Damaged) and value is not DAMAGED:
            self._add(FaultKind.INODE, f"the record of file {file} cannot be understood", OfRow(file, layer))
        return inode

    def _is_known(self, layer: LayerId) -> bool:
        if self._points.knows(layer):
            return True
        if layer not in self._unknown:
            self._unknown.add(layer)
            what = f"rows were written by layer {layer}, of which nothing can be read"
            self._add(FaultKind.LAYER, what, OfLayer(layer))
        return False

    def _newest(self, table: bytes, prefix: bytes, at: LayerId) -> tuple[LayerId, Any] | None:
        """The row that the layer `at` sees, with the layer that wrote it."""
        length = len(prefix) + 8
        for key, _ in self._reading.transaction.scan(table, prefix, prefix + layer_suffix(at)):
            if len(key) == length and self._points.sees(at, layer_of(key)):
                return layer_of(key), self._reading.get(table, key)
        return None

    def _inode_at(self, file: FileId, at: LayerId) -> tuple[LayerId, InodeRow] | None:
        """The inode as the layer `at` sees it."""
        place = file, at
        if place not in self._children:
            if len(self._children) >= _CACHED:
                self._children.clear()
            row = self._newest(INODE, inode_prefix(file), at)
            self._children[place] = None if row is None else (row[0], read_inode(row[1]))
        return self._children[place]

    def _entry_at(self, directory: FileId, key: bytes, at: LayerId) -> tuple[LayerId, EntryRow] | None:
        row = self._newest(DIRENT, entry_prefix(directory, key), at)
        return None if row is None else (row[0], read_entry(key, row[1]))

    def _before(self, rows: list[tuple[LayerId, Any]], index: int) -> Any:
        """The row that rows[index] replaced: rows are newest first."""
        at = rows[index][0]
        return next((value for layer, value in rows[index + 1 :] if self._points.sees(at, layer)), None)

    # One inode, and its entries where it is a directory

    def _check_file(self, file: FileId, rows: Rows, names: "Iterator[_Name]") -> None:
        for index, (layer, inode) in enumerate(rows):
            if isinstance(inode, Damaged):
                continue
            before = self._before(rows, index)
            was = before if isinstance(before, Inode) else None
            if inode is None:
                self._check_gone(file, layer, was)
                continue
            if was is not None and was.kind is not inode.kind:
                self._add(FaultKind.INODE, f"file {file} was a {was.kind.name} and is not any more", OfRow(file, layer))
            self._check_facts(file, layer, inode)
            self._check_links(file, layer, inode, was)
            if inode.kind is Kind.DIRECTORY and (was is None or was.links != inode.links):
                self._check_reaches_root(file, layer)
        children: dict[LayerId, int | None] = {}
        for name in names:
            self._check_name(file, rows, name, children)
        self._check_children(file, rows, children)

    def _check_gone(self, file: FileId, layer: LayerId, was: Inode | None) -> None:
        if file == ROOT_FILE:
            self._add(FaultKind.INODE, "the root directory is gone", OfRow(file, layer))
        if was is None:
            return
        for parent, name in was.links:
            self._check_lost(file, layer, parent, name)
        if was.kind is Kind.DIRECTORY:
            left = self._visible_name(file, layer)
            if left is not None:
                what = f"the directory {file} is gone and {shown(left)!r} is still in it"
                self._add(FaultKind.LOOP, what, OfEntry(file, left, layer))

    def _visible_name(self, directory: FileId, at: LayerId) -> bytes | None:
        last = b""
        for key, _ in self._reading.transaction.scan(DIRENT, inode_prefix(directory)):
            if key[:-8] == last or not self._points.sees(at, layer_of(key)):
                continue
            last = key[:-8]
            if self._reading.get(DIRENT, key) is not None:
                return key[8:-9]
        return None

    def _check_lost(self, file: FileId, layer: LayerId, parent: FileId, name: bytes) -> None:
        """A name that the inode lost in `layer` must not lead to it any more."""
        row = self._entry_at(parent, _key(name), layer)
        if row is not None and isinstance(row[1], Entry) and row[1].file == file:
            what = f"{shown(name)!r} leads to file {file}, which does not have that name"
            self._add(FaultKind.NAME, what, OfEntry(parent, _key(name), row[0]))

    def _check_links(self, file: FileId, layer: LayerId, inode: Inode, was: Inode | None) -> None:
        if inode.kind is not Kind.DIRECTORY and inode.nlink != len(inode.links):
            what = f"file {file} says that it has {inode.nlink} names and has {len(inode.links)}"
            self._add(FaultKind.NLINK, what, OfRow(file, layer))
        if not _has_right_number_of_names(file, inode):
            self._add(FaultKind.INODE, f"file {file} has {len(inode.links)} names", OfRow(file, layer))
        if len(set(inode.links)) != len(inode.links):
            self._add(FaultKind.INODE, f"file {file} has a name twice", OfRow(file, layer))
        # What was proved where it was made is not looked up at every change of a list of thousands.
        proved = set(was.links) if was is not None and len(was.links) > _MANY_LINKS else set()
        for parent, name in inode.links:
            if (parent, name) in proved:
                continue
            row = self._entry_at(parent, _key(name), layer)
            found = None if row is None else row[1]
            if found is None or (isinstance(found, Entry) and (found.file != file or found.name != name)):
                what = f"file {file} says that it is called {shown(name)!r}, and no such name leads to it"
                self._add(FaultKind.NAME, what, OfRow(file, layer))
        if was is not None and was.links != inode.links:
            kept = {(parent, _key(name)) for parent, name in inode.links}
            for parent, name in was.links:
                if (parent, _key(name)) not in kept:
                    self._check_lost(file, layer, parent, name)

    def _check_facts(self, file: FileId, layer: LayerId, inode: Inode) -> None:
        if inode.xattrs:
            if inode.xattrs not in self._xattrs and not self._reading.transaction.has(XATTRS, inode.xattrs):
                what = f"the extended attributes of file {file} have no record"
                self._add(FaultKind.XATTRS, what, OfRow(file, layer))
            self._xattrs.add(inode.xattrs)
        if inode.kind is Kind.FILE:
            self._check_bytes(file, layer, inode)
        elif inode.content is not None or inode.stored:
            self._add(FaultKind.CONTENT, f"file {file} is a {inode.kind.name} and has content", OfRow(file, layer))
        elif inode.kind is Kind.SYMLINK and (inode.size != len(inode.target) or not inode.target):
            self._add(FaultKind.SIZE, f"the symlink {file} has a target of another length", OfRow(file, layer))

    def _check_bytes(self, file: FileId, layer: LayerId, inode: Inode) -> None:
        kept = self._keeping(inode.content)
        if isinstance(kept, Damaged):
            return
        if kept is None:
            what = f"the bytes of file {file} are missing: {_bytes_name(inode.content)} has no record"
            self._add(FaultKind.CONTENT, what, OfRow(file, layer))
            return
        if kept.size != inode.size:
            what = f"file {file} is {inode.size} bytes long and {_bytes_name(inode.content)} has {kept.size}"
            self._add(FaultKind.SIZE, what, OfRow(file, layer))
        if kept.owners is not None and file not in kept.owners:
            what = f"file {file} has {_bytes_name(inode.content)}, which does not know of it"
            self._add(FaultKind.DRAFT, what, OfRow(file, layer))
        if not 0 <= inode.stored <= inode.size or (kept.owners is not None and kept.stored != inode.stored):
            what = f"file {file} says that {inode.stored} bytes are stored; there are {kept.stored}"
            self._add(FaultKind.SIZE, what, OfRow(file, layer))
        elif kept.stored != inode.stored:
            self._odd_stored += 1

    def _keeping(self, ref: ContentRef) -> _Kept | Damaged | None:
        """What a reference leads to; None when to nothing."""
        if ref is None or ref == EMPTY_CONTENT:
            return _Kept(0, 0, None)
        if isinstance(ref, bytes):
            self.referenced.contents.add(ref[:8])
        else:
            self.referenced.drafts.add(ref)
        if ref not in self._kept:
            if len(self._kept) >= _CACHED:
                self._kept.clear()
            self._kept[ref] = self._look_up(ref)
        return self._kept[ref]

    def _look_up(self, ref: ContentRef) -> _Kept | Damaged | None:
        if isinstance(ref, bytes):
            value = self._reading.get(CONTENT, ref)
        else:
            assert ref is not None
            value = self._reading.get(DRAFT, draft_key(ref))
        if value is None or isinstance(value, Damaged):
            return value
        try:
            extents: ExtentMap = unpack_extents(int(value[0]), value[1])
            return _Kept(extents.size, extents.stored, None if isinstance(ref, bytes) else tuple(value[2]))
        except (TypeError, ValueError, IndexError):
            return DAMAGED

    def _check_reaches_root(self, file: FileId, layer: LayerId) -> None:
        seen: set[FileId] = set()
        at = file
        while at != ROOT_FILE:
            row = self._inode_at(at, layer)
            if row is None or row[1] is None or at in seen:
                what = f"the directory {file} cannot be reached from the root"
                self._add(FaultKind.LOOP, what, OfRow(file, layer))
                return
            if isinstance(row[1], Damaged) or not row[1].links:
                return
            seen.add(at)
            at = row[1].links[0][0]

    def _check_name(self, directory: FileId, rows: Rows, name: "_Name", children: dict[LayerId, int | None]) -> None:
        for index, (layer, entry) in enumerate(name.rows):
            before = self._before(name.rows, index)
            if isinstance(entry, Damaged) or isinstance(before, Damaged):
                children[layer] = None
            else:
                change = _is_directory(entry) - _is_directory(before)
                known = children.get(layer, 0)
                children[layer] = None if known is None else known + change
            if isinstance(entry, Entry):
                self._check_entry(directory, name.key, layer, entry)
                self._check_home(directory, rows, name.key, layer)
            elif isinstance(entry, Damaged):
                continue
            if isinstance(before, Entry) and (entry is None or entry.file != before.file):
                child = self._inode_at(before.file, layer)
                inode = None if child is None else child[1]
                if child is not None and isinstance(inode, Inode) and self._has_link(inode, directory, before.name):
                    what = f"file {before.file} says that it is called {shown(before.name)!r}, which it lost"
                    self._add(FaultKind.NAME, what, OfRow(before.file, child[0]))

    def _check_entry(self, directory: FileId, key: bytes, layer: LayerId, entry: Entry) -> None:
        if _key(entry.name) != key:
            what = f"the name {shown(entry.name)!r} is kept under another one"
            self._add(FaultKind.NAME, what, OfEntry(directory, key, layer))
        child = self._inode_at(entry.file, layer)
        if child is None or child[1] is None:
            what = f"{shown(entry.name)!r} leads to file {entry.file}, which does not exist"
            self._add(FaultKind.NAME, what, OfEntry(directory, key, layer))
            return
        inode = child[1]
        if isinstance(inode, Damaged):
            return
        if inode.kind is not entry.kind:
            what = f"{shown(entry.name)!r} is listed as a {entry.kind.name} and is a {inode.kind.name}"
            self._add(FaultKind.NAME, what, OfEntry(directory, key, layer))
        if not self._has_link(inode, directory, entry.name):
            what = f"{shown(entry.name)!r} leads to file {entry.file}, which does not have that name"
            self._add(FaultKind.NAME, what, OfEntry(directory, key, layer))

    def _has_link(self, inode: Inode, directory: FileId, name: bytes) -> bool:
        if len(inode.links) <= _MANY_LINKS:
            return (directory, name) in inode.links
        if self._many_links[0] is not inode:
            self._many_links = inode, frozenset(inode.links)
        return (directory, name) in self._many_links[1]

    def _check_home(self, directory: FileId, rows: Rows, key: bytes, layer: LayerId) -> None:
        home = next((inode for at, inode in rows if self._points.sees(layer, at)), None)
        if home is None or (isinstance(home, Inode) and home.kind is not Kind.DIRECTORY):
            what = f"{shown(key)!r} is in file {directory}, which is no directory"
            self._add(FaultKind.LOOP, what, OfEntry(directory, key, layer))

    def _homeless(self, directory: FileId, names: "Iterator[_Name]") -> None:
        for name in names:
            for layer, entry in name.rows:
                if entry is not None:
                    what = f"{shown(name.key)!r} is in directory {directory}, which has no record"
                    self._add(FaultKind.LOOP, what, OfEntry(directory, name.key, layer))

    def _check_children(self, file: FileId, rows: Rows, children: dict[LayerId, int | None]) -> None:
        """Whether a directory's nlink is 2 and its sub-directories in every layer that changed either."""
        right: dict[LayerId, int | None] = {}  # what nlink should be, oldest first
        for index in range(len(rows) - 1, -1, -1):
            layer, inode = rows[index]
            older = next((at for at, _ in rows[index + 1 :] if self._points.sees(layer, at)), None)
            base = 2 if older is None else right[older]
            change = children.pop(layer, 0)
            right[layer] = None if base is None or change is None else base + change
            if not isinstance(inode, Inode):
                right[layer] = None if isinstance(inode, Damaged) else 2
            elif inode.kind is Kind.DIRECTORY and right[layer] not in (None, inode.nlink):
                what = f"the directory {file} has nlink {inode.nlink}; it should be {right[layer]}"
                self._add(FaultKind.NLINK, what, OfRow(file, layer))
        for layer, change in children.items():
            if change:
                what = f"the directory {file} got or lost sub-directories and its nlink did not change"
                self._add(FaultKind.NLINK, what, OfRow(file, layer))


@dataclass(frozen=True, slots=True)
class _Name:
    """All rows of one name in a directory, newest first."""

    key: bytes
    rows: list[tuple[LayerId, EntryRow]]


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


def _is_directory(entry: Entry | None) -> int:
    return int(entry is not None and entry.kind is Kind.DIRECTORY)


def _file_of(key: bytes) -> FileId:
    return FileId(int.from_bytes(key[:8], "big"))


def _key(name: bytes) -> bytes:
    try:
        return name_key(name)
    except FilmFSError:
        return name


def _has_right_number_of_names(file: FileId, inode: Inode) -> bool:
    if file == ROOT_FILE:
        return not inode.links
    return len(inode.links) == 1 if inode.kind is Kind.DIRECTORY else bool(inode.links)


def _bytes_name(ref: ContentRef) -> str:
    if ref is None:
        return "no content"
    return f"content {ref.hex()}" if isinstance(ref, bytes) else f"draft {ref}"
