"""A file's bytes while they are written through us: where each write goes, and what the file is made of then.

A sealed blob is never touched. Small files are bytes in memory, new files go to a staging file at the same offsets
("whole"), and edits of large ones are appended to a staging file of their own ("log") so that changing 4 KiB of 10 GiB
stores 4 KiB. Every session has staging files of its own, so the state of the last close, which a commit takes, is never
written over.

When a session begins and ends is the open file's to say, and what the branch's row says meanwhile is `drafting`'s.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from filmfs.core.errors import from_os_error
from filmfs.core.extents import Extent, ExtentMap, Hole, MapBuilder
from filmfs.core.ids import BlobId
from filmfs.store.contents import LITERAL_MAX, Contents
from filmfs.store.staging import Spares
from filmfs.versioning.history import History

_PIECES = 8  # a write over more pieces of a log is appended to it, and makes them one: that reads and writes faster
_COPY_UP = 1 << 18  # files up to this size are rewritten whole when they are edited: one blob reads faster than two


@dataclass(slots=True)
class _Staging:
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


class Writing:
    """The bytes of one writing session. Owned by the thread that owns the tree."""

    def __init__(self, history: History, before: ExtentMap) -> None:
        """The file was `before`; call `begin`, and `close` in the end whether or not that went well."""
        self._history = history
        self._map = MapBuilder(before)
        self._small: bytearray | None = None  # all bytes, while they are few; else `_map` says what they are
        self._small_map: ExtentMap | None = None  # of what is in `_small`, once it was asked for
        self._whole: _Staging | None = None
        self._log: _Staging | None = None
        self._pinned: set[BlobId] = set()

    def begin(self, *, emptied: bool, lost: bool = False) -> None:
        """Has the bytes where they can be written to; of a large file that is `emptied` next they may stay away.

        What the disk `lost` bytes of stays where it is: a copy must not pass for what was written.
        """
        before = self._map.value
        size = before.size
        if size:
            self._pinned = before.blobs()
            self._history.drafts.pin(self._pinned)
        if lost:
            pass
        elif size <= LITERAL_MAX:
            self._small = bytearray(self._history.contents.read(before, 0, size))
        elif not emptied and size <= _COPY_UP and before.stored == size:
            data = self._history.contents.read(before, 0, size)
            self._whole = self._stage()
            _write_whole(self._whole, data)
            self._map = MapBuilder(ExtentMap.of_blob(self._whole.blob, size))

    @property
    def size(self) -> int:
        """The length."""
        return len(self._small) if self._small is not None else self._map.size

    @property
    def stored(self) -> int:
        """The length less the holes."""
        return len(self._small) if self._small is not None else self._map.value.stored

    @property
    def map(self) -> ExtentMap:
        """What the file is made of now."""
        if self._small is None:
            return self._map.value
        if self._small_map is None:
            self._small_map = ExtentMap.of_bytes(bytes(self._small))
        return self._small_map

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        """The bytes, if no disk has to be waited for."""
        if self._small is not None:
            return bytes(self._small[offset : offset + length])
        return self._history.contents.read_cached(self._map.value, offset, length)

    def before_write(self, end: int) -> Callable[[], None] | None:
        """See `before_first_write`."""
        if self._whole is not None or self._log is not None or max(end, self.size) <= LITERAL_MAX:
            return None
        return self._history.spares.making()

    def place(self, offset: int, data: bytes | memoryview) -> Placed | None:
        """Where to put `data` or its beginning; None when all is done already. After writing it there call `placed`."""
        small = self._small
        if small is not None:
            end = offset + len(data)
            if end <= LITERAL_MAX:
                small.extend(bytes(max(0, offset - len(small))))
                small[offset:end] = data
                self._small_map = None
                return None
            self._spill()
        whole = self._whole
        if whole is not None:
            return Placed(whole.descriptor, offset, Extent(offset, len(data), whole.blob, offset))
        return self._place_in_log(offset, len(data))

    def placed(self, where: Placed) -> None:
        """The bytes are where `place` said."""
        self._map.write(where.extent)

    def splice(self, pieces: list[Extent | Hole], end: int) -> None:
        """Takes over runs that are kept already, at the offsets that they have here; `end` is where they end."""
        if self._small:
            self._spill()
        self._small = None
        for piece in pieces:
            if isinstance(piece, Hole):
                self._map.punch(piece.offset, piece.offset + piece.length)
            else:
                self._map.write(piece)
        self._map.truncate(max(self._map.size, end))
        taken = {piece.source for piece in pieces if isinstance(piece, Extent) and isinstance(piece.source, int)}
        self._history.drafts.pin(taken - self._pinned)
        self._pinned |= taken

    def writes_to(self, blob: BlobId) -> bool:
        """Whether it is a staging file of this session."""
        return any(staging is not None and staging.blob == blob for staging in (self._whole, self._log))

    def follow(self, source: BlobId, target: BlobId) -> None:
        """What lay in `source`, which somebody else writes to, lies at the same places in `target`."""
        self._map = MapBuilder(self._map.value.moved(source, target))
        if source in self._pinned:
            self._history.drafts.pin({target})
            self._history.drafts.unpin({source})
            self._pinned = self._pinned - {source} | {target}

    def punch(self, start: int, end: int) -> None:
        """Makes the bytes [start, end) inside the file a hole."""
        end = min(end, self.size)
        if start >= end:
            return
        if self._small is not None:
            self._small[start:end] = bytes(end - start)
            self._small_map = None
        else:
            self._map.punch(start, end)

    def truncate(self, size: int) -> None:
        """Cuts the file, or lets it grow by a hole."""
        if size == 0:
            self._restart()
        elif self._small is not None and size <= LITERAL_MAX:
            del self._small[size:]
            self._small.extend(bytes(size - len(self._small)))
            self._small_map = None
        else:
            if self._small is not None:
                self._spill()
            elif size <= LITERAL_MAX:  # the rest will be kept in a record: damage shall be told to who cuts
                self._history.contents.read(self._map.value, 0, min(size, self._map.size))
            # The staging file keeps what was cut off: until the next flush a crash leads back to it. The map hides it.
            self._map.truncate(size)

    def close(self) -> None:
        """Lets go of the staging files, and of the blobs that the edits were built on."""
        for staging in (self._whole, self._log):
            if staging is not None:
                self._release(staging)
        self._whole = self._log = None
        if self._pinned:
            self._history.drafts.unpin(self._pinned)
            self._pinned = set()

    def _restart(self) -> None:
        self.close()
        self._map = MapBuilder(ExtentMap())
        self._small, self._small_map = bytearray(), None

    def _spill(self) -> None:
        """The file outgrew memory: its bytes go to a staging file."""
        data = bytes(self._small or b"")
        staging = self._stage()
        try:
            _write_whole(staging, data)
        except BaseException:
            self._release(staging)
            raise
        self._whole, self._small = staging, None
        self._map = MapBuilder(ExtentMap.of_blob(staging.blob, len(data)))

    def _place_in_log(self, offset: int, length: int) -> Placed:
        log = self._log = self._log or self._stage()
        there = self._map.covering(offset, length)
        if 0 < len(there) <= _PIECES and all(extent.source == log.blob for extent in there):
            at = there[0].source_offset + offset - there[0].offset
            length = min(length, there[0].end - offset)
        else:
            at = log.end
            log.end += length
        return Placed(log.descriptor, at, Extent(offset, length, log.blob, at))

    def _stage(self) -> _Staging:
        blob, descriptor = self._history.spares.take(writable=True)
        self._history.drafts.begin_writing(blob)
        return _Staging(blob, descriptor)

    def _release(self, staging: _Staging) -> None:
        os.close(staging.descriptor)
        self._history.drafts.end_writing(staging.blob)


def before_first_write(history: History, before: ExtentMap, end: int) -> Callable[[], None] | None:
    """Work for another thread, so that a write up to `end` waits for no disk but for the bytes themselves."""
    if LITERAL_MAX < before.size <= _COPY_UP:
        return partial(_have_bytes, history.spares, history.contents, before)
    return history.spares.making() if max(end, before.size) > LITERAL_MAX else None


def _have_bytes(spares: Spares, contents: Contents, extents: ExtentMap) -> None:
    """Has a small file's bytes in the page cache, and a staging file for them."""
    contents.read(extents, 0, extents.size)
    spares.have_one()


def _write_whole(staging: _Staging, data: bytes) -> None:
    write_placed(Placed(staging.descriptor, 0, Extent(0, len(data), staging.blob)), data)


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
