"""Points of pictures looked up in tables that formulas say.

A formula is one of FFmpeg's expressions, as its filter `lutyuv` takes them: `val` is the number in the picture. The
tables are that filter's own, which is five times slower itself.
"""

import sys
from array import array
from functools import lru_cache

import av

from filmfs.proxy.fitting import Chain
from filmfs.proxy.native import look_up_plane

_ROW = 256
_ORDER = sys.byteorder[0]
_PLANES = {9: "gbrp9", 10: "gbrp10", 12: "gbrp12", 14: "gbrp14", 16: "gbrp16"}


def can_look_up(frame: "av.VideoFrame") -> bool:
    """Whether `looked_up` takes it: each colour in a plane of its own, or one plane of grey, of more than 8 bits."""
    parts = frame.format.components
    is_apart = frame.format.is_rgb and len({part.plane for part in parts}) == len(parts)
    return (
        look_up_plane is not None
        and (is_apart or len(parts) == 1)
        and parts[0].bits in _PLANES
        and frame.format.is_big_endian == (sys.byteorder == "big")
        and all(plane.line_size > 0 for plane in frame.planes)
    )


def looked_up(frame: "av.VideoFrame", formula: str) -> "av.VideoFrame":
    """R, G and B, each looked up (of one plane: the same for all)."""
    bits = frame.format.components[0].bits
    made = av.VideoFrame(frame.width, frame.height, f"{_PLANES[bits]}{_ORDER}e")
    sources = list(frame.planes[:3]) if len(frame.planes) >= 3 else [frame.planes[0]] * 3
    table = _table(formula, bits)
    assert look_up_plane is not None
    for source, target in zip(sources, made.planes, strict=True):
        look_up_plane(source, source.line_size, target, target.line_size, target.width, target.height, table)
    return made


def filters_of(frame: "av.VideoFrame", formula: str) -> list[tuple[str, str]]:
    """The same by FFmpeg's filters."""
    bits = frame.format.components[0].bits
    if frame.format.is_rgb and len(frame.planes) == 1:
        return [("lutrgb", f"r='{formula}':g='{formula}':b='{formula}'")]
    # Of planes only those of YUV may hold the largest number. Merged they are called so, whatever they were.
    depth = str(bits) if bits > 8 else ""
    planes = (0, 1, 2) if len(frame.planes) >= 3 else (0, 0, 0)
    return [
        ("mergeplanes", _planes(*planes) + f":format=yuv444p{depth}"),
        ("lutyuv", f"y='{formula}':u='{formula}':v='{formula}'"),
        ("mergeplanes", _planes(0, 1, 2) + f":format=gbrp{depth}"),
    ]


def _planes(*numbers: int) -> str:
    return ":".join(f"map{at}s=0:map{at}p={number}" for at, number in enumerate(numbers))


@lru_cache(8)
def _table(formula: str, bits: int) -> bytes:
    """What `lutyuv` makes of every number of so many bits."""
    count = 1 << bits
    width = min(count, _ROW)
    ramp = av.VideoFrame(width, count // width, f"yuv444p{bits}{_ORDER}e")
    rows = [array("H", range(first, first + width)).tobytes() for first in range(0, count, width)]
    for plane in ramp.planes:
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows).ljust(plane.buffer_size, b"\0"))
    ramp.color_range = 2
    (made,) = Chain(ramp, [("lutyuv", f"y='{formula}':u=val:v=val")]).through(ramp)
    plane, data = made.planes[0], bytes(made.planes[0])
    return b"".join(data[at : at + 2 * width] for at in range(0, plane.line_size * plane.height, plane.line_size))
