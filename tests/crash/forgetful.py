"""A file system in memory that notes every change, so that a power cut can be played at any moment of it.

    python -m tests.crash.forgetful MOUNTPOINT JOURNAL

Each change is one pickled tuple in JOURNAL, in the order in which they happened (see `tests.crash.afterwards`, which
makes of them what a disk may hold after a power cut):

    ("make", directory, name, node, kind)   a file, directory or socket gets its first name
    ("link", directory, name, node)         … another
    ("rename", directory, name, to, new)    one step, over what was there
    ("unlink", directory, name)
    ("write", node, offset, bytes)          ("truncate", node, size)
    ("sync", node)                          fsync or fdatasync of a file, or fsync of a directory, returned
    ("lost", node)                          … failed: what was written to the file and not synced is gone for good
    ("syncfs",)                             asked for by `setxattr(…, "user.syncfs", …)`: FUSE does not pass syncfs on

It also fails on request: the xattr `user.faults` of its root takes a list of rules, {"do", "path", "errno", "delay",
"after", "times"}: the operation and the path that are meant (regular expressions), what to answer, how long to wait,
and how often. `user.room` says how many bytes of files it has room for.
"""

import contextlib
import errno
import json
import os
import pickle
import re
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, RequestContext, StatvfsData

ROOT = 1


