"""A file that somebody has open: its bytes as readers and writers see them now, and its row.

Reading goes through an ExtentMap. Writing is a session, from the first change until the last writer closed: `writing`
knows where its bytes are and `drafting` what the branch's row says of them. `publish` puts the present state there.

A door that can hand plain files to its users asks for it (`go_straight`): a file that is one whole blob is then read,
and a new one written (see `through`), without us. All handles of an OpenFile go the same way while it has some.
"""

from collections.abc import Callable
from stat import S_ISGID, S_ISUID

from filmfs.core.errors import FilmFSError, TooLarge
from filmfs.core.extents import Extent, ExtentMap, Hole
from filmfs.core.ids import BlobId, ContentId, DraftId, FileId
from filmfs.store.contents import Contents
from filmfs.store.disk import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from filmfs.versioning.history import History
from filmfs.versioning.rows import EDITED, Inode
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from filmfs.vfs.drafting import Drafting, drop_draft
from filmfs.vfs.straight import StraightFile
from filmfs.vfs.through import Through
from filmfs.vfs.writing import Placed, Writing, before_first_write

SIZE_MAX = (16 << 40) - 4096  # what ext4 can keep in one file; hashing the holes of much more would need much memory
STRAIGHT_MIN = 1 << 20  # a smaller file gains nothing from being read past us
_PATCHES = 8  # a file in which so much was written twice while it was made is no recording


