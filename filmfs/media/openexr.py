"""OpenEXR files by their headers ("OpenEXR File Layout"): attributes, channels, whether all of the picture is there.

magic, version and flags
for each part its attributes (name, type, size, value), and a zero; one zero more where there may be several parts
for each part where its chunks begin (64 bits each, in no order; 0 where the chunk was never written)
chunks: with several parts the part's number; line or tile; length; data
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\x76\x2f\x31\x01"
_TILED, _DEEP, _PARTS = 0x200, 0x800, 0x1000
_NAME_MAX, _ATTRIBUTES_MAX, _PARTS_MAX, _CHANNELS_MAX = 256, 10_000, 1000, 10_000
_CHANNEL = 16  # bytes after its name


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


def _channels(value: bytes) -> Iterator[str]:
    at = 0
    for _ in range(_CHANNELS_MAX):
        end = value.find(b"\0", at, at + _NAME_MAX)
        if end <= at:
            return
        yield value[at:end].decode("utf-8", "replace")
        at = end + 1 + _CHANNEL
