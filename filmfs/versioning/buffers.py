"""What was changed and is not in LMDB yet: buffers, one a layer, that views look through first.

A cut takes all buffers at one moment; flushing it is one transaction, so what is durable is always the tree as it was
at some moment. Until the transaction is done the cut's buffers stay visible.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import BlobId, BranchId, ContentId, DraftId, FileId, LayerId
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.blobs import blob_key
from filmfs.store.contents import CONTENT, DRAFT, Draft, draft_key, unpack_extents
from filmfs.store.database import Transaction
from filmfs.store.sealing import Seal, record_seal
from filmfs.versioning.layers import Record
from filmfs.versioning.lineage import Lineage
from filmfs.versioning.rows import (
    CHANGES,
    DIRENT,
    INODE,
    Entry,
    Inode,
    change_key,
    entry_prefix,
    inode_prefix,
    layer_suffix,
)


@dataclass(slots=True)
class LayerBuffer:
    """Rows of one layer, newest state; None is *gone*."""

    branch: BranchId
    layer: LayerId
    inodes: dict[FileId, Inode | None] = field(default_factory=dict)
    entries: dict[FileId, dict[bytes, Entry | None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.inodes or self.entries)


Records = dict[tuple[bytes, bytes], object | None]
"""Values by table and key; None deletes."""


@dataclass(slots=True)
class Cut:
    """All that was not durable at one moment.

    The bytes of the staging files in `unsynced` must be durable before it is written; those in `discards` are not
    needed any more once it is. `renumbered` drafts are durable and get another number: (inodes, old, new). `standing`
    ones are rows' alone that fell back on them (`versioning.lost`).
    """

    buffers: list[LayerBuffer]
    records: Records
    unsynced: set[BlobId]
    discards: set[BlobId]
    seals: list[Seal]
    renumbered: list[tuple[tuple[FileId, ...], DraftId, DraftId]] = field(default_factory=list)
    standing: frozenset[DraftId] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.buffers or self.records or self.discards or self.seals)


class Buffers:
    """The buffers of one archive. Owned by one thread; a Cut may be written by another."""

    def __init__(self) -> None:
        self._active: dict[BranchId, LayerBuffer] = {}
        self._older: list[LayerBuffer] = []  # frozen or cut, oldest first
        self._records: Records = {}
        self._unsynced: set[BlobId] = set()
        self._discards: set[BlobId] = set()
        self._seals: list[Seal] = []
        self._sealed: dict[DraftId, ContentId] = {}  # what drafts turned out to be, until all rows say so
        self._flushing: Cut | None = None
        self.epoch = 0
        self.entry_changes = 0  # counts every entry that was written: listings made before may be old

    def active(self, branch: BranchId, layer: LayerId) -> LayerBuffer:
        """The buffer that takes the changes of `branch`, whose open layer is `layer`."""
        buffer = self._active.get(branch)
        if buffer is None or buffer.layer != layer:
            if buffer:
                self._older.append(buffer)
            buffer = self._active[branch] = LayerBuffer(branch, layer)
            self.epoch += 1
        return buffer

    def visible(self, lineage: Lineage) -> list[LayerBuffer]:
        """The buffers that `lineage` sees, newest first."""
        seen = [buffer for buffer in self._active.values() if lineage.sees(buffer.branch, buffer.layer)]
        seen += [buffer for buffer in reversed(self._older) if lineage.sees(buffer.branch, buffer.layer)]
        # Newest layer first; within a layer the active one came first and sorting is stable.
        return sorted(seen, key=lambda buffer: -buffer.layer)

    def holding(self, file: FileId) -> Iterator[LayerBuffer]:
        """Every buffer that has a row of the inode `file`."""
        for buffer in [*self._older, *self._active.values()]:
            if file in buffer.inodes:
                yield buffer

    def has_changes(self, branch: BranchId, layer: LayerId) -> bool:
        """Whether rows of `layer` wait here."""
        buffers = [*self._older, *self._active.values()]
        return any(buffer for buffer in buffers if buffer.branch == branch and buffer.layer == layer and buffer)

    def record(self, *records: Record) -> None:
        """Has other records written with the next cut; a value of None deletes."""
        for table, key, value in records:
            self._records[table, key] = value

    def pending_record(self, table: bytes, key: bytes) -> object | None:
        """The value that waits to be written under `key`, if one does."""
        value = self._records.get((table, key))
        if value is None and self._flushing is not None:
            value = self._flushing.records.get((table, key))
        return value

    def pending_map(self, content: ContentId) -> ExtentMap | None:
        """What a content that waits to be written is made of: rows may name it before any record describes it."""
        seals = [*self._seals, *(self._flushing.seals if self._flushing is not None else [])]
        for outcome in seals:
            if outcome.content == content:
                return outcome.map
        waiting = self.pending_record(CONTENT, content)
        return unpack_extents(waiting[0], waiting[1]) if isinstance(waiting, list) else None

    def must_sync(self, blob: BlobId) -> None:
        """Has the bytes of a staging file synced before the next cut is written."""
        self._unsynced.add(blob)

    def are_unsynced(self, blobs: set[BlobId]) -> bool:
        """Whether any of these staging files is to be synced, or being synced."""
        flushing = self._flushing.unsynced if self._flushing is not None else set()
        return not (self._unsynced.isdisjoint(blobs) and flushing.isdisjoint(blobs))

    def discard(self, blob: BlobId) -> None:
        """Has a staging file that nothing refers to any more removed after the next cut."""
        self._unsynced.discard(blob)
        self._discards.add(blob)
        self.record((BLOB, blob_key(blob), None))

    def undo_discard(self, blob: BlobId) -> bool:
        """Undoes `discard` of what is needed after all; whether it was in time."""
        if blob not in self._discards:
            return False
        self._discards.remove(blob)
        del self._records[BLOB, blob_key(blob)]
        return True

    def seal(self, outcome: Seal) -> None:
        """Has a draft's rows say its content from the next cut on.

        Rows are left as they are until then: those of a cut that is being written must not name a content that is not.
        """
        self._seals.append(outcome)
        self._sealed[outcome.draft] = outcome.content
        self.record((DRAFT, draft_key(outcome.draft), None))

    def resolved(self, inode: Inode) -> Inode:
        """`inode` as it shall be read: a draft that is sealed by now is its content."""
        if self._sealed and isinstance(inode.content, int) and inode.content in self._sealed:
            return inode.changed(content=self._sealed[DraftId(inode.content)])
        return inode

    def cut(self) -> Cut:
        """Takes everything; new changes go to new buffers. `settle` when it is durable, `put_back` when it failed."""
        active = [buffer for buffer in self._active.values() if buffer]
        # Oldest layer first, whichever branch froze first: a row that is gone is kept only over an older one.
        self._older = sorted([*self._older, *active], key=lambda buffer: buffer.layer)
        self._active.clear()
        taken = Cut(list(self._older), self._records, self._unsynced, self._discards, self._seals)
        self._records, self._unsynced, self._discards, self._seals = {}, set(), set(), []
        self._flushing = taken
        self.epoch += 1
        return taken

    def settle(self, cut: Cut) -> None:
        """Lets go of what is durable now."""
        self._flushing = None
        written = {id(buffer) for buffer in cut.buffers}
        self._older = [buffer for buffer in self._older if id(buffer) not in written]
        for outcome in cut.seals:
            del self._sealed[outcome.draft]
        self.epoch += 1

    def put_back_row(self, branch: BranchId, layer: LayerId, file: FileId, inode: Inode) -> None:
        """Has a row that was not written wait in the open layer, unless a newer one waits. After `settle`."""
        if not any(buffer.branch == branch for buffer in self.holding(file)):
            self.active(branch, layer).inodes[file] = inode

    def put_back_records(self, records: Records) -> None:
        """The same for other records."""
        self._records = {**records, **self._records}

    def put_back(self, cut: Cut) -> None:
        """Keeps what could not be written for the next try. Its buffers never left."""
        self._flushing = None
        self._records = {**cut.records, **self._records}
        self._unsynced |= cut.unsynced
        self._discards |= cut.discards
        self._seals = cut.seals + self._seals


def write_cut(transaction: Transaction, cut: Cut) -> None:
    """Writes a cut's rows, seals and records."""
    for owners, number, other in cut.renumbered:
        for owner in owners:
            _resolve(transaction, owner, number, other)
    for buffer in cut.buffers:
        for file, inode in buffer.inodes.items():
            value = None if inode is None else inode.as_value()
            _write_row(transaction, INODE, inode_prefix(file), buffer.layer, value)
        for directory, entries in buffer.entries.items():
            for key, entry in entries.items():
                value = None if entry is None else entry.as_value(key)
                _write_row(transaction, DIRENT, entry_prefix(directory, key), buffer.layer, value)
    for (table, key), record in cut.records.items():
        if record is None:
            transaction.delete(table, key)
        else:
            # A draft's many extents are packed here and not by the owner, which has others to answer.
            transaction.put(table, key, record.as_value() if isinstance(record, Draft) else record)
    # Seals last: an edit that began before its base was sealed has noted the base's staging file as staged.
    for outcome in cut.seals:
        record_seal(transaction, outcome)
        for owner in outcome.owners:
            _resolve(transaction, owner, outcome.draft, outcome.content)