class OpenFile(StraightFile):
    """One file of one view with open handles. Owned by the thread that owns the tree."""

    def __init__(self, history: History, contents: Contents, view: View, file: FileId) -> None:
        super().__init__(history, contents, view, file)
        self.handles = 0
        self.writers = 0
        self.mtime = self._last.mtime
        self.trouble: FilmFSError | None = None  # why its row cannot say what it holds
        self.is_turned_back = False  # its node is one that it had before: what a door remembers of that may be old
        self._writing: Writing | None = None  # while a session lasts that does not go past us
        self._edited = self._last.rdev  # see rows.EDITED
        self._patches = 0  # writes over what was written before in the same session

    @property
    def size(self) -> int:
        """The file's length as written so far."""
        self._look()
        return self._map.size if self._writing is None else self._writing.size

    @property
    def stored(self) -> int:
        """The length less the holes."""
        self._look()
        return self._map.stored if self._writing is None else self._writing.stored

    @property
    def is_being_written(self) -> bool:
        """Whether anything was changed since the last writer closed."""
        return self._drafting is not None

    @property
    def is_lost(self) -> bool:
        """Whether the disk lost bytes of it, as of the last flush."""
        drafts, through = self._history.drafts, self._through
        return drafts.is_lost(self._source) or (through is not None and drafts.are_torn({through.blob}))

    def shows(self, draft: DraftId) -> bool:
        """Whether it is, or may be again, what a draft is made of."""
        last = self.orphan.content if self.orphan is not None else None
        return draft in (self._source, last) or (self._drafting is not None and self._drafting.refers_to(draft))

    @property
    def map(self) -> ExtentMap:
        """What it is made of now."""
        self._look()
        return self._map if self._writing is None else self._writing.map

    @property
    def content(self) -> ContentId | None:
        """The content that it shows; None when it is empty, being written or not hashed."""
        return self._source if isinstance(self._source, bytes) and self._drafting is None else None

    def inode(self) -> Inode:
        """The inode as it is now, also of a file whose last name is gone."""
        inode = self._row() or self._last
        if self.retired:
            # What its handles read is as it was; whose it is, what it is called and who may is as for everybody.
            return inode.changed(size=self.size, stored=self.stored, mtime=self.mtime)
        self._look()
        if self.modified:
            stored = self.stored
            return inode.changed(size=self.size, stored=stored, mtime=self.mtime, ctime=max(inode.ctime, self.mtime))
        return inode

    # Going straight to one plain file

    def go_straight(self, *, writing: bool, truncate: bool, direct: bool) -> None:
        """The first handle opens, of a door that can hand out plain files: decides whether to.

        What is composed cannot be read with O_DIRECT (`direct`).

        What another process has written and not sealed is never handed out: it may still change. Of writes past us
        nobody learns that they take set-user-ID from a file.
        """
        if writing:
            plain = not self._last.mode & (S_ISUID | S_ISGID)
            if plain and (not self.size or (truncate and self.size >= STRAIGHT_MIN)):
                self._begin_through(truncate=truncate)
        else:
            blob = self._map.whole_blob if self.size >= STRAIGHT_MIN and self.is_settled else None
            if blob is not None and not self._history.drafts.is_written(blob):
                self.straight = self._contents.blobs.size_on_disk(blob) == self.size
            elif blob is None and not direct and isinstance(self._source, bytes) and self.size >= STRAIGHT_MIN:
                self.composed = self._contents.composer.find(self._source)
                self.straight = self.composed is not None

    @property
    def is_edited(self) -> bool:
        """Whether it was changed in place, by a database or a hand: it will be again, while others read it."""
        return bool(self._edited)

    def may_follow(self, blob: BlobId) -> bool:
        """Whether it is made of a staging file, does not write there and is not what was lost of it."""
        if self._through is not None or self.is_lost:
            return False
        writes = self._writing is not None and self._writing.writes_to(blob)
        return not writes and blob in self.map.blobs()

    def follow(self, source: BlobId, target: BlobId) -> None:
        """See closing.Follower."""
        if self._writing is not None:
            self._writing.follow(source, target)
        else:
            self._tell_change()
            self._map = self._map.moved(source, target)

    def set_mtime(self, mtime: int) -> None:
        """Somebody set the time of the last write."""
        self._look()
        self.mtime = mtime
        if self._through is not None:
            self._through.stamp(mtime)

    def _begin_through(self, *, truncate: bool) -> None:
        before = self._row() or self._last
        blob, descriptor = self._history.spares.take(writable=False)
        self._through = Through(self._contents.blobs, blob, descriptor, before.mtime, self._history.clock())
        self._begin_session(before)
        self._history.drafts.begin_writing(blob)
        self._edited = 0
        self._map = ExtentMap()
        self.straight = True
        if truncate and before.size:
            self._touch()

    def _look(self) -> None:
        seen = self._through.look() if self._through is not None else None
        if seen is None:
            return
        if seen.map != self._map or seen.mtime is not None:
            self.modified = True
        self._map = seen.map
        if seen.mtime is not None:
            self.mtime = seen.mtime

    # Reading

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        """The bytes, if no disk has to be waited for."""
        if self._writing is not None:
            return self._writing.read_now(offset, length)
        return self._contents.read_cached(self.map, offset, length)

    # Writing

    def before_write(self, end: int) -> Callable[[], None] | None:
        """Work for another thread, so that a write up to `end` waits for no disk but for the bytes themselves."""
        if self._through is not None:
            return None
        if self._writing is not None:
            return self._writing.before_write(end)
        return before_first_write(self._history, self._map, end)

    def place(self, offset: int, data: bytes | memoryview) -> Placed | None:
        """Where to put `data` or its beginning; None when all is done already. After writing it there call `placed`."""
        if offset + len(data) > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        where = (self._writing or self._begin()).place(offset, data)
        if where is None:
            self._touch()
        return where

    def placed(self, where: Placed) -> None:
        """The bytes are where `place` said."""
        assert self._writing is not None
        if where.extent.offset < self._writing.size:
            self._patches += 1
            if self._patches >= _PATCHES:
                self._edited = EDITED
        self._writing.placed(where)
        self._touch()

    def splice(self, pieces: list[Extent | Hole], end: int, *, whole: ContentId | None = None) -> None:
        """Takes over runs that are kept already, at the offsets that they have here; `end` is where they end.

        With `whole` they are all of that content.
        """
        if end > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        (self._writing or self._begin()).splice(pieces, end)
        if whole is not None:
            assert self._drafting is not None
            self._drafting.copied = whole, self._load(whole)
        self._touch()

    def punch(self, start: int, end: int) -> None:
        """Makes the bytes [start, end) inside the file a hole."""
        if self._through is not None:
            self._refuse_if_closed_under_it()
            self._through.allocate(PUNCH_HOLE, start, end - start)
            return
        (self._writing or self._begin()).punch(start, end)
        self._touch()

    def allocate(self, start: int, end: int, *, keep_size: bool) -> None:
        """Has room for [start, end); elsewhere than in a plain file that is only a length."""
        if self._through is not None:
            self._through.allocate(KEEP_SIZE if keep_size else 0, start, end - start)
        elif not keep_size and end > self.size:
            self.truncate(end)

    def zero(self, start: int, end: int, *, keep_size: bool) -> None:
        """Makes the bytes [start, end) zeros, with room for them in a plain file."""
        if self._through is not None:
            self._refuse_if_closed_under_it()
            self._through.allocate(ZERO_RANGE | (KEEP_SIZE if keep_size else 0), start, end - start)
            return
        self.allocate(start, end, keep_size=keep_size)
        self.punch(start, end)

    def truncate(self, size: int) -> None:
        """Cuts the file, or lets it grow by a hole."""
        if size > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        if self._through is not None:
            self._through.truncate(size)
        else:
            (self._writing or self._begin(emptied=size == 0)).truncate(size)
        self._touch()

    def _begin(self, *, emptied: bool = False) -> Writing:
        """Starts a session of writing through us; `emptied`: what the file holds will not be needed."""
        self._begin_session(self._row() or self._last)
        self._patches, self._edited = 0, EDITED if self._map.size and not emptied else 0
        self._writing = Writing(self._history, self._map)
        self._writing.begin(emptied=emptied, lost=self.is_lost)
        return self._writing

    def _begin_session(self, before: Inode) -> None:
        assert self._drafting is None
        assert isinstance(self.view, Tree)
        self._tell_change()
        self._drafting = Drafting(self._history, self.view, self.file, before)

    def _touch(self) -> None:
        self.mtime = self._history.clock()
        self.modified = True

    # Its row

    def publish(self) -> None:
        """Puts the present bytes into the branch's row; they become durable with the next flush."""
        session = self._drafting
        if session is None:
            return
        self._look()
        if self._through is not None and session.draft is not None:
            self._history.buffers.must_sync(self._through.blob)  # what was written in place is not seen
        if not self.modified:
            return
        inode = self._row()
        if inode is None:
            if not self._vanished:
                session.forget_draft()
            return
        now = self.map
        self._source = session.content_of(now)
        session.tree.put_inode(
            self.file,
            inode.changed(
                content=self._source,
                size=now.size,
                stored=now.stored,
                mtime=self.mtime,
                ctime=max(inode.ctime, self.mtime),
                rdev=self._edited,
            ),
        )
        if self._through is not None:
            self._through.published = now.size
        self.modified = False

    def note_close(self) -> None:
        """The last writer closed while others still look at a file that is written past us, and will see what follows.

        The session goes on; what is there now is the file as of its last close.
        """
        if self._drafting is None or self._through is None or not self._through.is_quiet():
            return
        self.publish()
        inode = self._row()
        if inode is not None:
            self._drafting.note_close(inode)

    def finish(self) -> None:
        """The last writer closed: what is there now is the file as of its last close.

        Not yet if somebody can still write past us (a shared mapping); it `is_being_written` until a later call.
        """
        if self._drafting is None or (self._through is not None and not self._through.is_quiet()):
            return
        self.publish()
        session, self._drafting = self._drafting, None
        if not self._vanished:
            session.end(self._source, named=self.orphan is None)
        if self._writing is not None:
            self._map = self._writing.map
            self._writing.close()
            self._writing = None
        if self._through is not None:
            self._through.close()
            self._history.drafts.end_writing(self._through.blob)
            self._through = None

    def abandon(self) -> None:
        """The last handle of a file without a name closed: its bytes go."""
        self.finish()
        if self.orphan is not None and not self._vanished:
            drop_draft(self._history, self.view, self.orphan.content)

    def as_of_last_close(self) -> None:
        """Makes the row say what the file was at its last close, for a layer that is about to freeze."""
        session, inode = self._drafting, self._row()
        if session is not None and inode is not None:
            session.tree.put_inode(self.file, session.as_of_last_close(inode))
            self.modified = True

    def adopt(self, draft: DraftId, content: ContentId, extents: ExtentMap) -> None:
        """A draft that this file may be showing was sealed."""
        if self._source == draft and isinstance(self._source, int):
            self._source = content
            if self._drafting is None:
                self._map = extents
        if self._drafting is not None:
            self._drafting.adopt(draft, content)

    @property
    def is_outdated(self) -> bool:
        """Whether somebody else changed the row, and it is not being written."""
        inode = self.view.inode(self.file)
        if inode is None or self._drafting is not None:
            return False
        # Of a draft that another process writes the number stays and the map changes.
        return inode.content != self._source or (isinstance(inode.content, int) and not self.straight)
