"""Whether the database is in memory: what is not makes whoever reads it wait for the disk, as a page fault.

Only what the kernel says now: pages may go again. Safe to use from any thread.
"""

import ctypes
import mmap
import os
from collections.abc import Callable

from filmfs.core.errors import DiskFailure

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MAP_FAILED = ctypes.c_void_p(-1).value
_STEP = 1 << 20
_PAGE = mmap.PAGESIZE


class Residency:
    """Looks at the pages of one file, and reads in those that are missing."""

    def __init__(self, path: str, size: Callable[[], int]) -> None:
        """`size`: the file's length. The kernel is not asked: for a file on a FUSE mount it would, and drop pages."""
        self._path = path
        self.size = size
        # Kept: where the archive lies on another FUSE mount, opening a file may drop its pages.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def missing(self) -> list[int]:
        """Where pages are not in memory: offsets of the mebibytes that hold such."""
        pages = self._pages()
        step = _STEP // _PAGE
        return [at * _PAGE for at in range(0, len(pages), step) if pages.find(b"\0", at, at + step) >= 0]

    def read_in(self, offsets: list[int]) -> None:
        """Reads the mebibytes at those offsets, past the interpreter and for the page cache only."""
        buffer = bytearray(_STEP)
        for offset in offsets:
            os.preadv(self._descriptor, [buffer], offset)

    def _pages(self) -> bytes:
        """One byte a page, 1 for those in memory."""
        size = self.size()
        if not size:
            return b""
        start = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, self._descriptor, 0)
        if start == _MAP_FAILED:
            raise DiskFailure(f"mapping {self._path}: {os.strerror(ctypes.get_errno())}")
        try:
            vector = ctypes.create_string_buffer(-(-size // _PAGE))
            if _libc.mincore(start, size, vector) != 0:
                raise DiskFailure(f"looking at {self._path}: {os.strerror(ctypes.get_errno())}")
            return vector.raw
        finally:
            _libc.munmap(start, size)


def let_go_of_map(path: str) -> None:
    """Has this process give back the pages that it mapped of a file; the kernel's cache keeps them."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].rstrip("\n") == path:
                start, end = (int(part, 16) for part in fields[0].split("-"))
                _libc.madvise(start, end - start, mmap.MADV_DONTNEED)
