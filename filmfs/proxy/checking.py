"""Whether a rendition is what it should be, before anybody sees it.

All its packets are counted and their times compared; pictures here and there are decoded, made very small, and compared
with the original's at the same places: each must be like its own, and no more like the one before or after.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.video.reformatter import Interpolation

from filmfs.core.errors import BadMedia
from filmfs.media.demuxing import demuxed

WIDTH, HEIGHT = 32, 18
_DIFFERENT = 10  # on average, of 255: nothing that a codec does
_NEARER = 1  # so much more like a neighbour than like its own

Signature = tuple[int, ...]
"""Luma of a picture at 32 × 18."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a rendition must be. Times are in `unit` seconds; `signatures` of the original's pictures by number."""

    times: tuple[tuple[int, int], ...] = ()
    unit: Fraction = Fraction(1)
    signatures: Mapping[int, Signature] = field(default_factory=dict)
    checked: tuple[int, ...] = ()  # the others are their neighbours
    sounds: int = 0


def signature(small: "av.VideoFrame") -> Signature:
    """Of a picture of that size, as YUV."""
    plane = small.planes[0]
    rows = bytes(plane)
    return tuple(rows[row * plane.line_size + column] for row in range(HEIGHT) for column in range(WIDTH))


def difference(one: Signature, other: Signature) -> float:
    """How much two pictures differ on average, of 255, whatever their brightness as a whole."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def check(path: str, wanted: Wanted) -> None:
    """Raises BadMedia with what is wrong."""
    try:
        with av.open(path) as container:
            if len(container.streams.audio) != wanted.sounds:
                raise BadMedia(f"it has {len(container.streams.audio)} sound tracks, and not {wanted.sounds}")
            if wanted.times:
                _check_times(container, wanted)
        if wanted.checked:
            _check_pictures(path, wanted)
    except av.FFmpegError as error:
        raise BadMedia(f"it cannot be read back: {error.strerror or error}") from None


def _check_times(container: "av.container.InputContainer", wanted: Wanted) -> None:
    stream = container.streams.video[0]
    base = Fraction(stream.time_base or 1)
    times = [packet.pts for packet in demuxed(container, stream) if packet.size]
    if len(times) != len(wanted.times):
        raise BadMedia(f"it has {len(times)} pictures, and not {len(wanted.times)}")
    for number, (is_, (should, _)) in enumerate(zip(times, wanted.times, strict=True)):
        if is_ is None or is_ * base != should * wanted.unit:
            shown = None if is_ is None else is_ * base
            raise BadMedia(f"picture {number} is shown at {shown} s, and not at {should * wanted.unit}")


def _check_pictures(path: str, wanted: Wanted) -> None:
    with av.open(path) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base or 1)
        for number in wanted.checked:
            time = int(wanted.times[number][0] * wanted.unit / base)
            container.seek(time, stream=stream)
            frame = next((each for each in container.decode(stream) if each.pts is not None and each.pts >= time), None)
            if frame is None or frame.pts != time:
                raise BadMedia(f"picture {number} cannot be decoded")
            if frame.width < WIDTH or frame.height < HEIGHT:
                continue  # there is too little in it to tell one from another
            small = frame.reformat(WIDTH, HEIGHT, "yuv444p", interpolation=Interpolation.AREA)
            _compare(number, signature(small), wanted.signatures)


def _compare(number: int, made: Signature, signatures: Mapping[int, Signature]) -> None:
    own = difference(made, signatures[number])
    if own > _DIFFERENT:
        raise BadMedia(f"picture {number} is not the original's: it differs by {own:.0f} of 255")
    for other in (number - 1, number + 1):
        if other in signatures and difference(made, signatures[other]) < own - _NEARER:
            raise BadMedia(f"picture {number} is more like the original's {other}")
