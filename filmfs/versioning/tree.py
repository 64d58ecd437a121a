"""Changing the tree of a branch.

Names follow POSIX; permissions are the kernel's (`default_permissions`). Nothing here waits: changes go to the branch's
buffer and become durable with the next flush. One thread owns all trees of an archive.
"""

from collections.abc import Callable
from stat import S_ISGID

from filmfs.core.errors import Exists, IsADirectory, Loop, NotADirectory, NotEmpty, Refused, TooManyLinks
from filmfs.core.ids import ROOT_FILE, BranchId, FileId, LayerId
from filmfs.core.paths import name_key, shown
from filmfs.store.database import Database
from filmfs.versioning.buffers import Buffers, LayerBuffer
from filmfs.versioning.lineage import Lineage
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import BranchOf, View

LINK_MAX = 65_000
_ACCESSES = 1 << 15  # that are remembered in each branch


class Tree(View):
    """The tree of a branch, writable. `now` arguments are nanoseconds since 1970."""

    def __init__(
        self,
        database: Database,
        buffers: Buffers,
        branch_of: BranchOf,
        lineage: Lineage,
        open_layer: Callable[[BranchId], LayerId],
        new_file: Callable[[], FileId],
    ) -> None:
        super().__init__(database, buffers, branch_of, lineage)
        self.branch = lineage.branch
        self._open_layer = open_layer
        self._new_file = new_file

    def note_access(self, file: FileId, now: int) -> None:
        """Has the inode show when it was read. It is no change: stored with the next row that is written, or never."""
        self._accesses.pop(file, None)
        self._accesses[file] = now
        if len(self._accesses) > _ACCESSES:
            del self._accesses[next(iter(self._accesses))]

    def put_inode(self, file: FileId, inode: Inode | None) -> None:
        """Writes an inode as it shall be; None is *gone*."""
        self._buffer().inodes[file] = inode
        self._accesses.pop(file, None)

    def new_file(self) -> FileId:
        """A number for a new inode."""
        return self._new_file()

    def put_hidden_entry(self, parent: FileId, key: bytes, file: FileId, inode: Inode, name: bytes) -> None:
        """Fills a directory that nothing leads to yet, without the checks and times of `make`."""
        self.put_entry(parent, key, Entry(file, inode.kind, name))
        if inode.kind is Kind.DIRECTORY:
            directory = self.get_inode(parent)
            self.put_inode(parent, directory.changed(nlink=directory.nlink + 1))

    def make(self, parent: FileId, name: bytes, inode: Inode, *, file: FileId | None = None) -> tuple[FileId, Inode]:
        """Adds a new inode called `name` to a directory; its links are set here, its group by the set-gid rule.

        Raises Exists, NotADirectory, Stale, BadName's kinds.
        """
        key = name_key(name)
        directory = self.get_directory(parent)
        if self.entry_at(parent, key) is not None:
            raise Exists(f"{shown(name)!r} exists already")
        if directory.mode & S_ISGID:
            mode = inode.mode | S_ISGID if inode.kind is Kind.DIRECTORY else inode.mode
            inode = inode.changed(gid=directory.gid, mode=mode)
        file = file or self._new_file()
        inode = inode.changed(links=((parent, name),), nlink=2 if inode.kind is Kind.DIRECTORY else 1)
        self.put_inode(file, inode)
        self.put_entry(parent, key, Entry(file, inode.kind, name))
        self._touch(parent, inode.ctime, directory, children=int(inode.kind is Kind.DIRECTORY))
        return file, inode

    def link(self, file: FileId, parent: FileId, name: bytes, now: int) -> Inode:
        """Gives an inode one more name. Raises Exists, Refused for a directory, TooManyLinks."""
        key = name_key(name)
        directory = self.get_directory(parent)
        inode = self.get_inode(file)
        if inode.kind is Kind.DIRECTORY:
            raise Refused("a directory cannot have two names")
        if self.entry_at(parent, key) is not None:
            raise Exists(f"{shown(name)!r} exists already")
        if inode.nlink >= LINK_MAX:
            raise TooManyLinks(f"a file can have {LINK_MAX} names")
        linked = inode.changed(nlink=inode.nlink + 1, ctime=now, links=(*inode.links, (parent, name)))
        self.put_inode(file, linked)
        self.put_entry(parent, key, Entry(file, inode.kind, name))
        self._touch(parent, now, directory)
        return linked

    def unlink(self, parent: FileId, name: bytes, now: int) -> tuple[FileId, Inode]:
        """Takes a name away; the inode is gone with its last one. Gives the inode as it is after.

        Raises NotFound or IsADirectory.
        """
        directory = self.get_directory(parent)
        entry = self.get(parent, name)
        if entry.kind is Kind.DIRECTORY:
            raise IsADirectory(f"{shown(name)!r} is a directory")
        self.put_entry(parent, name_key(name), None)
        self._touch(parent, now, directory)
        return entry.file, self._unlinked(entry.file, parent, name, now)

    def rmdir(self, parent: FileId, name: bytes, now: int) -> tuple[FileId, Inode]:
        """Removes an empty directory. Raises NotFound, NotADirectory or NotEmpty."""
        directory = self.get_directory(parent)
        entry = self.get(parent, name)
        if entry.kind is not Kind.DIRECTORY:
            raise NotADirectory(f"{shown(name)!r} is not a directory")
        if not self.is_empty(entry.file):
            raise NotEmpty(f"{shown(name)!r} is not empty")
        self.put_entry(parent, name_key(name), None)
        self._touch(parent, now, directory, children=-1)
        return entry.file, self._unlinked(entry.file, parent, name, now)

    def rename(
        self,
        parent: FileId,
        name: bytes,
        to: FileId,
        new_name: bytes,
        now: int,
        *,
        replace: bool = True,
    ) -> tuple[FileId, Inode] | None:
        """Moves an entry, over what is there if `replace`. Gives the inode that lost its name, as it is after.

        Raises NotFound, Exists, NotEmpty, IsADirectory, NotADirectory, Loop, BadName's kinds.
        """
        key, new_key = name_key(name), name_key(new_name)
        entry = self.get(parent, name)
        self.get_directory(to)
        target = self.entry_at(to, new_key)
        if target is not None and not replace:
            raise Exists(f"{shown(new_name)!r} exists already")
        if target is not None and target.file == entry.file:
            if (parent, key) == (to, new_key):
                self._respell(parent, key, entry, new_name, now)
            return None
        if entry.kind is Kind.DIRECTORY:
            self._refuse_loop(entry.file, to)
        lost = None
        if target is not None:
            lost = self._replaced(entry, target, to, new_name, now)
        is_directory = int(entry.kind is Kind.DIRECTORY)
        self.put_entry(parent, key, None)
        self.put_entry(to, new_key, Entry(entry.file, entry.kind, new_name))
        self._relink(entry.file, (parent, entry.name), (to, new_name), now)
        self._touch(parent, now, children=-is_directory)
        self._touch(to, now, children=is_directory)
        return lost

    def exchange(self, parent: FileId, name: bytes, other: FileId, other_name: bytes, now: int) -> None:
        """Swaps two entries in one step. Raises NotFound or Loop."""
        key, other_key = name_key(name), name_key(other_name)
        first, second = self.get(parent, name), self.get(other, other_name)
        if first.file == second.file:
            return
        for moved, to in ((first, other), (second, parent)):
            if moved.kind is Kind.DIRECTORY:
                self._refuse_loop(moved.file, to)
        self.put_entry(parent, key, Entry(second.file, second.kind, first.name))
        self.put_entry(other, other_key, Entry(first.file, first.kind, second.name))
        self._relink(first.file, (parent, first.name), (other, second.name), now)
        self._relink(second.file, (other, second.name), (parent, first.name), now)
        balance = int(second.kind is Kind.DIRECTORY) - int(first.kind is Kind.DIRECTORY)
        self._touch(parent, now, children=balance)
        self._touch(other, now, children=-balance)

    def _buffer(self) -> LayerBuffer:
        return self._buffers.active(self.branch, self._open_layer(self.branch))

    def put_entry(self, directory: FileId, key: bytes, entry: Entry | None) -> None:
        """Writes an entry as it shall be; None takes it away."""
        self._buffer().entries.setdefault(directory, {})[key] = entry
        self._buffers.entry_changes += 1

    def _touch(self, file: FileId, now: int, inode: Inode | None = None, *, children: int = 0) -> None:
        inode = inode or self.get_inode(file)
        self.put_inode(file, inode.changed(mtime=now, ctime=now, nlink=inode.nlink + children))

    def _unlinked(self, file: FileId, parent: FileId, name: bytes, now: int) -> Inode:
        inode = self.get_inode(file)
        key = name_key(name)
        links = tuple(link for link in inode.links if link[0] != parent or name_key(link[1]) != key)
        nlink = 0 if inode.kind is Kind.DIRECTORY else len(links)
        inode = inode.changed(nlink=nlink, ctime=now, links=links)
        self.put_inode(file, inode if nlink else None)
        return inode

    def _relink(self, file: FileId, old: tuple[FileId, bytes], new: tuple[FileId, bytes], now: int) -> None:
        inode = self.get_inode(file)
        links = tuple(new if link == old else link for link in inode.links)
        self.put_inode(file, inode.changed(ctime=now, links=links))

    def _respell(self, parent: FileId, key: bytes, entry: Entry, name: bytes, now: int) -> None:
        if name != entry.name:
            self.put_entry(parent, key, Entry(entry.file, entry.kind, name))
            self._relink(entry.file, (parent, entry.name), (parent, name), now)

    def _replaced(self, entry: Entry, target: Entry, to: FileId, name: bytes, now: int) -> tuple[FileId, Inode]:
        if target.kind is Kind.DIRECTORY:
            if entry.kind is not Kind.DIRECTORY:
                raise IsADirectory(f"{shown(name)!r} is a directory")
            if not self.is_empty(target.file):
                raise NotEmpty(f"{shown(name)!r} is not empty")
            self._touch(to, now, children=-1)
        elif entry.kind is Kind.DIRECTORY:
            raise NotADirectory(f"{shown(name)!r} is not a directory")
        return target.file, self._unlinked(target.file, to, name, now)

    def _refuse_loop(self, moved: FileId, to: FileId) -> None:
        seen: set[FileId] = set()
        while to != ROOT_FILE and to not in seen:
            if to == moved:
                raise Loop("a directory cannot be moved into itself")
            seen.add(to)
            to = self.get_inode(to).links[0][0]
