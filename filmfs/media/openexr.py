"""OpenEXR files by their headers ("OpenEXR File Layout"): attributes, channels, where the lines of the picture are.

magic, version and flags
for each part its attributes (name, type, size, value), and a zero; one zero more where there may be several parts
for each part where its chunks begin (64 bits each, in no order; 0 where the chunk was never written)
chunks: with several parts the part's number; line or tile; length; data
data of lines: for each line, for each channel in the header's order, its numbers; compressed where that is shorter
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

MAGIC = b"\x76\x2f\x31\x01"
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_NAME_MAX, _ATTRIBUTES_MAX, _PARTS_MAX, _CHANNELS_MAX = 256, 10_000, 1000, 10_000
_CHANNEL = 16  # bytes after its name
_LINES = {0: 1, 2: 1, 3: 16}  # of a chunk, by how it is compressed: not at all, ZIPS, ZIP
_BYTES = {0: 4, 1: 2, 2: 4}  # of a number: unsigned, half, float
_HALF = 1
_SIDE_MAX, _POINTS_MAX, _ROW_MAX = 1 << 16, 1 << 28, 1 << 24
_SHAPE_MAX = 255  # as FFmpeg has it


@dataclass(frozen=True, slots=True)
class Header:
    """The channels of each part by their names (`R`, `left.R`), and where the header ends.

    `chromaticities` of each part are x and y of red, green, blue and white; none where it does not say so.
    """

    channels: tuple[tuple[str, ...], ...]
    flags: int
    end: int
    chromaticities: tuple[tuple[float, ...], ...] = ()

    def find_colours(self) -> tuple[int, str] | None:
        """The first part and layer of it ('' where its channels have none) with R, G and B, or else Y alone."""
        for wanted in ({"R", "G", "B"}, {"Y"}):
            for part, names in enumerate(self.channels):
                for layer in sorted(dict.fromkeys(name.rpartition(".")[0] for name in names), key=bool):
                    if wanted <= {name.rpartition(".")[2] for name in names if name.rpartition(".")[0] == layer}:
                        return part, layer
        return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines from `first` on (0 is the uppermost), and where their data is in the file."""

    first: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Lines:
    """A picture in chunks of `rows` lines; the last may have fewer.

    `offsets` say where in a line red, green and blue begin, where these are halves and all of the picture is there;
    `shape` is that of a pixel, None where it is not said.
    """

    width: int
    height: int
    rows: int
    row_bytes: int
    offsets: tuple[int, int, int] | None
    chunks: tuple[Chunk, ...]
    shape: Fraction | None

    def rows_of(self, chunk: Chunk) -> int:
        """How many lines a chunk has."""
        return min(self.rows, self.height - chunk.first)


def attribute_at(data: bytes, at: int) -> tuple[bytes, bytes, int, int] | None:
    """(name, type, where the value begins, where it ends); None at the end of a header."""
    name_end = data.find(b"\0", at, at + _NAME_MAX)
    kind_end = data.find(b"\0", name_end + 1, name_end + 1 + _NAME_MAX) if name_end > at else -1
    start = kind_end + 5
    if kind_end < 0 or start > len(data):
        return None
    (size,) = struct.unpack_from("<i", data, kind_end + 1)
    if size < 0 or start + size > len(data):
        return None
    return data[at:name_end], data[name_end + 1 : kind_end], start, start + size


def read_header(data: bytes) -> Header | None:
    """None where there is none that ends."""
    if not data.startswith(MAGIC) or len(data) < 8:
        return None
    (flags,) = struct.unpack_from("<I", data, 4)
    parts, chromaticities, at = [], [], 8
    for _ in range(_PARTS_MAX if flags & _PARTS else 1):
        channels: tuple[str, ...] = ()
        said: tuple[float, ...] = ()
        for _ in range(_ATTRIBUTES_MAX):
            attribute = attribute_at(data, at)
            if attribute is None:
                break
            name, kind, start, at = attribute
            if (name, kind) == (b"channels", b"chlist"):
                channels = tuple(_channels(data[start:at]))
            if (name, kind, at - start) == (b"chromaticities", b"chromaticities", 32):
                said = struct.unpack_from("<8f", data, start)
        if data[at : at + 1] != b"\0":
            return None
        parts.append(channels)
        chromaticities.append(said)
        at += 1
        if flags & _PARTS and data[at : at + 1] == b"\0":
            at += 1
            break
    return Header(tuple(parts), flags, at, tuple(chromaticities))


