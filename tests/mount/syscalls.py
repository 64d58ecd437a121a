"""System calls that `os` does not have, and what they answer."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOREPLACE, EXCHANGE = 1, 2
_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


def rename2(source: Path, target: Path, flags: int) -> None:
    """renameat2(2)."""
    if _libc.renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def fails(*numbers: int) -> Iterator[None]:
    """Holds when the block is answered with one of these errnos."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 (its number is looked at below)
        yield
    assert caught.value.errno in numbers, f"{caught.value} instead of {[os.strerror(number) for number in numbers]}"
