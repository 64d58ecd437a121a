"""Turning a draft into a content: which bytes must be hashed, whether they are worth putting together, and doing it.

A draft's map points into staging files. `plan_seal` decides (pure); `seal` hashes and copies in a thread and changes
nothing that anybody sees; `record_seal` writes the outcome in the caller's transaction; `Blobs.place` follows it.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from math import inf

from blake3 import blake3

from filmfs.core.errors import Busy
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal, MapBuilder
from filmfs.core.ids import (
    LEAF_BYTES,
    LEAF_SIZE,
    ZERO_LEAF,
    BlobId,
    ContentId,
    DraftId,
    FileId,
    content_id,
    identify,
    leaf_count,
)
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.blobs import BlobRecord, Blobs, blob_key
from filmfs.store.contents import DRAFT, LITERAL_MAX, Contents, Draft, draft_key, put_content
from filmfs.store.database import Transaction

_REWRITE_ALWAYS = 1 << 20  # up to this size putting the file together costs nothing worth saving
_FRAGMENTS = 1 << 14  # more would make opening the file slow; fewer cost nothing that shows
_ROUNDED = 1 << 16  # bytes that a file may take more than it has, for blocks and their maps
_ROOM_LEFT = 1 << 28  # bytes of the disk that no copy may take from those who write
_ZEROS_AT_ONCE = 1 << 16  # leaves of a hole: two megabytes, so that no other thread waits for long


class SealPlan(Enum):
    """How a draft becomes a content."""

    LITERAL = "keep the bytes in the record"
    WHOLE = "the one staging file is the content"
    EXTENTS = "keep the map; hash the leaves it touches"
    REWRITE = "copy the bytes into one new blob"


@dataclass(frozen=True, slots=True)
class SealedBlob:
    """A staging file that is complete: `size` bytes that hash to `content`."""

    blob: BlobId
    size: int
    content: ContentId


@dataclass(frozen=True, slots=True)
class Seal:
    """A draft's outcome, not recorded yet. Staging files that are not among `blobs` the draft needs no longer."""

    draft: DraftId
    owners: tuple[FileId, ...]
    content: ContentId
    map: ExtentMap
    leaves: bytes
    blobs: tuple[SealedBlob, ...]


def plan_seal(
    extents: ExtentMap,
    staged: frozenset[BlobId],
    shared: frozenset[BlobId] = frozenset(),
    torn: frozenset[BlobId] = frozenset(),
    room: float = inf,
) -> SealPlan:
    """What to do with a draft of which the blobs in `staged` are still staging files, `shared` ones not its alone.

    Of `torn` ones the disk may have other bytes than are read now: those that the draft needs are copied. `room`: bytes
    that may be stored more.
    """
    if extents.size <= LITERAL_MAX:
        return SealPlan.LITERAL
    sources = extents.blobs()
    fresh = sources & staged
    if fresh & torn:
        return SealPlan.REWRITE
    in_place = all(e.source in fresh and e.offset == e.source_offset for e in extents.extents)
    if len(fresh) == 1 and in_place and not fresh & shared:
        return SealPlan.WHOLE
    if not fresh:
        return SealPlan.EXTENTS
    new_bytes = sum(e.length for e in extents.extents if e.source in fresh)
    mostly_holes = extents.size > 4 * extents.stored + _REWRITE_ALWAYS
    fragmented = len(extents.extents) > _FRAGMENTS
    worthwhile = extents.stored <= _REWRITE_ALWAYS or new_bytes * 2 >= extents.stored or fragmented
    if worthwhile and not mostly_holes and extents.stored <= room:
        return SealPlan.REWRITE
    return SealPlan.EXTENTS


