"""What can be made durable when the disk lost bytes of some staging files, and what has to wait.

Only files that are made of such bytes are held back: in what is written their rows have the bytes of the file's last
durable row (or none), and all else that is new: names, mode, owner. `lessened` decides (pure); its Loss is what waits.
The owner puts that back when the rest is settled (`put_back`): the tree goes on showing what was written, and each
flush tries again until the file is written anew or removed.

A row that falls back on a draft gets a copy of it with a number of its own, which stands in for what is lost: the draft
itself may belong to a session that goes on, or go in the same flush. Of a draft that is durable and was changed since
all durable rows get that copy.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from filmfs.core.errors import Corrupt, FilmFSError, LostBytes
from filmfs.core.ids import BlobId, BranchId, DraftId, FileId, LayerId
from filmfs.core.paths import shown
from filmfs.store.blobs import STAGED, TORN, BlobRecord, blob_key, read_record
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.contents import DRAFT, Draft, draft_key, find_draft
from filmfs.store.database import Snapshot, Transaction
from filmfs.versioning.buffers import Buffers, Cut, LayerBuffer, Records
from filmfs.versioning.drafts import Drafts
from filmfs.versioning.layers import Branch, LayerTable
from filmfs.versioning.rows import INODE, Inode, inode_prefix
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View

_NAMED = 3  # files in one message


class Durable(Protocol):
    """What is durable before a cut is written."""

    def inode(self, buffer: LayerBuffer, file: FileId) -> Inode | None:
        """The newest row of an inode that the layer of a buffer sees."""

    def draft(self, number: DraftId) -> Draft | None:
        """The draft, if it is."""

    def blob(self, blob: BlobId) -> BlobRecord | None:
        """What is known of a blob, if anything is."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a flush left out because of staging files in `blobs`, which the disk lost bytes of.

    `inodes` are rows as they should be, and `records` others. The `standing` drafts are durable and unknown to the
    owner; they need the `kept` staging files, which the cut would have discarded.
    """

    blobs: frozenset[BlobId] = frozenset()
    inodes: dict[tuple[BranchId, FileId], Inode] = field(default_factory=dict)
    records: Records = field(default_factory=dict)
    standing: dict[DraftId, Draft] = field(default_factory=dict)
    kept: frozenset[BlobId] = frozenset()


NO_LOSS = Loss()


def lessened(cut: Cut, lost: frozenset[BlobId], durable: Durable, new_draft: Callable[[], DraftId]) -> tuple[Cut, Loss]:
    """What of a cut can be written when the disk lost bytes of the staging files `lost`, and what cannot.

    Changes nothing: the cut's owner reads it meanwhile.
    """
    drafts = _drafts_of(cut, lost)
    stands = _StandIns(durable, new_draft, cut.standing, drafts)
    buffers, inodes = _lessened_rows(cut.buffers, drafts, stands, durable)
    needed = {blob for draft in stands.made.values() for blob in draft.map.blobs()}
    waiting = _waiting_records(cut.records, drafts, lost)
    records = {key: value for key, value in cut.records.items() if key not in waiting}
    for key in {(BLOB, blob_key(blob)) for blob in needed} & records.keys():
        if records[key] is None:
            del records[key]
    for blob in lost:
        if durable.blob(blob) == STAGED:
            records.setdefault((BLOB, blob_key(blob)), TORN.as_value())
    records.update({(DRAFT, draft_key(number)): None for number in stands.renumbered})
    records.update({(DRAFT, draft_key(number)): draft for number, draft in stands.made.items()})
    moves = [(stands.made[new].owners, old, new) for old, new in stands.renumbered.items()]
    less = Cut(buffers, records, cut.unsynced, cut.discards - needed, cut.seals, moves)
    return less, Loss(lost, inodes, waiting, stands.made, frozenset(cut.discards & needed))


class _StandIns:
    """Copies of durable drafts, for rows to fall back on."""

    def __init__(
        self, durable: Durable, new_draft: Callable[[], DraftId], standing: frozenset[DraftId], changed: set[DraftId]
    ) -> None:
        """Of durable drafts that were `changed` all rows get the copy; those in `standing` are copies already."""
        self._durable = durable
        self._new_draft = new_draft
        self._standing = standing
        self._copies: dict[tuple[DraftId, FileId], DraftId] = {}
        self.made: dict[DraftId, Draft] = {}
        self.renumbered: dict[DraftId, DraftId] = {}
        for number in sorted(changed):
            draft = durable.draft(number)
            if draft is not None:
                self.renumbered[number] = self._make(draft)

    def of(self, number: DraftId, file: FileId) -> tuple[DraftId, bool]:
        """What a row of `file` that fell back on a draft says, and whether it says so already when all is written."""
        if number in self.renumbered:
            return self.renumbered[number], True
        if number in self._standing:
            return number, True
        copy = self._copies.get((number, file))
        draft = self._durable.draft(number) if copy is None else None
        if draft is not None:
            copy = self._copies[number, file] = self._make(Draft(draft.map, (file,)))
        return copy or number, False

    def _make(self, draft: Draft) -> DraftId:
        number = self._new_draft()
        self.made[number] = draft
        return number


def _drafts_of(cut: Cut, lost: frozenset[BlobId]) -> set[DraftId]:
    """The drafts in a cut that are made of lost bytes."""
    return {
        DraftId(int.from_bytes(key, "big"))
        for (table, key), record in cut.records.items()
        if table == DRAFT and isinstance(record, Draft) and not lost.isdisjoint(record.map.blobs() - record.relies)
    }


def _lessened_rows(
    buffers: list[LayerBuffer], drafts: set[DraftId], stands: _StandIns, durable: Durable
) -> tuple[list[LayerBuffer], dict[tuple[BranchId, FileId], Inode]]:
    """The buffers without what waits, and the newest rows that wait."""
    less: list[LayerBuffer] = []
    waiting: dict[tuple[BranchId, FileId], Inode] = {}
    seen: set[FileId] = set()
    for buffer in buffers:
        waiting = {at: inode for at, inode in waiting.items() if at[0] != buffer.branch or at[1] not in buffer.inodes}
        rows = dict(buffer.inodes)
        for file, inode in buffer.inodes.items():
            if inode is None or inode.content not in drafts:
                continue
            waiting[buffer.branch, file] = inode
            is_there = True
            try:
                was = durable.inode(buffer, file)
            except Corrupt:  # it stays what it is, for `check` to tell of
                del rows[file]
                continue
            if was is not None and isinstance(was.content, int):
                number, is_there = stands.of(DraftId(was.content), file)
                was = was.changed(content=number)
            row = rows[file] = _with_bytes_of(inode, was)
            if row == was and is_there and file not in seen:
                del rows[file]  # a file that stays lost is not written each second
        seen.update(buffer.inodes)
        less.append(LayerBuffer(buffer.branch, buffer.layer, rows, buffer.entries))
    return [buffer for buffer in less if buffer], waiting


def _with_bytes_of(inode: Inode, was: Inode | None) -> Inode:
    if was is None:
        return inode.changed(content=None, size=0, stored=0)
    return inode.changed(content=was.content, size=was.size, stored=was.stored, mtime=was.mtime)


def _waiting_records(records: Records, drafts: set[DraftId], lost: frozenset[BlobId]) -> Records:
    keys = {(DRAFT, draft_key(number)) for number in drafts} | {(BLOB, blob_key(blob)) for blob in lost}
    return {key: record for key in keys if (record := records.get(key)) is not None}


class DurableRows:
    """What one view of the database has."""

    def __init__(self, transaction: Transaction, table: LayerTable) -> None:
        self._transaction = transaction
        self._table = table
        self._views: dict[LayerId, View] = {}

    def inode(self, buffer: LayerBuffer, file: FileId) -> Inode | None:
        """See Durable."""
        view = self._views.get(buffer.layer)
        if view is None:
            lineage = self._table.branches[buffer.branch].lineage.at(buffer.branch, buffer.layer)
            view = View(Snapshot(self._transaction), Buffers(), self._table.branch_of, lineage)
            self._views[buffer.layer] = view
        return view.inode(file)

    def draft(self, number: DraftId) -> Draft | None:
        """See Durable."""
        return find_draft(self._transaction, number)

    def blob(self, blob: BlobId) -> BlobRecord | None:
        """See Durable."""
        return read_record(self._transaction, blob)


# After the rest is settled, by the owner of the trees


def put_back(loss: Loss, buffers: Buffers, drafts: Drafts, branches: dict[BranchId, Branch]) -> None:
    """Has what was left out wait for the next cut."""
    buffers.put_back_records(loss.records)
    for (branch, file), inode in loss.inodes.items():
        if not branches[branch].deleted:
            buffers.put_back_row(branch, branches[branch].open, file, inode)
    for number, draft in loss.standing.items():
        drafts.stand_in(number, draft, loss.kept)
    numbers = {DraftId(int.from_bytes(key, "big")) for table, key in loss.records if table == DRAFT}
    drafts.note_lost(loss.blobs, numbers)


def forget_unneeded(
    drafts: Drafts, buffers: Buffers, transaction: Transaction, is_shown: Callable[[DraftId], bool]
) -> None:
    """Drops lost drafts, and those that stood in for them, which no row refers to and no open file shows."""
    for number, owners in drafts.in_doubt().items():
        waits = any(_says(buffer.inodes[file], number) for file in owners for buffer in buffers.holding(file))
        if not waits and not is_shown(number) and not any(is_referred(transaction, file, number) for file in owners):
            drafts.forget(number)


def is_referred(transaction: Transaction, file: FileId, draft: DraftId) -> bool:
    """Whether a durable row of an inode says that draft, or is damaged and may."""
    try:
        values = [transaction.value(INODE, key, raw) for key, raw in transaction.scan(INODE, inode_prefix(file))]
    except Corrupt:
        return True
    return any(_says(Inode.of_value(value), draft) for value in values if value is not None)


def _says(inode: Inode | None, draft: DraftId) -> bool:
    return inode is not None and isinstance(inode.content, int) and inode.content == draft


def lost_files(drafts: Drafts, trees: Iterable[tuple[str, Tree]]) -> dict[DraftId, str]:
    """The files that branches show and that cannot be made durable: BRANCH:path, by their drafts."""
    found = {}
    lost = drafts.lost()
    for name, tree in trees if lost else ():
        for number, owners in lost.items():
            for file in owners:
                with suppress(FilmFSError):  # a damaged row keeps nobody from being told of the others
                    path = tree.path_of(file) if _says(tree.inode(file), number) else None
                    if path is not None:
                        found[number] = f"{name}:{shown(path)}"
    return found


def lost_bytes(files: Iterable[str]) -> LostBytes:
    """The error that names them."""
    names = list(files)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    them = "it" if len(names) == 1 else "them"
    return LostBytes(f"the disk lost bytes of {', '.join(names[:_NAMED])}{more}; write {them} again, or remove {them}")
