"""Conforms: the frames and samples of the cut list and no others, as FFmpeg decodes them; what cannot be is refused."""

import subprocess
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.core.errors import BadMedia
from filmfs.core.extents import Hole
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import read_label
from filmfs.media.clipping import Clip, Run
from filmfs.media.conforming import Segment, plan_conform
from filmfs.media.hearing import SoundSegment
from filmfs.media.mxf import open_mxf
from filmfs.media.mxf_movie import movie_of
from filmfs.media.quicktime import QuickTime, open_quicktime
from tests.footage import SOUND_RATE, Film, pictures, samples, timecode
from tests.media.test_clips import InMemory, in_file, write_clip_of

NTSC, NTSC_60 = Fraction(24000, 1001), Fraction(60000, 1001)


def x264(rate: Fraction, parameters: str, **options: str) -> Film:
    video_options = {"bf": "3", "g": "24", **options, "x264-params": f"b-adapt=0:{parameters}"}
    return Film("libx264", "yuv420p", rate, 96, "pcm_s16le", video_options=video_options)


def x265(parameters: str) -> Film:
    options = {"g": "25", "x265-params": f"{parameters}:log-level=none"}
    return Film("libx265", "yuv420p", Fraction(25), 75, "pcm_s16le", video_options=options)


FILMS = {
    "hq.mov": Film(sounds=2),
    "422.mov": Film(frames=30, timecode="05:00:00:00", video_options={"profile": "2"}),
    "lt.mov": Film(frames=30, video_options={"profile": "1"}),
    "proxy.mov": Film(frames=30, video_options={"profile": "0"}),
    "23.mov": Film(rate=NTSC),
    "25.mov": Film(rate=Fraction(25), frames=30),
    "wide.mov": Film(frames=30, video_options={"aspect": "4:3"}),
    "mjpeg.mov": Film("mjpeg", "yuvj422p", NTSC_60, 130, "pcm_s16le", 1, "00:59:59;00"),
    "s16.mov": Film(frames=30, sound="pcm_s16le"),
    "big-endian.mov": Film(frames=30, sound="pcm_s24be"),
    "closed.mov": x264(NTSC, "open-gop=0"),
    "closed.mp4": Film("libx264", "yuv420p", NTSC, 96, "aac", video_options={"bf": "2", "g": "24"}),
    "other.mov": x264(NTSC, "open-gop=0:cabac=0"),
    "open.mov": x264(NTSC, "open-gop=1"),
    "intra.mov": x264(NTSC, "open-gop=0", g="1"),
    "other intra.mov": x264(NTSC, "open-gop=0:cabac=0", g="1"),
    "hevc.mov": x265("open-gop=0"),
    "hevc open.mov": x265("open-gop=1"),
    "mpeg2.mov": Film("mpeg2video", "yuv420p", Fraction(25), 50, "pcm_s16le", video_options={"bf": "2", "g": "12"}),
}


