"""Pictures at a half or a quarter of their size, each point the mean of those in its place.

That is what libswscale's area filter makes of them as well, where the sizes are such. Where chroma lies in a film it
is asked, as a picture knows that, and PyAV does not say it; where players look for it, there it is put.
"""

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from itertools import product

import av
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter

from filmfs.proxy.native import shrink_plane

_PLAIN = "yuv420p", "yuv422p", "yuv444p", "gbrp"
_FACTORS = (1, 2, 4)
_BITS = range(8, 13)
_BETWEEN, _LEFT, _LEFT_AFTER = range(3)  # as shrink_plane has it
_FACTORS_OF_LEFT = {_LEFT: (2,), _LEFT_AFTER: (2, 4)}
_ARE_LEFT = "yuv422p", "yuv444p"
_PROBE, _STEP, _AT = (128, 64), 4, 10


class Chroma(Enum):
    """Where points of chroma lie among those of luma, across; where there are as many yet, where they are to lie.

    Down, where there are fewer, they lie between two rows.
    """

    MIDDLE = "between two columns"
    LEFT = "in the left one of two columns"
    ELSEWHERE = "otherwise, or in other rows"


def chroma_of(frame: "av.VideoFrame") -> Chroma:
    """How libswscale takes chroma of a picture to lie: by what it makes of points that say where they were.

    Where nobody says it, of 4:2:2 and 4:4:4, left: so have BT.601, BT.709 and BT.2020 it, and with them SMPTE RDD 36
    (ProRes) and ST 2019-1 (DNxHR). JPEG's lie between.
    """
    if frame.format.is_rgb:
        return Chroma.LEFT
    if not _is_plain(frame.format):
        return Chroma.MIDDLE
    width, height = _PROBE if (frame.width, frame.height) != _PROBE else (2 * _PROBE[0], 2 * _PROBE[1])
    probe = VideoReformatter().reformat(frame, width, height)  # it says what the picture says
    bits = frame.format.components[0].bits
    _, across, down = probe.planes
    across.update(_ramp(across, bits, lambda x, _: x))
    down.update(_ramp(down, bits, lambda _, y: y))
    pixels = frame.format.name.replace("420p", "422p").replace("444p", "422p")
    made = VideoReformatter().reformat(probe, width // 2, height // 2, pixels, interpolation=Interpolation.AREA)
    columns, rows = across.width // made.planes[1].width, down.height // made.planes[2].height
    right = _value(made.planes[1], bits, _AT, 0) - columns * _AT
    below = _value(made.planes[2], bits, 0, _AT) - rows * _AT
    if below != (rows - 1) / 2:
        return Chroma.ELSEWHERE
    if right == (columns - 1) / 2:
        return Chroma.LEFT if frame.format.name.startswith(_ARE_LEFT) else Chroma.MIDDLE
    return Chroma.LEFT if (columns, right) in ((2, 0.25), (4, 0.5)) else Chroma.ELSEWHERE


def _ramp(plane: VideoPlane, bits: int, of: Callable[[int, int], int]) -> bytes:
    """Points that are as many times a step as `of` says for their places."""
    size = 1 if bits == 8 else 2
    places = product(range(plane.height), range(plane.line_size // size))
    return b"".join((of(x, y) % 64 * _STEP << bits - 8).to_bytes(size, "little") for y, x in places)


def _value(plane: VideoPlane, bits: int, x: int, y: int) -> float:
    """How many steps a point is."""
    size = 1 if bits == 8 else 2
    at = y * plane.line_size + x * size
    return int.from_bytes(bytes(plane)[at : at + size], "little") / (_STEP << bits - 8)


def halved(
    frame: "av.VideoFrame", width: int, height: int, pixels: str, chroma: Chroma = Chroma.MIDDLE
) -> "av.VideoFrame | None":
    """A picture at another size and in other pixels, with the same levels and matrix; None if it is not so easy."""
    if shrink_plane is None:
        return None
    way = _way(frame.format.name, frame.width, frame.height, width, height, pixels, chroma)
    if way is None or any(plane.line_size < 0 for plane in frame.planes):
        return None
    for step in way:
        frame = _shrunk(frame, *step)
    return frame


_Steps = tuple[tuple[int, int, int, int, int], ...]


@lru_cache(64)
def _way(
    source: str, source_width: int, source_height: int, width: int, height: int, target: str, chroma: Chroma
) -> tuple[tuple[int, int, str, _Steps], ...] | None:
    """Sizes and pixels that a picture goes through to others, and how: what is not done at once may be by halves."""
    steps = _steps(source, source_width, source_height, width, height, target, chroma)
    if steps is not None:
        return ((width, height, target, steps),)
    times = source_width // width
    if times not in (2, 4) or (source_width, source_height) != (times * width, times * height):
        return None
    between = times // 2 * width, times // 2 * height
    first = _steps(source, source_width, source_height, *between, source, chroma)
    rest = _way(source, *between, width, height, target, chroma)
    return ((*between, source, first), *rest) if first is not None and rest is not None else None


def _shrunk(frame: "av.VideoFrame", width: int, height: int, pixels: str, steps: _Steps) -> "av.VideoFrame":
    assert shrink_plane is not None
    made = av.VideoFrame(width, height, pixels)
    for source, target, (from_bits, to_bits, across, down, place) in zip(frame.planes, made.planes, steps, strict=True):
        shrink_plane(
            *(source, source.line_size, from_bits, target, target.line_size, to_bits),
            *(target.width, target.height, across, down, place),
        )
    made.colorspace, made.color_range = frame.colorspace, frame.color_range
    made.color_primaries, made.color_trc = frame.color_primaries, frame.color_trc
    return made


def _steps(
    source: str, source_width: int, source_height: int, width: int, height: int, target: str, chroma: Chroma
) -> _Steps | None:
    """Of each plane: bits before and after, of how many points across and down each is made, where they lie."""
    before, after = av.VideoFormat(source, source_width, source_height), av.VideoFormat(target, width, height)
    if not (_is_plain(before) and _is_plain(after)) or before.is_rgb != after.is_rgb or chroma is Chroma.ELSEWHERE:
        return None
    steps = []
    for one, other in zip(before.components, after.components, strict=True):
        across, down = one.width // other.width, one.height // other.height
        is_even = (other.width * across, other.height * down) == (one.width, one.height)
        if not (is_even and across in _FACTORS and down in _FACTORS and other.bits <= one.bits):
            return None
        place = _BETWEEN
        was_less, is_less = one.width < source_width, other.width < width
        if chroma is Chroma.LEFT and (was_less or is_less) and not (was_less and is_less and across == 1):
            place = _LEFT if was_less else _LEFT_AFTER
            if not is_less or across not in _FACTORS_OF_LEFT[place]:
                return None
            if was_less and down > 2 and one.bits == _BITS[-1]:  # its sums have more than 16 bits
                return None
        steps.append((one.bits, other.bits, across, down, place))
    return tuple(steps)


def _is_plain(pixels: "av.VideoFormat") -> bool:
    """Luma and chroma, or colours, in planes of their own, in bytes or in two, the lower first."""
    name = pixels.name.replace("yuvj", "yuv")
    bits = {component.bits for component in pixels.components}
    return (
        name.startswith(_PLAIN)
        and len(bits) == 1
        and all(each in _BITS for each in bits)
        and name.removeprefix(next(each for each in _PLAIN if name.startswith(each)))
        == ("" if bits == {8} else f"{max(bits)}le")
    )
