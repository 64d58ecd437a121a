"""The kernel's table of mounts: where filmfs's are, and how far ahead it reads in one."""

import os

_READ_AHEAD_KB = 2048
"""Several requests of 512 KiB (native/session.c): threads answer some while a reader has the bytes of those before."""


def filmfs_mounts() -> list[str]:
    """The mountpoints of all filmfs mounts, longest first."""
    return sorted((mountpoint for mountpoint, _ in _mounts()), key=len, reverse=True)


def read_far_ahead(mountpoint: str) -> None:
    """Has the kernel read far ahead of who reads a file of the mount. Raises OSError (it needs root).

    FUSE's own default is 128 KiB, and a file system cannot ask for more than the kernel offers at the start. Only the
    table is read: to look at the mountpoint itself would wait for this process.
    """
    for found, device in _mounts():
        if found == mountpoint:
            with open(f"/sys/class/bdi/{device}/read_ahead_kb", "w", encoding="ascii") as knob:
                knob.write(str(_READ_AHEAD_KB))


def _mounts() -> list[tuple[str, str]]:
    """Mountpoint and device (major:minor) of each filmfs mount (proc_pid_mountinfo(5))."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        lines = [line.split() for line in table]
    return [(_unescaped(line[4]), line[2]) for line in lines if "fuse.filmfs" in line]


def _unescaped(field: str) -> str:
    """A path as mountinfo writes it: space, tab, newline and backslash as octal."""
    raw = os.fsencode(field)
    for octal, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        raw = raw.replace(octal, byte)
    return os.fsdecode(raw)
