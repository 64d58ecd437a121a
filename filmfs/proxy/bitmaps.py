"""Pictures for JPEG files as plain bytes: turned, put side by side, encoded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from filmfs.core.errors import BadMedia, Corrupt

_PIXELS = "yuvj420p"
_BLACK = (0, 128, 128)
_FULL = 2
_QUALITY = 3  # of FFmpeg's scale, where 2 is the best and 31 the worst
_LAMBDA = 118  # FF_QP2LAMBDA

Matrix = tuple[int, ...]
"""A display matrix: nine numbers (ISO 14496-12, tkhd)."""


@dataclass(frozen=True, slots=True)
class Bitmap:
    """Planes of YUV 4:2:0 without padding, in the levels of JPEG files (JFIF): full range, the matrix of BT.601.

    Both sides are even.
    """

    width: int
    height: int
    planes: tuple[bytes, bytes, bytes]

    @classmethod
    def of_frame(cls, frame: "av.VideoFrame") -> "Bitmap":
        """Of a frame of such planes and levels."""
        rows = [_unpadded(plane, plane.width) for plane in frame.planes]
        return cls(frame.width, frame.height, (rows[0], rows[1], rows[2]))

    @classmethod
    def of_bytes(cls, width: int, height: int, data: bytes) -> "Bitmap":
        """Of what `to_bytes` gave. Raises Corrupt."""
        if len(data) != length(width, height):
            raise Corrupt("what a worker kept of a picture was cut off")
        luma, chroma = width * height, width * height // 4
        return cls(width, height, (data[:luma], data[luma : luma + chroma], data[luma + chroma :]))

    def to_bytes(self) -> bytes:
        """The planes one after another."""
        return b"".join(self.planes)

    def upright(self, matrix: Matrix | None) -> "Bitmap":
        """As a display matrix says that it is shown: by quarters of a turn, the nearest to what it says, and flips."""
        if matrix is None:
            return self
        width, height = upright_size(self.width, self.height, matrix)
        a, b, _, c, d, *_ = matrix
        right_to_left, bottom_up = (c < 0, b < 0) if is_on_its_side(matrix) else (a < 0, d < 0)

        def turned(plane: bytes, stride: int) -> bytes:
            rows = [plane[at : at + stride] for at in range(0, len(plane), stride)]
            if is_on_its_side(matrix):
                rows = [plane[column::stride] for column in range(stride)]
            if right_to_left:
                rows = [row[::-1] for row in rows]
            return b"".join(reversed(rows) if bottom_up else rows)

        return Bitmap(width, height, self._mapped(turned))

    def _mapped(self, change: Callable[[bytes, int], bytes]) -> tuple[bytes, bytes, bytes]:
        luma, blue, red = self.planes
        return change(luma, self.width), change(blue, self.width // 2), change(red, self.width // 2)


def length(width: int, height: int) -> int:
    """How many bytes a bitmap has."""
    return width * height * 3 // 2


def is_on_its_side(matrix: Matrix | None) -> bool:
    """Whether what is shown is as wide as the picture is high."""
    return matrix is not None and abs(matrix[1]) > abs(matrix[0])


def upright_size(width: int, height: int, matrix: Matrix | None) -> tuple[int, int]:
    """The size of what is shown of a picture of a size; and the picture's, of what is shown."""
    return (height, width) if is_on_its_side(matrix) else (width, height)


def sheet(tiles: Sequence[Bitmap], columns: int, rows: int) -> Bitmap:
    """Bitmaps of one size side by side, row after row; what is left over is black."""
    width, height = tiles[0].width, tiles[0].height
    planes = []
    for plane, black in enumerate(_BLACK):
        across, down = (width, height) if plane == 0 else (width // 2, height // 2)
        made = bytearray()
        for first in range(0, columns * rows, columns):
            beside = [tile.planes[plane] for tile in tiles[first : first + columns]]
            empty = bytes([black]) * (across * (columns - len(beside)))
            for at in range(0, across * down, across):
                made += b"".join(each[at : at + across] for each in beside) + empty
        planes.append(bytes(made))
    return Bitmap(width * columns, height * rows, (planes[0], planes[1], planes[2]))


def jpeg(bitmap: Bitmap) -> bytes:
    """The file. Raises BadMedia where it would be larger than a JPEG can be."""
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = bitmap.width, bitmap.height, _PIXELS
    context.color_range, context.time_base = _FULL, Fraction(1, 25)
    context.sample_aspect_ratio = Fraction(1)
    context.thread_count = 1
    context.options = {"flags": "+qscale+bitexact", "global_quality": str(_QUALITY * _LAMBDA)}
    frame = av.VideoFrame(bitmap.width, bitmap.height, _PIXELS)
    frame.color_range = _FULL
    for plane, data in zip(frame.planes, bitmap.planes, strict=True):
        plane.update(_padded(data, plane))
    frame.pts = 0
    try:
        return b"".join(bytes(packet) for each in (frame, None) for packet in context.encode(each))
    except av.FFmpegError as error:
        raise BadMedia(f"a JPEG of {bitmap.width}×{bitmap.height} cannot be made: {error.strerror}") from None


def _unpadded(plane: "av.video.plane.VideoPlane", width: int) -> bytes:
    data, step = bytes(plane), plane.line_size
    return b"".join(data[row * step : row * step + width] for row in range(plane.height))


def _padded(data: bytes, plane: "av.video.plane.VideoPlane") -> bytes:
    width, step = plane.width, plane.line_size
    rows = (data[at : at + width].ljust(step, b"\0") for at in range(0, len(data), width))
    return b"".join(rows).ljust(plane.buffer_size, b"\0")
