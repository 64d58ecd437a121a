"""Proves the tree of every layer, in time proportional to the rows: what a layer changed must fit what it saw.

The first layer begins with nothing. If each layer's own rows agree with one another and with the rows that they
replaced, every point of history is sound: names lead to inodes that know of them, inodes have the names that they know
of, a directory counts its sub-directories, and all of it hangs on the root. Inodes and entries are read once, side by
side: the entries of a directory have its number in front.

That names and inodes agree is proved by two sums. Each name that an inode got or lost in a layer goes into one, each
that a directory got or lost into the other: when they are the same, so are the names. When they are not,
versioning.check_links looks for the rows that are wrong.
"""

from dataclasses import dataclass

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import EMPTY_CONTENT, ROOT_FILE, FileId, LayerId
from filmfs.core.paths import shown
from filmfs.store.check import Referenced
from filmfs.store.contents import CONTENT, DRAFT, ContentRef, draft_key, unpack_extents
from filmfs.store.findings import DAMAGED, Damaged, FaultKind, OfEntry, OfRow, Reading
from filmfs.versioning.check import Points
from filmfs.versioning.check_walk import InodeRows, Name, RowsWalk, key_of_name
from filmfs.versioning.rows import DIRENT, Entry, Inode, Kind, inode_prefix, layer_of
from filmfs.versioning.xattrs import XATTRS

_CACHED = 1 << 15


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
        self.links_in_doubt = False
        self._reading = reading
        self._add = reading.findings.add
        self._points = points
        self._walk = RowsWalk(reading, points)
        self._kept: dict[bytes | int, _Kept | Damaged | None] = {}
        self._xattrs: set[bytes] = set()
        self._odd_stored = 0
        self._sum_of_inodes = 0
        self._sum_of_names = 0

    def run(self) -> None:
        """All of it. Whether names and inodes agree is in `links_in_doubt` after it."""
        for file, rows, names in self._walk.files():
            if rows:
                self.files += 1
                self.highest = max(self.highest, file)
            self._check_inode(file, rows)
            children: dict[LayerId, int | None] = {}
            for name in names:
                self._check_name(file, rows, name, children)
            self._check_children(file, rows, children)
        self.links_in_doubt |= self._sum_of_inodes != self._sum_of_names
        what = "{} files say another number of stored bytes than their content takes here (it came twice)"
        self._reading.findings.note(self._odd_stored, what)

    # An inode

    def _check_inode(self, file: FileId, rows: InodeRows) -> None:
        for index, (layer, inode) in enumerate(rows):
            before = self._walk.inode_before(rows, index)
            if isinstance(inode, Damaged) or isinstance(before, Damaged):
                self.links_in_doubt = True
            else:
                self._sum_of_inodes += _sum_of_links(layer, file, inode) - _sum_of_links(layer, file, before)
            if isinstance(inode, Damaged):
                continue
            was = before if isinstance(before, Inode) else None
            if inode is None:
                self._check_gone(file, layer, was)
                continue
            if was is not None and was.kind is not inode.kind:
                self._add(FaultKind.INODE, f"file {file} was a {was.kind.name} and is not any more", OfRow(file, layer))
            self._check_facts(file, layer, inode)
            self._check_number_of_names(file, layer, inode)
            if inode.kind is Kind.DIRECTORY and (was is None or was.links != inode.links):
                self._check_reaches_root(file, layer)

    def _check_gone(self, file: FileId, layer: LayerId, was: Inode | None) -> None:
        if file == ROOT_FILE:
            self._add(FaultKind.INODE, "the root directory is gone", OfRow(file, layer))
        left = self._visible_name(file, layer) if was is not None and was.kind is Kind.DIRECTORY else None
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

    def _check_number_of_names(self, file: FileId, layer: LayerId, inode: Inode) -> None:
        if inode.kind is not Kind.DIRECTORY and inode.nlink != len(inode.links):
            what = f"file {file} says that it has {inode.nlink} names and has {len(inode.links)}"
            self._add(FaultKind.NLINK, what, OfRow(file, layer))
        if not _has_right_number_of_names(file, inode):
            self._add(FaultKind.INODE, f"file {file} has {len(inode.links)} names", OfRow(file, layer))
        if len(set(inode.links)) != len(inode.links):
            self._add(FaultKind.INODE, f"file {file} has a name twice", OfRow(file, layer))

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
            row = self._walk.inode_at(at, layer)
            if row is None or row[1] is None or at in seen:
                what = f"the directory {file} cannot be reached from the root"
                self._add(FaultKind.LOOP, what, OfRow(file, layer))
                return
            if isinstance(row[1], Damaged) or not row[1].links:
                return
            seen.add(at)
            at = row[1].links[0][0]

    # The names in a directory

    def _check_name(self, directory: FileId, rows: InodeRows, name: Name, children: dict[LayerId, int | None]) -> None:
        """Checks one name, and adds to `children` how many sub-directories each layer gave the directory."""
        for index, (layer, entry) in enumerate(name.rows):
            before = self._walk.entry_before(name.rows, index)
            known = children.get(layer, 0)
            if isinstance(entry, Damaged) or isinstance(before, Damaged):
                self.links_in_doubt = True
                children[layer] = None
            else:
                self._sum_of_names += _hash_of_entry(layer, directory, entry) - _hash_of_entry(layer, directory, before)
                change = _is_directory(entry) - _is_directory(before)
                children[layer] = None if known is None else known + change
            if isinstance(entry, Entry):
                if key_of_name(entry.name) != name.key:
                    what = f"the name {shown(entry.name)!r} is kept under another one"
                    self._add(FaultKind.NAME, what, OfEntry(directory, name.key, layer))
                self._check_home(directory, rows, name.key, layer)

    def _check_home(self, directory: FileId, rows: InodeRows, key: bytes, layer: LayerId) -> None:
        home = next((inode for at, inode in rows if self._points.sees(layer, at)), None)
        if home is None or (isinstance(home, Inode) and home.kind is not Kind.DIRECTORY):
            what = f"{shown(key)!r} is in file {directory}, which is no directory"
            self._add(FaultKind.LOOP, what, OfEntry(directory, key, layer))

    def _check_children(self, file: FileId, rows: InodeRows, children: dict[LayerId, int | None]) -> None:
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


def _is_directory(entry: Entry | None) -> int:
    return int(entry is not None and entry.kind is Kind.DIRECTORY)


def _hash_of_entry(layer: LayerId, directory: FileId, entry: Entry | None) -> int:
    return 0 if entry is None else _hash_of_name(layer, entry.file, directory, entry.name, entry.kind)


def _sum_of_links(layer: LayerId, file: FileId, inode: Inode | None) -> int:
    if inode is None:
        return 0
    return sum(_hash_of_name(layer, file, parent, name, inode.kind) for parent, name in inode.links)


def _hash_of_name(layer: LayerId, file: FileId, directory: FileId, name: bytes, kind: Kind) -> int:
    # Of bytes, which is a keyed hash (SipHash): those of tuples are so regular that differences cancel in a sum.
    return hash(b"%d %d %d %d " % (layer, file, directory, kind) + name)


def _has_right_number_of_names(file: FileId, inode: Inode) -> bool:
    if file == ROOT_FILE:
        return not inode.links
    return len(inode.links) == 1 if inode.kind is Kind.DIRECTORY else bool(inode.links)


def _bytes_name(ref: ContentRef) -> str:
    if ref is None:
        return "no content"
    return f"content {ref.hex()}" if isinstance(ref, bytes) else f"draft {ref}"
