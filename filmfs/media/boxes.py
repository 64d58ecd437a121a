"""Boxes (atoms) of QuickTime and ISO base media files (ISO/IEC 14496-12, 4.2): finding and writing them.

A box is 32 bits of size, a four-character kind and a body; size 1 says that 64 bits of size follow, size 0 that it goes
to the end. Nothing is believed: a box that leaves its parent is refused, and there is a limit to how many are looked
at.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource

_HEADER = struct.Struct(">I4s")
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""One of which a QuickTime file or its kind begins with."""
MANY = 200_000  # boxes of one parent; two hours in fragments of a second have 14,400


class Box(NamedTuple):
    """A box by its places: of its header, of its body and of its end."""

    kind: bytes
    start: int
    body: int
    end: int

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return self.end - self.body


def boxes_of(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes in data[start:end], in order. Raises BadMedia.

    Fewer than eight bytes after the last one are left alone: QuickTime ends some lists by four zeros.
    """
    end = len(data) if end is None else end
    for _ in range(MANY):
        if end - start < 8:
            return
        size, kind = _HEADER.unpack_from(data, start)
        if 8 <= size <= end - start:
            yield Box(kind, start, start + 8, start + size)
            start += size
        else:
            box = _box_at(data[start : start + 16], start, end)
            yield box
            start = box.end
    raise BadMedia("a box has more boxes in it than any film needs")


def find(data: bytes, path: str, start: int = 0, end: int | None = None) -> Box | None:
    """The first box at a path such as `trak/mdia/mdhd` in data[start:end]. Raises BadMedia."""
    first, _, rest = path.partition("/")
    kind = first.encode("latin-1")
    for box in boxes_of(data, start, end):
        if box.kind == kind:
            return find(data, rest, box.body, box.end) if rest else box
    return None


def boxes_in_file(source: ByteSource) -> Iterator[Box]:
    """The boxes of a whole file, by their headers; one that the file's end cuts off ends there. Raises BadMedia."""
    start, size = 0, source.size
    for _ in range(MANY):
        if size - start < 8:
            return
        box = _box_at(source.read(start, min(16, size - start)), start, size, may_be_cut=True)
        yield box
        start = box.end
    raise BadMedia("the file has more boxes than any film needs")


def _box_at(header: bytes, start: int, limit: int, *, may_be_cut: bool = False) -> Box:
    size, kind = _HEADER.unpack_from(header)
    body = start + 8
    if size == 1:
        if len(header) < 16:
            raise BadMedia(f"the box {shown(kind)} at {start} is cut off")
        (size,) = struct.unpack_from(">Q", header, 8)
        body = start + 16
    elif size == 0:
        size = limit - start
    if size < body - start:
        raise BadMedia(f"the box {shown(kind)} at {start} says that it has {size} bytes")
    end = start + size
    if end > limit:
        if not may_be_cut:
            raise BadMedia(f"the box {shown(kind)} at {start} goes past what it is in")
        end = limit
    return Box(kind, start, body, end)


def shown(kind: bytes) -> str:
    """A four-character code for a person."""
    return repr(kind.decode("latin-1"))


def write_box(kind: bytes, *parts: bytes) -> bytes:
    """A box with the parts as its body. Raises BadMedia when that is longer than 32 bits can say."""
    size = 8 + sum(map(len, parts))
    if size >= 1 << 32:
        raise BadMedia(f"the box {shown(kind)} would be longer than 4 GiB")
    return b"".join((struct.pack(">I4s", size, kind), *parts))


def write_full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box whose body begins with a version and flags."""
    return write_box(kind, struct.pack(">I", version << 24 | flags), *parts)
