"""The ids: what names content, blobs, files, branches, layers and commits.

ContentId is *what* the bytes are, wherever they are kept; BlobId is *which local file* keeps some. Rows and commits
speak of contents; only content rows and drafts speak of blobs.
"""

from collections.abc import Iterable
from typing import NewType

from blake3 import blake3

ContentId = NewType("ContentId", bytes)  # 32 bytes, see content_id()
BlobId = NewType("BlobId", int)  # a local number, never reused
DraftId = NewType("DraftId", int)  # a file state whose content is not hashed yet; never reused
FileId = NewType("FileId", int)  # 40 bits, never reused, kept through renames, commits and branches
BranchId = NewType("BranchId", int)  # 1 … MAX_BRANCH
LayerId = NewType("LayerId", int)  # 1, 2, 3 … over the whole archive, in the order they were opened
CommitId = NewType("CommitId", bytes)  # 32 bytes, chains the parents' ids and the changes

LEAF_SIZE = 1 << 20
LEAF_BYTES = 32
FILE_ID_BITS = 40
MAX_FILE_ID = (1 << FILE_ID_BITS) - 1
MAX_BRANCH = (1 << 19) - 1  # the upper half of the 20 bits names read-only views (vfs.inodes)
ROOT_FILE = FileId(1)  # the root directory has this id in every branch

ZERO_LEAF = blake3(bytes(LEAF_SIZE)).digest()


def content_id(length: int, leaves: bytes) -> ContentId:
    """The id of content of `length` bytes whose 1 MiB leaves hash to `leaves` (32 bytes each, joined).

    BLAKE3 over the length (8 bytes, little-endian) and the BLAKE3 of every leaf; the last leaf may be short, and empty
    content has no leaf. One formula at every size.
    """
    hasher = blake3(length.to_bytes(8, "little"), max_threads=1)
    hasher.update(leaves)  # apart: together they would be a copy of what may be hundreds of megabytes
    return ContentId(hasher.digest())


def leaf_count(length: int) -> int:
    """How many leaves content of `length` bytes has."""
    return -(-length // LEAF_SIZE)


class LeafHasher:
    """Hashes content that arrives in order, in pieces of any size."""

    def __init__(self) -> None:
        self.length = 0
        self._leaves: list[bytes] = []
        self._open = blake3()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes."""
        view = memoryview(data)
        while view:
            room = LEAF_SIZE - self.length % LEAF_SIZE
            piece = view[:room]
            self._open.update(piece)
            self.length += len(piece)
            view = view[room:]
            if self.length % LEAF_SIZE == 0:
                self._leaves.append(self._open.digest())
                self._open = blake3()

    def finish(self) -> tuple[ContentId, bytes]:
        """The ContentId and the joined leaf hashes of all that was taken."""
        leaves = list(self._leaves)
        if self.length % LEAF_SIZE:
            leaves.append(self._open.digest())
        joined = b"".join(leaves)
        return content_id(self.length, joined), joined


def identify(pieces: Iterable[bytes]) -> tuple[ContentId, bytes]:
    """The ContentId and leaf hashes of the bytes in `pieces`, joined."""
    hasher = LeafHasher()
    for piece in pieces:
        hasher.update(piece)
    return hasher.finish()


def identify_leaf(data: bytes) -> tuple[ContentId, bytes]:
    """The same for the bytes of one leaf at most, which small files are made of by the thousand."""
    leaf = blake3(data).digest() if data else b""
    return content_id(len(data), leaf), leaf


EMPTY_CONTENT = content_id(0, b"")
