"""Pictures that are made smaller by filmfs itself: like libswscale's, wherever they are."""

import random
from fractions import Fraction

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import Interpolation, VideoReformatter

from filmfs.proxy.halving import Chroma, chroma_of, halved
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


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv422p12le", "yuv444p", "yuv444p10le"]
)
@pytest.mark.parametrize("target", ["yuv422p", "yuv420p", "yuv422p10le"])
@pytest.mark.parametrize(("width", "height", "factor"), [(64, 32, 2), (1928, 8, 2), (72, 40, 2), (48, 48, 4)])
def test_they_are_what_libswscale_makes(pixels: str, target: str, width: int, height: int, factor: int) -> None:
    frame = _noise(width, height, pixels)
    size = width // factor, height // factor
    made = halved(frame, *size, target)
    has_more_bits = target == "yuv422p10le" and pixels in ("yuv420p", "yuv422p", "yuv444p")
    is_in_two_steps = factor == 4 and pixels[:7] > target[:7]
    assert (made is None) == has_more_bits
    if made is None:
        return
    other = VideoReformatter().reformat(frame, *size, target, interpolation=Interpolation.AREA)
    for mine, theirs in zip(_points(made), _points(other), strict=True):
        assert len(mine) == len(theirs)
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= _DITHER + is_in_two_steps
        assert abs(sum(mine) - sum(theirs)) / len(mine) < 0.6


