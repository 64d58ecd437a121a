"""Clips of movies: the frames and the samples that were asked for, and no others, as FFmpeg decodes them."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from filmfs.core.errors import BadMedia
from filmfs.core.extents import Hole
from filmfs.core.ranges import FrameRange
from filmfs.media.clipping import Clip
from filmfs.media.clips import plan
from filmfs.media.quicktime import QuickTime, open_quicktime
from tests.footage import SOUND_RATE, Film, pictures, samples, sound_under_picture, timecode

FILMS = {
    "prores.mov": Film(sounds=2),
    "mjpeg.mov": Film("mjpeg", "yuvj422p", Fraction(60000, 1001), 130, "pcm_s16le", 1, "00:59:59;00"),
    "dnxhr.mov": Film("dnxhd", "yuv422p", Fraction(25), 30, "pcm_s16le", 2, "23:59:59:15", {"profile": "dnxhr_sq"}),
    "cineform.mov": Film("cfhd", "yuv422p10le", Fraction(24000, 1001), 40),
    "closed.mov": Film(
        "libx264", "yuv420p", Fraction(24000, 1001), 96, "aac", options={}, video_options={"bf": "3", "g": "24"}
    ),
    "open.mp4": Film(
        "libx264",
        "yuv420p",
        Fraction(30000, 1001),
        90,
        "aac",
        1,
        "00:59:59;15",
        {"bf": "3", "g": "30", "x264-params": "open-gop=1"},
    ),
    "hevc.mov": Film(
        "libx265",
        "yuv420p",
        Fraction(25),
        75,
        "pcm_s16le",
        1,
        "01:00:00:00",
        {"g": "25", "x265-params": "open-gop=1:log-level=none"},
    ),
    "silent.mp4": Film(
        "libx264", "yuv420p", Fraction(50), 60, None, timecode=None, video_options={"bf": "0", "g": "12"}
    ),
    "fragments.mp4": Film(
        "libx264",
        "yuv420p",
        Fraction(25),
        75,
        "aac",
        timecode=None,
        video_options={"bf": "2", "g": "25"},
        options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    ),
    "old fragments.mov": Film(
        "libx264",
        "yuv420p",
        Fraction(25),
        75,
        "pcm_s16le",
        timecode=None,
        video_options={"bf": "0", "g": "25"},
        options={"movflags": "frag_keyframe+empty_moov", "frag_duration": "400000"},
    ),
    "end.mov": Film(options={"movflags": "faststart"}),
    "mpeg2.mov": Film("mpeg2video", "yuv420p", Fraction(25), 50, "pcm_s16le", video_options={"bf": "2", "g": "12"}),
}
RANGES = [(0, 1), (0, 12), (-1, 1), (7, 20), (13, 1), (24, 5), (0, 10_000), (28, 2)]


class InMemory:
    """A ByteSource on bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert length <= max(len(self._data), 1 << 16)
        return self._data[offset : offset + length]


def in_file(path: Path) -> InMemory:
    """A file's bytes."""
    return InMemory(path.read_bytes())


def write_clip(clip: Clip, source: InMemory, path: Path) -> Path:
    """The clip as a file."""
    return write_clip_of(clip, {0: source}, path)


def write_clip_of(clip: Clip, sources: Mapping[int, InMemory], path: Path) -> Path:
    """The same of a clip of several sources."""
    with path.open("wb") as file:
        for piece in clip.pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            elif isinstance(piece, Hole):
                assert file.tell() == piece.offset
                file.write(bytes(piece.length))
            else:
                file.write(sources[piece.source].read(piece.offset, piece.length))
    assert path.stat().st_size == clip.size
    return path


@pytest.fixture(scope="module", params=FILMS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, Path, QuickTime]:
    made = FILMS[request.param]
    path = made.write(tmp_path_factory.mktemp("films") / request.param)
    return made, path, open_quicktime(in_file(path))


