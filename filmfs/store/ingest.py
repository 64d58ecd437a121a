"""Taking a source file's bytes in: streamed once, hashed on the way, durable before a record speaks of them.

`Ingest.take` stages one file; every batch is made durable by one sync, recorded in one transaction and placed. A record
in the journal lets an interrupted run go on: a source that still has the same identity and times is not read again.
Names in branches are not this module's business.
"""

import os
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.errors import (
    FilmFSError,
    IsADirectory,
    LostBytes,
    NotFound,
    Refused,
    SourceChanged,
    SourceUnreadable,
)
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import EMPTY_CONTENT, BlobId, ContentId, content_id, identify
from filmfs.core.paths import shown
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.blobs import BlobRecord, Blobs, blob_key
from filmfs.store.contents import LITERAL_MAX, find_map, put_content
from filmfs.store.copying import Copier, Progress
from filmfs.store.database import Database, Transaction, reserve
from filmfs.store.disk import clone

JOURNAL = b"journal"

_IDS_AT_ONCE = 4096
_BATCH_FILES = 4096
_BATCH_BYTES = 1 << 30
_FEW = 16  # up to this many files are synced one by one; more by one syncfs


@dataclass(frozen=True, slots=True)
class Taken:
    """A source file whose bytes are here: `reused` when they were not read again."""

    content: ContentId
    size: int
    stored: int  # the size less the holes
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

    def __init__(self, database: Database, blobs: Blobs, *, is_noted: bool = True) -> None:
        """`is_noted`: sources are noted in the journal, for a run that goes on after this one was cut off."""
        self._database = database
        self._is_noted = is_noted
        self._blobs = blobs
        self._batch: list[_Staged] = []
        self._batch_bytes = 0
        self._ids = range(0)
        self._can_clone = True
        self._copier = Copier()
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
                return known
            staged, cloned = self._stage(descriptor, before.st_size, key, path, progress)
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
        return Taken(staged.content, staged.map.size, staged.map.stored, cloned=cloned)

    def flush(self) -> None:
        """Makes all that was taken durable, in one transaction."""
        batch, self._batch, self._batch_bytes = self._batch, [], 0
        if not batch:
            return
        self._sync([entry.blob for entry in batch if entry.blob is not None])
        new = self._database.transact(lambda transaction: [e for e in batch if self._record(transaction, e)])
        self.stored_bytes += sum(entry.map.stored for entry in new)
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

        def clear(transaction: Transaction) -> None:
            for key in [key for key, _ in transaction.scan(JOURNAL)]:
                transaction.delete(JOURNAL, key)

        self._database.transact(clear)

    def _record(self, transaction: Transaction, entry: _Staged) -> bool:
        if self._is_noted:
            transaction.put(JOURNAL, entry.journal, entry.content)
        if not put_content(transaction, entry.content, entry.map, entry.leaves):
            return False
        if entry.blob is not None:
            record = BlobRecord(entry.map.size, entry.content)
            transaction.put(BLOB, blob_key(entry.blob), record.as_value())
        return True

    def _known(self, key: bytes) -> Taken | None:
        with self._database.read() as transaction:
            content = transaction.get(JOURNAL, key)
            if content is None:
                return None
            found = find_map(transaction, ContentId(content))
            return None if found is None else Taken(ContentId(content), found.size, found.stored, reused=True)

    def _stage(self, source: int, size: int, key: bytes, path: bytes, progress: Progress) -> tuple[_Staged, bool]:
        if size <= LITERAL_MAX:
            data = _read_small(source, size, path)
            content, leaves = identify([data])
            progress(len(data))
            return _Staged(key, content, leaves, ExtentMap.of_bytes(data), None), False
        blob = self._next_id()
        staging = self._blobs.create(blob)
        try:
            cloned = self._can_clone = self._can_clone and clone(source, staging)
            if cloned:
                copied = self._copier.copy(staging, None, progress)
            else:
                copied = self._copier.copy(source, staging, progress)
        except SourceUnreadable as error:
            self._blobs.discard(blob)
            raise SourceUnreadable(f"{shown(path)}: {error}") from error
        except BaseException:
            self._blobs.discard(blob)
            raise
        finally:
            os.close(staging)
        if copied.length == 0:
            self._blobs.discard(blob)
            return _Staged(key, EMPTY_CONTENT, b"", ExtentMap(), None), False
        runs = tuple(Extent(start, end - start, blob, start) for start, end in copied.ranges)
        content = content_id(copied.length, copied.leaves)
        return _Staged(key, content, copied.leaves, ExtentMap(copied.length, runs), blob), cloned

    def _next_id(self) -> BlobId:
        if not self._ids:
            first = self._database.transact(lambda transaction: reserve(transaction, "blob", _IDS_AT_ONCE))
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
        if self._blobs.sync_staged(blobs):
            raise LostBytes("the disk lost bytes of what was added; add it again")
        self._blobs.sync_names()


def source_error(error: OSError, path: bytes) -> FilmFSError:
    """Why a source cannot be taken: its own trouble, never the archive's."""
    kinds = {FileNotFoundError: NotFound, PermissionError: Refused}
    kind = kinds.get(type(error), SourceUnreadable)
    return kind(f"{shown(path)} cannot be read: {error.strerror or error}")


def _open_source(path: bytes) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            descriptor = os.open(path, flags)
    except OSError as error:
        raise source_error(error, path) from error
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


def _read_small(source: int, size: int, path: bytes) -> bytes:
    """All bytes; of a file that grows a few more than `size`, and not all that follow."""
    data = b""
    try:
        while len(data) <= size and (part := os.read(source, LITERAL_MAX + 1)):
            data += part
    except OSError as error:
        raise source_error(error, path) from error
    return data
