"""Extended attributes: one record for each distinct set, shared by all inodes that have it.

    xattrs   first 16 bytes of BLAKE3 over the canonical set → {name: value}

An inode without attributes refers to nothing, so that the kernel's question before every write is answered from memory.
"""

from blake3 import blake3

from filmfs.core.errors import Corrupt
from filmfs.store.database import Database, Snapshot
from filmfs.store.records import canonical
from filmfs.versioning.buffers import Buffers

XATTRS = b"xattrs"
VALUE_MAX = 1 << 16

Attributes = dict[bytes, bytes]


def put_xattrs(buffers: Buffers, attributes: Attributes) -> bytes:
    """The reference to a set of attributes, which is written with the next cut."""
    if not attributes:
        return b""
    pairs = [[name, attributes[name]] for name in sorted(attributes)]
    reference = blake3(canonical(pairs)).digest(16)
    buffers.record((XATTRS, reference, pairs))
    return reference


def get_xattrs(database: Database | Snapshot, buffers: Buffers, reference: bytes) -> Attributes:
    """The set that `reference` names. Raises Corrupt when it is missing."""
    if not reference:
        return {}
    pairs = buffers.pending_record(XATTRS, reference) or database.current().get(XATTRS, reference)
    if pairs is None:
        raise Corrupt(f"the extended attributes {reference.hex()} are missing")
    return dict(pairs)  # type: ignore[arg-type]
