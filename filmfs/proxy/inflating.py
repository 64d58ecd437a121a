"""OpenEXR pictures of halves, compressed by ZIP or not at all: to the bit what FFmpeg makes of them, in half the time.

Nine tenths of FFmpeg's time is zlib's; libdeflate inflates 2.5 times as fast. FFmpeg shows a picture with a chunk that
is damaged as if nothing were; here it is said, also of floats, which are left to FFmpeg then, as other kinds are.

A chunk (OpenEXR's ImfZip.cpp): all bytes at even places, then all at odd ones; each less the one before it, plus 128;
then zlib's. Where that is not shorter it is kept as it was.
"""

import sys

import av
from deflate import DeflateError, zlib_decompress

from filmfs.core.errors import BadMedia
from filmfs.media.openexr import Chunk, Lines
from filmfs.proxy.native import add_up, take_lines

_PIXELS = "gbrpf16le"
_OF_PLANES = (1, 2, 0)  # green, blue, red


def can_take() -> bool:
    """Whether there is the extension."""
    return take_lines is not None and sys.byteorder == "little"


def picture(data: bytes, lines: Lines) -> "av.VideoFrame":
    """The colours of a file whose lines have offsets. Raises BadMedia where a chunk is damaged."""
    assert add_up is not None
    assert take_lines is not None
    assert lines.offsets is not None
    frame, whole = av.VideoFrame(lines.width, lines.height, _PIXELS), memoryview(data)
    targets = [(plane, plane.line_size, lines.offsets[of]) for plane, of in zip(frame.planes, _OF_PLANES, strict=True)]
    for chunk in lines.chunks:
        rows = lines.rows_of(chunk)
        size = rows * lines.row_bytes
        is_packed = chunk.end - chunk.start < size
        raw = _inflated(whole, chunk, size) if is_packed else whole[chunk.start : chunk.end]
        if is_packed:
            add_up(raw)
        for plane, stride, offset in targets:
            take_lines(raw, lines.row_bytes, offset, is_packed, plane, stride, lines.width, chunk.first, rows)
    return frame


def check(data: bytes, lines: Lines) -> None:
    """Raises BadMedia where a chunk is damaged; of those that are not compressed nothing can be known."""
    whole = memoryview(data)
    for chunk in lines.chunks:
        size = lines.rows_of(chunk) * lines.row_bytes
        if chunk.end - chunk.start < size:
            _inflated(whole, chunk, size)


def _inflated(whole: memoryview, chunk: Chunk, size: int) -> bytearray:
    try:
        raw = zlib_decompress(whole[chunk.start : chunk.end], size)
    except DeflateError:
        raw = bytearray()
    if len(raw) != size:
        raise BadMedia(f"is damaged from line {chunk.first} on")
    return raw
