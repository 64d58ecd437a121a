"""pyfuse3's handlers: each is one call of the FileSystem and a translation. Here names, directories and attributes.

All run in one thread.
"""

import errno
import pwd
from collections.abc import Sequence
from functools import partial
from stat import S_IFMT

import pyfuse3
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileNameT,
    FlagT,
    InodeT,
    ModeT,
    ReaddirToken,
    RequestContext,
    StatvfsData,
    XAttrNameT,
)

from filmfs.core.paths import is_only_spelling, spellings
from filmfs.mount.files import FileOperations
from filmfs.mount.native import OWN_NAME
from filmfs.mount.quick import listed, look_up
from filmfs.mount.translate import answers_at_once, answers_fuse, entry, told
from filmfs.versioning.rows import Kind
from filmfs.vfs.nodes import NodeId
from filmfs.vfs.xattrs import OWN as OWN_ATTRIBUTES

_KINDS = {
    0o100000: Kind.FILE,
    0o010000: Kind.FIFO,
    0o140000: Kind.SOCKET,
    0o020000: Kind.CHARACTER_DEVICE,
    0o060000: Kind.BLOCK_DEVICE,
    0: Kind.FILE,
}


class Operations(FileOperations):
    """The handlers of one mount."""

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    # Names

    @answers_fuse
    async def lookup(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> EntryAttributes:
        if self.memory.is_cold:
            await self.memory.touch([], [(NodeId(parent_inode), name)])
        if self._fs.may_be_made(NodeId(parent_inode), name):
            await self.have_made(partial(self._fs.before_lookup, NodeId(parent_inode), name))
        return entry(look_up(self._fs, NodeId(parent_inode), name))

    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        return None

    @answers_at_once(0)
    def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        return entry(told(self._fs.attributes(NodeId(inode))))

    @answers_at_once(0)
    def readlink(self, inode: InodeT, ctx: RequestContext) -> FileNameT:
        return FileNameT(self._fs.read_link(NodeId(inode)))

    @answers_at_once((0, 1))
    def mknod(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        kind = _KINDS.get(S_IFMT(mode))
        if kind is None:
            raise pyfuse3.FUSEError(errno.EINVAL)
        made = self._fs.make(NodeId(parent_inode), name, kind, mode, ctx.uid, ctx.gid, rdev=rdev)
        self.forget_moved()
        return entry(told(made, name))

    @answers_at_once((0, 1))
    def mkdir(self, parent_inode: InodeT, name: FileNameT, mode: ModeT, ctx: RequestContext) -> EntryAttributes:
        author = _user_name(ctx.uid)
        made = self._fs.make(NodeId(parent_inode), name, Kind.DIRECTORY, mode, ctx.uid, ctx.gid, author=author)
        self.forget_moved()
        return entry(told(made, name))

    @answers_at_once((0, 1))
    def symlink(self, parent_inode: InodeT, name: FileNameT, target: FileNameT, ctx: RequestContext) -> EntryAttributes:
        parent = NodeId(parent_inode)
        made = self._fs.make(parent, name, Kind.SYMLINK, 0o777, ctx.uid, ctx.gid, target=target)
        self.forget_moved()
        return entry(told(made, name))

    @answers_at_once(0, (1, 2))
    def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: FileNameT, ctx: RequestContext
    ) -> EntryAttributes:
        made = self._fs.link(NodeId(inode), NodeId(new_parent_inode), new_name)
        self.forget_moved()
        return entry(told(made, new_name))

    @answers_at_once((0, 1))
    def unlink(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        self._fs.unlink(NodeId(parent_inode), name)
        self._forget_other_spellings(parent_inode, name)

    @answers_at_once((0, 1))
    def rmdir(self, parent_inode: InodeT, name: FileNameT, ctx: RequestContext) -> None:
        self._fs.rmdir(NodeId(parent_inode), name)
        self._forget_other_spellings(parent_inode, name)

    @answers_at_once((0, 1), (2, 3))
    def rename(
        self,
        parent_inode_old: InodeT,
        name_old: FileNameT,
        parent_inode_new: InodeT,
        name_new: FileNameT,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        if flags & ~(pyfuse3.RENAME_NOREPLACE | pyfuse3.RENAME_EXCHANGE):
            raise pyfuse3.FUSEError(errno.EINVAL)
        self._fs.rename(
            NodeId(parent_inode_old),
            name_old,
            NodeId(parent_inode_new),
            name_new,
            replace=not flags & pyfuse3.RENAME_NOREPLACE,
            exchange=bool(flags & pyfuse3.RENAME_EXCHANGE),
        )
        self._forget_other_spellings(parent_inode_old, name_old)
        self._forget_other_spellings(parent_inode_new, name_new)
        if parent_inode_old >> 44 != parent_inode_new >> 44 or not is_only_spelling(name_new):
            # The kernel moved its old node, with the time that it may keep it, to the new name. That name may have
            # other spellings, and in another branch the file has another number.
            pyfuse3.invalidate_entry_async(parent_inode_new, name_new, ignore_enoent=True)

    @answers_fuse
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        self._passing.servers.meet(ctx.pid)
        if self.memory.is_cold:
            await self.memory.touch([NodeId(inode)], [])
        await self.have_made(partial(self._fs.before_listing, NodeId(inode)))
        return FileHandleT(self._fs.open_directory(NodeId(inode)))

    @answers_fuse
    async def readdir(self, fh: FileHandleT, start_id: int, token: ReaddirToken) -> None:
        if self.memory.is_cold:
            await self.memory.touch_listing(fh, start_id)
        for name, what, position in listed(self._fs, fh, start_id):
            if not pyfuse3.readdir_reply(token, FileNameT(name), entry(what), position):
                return

    @answers_at_once()
    def releasedir(self, fh: FileHandleT) -> None:
        self._fs.close_directory(fh)

    @answers_fuse
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        disk, data = await self._room.now(), StatvfsData()
        data.f_bsize, data.f_frsize = disk.f_bsize, disk.f_frsize
        data.f_blocks, data.f_bfree, data.f_bavail = disk.f_blocks, disk.f_bfree, disk.f_bavail
        data.f_files, data.f_ffree, data.f_favail = disk.f_files, disk.f_ffree, disk.f_favail
        data.f_namemax = 255
        return data

    # Extended attributes

    @answers_at_once(0)
    def setxattr(self, inode: InodeT, name: XAttrNameT, value: bytes, ctx: RequestContext) -> None:
        self._fs.set_xattr(NodeId(inode), name, value)

    @answers_fuse
    async def getxattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> bytes:
        if self.memory.is_cold:
            await self.memory.touch([NodeId(inode)], [])
        if name.startswith(OWN_NAME):
            return self.unknown_to_pyfuse3(name[1:].split(), ctx.uid)
        if name.startswith(OWN_ATTRIBUTES):
            await self.have_made(partial(self._fs.before_get_xattr, NodeId(inode), name))
        return self._fs.get_xattr(NodeId(inode), name)

    @answers_at_once(0)
    def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[XAttrNameT]:
        return [XAttrNameT(name) for name in self._fs.list_xattrs(NodeId(inode))]

    @answers_at_once(0)
    def removexattr(self, inode: InodeT, name: XAttrNameT, ctx: RequestContext) -> None:
        self._fs.remove_xattr(NodeId(inode), name)

    @answers_at_once()
    def access(self, inode: InodeT, mode: ModeT, ctx: RequestContext) -> bool:
        return True

    def name_of(self, node: NodeId) -> str:
        """A file for people: its path if it has one."""
        return self._fs.name_of(node)

    def _forget_other_spellings(self, parent: InodeT, name: FileNameT) -> None:
        """What happened under one spelling of a name must show under those that the kernel may have kept."""
        for other in spellings(name) - {name}:
            pyfuse3.invalidate_entry_async(parent, FileNameT(other), ignore_enoent=True)
        self.forget_moved()


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
