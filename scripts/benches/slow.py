"""A slow disk: shows a directory under another name, and answers late what the file of delays says.

    python slow.py DIRECTORY DELAYS MOUNTPOINT

DELAYS is a JSON object of seconds by operation: read, write, sync, make (open included), remove, rename, stat. What is
not named in it, or everything when the file is not there, is answered at once. It is read again before each answer.
"""

import errno
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Handler = Callable[_P, Coroutine[Any, Any, _R]]


def late(operation: str) -> Callable[[_Handler[_P, _R]], _Handler[_P, _R]]:
    """Has a handler wait for as long as the file of delays says; OSError becomes its errno."""

    def wrap(handler: _Handler[_P, _R]) -> _Handler[_P, _R]:
        @wraps(handler)
        async def waiting(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            disk = args[0]
            assert isinstance(disk, SlowDisk)
            await trio.sleep(disk.delay(operation))
            try:
                return await handler(*args, **kwargs)
            except OSError as error:
                raise pyfuse3.FUSEError(error.errno or errno.EIO) from None

        return waiting

    return wrap


class SlowDisk(pyfuse3.Operations):
    """The handlers. A node is known by the path under which it was met last, and by a descriptor while it is open."""

    enable_writeback_cache = False

    def __init__(self, directory: bytes, delays: Path) -> None:
        super().__init__()
        self._delays = delays
        self._paths: dict[int, bytes] = {pyfuse3.ROOT_INODE: directory}
        self._open: dict[int, list[int]] = {}

    def delay(self, operation: str) -> float:
        """Seconds that the operation takes now."""
        try:
            return float(json.loads(self._delays.read_text()).get(operation, 0.0))
        except (FileNotFoundError, ValueError):
            return 0.0

    def _path(self, inode: int) -> bytes:
        if inode not in self._paths:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._paths[inode]

    def _entry(self, path: bytes) -> EntryAttributes:
        entry = self._attributes(os.lstat(path))
        if entry.st_ino != pyfuse3.ROOT_INODE:
            self._paths[entry.st_ino] = path
        return entry

    def _attributes(self, facts: os.stat_result) -> EntryAttributes:
        entry = EntryAttributes()
        is_root = facts.st_ino == os.lstat(self._paths[pyfuse3.ROOT_INODE]).st_ino
        entry.st_ino = pyfuse3.ROOT_INODE if is_root else InodeT(facts.st_ino)
        entry.st_mode, entry.st_nlink = ModeT(facts.st_mode), facts.st_nlink
        entry.st_uid, entry.st_gid = facts.st_uid, facts.st_gid
        entry.st_size, entry.st_blocks = facts.st_size, facts.st_blocks
        entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns = (
            facts.st_atime_ns,
            facts.st_mtime_ns,
            facts.st_ctime_ns,
        )
        return entry

    @late("stat")
    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(os.path.join(self._path(parent_inode), name))

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        return None

    @late("stat")
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        opened = self._open.get(inode)
        return self._attributes(os.fstat(opened[0]) if opened else os.lstat(self._path(inode)))

    @late("stat")
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        target: int | bytes = fh if fh is not None else self._path(inode)
        if fields.update_size:
            os.truncate(target, attr.st_size)
        if fields.update_mode:
            os.chmod(target, attr.st_mode & 0o7777)
        if fields.update_uid or fields.update_gid:
            os.chown(target, attr.st_uid if fields.update_uid else -1, attr.st_gid if fields.update_gid else -1)
        return self._attributes(os.stat(target))

    @late("make")
    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        path = os.path.join(self._path(parent_inode), name)
        os.mkdir(path, mode & 0o7777 & ~ctx.umask)
        return self._entry(path)

    @late("make")
    async def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        path = os.path.join(self._path(parent_inode), name)
        os.mknod(path, mode & ~ctx.umask, rdev)
        return self._entry(path)

    @late("make")
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        path = os.path.join(self._path(parent_inode), name)
        descriptor = os.open(path, flags | os.O_CREAT, mode & 0o7777)
        entry = self._entry(path)
        self._open.setdefault(entry.st_ino, []).append(descriptor)
        return FileInfo(fh=FileHandleT(descriptor), keep_cache=True), entry

    @late("make")
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        # Written pages are read back where a write covers a part of one.
        writable = flags & ~(os.O_ACCMODE | os.O_APPEND) | (os.O_RDWR if flags & os.O_ACCMODE else os.O_RDONLY)
        descriptor = os.open(self._path(inode), writable & ~os.O_DIRECT)
        self._open.setdefault(inode, []).append(descriptor)
        return FileInfo(fh=FileHandleT(descriptor), keep_cache=True)

    @late("read")
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return os.pread(fh, size, off)

    @late("write")
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return os.pwrite(fh, buf, off)

    @late("sync")
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        return None

    @late("sync")
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        return None

    async def release(self, fh: FileHandleT) -> None:
        for inode, descriptors in list(self._open.items()):
            if fh in descriptors:
                descriptors.remove(fh)
                if not descriptors:
                    del self._open[inode]
        os.close(fh)

    @late("remove")
    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        os.unlink(os.path.join(self._path(parent_inode), name))

    @late("remove")
    async def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        os.rmdir(os.path.join(self._path(parent_inode), name))

    @late("rename")
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        path = os.path.join(self._path(parent_inode_new), name_new)
        os.rename(os.path.join(self._path(parent_inode_old), name_old), path)
        self._entry(path)

    @late("make")
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return FileHandleT(inode)

    @late("read")
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        path = self._path(fh)
        for number, name in list(enumerate(sorted(os.listdir(path))))[start_id:]:
            if not pyfuse3.readdir_reply(token, FileNameT(name), self._entry(os.path.join(path, name)), number + 1):
                return

    @late("stat")
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        facts, data = os.statvfs(self._path(pyfuse3.ROOT_INODE)), StatvfsData()
        data.f_bsize, data.f_frsize, data.f_blocks = facts.f_bsize, facts.f_frsize, facts.f_blocks
        data.f_bfree, data.f_bavail, data.f_namemax = facts.f_bfree, facts.f_bavail, 255
        return data


if __name__ == "__main__":
    pyfuse3.init(SlowDisk(os.fsencode(sys.argv[1]), Path(sys.argv[2])), sys.argv[3], {"fsname=slow", "allow_other"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=True)
