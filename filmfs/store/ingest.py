"""Taking a source file's bytes in: streamed once, hashed on the way, durable before a record speaks of them.

`Ingest.take` stages one file; every batch is made durable by one sync, recorded in one transaction and placed. A record
in the journal lets an interrupted run go on: a source that still has the same identity and times is not read again.
Names in branches are not this module's business.
"""

import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.errors import IsADirectory, SourceChanged, from_os_error
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import EMPTY_CONTENT, LEAF_SIZE, BlobId, ContentId, content_id, identify
from filmfs.core.paths import shown
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.blobs import BlobRecord, Blobs, blob_key
from filmfs.store.contents import LITERAL_MAX, find_map, put_content
from filmfs.store.database import Database, Transaction, reserve
from filmfs.store.disk import clone, start_writeback, sync_path

JOURNAL = b"journal"

_IDS_AT_ONCE = 4096
_BATCH_FILES = 4096
_BATCH_BYTES = 1 << 30
_STEP = 4 * LEAF_SIZE
_BUFFERS = 5
_FEW = 16  # up to this many files are synced one by one; more by one syncfs

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """A source file whose bytes are here: `reused` when they were not read again."""

    content: ContentId
    size: int
    reused: bool = False
    cloned: bool = False


@dataclass(frozen=True, slots=True)
class _Staged:
    journal: bytes
    content: ContentId
    leaves: bytes
    map: ExtentMap
    blob: BlobId | None


def journal_key(path: bytes, stat: os.stat_result) -> bytes:
    """What a source is recognised by on the next run: its path, device, inode, size, mtime and ctime."""
    facts = f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:".encode()
    return blake3(facts + path).digest(16)


class Ingest:
    """One run of taking files in. Call `flush` at the end; what was not flushed is forgotten."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self._blobs = blobs
        self._batch: list[_Staged] = []
        self._batch_bytes = 0
        self._ids = range(0)
        self._can_clone = True
        self.stored_bytes = 0

    def take(self, path: bytes, progress: Progress = lambda done: None) -> Taken:
        """Stores the bytes of the regular file at `path`. Raises SourceChanged, or what the disk says.

        The content can be named in a branch only after the next `flush`.
        """
        descriptor = _open_source(path)
        try:
            before = os.fstat(descriptor)
            key = journal_key(path, before)
            known = self._known(key)
            if known is not None:
                progress(before.st_size)
                return Taken(known, before.st_size, reused=True)
            staged, cloned = self._stage(descriptor, before.st_size, key, progress)
            after = os.fstat(descriptor)
            if _moved(before, after) or staged.map.size != before.st_size:
                if staged.blob is not None:
                    self._blobs.discard(staged.blob)
                raise SourceChanged(f"{shown(path)} was written to while it was read; it was left out, add it again")
        finally:
            os.close(descriptor)
        self._batch.append(staged)
        self._batch_bytes += staged.map.size
        if len(self._batch) >= _BATCH_FILES or self._batch_bytes >= _BATCH_BYTES:
            self.flush()
        return Taken(staged.content, staged.map.size, cloned=cloned)

    def flush(self) -> None:
        """Makes all that was taken durable, in one transaction."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        self._sync([entry.blob for entry in batch if entry.blob is not None])
        with self._database.write() as transaction:
            new = [entry for entry in batch if self._record(transaction, entry)]
        kept = {entry.blob for entry in new}
        for entry in batch:
            if entry.blob is None:
                continue
            if entry.blob in kept:
                self._blobs.place(entry.blob, entry.content)
            else:
                self._blobs.discard(entry.blob)

    def forget_journal(self) -> None:
        """Drops the notes of this and earlier runs: what they led to is now named in a branch."""
        with self._database.write() as transaction:
            for key in [key for key, _ in transaction.scan(JOURNAL)]:
                transaction.delete(JOURNAL, key)

    def _record(self, transaction: Transaction, entry: _Staged) -> bool:
        transaction.put(JOURNAL, entry.journal, entry.content)
        if not put_content(transaction, entry.content, entry.map, entry.leaves):
            return False
        self.stored_bytes += entry.map.size
        if entry.blob is not None:
            record = BlobRecord(entry.map.size, entry.content)
            transaction.put(BLOB, blob_key(entry.blob), record.as_value())
        return True

    def _known(self, key: bytes) -> ContentId | None:
        with self._database.read() as transaction:
            content = transaction.get(JOURNAL, key)
            if content is not None and find_map(transaction, ContentId(content)) is not None:
                return ContentId(content)
        return None

    def _stage(self, source: int, size: int, key: bytes, progress: Progress) -> tuple[_Staged, bool]:
        if size <= LITERAL_MAX:
            data = _read_small(source, size)
            content, leaves = identify([data])
            progress(len(data))
            return _Staged(key, content, leaves, ExtentMap.of_bytes(data), None), False
        blob = self._next_id()
        staging = self._blobs.create(blob)
        try:
            cloned = self._can_clone = self._can_clone and clone(source, staging)
            if cloned:
                length, leaves = _hash_and_copy(staging, None, progress)
            else:
                length, leaves = _hash_and_copy(source, staging, progress)
        except BaseException:
            self._blobs.discard(blob)
            raise
        finally:
            os.close(staging)
        if length == 0:
            self._blobs.discard(blob)
            return _Staged(key, EMPTY_CONTENT, b"", ExtentMap(), None), False
        return _Staged(key, content_id(length, leaves), leaves, ExtentMap.of_blob(blob, length), blob), cloned

    def _next_id(self) -> BlobId:
        if not self._ids:
            with self._database.write() as transaction:
                first = reserve(transaction, "blob", _IDS_AT_ONCE)
            self._ids = range(first, first + _IDS_AT_ONCE)
        blob = BlobId(self._ids[0])
        self._ids = self._ids[1:]
        return blob

    def _sync(self, blobs: list[BlobId]) -> None:
        if not blobs:
            return
        if len(blobs) > _FEW:
            self._blobs.sync()
            return
        for blob in blobs:
            sync_path(self._blobs.staging_path(blob))
        sync_path(os.path.dirname(self._blobs.staging_path(blobs[0])))


