"""Proves bytes: every sealed blob is hashed again, and every content that is not simply one blob.

Leaf by leaf, so that rot is named to the mebibyte. Holes are not read. Records are read in short views: a view that is
held for hours keeps the database from reusing pages.
"""

import errno
import os
from collections.abc import Callable, Iterator

from blake3 import blake3

from filmfs.core.errors import FilmFSError
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal
from filmfs.core.ids import LEAF_BYTES, LEAF_SIZE, ZERO_LEAF, BlobId, ContentId, content_id, leaf_count
from filmfs.store.blobs import Blobs, read_record
from filmfs.store.check import Work, name_of
from filmfs.store.contents import CONTENT, Contents, find_map, get_leaves
from filmfs.store.database import Database
from filmfs.store.findings import FaultKind, Findings, Meter, OfBlob, OfContent

_HOLE_STEP = 4096  # leaves of a hole that are compared at once


class BytesCheck:
    """Re-hashes what `StoreCheck` found."""

    def __init__(self, database: Database, blobs: Blobs, findings: Findings, meter: Meter) -> None:
        self.verified = 0
        self._database = database
        self._files = blobs
        self._findings = findings
        self._meter = meter
        self._bad: set[BlobId] = set()
        self._leaves: dict[BlobId, bytes] = {}

    def run(self, work: Work) -> None:
        """Every sealed blob against its name, then every content of several runs against its leaves."""
        self._meter.start("bytes")
        for blob in work.blobs:
            self._check_blob(BlobId(blob))
        for content in work.contents:
            self._check_content(content)

    def _check_blob(self, blob: BlobId) -> None:
        with self._database.read() as transaction:
            record = read_record(transaction, blob)
            if record is None or record.content is None:
                return
            known = transaction.has(CONTENT, record.content)
            leaves = get_leaves(transaction, record.content) if known else b""
        path = self._files.sealed_path(record.content)
        try:
            descriptor = _open_first((path, self._files.staging_path(blob), path))
        except OSError as error:
            self._note_rot(blob, 0, record.size, path, f"cannot be read: {error.strerror}")
            return
        try:
            if leaves:
                self._compare(blob, descriptor, record.size, leaves, path)
            else:
                hashes = b"".join(leaf_hashes(descriptor, record.size, self._hashed))
                if content_id(record.size, hashes) != record.content:
                    self._note_rot(blob, 0, record.size, path, "are not what was stored")
        finally:
            os.close(descriptor)

    def _compare(self, blob: BlobId, descriptor: int, size: int, leaves: bytes, path: str) -> None:
        at = 0
        start: int | None = None
        for run in leaf_hashes(descriptor, size, self._hashed):
            if start is None and leaves[at : at + len(run)] == run:
                at += len(run)
                continue
            for index in range(0, len(run), LEAF_BYTES):
                same = run[index : index + LEAF_BYTES] == leaves[at : at + LEAF_BYTES]
                if not same and start is None:
                    start = at
                elif same and start is not None:
                    self._note_rot(blob, _offset(start), _offset(at), path, "are not what was stored")
                    start = None
                at += LEAF_BYTES
        if start is not None:
            self._note_rot(blob, _offset(start), size, path, "are not what was stored")

    def _note_rot(self, blob: BlobId, start: int, end: int, path: str, how: str) -> None:
        self._bad.add(blob)
        what = f"bytes {start} to {end} of blob {blob} {how}"
        self._findings.add(FaultKind.BYTES, what, OfBlob(blob, start, end), path)

    def _check_content(self, content: ContentId) -> None:
        with self._database.read() as transaction:
            extents = find_map(transaction, content)
            if extents is None:
                return
            leaves = get_leaves(transaction, content)
        if extents.blobs() & self._bad:
            return
        reader = Contents(self._database, self._files)
        for index, count in _leaves_with_bytes(extents):
            start = index * LEAF_SIZE
            expected = leaves[index * LEAF_BYTES : (index + count) * LEAF_BYTES]
            end = min(start + count * LEAF_SIZE, extents.size)
            if count > 1:
                same = _all_zero(expected)
            else:
                same = self._leaf_of(extents, start, end, reader) == expected
            if not same:
                what = f"bytes {start} to {end} of {name_of(content)} are not what was stored"
                self._findings.add(FaultKind.BYTES, what, OfContent(content))
                return

    def _leaf_of(self, extents: ExtentMap, start: int, end: int, reader: Contents) -> bytes:
        pieces = list(extents.pieces(start, end))
        only = pieces[0]
        if len(pieces) == 1 and isinstance(only, Extent) and not isinstance(only.source, Literal):
            known = self._known_leaf(only)
            if known:
                self._hashed(only.length)
                return known
        try:
            data = reader.read(extents, start, end - start)
        except FilmFSError:
            return b""
        self._hashed(sum(piece.length for piece in pieces if isinstance(piece, Extent)))
        return blake3(data).digest()

    def _known_leaf(self, extent: Extent) -> bytes:
        """The hash of a leaf that is a whole leaf of its blob too, whose bytes have been proved already."""
        assert not isinstance(extent.source, Literal)
        if extent.source_offset % LEAF_SIZE or extent.length != LEAF_SIZE:
            return b""
        if extent.source not in self._leaves:
            while len(self._leaves) >= 8:
                self._leaves.pop(next(iter(self._leaves)))
            with self._database.read() as transaction:
                record = read_record(transaction, extent.source)
                content = None if record is None else record.content
                known = content is not None and transaction.has(CONTENT, content)
                self._leaves[extent.source] = get_leaves(transaction, content) if known and content else b""
        at = extent.source_offset // LEAF_SIZE * LEAF_BYTES
        return self._leaves[extent.source][at : at + LEAF_BYTES]

    def _hashed(self, count: int) -> None:
        self.verified += count
        self._meter.step(count)