def test_a_clip_has_the_frames_and_the_samples_of_its_range(film: tuple[Film, Path, QuickTime], tmp_path: Path) -> None:
    made, path, opened = film
    whole, counting = pictures(path), opened.counting
    assert counting.frames == len(whole) == made.frames
    assert str(counting.label(counting.start)) == (made.timecode or "00:00:00:00")
    for first, count in RANGES:
        first %= made.frames
        count = min(count, made.frames - first)
        clip = write_clip(plan(opened, FrameRange(first, count)), in_file(path), tmp_path / f"clip{path.suffix}")
        assert pictures(clip) == whole[first : first + count]
        if made.timecode is not None:
            assert timecode(clip) == str(counting.label(counting.start + first))
        for track in range(made.sounds if made.sound else 0):
            expected = sound_under_picture(path, track)
            width = 2 if made.sound == "pcm_s16le" else 4
            begins, ends = (round(frame * SOUND_RATE / made.rate) * width for frame in (first, first + count))
            heard = samples(clip, track)
            if made.sound == "aac":  # decoders give the rest of the last packet too
                assert heard[: ends - begins] == expected[begins:ends][: len(heard)]
            else:
                assert heard == expected[begins:ends]


def test_a_clip_is_a_function_of_its_source_and_range(film: tuple[Film, Path, QuickTime]) -> None:
    _, path, opened = film
    again = open_quicktime(in_file(path))
    assert plan(opened, FrameRange(3, 9)) == plan(again, FrameRange(3, 9))


def test_runs_keep_their_place_in_a_block(film: tuple[Film, Path, QuickTime]) -> None:
    clip, at = plan(film[2], FrameRange(3, 9)), 0
    for piece in clip.pieces:
        if isinstance(piece, bytes):
            at += len(piece)
            continue
        if not isinstance(piece, Hole):
            assert (at - piece.offset) % 4096 == 0
        at += piece.length


def test_what_is_no_movie_says_so(tmp_path: Path) -> None:
    for data in (b"", b"RIFF", b"\0\0\0\x08moov", bytes(1000), b"\0\0\0\x10ftypqt  \0\0\0\0"):
        (tmp_path / "file").write_bytes(data)
        with pytest.raises(BadMedia):
            plan(open_quicktime(in_file(tmp_path / "file")), FrameRange(0, 1))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"avc1", b"encv", "encrypted"),
        (b"url \0\0\0\1", b"url \0\0\0\0", "in another file"),
        (b"stsz", b"stz2", "no stsz"),
    ],
)
def test_what_is_not_in_the_file_as_it_is_shown_is_refused(
    tmp_path: Path, before: bytes, after: bytes, says: str
) -> None:
    data = FILMS["closed.mov"].write(tmp_path / "film.mov").read_bytes()
    assert before in data
    with pytest.raises(BadMedia, match=says):
        plan(open_quicktime(InMemory(data.replace(before, after))), FrameRange(0, 1))


def test_a_film_that_is_shown_at_another_speed_or_in_pieces_is_refused(tmp_path: Path) -> None:
    data = FILMS["closed.mov"].write(tmp_path / "film.mov").read_bytes()
    at = data.index(b"elst") + 4 + 8 + 8  # the rate of the first edit
    assert data[at : at + 4] == b"\0\1\0\0"
    for rate in (b"\0\2\0\0", b"\0\0\x80\0", b"\xff\xff\0\0"):
        with pytest.raises(BadMedia, match="another speed"):
            plan(open_quicktime(InMemory(data[:at] + rate + data[at + 4 :])), FrameRange(0, 1))


@pytest.mark.parametrize("name", ["silent.mp4", "fragments.mp4", "old fragments.mov"])
def test_a_film_without_time_code_can_be_given_one_that_its_clips_carry(name: str, tmp_path: Path) -> None:
    path = FILMS[name].write(tmp_path / name)
    opened = open_quicktime(in_file(path))
    labelled = opened.labelled(opened.counting.rate.numerator * 3600, reel="A001R1")
    assert str(labelled.counting.label(labelled.counting.start)) == "01:00:00:00"
    clip = write_clip(plan(labelled, FrameRange(10, 20)), in_file(path), tmp_path / f"clip{path.suffix}")
    assert timecode(clip) == "01:00:00:10"
    assert pictures(clip) == pictures(path)[10:30]
    again = open_quicktime(in_file(clip))
    assert again.timecode is not None
    assert again.timecode.reel == "A001R1"


def test_a_rate_that_a_time_code_track_cannot_say_gives_a_film_none(tmp_path: Path) -> None:
    path = Film("mjpeg", "yuvj422p", Fraction(480), 9, None, timecode=None).write(tmp_path / "fast.mov")
    opened = open_quicktime(in_file(path))
    assert opened.labelled(5) is opened
    assert len(pictures(write_clip(plan(opened, FrameRange(1, 3)), in_file(path), tmp_path / "clip.mov"))) == 3
