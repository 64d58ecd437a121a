"""LMDB: ordered tables of records, and nothing about what they mean.

One environment a process. Readers never wait; one writer at a time over all processes (LMDB's own robust lock), every
commit durable when `write()` returns (no MDB_NOSYNC). Open it after any fork. The map is address space, not disk: it is
opened far larger than any archive's records where the process may have that, and grows by opening it anew where not.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, TypeVar

import lmdb

from filmfs.core.errors import Corrupt, DiskFailure, FilmFSError, NoSpace, NotAnArchive, from_os_error
from filmfs.store import records
from filmfs.store.gate import Gate

_T = TypeVar("_T")

TABLES = (
    b"meta",  # name → value: format version, counters
    b"inode",  # see versioning.rows
    b"dirent",
    b"layer",
    b"changes",
    b"branch",
    b"content",  # see store.contents
    b"leaves",
    b"draft",
    b"blob",
    b"xattrs",
    b"journal",  # see store.ingest
    b"derived",  # see store.derived
    b"renditions",
    b"jobs",  # see store.jobs
)
_LATER = (b"derived", b"renditions", b"jobs")  # not in archives that were made before these were
_MAP_SIZES = (1 << 40, 1 << 36, 1 << 32, 1 << 30)  # the first that the process may map
_MEND_S = 0.2  # the owner waits so long for other threads' views to end, and tries again later
_MENDED_S = 5.0  # other threads wait so long for the owner

Key = bytes


class Transaction:
    """A consistent view of all tables, writable when it came from `Database.write()`.

    Not to be used by two threads at once.
    """

    def __init__(self, tables: dict[bytes, Any], raw: Any) -> None:
        self._tables = tables
        self._cursors: dict[bytes, Any] = {}
        self.raw = raw

    def get(self, table: bytes, key: Key) -> Any | None:
        """The value under `key`, or None. Raises Corrupt."""
        if table not in self._tables:
            return None
        raw = self.raw.get(key, db=self._tables[table])
        return None if raw is None else records.unpack(table, key, raw)

    def has(self, table: bytes, key: Key) -> bool:
        """Whether there is a record under `key`."""
        return self.raw.get(key, db=self._tables[table]) is not None

    def put(self, table: bytes, key: Key, value: Any) -> None:
        """Writes `value` under `key`, over what was there."""
        self.raw.put(key, records.pack(table, key, value), db=self._tables[table])

    def delete(self, table: bytes, key: Key) -> bool:
        """Removes the record under `key`; says whether there was one."""
        return bool(self.raw.delete(key, db=self._tables[table]))

    def scan(self, table: bytes, prefix: bytes = b"", start: bytes | None = None) -> Iterator[tuple[Key, bytes]]:
        """Keys that begin with `prefix`, from `start` on, in order, each with its raw record (see `value`)."""
        if table not in self._tables:
            return
        with self.raw.cursor(db=self._tables[table]) as cursor:
            if not cursor.set_range(start if start is not None else prefix):
                return
            for key, raw in cursor:
                if not key.startswith(prefix):
                    return
                yield key, raw

    def first(self, table: bytes, start: bytes) -> tuple[Key, bytes] | None:
        """The first key at or after `start`, with its raw record."""
        cursor = self._cursors.get(table)
        if cursor is None:
            cursor = self._cursors[table] = self.raw.cursor(db=self._tables[table])
        return cursor.item() if cursor.set_range(start) else None

    def last(self, table: bytes) -> Key | None:
        """The largest key of the table."""
        with self.raw.cursor(db=self._tables[table]) as cursor:
            return cursor.key() if cursor.last() else None

    def count(self, table: bytes) -> int:
        """How many records the table holds."""
        return int(self.raw.stat(self._tables[table])["entries"]) if table in self._tables else 0

    value = staticmethod(records.unpack)
    """The value of a raw record that a scan gave: `value(table, key, raw)`. Raises Corrupt."""


class Snapshot:
    """One durable state, held still: reads like a Database, in whichever thread made it."""

    generation = 0

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def current(self) -> Transaction:
        """The view that is held."""
        return self._transaction

    def has(self, table: bytes, key: Key) -> bool:
        """Whether there is a record under `key`."""
        return self._transaction.has(table, key)


class Database:
    """The open environment of one archive."""

    def __init__(
        self, path: str, *, create: bool = False, readonly: bool = False, map_sizes: tuple[int, ...] = _MAP_SIZES
    ) -> None:
        """Opens `path` (a directory). Raises NotAnArchive, Corrupt or DiskFailure."""
        if not create and not os.path.exists(os.path.join(path, "data.mdb")):
            raise NotAnArchive(f"{path} holds no database")
        self.readonly = readonly
        self.generation = 0
        self._path = path
        self._shared: Transaction | None = None
        self._shared_generation = -1
        self._gate = Gate()
        self._owner = threading.get_ident()
        self._full = False  # the map is too small
        self._broken = False  # LMDB refuses to go on after a failed write
        with _lmdb_errors():
            self._open(map_sizes, create=create)

    def _open(self, sizes: tuple[int, ...], *, create: bool = False) -> None:
        for size in sizes:
            try:
                self._env = lmdb.open(
                    self._path,
                    map_size=size,
                    max_dbs=len(TABLES),
                    max_readers=512,
                    readonly=self.readonly,
                    create=create,
                    readahead=False,
                    # A read-only file system has no room for the reader table; nobody writes there either.
                    lock=not (self.readonly and not os.access(self._path, os.W_OK)),
                )
            except (lmdb.MemoryError, MemoryError):
                if size == sizes[-1]:
                    raise
            else:
                break
        if not self.readonly:
            self._env.reader_check()  # readers that were killed would keep old pages for ever
        self._tables = {}
        for name in TABLES:
            with suppress(lmdb.NotFoundError, lmdb.ReadonlyError) if name in _LATER else nullcontext():
                self._tables[name] = self._env.open_db(name, create=create or not self.readonly)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A view of the last durable state."""
        with _lmdb_errors(), self._gate.inside(), self._begin(write=False) as raw:
            yield Transaction(self._tables, raw)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The last durable state, held still."""
        with self.read() as transaction:
            yield Snapshot(transaction)

    def current(self) -> Transaction:
        """A view of the last state that this process wrote, kept open between calls.

        Only for the one thread that owns the tree (the event loop, or the command line's main thread): the view is
        renewed in place after every write.
        """
        if self._shared is None or self._shared_generation != self.generation:
            generation = self.generation
            with _lmdb_errors():
                self._let_go()
                raw = self._begin(write=False)
                self._shared = Transaction(self._tables, raw)
            self._shared_generation = generation
        return self._shared

    def _let_go(self) -> None:
        """Ends the owner's view: an old one keeps pages from being used again."""
        shared, self._shared = self._shared, None
        if shared is not None:
            shared.raw.abort()

    def refresh(self) -> None:
        """Has `current()` show what other processes wrote, and lets go of the view that it showed."""
        self.generation += 1
        self.current()

    def newest(self) -> int:
        """The number of the last transaction that any process wrote."""
        return int(self._env.info()["last_txnid"])

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction: durable when the block ends, nothing written when it raises.

        When the map is full it raises NoSpace, and `mend` helps.
        """
        with _lmdb_errors(), self._gate.inside():
            try:
                with self._begin(write=True) as raw:
                    yield Transaction(self._tables, raw)
            except lmdb.MapFullError:
                self._full = True
                raise
            self.generation += 1

    def transact(self, change: Callable[[Transaction], _T]) -> _T:
        """What `change` gives for a transaction, which is tried again when the map had to grow for it."""
        while True:
            try:
                with self.write() as transaction:
                    return change(transaction)
            except FilmFSError:
                if threading.get_ident() != self._owner or not self.mend():
                    raise

    def _begin(self, *, write: bool) -> Any:
        """A transaction, also when another process made the database larger, or a failed write closed it to us."""
        deadline = time.monotonic() + _MENDED_S
        while True:
            try:
                return self._env.begin(write=write)
            except (lmdb.MapResizedError, lmdb.PanicError) as error:
                self._full |= isinstance(error, lmdb.MapResizedError)
                self._broken |= isinstance(error, lmdb.PanicError)
                if threading.get_ident() == self._owner:
                    if not self.mend():
                        raise
                elif time.monotonic() > deadline or not self._gate.step_out(0.01):
                    raise

    def mend(self) -> bool:
        """Opens the database anew if it cannot be used as it is, with a larger map if that is why; whether it helped.

        For the thread that owns the tree, when it uses no view; views of other threads are waited for a moment.
        """
        if not (self._full or self._broken) or threading.get_ident() != self._owner or self._gate.depth() > 1:
            return False
        with self._gate.alone(_MEND_S) as alone, _lmdb_errors():
            if not alone:
                return False
            self._let_go()
            before = self._env.info()["map_size"]
            used = max(before, self.size())
            self._env.close()
            self._open((2 * used, used + used // 2, used + used // 8, before) if self._full else (before,))
            helped = not self._full or self._env.info()["map_size"] > before
            self._full = self._broken = False
            self.generation += 1
        return helped

    def forget_dead_readers(self) -> int:
        """Lets go of the views of killed processes, which keep old pages for ever; how many. In any thread."""
        with _lmdb_errors(), self._gate.inside():
            return int(self._env.reader_check())

    def copy_to(self, path: str) -> None:
        """Writes a compact copy of the environment to the empty directory `path`."""
        with _lmdb_errors(), self._gate.inside():
            self._env.copy(path, compact=True)

    @property
    def file(self) -> str:
        """The file that holds all of it."""
        return os.path.join(self._path, "data.mdb")

    def used(self) -> int:
        """Bytes of the database file that hold anything, as the last transaction has it. In any thread."""
        with _lmdb_errors(), self._gate.inside():
            return int((self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"])

    def size(self) -> int:
        """Bytes of the database file."""
        return os.path.getsize(self.file)

    def close(self) -> None:
        """Closes the environment; views that are still open become invalid."""
        self._let_go()
        self._env.close()


@contextmanager
def _lmdb_errors() -> Iterator[None]:
    """LMDB's exceptions as members of the error table."""
    try:
        yield
    except lmdb.MapFullError as error:
        raise NoSpace(
            "the database has reached the address space that the process may have (see: ulimit -v)"
        ) from error
    except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        raise Corrupt(f"the database is damaged: {error}") from error
    except lmdb.Error as error:
        raise _from_lmdb(error) from error


def _from_lmdb(error: Exception) -> FilmFSError:
    text = str(error)  # LMDB's exceptions for what the system said carry no number
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        if os.strerror(number) in text:
            return from_os_error(OSError(number, os.strerror(number)), "writing the database")
    return DiskFailure(f"the database cannot be used: {text}")


def counter_key(name: str) -> bytes:
    """The key in `meta` of a counter that only goes up."""
    return b"next:" + name.encode()


def reserve(transaction: Transaction, name: str, count: int, first: int = 1) -> int:
    """Takes `count` numbers from the counter `name` for ever, and gives the first of them."""
    key = counter_key(name)
    start: int = transaction.get(b"meta", key) or first
    transaction.put(b"meta", key, start + count)
    return start
