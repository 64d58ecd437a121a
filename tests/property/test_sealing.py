"""Sealing: whatever a draft is made of, it becomes the content of its bytes."""

import os
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filmfs.archive import Archive
from filmfs.core.extents import Extent, ExtentMap, Literal
from filmfs.core.ids import EMPTY_CONTENT, LEAF_SIZE, BlobId, ContentId, identify
from filmfs.store.contents import LITERAL_MAX
from filmfs.store.sealing import SealPlan, plan_seal
from tests.support import keep_draft, main_of, make_file, read_path, stage, throwaway_archive

MIB = LEAF_SIZE
STAGED, OTHER, SEALED = BlobId(1), BlobId(2), BlobId(3)
FRESH = frozenset({STAGED, OTHER})


def over(size: int, *extents: Extent) -> ExtentMap:
    return ExtentMap(size, extents)


@pytest.mark.parametrize(
    ("extents", "plan"),
    [
        (over(0), SealPlan.LITERAL),
        (over(LITERAL_MAX, Extent(0, LITERAL_MAX, STAGED)), SealPlan.LITERAL),
        (over(LITERAL_MAX, Extent(0, LITERAL_MAX, SEALED)), SealPlan.LITERAL),
        (over(9000, Extent(0, 9000, STAGED)), SealPlan.WHOLE),
        (over(9000, Extent(4000, 5000, STAGED, 4000)), SealPlan.WHOLE),
        (over(9000, Extent(0, 10, STAGED), Extent(8000, 10, STAGED, 8000)), SealPlan.WHOLE),
        (over(9000, Extent(0, 9000, STAGED, 1)), SealPlan.REWRITE),
        (over(9000, Extent(0, 10, Literal(b"0123456789")), Extent(10, 8990, STAGED, 10)), SealPlan.REWRITE),
        (over(9000, Extent(0, 4000, STAGED), Extent(4000, 5000, OTHER, 4000)), SealPlan.REWRITE),
        (over(9000, Extent(0, 4000, STAGED), Extent(4000, 5000, SEALED, 4000)), SealPlan.REWRITE),
        (over(9000), SealPlan.EXTENTS),
        (over(9000, Extent(0, 9000, SEALED)), SealPlan.EXTENTS),
        (over(64 * MIB, Extent(0, 4096, STAGED), Extent(4096, 64 * MIB - 4096, SEALED)), SealPlan.EXTENTS),
        (over(64 * MIB, Extent(0, 40 * MIB, OTHER, 7), Extent(40 * MIB, 24 * MIB, SEALED)), SealPlan.REWRITE),
        (over(64 * MIB, Extent(0, 10, OTHER, 7)), SealPlan.EXTENTS),
    ],
)
def test_what_becomes_of_a_draft_follows_from_its_map(extents: ExtentMap, plan: SealPlan) -> None:
    assert plan_seal(extents, FRESH) is plan


def test_a_large_file_in_very_many_pieces_is_put_together() -> None:
    pieces = [Extent(at, 4096, STAGED if at % 8192 else SEALED, 7 * at) for at in range(0, 20_000 * 4096, 4096)]
    few_new = [Extent(e.offset, e.length, SEALED if e.offset else STAGED, e.source_offset) for e in pieces]

    assert plan_seal(ExtentMap(20_000 * 4096, tuple(few_new)), FRESH) is SealPlan.REWRITE
    assert plan_seal(ExtentMap(16_000 * 4096, tuple(few_new[:16_000])), FRESH) is SealPlan.EXTENTS


def test_nothing_is_put_together_on_a_disk_without_room_for_it() -> None:
    rewritten = over(64 * MIB, Extent(0, 40 * MIB, OTHER, 7), Extent(40 * MIB, 24 * MIB, SEALED))

    assert plan_seal(rewritten, FRESH, room=64 * MIB) is SealPlan.REWRITE
    assert plan_seal(rewritten, FRESH, room=64 * MIB - 1) is SealPlan.EXTENTS


def test_a_staging_file_that_others_use_too_does_not_become_one_drafts_blob() -> None:
    alone = over(9000, Extent(0, 9000, STAGED))

    assert plan_seal(alone, FRESH, frozenset({STAGED})) is not SealPlan.WHOLE
    assert plan_seal(alone, FRESH, frozenset({OTHER})) is SealPlan.WHOLE


# The bytes of all sources are made once: 4 MiB that are in the archive, and two staging files.
BASE = random.Random(1).randbytes(4 * MIB + 777)
FRESH_BYTES = [random.Random(2).randbytes(2 * MIB + 5), random.Random(3).randbytes(300_000)]

