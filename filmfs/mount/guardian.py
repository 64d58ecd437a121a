"""A process that has the kernel answer everybody when the daemon dies and cannot let go of its mount by itself.

A killed process keeps its descriptors while a thread of it waits where no signal reaches: on a disk that hangs, or in
the kernel for a directory that somebody holds who waits for the daemon. Its mount then hangs with it, and all who use
it. The guardian is forked before anything is open, learns the mount's device, and is told by the kernel when the
daemon's main thread is gone (PR_SET_PDEATHSIG). Unless it was dismissed it then aborts the mount's connection, so that
whoever waits gets ENOTCONN. The dead mount stays, as after any crash: nobody writes into the directory under it by
mistake.
"""

import contextlib
import ctypes
import os
import signal

from filmfs.mount.table import filmfs_mounts

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_CONNECTIONS = "/sys/fs/fuse/connections"
_GONE = signal.SIGUSR2
_libc = ctypes.CDLL(None, use_errno=True)


class Guardian:
    """The daemon's side. To be made while the process has one thread and no database open."""

    def __init__(self) -> None:
        daemon = os.getpid()
        reading, self._writing = os.pipe()
        # Before the fork: the daemon may be gone before its child begins to wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {_GONE})
        if os.fork() == 0:
            _guard(daemon, reading)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reading)

    def watch(self, mountpoint: str, device: str) -> None:
        """Says which mount is to be ended: where it is, and its device (major:minor)."""
        self._say(os.fsencode(mountpoint) + b"\0" + device.encode())

    def dismiss(self) -> None:
        """The mount goes in good order: its device may be another's by the time that this process is gone."""
        self._say(b"\0")

    def _say(self, what: bytes) -> None:
        with contextlib.suppress(OSError):  # somebody killed it: as if there never was one
            os.write(self._writing, what)


def _guard(daemon: int, told: int) -> None:
    """The other process, to its end."""
    try:
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, int(_GONE), 0, 0, 0)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        os.dup2(told, 3)
        os.closerange(4, 1 << 16)
        while os.getppid() == daemon and signal.sigwait({_GONE}) != _GONE:
            pass
        os.set_blocking(3, False)
        heard = os.read(3, 1 << 16).split(b"\0")  # one part: no mount yet; two: a mount; three: dismissed
        if len(heard) == 2 and (os.fsdecode(heard[0]), heard[1].decode()) in filmfs_mounts():
            abort(heard[1].decode())
    finally:
        os._exit(0)


def abort(device: str) -> None:
    """Has the kernel answer all that wait for the mount with an error, as when its daemon is gone.

    Raises OSError when this process may not.
    """
    connection = os.path.join(_CONNECTIONS, device.rpartition(":")[2], "abort")
    if not os.path.exists(connection):
        # Not shown on this machine: in a table of mounts of this process's own it is.
        _libc.unshare(_CLONE_NEWNS)
        _libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        _libc.mount(b"none", os.fsencode(_CONNECTIONS), b"fusectl", 0, None)
    with contextlib.suppress(FileNotFoundError), open(connection, "w", encoding="ascii") as knob:
        knob.write("1")
