"""System calls that `os` does not have, and what they answer."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOREPLACE, EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 0x10
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def rename2(source: Path, target: Path, flags: int) -> None:
    """renameat2(2)."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2)."""
    if _libc.fallocate64(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def set_times(path: Path, atime: int, mtime: int) -> None:
    """utimensat(2); nanoseconds since 1970, NOW, or OMIT."""
    pairs = [(0, time) if time in (NOW, OMIT) else divmod(time, 10**9) for time in (atime, mtime)]
    times = (ctypes.c_long * 4)(*pairs[0], *pairs[1])
    if _libc.utimensat(_AT_FDCWD, os.fsencode(path), times, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def fails(*numbers: int) -> Iterator[None]:
    """Holds when the block is answered with one of these errnos."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is looked at below)
        yield
    assert caught.value.errno in numbers, f"{caught.value} instead of {[os.strerror(number) for number in numbers]}"


@contextmanager
def acting_as(uid: int, *groups: int) -> Iterator[None]:
    """Within the block this root process is the user `uid`, in the group of the same number and `groups`."""
    before = os.getgroups()
    os.setgroups([uid, *groups])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
