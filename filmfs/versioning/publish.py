"""Putting many new files into a branch so that they appear at once.

New directories are filled while nothing leads to them; what must show in directories that exist already is attached at
the end, in one step. `steps` is a generator so that an event loop can breathe between pieces; the caller keeps the
branch from being flushed until it is through, and then all of it is durable or none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from filmfs.core.errors import Busy, IsADirectory, NotADirectory, NotFound
from filmfs.core.ids import ROOT_FILE, FileId
from filmfs.core.paths import name_key, shown
from filmfs.versioning.buffers import Buffers
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.xattrs import put_xattrs

_STEP = 256


@dataclass(frozen=True, slots=True)
class NewFile:
    """Something to appear at `parts` below the branch's root; files of one `link_group` become one inode."""

    parts: tuple[bytes, ...]
    inode: Inode
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    link_group: bytes = b""

    def as_value(self) -> list[Any]:
        """A form of plain values."""
        return [list(self.parts), self.inode.as_value(), list(self.xattrs.items()), self.link_group]

    @classmethod
    def of_value(cls, value: list[Any]) -> "NewFile":
        """What as_value() was made of."""
        parts, inode, xattrs, group = value
        return cls(tuple(parts), Inode.of_value(inode), dict(xattrs), group)


@dataclass(slots=True)
class Published:
    """What publishing did."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0


@dataclass(slots=True)
class _Directory:
    file: FileId
    existing: bool
    names: dict[bytes, "_Directory"] = field(default_factory=dict)


class Publisher:
    """One publication into one branch."""

    def __init__(self, tree: Tree, buffers: Buffers, now: int) -> None:
        self.result = Published()
        self.shown: list[tuple[FileId, bytes | None]] = []  # entries and inodes that were there before and changed
        self._tree = tree
        self._buffers = buffers
        self._now = now
        self._root = _Directory(ROOT_FILE, existing=True)
        self._attach: list[tuple[FileId, bytes, NewFile, FileId | None]] = []
        self._groups: dict[bytes, FileId] = {}
        self._made: list[FileId] = []
        self._hidden: list[tuple[FileId, bytes]] = []

    def steps(self, files: list[NewFile]) -> Iterator[None]:
        """Does the work, parents before children. Raises NotADirectory, IsADirectory or Busy before anything shows."""
        there: dict[tuple[bytes, ...], FileId | None] = {(): ROOT_FILE}
        for work in (lambda new: self._survey(new, there), self._place):
            for index, new in enumerate(files):
                work(new)
                if index % _STEP == _STEP - 1:
                    yield
        try:
            self._show()
        except Busy:
            self._take_back()
            raise

    def _survey(self, new: NewFile, there: dict[tuple[bytes, ...], FileId | None]) -> None:
        """Refuses what cannot be while nothing is made yet, and finds the inodes that new hard links join.

        `there` are the directories met so far by their keys, None for those that will be new.
        """
        above = self._directory_there(new.parts[:-1], there)
        entry = self._tree.find(above, new.parts[-1]) if above is not None else None
        is_directory = new.inode.kind is Kind.DIRECTORY
        if entry is not None and is_directory != (entry.kind is Kind.DIRECTORY):
            path = shown(b"/".join(new.parts))
            if is_directory:
                raise NotADirectory(f"{path} is there already and is not a directory")
            raise IsADirectory(f"{path} is there already and is a directory")
        if is_directory:
            there.setdefault(_keys(new.parts), None if entry is None else entry.file)
        elif entry is not None and new.link_group and self._is_same(self._tree.get_inode(entry.file), new):
            self._groups.setdefault(new.link_group, entry.file)

    def _directory_there(
        self, parts: tuple[bytes, ...], there: dict[tuple[bytes, ...], FileId | None]
    ) -> FileId | None:
        keys = _keys(parts)
        if keys not in there:
            above = self._directory_there(parts[:-1], there)
            if above is None:
                raise NotFound(f"there is no {shown(b'/'.join(parts))}")
            entry = self._tree.get(above, parts[-1])
            if entry.kind is not Kind.DIRECTORY:
                raise NotADirectory(f"{shown(b'/'.join(parts))} is not a directory")
            there[keys] = entry.file
        return there[keys]

    def _place(self, new: NewFile) -> None:
        parent = self._parent(new)
        name = new.parts[-1]
        key = name_key(name)
        is_directory = new.inode.kind is Kind.DIRECTORY
        entry = self._tree.find(parent.file, name) if parent.existing else None
        if entry is None:
            if key in parent.names:
                return
            file = self._create(parent, key, new)
            if is_directory:
                parent.names[key] = _Directory(file, existing=False)
            return
        if is_directory:
            parent.names.setdefault(key, _Directory(entry.file, existing=True))
        elif self._is_same(self._tree.get_inode(entry.file), new):
            self.result.unchanged += 1
            if new.link_group:
                self._groups.setdefault(new.link_group, entry.file)
        else:
            self._attach.append((parent.file, name, new, entry.file))
            self.result.replaced += 1

    def _parent(self, new: NewFile) -> _Directory:
        directory = self._root
        for part in new.parts[:-1]:
            key = name_key(part)
            below = directory.names.get(key)
            if below is None:
                entry = self._tree.get(directory.file, part)
                below = directory.names[key] = _Directory(entry.file, existing=True)
            directory = below
        return directory

    def _create(self, parent: _Directory, key: bytes, new: NewFile) -> FileId:
        self.result.added += 1
        name = new.parts[-1]
        if parent.existing:
            if new.inode.kind is not Kind.DIRECTORY:
                self._attach.append((parent.file, name, new, None))
                return FileId(0)
            file = self._tree.new_file()
            self._attach.append((parent.file, name, new, file))
            self._tree.put_inode(file, self._inode(new, ((parent.file, name),)))
            self._made.append(file)
            return file
        shared = self._groups.get(new.link_group) if new.link_group else None
        file = shared or self._tree.new_file()
        if shared is None:
            self._made.append(file)
        self._put(file, parent.file, key, name, new)
        return file

    def _put(self, file: FileId, parent: FileId, key: bytes, name: bytes, new: NewFile) -> None:
        """Adds a name and its inode under a directory that nothing leads to yet; the directory's times are its own."""
        links: tuple[tuple[FileId, bytes], ...] = ((parent, name),)
        if new.link_group:
            known = self._groups.setdefault(new.link_group, file)
            inode = self._tree.inode(known)
            links = (*inode.links, *links) if inode is not None else links
        inode = self._inode(new, links)
        self._tree.put_inode(file, inode)
        self._tree.put_hidden_entry(parent, key, file, inode, name)
        self._hidden.append((parent, key))

    def _inode(self, new: NewFile, links: tuple[tuple[FileId, bytes], ...]) -> Inode:
        nlink = 2 if new.inode.kind is Kind.DIRECTORY else len(links)
        xattrs = put_xattrs(self._buffers, new.xattrs)
        return new.inode.changed(links=links, nlink=nlink, xattrs=xattrs, ctime=self._now)

    def _is_same(self, inode: Inode, new: NewFile) -> bool:
        mine = self._inode(new, inode.links).changed(ctime=inode.ctime, atime=inode.atime, btime=inode.btime)
        return mine == inode

    def _refuse_if_moved(self) -> None:
        """Between the steps others may have changed the directories that names are about to show in."""
        for parent, name, new, file in self._attach:
            expected = None if new.inode.kind is Kind.DIRECTORY else file
            directory = self._tree.inode(parent)
            entry = self._tree.find(parent, name) if directory is not None else None
            if directory is None or (entry.file if entry is not None else None) != expected:
                raise Busy(f"{shown(name)!r} was changed while it was being added; nothing was added, try again")

    def _take_back(self) -> None:
        """Forgets what was made and does not show yet."""
        for parent, key in self._hidden:
            self._tree.put_entry(parent, key, None)
        for file in self._made:
            self._tree.put_inode(file, None)

    def _show(self) -> None:
        self._refuse_if_moved()
        self.shown += [(parent, None) for parent in {parent for parent, *_ in self._attach}]
        for parent, name, new, file in self._attach:
            self.shown.append((parent, name))
            if new.inode.kind is Kind.DIRECTORY and file is not None:
                filled = self._tree.get_inode(file)
                self._tree.make(parent, name, filled, file=file)
                self._tree.put_inode(file, filled)
            else:
                self._add_name(parent, name, new, file)

    def _add_name(self, parent: FileId, name: bytes, new: NewFile, replaced: FileId | None) -> None:
        """A file that was there before goes, as when rsync renames over it: who has it open keeps its bytes."""
        if replaced is not None:
            self._tree.unlink(parent, name, self._now)
        shared = self._groups.get(new.link_group) if new.link_group else None
        if shared is not None and self._tree.inode(shared) is not None:
            self._tree.link(shared, parent, name, self._now)
            return
        made, _ = self._tree.make(parent, name, self._inode(new, ()))
        if new.link_group:
            self._groups[new.link_group] = made


def _keys(parts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(name_key(part) for part in parts)
