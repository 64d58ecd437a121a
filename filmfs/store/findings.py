"""What a check finds, what it is about, and reading tables without stopping at damage.

A finding is about a subject: a row, a content, a blob. Which branch and path that is, is looked up only when there are
findings (archive.places).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from filmfs.core.errors import Corrupt
from filmfs.core.ids import BlobId, BranchId, ContentId, DraftId, FileId, LayerId
from filmfs.store.database import Transaction

_KEPT_OF_A_KIND = 200
_EVERY_S = 0.2
_LOOK_AT_CLOCK = 256


class FaultKind(StrEnum):
    """What sort of thing is wrong."""

    DATABASE = "database"  # the file that holds all records
    UNFINISHED = "unfinished"  # the check itself did not come to its end
    FORMAT = "format"
    COUNTER = "counter"
    RECORD = "record"  # a record that does not pass its checksum
    LAYER = "layer"
    BRANCH = "branch"
    NAME = "name"  # a directory entry
    INODE = "inode"
    NLINK = "nlink"
    LOOP = "loop"  # a directory that cannot be reached from the root
    SIZE = "size"
    XATTRS = "xattrs"
    CONTENT = "content"
    DRAFT = "draft"
    EXTENTS = "extents"
    LEAVES = "leaves"
    BLOB = "blob"  # a blob's record
    FILE = "file"  # a blob's file: missing, or not as long as it should be
    BYTES = "bytes"  # bytes that do not hash to their name
    CHANGE = "change"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class OfRow:
    """An inode as a layer left it."""

    file: FileId
    layer: LayerId


@dataclass(frozen=True, slots=True)
class OfEntry:
    """A name in a directory as a layer left it."""

    directory: FileId
    key: bytes
    layer: LayerId


@dataclass(frozen=True, slots=True)
class OfContent:
    """The bytes of files."""

    ref: ContentId | DraftId


@dataclass(frozen=True, slots=True)
class OfBlob:
    """The bytes [start, end) of a blob."""

    blob: BlobId
    start: int = 0
    end: int = 1 << 63


@dataclass(frozen=True, slots=True)
class OfPage:
    """A page of leaf hashes."""

    key: bytes


@dataclass(frozen=True, slots=True)
class OfXattrs:
    """A set of extended attributes."""

    reference: bytes


@dataclass(frozen=True, slots=True)
class OfLayer:
    """A layer: a commit, or what a branch changed since its last one."""

    layer: LayerId


@dataclass(frozen=True, slots=True)
class OfBranch:
    """A whole branch."""

    branch: BranchId


Subject = OfRow | OfEntry | OfContent | OfBlob | OfPage | OfXattrs | OfLayer | OfBranch


SubjectOf = Callable[[bytes], Subject | None]
"""What the record under a key is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong; `path` is the file on disk, where it is in one."""

    kind: FaultKind
    what: str
    subject: Subject | None = None
    path: str = ""


class Findings:
    """Collects what is wrong, and notes on what is harmless. Of each kind the first few hundred are kept."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.left_out: Counter[FaultKind] = Counter()
        self.notes: list[str] = []
        self._kept: Counter[FaultKind] = Counter()

    def add(self, kind: FaultKind, what: str, subject: Subject | None = None, path: str = "") -> None:
        """One more thing is wrong."""
        if self._kept[kind] >= _KEPT_OF_A_KIND:
            self.left_out[kind] += 1
            return
        self._kept[kind] += 1
        self.found.append(Finding(kind, what, subject, path))

    def note(self, count: int, what: str) -> None:
        """Something harmless was met `count` times; `what` has a place for the number."""
        if count:
            self.notes.append(what.format(count))


class Damaged:
    """Stands for a value that cannot be read; that is a finding of its own."""


DAMAGED: Final = Damaged()

Progress = Callable[[int, int, str], None]
"""Called now and then with what is done, of how much, and what it is."""


def silent(done: int, total: int, what: str) -> None:
    """Tells nobody."""


class Meter:
    """Counts steps and tells of them a few times a second."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._next = 0.0
        self.done = 0
        self.doing = ""

    def start(self, doing: str) -> None:
        """Something else begins; always told, so that a crash can be placed."""
        self.doing = doing
        self._progress(self.done, self._total, doing)

    def step(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        if count > 1 or self.done % _LOOK_AT_CLOCK == 0:
            now = time.monotonic()
            if now >= self._next:
                self._next = now + _EVERY_S
                self._progress(self.done, self._total, self.doing)


class Reading:
    """One view of the database, read to its end whatever is damaged on the way."""

    def __init__(self, transaction: Transaction, findings: Findings, meter: Meter) -> None:
        self.transaction = transaction
        self.findings = findings
        self.meter = meter
        self.records = 0

    def rows(self, table: bytes, subject: SubjectOf | None = None) -> Iterator[tuple[bytes, Any]]:
        """Every key of a table with its value, or DAMAGED; the damage is noted as being about `subject`."""
        self.meter.start(table.decode())
        before: bytes | None = None
        met = 0
        for key, raw in self.transaction.scan(table):
            if before is not None and key <= before:
                # A page that leads back to an earlier one would be read for ever.
                raise Corrupt(f"the pages of the table {table.decode()} are out of order")
            before = key
            met += 1
            self.meter.step()
            try:
                yield key, self.transaction.value(table, key, raw)
            except Corrupt as error:
                self.findings.add(FaultKind.RECORD, str(error), subject(key) if subject else None)
                yield key, DAMAGED
        self.records += met
        expected = self.transaction.count(table)
        if met != expected:
            what = f"the table {table.decode()} should hold {expected} records and shows {met}"
            self.findings.add(FaultKind.DATABASE, what)

    def read(self, table: bytes, key: bytes, raw: bytes) -> Any:
        """The value of a raw record, or DAMAGED. The walk over the table notes the damage."""
        try:
            return self.transaction.value(table, key, raw)
        except Corrupt:
            return DAMAGED

    def get(self, table: bytes, key: bytes) -> Any:
        """The value under `key`, None when there is no record, DAMAGED when it cannot be read."""
        try:
            return self.transaction.get(table, key)
        except Corrupt:
            return DAMAGED