def is_whole(data: bytes, header: Header) -> bool:
    """Whether each chunk was written and lies inside the file; what is in it is not looked at."""
    head = (4 if header.flags & _PARTS else 0) + (20 if header.flags & _TILED else 8)
    has_lengths = not header.flags & (_PARTS | _DEEP)
    at, chunks = header.end, len(data)  # where the first chunk begins, the table ends
    while at + 8 <= chunks:
        (begins,) = struct.unpack_from("<Q", data, at)
        if not header.end < begins <= len(data) - head:
            return False
        if has_lengths and begins + head + struct.unpack_from("<I", data, begins + head - 4)[0] > len(data):
            return False
        chunks = min(chunks, begins)
        at += 8
    return at > header.end


def find_lines(data: bytes, header: Header, layer: str = "") -> Lines | None:
    """Where the lines of a layer's colours are; None where the file is of another kind.

    Of this kind are files of one part, without tiles, compressed by ZIP, ZIPS or not, where every channel has each
    point; and each line must be in one chunk that lies in the file.
    """
    if header.flags & (_PARTS | _TILED | _DEEP):
        return None
    said = dict(_attributes(data))
    try:
        left, top, right, bottom = struct.unpack("<4i", said[b"dataWindow"])
        (shape,) = struct.unpack("<f", said.get(b"pixelAspectRatio", bytes(4)))
        rows = _LINES[said[b"compression"][0]]
        width, height = right - left + 1, bottom - top + 1
        row_bytes, offsets = _halves(said[b"channels"], layer, width)
    except (struct.error, KeyError, IndexError, _Other):
        return None
    is_sane = 0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX and width * height <= _POINTS_MAX
    if not is_sane or row_bytes > _ROW_MAX:
        return None
    if said.get(b"displayWindow") != said[b"dataWindow"]:
        offsets = None
    chunks = _chunks(data, header.end, top, height, rows)
    return None if chunks is None else Lines(width, height, rows, row_bytes, offsets, chunks, _shape(shape))


class _Other(Exception):
    """A file is of another kind."""


def _halves(channels: bytes, layer: str, width: int) -> tuple[int, tuple[int, int, int] | None]:
    """How many bytes a line has, and where red, green and blue begin in it. Raises KeyError and _Other."""
    at, begins = 0, {}
    for name, kind, across, down in _numbers(channels):
        if (across, down) != (1, 1):
            raise _Other
        begins[name] = kind, at
        at += _BYTES[kind] * width
    before = f"{layer}." if layer else ""
    red, green, blue = (begins.get(before + name, (None, 0)) for name in "RGB")
    return at, (red[1], green[1], blue[1]) if {red[0], green[0], blue[0]} == {_HALF} else None


def _chunks(data: bytes, at: int, top: int, height: int, rows: int) -> tuple[Chunk, ...] | None:
    """Those of a table that begins somewhere, by their lines; None unless each is there once."""
    count = -(-height // rows)
    if at + 8 * count > len(data):
        return None
    chunks = []
    for begins in struct.unpack_from(f"<{count}Q", data, at):
        if not at + 8 * count <= begins <= len(data) - 8:
            return None
        line, size = struct.unpack_from("<2i", data, begins)
        if size < 0 or begins + 8 + size > len(data):
            return None
        chunks.append(Chunk(line - top, begins + 8, begins + 8 + size))
    chunks.sort(key=lambda chunk: chunk.first)
    return tuple(chunks) if [chunk.first for chunk in chunks] == list(range(0, height, rows)) else None


def _shape(said: float) -> Fraction | None:
    return Fraction(said).limit_denominator(_SHAPE_MAX) or None if isfinite(said) and 0 < said <= _SHAPE_MAX else None


def _attributes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Those of the first part: their names and values."""
    at = 8
    for _ in range(_ATTRIBUTES_MAX):
        attribute = attribute_at(data, at)
        if attribute is None:
            return
        name, _, start, at = attribute
        yield name, data[start:at]


def _channels(value: bytes) -> Iterator[str]:
    return (name for name, *_ in _numbers(value))


def _numbers(value: bytes) -> Iterator[tuple[str, int, int, int]]:
    """Channels: the name, the kind of number, and of how many points across and down each has one."""
    at = 0
    for _ in range(_CHANNELS_MAX):
        end = value.find(b"\0", at, at + _NAME_MAX)
        if end <= at:
            return
        name = value[at:end].decode("utf-8", "replace")
        at = end + 1 + _CHANNEL
        kind, _, across, down = struct.unpack_from("<4i", value.ljust(at, b"\0"), end + 1)
        yield name, kind, across, down
