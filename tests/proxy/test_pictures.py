"""What becomes of pictures: deinterlaced, over black, mapped, at the right levels."""

from array import array
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.video.reformatter import Interpolation, VideoReformatter

from filmfs.core.errors import BadMedia
from filmfs.proxy.fitting import Fitter, Size
from filmfs.proxy.native import shrink_plane
from filmfs.proxy.originals import Colours, Picture, examine
from filmfs.proxy.recipes import EDITORIAL, PREVIEW
from filmfs.proxy.sources import OnDisk
from filmfs.proxy.tonemapping import HLG, PQ, mapped
from tests.proxy.making import proxies
from tests.proxy.numbered import Numbered


def test_fields_of_two_moments_become_one_of_them(tmp_path: Path) -> None:
    """Between two fields an edge moves: woven together they are a comb."""
    path = tmp_path / "fields.mov"
    _moving_fields(path)
    picture = examine(OnDisk(str(path)).open).picture
    assert picture is not None
    assert picture.is_interlaced
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    fitted = [each[0] for each in Fitter(picture, [Size(320, 240, "gray")]).fitted(iter(frames))]
    assert len(fitted) == len(frames)
    assert _combs(frames[5].reformat(format="gray")) > 20
    assert _combs(fitted[5]) == 0


_KINDS = ["yuv444p10le", "yuv422p", "yuv422p10le", "yuv422p12le", "gbrp", "gbrp10le", "rgb24"]


@pytest.mark.skipif(shrink_plane is None, reason="there is no extension")
@pytest.mark.parametrize("pixels", _KINDS)
@pytest.mark.parametrize("halvings", [(1, 2), (2,), (2, 3)])
def test_chroma_lies_in_proxies_where_it_lay_in_the_film(pixels: str, halvings: tuple[int, ...]) -> None:
    frame = _redder_to_the_right(pixels)
    is_rgb, width, height = frame.format.is_rgb, frame.width, frame.height
    one, colours = array("q", [0]), Colours(matrix=0 if is_rgb else 1, is_full=is_rgb)
    film = Picture(
        0, "", pixels, width, height, None, Fraction(24), True, Fraction(1), one, one, 1, colours, False, False
    )
    sizes = [Size(width >> each, height >> each, "yuv422p" if each == 1 else "yuv420p") for each in halvings]
    grey = av.VideoFrame(width, height, "gray")
    _, made = Fitter(film, sizes).fitted(iter([grey, frame]))
    start, whole = (128, 224 / 2) if is_rgb else (0, 256)  # red alone has half of Cr's range
    for number, each in zip(halvings, made, strict=True):
        reds = bytes(each.planes[2])[: each.planes[2].width]
        columns = [(2 * x + 0.5) * 2**number - 0.5 for x in range(len(reds))]  # of the film, which are left ones of two
        beside = [(red - start) * width / whole - column for red, column in zip(reds, columns, strict=True)]
        assert abs(sum(beside[1:-1]) / len(beside[1:-1])) < 0.15 * 2**number


@pytest.mark.parametrize("pixels", ["rgb24", "gbrp10le", "gbrp12le", "gbrp16le"])
@pytest.mark.parametrize("target", ["yuv422p", "yuv422p10le", "yuv422p12le", "yuv422p16le", "yuv444p10le"])
def test_colours_lose_no_more_bits_than_a_proxy_has(pixels: str, target: str) -> None:
    frame = _redder_to_the_right(pixels)
    one, colours = array("q", [0]), Colours(matrix=0, is_full=True)
    film = Picture(0, "", pixels, 64, 32, None, Fraction(24), True, Fraction(1), one, one, 1, colours, False, False)
    ((made,),) = Fitter(film, [Size(32, 16, target)]).fitted(iter([frame]))
    other = VideoReformatter().reformat(
        frame, 32, 16, target, None, 1, Interpolation.AREA, src_color_range=2, dst_color_range=1
    )
    size = 1 if target == "yuv422p" else 2
    lumas = [bytes(each.planes[0])[: 32 * size] for each in (made, other)]
    pairs = zip(*(array("H" if size == 2 else "B", luma) for luma in lumas), strict=True)
    assert max(abs(a - b) for a, b in pairs) <= 1


