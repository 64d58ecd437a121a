"""Proves what is kept: contents, drafts, pages of leaf hashes, blobs and the lengths of their files.

Hashing bytes again is store.check_bytes' part; who refers to contents (rows, branches) is versioning's. Nothing is
changed and no lock is taken: a blob's file may move from staging/ to blobs/ while this looks, so both places are tried.
"""

import os
from array import array
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from filmfs.core.errors import Corrupt
from filmfs.core.extents import ExtentMap, Literal
from filmfs.core.ids import (
    LEAF_BYTES,
    LEAF_SIZE,
    BlobId,
    ContentId,
    DraftId,
    content_id,
    identify,
    leaf_count,
)
from filmfs.store.blobs import TABLE as BLOB
from filmfs.store.blobs import BlobRecord, Blobs, blob_key, read_record
from filmfs.store.contents import CONTENT, DRAFT, LEAVES, unpack_extents, unpack_leaves
from filmfs.store.database import Database
from filmfs.store.findings import DAMAGED, Damaged, FaultKind, OfBlob, OfContent, OfPage, Reading


@dataclass(slots=True)
class Referenced:
    """What rows refer to: contents by the first 8 bytes of their ids, and drafts."""

    contents: set[bytes] = field(default_factory=set)
    drafts: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Work:
    """What is left for re-hashing: sealed blobs, and contents that are not simply one of them."""

    blobs: "array[int]" = field(default_factory=lambda: array("Q"))
    contents: list[ContentId] = field(default_factory=list)
    bytes: int = 0


def listed_files(blobs: Blobs) -> set[bytes]:
    """The sealed files that there are, by the first 8 bytes of their names. Look before the records are read."""
    found = set()
    for path in blobs.sealed_files():
        directory, name = os.path.split(path)
        try:
            found.add(bytes.fromhex(os.path.basename(directory) + name)[:8])
        except ValueError:
            found.add(name.encode())
    return found


