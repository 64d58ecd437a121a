"""An original's bytes for FFmpeg, and what is known when they cannot be read.

That may pass, unlike damage, so it is told. Or the original is mended: read all the same, with zeros where there are no
bytes; whoever decodes it asks which packets are torn by that.
"""

import io
import os
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import av

from filmfs.core.errors import BadMedia, Corrupt, DiskFailure, FilmFSError, from_os_error

Opener = Callable[[], str | BinaryIO]
"""Gives what PyAV can open: a path, an address, or a file that can be sought."""

UNREADABLE = (OSError, av.error.HTTPError)
"""What FFmpeg raises where bytes are not to be had; its other errors are the film's."""

_DOING = "reading the film"
_BLOCK = 4096
_SKIP_MAX = 1 << 20  # a bad place is tried in larger and larger steps: each failure may take a disk seconds


class Reading:
    """Opens an original as often as it is called. An address that FFmpeg reads by itself cannot be mended."""

    def __init__(self, opener: Opener, *, mends: bool = False) -> None:
        self._opener, self._mends = opener, mends
        self._holes: list[tuple[int, int]] = []
        self._failure: FilmFSError | None = None

    @classmethod
    def of(cls, opener: Opener) -> "Reading":
        """What it is already, or one that tells."""
        return opener if isinstance(opener, Reading) else Reading(opener)

    def __call__(self) -> str | BinaryIO:
        """See Opener."""
        place = self._opener()
        if isinstance(place, str):
            if not self._mends or not os.path.isfile(place):
                return place
            place = open(place, "rb", buffering=0)  # noqa: SIM115 (whoever opens it closes it)
        made = _Mended(place, self._holes) if self._mends else _Watched(place, self._fail)
        return cast(BinaryIO, made)

    def raise_failure(self, error: "av.FFmpegError | OSError | None" = None) -> None:
        """Raises DiskFailure or what the archive says, if that is why there are no more bytes; `error` is FFmpeg's."""
        failure, self._failure = self._failure, None  # it may be opened again
        if failure is not None:
            raise failure
        if isinstance(error, UNREADABLE):
            raise DiskFailure(f"{_DOING}: {error.strerror or error}")

    def raise_gaps(self) -> None:
        """Raises DiskFailure if it was mended: for what must be known of all bytes."""
        if self._holes:
            raise DiskFailure(f"{_DOING}: some of it cannot be read, without which it cannot be known")

    def refuse(self, error: "av.FFmpegError") -> FilmFSError:
        """What it means that FFmpeg does not open it."""
        try:
            self.raise_failure(error)
        except FilmFSError as failure:
            return failure
        return BadMedia(f"FFmpeg cannot read it: {error.strerror or error}")

    def is_torn(self, packet: "av.Packet[Any]") -> bool:
        """Whether bytes of a packet were among those that are missing. Of one that has no place: if any were."""
        if not self._holes or packet.pos is None or packet.pos < 0:
            return bool(self._holes)
        return any(first < packet.pos + packet.size and packet.pos < last for first, last in self._holes)

    def _fail(self, error: OSError | FilmFSError) -> None:
        self._failure = error if isinstance(error, FilmFSError) else from_os_error(error, _DOING)


class _File(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._at = 0
        self._size = file.seek(0, io.SEEK_END)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def _read(self, size: int) -> bytes:
        """Some bytes from here on, and after them. Raises OSError and FilmFSError."""
        self._file.seek(self._at)
        data = self._file.read(size)
        self._at += len(data)
        return data


class _Watched(_File):
    """Ends where it cannot be read: PyAV would print errors."""

    def __init__(self, file: BinaryIO, tell: Callable[[OSError | FilmFSError], None]) -> None:
        super().__init__(file)
        self._tell_of = tell

    def read(self, size: int = -1) -> bytes:
        try:
            return self._read(size)
        except (OSError, FilmFSError) as error:
            self._tell_of(error)
            return b""


class _Mended(_File):
    """Has zeros where it cannot be read."""

    def __init__(self, file: BinaryIO, holes: list[tuple[int, int]]) -> None:
        super().__init__(file)
        self._holes = holes
        self._skip = _BLOCK

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._at + size)
        parts: list[bytes] = []
        most = self._size
        while self._at < end:
            wanted = min(most, end - self._at)
            try:
                data = self._zeros(wanted) or self._read(wanted)
            except (OSError, DiskFailure, Corrupt):
                if wanted > _BLOCK:
                    most = _BLOCK  # some of it can be read
                    continue
                self._holes.append((self._at, self._end_of_hole()))
                self._skip = min(2 * self._skip, _SKIP_MAX)
                data = self._zeros(wanted)
            if not data:
                break
            parts.append(data)
        return b"".join(parts)

    def _read(self, size: int) -> bytes:
        data = super()._read(size)
        self._skip = _BLOCK
        return data

    def _end_of_hole(self) -> int:
        """Where the next step goes; if that can be read, the first block of it that can be, if it is one hole."""
        low = self._at // _BLOCK
        high = -(-min(self._size, self._at // self._skip * self._skip + self._skip) // _BLOCK)
        if high - low > 1 and self._can_read(high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if self._can_read(middle) else (middle, high)
        return min(self._size, high * _BLOCK)

    def _can_read(self, block: int) -> bool:
        try:
            self._file.seek(block * _BLOCK)
            self._file.read(_BLOCK)
        except (OSError, DiskFailure, Corrupt):
            return False
        return True

    def _zeros(self, size: int) -> bytes:
        """Zeros up to where a hole ends that is here."""
        ends = [last for first, last in self._holes if first <= self._at < last]
        made = bytes(min(size, max(ends) - self._at)) if ends else b""
        self._at += len(made)
        return made
