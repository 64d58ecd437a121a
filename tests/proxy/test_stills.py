"""Stills: a poster and a filmstrip that show the pictures they tell of, upright and at the right levels."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from filmfs.core.errors import Corrupt
from filmfs.proxy.bitmaps import Bitmap, jpeg, sheet
from filmfs.proxy.executors import Executor, InThisProcess, Local
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, THUMBNAIL
from filmfs.proxy.stills import Still, StillKind, choose_poster, grid, pictures_at, poster_size
from tests.proxy.making import proxies
from tests.proxy.numbered import Numbered, number_in, seen

FILM = Numbered(".mp4", "libx264", "yuv420p", tracks=(), size=(1280, 720), rate=Fraction(25), frames=250,
                options={"preset": "ultrafast"}, group=33)  # fmt: skip
SMALL = replace(FILM, size=(320, 180), frames=30)
UNEVEN = tuple(number * 3000 + (40_000 if number >= 20 else 0) for number in range(60))
RED = (235, 20, 20)


def test_poster_and_filmstrip_show_the_pictures_that_they_tell_of(tmp_path: Path) -> None:
    poster, strip = _stills(FILM, tmp_path)
    assert poster.size == (640, 360)
    assert poster.frames == (25,)
    assert (strip.columns, strip.rows, strip.tile) == (10, 1, (160, 90))
    assert strip.frames == (12, 37, 62, 87, 112, 137, 162, 187, 212, 237)
    _assert_shown(poster, strip)


def test_what_several_workers_make_is_what_one_makes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    alone = _stills(FILM, tmp_path / "one")
    with Local(3) as workers:
        together = _stills(FILM, tmp_path / "many", workers)
    for one, other in zip(alone, together, strict=True):
        assert (one.size, one.frames) == (other.size, other.frames)
        assert Path(one.path).read_bytes() == Path(other.path).read_bytes()


def test_a_film_of_one_frame_has_a_poster_and_a_tile(tmp_path: Path) -> None:
    poster, strip = _stills(replace(SMALL, frames=1, first=77), tmp_path)
    assert (poster.frames, strip.frames) == ((0,), (0,))
    assert (strip.columns, strip.rows) == (1, 1)
    assert [number_in(_picture(still)) for still in (poster, strip)] == [77, 77]


def test_tiles_are_evenly_spread_in_time_where_frames_are_not(tmp_path: Path) -> None:
    """Two thirds of a second, the last picture of it for nearly half a second more, then the rest."""
    film = replace(SMALL, frames=60, times=UNEVEN, unit=Fraction(1, 90_000), rate=Fraction(30), timecode=None)
    poster, strip = _stills(film, tmp_path)
    assert strip.frames == (18, 41)  # at 0.61 and 1.83 of 2.44 s
    _assert_shown(poster, strip)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_stills_are_upright(angle: int, tmp_path: Path) -> None:
    """A picture that is white in its upper left quarter, shown turned against the clock."""
    path = tmp_path / "turned.mp4"
    _quartered(path, angle)
    white = {90: (0, 1), 180: (1, 1), 270: (1, 0)}[angle]
    for still in proxies(path, tmp_path, (THUMBNAIL,)).renditions[0].stills:
        assert still.tile == {"poster": (320, 180), "filmstrip": (40, 22)}[still.kind][:: 1 if angle == 180 else -1]
        frame = _picture(still)
        assert (frame.width, frame.height) == still.size
        for x in (0, 1):
            for y in (0, 1):
                level = _luma(frame, (1 + 2 * x) * frame.width // 4, (1 + 2 * y) * frame.height // 4)
                assert level == pytest.approx(255 if (x, y) == white else 0, abs=6)


def test_points_are_square(tmp_path: Path) -> None:
    film = replace(SMALL, size=(720, 576), shape=Fraction(64, 45))
    poster, strip = _stills(film, tmp_path)
    assert (poster.size, strip.tile) == ((512, 288), (128, 72))
    _assert_shown(poster, strip)


@pytest.mark.parametrize(
    ("pixels", "codec", "is_full"),
    [("yuvj422p", "mjpeg", True), ("yuv422p10le", "prores_aw", False), ("yuv420p", "libx264", False),
     ("rgb24", "qtrle", False)],
)  # fmt: skip
@pytest.mark.parametrize("colour", [(0, 0, 0), (128, 128, 128), (255, 255, 255), RED])
def test_colours_are_those_of_the_film(
    colour: tuple[int, int, int], pixels: str, codec: str, is_full: bool, tmp_path: Path
) -> None:
    path = tmp_path / "plain.mov"
    _plain(path, pixels, codec, [colour], is_full=is_full)
    for still in proxies(path, tmp_path, (THUMBNAIL,)).renditions[0].stills:
        frame = _picture(still)
        assert frame.color_range == 2
        luma = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
        assert _luma(frame, frame.width // 2, frame.height // 2) == pytest.approx(luma, abs=3)
        assert _rgb(frame) == pytest.approx(colour, abs=6)


def test_a_poster_is_not_dark_where_the_film_is_not(tmp_path: Path) -> None:
    path = tmp_path / "fades.mov"
    black, grey = (0, 0, 0), (128, 128, 128)
    _plain(path, "yuv422p10le", "prores_aw", [black] * 20 + [grey] * 30)
    poster, _ = proxies(path, tmp_path, (THUMBNAIL,)).renditions[0].stills
    assert poster.frames == (25,)


def test_stills_are_the_same_whatever_else_is_made(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    alone = _stills(SMALL, tmp_path)
    path = SMALL.write(tmp_path / "all" / "film")
    thumbnail, *others = proxies(path, tmp_path / "all", (THUMBNAIL, PREVIEW, EDITORIAL)).renditions
    for one, other in zip(alone, thumbnail.stills, strict=True):
        assert Path(one.path).read_bytes() == Path(other.path).read_bytes()
    assert [rendition.stills for rendition in others] == [(), ()]


def test_a_run_that_is_cut_off_goes_on(tmp_path: Path) -> None:
    poster, strip = _stills(SMALL, tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    Path(strip.path).unlink()
    assert proxies(tmp_path / "film.mp4", tmp_path, (THUMBNAIL,)).renditions[0].stills == (poster, strip)
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    assert {name.partition(".")[2] for name in before if before[name] != after[name]} == {
        "json", "poster.jpg", "filmstrip.jpg"
    }  # fmt: skip


def test_tiles_are_one_a_second_and_a_hundred_at_most() -> None:
    assert [grid(count) for count in (1, 9, 10, 11, 99, 100)] == [(1, 1), (9, 1), (10, 1), (10, 2), (10, 10), (10, 10)]


def test_pictures_are_found_by_when_they_are_shown() -> None:
    times = [(0, 10), (10, 80), (90, 5), (95, 5)]
    halves = [Fraction(number, 20) for number in range(1, 20, 2)]
    assert pictures_at(times, halves) == (0, 1, 3)
    assert pictures_at([(5, 0)], halves) == (0,)


def test_posters_are_a_quarter_unless_that_is_small() -> None:
    sizes = [(3840, 2160), (1920, 1080), (1080, 1920), (1280, 720), (720, 576), (640, 360), (64, 36)]
    assert [poster_size(*size) for size in sizes] == [
        (960, 540), (480, 270), (270, 480), (640, 360), (360, 288), (640, 360), (64, 36)
    ]  # fmt: skip


def test_the_earliest_picture_that_is_light_and_whole_becomes_the_poster() -> None:
    assert choose_poster({10: 16, 30: 90, 50: 200}) == 30
    assert choose_poster({10: 90, 30: 90, 50: 200}, damaged=[10, 30]) == 50
    assert choose_poster({10: 16, 30: 20, 50: 17}) == 30
    assert choose_poster({10: 16, 30: 20}, damaged=[10, 30]) == 30


def test_a_sheet_has_tiles_where_they_are_told_to_be() -> None:
    tiles = [Bitmap(4, 2, (bytes([level] * 8), bytes([level] * 2), bytes([level] * 2))) for level in (10, 20, 30)]
    made = sheet(tiles, 2, 2)
    still = Still(StillKind.FILMSTRIP, "", (made.width, made.height), (1, 2, 3), 2, 2)
    for number, level in enumerate((10, 20, 30, 0)):
        x, y = still.place(number)
        assert made.planes[0][y * made.width + x : y * made.width + x + 4] == bytes([level] * 4)
    assert made.planes[1] == bytes([10, 10, 20, 20, 30, 30, 128, 128])


def test_flips_are_undone() -> None:
    bitmap = Bitmap(4, 2, (bytes(range(8)), bytes((1, 2)), bytes((3, 4))))
    one = 1 << 16
    assert bitmap.upright((-one, 0, 0, 0, one, 0, 0, 0, 1 << 30)).planes[0] == bytes((3, 2, 1, 0, 7, 6, 5, 4))
    assert bitmap.upright((one, 0, 0, 0, -one, 0, 0, 0, 1 << 30)).planes[0] == bytes((4, 5, 6, 7, 0, 1, 2, 3))
    assert bitmap.upright((0, one, 0, one, 0, 0, 0, 0, 1 << 30)).planes[0] == bytes((0, 4, 1, 5, 2, 6, 3, 7))


def test_what_was_cut_off_is_refused() -> None:
    with pytest.raises(Corrupt):
        Bitmap.of_bytes(4, 2, bytes(11))


def test_a_jpeg_of_odd_lines_in_memory_is_what_was_given(tmp_path: Path) -> None:
    """Widths that no alignment likes."""
    for width in (2, 6, 34, 58, 100):
        luma = bytes(column * 255 // width for column in range(width)) * 16
        bitmap = Bitmap(width, 16, (luma, bytes([128]) * (width * 4), bytes([128]) * (width * 4)))
        (tmp_path / "ramp.jpg").write_bytes(jpeg(bitmap))
        frame = _picture(Still(StillKind.POSTER, str(tmp_path / "ramp.jpg"), (width, 16)))
        levels = [_luma(frame, column, 8) for column in range(width)]
        assert max(abs(a - b) for a, b in zip(levels, luma, strict=False)) < 12
        assert all(after >= before - 4 for before, after in pairwise(levels))


def _stills(film: Numbered, folder: Path, executor: Executor | None = None) -> tuple[Still, ...]:
    path = film.write(folder / "film")
    (rendition,) = proxies(path, folder, (THUMBNAIL,), executor or InThisProcess()).renditions
    assert [still.kind for still in rendition.stills] == [StillKind.POSTER, StillKind.FILMSTRIP]
    assert seen(rendition.path).numbers == tuple((film.first + number) % 256 for number in range(film.frames))
    return rendition.stills


def _assert_shown(*stills: Still) -> None:
    for still in stills:
        frame = _picture(still)
        assert (frame.width, frame.height) == still.size
        for number, shown in enumerate(still.frames):
            assert number_in(_cropped(frame, *still.place(number), *still.tile)) == shown


def _picture(still: Still) -> "av.VideoFrame":
    with av.open(still.path) as container:
        return next(container.decode(video=0))


def _cropped(frame: "av.VideoFrame", x: int, y: int, width: int, height: int) -> "av.VideoFrame":
    plane, step = bytes(frame.planes[0]), frame.planes[0].line_size
    made = av.VideoFrame(width, height, "gray")
    rows = (plane[row * step + x : row * step + x + width] for row in range(y, y + height))
    made.planes[0].update(b"".join(row.ljust(made.planes[0].line_size, b"\0") for row in rows))
    return made


def _luma(frame: "av.VideoFrame", x: int, y: int) -> int:
    return bytes(frame.planes[0])[y * frame.planes[0].line_size + x]


def _rgb(frame: "av.VideoFrame") -> tuple[int, ...]:
    """The middle as a viewer shows it (JFIF)."""
    luma, *rest = (bytes(plane)[plane.height // 2 * plane.line_size + plane.width // 2] for plane in frame.planes)
    blue, red = (value - 128 for value in rest)
    shown = luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue
    return tuple(min(255, max(0, round(value))) for value in shown)


def _quartered(path: Path, angle: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.set_display_rotation(angle)
        frame = av.VideoFrame(320, 180, "gray")
        upper, lower = bytes([255] * 160 + [0] * 160), bytes(320)
        frame.planes[0].update(upper * 90 + lower * 90)
        made = frame.reformat(format="yuv420p", src_color_range=2, dst_color_range=1)
        for number in range(5):
            made.pts, made.time_base = number, Fraction(1, 24)
            container.mux(stream.encode(made))
        container.mux(stream.encode(None))


def _plain(
    path: Path, pixels: str, codec: str, colours: list[tuple[int, int, int]], *, is_full: bool = False
) -> None:  # fmt: skip
    """Each picture of one colour, in BT.709's matrix, or that of JPEG."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, pixels
        context = stream.codec_context
        context.color_range = 2 if is_full else 1
        if pixels.startswith("yuv"):
            context.color_primaries = context.color_trc = context.colorspace = 1
        matrix = 5 if codec == "mjpeg" else 1  # which no file of that kind can have otherwise
        for number, colour in enumerate(colours):
            source = av.VideoFrame(640, 360, "rgb24")
            source.planes[0].update(bytes(colour) * (640 * 360))
            frame = source.reformat(format=pixels, dst_colorspace=matrix, dst_color_range=2 if is_full else 1)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
