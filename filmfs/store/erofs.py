"""The image of an EROFS file system with one file, which is runs of other files: the kernel then reads it by itself.

Format: fs/erofs/erofs_fs.h of Linux, files in chunks (EROFS_INODE_CHUNK_BASED) with a table of devices; numbers are
little-endian. The file is divided into chunks of one size; each lies, from a block on, in a device (a plain file, from
1 on) or in the image itself (0), or is a hole. What is not so divided is copied into the image.

    block 0…   super block at 1024, a slot of 128 bytes for each device
    meta       inodes in slots of 32 bytes: the root (0), the file (2), and behind it 8 bytes for each chunk
    directory  one block: `.`, `..`, NAME
    copies     chunks that are copied
"""

import struct
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from filmfs.core.extents import Extent, ExtentMap, Literal
from filmfs.core.ids import BlobId

BLOCK = 4096
NAME = "file"
_BITS = range(9)  # chunks of 4 KiB to 1 MiB
DEVICES_MAX = 256  # each is an open file
_INDEX_MAX = 16 << 20  # bytes
_COPIES_MAX, _COPIED_MAX = 64, 8 << 20  # chunks, bytes: each is a read from a disk before the file can be opened
_MAGIC, _CHUNKED, _DEVICE_TABLE = 0xE0F5E1E2, 0x4, 0x8
_SUPER_AT, _SUPER, _SLOT, _INODE, _UNIT = 1024, 128, 128, 32, 8
_PLAIN, _CHUNKS, _EXTENDED, _INDEXES = 0 << 1, 4 << 1, 1, 0x20  # of an inode's and a chunk's format
_NO_BLOCK = 0xFFFFFFFF
_HOLE = _NO_BLOCK << 32
_AT_ONCE = 1 << 16  # entries that are made without letting other threads in
_DIRECTORY_TYPE, _FILE_TYPE = 2, 1


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is divided: chunks of BLOCK << `bits` bytes, of which `copied` (ordered numbers) lie in the image."""

    extents: ExtentMap
    bits: int
    copied: tuple[int, ...]

    @property
    def chunk(self) -> int:
        """Bytes of a chunk."""
        return BLOCK << self.bits

    @property
    def chunks(self) -> int:
        """How many chunks the file has."""
        return -(-self.extents.size // self.chunk)


def divide(extents: ExtentMap, sizes: Mapping[BlobId, int]) -> Layout | None:
    """The cheapest way to divide a file; None when much would have to be copied, or a blob is too short or too long.

    `sizes` are of the blobs' files, in bytes. Runs whose place in the file and in the blob differ by no whole number of
    blocks are copied, and so is a last chunk that is not full: what its blob has after it must not show, and a blob may
    not end inside a block.
    """
    blobs = extents.blobs()
    if not blobs or len(blobs) > DEVICES_MAX:
        return None
    bounds, crooked = [], []
    for extent in extents.extents:
        if isinstance(extent.source, Literal) or (extent.offset - extent.source_offset) % BLOCK:
            crooked.append(extent)
        elif extent.source_offset + extent.length > min(sizes[extent.source], _NO_BLOCK * BLOCK):
            return None
        else:
            bounds += [extent.offset, extent.end]
    ways = (_divided(extents, bits, bounds, crooked) for bits in _BITS)
    return min((way for way in ways if way is not None), key=_cost, default=None)


def image(layout: Layout, devices: Mapping[BlobId, int], read: Callable[[int, int], bytes]) -> bytes:
    """The image. `devices` are the blobs' numbers from 1 on; `read` gives bytes of the file, (offset, length)."""
    slots = _blocks(_SUPER_AT + _SUPER + _SLOT * len(devices))
    meta = _blocks(4 * _INODE + _UNIT * layout.chunks)
    directory = slots + meta
    copies = directory + 1
    size, per_chunk = layout.extents.size, layout.chunk // BLOCK
    total = copies + per_chunk * len(layout.copied)
    root = struct.pack("<HHHHIIIIHHI", _PLAIN, 0, 0o40555, 2, BLOCK, 0, directory, 1, 0, 0, 0)
    form = struct.pack("<HHHHQ", _EXTENDED | _CHUNKS, 0, 0o100444, 0, size)
    file = form + struct.pack("<IIIIQII16x", layout.bits | _INDEXES, 2, 0, 0, 0, 0, 1)
    parts = [
        bytes(_SUPER_AT) + _super_block(total, slots, len(devices)),
        b"".join(struct.pack("<64sI60x", b"", 0xFFFFFFFF) for _ in devices),
        root.ljust(2 * _INODE, b"\0") + file + _index(layout, devices, copies),
        _directory(),
        *(read(number * layout.chunk, layout.chunk).ljust(layout.chunk, b"\0") for number in layout.copied),
    ]
    whole = b"".join(parts[:2]).ljust(slots * BLOCK, b"\0") + parts[2].ljust(meta * BLOCK, b"\0")
    return b"".join((whole, *parts[3:]))


