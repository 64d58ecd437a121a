"""Mounting: pyfuse3's session, its options, and telling the kernel what changed behind its back."""

import errno
import logging
import os
import subprocess
from collections.abc import Iterable

import pyfuse3
import trio

from filmfs.core.errors import Refused
from filmfs.mount.flushing import Flusher
from filmfs.mount.operations import Operations
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.mount")


class Session:
    """One FUSE mount, from `mount` to `unmount`."""

    def __init__(self, filesystem: FileSystem, flusher: Flusher, disk: trio.CapacityLimiter) -> None:
        self._operations = Operations(filesystem, flusher, disk)
        self._name = filesystem.archive.settings.name
        self.mountpoint = ""

    def mount(self, mountpoint: str, options: set[str]) -> None:
        """Mounts. Raises Refused when the kernel or fusermount3 would not."""
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._name)
        chosen = {"default_permissions", f"fsname=filmfs-{name}", "subtype=filmfs", *options}
        try:
            pyfuse3.init(self._operations, mountpoint, chosen)
        except RuntimeError as error:
            raise Refused(f"the mount at {mountpoint} was refused: {_reason(options)}") from error
        self.mountpoint = mountpoint

    async def serve(self) -> None:
        """Answers requests until the mount is gone."""
        await pyfuse3.main(min_tasks=2)

    def stop(self) -> None:
        """Ends `serve`."""
        pyfuse3.terminate()

    def unmount(self) -> None:
        """Takes the mount away; what still uses it gets errors."""
        pyfuse3.close(unmount=False)
        if self.mountpoint and os.path.ismount(self.mountpoint):
            subprocess.run(["fusermount3", "-uzq", self.mountpoint], check=False)

    def forget_names(self, names: Iterable[tuple[int, bytes]]) -> None:
        """Has the kernel ask again for names that changed behind its back. Never waits."""
        for parent, name in names:
            pyfuse3.invalidate_entry_async(pyfuse3.InodeT(parent), pyfuse3.FileNameT(name), ignore_enoent=True)

    def forget_nodes(self, nodes: Iterable[int]) -> None:
        """Has the kernel ask again for attributes and bytes. Waits for the kernel: call it from another thread."""
        for node in nodes:
            try:
                pyfuse3.invalidate_inode(pyfuse3.InodeT(node), attr_only=False)
            except OSError as error:
                if error.errno != errno.ENOENT:
                    log.warning("the kernel's cache of node %d could not be cleared: %s", node, error)


def _reason(options: set[str]) -> str:
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse here; FUSE is not available on this machine"
    if "allow_other" in options and os.getuid() != 0:
        return "allow_other needs user_allow_other in /etc/fuse.conf"
    if not os.access("/dev/fuse", os.W_OK):
        return "/dev/fuse may not be used by this user"
    return "see the messages above, or the kernel's log"
