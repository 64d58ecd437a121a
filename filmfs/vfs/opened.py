"""All files that are open, and those that live on only in handles.

A file whose readers went straight to its blob keeps that blob for them. Whoever then wants to write is answered with
Stale, looks the name up again and gets another node (`turn`) of the same file, which sees the writes.

It is told by History when a layer freezes, so that a commit has files that are being written as of their last close.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from filmfs.core.errors import Corrupt, FilmFSError, IsADirectory, Stale, Usage
from filmfs.core.ids import MAX_BRANCH, BlobId, BranchId, DraftId, FileId
from filmfs.store.contents import LITERAL_MAX, Contents
from filmfs.store.sealing import Seal
from filmfs.versioning.history import History
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.vfs.closing import Copying, Follower
from filmfs.vfs.drafting import drop_draft
from filmfs.vfs.nodes import TURNS, NodeId, Space, node_id, split_node, turn_of
from filmfs.vfs.openfiles import STRAIGHT_MIN, OpenFile
from filmfs.vfs.spaces import Spaces

log = logging.getLogger("filmfs.vfs")

_ORPHANS = 4096
_AWAITED_S = 2.0


class Opened:
    """The open files of a mount, by space and file."""

    def __init__(self, history: History, contents: Contents, spaces: Spaces) -> None:
        self._history = history
        self._contents = contents
        self._spaces = spaces
        self._files: dict[tuple[Space, FileId], OpenFile] = {}
        self._orphans: dict[NodeId, Inode] = {}
        self._turns: dict[tuple[Space, FileId], int] = {}
        self._retired: dict[NodeId, OpenFile] = {}
        self._awaited: dict[tuple[Space, FileId], float] = {}
        self._left: list[tuple[NodeId, bytes]] = []
        history.listen(self)

    def find(self, space: Space, file: FileId) -> OpenFile | None:
        """The file, if it is open."""
        return self._files.get((space if space <= MAX_BRANCH else self._spaces.home(space), file))

    @property
    def is_plain(self) -> bool:
        """Whether nothing is open and each file has its first node: all is as the tree has it."""
        return not self._files and not self._retired and not self._turns

    def node(self, space: Space, file: FileId) -> NodeId:
        """The node that a look-up gives for a file."""
        return node_id(space, file, self._turns.get((space, file), 0) if self._turns else 0)

    def at(self, node: NodeId) -> OpenFile | None:
        """The open file that a node shows: what its readers opened, if they went on with that."""
        if not self._files and not self._retired:
            return None
        return self._retired.get(node) or self.find(*split_node(node))

    def before_open(self, node: NodeId, *, straight: bool) -> Callable[[], None] | None:
        """Work for another thread, after which `open` waits for no disk; None when there is none to do.

        `straight`: it will be asked for a plain file to read. Call it again after that work.
        """
        if self.at(node) is not None:
            return None
        with suppress(FilmFSError):  # `open` will tell
            inode, contents = self.inode(node), self._contents
            ref = inode.content
            if inode.size > LITERAL_MAX and isinstance(ref, bytes) and not contents.is_at_hand(ref):
                return partial(contents.have_at_hand, ref)
            straight = straight and (split_node(node)[0] > MAX_BRANCH or not inode.rdev)  # see `open`
            if straight and inode.size >= STRAIGHT_MIN and isinstance(ref, bytes):
                return contents.composer.making(ref, contents.map_of(ref))
            staged = self._history.drafts.map_of(ref) if isinstance(ref, int) else None
            if staged is not None and not contents.blobs.are_open(staged.blobs()):
                return partial(contents.have_at_hand, ref, staged)
        return None

    def open(
        self,
        node: NodeId,
        *,
        writing: bool,
        truncate: bool,
        straight: bool,
        append: bool = False,
        direct: bool = False,
    ) -> OpenFile:
        """The file for one more handle. Raises Stale when another node shows it now; the name leads to that."""
        space, file = split_node(node)
        if turn_of(node) != self._turns.get((space, file), 0):
            same = None if writing or direct else self._same_as_now(node)
            if same is not None:
                return same
            self._turn_back(node)
            self.get(space, file).is_turned_back = True
        opened = self.get(space, file)
        if not opened.handles:
            opened.finish()
            if not opened.is_being_written:
                opened.straight, opened.composed = False, None
                # What is edited in place is read by all through one node, which sees what others write.
                straight = straight and (writing or space > MAX_BRANCH or not opened.is_edited)
                if straight and self._may_go_straight(space, file, writing=writing):
                    with suppress(FilmFSError):  # a disk that is full or damaged is told to who writes or reads
                        opened.go_straight(writing=writing, truncate=truncate, direct=direct)
        elif writing:
            if not opened.writers and append:
                opened.note_close()  # the kernel may not have let go of it when it told of the close
            elif not opened.writers:
                opened.finish()  # who only looks still followed what would be appended
            self._refuse_to_readers(space, opened)
        elif direct and opened.composed is not None:
            if self._spaces.home(space) != space:  # this node cannot be turned: it shows another space's file
                raise Usage("the file cannot be read with O_DIRECT while others read it without")
            self._refuse_to_readers(space, opened)
        return opened

    def others(self, node: NodeId) -> list[NodeId]:
        """Other nodes that show the same file, or what it was."""
        space, file = split_node(node)
        nodes = {self.node(space, file), *(other for other in self._retired if split_node(other) == (space, file))}
        return sorted(nodes - {node})

    def take_left(self) -> list[tuple[NodeId, bytes]]:
        """Names, with their directories, that lead to another node since the last call."""
        left, self._left = self._left, []
        return left

    def note_left(self, directory: NodeId, name: bytes) -> None:
        """A name leads to another node than before."""
        self._left.append((directory, name))

    def _refuse_to_readers(self, space: Space, opened: OpenFile) -> None:
        """Gives the file its next node if readers went straight to what it is now."""
        if opened.straight and not opened.is_being_written:
            self._turn(space, opened)
            # The kernel looks up and tries again once: no reader may come between and have it refused again.
            self._awaited[space, opened.file] = time.monotonic() + _AWAITED_S
            raise Stale("the file is read as it was; its name leads to the node that can be written")

    def _same_as_now(self, node: NodeId) -> OpenFile | None:
        """What readers went on with under a node, if others read the same bytes still, but cannot read them so."""
        retired, now = self._retired.get(node), self.find(*split_node(node))
        if retired is None or retired.composed is None:
            return None
        return retired if retired.content == (self.inode(node).content if now is None else now.content) else None

    def _turn_back(self, node: NodeId) -> None:
        """Has a node that the file had before, and an NFS server may remember, be its node again.

        Raises Stale while the file, or what it was at that node, is open.
        """
        space, file = key = split_node(node)
        opened = self.find(space, file)
        if node in self._retired or (opened is not None and (opened.handles or opened.is_being_written)):
            raise Stale("the file has another node now")
        inode = self.inode(node)
        self._turns[key] = turn_of(node)
        self._note_left(space, inode)

    def _turn(self, space: Space, opened: OpenFile) -> None:
        key = space, opened.file
        before = self.node(*key)
        opened.retire()
        self._retired[before] = opened
        del self._files[key]
        others = (turn % TURNS for turn in range(turn_of(before) + 1, turn_of(before) + TURNS))
        self._turns[key] = next(turn for turn in others if node_id(*key, turn) not in self._retired)
        self._note_left(space, opened.inode())

    def _note_left(self, space: Space, inode: Inode) -> None:
        self._left += [(node_id(space, parent), name) for parent, name in inode.links]

    def _may_go_straight(self, space: Space, file: FileId, *, writing: bool) -> bool:
        if self._spaces.home(space) != space:
            return False
        if (space, file) not in self._turns or writing:
            return True
        if time.monotonic() < self._awaited.get((space, file), 0):
            return False
        self._awaited.pop((space, file), None)
        return sum(node_id(space, file, turn) in self._retired for turn in range(TURNS)) < TURNS - 1

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
        if opened.retired:
            self._retired = {node: other for node, other in self._retired.items() if other is not opened}
            return
        if opened.orphan is not None:
            opened.abandon()
        key = self._spaces.home(space), opened.file
        if self._files.get(key) is opened:
            del self._files[key]

    def truncate(self, space: Space, file: FileId, size: int) -> None:
        """Cuts a file that may be open or not."""
        opened = self.get(space, file)
        self._refuse_to_readers(self._spaces.home(space), opened)
        try:
            opened.truncate(size)
        finally:
            self._settle(space, opened)

    def _settle(self, space: Space, opened: OpenFile) -> None:
        if not opened.writers:
            if opened.handles and opened.is_written_through:
                opened.note_close()
            else:
                opened.finish()
        if not opened.handles and not opened.is_being_written:
            self.forget(space, opened)

    def close(self, space: Space, opened: OpenFile, *, writing: bool) -> None:
        """One handle less."""
        opened.handles -= 1
        opened.writers -= int(writing)
        if writing or not opened.handles:
            self._settle(space, opened)

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
        else:
            drop_draft(self._history, tree, inode.content)
        self._orphans[node_id(space, file)] = inode
        while len(self._orphans) > _ORPHANS:
            del self._orphans[next(iter(self._orphans))]

    def publish(self) -> None:
        """Puts all that was written into the branches' rows."""
        for (space, _), opened in list(self._files.items()):
            try:
                if opened.is_being_written and not opened.writers:
                    self._settle(space, opened)  # a mapping may have gone
                opened.publish()
            except FilmFSError as error:  # only this file waits for its disk to be mended, or to be written anew
                if opened.trouble is None:
                    log.error("file %d is not durable: %s", opened.file, error)
                opened.trouble = error
            else:
                opened.trouble = None

    def adopt(self, outcome: Seal) -> None:
        """A draft was sealed: files that show it show its content from now on."""
        for opened in self._files.values():
            opened.adopt(outcome.draft, outcome.content, outcome.map)

    def reload(self) -> None:
        """Somebody changed rows past the handles: files that are only read show the new ones."""
        for (space, _), opened in list(self._files.items()):
            if not opened.is_outdated:
                continue
            if opened.straight:
                self._turn(space, opened)
            else:
                # A row and the record of its bytes may not be of one moment; if it is damage, reading will tell.
                with suppress(Corrupt):
                    opened.reload()

    def is_written(self, tree: Tree, file: FileId) -> bool:
        """Whether somebody writes to a file, or may."""
        opened = self.find(Space(tree.branch), file)
        return opened is not None and (opened.writers > 0 or opened.is_being_written)

    def is_busy(self, branch: BranchId) -> bool:
        """Whether files of a branch are open."""
        retired = any(split_node(node)[0] == Space(branch) for node in self._retired)
        return retired or next(self._of(branch), None) is not None

    def freezing(self, branch: BranchId) -> list[bytes]:
        """Puts files that are being written into the layer as of their last close; gives their paths."""
        paths = []
        for opened in list(self._of(branch)):
            if not opened.writers:
                opened.finish()
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

    def copying_closed(self, opened: OpenFile) -> Copying | None:
        """What must be done before a file is cut or written over that is written past us; None: nothing."""
        blob = opened.written_past_us
        if blob is None:
            return None
        drafts = opened.closed_under_it()
        if not drafts and not self._over(blob):
            return None
        return Copying(self._history, blob, drafts, partial(self._over, blob))

    def copying_exposed(self, blob: BlobId) -> Copying:
        """The same for what stands in for a lost file."""
        return Copying(self._history, blob, self._history.drafts.standing_on(blob), partial(self._over, blob))

    def _over(self, blob: BlobId) -> list[Follower]:
        files = (*self._files.values(), *self._retired.values())
        return [file for file in files if file.may_follow(blob)]

    def shows(self, draft: DraftId) -> bool:
        """Whether an open file is, or may be again, what a draft is made of."""
        return any(opened.shows(draft) for opened in (*self._files.values(), *self._retired.values()))

    def _of(self, branch: BranchId) -> Iterator[OpenFile]:
        return (opened for (space, _), opened in self._files.items() if space == Space(branch))
