"""What can be made durable when the disk lost bytes of some staging files, and what has to wait.

Only files that are made of such bytes are held back: in what is written their rows have the bytes of the file's last
durable row (or none), and all else that is new: names, mode, owner. `lessened` decides (pure); its Loss is what waits.
The owner puts that back when the rest is settled (`put_back`): the tree goes on showing what was written, and each
flush tries again until the file is written anew or removed.

A draft that is durable and was changed since has two states then. The durable one gets another number, so that a commit
may keep it whatever becomes of the other; it stands in for it like a draft that the lost state was to replace.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from filmfs.core.errors import LostBytes
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
    before = {number: draft for number in drafts if (draft := durable.draft(number)) is not None}
    renumbered = {number: new_draft() for number in before}
    buffers, inodes, leant_on = _lessened_rows(cut.buffers, drafts, renumbered, durable)
    revived = {number: draft for number in leant_on if (draft := _revived(cut, number, durable)) is not None}
    standing = {**revived, **{renumbered[number]: draft for number, draft in before.items()}}
    needed = {blob for draft in standing.values() for blob in draft.map.blobs()}
    waiting = _waiting_records(cut.records, drafts, lost)
    unwanted = waiting.keys() | {(DRAFT, draft_key(number)) for number in revived}
    records = {key: value for key, value in cut.records.items() if key not in unwanted}
    for key in {(BLOB, blob_key(blob)) for blob in needed} & records.keys():
        if records[key] is None:
            del records[key]
    for blob in lost:
        if durable.blob(blob) == STAGED:
            records.setdefault((BLOB, blob_key(blob)), TORN.as_value())
    for number, draft in before.items():
        records[DRAFT, draft_key(number)] = None
        records[DRAFT, draft_key(renumbered[number])] = draft
    moves = [(draft.owners, number, renumbered[number]) for number, draft in before.items()]
    less = Cut(buffers, records, cut.unsynced, cut.discards - needed, cut.seals, moves)
    return less, Loss(lost, inodes, waiting, standing, frozenset(cut.discards & needed))


def _drafts_of(cut: Cut, lost: frozenset[BlobId]) -> set[DraftId]:
    """The drafts in a cut that are made of lost bytes."""
    return {
        DraftId(int.from_bytes(key, "big"))
        for (table, key), record in cut.records.items()
        if table == DRAFT and isinstance(record, Draft) and not lost.isdisjoint(record.map.blobs())
    }


def _lessened_rows(
    buffers: list[LayerBuffer], drafts: set[DraftId], renumbered: dict[DraftId, DraftId], durable: Durable
) -> tuple[list[LayerBuffer], dict[tuple[BranchId, FileId], Inode], set[DraftId]]:
    """The buffers without what waits, the newest rows that wait, and the durable drafts that rows fall back on."""
    less: list[LayerBuffer] = []
    waiting: dict[tuple[BranchId, FileId], Inode] = {}
    leant_on: set[DraftId] = set()
    seen: set[FileId] = set()
    for buffer in buffers:
        waiting = {at: inode for at, inode in waiting.items() if at[0] != buffer.branch or at[1] not in buffer.inodes}
        rows = dict(buffer.inodes)
        for file, inode in buffer.inodes.items():
            if inode is None or inode.content not in drafts:
                continue
            waiting[buffer.branch, file] = inode
            was = durable.inode(buffer, file)
            if was is not None and isinstance(was.content, int):
                number = renumbered.get(was.content, was.content)
                was = was.changed(content=number)
                leant_on.add(number)
            row = rows[file] = _with_bytes_of(inode, was)
            if row == was and file not in seen:
                del rows[file]  # it is there: a file that stays lost is not written each second
        seen.update(buffer.inodes)
        less.append(LayerBuffer(buffer.branch, buffer.layer, rows, buffer.entries))
    return [buffer for buffer in less if buffer], waiting, leant_on


def _with_bytes_of(inode: Inode, was: Inode | None) -> Inode:
    if was is None:
        return inode.changed(content=None, size=0, stored=0)
    return inode.changed(content=was.content, size=was.size, stored=was.stored, mtime=was.mtime)


def _revived(cut: Cut, number: DraftId, durable: Durable) -> Draft | None:
    """A draft that the cut was to delete: not when its rows say its content from then on."""
    key = DRAFT, draft_key(number)
    is_dropped = key in cut.records and cut.records[key] is None and all(number != seal.draft for seal in cut.seals)
    return durable.draft(number) if is_dropped else None


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
    drafts.note_lost(loss.blobs)


def forget_unneeded(
    drafts: Drafts, buffers: Buffers, transaction: Transaction, is_shown: Callable[[DraftId], bool]
) -> None:
    """Drops lost drafts, and those that stood in for them, which no row refers to and no open file shows."""
    for number, owners in drafts.in_doubt().items():
        waits = any(_says(buffer.inodes[file], number) for file in owners for buffer in buffers.holding(file))
        if not waits and not is_shown(number) and not any(is_referred(transaction, file, number) for file in owners):
            drafts.forget(number)


def is_referred(transaction: Transaction, file: FileId, draft: DraftId) -> bool:
    """Whether a durable row of an inode says that draft."""
    values = (transaction.value(INODE, key, raw) for key, raw in transaction.scan(INODE, inode_prefix(file)))
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
