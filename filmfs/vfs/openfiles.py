"""A file that somebody has open: its bytes as readers and writers see them now.

Reading goes through an ExtentMap. Writing never touches a sealed blob: small files are bytes in memory, new files go
to a staging file at the same offsets ("whole"), and edits of large ones are appended to a staging file of their own
("log") so that changing 4 KiB of 10 GiB stores 4 KiB. `publish` puts the present state into the branch's row; a writing
session ends when its last writer closes. Every session has staging files of its own, so the state of the last close,
which a commit takes, is never written over.

A door that can hand plain files to its users asks for it (`go_straight`): a file that is one whole blob is then read,
and a new one written (see `through`), without us. All handles of an OpenFile go the same way while it has some.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from filmfs.core.errors import TooLarge, from_os_error
from filmfs.core.extents import Extent, ExtentMap, Hole, MapBuilder
from filmfs.core.ids import BlobId, ContentId, DraftId, FileId, identify_leaf
from filmfs.store.contents import CONTENT, LITERAL_MAX, ContentRef, Contents, pack_extents
from filmfs.store.disk import KEEP_SIZE, PUNCH_HOLE
from filmfs.store.staging import Spares
from filmfs.versioning.history import History
from filmfs.versioning.rows import EDITED, Inode
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from filmfs.vfs.through import Through

SIZE_MAX = (16 << 40) - 4096  # what ext4 can keep in one file; hashing the holes of much more would need much memory
STRAIGHT_MIN = 1 << 20  # a smaller file gains nothing from being read past us
_PATCHES = 8  # a file in which so much was written twice while it was made is no recording
_COPY_UP = 1 << 18  # files up to this size are rewritten whole when they are edited: one blob reads faster than two


@dataclass(slots=True)
class Staging:
    """A staging file under a writer; `end` is where a log appends."""

    blob: BlobId
    descriptor: int
    end: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the bytes of one write go."""

    descriptor: int
    at: int
    extent: Extent


@dataclass(frozen=True, slots=True)
class _Closed:
    """A file's bytes as of its last close."""

    content: ContentRef
    size: int
    stored: int
    mtime: int


