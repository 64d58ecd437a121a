"""The tree that every door shows: nodes, handles, and what each file operation does.

One thread owns it and nothing here waits, but for `Contents` behind maps and `placed` writes, which doors may
carry out in other threads. Permissions are the door's (`default_permissions` in FUSE).
"""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from stat import S_ISDIR, S_ISGID, S_ISUID, S_IXGRP
from typing import Any

from filmfs.archive import Archive
from filmfs.core.errors import (
    BadName,
    Corrupt,
    CrossBranch,
    Exists,
    FilmFSError,
    NotADirectory,
    NotFound,
    ReadOnly,
    Refused,
    Stale,
    Unsupported,
    Usage,
)
from filmfs.core.ids import MAX_BRANCH, ROOT_FILE, BranchId, FileId
from filmfs.core.paths import name_key, shown
from filmfs.store.contents import LITERAL_MAX
from filmfs.store.sealing import Seal
from filmfs.versioning.buffers import Cut
from filmfs.versioning.history import History
from filmfs.versioning.layers import LayerTable
from filmfs.versioning.listing import Listing
from filmfs.versioning.rows import Entry, Inode, Kind, nearest_time
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from filmfs.versioning.xattrs import Attributes as Kept
from filmfs.versioning.xattrs import get_xattrs, put_xattrs
from filmfs.vfs import xattrs
from filmfs.vfs.handles import DirectoryHandle, FileHandle, Handles
from filmfs.vfs.listings import BLOCK, DirectoryListing
from filmfs.vfs.namespace import FILMFS, SNAPSHOTS, Folder, Namespace
from filmfs.vfs.nodes import (
    ROOT,
    VIRTUAL,
    Attributes,
    NodeId,
    Space,
    attributes_of,
    node_id,
    split_node,
)
from filmfs.vfs.opened import Opened
from filmfs.vfs.spaces import Spaces
from filmfs.vfs.transplant import transplant
from filmfs.vfs.virtual import VirtualNodes

