"""A disk that fails syncs of staging files, and forgets what was not synced, for tests in one process."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from filmfs.versioning.buffers import Cut
from filmfs.versioning.lost import Loss
from filmfs.vfs.filesystem import FileSystem

_PAGE = 4096


class LosingDisk:
    """What the disk has of staging files: memory may show something else until the power is cut."""

    def __init__(self) -> None:
        self.fails_at = 0  # the sync of a staging file that fails, counted from 1
        self.lost: set[str] = set()  # names of staging files whose sync failed
        self._on_disk: dict[int, bytes] = {}
        self._in_memory: dict[int, bytes] = {}  # when it was told that it is on the disk, or lost
        self._held: dict[int, int] = {}  # descriptors, so that no other file gets a number that is known
        self._fsync = os.fsync

    @contextmanager
    def attached(self) -> Iterator["LosingDisk"]:
        """While this lasts, os.fsync asks this disk."""
        with mock.patch("os.fsync", self._sync):
            yield self
        self.forget()

    def _sync(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.parent.name != "staging":
            return self._fsync(descriptor)
        node, now = os.fstat(descriptor).st_ino, path.read_bytes()
        if node not in self._held:
            self._held[node] = os.dup(descriptor)
        before = self._in_memory.get(node, b"")
        self._in_memory[node] = now
        self.fails_at -= 1
        if self.fails_at == 0:
            self.lost.add(path.name)
            kept = self._on_disk.get(node, b"")
            self._on_disk[node] = kept[: len(now)].ljust(len(now), b"\xee")
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._on_disk[node] = _written_over(self._on_disk.get(node, b""), before, now)
        return None

    def held(self) -> set[int]:
        """Descriptors that are this disk's own."""
        return set(self._held.values())

    def cut_power(self, root: str) -> None:
        """Has the files that are left of an archive be what is on the disk."""
        for path in Path(root).glob("*/**/*"):
            if path.is_file() and path.stat().st_ino in self._on_disk:
                path.chmod(0o600)
                path.write_bytes(self._on_disk[path.stat().st_ino])
        self.forget()

    def forget(self) -> None:
        """The machine's memory and the disk's bytes are the same again."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self.lost, self._on_disk, self._in_memory, self._held = set(), {}, {}, {}


def _written_over(disk: bytes, before: bytes, now: bytes) -> bytes:
    """What the disk has when what changed since `before` was written to it."""
    parts = []
    for at in range(0, len(now), _PAGE):
        page = now[at : at + _PAGE]
        parts.append(page if page != before[at : at + _PAGE] else disk[at : at + _PAGE].ljust(len(page), b"\xee"))
    return b"".join(parts)


def settle(fs: FileSystem, cut: Cut, loss: Loss) -> None:
    """What the daemon does when a cut is written."""
    fs.history.settle(cut, loss)
    for copying in fs.copying_exposed():
        copying.run()
        copying.finish(worked=True)
    fs.history.tidy(cut, loss)


def seal(fs: FileSystem, flush: Callable[[], None]) -> None:
    """Hashes what may be hashed, and names the commits that this completes."""
    flush()
    for sealable in fs.history.drafts.sealable():
        fs.sealed(fs.history.seal(sealable))
    flush()
    fs.history.name_commits()
    flush()
