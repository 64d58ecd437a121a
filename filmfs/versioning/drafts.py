"""File states that are not hashed yet, and the staging files under them.

A draft lives until it is sealed (its rows then name a content) or dropped (nothing that is kept refers to it). A
staging file lives as long as a draft or a writer uses it. Owned by one thread; `Seal`s come from others.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import BlobId, ContentId, DraftId, FileId, LayerId
from filmfs.store.blobs import STAGED, TORN, blob_key, read_record
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.contents import DRAFT, ContentRef, Draft, draft_key, unpack_extents
from filmfs.store.database import Transaction
from filmfs.store.sealing import Seal
from filmfs.versioning.buffers import Buffers


@dataclass(slots=True)
class _Held:
    draft: Draft
    layer: LayerId | None  # the layer whose row made it; None when it was found at opening
    base: ContentId | None
    sealing: bool = False


@dataclass(frozen=True, slots=True)
class Sealable:
    """A draft that may be sealed now, with all that `sealing.seal` needs."""

    id: DraftId
    draft: Draft
    staged: frozenset[BlobId]
    shared: frozenset[BlobId]
    torn: frozenset[BlobId]
    base: ContentId | None


@dataclass(slots=True)
class Drafts:
    """All unsealed drafts of an open archive."""

    buffers: Buffers
    _held: dict[DraftId, _Held] = field(default_factory=dict)
    _staged: dict[BlobId, set[DraftId]] = field(default_factory=dict)
    _written: set[BlobId] = field(default_factory=set)
    _pinned: Counter[BlobId] = field(default_factory=Counter)
    _finished: set[DraftId] = field(default_factory=set)
    _torn: set[BlobId] = field(default_factory=set)  # staging files that the disk may have otherwise
    _left: set[BlobId] = field(default_factory=set)  # that a durable draft may need until the next cut is written
    _leaving: set[BlobId] = field(default_factory=set)  # the same, of the cut that is being written
    _lost: set[DraftId] = field(default_factory=set)  # drafts that the last flush left out
    _standing: set[DraftId] = field(default_factory=set)  # durable, and rows refer to them in the place of lost ones

    def load(self, transaction: Transaction) -> None:
        """Finds what earlier sessions left to seal."""
        for key, raw in transaction.scan(DRAFT):
            size, extents, owners = transaction.value(DRAFT, key, raw)
            draft = Draft(unpack_extents(size, extents), tuple(owners))
            number = DraftId(int.from_bytes(key, "big"))
            self._held[number] = _Held(draft, None, None)
            for blob in draft.map.blobs():
                record = read_record(transaction, blob)
                if record is not None and record.content is None:
                    self._staged.setdefault(blob, set()).add(number)
                    self._torn |= {blob} if record.is_torn else set()

    def __len__(self) -> int:
        return len(self._held)

    def owners(self) -> list[tuple[DraftId, tuple[FileId, ...]]]:
        """Every draft, with the inodes whose rows refer to it."""
        return [(number, held.draft.owners) for number, held in self._held.items()]

    def forget(self, number: DraftId) -> list[BlobId]:
        """Drops a draft that no row refers to; gives the staging files that go with it."""
        held = self._held.pop(number)
        self.buffers.record((DRAFT, draft_key(number), None))
        before = set(self._staged)
        self._let_go(number, held.draft.map.blobs())
        return sorted(before - set(self._staged))

    def map_of(self, draft: DraftId) -> ExtentMap | None:
        """The map of an unsealed draft."""
        held = self._held.get(draft)
        return None if held is None else held.draft.map

    def is_staged(self, blob: BlobId) -> bool:
        """Whether a blob is a staging file."""
        return blob in self._staged

    def begin_writing(self, blob: BlobId) -> None:
        """Keeps a staging file from being sealed or discarded while a writer has it."""
        self._written.add(blob)
        self._staged.setdefault(blob, set())

    def end_writing(self, blob: BlobId) -> None:
        """The writer is done; a staging file that no draft uses goes."""
        self._written.discard(blob)
        self._discard_unused(blob)

    def pin(self, blobs: set[BlobId]) -> None:
        """Keeps staging files that an edit builds on from being discarded; they may be sealed."""
        self._pinned.update(blobs)

    def unpin(self, blobs: set[BlobId]) -> None:
        """Undoes `pin`."""
        self._pinned.subtract(blobs)
        for blob in blobs:
            if not self._pinned[blob]:
                del self._pinned[blob]
                self._discard_unused(blob)

    def keep(
        self,
        number: DraftId,
        extents: ExtentMap,
        file: FileId,
        layer: LayerId,
        base: ContentId | None,
        relies: frozenset[BlobId] = frozenset(),
    ) -> None:
        """Adds a draft of the inode `file`, or changes one that is still being written.

        It is an edit of what `relied_on` said the staging files of.
        """
        before = self._held.get(number)
        held = _Held(Draft(extents, (file,), relies), layer, base)
        self._held[number] = held
        fresh = {blob for blob in extents.blobs() if self.is_staged(blob)}
        for blob in fresh:
            record = TORN if blob in self._torn else STAGED
            self.buffers.record((BLOB, blob_key(blob), record.as_value()))
            self._staged[blob].add(number)
            if blob in self._written:
                self.buffers.must_sync(blob)
        if before is not None:
            self._let_go(number, before.draft.map.blobs() - fresh)
        self.buffers.record((DRAFT, draft_key(number), held.draft))

    def add_owner(self, number: DraftId, file: FileId) -> None:
        """One more inode's rows refer to the draft."""
        held = self._held[number]
        held.draft = replace(held.draft, owners=(*held.draft.owners, file))
        self.buffers.record((DRAFT, draft_key(number), held.draft))

    def users(self, blob: BlobId) -> set[DraftId]:
        """The drafts that are made of a staging file."""
        return set(self._staged.get(blob, ()))

    def move(self, number: DraftId, source: BlobId, target: BlobId) -> None:
        """The bytes of a draft that lay in `source` lie at the same places in `target`, if the draft is still here."""
        held = self._held.get(number)
        if held is None or source not in held.draft.map.blobs():
            return
        held.draft = replace(held.draft, map=held.draft.map.moved(source, target))
        self._staged[target].add(number)
        self._let_go(number, {source})
        self.buffers.must_sync(target)
        self.buffers.record((BLOB, blob_key(target), STAGED.as_value()), (DRAFT, draft_key(number), held.draft))

    def is_written(self, blob: BlobId) -> bool:
        """Whether a writer has a staging file."""
        return blob in self._written

    def is_leaving(self, blob: BlobId) -> bool:
        """Whether durable drafts may need a staging file until the next flush is settled."""
        return blob in self._left or blob in self._leaving

    def is_known(self, ref: ContentRef) -> bool:
        """Whether it is no draft, or one that `add_owner` takes: of some the owner learns when a flush is settled."""
        return not isinstance(ref, int) or ref in self._held

    def relied_on(self, ref: ContentRef) -> frozenset[BlobId]:
        """The staging files of a durable draft: what an edit of it needs of them is durable."""
        held = self._held.get(ref) if isinstance(ref, int) and not self.is_lost(ref) else None
        if held is None or self.buffers.pending_record(DRAFT, draft_key(ref)) is not None:  # type: ignore[arg-type]
            return frozenset()
        return frozenset(held.draft.map.blobs() & self._staged.keys() - self._torn)

    def drop(self, number: DraftId, open_layer: LayerId) -> None:
        """The row that referred to the draft says something else now.

        Drops it if that was the only one: it was made in the layer that is still open, for one inode.
        """
        held = self._held.get(number)
        if held is None or held.sealing or held.layer != open_layer or len(held.draft.owners) != 1:
            return
        del self._held[number]
        self.buffers.record((DRAFT, draft_key(number), None))
        self._let_go(number, held.draft.map.blobs())

    def resumable(self, number: DraftId) -> bool:
        """Whether its staging files may still be appended to."""
        held = self._held.get(number)
        return held is not None and not held.sealing

    def closed(self, number: DraftId) -> None:
        """The file was closed by its last writer; the draft may be sealed after the next flush."""
        self._finished.add(number)

    def sealable(self) -> list[Sealable]:
        """Durable drafts whose staging files nobody writes to, marked as being sealed.

        Not before these were synced, since a second sync of the same bytes may succeed where the first fails. Of drafts
        over the same staging file one at a time: what becomes of the file changes what the next has to do. Durable rows
        may need more of a file than the drafts that are left.
        """
        ready = []
        needed = self._pinned.keys() | self._left | self._leaving
        taken = {blob for held in self._held.values() if held.sealing for blob in held.draft.map.blobs()}
        for number, held in self._held.items():
            if held.sealing or number in self._lost or (held.layer is not None and number not in self._finished):
                continue
            if self.buffers.pending_record(DRAFT, draft_key(number)) is not None:
                continue
            blobs = held.draft.map.blobs()
            if self.buffers.are_unsynced(blobs):
                continue
            staged = frozenset(blob for blob in blobs if blob in self._staged)
            if not blobs & self._written and not staged & taken:
                held.sealing = True
                taken |= staged
                shared = frozenset(blob for blob in staged if blob in needed or len(self._staged[blob]) > 1)
                torn = staged & self._torn
                ready.append(Sealable(number, held.draft, staged, shared, torn, held.base))
        return ready

    def unsealed(self, number: DraftId) -> None:
        """Sealing failed; it may be tried again."""
        if number in self._held:
            self._held[number].sealing = False

    def sealed(self, outcome: Seal) -> bool:
        """Takes an outcome to the next cut. False when the draft changed meanwhile and must be sealed again."""
        held = self._held.get(outcome.draft)
        if held is None or held.draft.owners != outcome.owners:
            self.unsealed(outcome.draft)
            for sealed in outcome.blobs:
                if sealed.blob not in self._staged:
                    self.buffers.discard(sealed.blob)
            return False
        del self._held[outcome.draft]
        self._finished.discard(outcome.draft)
        self.buffers.seal(outcome)
        kept = {sealed.blob for sealed in outcome.blobs}
        for blob in kept:
            self._staged.pop(blob, None)
        self._let_go(outcome.draft, held.draft.map.blobs() - kept)
        return True

    # What the disk lost

    def note_lost(self, blobs: frozenset[BlobId], drafts: set[DraftId]) -> None:
        """The disk lost bytes of these staging files; a flush left out these drafts, and no others."""
        self._torn |= blobs & self._staged.keys()
        self._lost = drafts & self._held.keys()

    def is_lost(self, ref: ContentRef) -> bool:
        """Whether a file with that content can only become durable by being written again."""
        return isinstance(ref, int) and ref in self._lost

    def lost(self) -> dict[DraftId, tuple[FileId, ...]]:
        """The drafts that cannot be made durable, with the inodes that they belong to."""
        self._lost &= self._held.keys()
        return {number: self._held[number].draft.owners for number in sorted(self._lost)}

    def begin_flush(self) -> frozenset[DraftId]:
        """A cut is taken; gives the drafts that stand in for lost ones."""
        self._leaving |= self._left
        self._left.clear()
        return frozenset(self._standing & self._held.keys())

    def end_flush(self) -> None:
        """It is durable."""
        self._leaving.clear()

    def are_torn(self, blobs: set[BlobId]) -> bool:
        """Whether the disk may have other bytes in one than are read now: who wants to keep them has to copy them."""
        return bool(self._torn) and not self._torn.isdisjoint(blobs)

    def stand_in(self, number: DraftId, draft: Draft, kept: frozenset[BlobId]) -> None:
        """Adds a durable draft that rows refer to in the place of one that is lost; `kept` blobs were to go with it."""
        self._held[number] = _Held(draft, None, None)
        self._standing.add(number)
        for blob in draft.map.blobs():
            if self.buffers.undo_discard(blob) or blob in kept:
                self.buffers.must_sync(blob)  # it may have been written in place before it was let go
                self._staged.setdefault(blob, set()).add(number)
            elif blob in self._staged:
                self._staged[blob].add(number)

    def exposed(self) -> list[BlobId]:
        """Staging files under drafts that stand in, that somebody still writes to or that lost bytes."""
        return [blob for blob in self._written | self._torn if self._standing & self._staged.get(blob, set())]

    def standing_on(self, blob: BlobId) -> set[DraftId]:
        """The drafts that stand in and are made of a staging file."""
        return self._standing & self._staged.get(blob, set())

    def in_doubt(self) -> dict[DraftId, tuple[FileId, ...]]:
        """Lost drafts and those that stand in for them, with their inodes: nobody tells when they are not needed."""
        self._standing &= self._held.keys()
        return {n: self._held[n].draft.owners for n in self.lost().keys() | self._standing if not self._held[n].sealing}

    def _let_go(self, number: DraftId, blobs: set[BlobId]) -> None:
        self._left |= blobs
        for blob in blobs:
            users = self._staged.get(blob)
            if users is not None:
                users.discard(number)
                self._discard_unused(blob)

    def _discard_unused(self, blob: BlobId) -> None:
        in_use = blob in self._written or blob in self._pinned or self._staged.get(blob)
        if not in_use and self._staged.pop(blob, None) is not None:
            self._torn.discard(blob)
            self.buffers.discard(blob)
