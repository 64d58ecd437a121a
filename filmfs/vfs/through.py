"""A staging file that programs write without asking us: what it holds is the file, and we look at it when we must know.

A door that can hand a plain file to its users (FUSE passthrough) lets them write a new file's bytes straight into its
staging file. Length, time and holes are then asked of that file. An opener may outlive its handle (a shared mapping
does): who wants the bytes to stay as they are asks `is_quiet` first.
"""

import os
from dataclasses import dataclass

from filmfs.core.errors import from_os_error
from filmfs.core.extents import Extent, ExtentMap, MapBuilder
from filmfs.core.ids import BlobId
from filmfs.store.blobs import Blobs
from filmfs.store.contents import LITERAL_MAX
from filmfs.store.disk import change_room, nobody_writes

_RUNS = 4096  # a file with more holes is taken as it lies on the disk, zeros and all


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found: the map, and the time of the last write (None: none since the last stamp)."""

    map: ExtentMap
    mtime: int | None


class Through:
    """One staging file under writers that are not seen. Owned by the thread that owns the tree."""

    def __init__(self, blobs: Blobs, blob: BlobId, descriptor: int, mtime: int, now: int) -> None:
        """Takes over an empty staging file, open for reading only.

        No write to it counts as later than `mtime` before there was one, and none as earlier than `now`.
        """
        self.blob = blob
        self.published = 0  # the length that the row says, or will with the next flush
        self._limit: int | None = None  # what the file is about to be cut to
        self._path = blobs.staging_path(blob)
        self._descriptor = descriptor
        self._key: tuple[int, int, int, bytes | None] | None = None
        self._stamped = 0
        self.stamp(mtime)
        self._floor = now

    @property
    def size(self) -> int:
        """The length now."""
        size = os.fstat(self._descriptor).st_size
        return size if self._limit is None else min(size, self._limit)

    def look(self) -> Seen | None:
        """What it holds now; None when nothing changed since the last look."""
        found = os.fstat(self._descriptor)
        size = self.size
        # Of few bytes the row has copies, and two writes may come within one tick of the clock.
        few = self.read(0, size) if size <= LITERAL_MAX else None
        key = size, found.st_mtime_ns, found.st_blocks, few
        if key == self._key:
            return None
        self._key = key
        mtime = max(found.st_mtime_ns, self._floor) if found.st_mtime_ns != self._stamped else None
        if few is not None:
            return Seen(ExtentMap.of_bytes(few), mtime)
        if found.st_blocks * 512 >= size:
            return Seen(ExtentMap.of_blob(self.blob, size), mtime)
        return Seen(self._with_holes(size), mtime)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes. Raises what the disk says."""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise from_os_error(error, "reading a file that is being written") from error

    def duplicate(self) -> int:
        """A descriptor of its own for a door; the caller's to close."""
        return os.dup(self._descriptor)

    def stamp(self, mtime: int) -> None:
        """Sets the time of the last write, nanoseconds since 1970."""
        self._floor = 0
        os.utime(self._descriptor, ns=(mtime, mtime))
        self._stamped = os.fstat(self._descriptor).st_mtime_ns
        self._key = None

    def will_shrink(self, size: int) -> None:
        """It looks as short as that from now on."""
        self._limit = size

    def will_not_shrink(self) -> None:
        """Undoes `will_shrink`."""
        self._limit = None
        self.published = max(self.published, self.size)  # the row that is durable may say so much

    def truncate(self, size: int) -> None:
        """Cuts the file or lets it grow. Raises what the disk says."""
        self._limit = None
        try:
            os.truncate(self._path, size)
        except OSError as error:
            raise from_os_error(error, "changing a file's length") from error

    def allocate(self, mode: int, offset: int, length: int) -> None:
        """fallocate(2). Raises what the disk says."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        try:
            change_room(descriptor, mode, offset, length)
        except OSError as error:
            raise from_os_error(error, "changing a file's room") from error
        finally:
            os.close(descriptor)

    def is_quiet(self) -> bool:
        """Whether nobody can write to it any more."""
        return nobody_writes(self._descriptor)

    def close(self) -> None:
        """Lets go of the staging file."""
        os.close(self._descriptor)

    def _with_holes(self, size: int) -> ExtentMap:
        found, position, runs = MapBuilder(ExtentMap()), 0, 0
        while position < size:
            try:
                start = os.lseek(self._descriptor, position, os.SEEK_DATA)
            except OSError:  # ENXIO: no data from here on
                break
            position = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), size)
            runs += 1
            if runs > _RUNS:
                return ExtentMap.of_blob(self.blob, size)
            if start < position:
                found.write(Extent(start, position - start, self.blob, start))
        found.truncate(size)
        return found.value