class StoreCheck:
    """The walk over contents, drafts, leaf pages and blobs of one view of the database."""

    def __init__(self, reading: Reading, database: Database, blobs: Blobs, referenced: Referenced) -> None:
        self.work = Work()
        self.contents = 0
        self.blobs = 0
        self.highest_blob = 0
        self.highest_draft = 0
        self._reading = reading
        self._add = reading.findings.add
        self._database = database
        self._files = blobs
        self._referenced = referenced
        self._used = bytearray()  # a bit for each blob that something is made of

    def run(self, listed: set[bytes]) -> None:
        """All of it; `listed` is what `listed_files` found."""
        self._check_pages()
        self._check_contents()
        self._check_drafts()
        self._check_blobs(listed)
        self._note_staging()

    def _check_pages(self) -> None:
        for key, value in self._reading.rows(LEAVES, OfPage):
            if isinstance(value, bytes) and (blake3(value).digest() != key or len(value) % LEAF_BYTES):
                what = f"the page of leaf hashes {key.hex()} is not what its key says"
                self._add(FaultKind.LEAVES, what, OfPage(key))

    def _check_contents(self) -> None:
        unreferenced = 0
        for key, value in self._reading.rows(CONTENT, _of_content):
            self.contents += 1
            unreferenced += key[:8] not in self._referenced.contents
            if value is DAMAGED:
                continue
            content = ContentId(key)
            extents = read_map(value)
            if extents is None:
                what = f"the record of content {key.hex()} cannot be understood"
                self._add(FaultKind.CONTENT, what, OfContent(content))
                continue
            self._check_map(content, extents)
            self._check_leaves(content, extents, value[2])
            self._check_literal(content, extents)
        what = "{} contents that no file names (any more, or after an add that was cut off)"
        self._reading.findings.note(unreferenced, what)

    def _check_map(self, ref: ContentId | DraftId, extents: ExtentMap) -> None:
        wrong = fault_of_map(extents)
        if wrong is not None:
            self._add(FaultKind.EXTENTS, f"{name_of(ref)}: {wrong}", OfContent(ref))
            return
        ends: dict[BlobId, int] = {}
        for extent in extents.extents:
            if not isinstance(extent.source, Literal):
                ends[extent.source] = max(ends.get(extent.source, 0), extent.source_offset + extent.length)
        is_one_file = False
        for blob, end in ends.items():
            self._use(blob)
            record = self._record(blob)
            if isinstance(record, Damaged):
                continue
            if record is None:
                self._add(FaultKind.BLOB, f"{name_of(ref)} is made of blob {blob}, which has no record", OfContent(ref))
            elif record.content is None:
                self._check_staged(ref, blob, end)
            elif end > record.size:
                what = f"{name_of(ref)} needs {end} bytes of blob {blob}, which has {record.size}"
                self._add(FaultKind.EXTENTS, what, OfContent(ref))
            elif isinstance(ref, bytes) and extents.whole_blob == blob and record.size == extents.size:
                is_one_file = True
                if record.content != ref:
                    what = f"{name_of(ref)} is the whole of blob {blob}, which is named {record.content.hex()}"
                    self._add(FaultKind.BLOB, what, OfContent(ref))
        if isinstance(ref, bytes) and ends and not is_one_file:
            self.work.contents.append(ref)
            self.work.bytes += extents.stored

    def _check_staged(self, ref: ContentId | DraftId, blob: BlobId, end: int) -> None:
        if isinstance(ref, bytes):
            what = f"{name_of(ref)} is made of blob {blob}, whose bytes are still in staging and not named"
            self._add(FaultKind.BLOB, what, OfContent(ref))
        path = self._files.staging_path(blob)
        size = _size_of(path)
        if (size is None or size < end) and not self._moved_on(blob):
            has = "is missing" if size is None else f"ends at {size}"
            self._add(FaultKind.FILE, f"the file of blob {blob} {has}; {end} bytes are needed", OfBlob(blob), path)

    def _check_leaves(self, content: ContentId, extents: ExtentMap, stored: bytes | list[bytes]) -> None:
        try:
            leaves = unpack_leaves(self._reading.transaction, stored)
        except Corrupt as error:
            self._add(FaultKind.LEAVES, f"{name_of(content)}: {error}", OfContent(content))
            return
        if len(leaves) != leaf_count(extents.size) * LEAF_BYTES:
            what = f"{name_of(content)} has {len(leaves) // LEAF_BYTES} leaf hashes for {extents.size} bytes"
            self._add(FaultKind.LEAVES, what, OfContent(content))
        elif content_id(extents.size, leaves) != content:
            what = f"{name_of(content)}: its size and leaf hashes are another content's"
            self._add(FaultKind.LEAVES, what, OfContent(content))

    def _check_literal(self, content: ContentId, extents: ExtentMap) -> None:
        if extents.blobs() or extents.size > LEAF_SIZE or fault_of_map(extents) is not None:
            return
        data = bytearray(extents.size)
        for extent in extents.extents:
            if isinstance(extent.source, Literal):
                start = extent.source_offset
                data[extent.offset : extent.end] = extent.source.data[start : start + extent.length]
        if identify([bytes(data)])[0] != content:
            what = f"{name_of(content)}: the bytes in its record are another content's"
            self._add(FaultKind.BYTES, what, OfContent(content))

    def _check_drafts(self) -> None:
        unreferenced = 0
        for key, value in self._reading.rows(DRAFT, _of_draft):
            draft = DraftId(int.from_bytes(key, "big"))
            self.highest_draft = max(self.highest_draft, draft)
            unreferenced += draft not in self._referenced.drafts
            if value is DAMAGED:
                continue
            extents = read_map(value)
            if extents is None:
                self._add(FaultKind.DRAFT, f"the record of draft {draft} cannot be understood", OfContent(draft))
            else:
                self._check_map(draft, extents)
        self._reading.findings.note(unreferenced, "{} drafts that a newer one replaced")

    def _check_blobs(self, listed: set[bytes]) -> None:
        unused = 0
        for key, value in self._reading.rows(BLOB, _of_blob):
            self.blobs += 1
            blob = BlobId(int.from_bytes(key, "big"))
            self.highest_blob = max(self.highest_blob, blob)
            used = self._is_used(blob)
            unused += not used
            if value is DAMAGED:
                continue
            try:
                record = BlobRecord(int(value[0]), value[1] and ContentId(value[1]))
            except (TypeError, ValueError, IndexError):
                self._add(FaultKind.BLOB, f"the record of blob {blob} cannot be understood", OfBlob(blob))
                continue
            if record.content is not None:
                listed.discard(record.content[:8])
                self._check_sealed(blob, record.content, record.size, used)
        self._reading.findings.note(unused, "{} blob records that nothing is made of")
        self._reading.findings.note(len(listed), "{} files under blobs/ that no record names")

    def _check_sealed(self, blob: BlobId, content: ContentId, size: int, used: bool) -> None:
        path = self._files.sealed_path(content)
        found = _first_size((path, self._files.staging_path(blob), path))
        if found == size:
            self.work.blobs.append(blob)
            self.work.bytes += size
        elif used or found is not None:
            has = "is missing" if found is None else f"has {found} bytes"
            what = f"the file of blob {blob} {has}; its record says {size} bytes"
            self._add(FaultKind.FILE, what, OfBlob(blob), path)

    def _note_staging(self) -> None:
        loose = 0
        for _, blob in self._files.staged_files():
            loose += blob is None or not self._reading.transaction.has(BLOB, blob_key(blob))
        self._reading.findings.note(loose, "{} staging files that no record names (on their way, or left by a crash)")

    def _record(self, blob: BlobId) -> BlobRecord | Damaged | None:
        value = self._reading.get(BLOB, blob_key(blob))
        if value is None or isinstance(value, Damaged):
            return value
        try:
            return BlobRecord(int(value[0]), value[1] and ContentId(value[1]))
        except (TypeError, ValueError, IndexError):
            return DAMAGED

    def _moved_on(self, blob: BlobId) -> bool:
        """Whether the blob was sealed or discarded since this view was taken."""
        with self._database.read() as now:
            record = read_record(now, blob)
        return record is None or record.content is not None

    def _use(self, blob: BlobId) -> None:
        at = blob >> 3
        if at >= len(self._used):
            self._used.extend(bytes(max(at + 1 - len(self._used), 1 << 12)))
        self._used[at] |= 1 << (blob & 7)

    def _is_used(self, blob: BlobId) -> bool:
        return blob >> 3 < len(self._used) and bool(self._used[blob >> 3] & 1 << (blob & 7))


