"""The optional C extension between libfuse and /dev/fuse: kernel passthrough, and reads without Python.

It must be loaded before pyfuse3 is imported and with its symbols visible to it, so the package `filmfs.mount` imports
this first. Where it is missing, or FILMFS_NATIVE=off says so, `hooks` is None and everything goes through pyfuse3.
"""

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

OWN_NAME = b"\1"
"""What attribute names begin with that stand for requests pyfuse3 does not know; users' names never do."""


class Hooks(Protocol):
    """What the extension offers; the C source describes each call."""

    def want(self, passthrough: bool, turn_mask: int, /) -> None:
        """Says what the next session shall ask the kernel for."""

    def is_attached(self) -> bool:
        """Whether a session goes through the hooks."""

    def is_negotiated(self) -> bool:
        """Whether the kernel agreed to passthrough."""

    def demotes(self) -> bool:
        """Whether the kernel leaves it to us to take set-user-ID and its kind from what is written, cut, given away."""

    def take_demotion(self, handle: int, /) -> bool:
        """Whether somebody without CAP_FSETID wrote by a handle since the last call."""

    def open_backing(self, descriptor: int, /) -> int:
        """Registers an open file; its backing id. Raises OSError."""

    def close_backing(self, backing: int, /) -> None:
        """Lets go of a backing id. Raises OSError."""

    def pass_through(self, handle: int, backing: int, /) -> None:
        """Has the reply that opens `handle` say passthrough."""

    def serve(self, node: int, size: int, sources: list[int | bytes], runs: list[tuple[int, int, int, int]], /) -> None:
        """Answers reads of `node`: runs are (offset, length, index of the source, offset in it), gaps are zeros."""

    def unserve(self, node: int, /) -> None:
        """Ends `serve`."""

    def take_failures(self) -> list[tuple[int, int]]:
        """(node, errno) of reads that failed since the last call."""

    def counts(self) -> dict[str, int]:
        """How many requests came."""

    def wait_readable(self, descriptor: int, most_us: int, /) -> bool:
        """Whether a descriptor can be read within so many microseconds; awake while requests come in a burst."""

    def answer_with(self, answer: Callable[..., Any] | None, eager: object, block_size: int, /) -> None:
        """Has some requests be answered by one call (see `filmfs.mount.quick`), or none any more.

        While `eager.waiting` nobody waits awake; `block_size` is st_blksize.
        """

    def stop(self) -> None:
        """Sends nothing more. For the moment before the session's descriptor is closed."""


def _load() -> Hooks | None:
    if os.environ.get("FILMFS_NATIVE") == "off" or "pyfuse3" in sys.modules:
        return None
    before = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
    try:
        hooks: Hooks = importlib.import_module("filmfs.mount.native._hooks")
    except ImportError:
        return None
    finally:
        sys.setdlopenflags(before)
    return hooks


hooks = _load()
