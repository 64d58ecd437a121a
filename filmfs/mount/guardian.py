"""A process that has the kernel answer everybody when the daemon dies and cannot let go of its mount by itself.

A killed process keeps its descriptors while a thread of it waits where no signal reaches: on a disk that hangs, or in
the kernel for a directory that somebody holds who waits for the daemon. Its mount then hangs with it, and all who use
it. The guardian is forked before anything is open, learns the mount's device, and is told by the kernel when the
daemon's main thread is gone (PR_SET_PDEATHSIG); if the mount is still there it aborts its connection, so that whoever
waits gets ENOTCONN. The dead mount stays, as after any crash: nobody writes into the directory under it by mistake.
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

    def watch(self, device: str) -> None:
        """Says which mount is to be ended: its device (major:minor)."""
        with contextlib.suppress(OSError):  # somebody killed it: as if there never was one
            os.write(self._writing, device.encode() + b"\n")


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
        device = os.read(3, 64).decode().strip()
        if device and device in (found for _, found in filmfs_mounts()):
            abort(device)
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
