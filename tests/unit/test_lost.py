"""What of a cut can be written when the disk lost bytes: the thinking alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import BlobId, BranchId, ContentId, DraftId, FileId, LayerId
from filmfs.store.blobs import STAGED, TORN, BlobRecord, blob_key
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.contents import DRAFT, ContentRef, Draft, draft_key
from filmfs.versioning.buffers import Cut, LayerBuffer
from filmfs.versioning.lost import Loss, lessened, lost_bytes
from filmfs.versioning.rows import Entry, Inode, Kind
from tests.support import an_inode

MAIN, OTHER = BranchId(1), BranchId(2)
LAYER, NEXT = LayerId(5), LayerId(6)
FILE, SOUND = FileId(20), FileId(21)
BAD, GOOD, OLDER = BlobId(1), BlobId(2), BlobId(3)
WRITTEN, BEFORE = DraftId(10), DraftId(11)
CONTENT = ContentId(b"c" * 32)


@dataclass
class Durable:
    """What is durable, as plain values; rows are the same for every layer."""

    rows: dict[FileId, Inode] = field(default_factory=dict)
    drafts: dict[DraftId, Draft] = field(default_factory=dict)
    blobs: dict[BlobId, BlobRecord] = field(default_factory=dict)

    def inode(self, buffer: LayerBuffer, file: FileId) -> Inode | None:
        return self.rows.get(file)

    def draft(self, number: DraftId) -> Draft | None:
        return self.drafts.get(number)

    def blob(self, blob: BlobId) -> BlobRecord | None:
        return self.blobs.get(blob)


def of_blob(blob: BlobId, size: int) -> Draft:
    return Draft(ExtentMap.of_blob(blob, size), (FILE,))


def a_file(content: ContentRef, size: int, **fields: object) -> Inode:
    return an_inode(content=content, size=size, stored=size, **fields)


def a_cut(*rows: tuple[BranchId, LayerId, FileId, Inode | None], **drafts: Draft | None) -> Cut:
    """A cut of those rows, in buffers of their own, over drafts by their numbers (`_10=…`) and what goes with them."""
    records: dict[tuple[bytes, bytes], object | None] = {}
    unsynced, discards = set(), set()
    for name, draft in drafts.items():
        records[DRAFT, draft_key(DraftId(int(name[1:])))] = draft
        for blob in draft.map.blobs() if draft is not None else ():
            records[BLOB, blob_key(blob)] = STAGED.as_value()
            unsynced.add(blob)
    buffers = [LayerBuffer(branch, layer, {file: inode}) for branch, layer, file, inode in rows]
    return Cut(buffers, records, unsynced, discards, [])


def lose(cut: Cut, durable: Durable) -> tuple[Cut, Loss]:
    numbers: Iterator[int] = count(100)
    new: Callable[[], DraftId] = lambda: DraftId(next(numbers))  # noqa: E731
    return lessened(cut, frozenset({BAD}), durable, new)


def rows_of(cut: Cut) -> list[tuple[LayerId, dict[FileId, Inode | None]]]:
    return [(buffer.layer, buffer.inodes) for buffer in cut.buffers]


NEW = a_file(WRITTEN, 9000, mtime=7, ctime=8, mode=0o600)


def test_a_new_file_is_written_empty_and_its_draft_waits() -> None:
    cut, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000)), Durable())

    assert rows_of(cut) == [(LAYER, {FILE: NEW.changed(content=None, size=0, stored=0)})]
    assert cut.records == {}
    assert loss.inodes == {(MAIN, FILE): NEW}
    assert set(loss.records) == {(DRAFT, draft_key(WRITTEN)), (BLOB, blob_key(BAD))}
    assert (loss.standing, loss.kept) == ({}, frozenset())


def test_a_file_that_was_durable_is_written_with_its_old_bytes_and_its_new_mode() -> None:
    old = a_file(CONTENT, 500, mtime=1)
    cut, _ = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000)), Durable({FILE: old}))

    expected = NEW.changed(content=CONTENT, size=500, stored=500, mtime=1)
    assert rows_of(cut) == [(LAYER, {FILE: expected})]


def test_what_was_not_lost_is_written_as_it_is() -> None:
    sound = a_file(DraftId(12), 4000)
    given = a_cut((MAIN, LAYER, SOUND, sound), _10=of_blob(BAD, 9000), _12=Draft(ExtentMap.of_blob(GOOD, 1), (SOUND,)))
    given.buffers.append(LayerBuffer(MAIN, LAYER, {FILE: NEW}, {FileId(1): {b"n": Entry(FILE, Kind.FILE, b"n")}}))
    cut, loss = lose(given, Durable())

    assert cut.buffers[0].inodes == {SOUND: sound}
    assert cut.buffers[1].entries == given.buffers[1].entries
    assert set(cut.records) == {(DRAFT, draft_key(DraftId(12))), (BLOB, blob_key(GOOD))}
    assert (MAIN, SOUND) not in loss.inodes


def test_the_cut_that_was_given_is_left_as_it_was() -> None:
    given = a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000), _11=None)
    given.discards |= {OLDER}
    lose(given, Durable({FILE: a_file(BEFORE, 1)}, {BEFORE: of_blob(OLDER, 1)}))

    assert rows_of(given) == [(LAYER, {FILE: NEW})]
    assert len(given.records) == 3
    assert given.discards == {OLDER}


def test_a_draft_over_lost_bytes_and_others_is_lost_as_a_whole() -> None:
    both = Draft(ExtentMap(10, (Extent(0, 5, GOOD), Extent(5, 5, BAD))), (FILE,))
    _, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=both), Durable())

    assert (MAIN, FILE) in loss.inodes


def test_a_draft_that_was_shorter_when_it_was_durable_goes_on_under_another_number() -> None:
    durable = Durable({FILE: a_file(WRITTEN, 500)}, {WRITTEN: of_blob(BAD, 500)}, {BAD: STAGED})
    cut, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000)), durable)

    (row,) = cut.buffers[0].inodes.values()
    assert row is not None
    assert (row.content, row.size) == (100, 500)
    assert cut.renumbered == [((FILE,), WRITTEN, DraftId(100))]
    assert cut.records[DRAFT, draft_key(WRITTEN)] is None
    assert cut.records[DRAFT, draft_key(DraftId(100))] == of_blob(BAD, 500)
    assert loss.standing == {DraftId(100): of_blob(BAD, 500)}


def test_a_staging_file_that_is_durable_is_marked_once() -> None:
    given = a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000))

    marked, _ = lose(given, Durable(blobs={BAD: STAGED}))
    assert marked.records[BLOB, blob_key(BAD)] == TORN.as_value()
    again, _ = lose(given, Durable(blobs={BAD: TORN}))
    assert (BLOB, blob_key(BAD)) not in again.records


def test_a_lost_staging_file_that_is_discarded_stays_discarded() -> None:
    given = a_cut(_10=None)
    given.records[BLOB, blob_key(BAD)] = None
    given.discards.add(BAD)
    cut, loss = lose(given, Durable(blobs={BAD: STAGED}))

    assert cut.records[BLOB, blob_key(BAD)] is None
    assert cut.discards == {BAD}
    assert loss.records == {}


@pytest.mark.parametrize("change", [None, of_blob(OLDER, 700)], ids=["dropped", "longer"])
def test_a_row_falls_back_on_a_copy_of_a_draft_whatever_becomes_of_that(change: Draft | None) -> None:
    durable = Durable({FILE: a_file(BEFORE, 500)}, {BEFORE: of_blob(OLDER, 500)})
    given = a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000), _11=change)
    given.records[BLOB, blob_key(OLDER)] = None
    given.discards |= {OLDER, GOOD}
    cut, loss = lose(given, durable)
    (copy,) = loss.standing

    before = a_file(BEFORE, 500)
    assert rows_of(cut)[0][1] == {FILE: NEW.changed(content=copy, size=500, stored=500, mtime=before.mtime)}
    assert copy not in (BEFORE, WRITTEN)
    assert loss.standing == {copy: of_blob(OLDER, 500)}
    assert cut.records[DRAFT, draft_key(copy)] == of_blob(OLDER, 500)
    assert cut.records[DRAFT, draft_key(BEFORE)] == change
    assert (BLOB, blob_key(OLDER)) not in cut.records
    assert cut.discards == {GOOD}
    assert loss.kept == {OLDER}


def test_a_copy_that_stands_in_already_is_not_copied_again() -> None:
    durable = Durable({FILE: a_file(BEFORE, 500)}, {BEFORE: of_blob(OLDER, 500)})
    given = a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000))
    given.standing = frozenset({BEFORE})
    cut, loss = lose(given, durable)

    assert rows_of(cut)[0][1][FILE].content == BEFORE
    assert loss.standing == {}


def test_an_edit_of_what_was_durable_of_a_lost_file_is_not_lost() -> None:
    edit = replace(of_blob(BAD, 9000), relies=frozenset({BAD}))
    cut, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=edit), Durable())

    assert rows_of(cut)[0][1] == {FILE: NEW}
    assert not loss.inodes


def test_of_several_layers_the_newest_row_waits_and_each_has_the_old_bytes() -> None:
    newer = NEW.changed(mode=0o640)
    cut, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), (MAIN, NEXT, FILE, newer), _10=of_blob(BAD, 9000)), Durable())

    assert [row.size for _, rows in rows_of(cut) for row in rows.values() if row is not None] == [0, 0]
    assert loss.inodes == {(MAIN, FILE): newer}


@pytest.mark.parametrize("after", [None, a_file(CONTENT, 3)])
def test_a_row_that_a_newer_one_replaced_does_not_wait(after: Inode | None) -> None:
    given = a_cut((MAIN, LAYER, FILE, NEW), (MAIN, NEXT, FILE, after), (OTHER, LayerId(7), FILE, NEW))
    given.records[DRAFT, draft_key(WRITTEN)] = of_blob(BAD, 9000)
    _, loss = lose(given, Durable())

    assert loss.inodes == {(OTHER, FILE): NEW}


def test_a_row_that_is_there_already_is_not_written_again() -> None:
    there = NEW.changed(content=CONTENT, size=500, stored=500)
    cut, loss = lose(a_cut((MAIN, LAYER, FILE, NEW), _10=of_blob(BAD, 9000)), Durable({FILE: there}))

    assert not cut
    assert loss.inodes == {(MAIN, FILE): NEW}


def test_a_row_that_is_there_is_written_over_one_of_the_same_cut() -> None:
    there = NEW.changed(content=CONTENT, size=500, stored=500)
    given = a_cut((MAIN, LAYER, FILE, a_file(None, 0)), (MAIN, NEXT, FILE, NEW), _10=of_blob(BAD, 9000))
    cut, _ = lose(given, Durable({FILE: there}))

    assert rows_of(cut)[1] == (NEXT, {FILE: there})


def test_the_error_names_some_files_and_counts_the_rest() -> None:
    assert str(lost_bytes(["main:a"])) == "the disk lost bytes of main:a; write it again, or remove it"
    assert str(lost_bytes(f"main:{n}" for n in range(5))).startswith(
        "the disk lost bytes of main:0, main:1, main:2 and 2 more; write them again"
    )