_DAY_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Changes:
    """What setattr changes; None is as it was. Times are nanoseconds since 1970."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime: int | None = None
    mtime: int | None = None


class FileSystem:
    """An archive as a file system."""

    def __init__(
        self,
        archive: Archive,
        *,
        readonly: bool = False,
        access_times: bool = True,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.archive = archive
        self.history: History = archive.history
        self.readonly = readonly
        self._access_times = access_times and not readonly
        self.namespace = Namespace(self.history, status)
        self.changes = 0  # counts what users did, for automatic commits
        self._virtual = VirtualNodes(self.namespace, self.history.clock(), readonly=readonly)
        self._spaces = Spaces(self.history, self.namespace.views, follows=readonly)
        self._opened = Opened(self.history, archive.contents, self._spaces)
        self._handles = Handles()
        archive.busy_checks.append(self._opened.is_busy)

    # Names

    def lookup(self, parent: NodeId, name: bytes) -> tuple[Attributes, bool]:
        """The node called `name`, and whether that is its name as given. Raises NotFound, BadName's kinds."""
        if name == b".":
            return self.attributes(parent), True
        if name == b"..":
            return self.attributes(self._parent(parent)), True
        space, file = split_node(parent)
        if space == VIRTUAL:
            target = self.namespace.find(self._virtual.folder(parent).path, _text(name))
            if target is None:
                raise NotFound(f"there is no {shown(name)!r} here")
            return self.attributes(self._virtual.node_of(target)), True
        view = self._spaces.view(space)
        entry = view.find(file, name)
        if entry is None:
            if name == SNAPSHOTS.encode() and file == ROOT_FILE and isinstance(view, Tree):
                branch = self.history.table.branches[view.branch]
                return self.attributes(self._virtual.node_of(self.namespace.branch_snapshots(branch))), True
            if view.inode(file) is None:
                raise Stale("the directory is gone")
            raise NotFound(f"there is no {shown(name)!r} here")
        return self._attributes(self._opened.node(space, entry.file), space, entry.file, view), entry.name == name

    def attributes(self, node: NodeId) -> Attributes:
        """What stat tells. Raises Stale."""
        space, file = split_node(node)
        if space == VIRTUAL:
            return self._virtual.attributes(node)
        return self._attributes(node, space, file, self._spaces.view(space))

    def _attributes(self, node: NodeId, space: Space, file: FileId, view: View) -> Attributes:
        opened = self._opened.at(node)
        stable = self._spaces.is_stable(space)
        if opened is not None:
            return attributes_of(node, opened.inode(), stable=stable, live=opened.is_written_through or opened.retired)
        return attributes_of(node, view.inode(file) or self._opened.inode(node), stable=stable)

    def change(self, node: NodeId, changes: Changes) -> Attributes:
        """chmod, chown, truncate and utimes in one. Raises ReadOnly, IsADirectory, TooLarge."""
        tree, space, file = self._writable(node)
        if changes.size is not None:
            self._opened.truncate(space, file, changes.size)
        opened = self._opened.find(space, file)
        if opened is not None:
            opened.publish()
        fields: dict[str, int] = {
            key: nearest_time(value) if key.endswith("time") else value
            for key in ("mode", "uid", "gid", "atime", "mtime")
            if (value := getattr(changes, key)) is not None
        }
        inode = self._opened.inode(node).changed(ctime=self.history.clock(), **fields)
        self._opened.put_inode(tree, node, inode)
        if opened is not None and "mtime" in fields:
            opened.set_mtime(fields["mtime"])
        self.changes += 1
        return self.attributes(node)

    def read_link(self, node: NodeId) -> bytes:
        """The target of a symlink."""
        space, file = split_node(node)
        if space == VIRTUAL:
            raise Usage("not a symbolic link")
        inode = self._spaces.view(space).get_inode(file)
        if inode.kind is not Kind.SYMLINK:
            raise Usage("not a symbolic link")
        self.accessed(node)
        return inode.target

    def make(
        self,
        parent: NodeId,
        name: bytes,
        kind: Kind,
        mode: int,
        uid: int,
        gid: int,
        *,
        rdev: int = 0,
        target: bytes = b"",
        author: str = "",
    ) -> Attributes:
        """Adds a file of any kind; at the mount's root a new branch. Raises Exists, ReadOnly, BadName."""
        if split_node(parent)[0] == VIRTUAL:
            return self._make_branch(parent, name, kind, author)
        tree, space, directory = self._writable(parent)
        now = self.history.clock()
        size = len(target) if kind is Kind.SYMLINK else 0
        inode = Inode(kind, mode & 0o7777, uid, gid, 1, size, now, now, now, now, rdev=rdev, target=target)
        if kind is Kind.DIRECTORY and directory == ROOT_FILE and name == SNAPSHOTS.encode():
            raise Exists(f"{SNAPSHOTS} is where the branch's history is")
        file, inode = tree.make(directory, name, inode)
        self.changes += 1
        return attributes_of(node_id(space, file), inode)

    def link(self, node: NodeId, parent: NodeId, name: bytes) -> Attributes:
        """Gives a file one more name. Raises CrossBranch between branches."""
        tree, space, directory = self._writable(parent)
        from_space, file = split_node(node)
        if from_space != space:
            raise CrossBranch("a hard link cannot lead from one branch to another")
        opened = self._opened.find(space, file)
        if opened is not None:
            opened.publish()
        tree.link(file, directory, name, self.history.clock())
        self.changes += 1
        return self.attributes(self._opened.node(space, file))

    def unlink(self, parent: NodeId, name: bytes) -> None:
        """Takes a name away; a file that is open keeps its bytes until it is closed."""
        tree, _, directory = self._writable(parent)
        file, inode = tree.unlink(directory, name, self.history.clock())
        self._lost(tree, file, inode)

    def rmdir(self, parent: NodeId, name: bytes) -> None:
        """Removes an empty directory. Branches are removed with the command line only."""
        if split_node(parent)[0] == VIRTUAL:
            if parent == ROOT and self.history.table.find(_text(name)) is not None:
                raise Refused(f"{shown(name)} is a branch; remove it with: filmfs branch delete")
            raise ReadOnly("nothing can be removed here")
        tree, _, directory = self._writable(parent)
        file, inode = tree.rmdir(directory, name, self.history.clock())
        self._lost(tree, file, inode)

    def rename(
        self, parent: NodeId, name: bytes, to: NodeId, new_name: bytes, *, replace: bool = True, exchange: bool = False
    ) -> None:
        """Moves an entry; at the mount's root it renames a branch; between branches it copies rows, never bytes."""
        if parent == ROOT and to == ROOT:
            self._rename_branch(name, new_name, replace=replace, exchange=exchange)
            return
        tree, space, directory = self._writable(parent)
        to_tree, to_space, to_directory = self._writable(to)
        now = self.history.clock()
        self.changes += 1
        if space != to_space:
            if exchange:
                raise CrossBranch("two branches cannot exchange files")
            self._transplant(tree, directory, name, to_tree, to_directory, new_name, replace=replace)
        elif exchange:
            tree.exchange(directory, name, to_directory, new_name, now)
        else:
            lost = tree.rename(directory, name, to_directory, new_name, now, replace=replace)
            if lost is not None:
                self._lost(tree, *lost)

    # Open files

    def before_open(self, node: NodeId) -> Callable[[], None] | None:
        """Work for another thread, after which `open` waits for no disk; None when there is none to do."""
        space, _ = split_node(node)
        if space == VIRTUAL or self._opened.at(node) is not None:
            return None
        with contextlib.suppress(FilmFSError):  # `open` will tell
            inode, contents = self._opened.inode(node), self.archive.contents
            ref = inode.content
            if inode.size > LITERAL_MAX and isinstance(ref, bytes) and not contents.is_at_hand(ref):
                return partial(contents.have_at_hand, ref)
            staged = self.history.drafts.map_of(ref) if isinstance(ref, int) else None
            if staged is not None and not contents.blobs.are_open(staged.blobs()):
                return partial(contents.have_at_hand, ref, staged)
        return None

    def open(
        self,
        node: NodeId,
        *,
        writing: bool,
        truncate: bool = False,
        append: bool = False,
        straight: bool = False,
        is_access: bool = True,
        uid: int = 0,
        process: int = 0,
    ) -> int:
        """Opens a file for a process of the user `uid`; gives its handle. Raises ReadOnly, IsADirectory, Stale.

        To open it for reading only is an access: what the kernel reads by itself is not seen here. A door that can hand
        plain files to its users says `straight`, and looks at the handle's file for the decision.
        """
        space, _ = split_node(node)
        if space == VIRTUAL:
            report = self._virtual.read(node, writing=writing)
            return self._handles.add(FileHandle(node, None, report=report))
        if writing:
            self._writable(node)
        opening = partial(self._opened.open, node, writing=writing, truncate=truncate, append=append, straight=straight)
        try:
            opened = opening()
        except Corrupt:
            if not self.readonly:
                raise
            self.catch_up()  # its bytes were given another record since its row was read
            opened = opening()
        held = FileHandle(node, opened, writing, process, is_access=is_access)
        handle = self._handles.add(held)
        if is_access and not writing:
            held.accessed, held.read_at = self.accessed(node), opened.mtime
        opened.handles += 1
        opened.writers += int(writing)
        if writing:
            self.changes += 1
        if truncate and writing:
            try:
                opened.truncate(0)
                self._drop_privileges(node, uid)
            except BaseException:
                self.close(handle)
                raise
        return handle

    def is_reading(self, process: int) -> bool:
        """Whether a process has files open for reading: what it writes may be copies of them."""
        return self._handles.is_reading(process)

    def must_flush_before(self, node: NodeId, size: int) -> bool:
        """Whether cutting a file to `size` has to wait for a flush, which knows of it by this call."""
        opened = self._opened.at(node)
        return opened is not None and opened.will_shrink(size)

    def stays_uncut(self, node: NodeId) -> None:
        """That flush failed: the file is as long as it was."""
        opened = self._opened.at(node)
        if opened is not None:
            opened.will_not_shrink()

    def name_of(self, node: NodeId) -> str:
        """A file for people: BRANCH:path, or its number where it has none."""
        space, file = split_node(node)
        with contextlib.suppress(FilmFSError):
            view = self._spaces.view(space)
            path = view.path_of(file)
            branch = self.history.table.branches.get(BranchId(space))
            if path is not None:
                return f"{branch.name}:{shown(path)}" if branch is not None else shown(path)
        return f"file {file}"

    def others(self, node: NodeId) -> list[NodeId]:
        """Other nodes that show the same file, or what it was: what the kernel knows of them is old after a change."""
        return self._opened.others(node)

    def take_left(self) -> list[tuple[NodeId, bytes]]:
        """Names, with their directories, that lead to another node since the last call."""
        return self._opened.take_left()

    def file(self, handle: int) -> FileHandle:
        """The open file behind a handle."""
        return self._handles.file(handle)

    def reading(self, handle: int) -> FileHandle:
        """The same for who is about to read, which is an access."""
        found = self._handles.file(handle)
        if found.file is not None and found.is_access and found.read_at != found.file.mtime:
            found.read_at = found.file.mtime
            self.accessed(found.node)
        return found

    def accessed(self, node: NodeId) -> bool:
        """Notes that a node was read, by the rule of relatime; whether its access time is another now.

        History never changes by it, and no row is written for it.
        """
        space, file = split_node(node)
        if not self._access_times or not 0 < space <= MAX_BRANCH:
            return False
        now, found = self.history.clock(), self.attributes(node)
        if not found.nlink or max(found.mtime, found.ctime) < found.atime > now - _DAY_NS:
            return False
        tree = self._spaces.view(space)
        assert isinstance(tree, Tree)
        tree.note_access(file, now)
        return True

    def close(self, handle: int) -> None:
        """The last of a handle; errors of writing were told by write and fsync."""
        closed = self._handles.remove(handle)
        if not isinstance(closed, FileHandle) or closed.file is None:
            return
        self._opened.close(split_node(closed.node)[0], closed.file, writing=closed.writing)
        self.changes += int(closed.writing)

    def open_directory(self, node: NodeId) -> int:
        """Opens a directory for reading; gives its handle."""
        if not S_ISDIR(self.attributes(node).mode):
            raise NotADirectory("not a directory")
        return self._handles.add(DirectoryHandle(node))

    def close_directory(self, handle: int) -> None:
        """The last of a directory's handle."""
        self._handles.remove(handle)

    def read_directory(self, handle: int, start: int) -> "DirectoryReader":
        """What the directory lists from position `start`; position 0 lists anew. `.` and `..` come first."""
        found = self._handles.directory(handle)
        if start == 0 or found.listing is None:
            found.listing = self._listing(found.node)
            self.accessed(found.node)
        space = split_node(found.node)[0]
        view = None if space == VIRTUAL else self._spaces.view(space)
        return DirectoryReader(self, found.listing, space, view, start)

    def following(self, handle: int, start: int) -> tuple[FileId, bytes, int] | None:
        """What `read_directory` will read of the database: so many entries of a directory after a name key."""
        found = self._handles.directory(handle)
        space, file = split_node(found.node)
        if space == VIRTUAL:
            return None
        listing = None if start == 0 else found.listing
        following = (b"", BLOCK) if listing is None else listing.following(start)
        return None if following is None else (file, *following)

    def entry_attributes(self, space: Space, view: View | None, entry: NodeId | Entry | None) -> Attributes | None:
        """The attributes of a listed entry; None when it went away meanwhile."""
        try:
            if isinstance(entry, Entry) and view is not None:
                return self._attributes(self._opened.node(space, entry.file), space, entry.file, view)
            return None if entry is None or isinstance(entry, Entry) else self.attributes(entry)
        except FilmFSError:
            return None

    # Extended attributes

    def get_xattr(self, node: NodeId, name: bytes) -> bytes:
        """The attribute's value. Raises NoAttribute."""
        value = self._xattrs(node).get(name)
        if value is None:
            raise xattrs.missing(name)
        return value

    def list_xattrs(self, node: NodeId) -> list[bytes]:
        """The names of the user's attributes."""
        return xattrs.listed(self._xattrs(node))

    def set_xattr(self, node: NodeId, name: bytes, value: bytes) -> None:
        """Sets an attribute. Raises ReadOnly, Refused for filmfs's own, AttributeTooLarge."""
        self._change_xattrs(node, lambda kept: xattrs.with_set(kept, name, value))

    def remove_xattr(self, node: NodeId, name: bytes) -> None:
        """Removes an attribute. Raises NoAttribute, ReadOnly, Refused for filmfs's own."""
        self._change_xattrs(node, lambda kept: xattrs.without(kept, name))

    # The disk

    def statvfs(self) -> os.statvfs_result:
        """The disk under the archive."""
        return os.statvfs(self.archive.root)

    def cut(self) -> Cut:
        """Takes all that is not durable, files that are being written included."""
        self._opened.publish()
        return self.history.cut()

    def sealed(self, outcome: Seal) -> None:
        """Takes the outcome of sealing a draft: files that show it show its content from now on."""
        if self.history.drafts.sealed(outcome):
            self._opened.adopt(outcome)

    def catch_up(self, table: LayerTable | None = None) -> None:
        """On a read-only mount: shows what the archive's writer made durable meanwhile."""
        if self.readonly:
            self.history.catch_up(table)
            self._opened.reload()
            self._opened.take_left()  # the kernel keeps names for no longer than a second here

    def is_stable(self, node: NodeId) -> bool:
        """Whether what is in a directory changes only through itself, or never."""
        space, _ = split_node(node)
        return space != VIRTUAL and self._spaces.is_stable(space)

    def branch_names(self) -> set[str]:
        """The names at the mount's root."""
        return {branch.name for branch in self.history.table.alive()}

    def changed_by_command(self, names_before: set[str]) -> tuple[list[tuple[NodeId, bytes]], list[NodeId]]:
        """What a command changed past the doors: names with their directories, and nodes."""
        names = [(ROOT, _raw(name)) for name in names_before ^ self.branch_names()]
        nodes = []
        for branch, file, name in self.archive.take_changes():
            node = self._opened.node(Space(branch), file)
            if name is None:
                nodes.append(node)
            else:
                names.append((node, name))
        if nodes:
            self._opened.reload()
            names += self._opened.take_left()
        return names, nodes

    # Inside

    def _writable(self, node: NodeId) -> tuple[Tree, Space, FileId]:
        space, file = split_node(node)
        if self.readonly:
            raise ReadOnly("this mount is read-only")
        if not 0 < space <= MAX_BRANCH:
            raise ReadOnly("history and virtual files are read-only")
        view = self._spaces.view(space)
        assert isinstance(view, Tree)
        return view, space, file

    def _lost(self, tree: Tree, file: FileId, inode: Inode) -> None:
        self.changes += 1
        self._opened.lost(tree, file, inode)

    def _transplant(
        self, tree: Tree, parent: FileId, name: bytes, to_tree: Tree, to: FileId, new_name: bytes, *, replace: bool
    ) -> None:
        is_written = partial(self._opened.is_written, tree)
        moved, lost = transplant(
            self.history, tree, parent, name, to_tree, to, new_name, replace=replace, is_written=is_written
        )
        for file, inode in lost:
            self._lost(to_tree, file, inode)
        for file, inode in moved:
            self._opened.moved(tree, file, inode)

    def _make_branch(self, parent: NodeId, name: bytes, kind: Kind, author: str) -> Attributes:
        if parent != ROOT:
            raise ReadOnly("nothing can be made here")
        if self.readonly:
            raise ReadOnly("this mount is read-only")
        text = _text(name)
        if kind is not Kind.DIRECTORY:
            raise BadName("only branches live at the root of the mount; make files inside one of them")
        branch, _ = self.history.create_branch(text, author)
        self.changes += 1
        return self.attributes(node_id(Space(branch.id), ROOT_FILE))

    def _rename_branch(self, name: bytes, new_name: bytes, *, replace: bool, exchange: bool) -> None:
        if self.readonly:
            raise ReadOnly("this mount is read-only")
        branch = self.history.table.find(_text(name))
        if branch is None:
            raise ReadOnly("only branches can be renamed here")
        if exchange:
            raise Unsupported("branches cannot be exchanged")
        self.archive.refuse_if_busy(branch.id)
        self.history.rename_branch(branch, _text(new_name))

    def _parent(self, node: NodeId) -> NodeId:
        space, file = split_node(node)
        if space == VIRTUAL:
            return self._virtual.parent(node)
        if file == ROOT_FILE:
            door = self._spaces.door(space)
            return self._virtual.node_of(Folder((FILMFS, door))) if door is not None else ROOT
        links = self._spaces.view(space).get_inode(file).links
        return node_id(space, links[0][0]) if links else ROOT

    def _listing(self, node: NodeId) -> DirectoryListing:
        space, file = split_node(node)
        own = [(b".", node), (b"..", self._parent(node))]
        if space == VIRTUAL:
            listed = self.namespace.entries(self._virtual.folder(node).path)
            return DirectoryListing(own + [(_raw(name), self._virtual.node_of(target)) for name, target in listed])
        return DirectoryListing(own, Listing(self._spaces.view(space), file))

    def _xattrs(self, node: NodeId) -> Kept:
        if split_node(node)[0] == VIRTUAL:
            self._virtual.attributes(node)
            return xattrs.OF_VIRTUAL
        inode = self._opened.inode(node)
        return xattrs.with_own(get_xattrs(self.history.database, self.history.buffers, inode.xattrs), inode)

    def _drop_privileges(self, node: NodeId, uid: int) -> None:
        """What the kernel does itself at every write but this one: an emptied file runs as nobody else any more."""
        inode = self._opened.inode(node)
        mode = inode.mode & ~S_ISUID & ~(S_ISGID if inode.mode & S_IXGRP else 0)
        if uid and mode != inode.mode:
            self.change(node, Changes(mode=mode))
        if inode.xattrs and xattrs.CAPABILITY in self._xattrs(node):
            self._change_xattrs(node, lambda kept: xattrs.without(kept, xattrs.CAPABILITY))

    def _change_xattrs(self, node: NodeId, change: Callable[[Kept], Kept]) -> None:
        tree, _, _ = self._writable(node)
        inode = self._opened.inode(node)
        kept = get_xattrs(self.history.database, self.history.buffers, inode.xattrs)
        reference = put_xattrs(self.history.buffers, change(kept))
        self._opened.put_inode(tree, node, inode.changed(xattrs=reference, ctime=self.history.clock()))
        self.changes += 1


@dataclass(slots=True)
class DirectoryReader:
    """Gives listed entries one by one: (name, attributes, the position after it)."""

    filesystem: FileSystem
    listing: DirectoryListing
    space: Space
    view: View | None
    position: int

    def next(self) -> tuple[bytes, Attributes, int] | None:
        """The next entry that still exists; None at the end."""
        while (found := self.listing.at(self.position)) is not None:
            self.position += 1
            attributes = self.filesystem.entry_attributes(self.space, self.view, found[1])
            if attributes is not None:
                return found[0], attributes, self.position
        return None


def _text(name: bytes) -> str:
    """A virtual name as text. Raises NameNotUtf8 and its kind."""
    name_key(name)
    return name.decode()


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