def seal(
    number: DraftId,
    draft: Draft,
    staged: frozenset[BlobId],
    shared: frozenset[BlobId],
    torn: frozenset[BlobId],
    base: tuple[ExtentMap, bytes],
    contents: Contents,
    new_blob: Callable[[], BlobId],
) -> Seal:
    """Hashes a draft whose staging files nobody writes to any more.

    `base` is a content that the draft may share leaves with (its map and leaf hashes). Raises what the disk says, and
    Busy while a program that wrote past us can still do so.
    """
    extents, owners = draft.map, draft.owners
    fresh = tuple(sorted(extents.blobs() & staged))
    if not all(contents.blobs.is_quiet(blob) for blob in fresh):
        raise Busy("a program still has the file mapped for writing")
    plan = plan_seal(extents, staged, shared, torn, contents.blobs.room() - _ROOM_LEFT)
    if plan is SealPlan.LITERAL:
        data = contents.read(extents, 0, extents.size)
        content, leaves = identify([data])
        return Seal(number, owners, content, ExtentMap.of_bytes(data), leaves, ())
    if plan is SealPlan.REWRITE:
        blob, leaves = _rewrite(extents, contents, new_blob())
        content = content_id(extents.size, leaves)
        sealed = SealedBlob(blob, extents.size, content)
        return Seal(number, owners, content, _same_shape(extents, blob), leaves, (sealed,))
    leaves = _leaves_of(extents, base, contents)
    content = content_id(extents.size, leaves)
    if plan is SealPlan.WHOLE:
        blob = fresh[0]
        _clear_holes(contents.blobs, blob, extents)
        _finish_file(contents.blobs, blob, extents.size)
        return Seal(number, owners, content, extents, leaves, (SealedBlob(blob, extents.size, content),))
    wasteful = {blob for blob in fresh if blob not in shared and _is_mostly_waste(blob, extents, contents)}
    kept = [blob for blob in fresh if blob not in wasteful]
    if wasteful:
        kept.append(new_blob())
        extents = _packed(extents, wasteful, kept[-1], contents)
    sealed_files = tuple(_seal_file(contents, blob) for blob in kept)
    return Seal(number, owners, content, extents, leaves, sealed_files)


def record_seal(transaction: Transaction, outcome: Seal) -> bool:
    """Writes a seal: the content, its blobs, and the end of the draft. False when the content was here already.

    Rows that refer to the draft are the caller's, in the same transaction.
    """
    new = put_content(transaction, outcome.content, outcome.map, outcome.leaves)
    for sealed in outcome.blobs:
        # Also when the content was here: other drafts may refer to the staging file, which `place` then gives up.
        transaction.put(BLOB, blob_key(sealed.blob), BlobRecord(sealed.size, sealed.content).as_value())
    transaction.delete(DRAFT, draft_key(outcome.draft))
    return new


def _same_shape(extents: ExtentMap, blob: BlobId) -> ExtentMap:
    """The map of `blob`, which holds the same bytes at the same offsets, with the same holes."""
    shape = MapBuilder(ExtentMap())
    for extent in extents.extents:
        shape.write(Extent(extent.offset, extent.length, blob, extent.offset))
    shape.truncate(extents.size)
    return shape.value


def _leaves_of(extents: ExtentMap, base: tuple[ExtentMap, bytes], contents: Contents) -> bytes:
    base_map, base_leaves = base
    leaves = BytesIO()  # gives its bytes without a copy: of a file of terabytes they are hundreds of megabytes
    full = extents.size // LEAF_SIZE
    index = 0
    while index < leaf_count(extents.size):
        start = index * LEAF_SIZE
        end = min(start + LEAF_SIZE, extents.size)
        pieces = list(extents.pieces(start, end))
        empty = _hole_leaves(extents, start) if len(pieces) == 1 and isinstance(pieces[0], Hole) else 0
        if empty > 1 and index + empty <= full:
            for done in range(0, empty, _ZEROS_AT_ONCE):
                leaves.write(ZERO_LEAF * min(_ZEROS_AT_ONCE, empty - done))
            index += empty
            continue
        if end <= base_map.size and _same_end(end, extents, base_map) and pieces == list(base_map.pieces(start, end)):
            leaves.write(base_leaves[index * LEAF_BYTES : (index + 1) * LEAF_BYTES])
        else:
            leaves.write(blake3(contents.read(extents, start, end - start), max_threads=1).digest())
        index += 1
    return leaves.getvalue()


def _same_end(end: int, one: ExtentMap, other: ExtentMap) -> bool:
    """Whether a leaf that ends at `end` is as long in both: a short last leaf is another leaf than a full one."""
    return end % LEAF_SIZE == 0 or one.size == other.size


