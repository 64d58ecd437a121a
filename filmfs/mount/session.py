"""Mounting: pyfuse3's session, its options, and telling the kernel what changed behind its back."""

import errno
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial

import pyfuse3
import trio

from filmfs.core.errors import Refused
from filmfs.mount.eager import EAGER
from filmfs.mount.flushing import Flusher
from filmfs.mount.memory import Memory
from filmfs.mount.operations import Operations
from filmfs.mount.passing import Passing
from filmfs.mount.quick import Answerer
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.mount")

_FORGET_S = 10.0
_WATCH_S = 0.5


class Session:
    """One FUSE mount, from `mount` to `unmount`."""

    def __init__(self, filesystem: FileSystem, flusher: Flusher, disk: trio.CapacityLimiter) -> None:
        self._memory = Memory(filesystem, flusher)
        self.passing = Passing(filesystem.archive.contents)
        self._operations = Operations(filesystem, flusher, disk, self._memory, self.passing)
        self._answerer = Answerer(filesystem, self._memory, self._operations.let_go)
        self._name = filesystem.archive.settings.name
        self._serving = False
        self._is_libfuse_asked = False

    def mount(self, mountpoint: str, options: set[str]) -> None:
        """Mounts. Raises Refused when the kernel or fusermount3 would not."""
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in self._name)
        # With these libfuse has a word in every request.
        self._is_libfuse_asked = bool(options & {"allow_root", "debug"})
        chosen = {"default_permissions", f"fsname=filmfs-{name}", "subtype=filmfs", *options}
        try:
            pyfuse3.init(self._operations, mountpoint, chosen)
        except RuntimeError as error:
            raise Refused(f"the mount at {mountpoint} was refused: {_reason(options)}") from error

    async def serve(self) -> None:
        """Answers requests until the mount is gone."""
        self._serving = True
        EAGER.install()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._memory.run)
                with nullcontext() if self._is_libfuse_asked else self._answerer.at_work():
                    await pyfuse3.main(min_tasks=2)
                nursery.cancel_scope.cancel()
        finally:
            EAGER.remove()
            self._serving = False

    @property
    def database_in_memory(self) -> bool:
        """Whether all of the database was in memory when that was looked at last."""
        return self._memory.has_all

    async def watch(self) -> None:
        """Logs, for as long as the mount lives, what failed without passing through Python."""
        while True:
            await trio.sleep(_WATCH_S)
            self.passing.log_failures(self._operations.name_of)

    def stop(self) -> None:
        """Ends `serve`."""
        pyfuse3.terminate()

    def unmount(self) -> None:
        """Takes the mount away; what still uses it gets errors."""
        self.passing.stop()
        # libfuse lets go of the kernel first, so this never waits for itself, and sees if it was unmounted already.
        pyfuse3.close(unmount=True)

    async def forget(self, names: Iterable[tuple[int, bytes]], nodes: Iterable[int]) -> None:
        """Has the kernel ask again for names, attributes and bytes that changed behind its back."""
        # The kernel may make this wait for a request that nobody answers any more.
        with trio.move_on_after(_FORGET_S) as limit:
            await trio.to_thread.run_sync(self._forget, list(names), list(nodes), abandon_on_cancel=True)
        if limit.cancelled_caught:
            log.error("the kernel did not clear its caches within %.0f s; they may be old for a while", _FORGET_S)

    def _forget(self, names: list[tuple[int, bytes]], nodes: list[int]) -> None:
        for parent, name in names:
            self._tell(partial(pyfuse3.invalidate_entry, pyfuse3.InodeT(parent), pyfuse3.FileNameT(name)))
        for node in nodes:
            self._tell(partial(pyfuse3.invalidate_inode, pyfuse3.InodeT(node), attr_only=False))

    def _tell(self, notice: Callable[[], None]) -> None:
        if not self._serving:
            return
        try:
            notice()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTCONN, errno.ENODEV):  # it knows nothing of it, or is gone
                log.warning("the kernel's caches could not be cleared: %s", error)


def _reason(options: set[str]) -> str:
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse here; FUSE is not available on this machine"
    if "allow_other" in options and os.getuid() != 0:
        return "allow_other needs user_allow_other in /etc/fuse.conf"
    if not os.access("/dev/fuse", os.W_OK):
        return "/dev/fuse may not be used by this user"
    return "see the messages above, or the kernel's log"