class OpenFile:
    """One file of one view with open handles. Owned by the thread that owns the tree."""

    def __init__(self, history: History, contents: Contents, view: View, file: FileId) -> None:
        inode = view.get_inode(file)
        self.file = file
        self.view = view
        self.handles = 0
        self.writers = 0
        self.orphan: Inode | None = None
        self.moved = False  # to another branch: an orphan that nothing but its handles leads to
        self._last = inode
        self.mtime = inode.mtime
        self.modified = False  # holds something that its row does not say yet
        self.straight = False  # its handles go to one plain file, past us
        self.on_change: Callable[[], None] | None = None  # called once, before its bytes become others
        self.retired = False  # its handles keep what they opened; the file has gone on under another node
        self._history = history
        self._contents = contents
        self._map = MapBuilder(self._load(inode.content))
        self._source: ContentRef = inode.content
        self._small: bytearray | None = None
        self._small_map: ExtentMap | None = None  # of what is in `_small`, once it was asked for
        self._closed: _Closed | None = None  # set while a writing session lasts
        self._draft: DraftId | None = None
        self._whole: Staging | None = None
        self._log: Staging | None = None
        self._through: Through | None = None
        self._edited = inode.rdev  # see rows.EDITED
        self._patches = 0  # writes over what was written before in the same session
        self._floor = 0  # what is written past us is no older
        self._published = 0  # the length that the row says, or will with the next flush
        self._copied: tuple[ContentId, ExtentMap] | None = None
        self._pinned: set[BlobId] = set()

    @property
    def size(self) -> int:
        """The file's length as written so far."""
        self._look()
        return len(self._small) if self._small is not None else self._map.size

    @property
    def stored(self) -> int:
        """The length less the holes."""
        self._look()
        return len(self._small) if self._small is not None else self._map.value.stored

    @property
    def is_being_written(self) -> bool:
        """Whether anything was changed since the last writer closed."""
        return self._closed is not None

    @property
    def is_settled(self) -> bool:
        """Whether the blobs that hold it can only change through us."""
        return not isinstance(self._source, int) or self._history.drafts.map_of(self._source) is not None

    @property
    def is_written_through(self) -> bool:
        """Whether it may change without our being told."""
        return self._through is not None

    @property
    def map(self) -> ExtentMap:
        """What it is made of now."""
        self._look()
        return self._now()

    @property
    def content(self) -> ContentId | None:
        """The content that it shows; None when it is empty, being written or not hashed."""
        return self._source if isinstance(self._source, bytes) and self._closed is None else None

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

    def go_straight(self, *, writing: bool, truncate: bool) -> None:
        """The first handle opens, of a door that can hand out plain files: decides whether to.

        What another process has written and not sealed is never handed out: it may still change.
        """
        if writing:
            if not self.size or (truncate and self.size >= STRAIGHT_MIN):
                self._begin_through(truncate=truncate)
        else:
            blob = self._map.value.whole_blob if self.size >= STRAIGHT_MIN and self.is_settled else None
            self.straight = blob is not None and self._contents.blobs.size_on_disk(blob) == self.size

    def open_straight(self) -> int:
        """The plain file that its handles go to, opened for reading; the descriptor is the caller's to close."""
        if self._through is not None:
            return self._through.duplicate()
        blob = self._map.value.whole_blob
        assert blob is not None
        return self._contents.blobs.open(blob)

    def retire(self) -> None:
        """Its handles keep what they opened, whatever becomes of the file."""
        self.retired = True

    @property
    def is_edited(self) -> bool:
        """Whether it was changed in place, by a database or a hand: it will be again, while others read it."""
        return bool(self._edited)

    def note_close(self) -> None:
        """The last writer closed while others still look at the file, who shall see what is appended next.

        The session goes on; what is there now is the file as of its last close.
        """
        if self._through is None or self._closed is None or not self._through.is_quiet():
            return
        self.publish()
        before = self._closed
        self._closed = _Closed(self._source, self.size, self.stored, self.mtime)
        if isinstance(before.content, int) and before.content != self._source:
            self._drop(before.content)
        if self._draft is not None:
            self._history.drafts.closed(self._draft)  # to be hashed when the session ends
        self._draft = None

    def will_shrink(self, size: int) -> bool:
        """Whether a cut to `size` must wait for a flush of the shorter file: call `truncate` after it in any case.

        Otherwise a crash could leave a row that says more than the staging file has.
        """
        if self._through is None or size >= self._published:
            return False
        self._through.limit = size
        self.modified = True
        return True

    def will_not_shrink(self) -> None:
        """Undoes `will_shrink`."""
        if self._through is not None:
            self._through.limit = None

    def set_mtime(self, mtime: int) -> None:
        """Somebody set the time of the last write."""
        self._look()
        self.mtime = mtime
        if self._through is not None:
            self._floor = 0
            self._through.stamp(mtime)

    def _begin_through(self, *, truncate: bool) -> None:
        inode = self._row() or self._last
        blob, descriptor = self._history.spares.take(writable=False)
        self._through = Through(self._contents.blobs, blob, descriptor, inode.mtime)
        self._tell_change()
        self._closed = _Closed(inode.content, inode.size, inode.stored, inode.mtime)
        self._edited = 0
        self._floor = self._history.clock()
        self._history.drafts.begin_writing(self._through.blob)
        self._published = 0
        self._map = MapBuilder(ExtentMap())
        self.straight = True
        if truncate and inode.size:
            self._touch()

    def _look(self) -> None:
        seen = self._through.look() if self._through is not None else None
        if seen is None:
            return
        if seen.map != self._map.value or seen.mtime is not None:
            self.modified = True
        self._map = MapBuilder(seen.map)
        if seen.mtime is not None:
            self.mtime = max(seen.mtime, self._floor)

    # Reading

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        """The bytes, if no disk has to be waited for."""
        if self._small is not None:
            return bytes(self._small[offset : offset + length])
        return self._contents.read_cached(self.map, offset, length)

    # Writing

    def before_write(self, end: int) -> Callable[[], None] | None:
        """Work for another thread, so that a write up to `end` waits for no disk but for the bytes themselves."""
        if self._whole is not None or self._log is not None or self._through is not None:
            return None
        size = self.size
        if end <= LITERAL_MAX and size <= LITERAL_MAX:
            return None
        spares = self._history.spares
        if self._closed is None and LITERAL_MAX < size <= _COPY_UP:
            return partial(_have_bytes, spares, self._contents, self._map.value)
        return spares.making()

    def place(self, offset: int, data: bytes) -> Placed | None:
        """Where to put `data`; None when it is done already. After writing it there call `placed`."""
        end = offset + len(data)
        if end > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        self._begin()
        if self._small is not None:
            if end <= LITERAL_MAX:
                self._small.extend(bytes(max(0, offset - len(self._small))))
                self._small[offset:end] = data
                self._touch()
                return None
            self._spill()
        return self._placed_at(offset, len(data))

    def placed(self, where: Placed) -> None:
        """The bytes are where `place` said."""
        if where.extent.offset < self._map.size:
            self._patches += 1
            if self._patches >= _PATCHES:
                self._edited = EDITED
        self._map.write(where.extent)
        self._touch()

    def splice(self, pieces: list[Extent | Hole], end: int, *, whole: ContentId | None = None) -> None:
        """Takes over runs that are kept already, at the offsets that they have here; `end` is where they end.

        With `whole` they are all of that content.
        """
        if end > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        self._begin()
        if self._small is not None and self._small:
            self._spill()
        self._small = None
        for piece in pieces:
            if isinstance(piece, Hole):
                self._map.punch(piece.offset, piece.offset + piece.length)
            else:
                self._map.write(piece)
        self._map.truncate(max(self._map.size, end))
        if whole is not None:
            self._copied = whole, self._load(whole)
        taken = {piece.source for piece in pieces if isinstance(piece, Extent) and isinstance(piece.source, int)}
        self._history.drafts.pin(taken - self._pinned)
        self._pinned |= taken
        self._touch()

    def punch(self, start: int, end: int) -> None:
        """Makes the bytes [start, end) inside the file a hole."""
        if self._through is not None:
            self._through.allocate(PUNCH_HOLE, start, end - start)
            return
        self._begin()
        end = min(end, self.size)
        if self._small is not None:
            self._small[start:end] = bytes(max(0, end - start))
        elif start < end:
            self._map.punch(start, end)
        self._touch()

    def allocate(self, start: int, end: int, *, keep_size: bool) -> None:
        """Has room for [start, end); elsewhere than in a plain file that is only a length."""
        if self._through is not None:
            self._through.allocate(KEEP_SIZE if keep_size else 0, start, end - start)
        elif not keep_size and end > self.size:
            self.truncate(end)

    def write(self, offset: int, data: bytes) -> None:
        """Places and writes at once. Raises what the disk says; the file is then as it was."""
        where = self.place(offset, data)
        if where is not None:
            write_placed(where, data)
            self.placed(where)

    def truncate(self, size: int) -> None:
        """Cuts the file, or lets it grow by a hole."""
        if size > SIZE_MAX:
            raise TooLarge("a file cannot be that large")
        if self._through is not None:
            self._through.limit = None
            self._through.truncate(size)
            self._touch()
            return
        self._begin(keep=size)
        if size == 0:
            self._restart()
        elif self._small is not None and size <= LITERAL_MAX:
            del self._small[size:]
            self._small.extend(bytes(size - len(self._small)))
        else:
            if self._small is not None:
                self._spill()
            # The staging file keeps what was cut off: until the next flush a crash leads back to it. The map hides it.
            self._map.truncate(size)
        self._touch()

    def publish(self) -> None:
        """Puts the present bytes into the branch's row; they become durable with the next flush."""
        self._look()
        if self._through is not None and self._draft is not None:
            self._history.buffers.must_sync(self._through.blob)  # what was written in place is not seen
        inode = self._row() if self.modified else None
        if inode is None:
            return
        assert isinstance(self.view, Tree)
        content, now = self._content(), self._now()
        self.view.put_inode(
            self.file,
            inode.changed(
                content=content,
                size=now.size,
                stored=now.stored,
                mtime=self.mtime,
                ctime=max(inode.ctime, self.mtime),
                rdev=self._edited,
            ),
        )
        self._source = content
        self._published = now.size
        self.modified = False

    def finish(self) -> None:
        """The last writer closed: what is there now is the file as of its last close.

        Not yet if somebody can still write past us (a shared mapping); it `is_being_written` until a later call.
        """
        if self._closed is None or (self._through is not None and not self._through.is_quiet()):
            return
        self.publish()
        before, self._closed = self._closed, None
        if self._draft is not None and (self.orphan is not None or self._source != self._draft):
            self._drop(self._draft)
        elif self._draft is not None:
            self._history.drafts.closed(self._draft)
        if isinstance(before.content, int) and before.content != self._source:
            self._drop(before.content)
        if self._small is not None:
            self._map = MapBuilder(self._now())
            self._small = None
        self._draft = None
        self._release_staging()

    def abandon(self) -> None:
        """The last handle of a file without a name closed: its bytes go."""
        self.finish()
        inode = self.orphan
        if inode is not None and isinstance(inode.content, int):
            self._drop(inode.content)

    # Freezing

    def as_of_last_close(self) -> None:
        """Makes the row say what the file was at its last close, for a layer that is about to freeze."""
        closed, inode = self._closed, self._row()
        if closed is not None and inode is not None:
            assert isinstance(self.view, Tree)
            self.view.put_inode(
                self.file,
                inode.changed(content=closed.content, size=closed.size, stored=closed.stored, mtime=closed.mtime),
            )
            self.modified = True

    def adopt(self, draft: DraftId, content: ContentId, extents: ExtentMap) -> None:
        """A draft that this file may be showing was sealed."""
        if self._source == draft and isinstance(self._source, int):
            self._source = content
            if self._closed is None:
                self._map = MapBuilder(extents)
        closed = self._closed
        if closed is not None and closed.content == draft and isinstance(closed.content, int):
            self._closed = _Closed(content, closed.size, closed.stored, closed.mtime)

    @property
    def is_outdated(self) -> bool:
        """Whether somebody else changed the row, and it is not being written."""
        inode = self.view.inode(self.file)
        if inode is None or self._closed is not None:
            return False
        # Of a draft that another process writes the number stays and the map changes.
        return inode.content != self._source or (isinstance(inode.content, int) and not self.straight)

    def reload(self) -> None:
        """Shows what the row says now."""
        self._tell_change()
        content = self.view.get_inode(self.file).content
        self._map = MapBuilder(self._load(content))
        self._source = content

    def _tell_change(self) -> None:
        tell, self.on_change = self.on_change, None
        if tell is not None:
            tell()

    def _now(self) -> ExtentMap:
        if self._small is None:
            return self._map.value
        if self._small_map is None:
            self._small_map = ExtentMap.of_bytes(bytes(self._small))
        return self._small_map

    def _row(self) -> Inode | None:
        """The file's row; None once its last name is gone, whoever took it."""
        if self.orphan is None:
            inode = self.view.inode(self.file)
            if inode is None:
                self.orphan = self._last.changed(nlink=0)
            else:
                self._last = inode
            return inode
        self._last = self.orphan
        return None

    def _load(self, content: ContentRef) -> ExtentMap:
        if isinstance(content, int):
            found = self._history.drafts.map_of(content)
            if found is not None:
                return found
        if isinstance(content, bytes):
            found = self._history.buffers.pending_map(content)
            if found is not None:
                return found
        return self._contents.map_of(content, self._history.database.current())

    def _begin(self, keep: int | None = None) -> None:
        """Starts a writing session; the first `keep` bytes (all, when None) will still be needed."""
        if self._closed is not None:
            assert self._through is None
            return
        self._tell_change()
        inode = self._row() or self._last
        self._closed = _Closed(inode.content, inode.size, inode.stored, inode.mtime)
        size = self._map.size
        self._patches = 0
        self._edited = EDITED if size and keep != 0 else 0
        if size:
            self._pinned = self._map.value.blobs()
            self._history.drafts.pin(self._pinned)
        needed = size if keep is None else min(keep, size)
        if size <= LITERAL_MAX:
            self._small = bytearray(self._contents.read(self._map.value, 0, size))
            self._small_map = None
        elif needed and size <= _COPY_UP and self._map.value.stored == size:
            data = self._contents.read(self._map.value, 0, size)
            self._whole = self._stage()
            write_placed(Placed(self._whole.descriptor, 0, Extent(0, size, self._whole.blob)), data)
            self._map = MapBuilder(ExtentMap.of_blob(self._whole.blob, size))

    def _spill(self) -> None:
        """The file outgrew memory: its bytes go to a staging file."""
        data = bytes(self._small or b"")
        staging = self._stage()
        try:
            write_placed(Placed(staging.descriptor, 0, Extent(0, len(data), staging.blob)), data)
        except BaseException:
            self._release(staging)
            raise
        self._whole, self._small = staging, None
        self._map = MapBuilder(ExtentMap.of_blob(staging.blob, len(data)))

    def _placed_at(self, offset: int, length: int) -> Placed:
        whole = self._whole
        if whole is not None:
            return Placed(whole.descriptor, offset, Extent(offset, length, whole.blob, offset))
        log = self._log = self._log or self._stage()
        there = self._map.covering(offset, length)
        if there is not None and there.source == log.blob:
            at = there.source_offset + offset - there.offset
        else:
            at = log.end
            log.end += length
        return Placed(log.descriptor, at, Extent(offset, length, log.blob, at))

    def _restart(self) -> None:
        self._release_staging()
        self._map = MapBuilder(ExtentMap())
        self._small = bytearray()

    def _content(self) -> ContentRef:
        if self._copied is not None and self._copied[1] == self._map.value:
            return self._copied[0]
        if self._small is not None or self._map.size <= LITERAL_MAX:
            return self._literal()
        if self._draft is None:
            self._draft = self._history.new_draft()
        assert isinstance(self.view, Tree)
        layer = self._history.table.branches[self.view.branch].open
        base = self._closed.content if self._closed is not None else None
        base_content = base if isinstance(base, bytes) else None
        self._history.drafts.keep(self._draft, self._map.value, self.file, layer, base_content)
        return self._draft

    def _literal(self) -> ContentId | None:
        extents = self._now()
        if not extents.size:
            return None
        data = self._contents.read(extents, 0, extents.size)
        if self._small is None:
            extents = ExtentMap.of_bytes(data)
        content, leaves = identify_leaf(data)
        self._history.buffers.record((CONTENT, content, [extents.size, pack_extents(extents), leaves]))
        return content

    def _stage(self) -> Staging:
        blob, descriptor = self._history.spares.take(writable=True)
        self._history.drafts.begin_writing(blob)
        return Staging(blob, descriptor)

    def _release_staging(self) -> None:
        for staging in (self._whole, self._log):
            if staging is not None:
                self._release(staging)
        if self._through is not None:
            self._through.close()
            self._history.drafts.end_writing(self._through.blob)
        self._whole = self._log = self._through = self._copied = None
        if self._pinned:
            self._history.drafts.unpin(self._pinned)
            self._pinned = set()

    def _release(self, staging: Staging) -> None:
        os.close(staging.descriptor)
        self._history.drafts.end_writing(staging.blob)

    def _drop(self, draft: DraftId) -> None:
        if isinstance(self.view, Tree):
            self._history.drafts.drop(draft, self._history.table.branches[self.view.branch].open)

    def _touch(self) -> None:
        self._small_map = None
        self.mtime = self._history.clock()
        self.modified = True


def _have_bytes(spares: Spares, contents: Contents, extents: ExtentMap) -> None:
    """Has a small file's bytes in the page cache, and a staging file for them."""
    contents.read(extents, 0, extents.size)
    spares.have_one()


def write_placed(where: Placed, data: bytes | memoryview) -> float:
    """Writes all of `data`; the seconds that it took. Raises NoSpace and its kind."""
    view, at, start = memoryview(data), where.at, time.monotonic()
    try:
        while view:
            count = os.pwrite(where.descriptor, view, at)
            view, at = view[count:], at + count
    except OSError as error:
        raise from_os_error(error, "writing") from error
    return time.monotonic() - start
