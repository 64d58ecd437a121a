"""Blobs: immutable plain files, and the staging files that become blobs.

A staged blob is `staging/NUMBER` and may grow; a sealed one is `blobs/ab/cdef…`, named by the ContentId of its bytes.
The record says which (table `blob`, see docs/formats.md): sealing commits the record first and renames after, so a
reader that finds no file under the sealed name looks in staging, and opening the archive finishes renames that a crash
cut off. Bytes are durable under the staging name before any record speaks of them.
"""

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from filmfs.core.errors import Corrupt, from_os_error
from filmfs.core.ids import BlobId, ContentId
from filmfs.store.database import Database, Transaction
from filmfs.store.disk import nobody_writes, sync_filesystem, sync_path

TABLE = b"blob"
_OPEN_FILES = 512


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """What is known of a blob: `content` is None while it is staged, then names its bytes for ever."""

    size: int
    content: ContentId | None

    @property
    def is_torn(self) -> bool:
        """Whether it is a staging file that the disk may not have as this machine's memory does."""
        return self == TORN

    def as_value(self) -> list[object]:
        """The stored form: [size, content]."""
        return [self.size, self.content]


STAGED = BlobRecord(0, None)
TORN = BlobRecord(1, None)  # its sync failed once: what is needed of it is copied, never named where it lies


def blob_key(blob: BlobId) -> bytes:
    """The key of a blob's record: its number, 8 bytes, big-endian."""
    return blob.to_bytes(8, "big")


def read_record(transaction: Transaction, blob: BlobId) -> BlobRecord | None:
    """The record of `blob`, if there is one."""
    value = transaction.get(TABLE, blob_key(blob))
    return None if value is None else BlobRecord(value[0], value[1] and ContentId(value[1]))