@dataclass(slots=True)
class Node:
    """A file, directory or socket."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[bytes, int] = field(default_factory=dict)
    parent: int = ROOT
    links: int = 1
    mtime: int = field(default_factory=time.time_ns)


@dataclass(slots=True)
class Rule:
    """A fault: what it strikes, and how."""

    do: str = ".*"
    path: str = ".*"
    errno: int = 0
    delay: float = 0.0
    after: int = 0
    times: int = 1 << 60

    def strikes(self, do: str, path: str) -> bool:
        """Whether this one is to fail; counts."""
        if not re.fullmatch(self.do, do) or not re.search(self.path, path):
            return False
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return False
        self.times -= 1
        return True


class Forgetful(pyfuse3.Operations):
    """The file system."""

    def __init__(self, journal: str) -> None:
        super().__init__()
        self._journal = open(journal, "wb")  # noqa: SIM115 - as long as the process
        self._nodes = {ROOT: Node(stat.S_IFDIR | 0o755, links=2)}
        self._next = ROOT + 1
        self._rules: list[Rule] = []
        self._room = 1 << 40

    def _note(self, *change: Any) -> None:
        pickle.dump(change, self._journal)
        self._journal.flush()

    async def _may(self, do: str, node: int, name: bytes = b"") -> None:
        """Raises, or waits, as the rules say."""
        if self._rules:
            path = self._path(node, name)
            for rule in self._rules:
                if rule.strikes(do, path):
                    if rule.delay:
                        await trio.sleep(rule.delay)
                    if rule.errno:
                        if do == "fsync":
                            self._note("lost", node)
                        raise FUSEError(rule.errno)

    def _path(self, node: int, name: bytes) -> str:
        parts = [name] if name else []
        while node != ROOT:
            above = self._nodes[self._nodes[node].parent]
            parts.append(next((name for name, below in above.names.items() if below == node), b"?"))
            node = self._nodes[node].parent
        return "/" + os.fsdecode(b"/".join(reversed(parts)))

    def _entry(self, number: int) -> EntryAttributes:
        node = self._nodes[number]
        entry = EntryAttributes()
        entry.st_ino = InodeT(number)
        entry.st_mode, entry.st_nlink, entry.st_size = node.mode, node.links, len(node.data)
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        entry.st_blocks, entry.st_blksize = -(-len(node.data) // 512), 4096
        entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = node.mtime
        entry.entry_timeout = entry.attr_timeout = 300
        return entry

    def _find(self, directory: int, name: bytes) -> int:
        try:
            return self._nodes[directory].names[name]
        except KeyError:
            raise FUSEError(errno.ENOENT) from None

    def _make(self, directory: int, name: bytes, mode: int) -> int:
        if name in self._nodes[directory].names:
            raise FUSEError(errno.EEXIST)
        number, self._next = self._next, self._next + 1
        self._nodes[number] = Node(mode, parent=directory, links=2 if stat.S_ISDIR(mode) else 1)
        self._nodes[directory].names[name] = number
        self._note("make", directory, name, number, stat.S_IFMT(mode))
        return number

    async def lookup(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        return self._entry(self._find(parent_inode, name))

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(inode)

    async def setattr(
        self, inode: InodeT, attr: EntryAttributes, fields: Any, fh: FileHandleT | None, ctx: RequestContext
    ) -> EntryAttributes:
        node = self._nodes[inode]
        if fields.update_size:
            await self._may("truncate", inode)
            self._truncate(inode, attr.st_size)
        if fields.update_mode:
            await self._may("chmod", inode)
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(attr.st_mode)
        return self._entry(inode)

    def _truncate(self, number: int, size: int) -> None:
        data = self._nodes[number].data
        del data[size:]
        data.extend(bytes(size - len(data)))
        self._note("truncate", number, size)

    async def mkdir(self, parent_inode: InodeT, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        await self._may("mkdir", parent_inode, name)
        return self._entry(self._make(parent_inode, name, stat.S_IFDIR | stat.S_IMODE(mode)))

    async def mknod(
        self, parent_inode: InodeT, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        await self._may("create", parent_inode, name)
        return self._entry(self._make(parent_inode, name, mode))

    async def create(
        self, parent_inode: InodeT, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        await self._may("create", parent_inode, name)
        number = self._make(parent_inode, name, stat.S_IFREG | stat.S_IMODE(mode))
        return FileInfo(fh=FileHandleT(number), keep_cache=True), self._entry(number)

    async def open(self, inode: InodeT, flags: int, ctx: RequestContext) -> FileInfo:
        await self._may("open", inode)
        if flags & os.O_TRUNC:
            self._truncate(inode, 0)
        return FileInfo(fh=FileHandleT(inode), keep_cache=True)

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        await self._may("read", fh)
        return bytes(self._nodes[fh].data[off : off + size])

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        await self._may("write", fh)
        data = self._nodes[fh].data
        if off + len(buf) > len(data):
            used = sum(len(node.data) for node in self._nodes.values())
            if used + off + len(buf) - len(data) > self._room:
                raise FUSEError(errno.ENOSPC)
            data.extend(bytes(off + len(buf) - len(data)))
        data[off : off + len(buf)] = buf
        self._nodes[fh].mtime = time.time_ns()
        self._note("write", int(fh), off, bytes(buf))
        return len(buf)

    async def flush(self, fh: FileHandleT) -> None:
        return None

    async def release(self, fh: FileHandleT) -> None:
        return None

    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        await self._may("fsync", fh)
        self._note("sync", int(fh))

    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await self._may("fsyncdir", fh)
        self._note("sync", int(fh))

    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        await self._may("link", new_parent_inode, new_name)
        if new_name in self._nodes[new_parent_inode].names:
            raise FUSEError(errno.EEXIST)
        self._nodes[new_parent_inode].names[new_name] = inode
        self._nodes[inode].links += 1
        self._note("link", int(new_parent_inode), new_name, int(inode))
        return self._entry(inode)

    async def unlink(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        await self._may("unlink", parent_inode, name)
        self._nodes[self._find(parent_inode, name)].links -= 1
        del self._nodes[parent_inode].names[name]
        self._note("unlink", int(parent_inode), name)

    async def rmdir(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        await self._may("rmdir", parent_inode, name)
        if self._nodes[self._find(parent_inode, name)].names:
            raise FUSEError(errno.ENOTEMPTY)
        del self._nodes[parent_inode].names[name]
        self._note("unlink", int(parent_inode), name)

    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: bytes,
        parent_inode_new: InodeT,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        await self._may("rename", parent_inode_old, name_old)
        if flags:
            raise FUSEError(errno.EINVAL)
        number = self._find(parent_inode_old, name_old)
        over = self._nodes[parent_inode_new].names.get(name_new)
        if over is not None:
            self._nodes[over].links -= 1
        del self._nodes[parent_inode_old].names[name_old]
        self._nodes[parent_inode_new].names[name_new] = number
        self._nodes[number].parent = parent_inode_new
        self._note("rename", int(parent_inode_old), name_old, int(parent_inode_new), name_new)

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: Any) -> None:
        for position, (name, number) in enumerate(list(self._nodes[fh].names.items())[start_id:], start_id + 1):
            if not pyfuse3.readdir_reply(token, name, self._entry(number), position):
                return

    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        data = StatvfsData()
        data.f_bsize = data.f_frsize = 4096
        data.f_blocks = data.f_bfree = data.f_bavail = 1 << 20
        data.f_files = data.f_ffree = data.f_favail = 1 << 20
        data.f_namemax = 255
        return data

    async def setxattr(self, inode: InodeT, name: bytes, value: bytes, ctx: RequestContext) -> None:
        if name == b"user.faults":
            self._rules = [Rule(**rule) for rule in json.loads(value)]
        elif name == b"user.room":
            self._room = int(value)
        elif name == b"user.syncfs":
            self._note("syncfs")
        else:
            raise FUSEError(errno.ENOTSUP)

    async def getxattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> bytes:
        raise FUSEError(errno.ENODATA)

    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[bytes]:
        return []


def main(mountpoint: str, journal: str) -> None:
    """Serves until it is unmounted."""
    pyfuse3.init(Forgetful(journal), mountpoint, {"fsname=forgetful", "default_permissions"})
    with contextlib.suppress(KeyboardInterrupt):
        trio.run(pyfuse3.main)
    pyfuse3.close(unmount=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
