"""The file system that doors call: what each operation does that changes the tree or opens a file.

Those that only look are VisibleTree's. One thread owns it and nothing here waits, but for `Contents` behind maps and
`placed` writes, which doors may carry out in other threads. Permissions are the door's (`default_permissions` in FUSE).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from filmfs.archive import Archive
from filmfs.core.errors import Corrupt, CrossBranch, Exists, NotFound, Stale
from filmfs.core.ids import ROOT_FILE, DraftId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import FOLDERS
from filmfs.store.jobs import Job
from filmfs.store.sealing import Seal
from filmfs.versioning.buffers import Cut
from filmfs.versioning.layers import LayerTable
from filmfs.versioning.lost import lost_bytes
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.vfs.closing import Copying
from filmfs.vfs.handles import FileHandle
from filmfs.vfs.lists import Lists
from filmfs.vfs.namespace import SNAPSHOTS, as_bytes, as_text
from filmfs.vfs.nodes import ROOT, VIRTUAL, Attributes, NodeId, Space, attributes_of, node_id, split_node
from filmfs.vfs.proxied import TreeWithProxies
from filmfs.vfs.root import MountRoot
from filmfs.vfs.transplant import transplant


class FileSystem(TreeWithProxies):
    """An archive as a file system."""

    def __init__(
        self,
        archive: Archive,
        *,
        readonly: bool = False,
        access_times: bool = True,
        handles: int = 0,
        lists: Lists = Lists.SIBLINGS,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(
            archive, readonly=readonly, access_times=access_times, handles=handles, lists=lists, status=status
        )
        self._root = MountRoot(archive, readonly=readonly)
        self._new_films: list[Job] = []
        archive.busy_checks.append(self._opened.is_busy)

    # Names

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
        if split_node(parent)[0] == VIRTUAL and self._offers.folders.at(parent) is None:
            branch = self._root.make(parent, name, kind, author)
            self.changes += 1
            return self.attributes(branch)
        tree, space, directory = self._place(parent)
        now = self.history.clock()
        size = len(target) if kind is Kind.SYMLINK else 0
        inode = Inode(kind, mode & 0o7777, uid, gid, 1, size, now, now, now, now, rdev=rdev, target=target)
        if kind is Kind.DIRECTORY and directory == ROOT_FILE and name == SNAPSHOTS.encode():
            raise Exists(f"{SNAPSHOTS} is where the branch's history is")
        self._noted(parent, name)
        file, inode = tree.make(directory, name, inode)
        self.changes += 1
        return self._told_of(parent, attributes_of(node_id(space, file), inode))

    def link(self, node: NodeId, parent: NodeId, name: bytes) -> Attributes:
        """Gives a file one more name. Raises CrossBranch between branches."""
        from_space, file = split_node(node)
        folder = self._offers.folders.at(parent)
        if from_space != (split_node(parent)[0] if folder is None else folder.key.space):
            raise CrossBranch("a hard link cannot lead from one branch to another")
        tree, space, directory = self._place(parent)
        self._noted(parent, name)
        opened = self._opened.find(space, file)
        if opened is not None:
            opened.publish()
        tree.link(file, directory, name, self.history.clock())
        self.changes += 1
        return self._told_of(parent, self.attributes(self._opened.node(space, file)))

    def unlink(self, parent: NodeId, name: bytes) -> None:
        """Takes a name away; a file that is open keeps its bytes until it is closed. A proxy is hidden."""
        if self._hides(parent, name):
            return
        tree, space, directory = self._writable(parent)
        self._refuse_made(tree, parent, directory, name)
        self._noted(parent, name)
        self._offers.proxies.leave(space, tree, directory, name)
        file, inode = tree.unlink(directory, name, self.history.clock())
        self._lost(tree, file, inode)

    def rmdir(self, parent: NodeId, name: bytes) -> None:
        """Removes an empty directory. Branches are removed with the command line only."""
        if split_node(parent)[0] == VIRTUAL and self._offers.folders.at(parent) is None:
            self._root.refuse_removal(parent, name)
        tree, space, directory = self._writable(parent)
        if self._leaves_folder(tree, space, directory, name):
            return
        self._refuse_made(tree, parent, directory, name)
        self._noted(parent, name)
        file, inode = tree.rmdir(directory, name, self.history.clock())
        self._offers.proxies.forget_left(space, directory, name)
        self._lost(tree, file, inode)

    def rename(
        self, parent: NodeId, name: bytes, to: NodeId, new_name: bytes, *, replace: bool = True, exchange: bool = False
    ) -> None:
        """Moves an entry; at the mount's root it renames a branch; between branches it copies rows, never bytes."""
        if parent == ROOT and to == ROOT:
            self._root.rename(name, new_name, exchange=exchange)
            return
        tree, space, directory = self._writable(parent)
        if not self._is_to_be_made(to):
            _, to_space, to_directory = self._writable(to)
            if name == new_name and self._goes_along(tree, space, directory, name, to_space, to_directory):
                return
        self._refuse_made(tree, parent, directory, name)
        tree.get(directory, name)
        if exchange and self._is_to_be_made(to):
            raise NotFound(f"there is no {shown(new_name)!r} to exchange it with")
        to_tree, to_space, to_directory = self._place(to)
        self._noted(parent, name)
        self._noted(to, new_name)
        if as_text(new_name) in FOLDERS:  # what is known of names in there moves along with the directory
            self._opened.note_left(to, new_name)
        if exchange and as_text(name) in FOLDERS:
            self._opened.note_left(parent, name)
        self._offers.proxies.leave(space, tree, directory, name)
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

    def before_open(self, node: NodeId, *, straight: bool = False) -> Callable[[], None] | None:
        """Work for another thread, after which `open` waits for no disk; None when there is none to do.

        It may be needed again after that work, at most three times.
        """
        if split_node(node)[0] == VIRTUAL:
            return self._offers.derived.before_open(node, straight=straight)
        return self._opened.before_open(node, straight=straight)

    def open(
        self,
        node: NodeId,
        *,
        writing: bool,
        truncate: bool = False,
        append: bool = False,
        straight: bool = False,
        direct: bool = False,
        is_access: bool = True,
        uid: int = 0,
        process: int = 0,
    ) -> int:
        """Opens a file for a process of the user `uid`; gives its handle. Raises ReadOnly, IsADirectory, Stale.

        To open it for reading only is an access: what the kernel reads by itself is not seen here. A door that can hand
        plain files to its users says `straight`, and looks at the handle's file for the decision; `direct`: who asks
        will read past the kernel's pages.
        """
        space, _ = split_node(node)
        if self._offers.derived.at(node) is not None:
            made = self._offers.derived.open(node, writing=writing, straight=straight, direct=direct)
            made.handles += 1
            return self._handles.add(FileHandle(node, None, process=process, derived=made))
        if space == VIRTUAL:
            report = self._virtual.read(node, writing=writing)
            return self._handles.add(FileHandle(node, None, report=report))
        if writing:
            self._writable(node)
        how = {"writing": writing, "truncate": truncate, "append": append, "straight": straight, "direct": direct}
        opening = partial(self._opened.open, node, **how)
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
        if self.readonly and not self.archive.contents.is_there(opened.map):
            self.catch_up()
            if self._spaces.view(space).inode(opened.file) is None:
                self.close(handle)
                raise Stale("the file was replaced or removed, and its bytes with it; its name tells what is there now")
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

    def copying_closed(self, node: NodeId) -> Copying | None:
        """What must be done, and be durable, before a file is cut or opened to be written over; None: nothing."""
        opened = self._opened.at(node)
        return self._opened.copying_closed(opened) if opened is not None else None

    def is_copy_durable(self, node: NodeId) -> bool:
        """Whether what such copies replaced is not needed any more after a crash."""
        opened = self._opened.at(node)
        blob = opened.written_past_us if opened is not None else None
        return blob is None or not self.history.drafts.is_leaving(blob)

    def must_flush_before(self, node: NodeId, size: int) -> bool:
        """Whether cutting a file to `size` has to wait for a flush, which knows of it by this call.

        Raises LostBytes for a file whose shorter length cannot become durable.
        """
        opened = self._opened.at(node)
        if opened is None or not opened.shrinks_to(size):
            return False
        self.refuse_if_lost(node)
        opened.will_shrink(size)
        return True

    def stays_uncut(self, node: NodeId) -> None:
        """That flush failed: the file is as long as it was."""
        opened = self._opened.at(node)
        if opened is not None:
            opened.will_not_shrink()

    def refuse_if_lost(self, node: NodeId) -> None:
        """Raises LostBytes when the disk lost bytes of an open file, as of the last flush."""
        opened = self._opened.at(node)
        if opened is not None and opened.is_lost:
            raise lost_bytes([self.name_of(node)])

    def refuse_if_not_durable(self, handle: FileHandle) -> None:
        """Raises what keeps an open file from being durable, as of the last flush."""
        if handle.file is not None and handle.file.trouble is not None:
            raise handle.file.trouble
        self.refuse_if_lost(handle.node)

    def others(self, node: NodeId) -> list[NodeId]:
        """Other nodes that show the same file, or what it was: what the kernel knows of them is old after a change."""
        real = self._offers.real(node)
        return [real, *self._opened.others(real)] if real != node else self._opened.others(node)

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

    def close(self, handle: int) -> None:
        """The last of a handle; errors of writing were told by write and fsync."""
        closed = self._handles.remove(handle)
        if isinstance(closed, FileHandle) and closed.derived is not None:
            self._offers.derived.close(closed.node, closed.derived)
        if not isinstance(closed, FileHandle) or closed.file is None:
            return
        self._opened.close(split_node(closed.node)[0], closed.file, writing=closed.writing)
        self.changes += int(closed.writing)

    # The disk

    def cut(self) -> Cut:
        """Takes all that is not durable, files that are being written included."""
        self._opened.publish()
        return self.history.cut()

    def sealed(self, outcome: Seal) -> None:
        """Takes the outcome of sealing a draft: files that show it show its content from now on."""
        if self.history.drafts.sealed(outcome):
            self._opened.adopt(outcome)
        if self.archive.settings.proxies:
            self._new_films += self._offers.requests.of_content(
                outcome.content, outcome.owners, self.archive.settings.proxies
            )

    def take_new_films(self) -> list[Job]:
        """What was hashed since the last call and shall have proxies."""
        taken, self._new_films = self._new_films, []
        return taken

    def call_for_proxies(self, call: Callable[[], None]) -> None:
        """Has `call` called, in any thread, when somebody waits for a proxy."""
        self._offers.requests.asked_for = call

    def catch_up(self, table: LayerTable | None = None) -> None:
        """On a read-only mount: shows what the archive's writer made durable meanwhile."""
        if self.readonly:
            self.history.catch_up(table)
            self._opened.reload()
            self._opened.take_left()  # the kernel keeps names for no longer than a second here

    def changed_by_command(self, names_before: set[str]) -> tuple[list[tuple[NodeId, bytes]], list[NodeId]]:
        """What a command changed past the doors: names with their directories, and nodes."""
        names = [(ROOT, as_bytes(name)) for name in names_before ^ self.branch_names()]
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

    def copying_exposed(self) -> Iterator[Copying]:
        """What must be done when files were lost, lest a session that goes on writes over what others fell back on."""
        for blob in self.history.drafts.exposed():
            yield self._opened.copying_exposed(blob)

    def fallen_back(self, drafts: Iterable[DraftId]) -> tuple[list[tuple[NodeId, bytes]], list[NodeId]]:
        """The same when files were lost, which other branches and commits may have shown: from now on as they were."""
        lost = self.history.drafts.lost()
        files = {file for number in drafts for file in lost.get(number, ())}
        self._opened.reload()
        nodes = [self._opened.node(space, file) for space in self._spaces.all() for file in files]
        return self._opened.take_left(), nodes

    # Inside

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