class Blobs:
    """The blob files of one archive: opens, reads and places them. Safe to use from many threads."""

    def __init__(self, root: str, database: Database, *, readonly: bool = False) -> None:
        self._blobs = os.path.join(root, "blobs")
        self._staging = os.path.join(root, "staging")
        self._database = database
        self._readonly = readonly
        self._open: OrderedDict[BlobId, _SharedFile] = OrderedDict()
        self._lock = threading.Lock()
        self._lost: set[BlobId] = set()  # staging files of which the disk lost bytes

    @property
    def staging_directory(self) -> str:
        """Where staging files are."""
        return self._staging

    def staging_path(self, blob: BlobId) -> str:
        """Where the bytes of a staged blob are."""
        return os.path.join(self._staging, str(blob))

    def sealed_path(self, content: ContentId) -> str:
        """Where the bytes of a sealed blob are."""
        name = content.hex()
        return os.path.join(self._blobs, name[:2], name[2:])

    def path_of(self, blob: BlobId) -> str:
        """The file of `blob` as its record has it."""
        with self._database.read() as transaction:
            record = read_record(transaction, blob)
        if record is None or record.content is None:
            return self.staging_path(blob)
        sealed = self.sealed_path(record.content)
        return sealed if os.path.exists(sealed) else self.staging_path(blob)

    def create(self, blob: BlobId) -> int:
        """Makes the staging file of the new `blob`; the descriptor is the caller's to close."""
        try:
            return self._open_file(self.staging_path(blob), os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError as error:
            raise from_os_error(error, "making a file for new bytes") from error

    def open_staged(self, blob: BlobId, *, writable: bool = True) -> int:
        """Opens a staging file; the descriptor is the caller's to close."""
        try:
            return self._open_file(self.staging_path(blob), os.O_RDWR if writable else os.O_RDONLY)
        except OSError as error:
            raise from_os_error(error, "opening a file of new bytes") from error

    def sync_staged(self, blobs: Iterable[BlobId]) -> frozenset[BlobId]:
        """Makes the bytes of staging files durable, but not their names.

        Gives all staging files, these and others, of which the disk lost bytes (EIO): the kernel may drop what it could
        not write, tells of it once, and calls the next sync a success. So a file whose sync failed once is never called
        durable any more: it must be written anew. What else goes wrong is raised; it may be the whole disk's.
        """
        for blob in blobs:
            if blob in self._lost:
                continue
            try:
                descriptor = self._open_file(self.staging_path(blob), os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                except OSError as error:
                    self._lost.add(blob)
                    if error.errno != errno.EIO:
                        raise
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise from_os_error(error, f"making the bytes of blob {blob} durable") from error
        return frozenset(self._lost)

    def sync_names(self) -> None:
        """Makes the names of all staging files durable."""
        sync_path(self._staging)

    def place(self, blob: BlobId, content: ContentId) -> None:
        """Moves the file of `blob`, whose record says that it is sealed, to its final name."""
        staged, final = self.staging_path(blob), self.sealed_path(content)
        try:
            if os.path.exists(final):
                self.discard(blob)
                return
            try:
                os.chmod(staged, 0o400)
                os.rename(staged, final)
            except FileNotFoundError:
                if not os.path.exists(staged):
                    return
                os.makedirs(os.path.dirname(final), exist_ok=True)
                os.rename(staged, final)
        except OSError as error:
            raise from_os_error(error, "placing a blob") from error

    def discard(self, blob: BlobId) -> None:
        """Removes the staging file of `blob`; an open reader keeps its bytes."""
        self._lost.discard(blob)
        try:
            os.unlink(self.staging_path(blob))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise from_os_error(error, "removing a staging file") from error

    def staged_files(self) -> Iterator[tuple[str, BlobId | None]]:
        """What lies in staging/: each name, and its number if it is a blob's."""
        for name in sorted(os.listdir(self._staging)):
            yield name, BlobId(int(name)) if name.isdecimal() else None

    def sealed_files(self) -> Iterator[str]:
        """Paths of all files under blobs/."""
        for directory, _, names in os.walk(self._blobs):
            for name in names:
                yield os.path.join(directory, name)

    def read(self, blob: BlobId, offset: int, length: int) -> bytes:
        """`length` bytes of `blob` from `offset`. Raises Corrupt when the file is shorter, DiskFailure."""
        with self._file(blob) as descriptor:
            return _read_exactly(descriptor, blob, offset, length)

    def read_cached(self, blob: BlobId, offset: int, length: int) -> bytearray | None:
        """The same if the page cache holds all of it; None when a disk would have to be waited for, or may have to."""
        file = self._find_open(blob)
        if file is None:
            return None
        with file as descriptor:
            buffer = bytearray(length)
            try:
                done = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)
            except OSError:  # EAGAIN: not cached; EOPNOTSUPP: the file system cannot tell
                return None
            return buffer if done == length else None

    def are_open(self, blobs: Iterable[BlobId]) -> bool:
        """Whether no disk has to be waited for to read what is in memory of `blobs`."""
        with self._lock:
            return all(blob in self._open for blob in blobs)

    def open(self, blob: BlobId) -> int:
        """A descriptor of the file of `blob`, for reading; the caller's to close. Raises as `read`."""
        with self._file(blob) as descriptor:
            return os.dup(descriptor)

    @contextmanager
    def borrow(self, blobs: Iterable[BlobId]) -> Iterator[list[int]]:
        """Descriptors of the files of `blobs`, good inside the block. Raises Corrupt, DiskFailure."""
        with ExitStack() as stack:
            yield [stack.enter_context(self._file(blob)) for blob in blobs]

    def is_quiet(self, blob: BlobId) -> bool:
        """Whether nobody can write to the file of `blob`."""
        with self._file(blob) as descriptor:
            return nobody_writes(descriptor)

    def size_on_disk(self, blob: BlobId) -> int:
        """The length of the blob's file."""
        with self._file(blob) as descriptor:
            return os.fstat(descriptor).st_size

    def release(self, blob: BlobId) -> None:
        """Closes the cached descriptor of `blob` once nobody reads from it."""
        with self._lock:
            file = self._open.pop(blob, None)
            if file is not None:
                file.retire()

    def close(self) -> None:
        """Closes every cached descriptor."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].retire()

    def room(self) -> int:
        """Bytes that the disk has left."""
        disk = os.statvfs(self._staging)
        return disk.f_bavail * disk.f_frsize

    def sync(self) -> None:
        """Makes all bytes and names under this archive's file system durable (syncfs)."""
        sync_filesystem(self._staging)

    def _find_open(self, blob: BlobId) -> "_SharedFile | None":
        with self._lock:
            file = self._open.get(blob)
            if file is not None:
                self._open.move_to_end(blob)
                file.users += 1
            return file

    def _file(self, blob: BlobId) -> "_SharedFile":
        file = self._find_open(blob)
        if file is not None:
            return file
        descriptor = self._open_for_reading(blob)
        with self._lock:
            existing = self._open.get(blob)
            if existing is not None:
                os.close(descriptor)
                existing.users += 1
                return existing
            file = self._open[blob] = _SharedFile(descriptor, self._lock)
            file.users += 1
            while len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].retire()
            return file

    def _open_for_reading(self, blob: BlobId) -> int:
        with self._database.read() as transaction:
            record = read_record(transaction, blob)
        candidates = [self.staging_path(blob)]
        if record is not None and record.content is not None:
            # Twice: the file may be renamed between the first look and the second.
            sealed = self.sealed_path(record.content)
            candidates = [sealed, candidates[0], sealed]
        for path in candidates:
            try:
                return self._open_file(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise from_os_error(error, "opening a blob") from error
        raise Corrupt(f"the file of blob {blob} is missing ({candidates[0]})")

    def _open_file(self, path: str, flags: int) -> int:
        """A descriptor. When there are no more, those that are only kept for later are closed, half of them at once."""
        while True:
            try:
                return os.open(path, flags | os.O_CLOEXEC, 0o600)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._close_half():
                    raise

    def _close_half(self) -> bool:
        with self._lock:
            idle = [blob for blob, file in self._open.items() if not file.users]
            for blob in idle[: -(-len(idle) // 2)]:
                self._open.pop(blob).retire()
            return bool(idle)


class _SharedFile:
    """A descriptor that closes when it is retired and its last user has left."""

    def __init__(self, descriptor: int, lock: threading.Lock) -> None:
        self._descriptor = descriptor
        self._lock = lock
        self._retired = False
        self.users = 0

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.users -= 1
            if self._retired and not self.users:
                os.close(self._descriptor)

    def retire(self) -> None:
        """Called under the lock."""
        self._retired = True
        if not self.users:
            os.close(self._descriptor)


def _read_exactly(descriptor: int, blob: BlobId, offset: int, length: int) -> bytes:
    try:
        data = os.pread(descriptor, length, offset)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), offset + len(data))
            if not more:
                raise Corrupt(f"the file of blob {blob} ends at {offset + len(data)}, before its record says")
            data += more
    except OSError as error:
        raise from_os_error(error, f"reading blob {blob}") from error
    return data
