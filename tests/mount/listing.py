"""A directory read a few entries at a time by getdents64(2), which `os.scandir` reads ahead of."""

import ctypes
import os
import struct
from pathlib import Path

_BUFFER = 2048
_libc = ctypes.CDLL(None, use_errno=True)


class Listing:
    """An open directory."""

    def __init__(self, path: Path) -> None:
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._ready: list[tuple[str, int]] = []
        self._position = 0

    def __enter__(self) -> "Listing":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)

    def next(self) -> str | None:
        """The next name; None at the end."""
        if not self._ready:
            self._ready = self._read()
        if not self._ready:
            return None
        name, self._position = self._ready.pop(0)
        return name

    def rest(self) -> list[str]:
        """All names that are left."""
        return list(iter(self.next, None))

    def tell(self) -> int:
        """The position before the next name."""
        return self._position

    def seek(self, position: int) -> None:
        """Goes back to where `tell` was; to 0 is to list anew."""
        self._ready = []
        self._position = os.lseek(self._directory, position, os.SEEK_SET)

    def _read(self) -> list[tuple[str, int]]:
        buffer = ctypes.create_string_buffer(_BUFFER)
        length = _libc.getdents64(self._directory, buffer, _BUFFER)
        assert length >= 0, os.strerror(ctypes.get_errno())
        data, at, found = buffer.raw[:length], 0, []
        while at < length:
            _, after, size, _ = struct.unpack_from("<QqHB", data, at)
            found.append((os.fsdecode(data[at + 19 : at + size].split(b"\0")[0]), after))
            at += size
        return found
