"""All files that are open, and those that live on only in handles.

It is told by History when a layer freezes, so that a commit has files that are being written as of their last close.
"""

from collections.abc import Iterator
from contextlib import suppress

from filmfs.core.errors import Corrupt, IsADirectory, Stale
from filmfs.core.ids import MAX_BRANCH, BranchId, FileId
from filmfs.store.contents import Contents
from filmfs.store.sealing import Seal
from filmfs.versioning.history import History
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.vfs.nodes import NodeId, Space, node_id, split_node
from filmfs.vfs.openfiles import OpenFile
from filmfs.vfs.spaces import Spaces

_ORPHANS = 4096


class Opened:
    """The open files of a mount, by space and file."""

    def __init__(self, history: History, contents: Contents, spaces: Spaces) -> None:
        self._history = history
        self._contents = contents
        self._spaces = spaces
        self._files: dict[tuple[Space, FileId], OpenFile] = {}
        self._orphans: dict[NodeId, Inode] = {}
        history.listen(self)

    def find(self, space: Space, file: FileId) -> OpenFile | None:
        """The file, if it is open."""
        return self._files.get((space if space <= MAX_BRANCH else self._spaces.home(space), file))

    def get(self, space: Space, file: FileId) -> OpenFile:
        """The file, opened if it is not. Raises IsADirectory or Stale."""
        space = self._spaces.home(space)
        opened = self._files.get((space, file))
        if opened is not None and opened.moved:
            raise Stale("the file is in another branch now")
        if opened is None:
            view = self._spaces.view(space)
            if view.get_inode(file).kind is Kind.DIRECTORY:
                raise IsADirectory("a directory cannot be opened as a file")
            opened = self._files[space, file] = OpenFile(self._history, self._contents, view, file)
        return opened

    def forget(self, space: Space, opened: OpenFile) -> None:
        """Nobody has the file open any more."""
        if opened.orphan is not None:
            opened.abandon()
        key = self._spaces.home(space), opened.file
        if self._files.get(key) is opened:
            del self._files[key]

    def truncate(self, space: Space, file: FileId, size: int) -> None:
        """Cuts a file that may be open or not."""
        opened = self.get(space, file)
        try:
            opened.truncate(size)
        finally:
            if not opened.writers:
                opened.finish()
            if not opened.handles:
                self.forget(space, opened)

    def inode(self, node: NodeId) -> Inode:
        """The inode of a branch's or a view's file, also of one without a name. Raises Stale."""
        space, file = split_node(node)
        inode = self._spaces.view(space).inode(file)
        if inode is None:
            opened = self.find(space, file)
            inode = (opened.orphan if opened is not None else None) or self._orphans.get(node)
        if inode is None:
            raise Stale("the file is gone")
        return inode

    def put_inode(self, tree: Tree, node: NodeId, inode: Inode) -> None:
        """Has the inode say what it shall, in the branch or, when it has no name, where its handles see it."""
        space, file = split_node(node)
        if tree.inode(file) is not None:
            tree.put_inode(file, inode)
            return
        opened = self.find(space, file)
        if opened is not None and opened.moved:
            raise Stale("the file is in another branch now")
        self._orphans[node] = inode
        if opened is not None:
            opened.orphan = inode

    def moved(self, tree: Tree, file: FileId, inode: Inode) -> None:
        """The file is in another branch now; who has it open goes on reading it.

        The kernel may still know the new name by the old number: whatever else comes for that is answered with Stale,
        and comes again for the new one.
        """
        opened = self.find(Space(tree.branch), file)
        if opened is not None:
            opened.orphan, opened.moved = inode.changed(nlink=0, content=None), True

    def lost(self, tree: Tree, file: FileId, inode: Inode) -> None:
        """A name of the inode went; without any name it lives on only in handles."""
        if inode.nlink:
            return
        space = Space(tree.branch)
        opened = self.find(space, file)
        if opened is not None:
            opened.orphan = inode
        elif isinstance(inode.content, int):
            self._history.drafts.drop(inode.content, self._history.table.branches[tree.branch].open)
        self._orphans[node_id(space, file)] = inode
        while len(self._orphans) > _ORPHANS:
            del self._orphans[next(iter(self._orphans))]

    def publish(self) -> None:
        """Puts all that was written into the branches' rows."""
        for opened in self._files.values():
            opened.publish()

    def adopt(self, outcome: Seal) -> None:
        """A draft was sealed: files that show it show its content from now on."""
        for opened in self._files.values():
            opened.adopt(outcome.draft, outcome.content, outcome.map)

    def reload(self) -> None:
        """Somebody changed rows past the handles: files that are only read show the new ones."""
        for opened in self._files.values():
            # A row and the record of its bytes may not be of one moment; if it is damage, reading will tell.
            with suppress(Corrupt):
                opened.reload()

    def is_written(self, tree: Tree, file: FileId) -> bool:
        """Whether somebody writes to a file, or may."""
        opened = self.find(Space(tree.branch), file)
        return opened is not None and (opened.writers > 0 or opened.is_being_written)

    def is_busy(self, branch: BranchId) -> bool:
        """Whether files of a branch are open."""
        return next(self._of(branch), None) is not None

    def freezing(self, branch: BranchId) -> list[bytes]:
        """Puts files that are being written into the layer as of their last close; gives their paths."""
        paths = []
        for opened in [opened for opened in self._of(branch) if opened.is_being_written]:
            opened.publish()
            opened.as_of_last_close()
            path = opened.view.path_of(opened.file) if opened.orphan is None else None
            paths += [path] if path is not None else []
        return paths

    def frozen(self, branch: BranchId) -> None:
        """Puts them into the next layer as they are."""
        for opened in self._of(branch):
            opened.publish()

    def _of(self, branch: BranchId) -> Iterator[OpenFile]:
        return (opened for (space, _), opened in self._files.items() if space == Space(branch))
