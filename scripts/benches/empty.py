"""The simplest tree that stock pyfuse3 can be: files in memory, their bytes thrown away.

    python empty.py FILES MOUNTPOINT      with FILES empty files f0000000 … in the directory `old`

A peer for scripts/bench: how many names a second pyfuse3 gives when nothing else has to be done. It has no extended
attributes and no flush, which spares it the kernel's questions about them.
"""

import errno
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

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
)


@dataclass(slots=True)
class Node:
    """A file or a directory."""

    number: int
    mode: int
    size: int = 0
    children: dict[bytes, "Node"] = field(default_factory=dict)


class Empty(pyfuse3.Operations):
    """The handlers."""

    enable_writeback_cache = False

    def __init__(self, files: int) -> None:
        super().__init__()
        self._nodes: dict[int, Node] = {1: Node(1, stat.S_IFDIR | 0o755)}
        old = self._make(1, b"old", stat.S_IFDIR | 0o755)
        for number in range(files):
            self._make(old.number, b"f%07d" % number, stat.S_IFREG | 0o644)

    def _make(self, parent: int, name: bytes, mode: int) -> Node:
        node = Node(len(self._nodes) + 1, mode)
        self._nodes[node.number] = self._nodes[parent].children[name] = node
        return node

    @staticmethod
    def _entry(node: Node) -> EntryAttributes:
        entry = EntryAttributes()
        entry.st_ino = InodeT(node.number)
        entry.st_mode, entry.st_size = ModeT(node.mode), node.size
        return entry

    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        node = self._nodes[parent_inode].children.get(name)
        if node is None:
            raise pyfuse3.FUSEError(errno.ENOENT)
        return self._entry(node)

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        return None

    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(self._nodes[inode])

    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        return self._entry(self._nodes[inode])

    async def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        return self._entry(self._make(parent_inode, name, stat.S_IFDIR | 0o755))

    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        node = self._make(parent_inode, name, stat.S_IFREG | 0o644)
        return FileInfo(fh=FileHandleT(node.number)), self._entry(node)

    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        return FileInfo(fh=FileHandleT(inode))

    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        return bytes(max(0, min(size, self._nodes[fh].size - off)))

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        node = self._nodes[fh]
        node.size = max(node.size, off + len(buf))
        return len(buf)

    async def release(self, fh: FileHandleT) -> None:
        return None

    async def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        del self._nodes[parent_inode].children[name]

    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        return FileHandleT(inode)

    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        children = list(self._nodes[fh].children.items())
        for number in range(start_id, len(children)):
            name, node = children[number]
            if not pyfuse3.readdir_reply(token, FileNameT(name), self._entry(node), number + 1):
                return


if __name__ == "__main__":
    pyfuse3.init(Empty(int(sys.argv[1])), sys.argv[2], {"fsname=empty", "default_permissions"})
    try:
        trio.run(pyfuse3.main)
    finally:
        pyfuse3.close(unmount=True)