_PLACES = [Chroma.LEFT, Chroma.MIDDLE, *4 * [Chroma.ELSEWHERE]]  # of 4:2:0, by H.264's numbers


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p"])
@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("size", [(96, 48), (128, 64)])
def test_chroma_is_where_a_film_says_that_it_is(pixels: str, place: int, size: tuple[int, int]) -> None:
    frame = _placed(pixels, place, size)
    chroma = chroma_of(frame)
    assert chroma is {"0": _PLACES[place], "2": Chroma.LEFT, "4": Chroma.LEFT}[pixels[5]]
    for target in ("yuv422p", "yuv420p"):
        made = halved(frame, size[0] // 2, size[1] // 2, target, chroma)
        assert (made is None) == (chroma is Chroma.ELSEWHERE)
        if made is None:
            continue
        area = Interpolation.AREA
        other = VideoReformatter().reformat(frame, size[0] // 2, size[1] // 2, target, interpolation=area)
        for mine, theirs in zip(_points(made), _points(other), strict=True):
            assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= _DITHER


@pytest.mark.parametrize("place", range(6))
def test_chroma_of_the_full_range_is_where_a_film_says_that_it_is(place: int) -> None:
    frame = _placed("yuv420p", place, (96, 48), is_full=True)
    assert frame.format.name == "yuvj420p"
    assert chroma_of(frame) is _PLACES[place]


@pytest.mark.parametrize(
    ("pixels", "chroma"),
    [
        ("yuv422p", Chroma.LEFT),
        ("yuv422p10le", Chroma.LEFT),
        ("yuvj422p", Chroma.MIDDLE),
        ("yuv444p12le", Chroma.LEFT),
        ("yuvj444p", Chroma.MIDDLE),
        ("gbrp", Chroma.LEFT),
        ("nv12", Chroma.MIDDLE),
    ],
)
def test_where_nobody_says_it_chroma_lies_left_but_that_of_jpeg(pixels: str, chroma: Chroma) -> None:
    assert chroma_of(_noise(96, 48, pixels)) is chroma


def _placed(pixels: str, place: int, size: tuple[int, int], *, is_full: bool = False) -> "av.VideoFrame":
    """A picture of a film that says where its chroma lies, by H.264's number."""
    encoder, decoder = av.CodecContext.create("libx264", "w"), av.CodecContext.create("h264", "r")
    assert isinstance(encoder, VideoCodecContext)
    assert isinstance(decoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *size, pixels, Fraction(1, 24)
    encoder.options = {"qp": "1", "preset": "ultrafast", "x264-params": f"chromaloc={place}"}
    encoder.color_range = 2 if is_full else 1
    (packet,) = [*encoder.encode(_noise(*size, pixels)), *encoder.encode(None)]
    (frame,) = [*decoder.decode(packet), *decoder.decode(None)]
    return frame


@pytest.mark.parametrize("chroma", [Chroma.LEFT, Chroma.MIDDLE])
def test_chroma_of_the_largest_numbers_does_not_flow_over(chroma: Chroma) -> None:
    frame = av.VideoFrame(32, 16, "yuv422p12le")
    for plane in frame.planes:
        plane.update(b"\xff\x0f" * (plane.buffer_size // 2))
    for pixels, most in (("yuv422p12le", 0xFFF), ("yuv422p10le", 0x3FF), ("yuv422p", 0xFF)):
        made = halved(frame, 16, 8, pixels, chroma)
        assert made is not None
        assert {point for plane in _points(made) for point in plane} == {most}


@pytest.mark.parametrize("pixels", ["gbrp", "gbrp10le", "gbrp12le"])
@pytest.mark.parametrize("factor", [2, 4])
def test_colours_are_what_libswscale_makes(pixels: str, factor: int) -> None:
    frame = _noise(96, 48, pixels)
    made = halved(frame, 96 // factor, 48 // factor, pixels)
    assert made is not None
    other = VideoReformatter().reformat(frame, 96 // factor, 48 // factor, pixels, interpolation=Interpolation.AREA)
    for mine, theirs in zip(_points(made), _points(other), strict=True):
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= 2


@pytest.mark.parametrize("target", ["yuv422p", "yuv420p"])
def test_chroma_of_444_is_put_left_at_the_same_size(target: str) -> None:
    frame = _placed("yuv444p", 0, (96, 48))
    made = halved(frame, 96, 48, target, Chroma.LEFT)
    assert made is not None
    other = VideoReformatter().reformat(frame, 96, 48, target, interpolation=Interpolation.AREA)
    for mine, theirs in zip(_points(made), _points(other), strict=True):
        assert max(abs(a - b) for a, b in zip(mine, theirs, strict=True)) <= _DITHER


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
        ("gbrp", (16, 8), "yuv444p"),
        ("gbrpf32le", (16, 8), "gbrpf32le"),
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
        (64, 32, 8, 8, 16, 16, 2, 2, 0),  # as many as there are
        (64, 32, 8, 8, 16, 17, 2, 2, 0),
        (64, 32, 8, 8, 33, 16, 2, 2, 0),
        (64, 64, 8, 8, 16, 16, 3, 2, 0),
        (64, 32, 8, 10, 16, 16, 2, 2, 0),
        (64, 32, 14, 8, 16, 16, 2, 2, 0),
        (0, 32, 8, 8, 16, 16, 2, 2, 0),
        (-64, 32, 8, 8, 16, 16, 2, 2, 0),
        (64, 32, 8, 8, 0, 16, 2, 2, 0),
        (64, 32, 8, 8, 16, -1, 2, 2, 0),
        (64, 32, 8, 8, 1 << 40, 1 << 40, 2, 2, 0),
        (64, 32, 8, 8, 16, 16, 1, 2, 1),
        (64, 32, 12, 8, 8, 8, 2, 4, 1),
        (64, 32, 8, 8, 33, 16, 2, 2, 1),
        (64, 32, 8, 8, 16, 16, 1, 2, 2),
        (64, 32, 8, 8, 17, 16, 4, 2, 2),
        (64, 32, 8, 8, 16, 16, 2, 2, 3),
    ],
)
def test_nothing_outside_the_planes_is_touched(asked: tuple[int, ...]) -> None:
    assert shrink_plane is not None
    source_stride, stride, source_bits, bits, *size = asked
    source, target = bytes(64 * 32), bytearray(b"\xff" * 32 * 16)
    if size == [16, 16, 2, 2, 0] and (source_stride, stride, source_bits, bits) == (64, 32, 8, 8):
        shrink_plane(source, source_stride, source_bits, target, stride, bits, *size)  # type: ignore[arg-type]
        assert all(target[32 * row : 32 * row + 32] == bytes(16) + b"\xff" * 16 for row in range(16))
        return
    with pytest.raises(ValueError, match="planes"):
        shrink_plane(source, source_stride, source_bits, target, stride, bits, *size)  # type: ignore[arg-type]
    assert set(target) == {0xFF}