def _redder_to_the_right(pixels: str) -> "av.VideoFrame":
    """A picture whose Cr grows with its columns, from none to all."""
    frame = av.VideoFrame(64, 32, pixels)
    bits, samples = max(each.bits for each in frame.format.components), 3 if pixels == "rgb24" else 1
    for number, plane in enumerate(frame.planes):
        values = [x * (frame.width // plane.width) * (1 << bits) // frame.width for x in range(plane.width)]
        is_red = number == 2 or pixels == "rgb24"
        points = [value if is_red and not sample else 0 for value in values for sample in range(samples)]
        row = b"".join(point.to_bytes(2 if bits > 8 else 1, "little") for point in points)
        plane.update((row.ljust(plane.line_size, b"\0") * plane.height)[: plane.buffer_size])
    return frame


@pytest.mark.parametrize(
    ("pixels", "codec", "is_full"),
    [("yuvj422p", "mjpeg", True), ("yuv422p10le", "prores_aw", False), ("rgb24", "qtrle", False)],
)
def test_levels_are_limited_whatever_they_were(pixels: str, codec: str, is_full: bool, tmp_path: Path) -> None:
    path = tmp_path / "grey.mov"
    _grey(path, pixels, codec, 235, is_full=is_full)
    for rendition in proxies(path, tmp_path).renditions:
        with av.open(rendition.path) as container:
            frame = next(container.decode(video=0))
            assert frame.color_range == 1
            deep = 4 if "10" in frame.format.name else 1
            assert abs(_middle(frame) / deep - (16 + 235 * 219 / 255)) < 2.5


def test_what_is_not_there_is_black(tmp_path: Path) -> None:
    path = tmp_path / "alpha.mov"
    _grey(path, "yuva444p10le", "prores_ks", 200, alpha=128, options={"profile": "4444"})
    for rendition in proxies(path, tmp_path).renditions:
        with av.open(rendition.path) as container:
            frame = next(container.decode(video=0))
            deep = 4 if "10" in frame.format.name else 1
            assert abs(_middle(frame) / deep - (16 + 200 * 128 / 255 * 219 / 255)) < 3


def test_reference_white_becomes_white_and_black_stays_black() -> None:
    for transfer, white in ((PQ, 0.58), (HLG, 0.75)):  # 203 cd/m², BT.2408
        assert mapped((0.0, 0.0, 0.0), transfer) == (0.0, 0.0, 0.0)
        assert max(mapped((1.0, 1.0, 1.0), transfer)) == pytest.approx(1.0, abs=0.01)
        levels = [mapped((value / 40,) * 3, transfer)[1] for value in range(41)]
        assert all(after > before - 1e-9 for before, after in pairwise(levels))
        assert 0.75 < mapped((white,) * 3, transfer)[1] < 0.95


def test_grey_stays_grey_and_saturated_colours_keep_their_hue() -> None:
    for transfer in (PQ, HLG):
        for value in (0.2, 0.4, 0.6, 0.8):
            red, green, blue = mapped((value,) * 3, transfer)
            assert max(red, green, blue) - min(red, green, blue) < 0.005
        red, green, blue = mapped((0.6, 0.2, 0.2), transfer)
        assert red > green >= 0


def test_hdr_is_tagged_as_what_it_is_now(tmp_path: Path) -> None:
    film = Numbered(".mp4", "libx265", "yuv420p10le", colours=(9, 16, 9), tracks=(), frames=5,
                    options={"x265-params": "log-level=error"})  # fmt: skip
    for rendition in proxies(film.write(tmp_path / "pq"), tmp_path).renditions:
        with av.open(rendition.path) as container:
            frame = next(container.decode(video=0))
            assert (frame.color_primaries, frame.color_trc, frame.colorspace) == (1, 1, 1)


def _moving_fields(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ilme+ildct", "b": "30M"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv422p"
        for number in range(12):
            frame = av.VideoFrame(320, 240, "gray")
            rows = []
            for line in range(240):
                edge = 40 + 12 * (2 * number + line % 2)
                rows.append(bytes([200] * edge + [40] * (320 - edge))[:320])
            frame.planes[0].update(b"".join(rows))
            made = frame.reformat(format="yuv422p")
            made.pts, made.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))


def _combs(frame: "av.VideoFrame") -> int:
    """Places where a line is unlike both of its neighbours."""
    plane = frame.planes[0]
    rows = [bytes(plane)[line * plane.line_size : line * plane.line_size + 320] for line in range(240)]
    return sum(
        abs(rows[line][x] - rows[line - 1][x]) > 60 and abs(rows[line][x] - rows[line + 1][x]) > 60
        for line in range(60, 180)
        for x in range(0, 320, 2)
    )


def _grey(
    path: Path, pixels: str, codec: str, level: int, *, is_full: bool = False, alpha: int = 255,
    options: dict[str, str] | None = None,
) -> None:  # fmt: skip
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 640, 360, pixels
        stream.codec_context.color_range = 2 if is_full else 1
        if pixels.startswith("yuv"):
            context = stream.codec_context
            context.color_primaries = context.color_trc = context.colorspace = 1
        source = av.VideoFrame(640, 360, "rgba")
        source.planes[0].update(bytes((level, level, level, alpha)) * (640 * 360))
        frame = source.reformat(format=pixels, dst_colorspace=1, dst_color_range=2 if is_full else 1)
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _middle(frame: "av.VideoFrame") -> float:
    plane = frame.planes[0]
    data = memoryview(plane)
    at = plane.height // 2 * plane.line_size + (plane.line_size // 4) // 2 * 2
    return float(data[at] | data[at + 1] << 8) if "10" in frame.format.name else float(data[at])


@pytest.mark.parametrize("colours", [(5, 6, 5), (6, 6, 6), (9, 1, 9)])
def test_an_editorial_proxy_says_the_matrix_of_its_numbers(colours: tuple[int, int, int], tmp_path: Path) -> None:
    film = Numbered(".mp4", "libx264", "yuv420p", frames=3, size=(1280, 720), colours=colours)
    path = film.write(tmp_path / "original")
    (made,) = proxies(path, tmp_path, (EDITORIAL,)).renditions
    with av.open(made.path) as container:
        frame = next(container.decode(video=0))
        same = {5: 6}  # two numbers for one matrix, of which ProRes has one
        assert (frame.colorspace, frame.color_primaries) == (same.get(colours[2], colours[2]), colours[0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"picture": "nosuch"}, "nosuch cannot make pictures"),
        ({"picture": "aac"}, "is no encoder of pictures"),
        ({"pixels": "nosuch"}, "in nosuch"),
        ({"picture_options": (("preset", "nosuch"),)}, "with preset=nosuch"),
        ({"picture_options": (("preset", "medium"), ("bf", "3"))}, "B-frames"),
        ({"picture": "prores_ks", "pixels": "yuv422p10le", "picture_options": ()}, "cannot be written"),
        ({"sound": "nosuch", "deep_sound": "nosuch"}, "nosuch cannot make sound"),
        ({"sound": "libx264", "deep_sound": "libx264"}, "is no encoder of sound"),
    ],
)
def test_a_recipe_that_cannot_be_is_told_in_a_sentence(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = Numbered(frames=30).write(tmp_path / "original")
    with pytest.raises(BadMedia, match=said):
        proxies(path, tmp_path, (replace(PREVIEW, **changed),))
