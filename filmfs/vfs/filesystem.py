"""The tree that every door shows: nodes, handles, and what each file operation does.

One thread owns it and nothing here waits, but for `Contents` behind `reading()` and `placed` writes, which doors may
carry out in other threads. Permissions are the door's (`default_permissions` in FUSE).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from filmfs.archive import Archive
from filmfs.core.errors import (
    AttributeTooLarge,
    BadName,
    CrossBranch,
    Exists,
    FilmFSError,
    IsADirectory,
    NoAttribute,
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
from filmfs.store.sealing import Seal
from filmfs.versioning.buffers import Cut
from filmfs.versioning.history import History
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.tree import Tree, View
from filmfs.versioning.xattrs import VALUE_MAX, get_xattrs, put_xattrs
from filmfs.vfs.namespace import HISTORY, PLAIN, SNAPSHOTS, Folder, Namespace, Report, Target, TreeRoot
from filmfs.vfs.nodes import (
    ROOT,
    VIRTUAL,
    Attributes,
    NodeId,
    Space,
    attributes_of,
    node_id,
    split_node,
    virtual_id,
)
from filmfs.vfs.openfiles import OpenFile
from filmfs.vfs.transplant import transplant

_ORPHANS = 4096
_OWN = b"user.filmfs."


@dataclass(slots=True)
class FileHandle:
    """A file that was opened: `report` holds the bytes of a virtual one."""

    node: NodeId
    file: OpenFile | None
    writing: bool = False
    report: bytes = b""


@dataclass(slots=True)
class DirectoryHandle:
    """A directory that was opened; its listing is made when reading starts from the beginning."""

    node: NodeId
    listing: list[tuple[bytes, NodeId | Entry]] = field(default_factory=list)


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

    def __init__(self, archive: Archive, *, readonly: bool = False, status: Callable[[], dict[str, Any]]) -> None:
        self.archive = archive
        self.history: History = archive.history
        self.readonly = readonly
        self.namespace = Namespace(self.history, status)
        self._started = self.history.clock()
        self._folders: dict[NodeId, Folder | Report] = {ROOT: Folder(())}
        self._open: dict[tuple[Space, FileId], OpenFile] = {}
        self._handles: dict[int, FileHandle | DirectoryHandle] = {}
        self._next_handle = 1
        self._orphans: dict[NodeId, Inode] = {}
        self.changes = 0  # counts what users did, for automatic commits
        self.history.listen(self)
        archive.busy_checks.append(self._is_busy)

    # Names

    def lookup(self, parent: NodeId, name: bytes) -> tuple[Attributes, bool]:
        """The node called `name`, and whether that is its name as given. Raises NotFound, BadName's kinds."""
        if name == b".":
            return self.attributes(parent), True
        if name == b"..":
            return self.attributes(self._parent(parent)), True
        space, file = split_node(parent)
        if space == VIRTUAL:
            target = self.namespace.find(self._folder(parent).path, _text(name))
            if target is None:
                raise NotFound(f"there is no {shown(name)!r} here")
            return self._target_attributes(target), True
        view = self._view(space)
        entry = view.find(file, name)
        if entry is None:
            if name == SNAPSHOTS.encode() and file == ROOT_FILE and isinstance(view, Tree):
                branch = self.history.table.branches[view.branch]
                return self._target_attributes(self.namespace.branch_snapshots(branch)), True
            if view.inode(file) is None:
                raise Stale("the directory is gone")
            raise NotFound(f"there is no {shown(name)!r} here")
        return self.attributes(node_id(space, entry.file)), entry.name == name

    def attributes(self, node: NodeId) -> Attributes:
        """What stat tells. Raises Stale."""
        space, file = split_node(node)
        if space == VIRTUAL:
            return self._virtual_attributes(node)
        opened = self._open.get((self._home(space), file))
        if opened is not None:
            return attributes_of(node, opened.inode(), stable=self._is_stable(space))
        inode = self._inode(self._view(space), node)
        return attributes_of(node, inode, stable=self._is_stable(space))

    def change(self, node: NodeId, changes: Changes) -> Attributes:
        """chmod, chown, truncate and utimes in one. Raises ReadOnly, IsADirectory, TooLarge."""
        tree, space, file = self._writable(node)
        opened = self._open.get((space, file))
        if changes.size is not None:
            self._truncate(tree, space, file, changes.size)
            opened = self._open.get((space, file)) or opened
        if opened is not None:
            opened.publish()
        fields: dict[str, int] = {
            key: value
            for key in ("mode", "uid", "gid", "atime", "mtime")
            if (value := getattr(changes, key)) is not None
        }
        self._put_inode(tree, node, self._inode(tree, node).changed(ctime=self.history.clock(), **fields))
        if opened is not None and changes.mtime is not None:
            opened.mtime = changes.mtime
        self.changes += 1
        return self.attributes(node)

    def read_link(self, node: NodeId) -> bytes:
        """The target of a symlink."""
        space, file = split_node(node)
        if space == VIRTUAL:
            raise Usage("not a symbolic link")
        inode = self._view(space).get_inode(file)
        if inode.kind is not Kind.SYMLINK:
            raise Usage("not a symbolic link")
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
        self._publish(space, file)
        tree.link(file, directory, name, self.history.clock())
        self.changes += 1
        return self.attributes(node)

    def unlink(self, parent: NodeId, name: bytes) -> None:
        """Takes a name away; a file that is open keeps its bytes until it is closed."""
        tree, space, directory = self._writable(parent)
        file, inode = tree.unlink(directory, name, self.history.clock())
        self._lost(tree, space, file, inode)

    def rmdir(self, parent: NodeId, name: bytes) -> None:
        """Removes an empty directory. Branches are removed with the command line only."""
        if split_node(parent)[0] == VIRTUAL:
            if parent == ROOT and self.history.table.find(_text(name)) is not None:
                raise Refused(f"{shown(name)} is a branch; remove it with: filmfs branch delete")
            raise ReadOnly("nothing can be removed here")
        tree, space, directory = self._writable(parent)
        file, inode = tree.rmdir(directory, name, self.history.clock())
        self._lost(tree, space, file, inode)

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
                self._lost(tree, space, *lost)

    # Open files

    def open(self, node: NodeId, *, writing: bool, truncate: bool = False) -> int:
        """Opens a file; gives its handle. Raises ReadOnly, IsADirectory, Stale."""
        space, file = split_node(node)
        if space == VIRTUAL:
            return self._open_report(node, writing)
        if writing:
            self._writable(node)
        opened = self._opened(space, file)
        handle = self._add_handle(FileHandle(node, opened, writing))
        opened.handles += 1
        opened.writers += int(writing)
        if truncate and writing and opened.size:
            try:
                opened.truncate(0)
            except BaseException:
                self.close(handle)
                raise
            self.changes += 1
        return handle

    def file(self, handle: int) -> FileHandle:
        """The open file behind a handle."""
        found = self._handles.get(handle)
        if not isinstance(found, FileHandle):
            raise Stale("the file is not open")
        return found

    def close(self, handle: int) -> None:
        """The last of a handle; errors of writing were told by write and fsync."""
        closed = self._handles.pop(handle, None)
        if not isinstance(closed, FileHandle) or closed.file is None:
            return
        opened = closed.file
        opened.handles -= 1
        opened.writers -= int(closed.writing)
        if closed.writing and not opened.writers:
            opened.finish()
            self.changes += 1
        if not opened.handles:
            space, file = split_node(closed.node)
            if opened.orphan is not None:
                opened.abandon()
            key = self._home(space), file
            if self._open.get(key) is opened:
                del self._open[key]

    def open_directory(self, node: NodeId) -> int:
        """Opens a directory for reading; gives its handle."""
        if self.attributes(node).mode & 0o170000 != 0o040000:
            raise NotADirectory("not a directory")
        return self._add_handle(DirectoryHandle(node))

    def close_directory(self, handle: int) -> None:
        """The last of a directory's handle."""
        self._handles.pop(handle, None)

    def read_directory(self, handle: int, start: int) -> "DirectoryReader":
        """What the directory lists from position `start`; position 0 lists anew. `.` and `..` come first."""
        found = self._handles.get(handle)
        if not isinstance(found, DirectoryHandle):
            raise Stale("the directory is not open")
        if start == 0 or not found.listing:
            found.listing = self._listing(found.node)
        return DirectoryReader(self, found, start)

    def entry_attributes(self, node: NodeId, entry: "NodeId | Entry") -> Attributes | None:
        """The attributes of a listed entry; None when it went away meanwhile."""
        try:
            if isinstance(entry, Entry):
                return self.attributes(node_id(split_node(node)[0], entry.file))
            return self.attributes(entry)
        except FilmFSError:
            return None

    # Extended attributes

    def get_xattr(self, node: NodeId, name: bytes) -> bytes:
        """The attribute's value. Raises NoAttribute."""
        value = self._xattrs(node).get(name)
        if value is None:
            raise NoAttribute(f"there is no attribute {shown(name)}")
        return value

    def list_xattrs(self, node: NodeId) -> list[bytes]:
        """The names of the user's attributes.

        filmfs's own are found by name only: tools that copy attributes would try to set them.
        """
        return sorted(name for name in self._xattrs(node) if not name.startswith(_OWN))

    def set_xattr(self, node: NodeId, name: bytes, value: bytes) -> None:
        """Sets an attribute. Raises ReadOnly, Refused for filmfs's own, AttributeTooLarge."""
        if name.startswith(_OWN):
            raise Refused("attributes under user.filmfs. are filmfs's own")
        if name.startswith(b"system."):
            raise Unsupported(f"attributes such as {shown(name)} are not kept")
        if len(value) > VALUE_MAX:
            raise AttributeTooLarge(f"an attribute's value can have {VALUE_MAX} bytes")
        self._change_xattrs(node, lambda attributes: {**attributes, name: value})

    def remove_xattr(self, node: NodeId, name: bytes) -> None:
        """Removes an attribute. Raises NoAttribute, ReadOnly."""
        if name.startswith(_OWN):
            raise Refused("attributes under user.filmfs. are filmfs's own")
        self.get_xattr(node, name)
        self._change_xattrs(node, lambda attributes: {k: v for k, v in attributes.items() if k != name})

    # The disk

    def statvfs(self) -> os.statvfs_result:
        """The disk under the archive."""
        return os.statvfs(self.archive.root)

    def cut(self) -> Cut:
        """Takes all that is not durable, files that are being written included."""
        for opened in self._open.values():
            opened.publish()
        return self.history.cut()

    def sealed(self, outcome: Seal) -> None:
        """Takes the outcome of sealing a draft: files that show it show its content from now on."""
        if self.history.drafts.sealed(outcome):
            for opened in self._open.values():
                opened.adopt(outcome.draft, outcome.content, outcome.map)

    def reload(self) -> None:
        """Somebody changed rows past the handles: open files that are only read show the new ones."""
        for opened in self._open.values():
            opened.reload()

    def branch_names(self) -> set[str]:
        """The names at the mount's root."""
        return {branch.name for branch in self.history.table.alive()}

    def changed_by_command(self, names_before: set[str]) -> tuple[list[tuple[NodeId, bytes]], list[NodeId]]:
        """What a command changed past the doors: names with their directories, and nodes."""
        names = [(ROOT, _raw(name)) for name in names_before ^ self.branch_names()]
        nodes = []
        for branch, file, name in self.archive.take_changes():
            node = node_id(Space(branch), file)
            if name is None:
                nodes.append(node)
            else:
                names.append((node, name))
        if nodes:
            self.reload()
        return names, nodes

    # Told by History

    def freezing(self, branch: BranchId) -> list[bytes]:
        """Puts files that are being written into the layer as of their last close; gives their paths."""
        writing = [opened for opened in self._opened_in(branch) if opened.is_being_written]
        paths = []
        for opened in writing:
            opened.publish()
            opened.as_of_last_close()
            path = opened.view.path_of(opened.file) if opened.orphan is None else None
            paths += [path] if path is not None else []
        return paths

    def frozen(self, branch: BranchId) -> None:
        """Puts them into the next layer as they are."""
        for opened in self._opened_in(branch):
            opened.publish()

    def _opened_in(self, branch: BranchId) -> list[OpenFile]:
        return [opened for (space, _), opened in self._open.items() if space == Space(branch)]

    def _is_busy(self, branch: BranchId) -> bool:
        return bool(self._opened_in(branch))

    # Inside

    def _view(self, space: Space) -> View:
        if space <= MAX_BRANCH:
            branch = self.history.table.branches.get(BranchId(space))
            if branch is None or branch.deleted:
                raise Stale("the branch is gone")
            return self.history.tree(branch)
        shown_as = self.namespace.views.view(space)
        if shown_as is None:
            raise Stale("the view is gone")
        door, number = shown_as
        if door == PLAIN:
            return self._view(Space(number))
        return self.history.cached_view(number)

    def _home(self, space: Space) -> Space:
        """The space whose open files a space shows: the plain view of a branch shows the branch's."""
        if space <= MAX_BRANCH:
            return space
        shown_as = self.namespace.views.view(space)
        return Space(shown_as[1]) if shown_as is not None and shown_as[0] == PLAIN else space

    def _is_stable(self, space: Space) -> bool:
        shown_as = self.namespace.views.view(space)
        return shown_as is None or shown_as[0] != PLAIN

    def _writable(self, node: NodeId) -> tuple[Tree, Space, FileId]:
        space, file = split_node(node)
        if self.readonly:
            raise ReadOnly("this mount is read-only")
        if not 0 < space <= MAX_BRANCH:
            raise ReadOnly("history and virtual files are read-only")
        view = self._view(space)
        assert isinstance(view, Tree)
        return view, space, file

    def _opened(self, space: Space, file: FileId) -> OpenFile:
        space = self._home(space)
        opened = self._open.get((space, file))
        if opened is None:
            view = self._view(space)
            inode = view.get_inode(file)
            if inode.kind is Kind.DIRECTORY:
                raise IsADirectory("a directory cannot be opened as a file")
            opened = self._open[space, file] = OpenFile(self.history, self.archive.contents, view, file)
        return opened

    def _publish(self, space: Space, file: FileId) -> None:
        opened = self._open.get((space, file))
        if opened is not None:
            opened.publish()

    def _truncate(self, tree: Tree, space: Space, file: FileId, size: int) -> None:
        opened = self._open.get((space, file))
        if opened is None:
            opened = self._opened(space, file)
            try:
                opened.truncate(size)
            finally:
                opened.finish()
                del self._open[space, file]
            return
        opened.truncate(size)
        if not opened.writers:
            opened.finish()

    def _lost(self, tree: Tree, space: Space, file: FileId, inode: Inode) -> None:
        """A name of the inode went; without any name it lives on only in handles."""
        self.changes += 1
        if inode.nlink:
            return
        opened = self._open.get((space, file))
        if opened is not None:
            opened.orphan = inode
        elif isinstance(inode.content, int):
            self.history.drafts.drop(inode.content, self.history.table.branches[tree.branch].open)
        self._orphans[node_id(space, file)] = inode
        while len(self._orphans) > _ORPHANS:
            del self._orphans[next(iter(self._orphans))]

    def _transplant(
        self, tree: Tree, parent: FileId, name: bytes, to_tree: Tree, to: FileId, new_name: bytes, *, replace: bool
    ) -> None:
        def is_written(file: FileId) -> bool:
            opened = self._open.get((Space(tree.branch), file))
            return opened is not None and opened.is_being_written

        moved, lost = transplant(
            self.history, tree, parent, name, to_tree, to, new_name, replace=replace, is_written=is_written
        )
        for file, inode in lost:
            self._lost(to_tree, Space(to_tree.branch), file, inode)
        for file, inode in moved:
            opened = self._open.get((Space(tree.branch), file))
            if opened is not None:
                opened.orphan = inode.changed(nlink=0, content=None)

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
            return self._remember(Folder(self.namespace.parent(self._folder(node).path)))
        if file == ROOT_FILE:
            shown_as = self.namespace.views.view(space)
            if shown_as is not None and shown_as[0] in (PLAIN, HISTORY):
                return self._remember(Folder((".filmfs", shown_as[0])))
            return ROOT
        links = self._view(space).get_inode(file).links
        return node_id(space, links[0][0]) if links else ROOT

    def _folder(self, node: NodeId) -> Folder:
        found = self._folders.get(node)
        if found is None:
            raise Stale("the virtual directory is gone")
        if isinstance(found, Report):
            raise NotADirectory("not a directory")
        return found

    def _remember(self, target: Folder | Report) -> NodeId:
        node = virtual_id(target.path)
        self._folders.setdefault(node, target)
        return node

    def _target_attributes(self, target: Target) -> Attributes:
        return self.attributes(self._target_node(target))

    def _target_node(self, target: Target) -> NodeId:
        if isinstance(target, TreeRoot):
            return node_id(target.space, target.file)
        return self._remember(target)

    def _virtual_attributes(self, node: NodeId) -> Attributes:
        found = self._folders.get(node)
        if found is None:
            raise Stale("the virtual file is gone")
        uid, gid = os.getuid(), os.getgid()
        now = max(self._started, self.namespace.changed())
        if isinstance(found, Report):
            size = len(found.make())
            return Attributes(node, 0o100444, 1, uid, gid, 0, size, 8, now, now, now, now, stable=False)
        mode = 0o040755 if node == ROOT and not self.readonly else 0o040555
        return Attributes(node, mode, 2, uid, gid, 0, 4096, 8, now, now, now, now, stable=False)

    def _open_report(self, node: NodeId, writing: bool) -> int:
        found = self._folders.get(node)
        if not isinstance(found, Report):
            raise IsADirectory("a directory cannot be opened as a file")
        if writing:
            raise ReadOnly("virtual files are read-only")
        return self._add_handle(FileHandle(node, None, report=found.make()))

    def _listing(self, node: NodeId) -> list[tuple[bytes, NodeId | Entry]]:
        space, file = split_node(node)
        own: list[tuple[bytes, NodeId | Entry]] = [(b".", node), (b"..", self._parent(node))]
        if space == VIRTUAL:
            listed = self.namespace.entries(self._folder(node).path)
            return own + [(_raw(name), self._target_node(target)) for name, target in listed]
        return own + [(entry.name, entry) for entry in self._view(space).entries(file)]

    def _add_handle(self, handle: FileHandle | DirectoryHandle) -> int:
        number = self._next_handle
        self._next_handle += 1
        self._handles[number] = handle
        return number

    def _xattrs(self, node: NodeId) -> dict[bytes, bytes]:
        space, _ = split_node(node)
        if space == VIRTUAL:
            self._virtual_attributes(node)
            return {b"user.filmfs.virtual": b"1"}
        inode = self._inode(self._view(space), node)
        attributes = get_xattrs(self.history.database, self.history.buffers, inode.xattrs)
        if inode.kind is Kind.FILE and isinstance(inode.content, bytes):
            attributes[b"user.filmfs.content"] = inode.content.hex().encode()
        return attributes

    def _change_xattrs(self, node: NodeId, change: Callable[[dict[bytes, bytes]], dict[bytes, bytes]]) -> None:
        tree, _, _ = self._writable(node)
        inode = self._inode(tree, node)
        attributes = get_xattrs(self.history.database, self.history.buffers, inode.xattrs)
        reference = put_xattrs(self.history.buffers, change(attributes))
        self._put_inode(tree, node, inode.changed(xattrs=reference, ctime=self.history.clock()))
        self.changes += 1

    def _inode(self, view: View, node: NodeId) -> Inode:
        """The inode of a branch's or a view's file, also of one that lives on only in handles. Raises Stale."""
        space, file = split_node(node)
        inode = view.inode(file)
        if inode is None:
            opened = self._open.get((self._home(space), file))
            inode = (opened.orphan if opened is not None else None) or self._orphans.get(node)
        if inode is None:
            raise Stale("the file is gone")
        return inode

    def _put_inode(self, tree: Tree, node: NodeId, inode: Inode) -> None:
        """Has the inode say what it shall, in the branch or, when it has no name, where its handles see it."""
        space, file = split_node(node)
        if tree.inode(file) is not None:
            tree.put_inode(file, inode)
            return
        self._orphans[node] = inode
        opened = self._open.get((space, file))
        if opened is not None:
            opened.orphan = inode


@dataclass(slots=True)
class DirectoryReader:
    """Gives listed entries one by one: (name, attributes, the position after it)."""

    filesystem: FileSystem
    handle: DirectoryHandle
    position: int

    def next(self) -> tuple[bytes, Attributes, int] | None:
        """The next entry that still exists; None at the end."""
        while self.position < len(self.handle.listing):
            name, entry = self.handle.listing[self.position]
            self.position += 1
            attributes = self.filesystem.entry_attributes(self.handle.node, entry)
            if attributes is not None:
                return name, attributes, self.position
        return None


def _text(name: bytes) -> str:
    """A virtual name as text. Raises NameNotUtf8 and its kind."""
    name_key(name)
    return name.decode()


def _raw(name: str) -> bytes:
    return name.encode(errors="surrogateescape")