def fault_of_map(extents: ExtentMap) -> str | None:
    """What is wrong with a map in itself: extents must be ordered, disjoint, inside the size and their source."""
    position = 0
    for extent in extents.extents:
        if extent.length <= 0 or extent.offset < position or extent.source_offset < 0:
            return f"the extent at {extent.offset} overlaps the one before it, or is empty"
        if isinstance(extent.source, Literal) and extent.source_offset + extent.length > len(extent.source.data):
            return f"the extent at {extent.offset} is longer than the bytes in the record"
        position = extent.end
    return f"its extents end at {position}, past its size of {extents.size}" if position > extents.size else None


def read_map(value: Any) -> ExtentMap | None:
    """The map of a content's or draft's record, if it can be understood."""
    try:
        return unpack_extents(int(value[0]), value[1])
    except (TypeError, ValueError, IndexError):
        return None


def name_of(ref: ContentId | DraftId) -> str:
    """A content or draft, for a person."""
    return f"content {ref.hex()}" if isinstance(ref, bytes) else f"draft {ref}"


def _of_content(key: bytes) -> OfContent:
    return OfContent(ContentId(key))


def _of_draft(key: bytes) -> OfContent:
    return OfContent(DraftId(int.from_bytes(key, "big")))


def _of_blob(key: bytes) -> OfBlob:
    return OfBlob(BlobId(int.from_bytes(key, "big")))


def _size_of(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _first_size(paths: tuple[str, ...]) -> int | None:
    return next((size for size in map(_size_of, paths) if size is not None), None)
