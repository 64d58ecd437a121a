"""The kernel's table of mounts: where filmfs's are, and how far ahead it reads in one (proc_pid_mountinfo(5))."""

import os

_LINKS_MAX = 40
_READ_AHEAD_KB = 2048
"""Several requests of 512 KiB (native/session.c): threads answer some while a reader has the bytes of those before."""


def filmfs_mounts() -> list[tuple[str, str]]:
    """The mountpoint and device (major:minor) of each filmfs mount, the longest path first. No mount is looked at."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        lines = [line.split() for line in table]
    found = [(_unescaped(line[4]), line[2]) for line in lines if "fuse.filmfs" in line]
    return sorted(found, key=lambda mount: len(mount[0]), reverse=True)


def real_mountpoint(path: str) -> str:
    """`path` as the table has it, without symbolic links, if something of filmfs is mounted there.

    The mount itself is not looked at: it may hang.
    """
    mountpoints = {mountpoint for mountpoint, _ in filmfs_mounts()}
    path = os.path.abspath(path)
    for _ in range(_LINKS_MAX):
        path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        if path in mountpoints or not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return path


def read_far_ahead(device: str) -> None:
    """Has the kernel read far ahead of who reads a file of a mount. Raises OSError (it needs root).

    FUSE's own default is 128 KiB, and a file system cannot ask for more than the kernel offers at the start.
    """
    with open(f"/sys/class/bdi/{device}/read_ahead_kb", "w", encoding="ascii") as knob:
        knob.write(str(_READ_AHEAD_KB))


def _unescaped(field: str) -> str:
    """A path as mountinfo writes it: space, tab, newline and backslash as octal."""
    raw = os.fsencode(field)
    for octal, byte in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        raw = raw.replace(octal, byte)
    return os.fsdecode(raw)
