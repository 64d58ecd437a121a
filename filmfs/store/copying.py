"""Copying one file's bytes into the store and hashing them on the way.

A large file goes through a few buffers: this thread reads, others write and hash (BLAKE3 and the disk let go of the
interpreter lock). The disk begins at once, and what it has is let go of: a camera card is larger than memory, and fresh
memory for pages that nobody will read again costs more than the copy. What is hashed is the buffer that was
written. Reading is the source's trouble, writing the archive's: the two fail with different errors.
"""

import mmap
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.errors import SourceUnreadable, from_os_error
from filmfs.core.ids import LEAF_SIZE, ZERO_LEAF
from filmfs.store.disk import allocate, finish_writeback, start_writeback

Progress = Callable[[int], None]

_STEP = 8 * LEAF_SIZE
_LARGE = 2 * _STEP
_WORKERS = 3
_IN_CACHE = 16 * _STEP  # how much of the copy stays in the page cache while it is written


@dataclass(frozen=True, slots=True)
class Copied:
    """A file that was copied: its length, joined leaf hashes, and the ranges that are not holes, as (start, end)."""

    length: int
    leaves: bytes
    ranges: tuple[tuple[int, int], ...]


class Copier:
    """Copies files one after another, with buffers that are kept: fresh memory is slow."""

    def __init__(self) -> None:
        self._buffers: list[memoryview] = []

    def copy(self, source: int, target: int | None, progress: Progress) -> Copied:
        """Reads `source` to its end, and writes it to `target` if there is one. Holes of a mebibyte stay holes.

        A file that grows is left when there is more than it had: one that grows as fast as it is read has no end.
        Raises SourceUnreadable, or what the archive's disk says.
        """
        with _source_errors():
            found = os.fstat(source)
        size = found.st_size
        if size >= _LARGE:
            if not self._buffers:
                self._buffers = [memoryview(mmap.mmap(-1, _STEP)) for _ in range(_WORKERS + 2)]
            sparse = found.st_blocks * 512 < size
            return _Pipeline(source, target, size, self._buffers, progress, sparse=sparse).run()
        return _copy_small(source, target, size, progress)


def _copy_small(source: int, target: int | None, size: int, progress: Progress) -> Copied:
    data = memoryview(bytearray(size + 1))
    filled = _fill(source, data, 0)
    if target is not None:
        with _target_errors():
            _write_all(target, data[:filled], 0)
    progress(filled)
    return Copied(filled, b"".join(_leaf_hashes(data[:filled])), ((0, filled),) if filled else ())


class _Pipeline:
    """One large file on its way."""

    def __init__(
        self,
        source: int,
        target: int | None,
        size: int,
        buffers: list[memoryview],
        progress: Progress,
        *,
        sparse: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._size = size
        self._progress = progress
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        for buffer in buffers:
            self._free.put(buffer)
        self._work: queue.SimpleQueue[tuple[int, memoryview, int] | None] = queue.SimpleQueue()
        self._leaves: dict[int, list[bytes]] = {}
        self._failed: list[BaseException] = []
        self._ranges: list[tuple[int, int]] = []
        self._sparse = sparse

    def run(self) -> Copied:
        """Copies; see Copier.copy."""
        self._begin()
        workers = [threading.Thread(target=self._carry, name="filmfs-copy") for _ in range(_WORKERS)]
        for worker in workers:
            worker.start()
        try:
            length = self._read()
        finally:
            for _ in workers:
                self._work.put(None)
            for worker in workers:
                worker.join()
        if self._failed:
            raise self._failed[0]
        self._end(length)
        leaves = b"".join(leaf for offset in sorted(self._leaves) for leaf in self._leaves[offset])
        return Copied(length, leaves, tuple(self._ranges))

    def _read(self) -> int:
        length = 0
        while not self._failed and length <= self._size:
            hole, room = self._look_ahead(length) if self._sparse else (0, _STEP)
            if hole:
                self._leaves[length] = [ZERO_LEAF] * (hole // LEAF_SIZE)
                length += hole
                self._progress(hole)
                continue
            buffer = self._free.get()
            filled = _fill(self._source, buffer[:room], length)
            if not filled:
                break
            self._work.put((length, buffer, filled))
            start = self._ranges.pop()[0] if self._ranges and self._ranges[-1][1] == length else length
            length += filled
            self._ranges.append((start, length))
            self._progress(filled)
        return length

    def _look_ahead(self, position: int) -> tuple[int, int]:
        """From `position`: bytes of whole leaves that are a hole, and how much to read before the next hole."""
        try:
            data = os.lseek(self._source, position, os.SEEK_DATA)
            hole = os.lseek(self._source, data, os.SEEK_HOLE)
        except OSError:  # ENXIO: nothing but a hole from here on
            data = hole = self._size
        skipped = (data - position) // LEAF_SIZE * LEAF_SIZE
        until_hole = -(-(hole - position) // LEAF_SIZE) * LEAF_SIZE
        return skipped, max(LEAF_SIZE, min(_STEP, until_hole))

    def _carry(self) -> None:
        while (step := self._work.get()) is not None:
            offset, buffer, filled = step
            try:
                if self._target is not None and not self._failed:
                    with _target_errors():
                        self._write(self._target, offset, buffer[:filled])
                self._leaves[offset] = _leaf_hashes(buffer[:filled])
            except BaseException as error:
                self._failed.append(error)
            self._free.put(buffer)

    def _write(self, target: int, offset: int, data: memoryview) -> None:
        _write_all(target, data, offset)
        start_writeback(target, offset, len(data))
        if offset >= _IN_CACHE:
            finish_writeback(target, offset - _IN_CACHE, _STEP)

    def _begin(self) -> None:
        if self._target is not None and not self._sparse:
            with _target_errors():
                allocate(self._target, self._size)

    def _end(self, length: int) -> None:
        if self._target is not None:
            with _target_errors():
                os.ftruncate(self._target, length)
                os.fsync(self._target)


def _fill(source: int, buffer: memoryview, offset: int) -> int:
    """Reads from `offset` until `buffer` is full or the file ends; how many bytes that were."""
    filled = 0
    with _source_errors():
        while filled < len(buffer):
            count = os.preadv(source, [buffer[filled:]], offset + filled)
            if not count:
                break
            filled += count
    return filled


def _write_all(target: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(target, data, offset)
        data, offset = data[count:], offset + count


def _leaf_hashes(data: memoryview) -> list[bytes]:
    return [
        blake3(data[offset : offset + LEAF_SIZE], max_threads=1).digest() for offset in range(0, len(data), LEAF_SIZE)
    ]


@contextmanager
def _source_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceUnreadable(f"the source cannot be read: {error.strerror or error}") from error


@contextmanager
def _target_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, "storing bytes") from error