def leaf_hashes(descriptor: int, size: int, hashed: Callable[[int], None] = lambda count: None) -> Iterator[bytes]:
    """The leaf hashes of a file's first `size` bytes, in joined runs; holes are not read.

    A leaf that cannot be read gives 32 zero bytes, which no leaf hashes to.
    """
    position = 0
    while position < size:
        data = _next_data(descriptor, position, size)
        empty = min((data - position) // LEAF_SIZE, _HOLE_STEP)
        if empty:
            yield ZERO_LEAF * empty
            hashed(empty * LEAF_SIZE)
            position += empty * LEAF_SIZE
            continue
        length = min(LEAF_SIZE, size - position)
        try:
            yield blake3(_read_leaf(descriptor, position, length), max_threads=blake3.AUTO).digest()
        except OSError:
            yield bytes(LEAF_BYTES)
        hashed(length)
        position += length


def _read_leaf(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length and (more := os.pread(descriptor, length - len(data), offset + len(data))):
        data += more
    return data


def _next_data(descriptor: int, position: int, size: int) -> int:
    try:
        return min(os.lseek(descriptor, position, os.SEEK_DATA), size)
    except OSError as error:
        return size if error.errno == errno.ENXIO else position  # ENXIO: nothing but a hole from here on


def _leaves_with_bytes(extents: ExtentMap) -> Iterator[tuple[int, int]]:
    """Runs of leaves (index, count): one at a time, but whole leaves of a hole together."""
    index = 0
    while index < leaf_count(extents.size):
        start = index * LEAF_SIZE
        first = next(iter(extents.pieces(start, extents.size)))
        count = max(first.length // LEAF_SIZE, 1) if isinstance(first, Hole) else 1
        yield index, count
        index += count


def _all_zero(leaves: bytes) -> bool:
    step = _HOLE_STEP * LEAF_BYTES
    return all(
        leaves[at : at + step] == ZERO_LEAF * (len(leaves[at : at + step]) // LEAF_BYTES)
        for at in range(0, len(leaves), step)
    )


def _offset(leaves: int) -> int:
    return leaves // LEAF_BYTES * LEAF_SIZE


def _open_first(paths: tuple[str, ...]) -> int:
    for path in paths[:-1]:
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
    return os.open(paths[-1], os.O_RDONLY | os.O_CLOEXEC)