def _write_row(transaction: Transaction, table: bytes, prefix: bytes, layer: LayerId, value: object | None) -> None:
    key = prefix + layer_suffix(layer)
    change = change_key(layer, table, prefix)
    if value is None and not _has_older(transaction, table, prefix, key):
        if transaction.delete(table, key):
            transaction.delete(CHANGES, change)
        return
    transaction.put(table, key, value)
    transaction.put(CHANGES, change, None)


def _resolve(transaction: Transaction, file: FileId, draft: DraftId, content: ContentId | DraftId) -> None:
    """Has every row of an inode that refers to `draft` name the content that the draft turned out to be.

    Or another number of the same draft. This is the one change that a frozen layer ever sees: the bytes stay what they
    were.
    """
    prefix = inode_prefix(file)
    for key, raw in list(transaction.scan(INODE, prefix)):
        value = transaction.value(INODE, key, raw)
        if value is not None:
            inode = Inode.of_value(value)
            if isinstance(inode.content, int) and inode.content == draft:
                transaction.put(INODE, key, inode.changed(content=content).as_value())


def _has_older(transaction: Transaction, table: bytes, prefix: bytes, key: bytes) -> bool:
    following = transaction.first(table, key + b"\0")
    return following is not None and following[0].startswith(prefix) and len(following[0]) == len(key)
