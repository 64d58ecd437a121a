"""What the kernel remembers of the tree, and how it is told that this is old."""

import contextlib
from collections.abc import Iterable

import pyfuse3


def forget_at_once(names: Iterable[tuple[int, bytes]], nodes: Iterable[int]) -> None:
    """Has the kernel ask again for names and attributes. Takes no lock of the kernel's, so nothing is waited for."""
    for node in nodes:
        with contextlib.suppress(OSError):
            pyfuse3.invalidate_inode(pyfuse3.InodeT(node), attr_only=True)
    for parent, name in names:
        pyfuse3.invalidate_entry_async(pyfuse3.InodeT(parent), pyfuse3.FileNameT(name), ignore_enoent=True)