offsets = st.sampled_from([0, 1, 4095, 4096, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 99, 5 * MIB])
lengths = st.sampled_from([1, 100, 4096, 200_000, MIB, MIB + 1, 2 * MIB])
changes = st.one_of(
    st.tuples(st.just("staged"), st.integers(0, 1), offsets, lengths, st.sampled_from([0, 1, 4096])),
    st.tuples(st.just("in place"), st.just(0), offsets, lengths, st.just(0)),
    st.tuples(st.just("literal"), st.just(0), offsets, st.integers(1, 200), st.just(0)),
    st.tuples(st.just("hole"), st.just(0), offsets, lengths, st.just(0)),
    st.tuples(st.just("size"), st.just(0), offsets, st.just(0), st.just(0)),
)


@settings(max_examples=settings().max_examples // 2)
@given(st.booleans(), st.lists(changes, max_size=6))
@example(False, [("in place", 0, 0, 2 * MIB, 0)])
@example(False, [("in place", 0, MIB, MIB, 0)])
@example(False, [("in place", 0, 0, 2 * MIB, 0), ("hole", 0, 4096, 200_000, 0)])
@example(False, [("literal", 0, 0, 100, 0), ("in place", 0, 100, MIB, 0)])
@example(True, [("staged", 0, MIB, 4096, 0)])
@example(True, [("staged", 0, 4096, 2 * MIB, 0), ("staged", 1, MIB + 1, 200_000, 1)])
@example(True, [("size", 0, 3 * MIB + 99, 0, 0)])
@example(True, [("hole", 0, 0, 2 * MIB, 0), ("size", 0, 5 * MIB, 0, 0)])
@example(True, [("size", 0, 4095, 0, 0)])
def test_a_draft_is_sealed_to_the_content_of_its_bytes(edit: bool, made: list[tuple[str, int, int, int, int]]) -> None:
    with throwaway_archive() as archive:
        base_map, base_id = stored_base(archive) if edit else (ExtentMap(), EMPTY_CONTENT)
        staged = [stage(archive.history, archive, data) for data in FRESH_BYTES]
        for blob in staged:
            archive.history.drafts.begin_writing(blob)
        extents, data = after(base_map, bytearray(BASE if edit else b""), staged, made)
        tree = main_of(archive)[1]
        file = make_file(archive, tree, b"file")
        draft = keep_draft(archive, tree, file, extents, base_id if edit else None)
        for blob in staged:
            archive.history.drafts.end_writing(blob)
        archive.history.drafts.closed(draft)
        archive.history.seal_all()

        content, leaves = identify([bytes(data)])
        assert tree.get_inode(file).content == content
        assert read_path(archive, tree, b"file") == data
        with archive.database.read() as transaction:
            stored = transaction.get(b"content", content)
        assert content == EMPTY_CONTENT or stored[2] == leaves
        assert os.listdir(archive.blobs.staging_directory) == []
        for path in archive.blobs.sealed_files():
            with open(path, "rb") as sealed:
                name = os.path.basename(os.path.dirname(path)) + os.path.basename(path)
                assert identify([sealed.read()])[0].hex() == name


def stored_base(archive: Archive) -> tuple[ExtentMap, ContentId]:
    """A content in the archive that drafts can be edits of."""
    tree = main_of(archive)[1]
    blob = stage(archive.history, archive, BASE)
    archive.history.drafts.begin_writing(blob)
    file = make_file(archive, tree, b"base")
    draft = keep_draft(archive, tree, file, ExtentMap.of_blob(blob, len(BASE)))
    archive.history.drafts.end_writing(blob)
    archive.history.drafts.closed(draft)
    archive.history.seal_all()
    content = tree.get_inode(file).content
    assert isinstance(content, bytes)
    return archive.contents.map_of(content), content


def after(
    extents: ExtentMap, data: bytearray, staged: list[BlobId], made: list[tuple[str, int, int, int, int]]
) -> tuple[ExtentMap, bytearray]:
    """The map after some changes, and the bytes that it stands for."""
    for kind, which, offset, length, shift in made:
        if kind == "hole":
            extents = extents.punched(offset, offset + length)
            end = min(offset + length, len(data))
            data[offset:end] = bytes(max(0, end - offset))
            continue
        if kind == "size":
            extents = extents.truncated(offset)
            del data[offset:]
            data.extend(bytes(offset - len(data)))
            continue
        if kind == "literal":
            new = bytes([length]) * length
            extent = Extent(offset, length, Literal(new))
        else:
            at = offset if kind == "in place" else shift
            new = FRESH_BYTES[which][at : at + length]
            extent = Extent(offset, len(new), staged[which], at)
        if not new:
            continue
        extents = extents.written(extent)
        data.extend(bytes(max(0, offset - len(data))))
        data[offset : offset + len(new)] = new
    return extents, data
