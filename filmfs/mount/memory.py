"""Keeps the database in memory, and handlers from reading what is not there in the event loop's thread.

A page fault stops the thread that meets it, and with the event loop everybody. So a thread looks every second whether
all of the database is in memory, and reads in what is not if that is not too much. While something is missing, what a
handler is going to read is read in a thread before it.
"""

import logging
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import trio

from filmfs.core.errors import FilmFSError
from filmfs.mount.flushing import Flusher
from filmfs.store.residency import Residency, let_go_of_map
from filmfs.versioning.prefault import touch_entries, touch_files
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import VIRTUAL, NodeId, split_node

_R = TypeVar("_R")

log = logging.getLogger("filmfs.mount")

_LOOK_S = 1.0
_READERS = 16
_AT_ONCE = 4  # mebibytes that are read in before others may write
_SHARE = 4  # at most such a part of the machine's memory is filled with the database
_MAPPED_MAX = 96 << 20  # bytes that the process may have mapped of it; the rest is the kernel's cache alone


class Memory:
    """What of the database is in memory."""

    def __init__(self, filesystem: FileSystem, flusher: Flusher) -> None:
        self.has_all = False
        self._flusher = flusher
        self._fs = filesystem
        self._database = filesystem.archive.database
        self._watcher = trio.CapacityLimiter(1)
        self._readers = trio.CapacityLimiter(_READERS)  # names do not wait for bytes that are read or written
        self._residency = Residency(self._database.file, self._database.used)

    @property
    def is_cold(self) -> bool:
        """Whether to look at something may mean to wait for a disk: it is not in memory, or being written just now."""
        return not self.has_all or self._flusher.is_writing

    async def run(self) -> None:
        """Looks for as long as the mount lives."""
        while True:
            try:
                missing, fits = await self._in_thread(self._look)
                self.has_all = not missing
                if missing and fits:
                    await self._read_in(missing)
                    self.has_all = not (await self._in_thread(self._look))[0]
            except (FilmFSError, OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                self.has_all = False
                log.warning("whether the database is in memory cannot be told: %s", error)
            await trio.sleep(_LOOK_S)

    async def _read_in(self, missing: list[int]) -> None:
        """Reads what is missing, a little at a time, and never while the database is being written.

        On a disk that is a FUSE mount itself the kernel may have let go of a page that is on its way there, if somebody
        opened the file. Who reads it now has it as it was before, for good. LMDB looks only at pages that are written.
        """
        for at in range(0, len(missing), _AT_ONCE):
            async with self._flusher.hold():
                await self._in_thread(partial(self._residency.read_in, missing[at : at + _AT_ONCE]))

    async def _in_thread(self, work: Callable[[], _R]) -> _R:
        """One at a time. An unmount does not wait for it: it only reads."""
        return await trio.to_thread.run_sync(work, limiter=self._watcher, abandon_on_cancel=True)

    async def touch(self, nodes: Iterable[NodeId], names: Iterable[tuple[NodeId, bytes]]) -> None:
        """Returns when what a handler reads for these is in memory."""
        files = [split_node(node)[1] for node in nodes if split_node(node)[0] != VIRTUAL]
        entries = [(split_node(node)[1], name) for node, name in names if split_node(node)[0] != VIRTUAL]
        if files or entries:
            await trio.to_thread.run_sync(touch_files, self._database, files, entries, limiter=self._readers)

    async def touch_listing(self, handle: int, start: int) -> None:
        """The same for what is listed of a directory from a position on."""
        following = self._fs.following(handle, start)
        if following is not None:
            await trio.to_thread.run_sync(touch_entries, self._database, *following, limiter=self._readers)

    def _look(self) -> tuple[list[int], bool]:
        """What is missing, and whether all of it may be in memory."""
        if _mapped_bytes() > _MAPPED_MAX:
            let_go_of_map(os.path.realpath(self._database.file))
        return self._residency.missing(), self._residency.size() <= _machine_bytes() // _SHARE


def _machine_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as facts:
        return int(facts.read().split()[2]) * os.sysconf("SC_PAGE_SIZE")
