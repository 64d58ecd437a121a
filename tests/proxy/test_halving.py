"""Pictures that are made smaller by filmfs itself: like libswscale's, wherever they are."""

import random

import av
import pytest
from av.video.reformatter import Interpolation, VideoReformatter

from filmfs.proxy.halving import halved
from filmfs.proxy.native import shrink_plane

pytestmark = pytest.mark.skipif(shrink_plane is None, reason="there is no extension")

_DITHER = 1  # where there are fewer bits after it libswscale adds some, and rounds otherwise


def _noise(width: int, height: int, pixels: str, seed: int = 1) -> "av.VideoFrame":
    """A picture in which each point is any that its bits can say, black and white in a part of it."""
    frame, chance = av.VideoFrame(width, height, pixels), random.Random(seed)
    bits = frame.format.components[0].bits
    for plane in frame.planes:
        values = [chance.choice((chance.randrange(1 << bits), 0, (1 << bits) - 1)) for _ in range(plane.buffer_size)]
        wide = b"".join(value.to_bytes(2, "little") for value in values[: plane.buffer_size // 2])
        plane.update(bytes(values) if bits == 8 else wide)
    return frame


def _points(frame: "av.VideoFrame") -> list[list[int]]:
    size = 1 if frame.format.components[0].bits == 8 else 2
    planes = []
    for plane in frame.planes:
        data, row = bytes(plane), plane.width * size
        rows = (data[at : at + row] for at in range(0, plane.line_size * plane.height, plane.line_size))
        planes.append([int.from_bytes(each[at : at + size], "little") for each in rows for at in range(0, row, size)])
    return planes


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv422p10le", "yuv422p12le", "yuv444p", "yuv444p10le"])
@pytest.mark.parametrize("target", ["yuv422p", "yuv420p", "yuv422p10le"])
@pytest.mark.parametrize(("width", "height", "factor"), [(64, 32, 2), (1928, 8, 2), (72, 40, 2), (48, 48, 4)])
def test_they_are_what_libswscale_makes(pixels: str, target: str, width: int, height: int, factor: int) -> None:
    frame = _noise(width, height, pixels)
    size = width // factor, height // factor
    made = halved(frame, *size, target)
    has_more_bits = target == "yuv422p10le" and pixels in ("yuv422p", "yuv444p")
    is_eighth_of_chroma = factor == 4 and pixels[:7] != target[:7]
    assert (made is None) == (has_more_bits or is_eighth_of_chroma)
    if made is None:
        return
    other = VideoReformatter().reformat(frame, *size, target, interpolation=Interpolation.AREA)
    for mine, theirs in zip(_points(made), _points(other), strict=True):
        assert len(mine) == len(theirs)
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= _DITHER
        assert abs(sum(mine) - sum(theirs)) / len(mine) < 0.6


def test_they_keep_what_the_numbers_mean() -> None:
    frame = _noise(32, 16, "yuv422p10le")
    frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = 9, 14, 9, 1
    made = halved(frame, 16, 8, "yuv422p")
    assert made is not None
    assert (made.color_primaries, made.color_trc, made.colorspace, made.color_range) == (9, 14, 9, 1)


@pytest.mark.parametrize(
    ("pixels", "size", "target"),
    [
        ("yuv422p", (15, 8), "yuv422p"),  # no whole factor
        ("yuv422p", (4, 2), "yuv422p"),  # an eighth
        ("yuv420p", (16, 8), "yuv420p"),  # chroma between the points
        ("gbrp", (16, 8), "gbrp"),
        ("rgb24", (16, 8), "rgb24"),
        ("yuv422p10be", (16, 8), "yuv422p"),
        ("yuva444p", (16, 8), "yuv422p"),
    ],
)
def test_other_pictures_are_left_to_libswscale(pixels: str, size: tuple[int, int], target: str) -> None:
    assert halved(av.VideoFrame(32, 16, pixels), *size, target) is None


@pytest.mark.parametrize(
    "asked",
    [
        (64, 32, 8, 8, 16, 16, 2, 2),  # as many as there are
        (64, 32, 8, 8, 16, 17, 2, 2),
        (64, 32, 8, 8, 33, 16, 2, 2),
        (64, 64, 8, 8, 16, 16, 3, 2),
        (64, 32, 8, 10, 16, 16, 2, 2),
        (64, 32, 14, 8, 16, 16, 2, 2),
        (0, 32, 8, 8, 16, 16, 2, 2),
        (-64, 32, 8, 8, 16, 16, 2, 2),
        (64, 32, 8, 8, 0, 16, 2, 2),
        (64, 32, 8, 8, 16, -1, 2, 2),
        (64, 32, 8, 8, 1 << 40, 1 << 40, 2, 2),
    ],
)
def test_nothing_outside_the_planes_is_touched(asked: tuple[int, ...]) -> None:
    assert shrink_plane is not None
    source_stride, stride, source_bits, bits, *size = asked
    source, target = bytes(64 * 32), bytearray(b"\xff" * 32 * 16)
    if size == [16, 16, 2, 2] and (source_stride, stride, source_bits, bits) == (64, 32, 8, 8):
        shrink_plane(source, source_stride, source_bits, target, stride, bits, *size)  # type: ignore[arg-type]
        assert all(target[32 * row : 32 * row + 32] == bytes(16) + b"\xff" * 16 for row in range(16))
        return
    with pytest.raises(ValueError, match="planes"):
        shrink_plane(source, source_stride, source_bits, target, stride, bits, *size)  # type: ignore[arg-type]
    assert set(target) == {0xFF}
