"""Contents: what a ContentId's bytes are made of here, and reading them.

    content    ContentId → [size, extents, leaves]
    leaves     BLAKE3 of a page → its bytes: up to LEAVES_A_PAGE leaf hashes, joined
    draft      DraftId (8 bytes) → [size, extents, owners]: a file state that is not hashed yet

An extent is [offset, length, source, source_offset], its source a BlobId (int) or the bytes themselves. `leaves` is the
joined leaf hashes when they are few, else a list of page hashes: changing 4 KiB of 10 GiB then writes one page.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.errors import Corrupt, FilmFSError
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal
from filmfs.core.ids import (
    EMPTY_CONTENT,
    LEAF_BYTES,
    BlobId,
    ContentId,
    DraftId,
    FileId,
    content_id,
    identify,
    leaf_count,
)
from filmfs.store.blobs import Blobs
from filmfs.store.composing import Composer
from filmfs.store.database import Database, Transaction

CONTENT = b"content"
LEAVES = b"leaves"
DRAFT = b"draft"

LITERAL_MAX = 4096
_LEAVES_INLINE = 32
_LEAVES_A_PAGE = 256
_MAPS = 16  # that are kept in memory; one may have ten thousand extents
_BLOBS = 64  # of a content whose files are opened ahead

ContentRef = ContentId | DraftId | None
"""What a file row says of its bytes: nothing yet (empty), a content, or a draft that is still to be hashed."""


@dataclass(frozen=True, slots=True)
class Content:
    """A content as it is kept here."""

    map: ExtentMap
    leaves: bytes


@dataclass(frozen=True, slots=True)
class Draft:
    """A file state whose bytes are durable but not hashed; `owners` are the files whose rows refer to it.

    Staging files that it `relies` on were durable, as far as it needs them, before it was made. Not stored.
    """

    map: ExtentMap
    owners: tuple[FileId, ...]
    relies: frozenset[BlobId] = frozenset()

    def as_value(self) -> list[object]:
        """The stored form: [size, extents, owners]."""
        return [self.map.size, pack_extents(self.map), list(self.owners)]


def draft_key(draft: DraftId) -> bytes:
    """The key of a draft: its number, 8 bytes, big-endian."""
    return draft.to_bytes(8, "big")


def pack_extents(extents: ExtentMap) -> list[list[object]]:
    """The stored form of a map's extents."""
    return [
        [e.offset, e.length, e.source.data if isinstance(e.source, Literal) else e.source, e.source_offset]
        for e in extents.extents
    ]


def unpack_extents(size: int, rows: list[list[object]]) -> ExtentMap:
    """The map that pack_extents() stored."""
    extents = []
    for offset, length, source, source_offset in rows:
        kept = Literal(source) if isinstance(source, bytes) else BlobId(source)  # type: ignore[arg-type]
        extents.append(Extent(offset, length, kept, source_offset))  # type: ignore[arg-type]
    return ExtentMap(size, tuple(extents))


def find_draft(transaction: Transaction, draft: DraftId) -> Draft | None:
    """The draft, if it is here."""
    value = transaction.get(DRAFT, draft_key(draft))
    return None if value is None else Draft(unpack_extents(value[0], value[1]), tuple(value[2]))


def find_map(transaction: Transaction, content: ContentId) -> ExtentMap | None:
    """What `content` is made of here, if it is here."""
    if content == EMPTY_CONTENT:
        return ExtentMap()
    value = transaction.get(CONTENT, content)
    return None if value is None else unpack_extents(value[0], value[1])


def get_map(transaction: Transaction, ref: ContentRef) -> ExtentMap:
    """What the bytes of a file row are made of. Raises Corrupt when the reference leads nowhere."""
    if ref is None:
        return ExtentMap()
    if isinstance(ref, int):
        draft = find_draft(transaction, ref)
        if draft is None:
            raise Corrupt(f"the record of draft {ref} is missing")
        return draft.map
    found = find_map(transaction, ref)
    if found is None:
        raise Corrupt(f"the content {ref.hex()} is missing")
    return found


def get_leaves(transaction: Transaction, content: ContentId) -> bytes:
    """The joined leaf hashes of `content`. Raises Corrupt when it or a page of it is missing."""
    if content == EMPTY_CONTENT:
        return b""
    value = transaction.get(CONTENT, content)
    if value is None:
        raise Corrupt(f"the content {content.hex()} is missing")
    return unpack_leaves(transaction, value[2])


def unpack_leaves(transaction: Transaction, stored: bytes | list[bytes]) -> bytes:
    """The joined leaf hashes from their stored form. Raises Corrupt when a page is missing."""
    if isinstance(stored, bytes):
        return stored
    pages = []
    for page in stored:
        data = transaction.get(LEAVES, page)
        if data is None:
            raise Corrupt(f"the page of leaf hashes {page.hex()} is missing")
        pages.append(data)
    return b"".join(pages)