def _hole_leaves(extents: ExtentMap, start: int) -> int:
    """How many whole leaves from `start` on lie in one hole."""
    first = next(iter(extents.pieces(start, extents.size)))
    return first.length // LEAF_SIZE if isinstance(first, Hole) else 0


def _rewrite(extents: ExtentMap, contents: Contents, blob: BlobId) -> tuple[BlobId, bytes]:
    leaves = bytearray()
    descriptor = contents.blobs.create(blob)
    try:
        os.ftruncate(descriptor, extents.size)
        for start in range(0, extents.size, LEAF_SIZE):
            data = contents.read(extents, start, LEAF_SIZE)
            leaves += blake3(data, max_threads=1).digest()
            for piece in extents.pieces(start, start + len(data)):
                if isinstance(piece, Extent):
                    at = piece.offset - start
                    _write_all(descriptor, memoryview(data)[at : at + piece.length], piece.offset)
        os.fdatasync(descriptor)
    except BaseException:
        contents.blobs.discard(blob)
        raise
    finally:
        os.close(descriptor)
    return blob, bytes(leaves)


def _is_mostly_waste(blob: BlobId, extents: ExtentMap, contents: Contents) -> bool:
    """Whether most of a staging file was written over since, and that is worth a copy of the rest."""
    used = sum(extent.length for extent in extents.extents if extent.source == blob)
    return contents.blobs.size_on_disk(blob) > 2 * used + _REWRITE_ALWAYS


def _packed(extents: ExtentMap, wasteful: set[BlobId], into: BlobId, contents: Contents) -> ExtentMap:
    """Copies what is used of some staging files one after another into a new one; gives the map that says so."""
    packed, end = MapBuilder(ExtentMap()), 0
    descriptor = contents.blobs.create(into)
    try:
        for extent in extents.extents:
            if isinstance(extent.source, Literal) or extent.source not in wasteful:
                packed.write(extent)
                continue
            for done in range(0, extent.length, LEAF_SIZE):
                length = min(LEAF_SIZE, extent.length - done)
                data = contents.blobs.read(extent.source, extent.source_offset + done, length)
                _write_all(descriptor, memoryview(data), end + done)
            packed.write(Extent(extent.offset, extent.length, into, end))
            end += extent.length
    except BaseException:
        contents.blobs.discard(into)
        raise
    finally:
        os.close(descriptor)
    packed.truncate(extents.size)
    return packed.value


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count


def _clear_holes(blobs: Blobs, blob: BlobId, extents: ExtentMap) -> None:
    """Zeroes what was written to a staging file where its one map now has holes."""
    descriptor = blobs.open_staged(blob)
    try:
        end = os.fstat(descriptor).st_size
        for piece in extents.pieces(0, min(end, extents.size)):
            at = piece.offset
            while isinstance(piece, Hole) and at < piece.offset + piece.length:
                try:
                    at = os.lseek(descriptor, at, os.SEEK_DATA)
                except OSError:  # ENXIO: no data from here on
                    break
                length = min(os.lseek(descriptor, at, os.SEEK_HOLE), piece.offset + piece.length) - at
                for offset in range(at, at + length, LEAF_SIZE):
                    _write_all(descriptor, memoryview(bytes(min(LEAF_SIZE, at + length - offset))), offset)
                at += max(length, 0)
    finally:
        os.close(descriptor)


def _finish_file(blobs: Blobs, blob: BlobId, size: int) -> None:
    """Cuts what lies past the recorded end (a crash left it, or room was asked for) and makes the file durable."""
    descriptor = blobs.open_staged(blob)
    try:
        found = os.fstat(descriptor)
        if found.st_size != size or found.st_blocks * 512 > size + _ROUNDED:
            os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _seal_file(contents: Contents, blob: BlobId) -> SealedBlob:
    """Names a staging file that is part of a content by its own bytes."""
    size = contents.blobs.size_on_disk(blob)
    _finish_file(contents.blobs, blob, size)
    content, _ = identify(_file_pieces(contents.blobs, blob, size))
    return SealedBlob(blob, size, content)


def _file_pieces(blobs: Blobs, blob: BlobId, size: int) -> Iterable[bytes]:
    for offset in range(0, size, LEAF_SIZE):
        yield blobs.read(blob, offset, min(LEAF_SIZE, size - offset))
