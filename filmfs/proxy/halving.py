"""Pictures at a half or a quarter of their size, each point the mean of those in its place.

That is what libswscale's area filter makes of them as well, where the sizes are such. Chroma of 4:2:0 it is left to: it
knows where these points lie between those of luma.
"""

from functools import lru_cache

import av

from filmfs.proxy.native import shrink_plane

_FACTORS = (1, 2, 4)
_BITS = range(8, 13)


def halved(frame: "av.VideoFrame", width: int, height: int, pixels: str) -> "av.VideoFrame | None":
    """A picture at another size and in other pixels, with the same levels and matrix; None if it is not so easy."""
    if shrink_plane is None:
        return None
    steps = _steps(frame.format.name, frame.width, frame.height, width, height, pixels)
    if steps is None:
        return None
    made = av.VideoFrame(width, height, pixels)
    for source, target, (from_bits, to_bits, across, down) in zip(frame.planes, made.planes, steps, strict=True):
        if source.line_size < 0:
            return None
        shrink_plane(
            *(source, source.line_size, from_bits, target, target.line_size, to_bits),
            *(target.width, target.height, across, down),
        )
    made.colorspace, made.color_range = frame.colorspace, frame.color_range
    made.color_primaries, made.color_trc = frame.color_primaries, frame.color_trc
    return made


@lru_cache(64)
def _steps(
    source: str, source_width: int, source_height: int, width: int, height: int, target: str
) -> tuple[tuple[int, int, int, int], ...] | None:
    """Of each plane: bits before and after, and of how many points across and down each is made."""
    before, after = av.VideoFormat(source, source_width, source_height), av.VideoFormat(target, width, height)
    if not (_is_plain(before) and _is_plain(after)) or source.startswith("yuv420p"):
        return None
    steps = []
    for one, other in zip(before.components, after.components, strict=True):
        across, down = one.width // other.width, one.height // other.height
        is_even = (other.width * across, other.height * down) == (one.width, one.height)
        if not (is_even and across in _FACTORS and down in _FACTORS and other.bits <= one.bits):
            return None
        steps.append((one.bits, other.bits, across, down))
    return tuple(steps)


def _is_plain(pixels: "av.VideoFormat") -> bool:
    """Luma and chroma in planes of their own, in bytes or in two, the lower first."""
    name = pixels.name
    bits = {component.bits for component in pixels.components}
    return (
        name.startswith(("yuv420p", "yuv422p", "yuv444p"))
        and len(bits) == 1
        and all(each in _BITS for each in bits)
        and name.removeprefix(name[:7]) == ("" if bits == {8} else f"{max(bits)}le")
    )