def put_content(transaction: Transaction, content: ContentId, extents: ExtentMap, leaves: bytes) -> bool:
    """Stores what `content` is made of, unless it is here already; says whether it was new."""
    if content == EMPTY_CONTENT or transaction.has(CONTENT, content):
        return False
    stored: bytes | list[bytes] = leaves
    if len(leaves) > _LEAVES_INLINE * LEAF_BYTES:
        step = _LEAVES_A_PAGE * LEAF_BYTES
        stored = []
        for at in range(0, len(leaves), step):
            page = leaves[at : at + step]
            stored.append(blake3(page).digest())
            if not transaction.has(LEAVES, stored[-1]):
                transaction.put(LEAVES, stored[-1], page)
    transaction.put(CONTENT, content, [extents.size, pack_extents(extents), stored])
    return True


def put_literal(transaction: Transaction, data: bytes) -> ContentId:
    """Stores up to LITERAL_MAX bytes as a content of their own, and gives its id."""
    content, leaves = identify([data])
    put_content(transaction, content, ExtentMap.of_bytes(data), leaves)
    return content


def is_sound(content: ContentId, size: int, leaves: bytes) -> bool:
    """Whether `leaves` are as many as `size` needs and hash to `content`."""
    return len(leaves) == leaf_count(size) * LEAF_BYTES and content_id(size, leaves) == content


def _first_blobs(extents: ExtentMap) -> list[BlobId]:
    return sorted(extents.blobs())[:_BLOBS]


class Contents:
    """Reads file content through its ExtentMap. Safe to use from many threads."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        self._database = database
        self.blobs = blobs
        self.composer = Composer(blobs, self.read)
        self._maps: OrderedDict[ContentId, ExtentMap] = OrderedDict()  # what a content is made of never changes
        self._lock = threading.Lock()

    def map_of(self, ref: ContentRef, view: Transaction | None = None) -> ExtentMap:
        """What the bytes of a file row are made of, as last flushed.

        The owner of the trees gives the view that it has; what is not there another process wrote since, and of a draft
        that another process has only the newest state is one whose staging files are there.
        """
        if ref is None:
            return ExtentMap()
        found = self._find_map(ref) if isinstance(ref, bytes) else None
        if found is not None:
            return found
        if view is not None and isinstance(ref, bytes):
            with suppress(Corrupt):
                found = get_map(view, ref)
        if found is None:
            with self._database.read() as transaction:
                found = get_map(transaction, ref)
        if isinstance(ref, bytes) and found.size > LITERAL_MAX:
            with self._lock:
                self._maps[ref] = found
                while len(self._maps) > _MAPS:
                    self._maps.popitem(last=False)
        return found

    def _find_map(self, content: ContentId) -> ExtentMap | None:
        with self._lock:
            found = self._maps.get(content)
            if found is not None:
                self._maps.move_to_end(content)
            return found

    def is_at_hand(self, content: ContentId) -> bool:
        """Whether nothing has to be waited for to begin to read `content`."""
        found = self._find_map(content)
        return found is not None and self.blobs.are_open(_first_blobs(found))

    def have_at_hand(self, ref: ContentRef, extents: ExtentMap | None = None) -> None:
        """Reads what a content is made of (unless `extents` say) and opens blobs; what is wrong, `read` will tell."""
        with suppress(FilmFSError), self.blobs.borrow(_first_blobs(extents or self.map_of(ref))):
            pass

    def is_there(self, extents: ExtentMap) -> bool:
        """Whether the newest bytes can be read: of a file that is not hashed yet they go when it is replaced."""
        newest = max(extents.blobs(), default=None)
        if newest is not None:
            try:
                with self.blobs.borrow([newest]):
                    pass
            except Corrupt:
                return False
        return True

    def read(self, extents: ExtentMap, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset`; short only at the end of the file."""
        end = min(offset + length, extents.size)
        if offset >= end:
            return b""
        parts = [self._fetch(piece) for piece in extents.pieces(offset, end)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_cached(self, extents: ExtentMap, offset: int, length: int) -> bytes | bytearray | None:
        """The same if no disk has to be waited for, else None."""
        end = min(offset + length, extents.size)
        if offset >= end:
            return b""
        parts: list[bytes | bytearray] = []
        for piece in extents.pieces(offset, end):
            if isinstance(piece, Hole) or isinstance(piece.source, Literal):
                part: bytes | bytearray | None = self._fetch(piece)
            else:
                part = self.blobs.read_cached(piece.source, piece.source_offset, piece.length)
            if part is None:
                return None
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def stream(self, extents: ExtentMap, step: int = 1 << 20) -> Iterator[bytes]:
        """All bytes in order, `step` at a time."""
        for offset in range(0, extents.size, step):
            yield self.read(extents, offset, step)

    def _fetch(self, piece: Extent | Hole) -> bytes:
        if isinstance(piece, Hole):
            return bytes(piece.length)
        if isinstance(piece.source, Literal):
            return piece.source.data[piece.source_offset : piece.source_offset + piece.length]
        return self.blobs.read(piece.source, piece.source_offset, piece.length)