def _divided(extents: ExtentMap, bits: int, bounds: list[int], crooked: list[Extent]) -> Layout | None:
    chunk = BLOCK << bits
    copied = {bound // chunk for bound in bounds if bound % chunk}
    for extent in crooked:
        first, last = extent.offset // chunk, (extent.end - 1) // chunk
        if last - first > _COPIES_MAX:
            return None
        copied.update(range(first, last + 1))
    layout = Layout(extents, bits, tuple(sorted(copied)))
    few = len(copied) <= _COPIES_MAX and len(copied) * chunk <= _COPIED_MAX
    return layout if few and layout.chunks * _UNIT <= _INDEX_MAX else None


def _cost(layout: Layout) -> int:
    return layout.chunks * _UNIT + len(layout.copied) * layout.chunk


def _index(layout: Layout, devices: Mapping[BlobId, int], copies: int) -> bytes:
    """Eight bytes for each chunk: 16 bits 0, 16 bits device, 32 bits its first block there."""
    per_chunk = layout.chunk // BLOCK
    step = per_chunk << 32
    index = array("Q", (_HOLE,)) * layout.chunks
    for extent in layout.extents.extents:
        if isinstance(extent.source, Literal):
            continue
        first, last = -(-extent.offset // layout.chunk), extent.end // layout.chunk
        if first < last and not (extent.offset - extent.source_offset) % BLOCK:
            block = (extent.source_offset + first * layout.chunk - extent.offset) // BLOCK
            start = block << 32 | devices[extent.source] << 16
            for low in range(first, last, _AT_ONCE):
                high, begin = min(low + _AT_ONCE, last), start + step * (low - first)
                index[low:high] = array("Q", range(begin, begin + step * (high - low), step))
    for place, number in enumerate(layout.copied):
        index[number] = (copies + place * per_chunk) << 32
    if sys.byteorder == "big":
        index.byteswap()
    return index.tobytes()


def _super_block(blocks: int, meta: int, devices: int) -> bytes:
    bits = BLOCK.bit_length() - 1
    head = struct.pack("<IIIBBHQQIIII", _MAGIC, 0, 0, bits, 0, 0, 2, 0, 0, blocks, meta, 0)
    features = struct.pack("<IHHH", _CHUNKED | _DEVICE_TABLE, 0, devices, (_SUPER_AT + _SUPER) // _SLOT)
    return (head + bytes(32) + features).ljust(_SUPER, b"\0")


def _directory() -> bytes:
    names = sorted(((b".", 0, _DIRECTORY_TYPE), (b"..", 0, _DIRECTORY_TYPE), (NAME.encode(), 2, _FILE_TYPE)))
    entries, at = b"", 12 * len(names)
    for name, inode, kind in names:
        entries += struct.pack("<QHBB", inode, at, kind, 0)
        at += len(name)
    return (entries + b"".join(name for name, _, _ in names)).ljust(BLOCK, b"\0")


def _blocks(length: int) -> int:
    return -(-length // BLOCK)
