"""Key, length and value (SMPTE ST 336) as MXF files are made of them (ST 377-1): finding, reading and writing.

A key is a universal label of 16 bytes, a length is in BER, and a *local set* is a value of items, each with a tag and a
length of two bytes. Nothing is believed: what leaves the file or the set is refused, and there is a limit to how many
are looked at.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource

MANY = 200_000  # of anything that is looked at one by one
_LABEL = bytes.fromhex("060e2b34")
_VERSION = 7  # the byte of a label that tells the version of its registry, and means nothing here
_PACK = bytes.fromhex("060e2b34020501000d01020101")
_SET = bytes.fromhex("060e2b34025301000d01010101")
_FILL = bytes.fromhex("060e2b3401010100030102100100")
_ESSENCE = bytes.fromhex("060e2b34010201000d010301"), bytes.fromhex("060e2b34010201000e040301")  # SMPTE's, Avid's
_SYSTEM = bytes.fromhex("0d010301")
HEADER, BODY, FOOTER, PRIMER, RANDOM_INDEX = 2, 3, 4, 5, 0x11  # kinds of packs
INDEX_SEGMENT = bytes.fromhex("060e2b34025301010d01020101100100")
FILL = bytes.fromhex("060e2b34010101020301021001000000")
FILL_LEAST = 20  # bytes of a fill item with a length of four
_SHORT = 0x80


@dataclass(frozen=True, slots=True)
class Klv:
    """A key, and where its value lies; `start` is where the key does."""

    key: bytes
    start: int
    value: int
    length: int

    @property
    def end(self) -> int:
        """The first offset past it."""
        return self.value + self.length

    @property
    def pack(self) -> int:
        """HEADER, BODY, FOOTER, PRIMER, RANDOM_INDEX; 0 where it is no pack of a file's structure."""
        return self.key[13] if _plain(self.key)[:13] == _PACK else 0

    @property
    def is_fill(self) -> bool:
        """Whether it only takes up room (ST 377-1, 6.3.3)."""
        return _plain(self.key)[:14] == _FILL

    @property
    def is_index(self) -> bool:
        """Whether it is an index table segment."""
        return _plain(self.key) == _plain(INDEX_SEGMENT)

    @property
    def is_element(self) -> bool:
        """Whether it is picture, sound or data (ST 379-1)."""
        return _plain(self.key)[:12] in _ESSENCE

    @property
    def is_essence(self) -> bool:
        """The same, or a system item that goes before them."""
        return self.is_element or (self.key[8:12] == _SYSTEM and self.key[12] in (0x04, 0x14))

    @property
    def item(self) -> int:
        """What an element is of: see `is_picture` and `is_sound`."""
        return self.key[12] & 0x0F

    @property
    def is_picture(self) -> bool:
        """Whether it is an element with a picture (0x05 of SDTI-CP, 0x15 of the generic container, 0x18 of DV)."""
        return self.is_element and self.item in (5, 8)

    @property
    def is_sound(self) -> bool:
        """Whether it is an element with sound (0x06, 0x16)."""
        return self.is_element and self.item == 6

    @property
    def number(self) -> int:
        """The track number of an element."""
        return int.from_bytes(self.key[12:16], "big")


def _plain(key: bytes) -> bytes:
    return key[:_VERSION] + b"\0" + key[_VERSION + 1 :]


def pack_key(kind: int, status: int) -> bytes:
    """The key of a pack of a file's structure."""
    return _PACK[:_VERSION] + b"\1" + _PACK[_VERSION + 1 :] + bytes((kind, status, 0))


def set_kind(key: bytes) -> int:
    """Which set of the structural metadata a key is of (ST 377-1, annex A); 0 for others."""
    return key[13] << 8 | key[14] if _plain(key)[:13] == _SET else 0


def klv_at(source: ByteSource, start: int, *, may_be_cut: bool = False) -> Klv:
    """The one that begins at `start`. Raises BadMedia when there is none, or the file ends within it."""
    size = source.size
    header = source.read(start, min(25, size - start)) if 0 <= start <= size - 17 else b""
    if header[:4] != _LABEL:
        raise BadMedia(f"there is no key and length at {start}")
    key, value, length = read_header(header, start)
    if value + length > size:
        if not may_be_cut or value > size:
            raise BadMedia(f"what begins at {start} goes past the end of the file")
        length = size - value
    return Klv(key, start, value, length)


def read_header(header: bytes, start: int) -> tuple[bytes, int, int]:
    """(key, where the value begins, how long it is) of bytes that lie at `start`. Raises BadMedia."""
    first = header[16]
    width = first & 0x7F if first & _SHORT else 0
    if width > 8 or (first & _SHORT and not width) or len(header) < 17 + width:
        raise BadMedia(f"the length at {start + 16} cannot be read")
    length = int.from_bytes(header[17 : 17 + width], "big") if width else first
    return header[:16], start + 17 + width, length


def klvs_in(source: ByteSource, start: int, end: int) -> Iterator[Klv]:
    """All in a stretch of a file, in order; the last may be cut off by the file's end. Raises BadMedia."""
    for _ in range(MANY):
        if start >= end or source.size - start < 17:
            return
        found = klv_at(source, start, may_be_cut=True)
        yield found
        start = found.end
    raise BadMedia("the file has more keys and lengths in one place than any film needs")


def items_of(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """The items of a local set in data[start:end]: tag to (where its value is, its length). Raises BadMedia."""
    items = {}
    while end - start >= 4:
        tag, length = struct.unpack_from(">HH", data, start)
        start += 4
        if length > end - start:
            raise BadMedia(f"the item {tag:04x} of a set goes past its end")
        items[tag] = start, length
        start += length
    return items


def batch(data: bytes, width: int) -> list[bytes]:
    """The items of an array or batch: count, length of each, and they. Raises BadMedia."""
    if len(data) < 8:
        return []
    count, each = struct.unpack_from(">II", data)
    if each != width or count * each > len(data) - 8:
        raise BadMedia(f"a list of {count} items of {each} bytes is not what it says")
    return [data[8 + width * number : 8 + width * (number + 1)] for number in range(count)]


def write_klv(key: bytes, value: bytes, *, width: int = 3) -> bytes:
    """A key, a length of `width` bytes after the first, and a value."""
    return write_header(key, len(value), width=width) + value


def write_header(key: bytes, length: int, *, width: int = 3) -> bytes:
    """A key and a length."""
    return key + bytes((_SHORT | width,)) + length.to_bytes(width, "big")


def write_fill(size: int) -> bytes:
    """A fill item of so many bytes altogether: none, or FILL_LEAST and more."""
    return write_klv(FILL, bytes(size - FILL_LEAST)) if size else b""


def write_item(tag: int, value: bytes) -> bytes:
    """An item of a local set."""
    return struct.pack(">HH", tag, len(value)) + value
