"""The simplest file system that stock pyfuse3 can be: shows the files of one directory, read with os.pread.

    python stock.py DIRECTORY MOUNTPOINT

A peer for scripts/bench: what reading through pyfuse3 gives when nothing else has to be done.
"""

import errno
import os
import sys
from collections.abc import Sequence

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    InodeT,
    ReaddirToken,
    RequestContext,
)


class Stock(pyfuse3.Operations):
    """The handlers: a file's number is its place in the sorted list of names."""

    enable_writeback_cache = False

    def __init__(self, directory: bytes) -> None:
        super().__init__()
        self._directory = directory

    def _names(self) -> list[bytes]:
        return sorted(os.listdir(self._directory))

    def _path(self, inode: int) -> bytes:
        if inode == pyfuse3.ROOT_INODE:
            return self._directory
        return os.path.join(self._directory, self._names()[inode - 2])

    def _entry(self, inode: int) -> EntryAttributes:
        facts, entry = os.stat(self._path(inode)), EntryAttributes()
        entry.st_ino = InodeT(inode)
        entry.st_mode, entry.st_size, entry.st_blocks = pyfuse3.ModeT(facts.st_mode), facts.st_size, facts.st_blocks
        return entry

    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        names = self._names()
        if name not in names:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._entry(names.index(name) + 2)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        return None

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(inode)

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        for number, name in list(enumerate(self._names()))[start_id:]:
            if not pyfuse3.readdir_reply(token, FileNameT(name), self._entry(number + 2), number + 1):
                return

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        return FileInfo(fh=FileHandleT(os.open(self._path(inode), os.O_RDONLY)), keep_cache=False)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return os.pread(fh, size, off)

    async def release(self, fh: FileHandleT) -> None:
        os.close(fh)


if __name__ == "__main__":
    pyfuse3.init(Stock(os.fsencode(sys.argv[1])), sys.argv[2], {"fsname=stock", "default_permissions"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=True)