class Archive:
    """The films, made when a test asks for one, and what is decoded of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._opened: dict[str, tuple[InMemory, QuickTime]] = {}
        self._pictures: dict[str, list[str]] = {}

    def path(self, name: str) -> Path:
        path = self._directory / name
        return path if path.exists() else FILMS[name].write(path)

    def film(self, name: str) -> QuickTime:
        return self._of(name)[1]

    def source(self, name: str) -> InMemory:
        return self._of(name)[0]

    def _of(self, name: str) -> tuple[InMemory, QuickTime]:
        if name not in self._opened:
            source = in_file(self.path(name))
            self._opened[name] = source, open_quicktime(source)
        return self._opened[name]

    def pictures(self, name: str) -> list[str]:
        if name not in self._pictures:
            self._pictures[name] = pictures(self.path(name))
        return self._pictures[name]


Cut = tuple[str, int, int]
"""A film, the first frame and how many."""


class Made:
    """A conform of films and its file."""

    def __init__(self, archive: Archive, cuts: Sequence[Cut], *, start: str = "01:00:00:00", sound: int | None = 0):
        names = sorted({name for name, _, _ in cuts})
        self._sources = {names.index(name): archive.source(name) for name in names}
        rate = FILMS[cuts[0][0]].rate
        drop = ";" in start
        picture = [Segment(archive.film(name), FrameRange(at, count), names.index(name)) for name, at, count in cuts]
        sounds = [SoundSegment(each.film, each.frames, sound, each.source) for each in picture if sound is not None]
        self.clip = plan_conform(
            picture,
            [sounds] if sounds else [],
            start=read_label(start).number(rate, drop=drop),
            rate=rate,
            drop=drop,
            reel="EDIT1",
            sources=self._sources,
        )
        self.wanted = [picture for name, at, count in cuts for picture in archive.pictures(name)[at : at + count]]

    def write(self, path: Path) -> Path:
        return write_clip_of(self.clip, self._sources, path)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive(tmp_path_factory.mktemp("films"))


EXACT: dict[str, tuple[list[Cut], str]] = {
    "three segments": ([("hq.mov", 5, 20), ("hq.mov", 40, 8), ("hq.mov", 0, 12)], "01:00:00:00"),
    "one frame": ([("hq.mov", 47, 1)], "23:59:59:23"),
    "single frames": ([("hq.mov", 3, 1), ("hq.mov", 9, 1), ("hq.mov", 9, 1)], "10:00:00:00"),
    "adjacent": ([("hq.mov", 0, 10), ("hq.mov", 10, 10), ("hq.mov", 20, 28)], "01:00:00:00"),
    "the same twice": ([("hq.mov", 5, 20), ("hq.mov", 5, 20)], "01:00:00:00"),
    "two descriptions": ([("422.mov", 2, 9), ("hq.mov", 20, 8), ("422.mov", 0, 3)], "01:00:00:00"),
    "a first one that leads": ([("lt.mov", 2, 9), ("hq.mov", 20, 8), ("lt.mov", 0, 3)], "01:00:00:00"),
    "drop-frame": ([("mjpeg.mov", 3, 5), ("mjpeg.mov", 100, 30), ("mjpeg.mov", 0, 1)], "00:59:59;58"),
    "H.264": (
        [("closed.mov", 5, 20), ("closed.mov", 40, 1), ("closed.mov", 41, 30), ("closed.mov", 0, 12)],
        "01:00:00:00",
    ),
    "H.264 again": ([("closed.mov", 70, 26), ("closed.mov", 70, 26), ("closed.mov", 24, 1)], "01:00:00:00"),
    "intra H.264": ([("intra.mov", 5, 20), ("intra.mov", 40, 1)], "01:00:00:00"),
    "one segment of an open group": ([("open.mov", 30, 20)], "01:00:00:00"),
    "HEVC": ([("hevc.mov", 5, 20), ("hevc.mov", 40, 1), ("hevc.mov", 41, 34), ("hevc.mov", 0, 12)], "01:00:00:00"),
    "MPEG-2": ([("mpeg2.mov", 5, 20), ("mpeg2.mov", 40, 1), ("mpeg2.mov", 30, 20)], "01:00:00:00"),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_conform_has_the_frames_and_samples_of_its_segments(name: str, archive: Archive, tmp_path: Path) -> None:
    cuts, start = EXACT[name]
    made = Made(archive, cuts, start=start)
    path = made.write(tmp_path / "conform.mov")
    assert pictures(path) == made.wanted
    assert timecode(path) == start
    assert samples(path) == expected_sound(archive, cuts)
    again = open_quicktime(in_file(path))
    assert again.timecode is not None
    assert again.timecode.reel == "EDIT1"


def expected_sound(archive: Archive, cuts: Sequence[Cut]) -> bytes:
    """Each segment's samples until the next one's first."""
    heard, frames = b"", 0
    for name, at, count in cuts:
        rate, width = FILMS[name].rate, 2 if FILMS[name].sound == "pcm_s16le" else 4
        begins, ends = (round(frame * SOUND_RATE / rate) for frame in (frames, frames + count))
        first = round(at * SOUND_RATE / rate)
        of_film = samples(archive.path(name))[first * width : (first + ends - begins) * width]
        heard += of_film.ljust((ends - begins) * width, b"\0")
        frames += count
    return heard


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", ["three segments", "two descriptions", "H.264", "H.264 again", "HEVC", "MPEG-2"])
def test_ffmpegs_own_program_shows_the_same(name: str, archive: Archive, tmp_path: Path) -> None:
    cuts, start = EXACT[name]
    path = Made(archive, cuts, start=start).write(tmp_path / "conform.mov")
    whole = {film: frame_hashes(archive.path(film)) for film, _, _ in cuts}
    assert frame_hashes(path) == [each for film, at, count in cuts for each in whole[film][at : at + count]]


def frame_hashes(path: Path) -> list[str]:
    """What FFmpeg's program says of each picture."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert not done.stderr
    return [line.rpartition(",")[2].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


REFUSED: dict[str, tuple[list[Cut], str]] = {
    "rate": ([("hq.mov", 0, 5), ("25.mov", 0, 5)], "segment 2 of the picture: its film has 25 frames a second"),
    "codec": ([("23.mov", 0, 5), ("intra.mov", 0, 5)], "segment 2 .* it is avc1, and not ProRes 422"),
    "parameters": ([("closed.mov", 0, 9), ("other.mov", 0, 9)], "segment 2 .* decoder parameters"),
    "intra parameters": ([("intra.mov", 0, 9), ("other intra.mov", 0, 9)], "segment 2 .* decoder parameters"),
    "open groups": ([("open.mov", 0, 9), ("open.mov", 0, 9), ("open.mov", 30, 9)], "segment 3 .* groups .* are open"),
    "open HEVC": ([("hevc open.mov", 0, 9), ("hevc open.mov", 30, 9)], "segment 2 .* groups of pictures are open"),
    "shape": ([("hq.mov", 0, 9), ("wide.mov", 0, 9)], "segment 2 .* another shape"),
    "passed over": ([("lt.mov", 0, 9), ("proxy.mov", 0, 9)], "segment 2 .* FFmpeg"),
    "past the end": ([("hq.mov", 0, 9), ("hq.mov", 47, 2)], "segment 2 of the picture: it goes past its film"),
    "packets": ([("closed.mp4", 0, 9), ("closed.mp4", 24, 9)], "segment 1 of sound track 1 .* packets"),
    "samples": ([("hq.mov", 0, 9), ("s16.mov", 0, 9)], "segment 2 of sound track 1 is 1 channel of 16 bits"),
    "order of bytes": ([("hq.mov", 0, 9), ("big-endian.mov", 0, 9)], "segment 2 of sound track 1 is 1 channel of 24"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exact_is_refused_with_its_segment(name: str, archive: Archive) -> None:
    cuts, says = REFUSED[name]
    with pytest.raises(BadMedia, match=says):
        Made(archive, cuts)


@pytest.mark.parametrize(
    ("what", "says"),
    [("size", "258×258"), ("matrix", "turned")],
)
def test_pictures_that_are_shown_otherwise_are_refused(archive: Archive, what: str, says: str) -> None:
    data = bytearray(archive.path("intra.mov").read_bytes())
    if what == "size":
        place = data.index(b"avc1", data.index(b"stsd")) + 28
        data[place : place + 4] = b"\1\2\1\2"
    else:
        place = data.index(b"tkhd") + 4 + 40
        data[place : place + 4] = b"\0\0\0\0"
    other = open_quicktime(InMemory(bytes(data)))
    frames = FrameRange(0, 2)
    with pytest.raises(BadMedia, match=f"segment 2 .*{says}"):
        plan_conform(
            [Segment(archive.film("intra.mov"), frames), Segment(other, frames, 1)], [], start=0, rate=NTSC, drop=False
        )


def test_groups_of_pictures_are_refused_where_nobody_can_look_at_them(archive: Archive) -> None:
    segments = [Segment(archive.film("closed.mov"), FrameRange(at, 5)) for at in (0, 24)]
    with pytest.raises(BadMedia, match=r"segment 2|nobody can tell"):
        plan_conform(segments, [], start=0, rate=NTSC, drop=False)


def test_twenty_segments_tile_to_the_sample(archive: Archive, tmp_path: Path) -> None:
    rate = FILMS["mjpeg.mov"].rate
    cuts = [("mjpeg.mov", (7 * number) % 100, 1 + number % 9) for number in range(20)]
    path = Made(archive, cuts, start="00:00:00;00").write(tmp_path / "conform.mov")
    heard = samples(path)
    assert len(heard) // 2 == round(sum(count for _, _, count in cuts) * SOUND_RATE / rate)
    assert heard == expected_sound(archive, cuts)
    cuts = [("23.mov", (7 * number) % 38, 1 + number % 9) for number in range(20)]
    heard = samples(Made(archive, cuts).write(path))
    assert len(heard) // 4 == round(sum(count for _, _, count in cuts) * SOUND_RATE / NTSC)
    assert heard == expected_sound(archive, cuts)


def test_sound_may_have_events_of_its_own_and_silence(archive: Archive, tmp_path: Path) -> None:
    hq, other = archive.film("hq.mov"), archive.film("422.mov")
    clip = plan_conform(
        [Segment(hq, FrameRange(0, 40))],
        [
            [SoundSegment(other, FrameRange(10, 15), 0, 1), SoundSegment(None, FrameRange(0, 25))],
            [
                SoundSegment(None, FrameRange(0, 5)),
                SoundSegment(hq, FrameRange(20, 10), 1),
                SoundSegment(other, FrameRange(25, 10), 0, 1),  # five frames longer than its film
            ],
        ],
        start=0,
        rate=Fraction(24),
        drop=False,
        reel=None,
    )
    sources = {0: archive.source("hq.mov"), 1: archive.source("422.mov")}
    path = write_clip_of(clip, sources, tmp_path / "conform.mov")
    assert pictures(path) == archive.pictures("hq.mov")[:40]
    of_hq, of_other = samples(archive.path("hq.mov"), 1), samples(archive.path("422.mov"))
    frame = SOUND_RATE // 24 * 4
    assert samples(path) == of_other[10 * frame : 25 * frame] + bytes(25 * frame)
    assert samples(path, 1) == bytes(5 * frame) + of_hq[20 * frame : 30 * frame] + of_other[25 * frame :] + bytes(
        5 * frame
    )


def test_sound_alone_is_a_movie_too(archive: Archive, tmp_path: Path) -> None:
    film = archive.film("hq.mov")
    sounds = [[SoundSegment(film, FrameRange(3, 7)), SoundSegment(film, FrameRange(20, 5), 1)]]
    clip = plan_conform([], sounds, start=86_400, rate=Fraction(24), drop=False, reel="S1")
    path = write_clip_of(clip, {0: archive.source("hq.mov")}, tmp_path / "conform.mov")
    frame = SOUND_RATE // 24 * 4
    first, second = (samples(archive.path("hq.mov"), track) for track in (0, 1))
    assert samples(path) == first[3 * frame : 10 * frame] + second[20 * frame : 25 * frame]
    assert timecode(path) == "01:00:00:00"


def test_an_mxf_film_and_a_quicktime_film_follow_each_other(archive: Archive, tmp_path: Path) -> None:
    path = FILMS["422.mov"].write(tmp_path / "film.mxf")
    other, source = movie_of(open_mxf(in_file(path))), in_file(path)
    picture = [Segment(archive.film("hq.mov"), FrameRange(5, 6)), Segment(other, FrameRange(9, 7), 1)]
    sounds = [[SoundSegment(each.film, each.frames, 0, each.source) for each in picture]]
    clip = plan_conform(picture, sounds, start=0, rate=Fraction(24), drop=False)
    made = write_clip_of(clip, {0: archive.source("hq.mov"), 1: source}, tmp_path / "conform.mov")
    assert pictures(made) == archive.pictures("hq.mov")[5:11] + pictures(path)[9:16]
    frame = SOUND_RATE // 24 * 4
    assert (
        samples(made) == samples(archive.path("hq.mov"))[5 * frame : 11 * frame] + samples(path)[9 * frame : 16 * frame]
    )


def test_one_segment_may_have_packets(archive: Archive, tmp_path: Path) -> None:
    made = Made(archive, [("closed.mp4", 30, 20)])
    path = made.write(tmp_path / "conform.mov")
    assert pictures(path) == made.wanted
    assert len(samples(path)) // 4 >= round(20 * SOUND_RATE / NTSC)


@pytest.mark.parametrize(
    ("sounds", "says"),
    [
        ([[SoundSegment(None, FrameRange(0, 9))]], "silent from its beginning"),
        ([["hq.mov", FrameRange(0, 12)]], "sound track 1 lasts 12 frames, and the picture 9"),
        ([["hq.mov", FrameRange(0, 9), 2]], "segment 1 of sound track 1 is of sound track 3 of a film that has 2"),
        ([["25.mov", FrameRange(0, 9)]], "segment 1 of sound track 1: its film has 25 frames a second"),
        ([["hq.mov", FrameRange(-1, 9)]], "segment 1 of sound track 1 has no frames"),
    ],
)
def test_sound_that_cannot_be_is_refused(archive: Archive, sounds: list[list[object]], says: str) -> None:
    tracks = [
        [SoundSegment(archive.film(track[0]), *track[1:]) if isinstance(track[0], str) else track[0]]  # type: ignore[arg-type]
        for track in sounds
    ]
    with pytest.raises(BadMedia, match=says):
        plan_conform(
            [Segment(archive.film("hq.mov"), FrameRange(0, 9))], tracks, start=0, rate=Fraction(24), drop=False
        )  # type: ignore[arg-type]


def test_a_list_of_nothing_is_refused() -> None:
    with pytest.raises(BadMedia, match="nothing in it"):
        plan_conform([], [[]], start=0, rate=Fraction(24), drop=False)


def test_runs_keep_their_place_in_a_block_of_their_source(archive: Archive) -> None:
    cuts = [("422.mov", 2, 9), ("hq.mov", 20, 8), ("422.mov", 0, 3), ("hq.mov", 28, 8), ("hq.mov", 36, 8)]
    clip, at = Made(archive, cuts).clip, 0
    for piece in clip.pieces:
        if isinstance(piece, bytes):
            at += len(piece)
            continue
        if isinstance(piece, Run):
            assert (at - piece.offset) % 4096 == 0
        at += piece.length
    assert sum(isinstance(piece, Run) for piece in clip.pieces) == 4  # the last two are one
    assert clip == Made(archive, cuts).clip


class Read:
    """A conform of one source as an open file."""

    def __init__(self, clip: Clip, source: InMemory) -> None:
        self._clip, self._source, self._at = clip, source, 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._clip.size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        start, found = 0, b""
        for piece in self._clip.pieces:
            end = start + (len(piece) if isinstance(piece, bytes) else piece.length)
            low, high = max(self._at, start), min(self._at + size, end)
            if low < high and isinstance(piece, bytes):
                found += piece[low - start : high - start]
            elif low < high:
                is_hole = isinstance(piece, Hole)
                found += bytes(high - low) if is_hole else self._source.read(piece.offset + low - start, high - low)
            start = end
        self._at += len(found)
        return found


def test_a_thousand_segments_are_planned_at_once_and_go_past_4_gib(archive: Archive) -> None:
    film = archive.film("hq.mov")
    segments = [Segment(film, FrameRange(number % 24, 24)) for number in range(1000)]
    sounds = [[SoundSegment(film, segment.frames) for segment in segments]]
    begun = time.process_time()
    clip = plan_conform(segments, sounds, start=0, rate=Fraction(24), drop=False)
    assert time.process_time() - begun < 2  # 0.2 s on a quiet machine
    segments *= 6
    clip = plan_conform(segments, [], start=0, rate=Fraction(24), drop=False)
    assert clip.size > 1 << 32
    head = clip.pieces[0]
    assert isinstance(head, bytes)
    assert b"co64" in head
    assert b"\0\0\0\1mdat\0\0\0\1" in head
    with av.open(Read(clip, archive.source("hq.mov"))) as container:
        container.seek(24 * 5999 * 512, stream=container.streams.video[0])
        shown = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    with av.open(str(archive.path("hq.mov"))) as container:
        whole = [bytes(frame.planes[0]) for frame in container.decode(video=0)]
    assert shown[-24:] == whole[5999 % 1000 % 24 :][:24]
