"""Rendered movies: each frame is that of the source which the list says, as decoded pictures show."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import pytest

from filmfs.core.errors import BadMedia
from filmfs.media.rendering import Encoding, PictureSource, RenderEvent, SoundSource, Transition, render
from tests.footage import HEIGHT, SOUND_RATE, WIDTH, Film, pictures, samples, timecode

FILMS = {
    "prores.mov": Film(frames=40),
    "h264.mov": Film(
        "libx264",
        "yuv420p",
        frames=96,
        sound="pcm_s16le",
        video_options={"bf": "3", "g": "24", "x264-params": "b-adapt=0"},
    ),
    "open.mov": Film(
        "libx264",
        "yuv420p",
        frames=96,
        sound=None,
        video_options={"bf": "3", "g": "24", "x264-params": "open-gop=1:b-adapt=0"},
    ),
    "hevc.mov": Film(
        "libx265",
        "yuv420p",
        frames=75,
        sound=None,
        video_options={"g": "25", "x265-params": "open-gop=1:log-level=none"},
    ),
}
LOSSLESS = Encoding("v210", "yuv422p10le")
LOSSLESS_8 = Encoding("libx264", "yuv420p", {"qp": "0"})
RATE = Fraction(24)


def opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("films")
    return {name: film.write(directory / name) for name, film in FILMS.items()}


def rendered(events: list[RenderEvent], path: Path, encoding: Encoding = LOSSLESS) -> Path:
    render(events, str(path), rate=RATE, start=86_400, drop=False, reel="R1", encoding=encoding)
    return path


@pytest.mark.parametrize("name", ["h264.mov", "open.mov", "hevc.mov"])
def test_frames_are_found_in_any_order_in_groups_of_pictures(name: str, films: dict[str, Path], tmp_path: Path) -> None:
    film, whole = opener(films[name]), pictures(films[name])
    last = len(whole) - 1
    wanted = [(0, 3), (60, 5), (23, 4), (last, 1), (47, 3), (25, 1), (24, 1), (1, 60)]
    made = rendered(
        [RenderEvent(count, PictureSource(film, first)) for first, count in wanted], tmp_path / "made.mov", LOSSLESS_8
    )
    assert pictures(made) == [picture for first, count in wanted for picture in whole[first : first + count]]


@pytest.mark.parametrize(
    ("speed", "frames"),
    [
        (Fraction(2), [30, 32, 34, 36, 38]),
        (Fraction(1, 2), [30, 31, 31, 32, 32]),
        (Fraction(0), [30, 30, 30, 30, 30]),
        (Fraction(-1), [30, 29, 28, 27, 26]),
        (Fraction(-3, 2), [30, 29, 27, 26, 24]),
        (Fraction(30, 24), [30, 31, 33, 34, 35]),
    ],
)
def test_another_speed_shows_the_nearest_frame_and_is_silent(
    speed: Fraction, frames: list[int], films: dict[str, Path], tmp_path: Path
) -> None:
    film = opener(films["h264.mov"])
    event = RenderEvent(5, PictureSource(film, 30, speed), [SoundSource(film, 30)])
    made = rendered([event], tmp_path / "made.mov", LOSSLESS_8)
    whole = pictures(films["h264.mov"])
    assert pictures(made) == [whole[number] for number in frames]
    assert samples(made) == bytes(5 * SOUND_RATE // 24 * 4)


def test_sound_and_gaps_are_where_the_list_says(films: dict[str, Path], tmp_path: Path) -> None:
    film = opener(films["prores.mov"])
    events = [
        RenderEvent(5, PictureSource(film, 10), [SoundSource(film, 20)]),
        RenderEvent(3, None, [SoundSource(film, 0)]),
        RenderEvent(4, PictureSource(film, 0)),
    ]
    made = rendered(events, tmp_path / "made.mov")
    whole, frame = pictures(films["prores.mov"]), SOUND_RATE // 24 * 4
    shown = pictures(made)
    assert shown[:5] + shown[8:] == whole[10:15] + whole[:4]
    assert len(set(shown[5:8])) == 1
    assert luma(made)[6] == bytes([64, 0]) * (WIDTH * HEIGHT)
    heard = samples(films["prores.mov"])
    assert samples(made) == heard[20 * frame : 25 * frame] + heard[: 3 * frame] + bytes(4 * frame)
    assert timecode(made) == "01:00:00:00"


def luma(path: Path) -> list[bytes]:
    """The first plane of each picture."""
    with av.open(str(path)) as container:
        return [
            b"".join(
                bytes(frame.planes[0])[row * frame.planes[0].line_size :][: frame.width * 2]
                for row in range(frame.height)
            )
            for frame in container.decode(video=0)
        ]


def points(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2], "little") for at in range(0, len(data), 2)]


def test_a_dissolve_goes_from_one_film_to_the_other(films: dict[str, Path], tmp_path: Path) -> None:
    film = opener(films["prores.mov"])
    events = [
        RenderEvent(3, PictureSource(film, 0), [SoundSource(film, 0)]),
        RenderEvent(6, PictureSource(film, 20), [SoundSource(film, 20)], Transition("dissolve", 4)),
    ]
    made, whole = luma(rendered(events, tmp_path / "made.mov")), luma(films["prores.mov"])
    assert made[:3] == whole[:3]
    assert made[7:] == whole[24:26]
    for number in range(4):
        old, new = points(whole[3 + number]), points(whole[20 + number])
        share = Fraction(2 * number + 1, 8)
        expected = [before + (after - before) * share for before, after in zip(old, new, strict=True)]
        assert all(abs(a - b) <= 1 for a, b in zip(points(made[3 + number]), expected, strict=True))
    heard, original = samples(tmp_path / "made.mov"), samples(films["prores.mov"])
    frame = SOUND_RATE // 24 * 4
    assert heard[: 3 * frame] == original[: 3 * frame]
    assert heard[7 * frame :] == original[24 * frame : 26 * frame]
    assert heard[3 * frame : 7 * frame] not in (original[3 * frame : 7 * frame], original[20 * frame : 24 * frame])


@pytest.mark.parametrize("wipe", [1, 2, 101, 102])
def test_a_wipe_shows_points_of_one_film_or_the_other(wipe: int, films: dict[str, Path], tmp_path: Path) -> None:
    film = opener(films["prores.mov"])
    events = [
        RenderEvent(1, PictureSource(film, 0)),
        RenderEvent(2, PictureSource(film, 20), transition=Transition(wipe, 2)),
    ]
    made, whole = luma(rendered(events, tmp_path / "made.mov")), luma(films["prores.mov"])
    old, new, shown = points(whole[1]), points(whole[20]), points(made[1])
    for at in range(WIDTH * HEIGHT):
        row, column = divmod(at, WIDTH)
        is_new = {
            1: column < WIDTH // 4,
            2: row < HEIGHT // 4,
            101: column >= WIDTH - WIDTH // 4,
            102: row >= HEIGHT - HEIGHT // 4,
        }[wipe]
        assert shown[at] == (new if is_new else old)[at]


def test_films_of_other_sizes_and_codecs_are_fitted(films: dict[str, Path], tmp_path: Path) -> None:
    events = [
        RenderEvent(2, PictureSource(opener(films["h264.mov"]), 5)),
        RenderEvent(2, PictureSource(opener(films["prores.mov"]), 5)),
    ]
    path = tmp_path / "made.mov"
    render(events, str(path), rate=RATE, start=0, drop=False, size=(256, 256), encoding=LOSSLESS)
    shown = luma(path)
    bar = bytes([64, 0]) * (256 * 56)
    for number, name in ((0, "h264.mov"), (2, "prores.mov")):
        assert shown[number][: len(bar)] == bar == shown[number][-len(bar) :]
        assert shown[number][len(bar) : len(bar) + 512] != bar[:512], name
    assert shown[2][len(bar) : -len(bar)] == luma(films["prores.mov"])[5]


def test_prores_is_what_is_written_and_progress_is_told(films: dict[str, Path], tmp_path: Path) -> None:
    told: list[int] = []
    film = opener(films["prores.mov"])
    path = tmp_path / "made.mov"
    with path.open("w+b") as file:
        render(
            [RenderEvent(4, PictureSource(film, 7), [SoundSource(film, 7)])],
            file,
            rate=Fraction(30000, 1001),
            start=107_892,
            drop=True,
            progress=told.append,
        )
    assert told == [1, 2, 3, 4]
    assert timecode(path) == "01:00:00;00"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.codec_tag, stream.average_rate) == ("apch", Fraction(30000, 1001))
        assert container.streams.audio[0].codec_context.name == "pcm_s24le"
    whole = [points(each) for each in luma(films["prores.mov"])[5:13]]
    for number, shown in enumerate(map(points, luma(path))):
        errors = [sum((a - b) ** 2 for a, b in zip(shown, other, strict=True)) for other in whole]
        assert errors.index(min(errors)) == number + 2  # the frame that was meant, and near it
        assert min(errors) / len(shown) < 200


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ([(0, 0, None)], "event 1: it has no frames"),
        ([(3, 0, Transition("dissolve", 2))], "event 1: nothing is before it"),
        ([(3, 0, None), (3, 0, Transition("dissolve", 4))], "event 2: its transition has 4 frames, and it has 3"),
        ([(3, 0, None), (3, 0, Transition(77, 2))], "event 2: the transition 77 is not known"),
        ([(3, 0, None), (3, 38, None)], "event 2: the film has no frame 40"),
        ([(3, 37, None), (3, 0, Transition("dissolve", 2))], "event 2: the film has no frame 40"),
        ([(3, -1, None)], "event 1: the film has no frame -1"),
    ],
)
def test_what_cannot_be_rendered_says_which_event(
    events: list[tuple[int, int, Transition | None]], says: str, films: dict[str, Path], tmp_path: Path
) -> None:
    film = opener(films["prores.mov"])
    made = [RenderEvent(count, PictureSource(film, first), transition=change) for count, first, change in events]
    with pytest.raises(BadMedia, match=says):
        rendered(made, tmp_path / "made.mov")


def test_what_is_no_film_says_so(tmp_path: Path) -> None:
    (tmp_path / "film.mov").write_bytes(b"no film")
    with pytest.raises(BadMedia, match="event 1: FFmpeg cannot read the film"):
        rendered([RenderEvent(1, PictureSource(opener(tmp_path / "film.mov"), 0))], tmp_path / "made.mov")


def planes(path: Path) -> list[list[list[int]]]:
    """The numbers in each plane of each picture, as 10 bits."""
    with av.open(str(path)) as container:
        return [
            [_numbers(plane, frame.format.components[0].bits) for plane in frame.planes]
            for frame in container.decode(video=0)
        ]


def _numbers(plane: av.video.plane.VideoPlane, bits: int) -> list[int]:
    data, width = bytes(plane), plane.width * (2 if bits > 8 else 1)
    rows = [data[row * plane.line_size :][:width] for row in range(plane.height)]
    return [number for row in rows for number in (points(row) if bits > 8 else [point * 4 for point in row])]


TAGGED = Film("dnxhd", "yuv422p", frames=6, sound=None, size=(256, 128), video_options={"profile": "dnxhr_sq"})


def test_colours_that_only_the_pictures_tell_of_stay(tmp_path: Path) -> None:
    path = TAGGED.write(tmp_path / "film.mov")
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).colorspace == 1  # DNxHR says BT.709 by itself
    made = rendered([RenderEvent(3, PictureSource(opener(path), 2)), RenderEvent(1, None)], tmp_path / "made.mov")
    for ours, theirs in zip(planes(made)[:3], planes(path)[2:5], strict=True):
        for plane, other in zip(ours, theirs, strict=True):
            assert max(abs(a - b) for a, b in zip(plane, other, strict=True)) <= 4  # v210 has no 1023


@pytest.mark.parametrize(
    "film",
    [
        Film("qtrle", "rgb24", frames=4, sound=None, size=(256, 128)),
        Film(
            "libx264",
            "yuv420p",
            frames=4,
            sound=None,
            size=(256, 128),
            video_options={"qp": "0", "x264-params": "fullrange=on:colormatrix=bt709"},
        ),
    ],
    ids=["RGB", "full range"],
)
def test_films_whose_numbers_mean_something_else_look_the_same(film: Film, tmp_path: Path) -> None:
    path = film.write(tmp_path / "film.mov")
    made = rendered([RenderEvent(2, PictureSource(opener(path), 1))], tmp_path / "made.mov")
    with av.open(str(path)) as container:
        asked = list(container.decode(video=0))[1]
    with av.open(str(made)) as container:
        shown = next(container.decode(video=0))
        assert (shown.colorspace, shown.color_range) in ((1, 0), (1, 1))
    ours, theirs = (bytes(each.reformat(format="rgb24").planes[0]) for each in (shown, asked))
    assert sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / len(ours) < 4


def test_a_film_of_another_matrix_is_converted_to_that_of_the_first(tmp_path: Path) -> None:
    first = TAGGED.write(tmp_path / "first.mov")
    options = {"qp": "0", "colorspace": "smpte170m"}
    film = Film("libx264", "yuv422p", frames=6, sound=None, size=(256, 128), video_options=options)
    other = film.write(tmp_path / "other.mov")
    events = [RenderEvent(1, PictureSource(opener(first), 0)), RenderEvent(2, PictureSource(opener(other), 2))]
    rendered(events, tmp_path / "made.mov")
    with av.open(str(other)) as container:
        asked = list(container.decode(video=0))[2]
        assert asked.colorspace == 6
    with av.open(str(tmp_path / "made.mov")) as container:
        shown = list(container.decode(video=0))[1]
        assert shown.colorspace == 1
    ours, theirs = (bytes(each.reformat(format="rgb24").planes[0]) for each in (shown, asked))
    assert sum(abs(a - b) for a, b in zip(ours, theirs, strict=True)) / len(ours) < 1.5