def _open_source(path: bytes) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            descriptor = os.open(path, flags)
    except OSError as error:
        raise from_os_error(error, f"reading {shown(path)}") from error
    if not os.path.isfile(descriptor):
        os.close(descriptor)
        raise IsADirectory(f"{shown(path)} is not a regular file any more")
    return descriptor


def _moved(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) != (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _read_small(source: int, size: int) -> bytes:
    """All bytes; of a file that grows a few more than `size`, and not all that follow."""
    data = b""
    with _disk_errors():
        while len(data) <= size and (part := os.read(source, LITERAL_MAX + 1)):
            data += part
    return data


def _hash_and_copy(source: int, target: int | None, progress: Progress) -> tuple[int, bytes]:
    """Reads `source` to its end, writes it to `target` if there is one; (length, joined leaf hashes).

    What is hashed is the buffer that was written. Hashing runs beside the copy (BLAKE3 lets go of the interpreter
    lock), a few buffers behind; the buffers are used again, since fresh memory costs more than the copy. A file that
    grows is left when there is more than it had: one that grows as fast as it is read has no end.
    """
    with _disk_errors():
        size = os.fstat(source).st_size
        first = bytearray(min(_STEP, size + 1))
        filled = _fill(source, first)
        if filled < len(first):
            step = memoryview(first)[:filled]
            _write_all(target, step)
            progress(filled)
            return filled, b"".join(_leaf_hashes(step))
        if len(first) < _STEP:
            first += bytes(_STEP - filled)
            filled += _fill(source, memoryview(first)[filled:])
        return _pipeline(source, target, size, first, filled, progress)


def _pipeline(
    source: int, target: int | None, size: int, buffer: bytearray, filled: int, progress: Progress
) -> tuple[int, bytes]:
    leaves: list[bytes] = []
    work: queue.SimpleQueue[tuple[bytearray, int] | None] = queue.SimpleQueue()
    free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    for _ in range(_BUFFERS - 1):
        free.put(bytearray(_STEP))

    def hash_steps() -> None:
        while (step := work.get()) is not None:
            leaves.extend(_leaf_hashes(memoryview(step[0])[: step[1]]))
            free.put(step[0])

    hasher = threading.Thread(target=hash_steps, name="filmfs-hash")
    hasher.start()
    length = 0
    try:
        while filled:
            work.put((buffer, filled))
            _write_all(target, memoryview(buffer)[:filled])
            if target is not None:
                start_writeback(target, length, filled)
            length += filled
            progress(filled)
            buffer = free.get()
            filled = _fill(source, buffer) if length <= size else 0
    finally:
        work.put(None)
        hasher.join()
    return length, b"".join(leaves)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise from_os_error(error, "copying a source file") from error


def _fill(source: int, buffer: bytearray | memoryview) -> int:
    """Reads until `buffer` is full or the file ends; how many bytes that were."""
    view = memoryview(buffer)
    filled = 0
    while filled < len(view):
        count = os.readv(source, [view[filled:]])
        if not count:
            break
        filled += count
    return filled


def _write_all(target: int | None, data: memoryview) -> None:
    while target is not None and data:
        data = data[os.write(target, data) :]


def _leaf_hashes(step: memoryview) -> list[bytes]:
    return [
        blake3(step[offset : offset + LEAF_SIZE], max_threads=1).digest() for offset in range(0, len(step), LEAF_SIZE)
    ]
