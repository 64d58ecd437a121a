"""`TimecodeExtractor` as it is called: real media in, a finished file out, under asyncio and under trio."""

import asyncio
import functools
import io
import logging
import os
import tarfile
import wave
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import trio

from filmfs.archive import Archive, Mode
from filmfs.core.errors import BadMedia, BadTimecode, Exists, FilmFSError, IsADirectory, NotAnArchive, NotFound, Usage
from filmfs.core.models import MediaFile, Timecode, TimecodeRange, VideoCodec
from filmfs.timecode.extractor import TimecodeExtractor
from tests.drive import Drive
from tests.footage import Film, pictures, samples, timecode
from tests.media.sony import rtmd_sample, with_rtmd

FILM = Film(frames=96, sound="pcm_s16le")


def in_asyncio(call: Callable[[], Any]) -> Any:
    return asyncio.run(call())


def in_trio(call: Callable[[], Any]) -> Any:
    return trio.run(call)


def code(text: str, rate: float | Fraction = 24.0, *, drop: bool | None = None) -> Timecode:
    hours, minutes, seconds, frames = map(int, text.split(":"))
    return Timecode(hours, minutes, seconds, frames, rate, drop)


def between(start: str, end: str, handles: int = 0, rate: float | Fraction = 24.0) -> TimecodeRange:
    return TimecodeRange(code(start, rate), code(end, rate), handles)


RANGE = between("01:00:01:00", "01:00:02:00", 8)  # frames 16 to 56 with their handles
NAME = "scene_001@01.00.01.00-01.00.02.00+8.mov"


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of 96 frames."""
    return FILM.write(tmp_path_factory.mktemp("footage") / "scene_001.mov")


def take(data: Any, path: Path, tc_range: TimecodeRange = RANGE, output_dir: Path | None = None) -> Path:
    call = TimecodeExtractor().extract_segment
    return in_trio(functools.partial(call, data, MediaFile(path), tc_range, output_dir=output_dir))


def assert_is_the_range(clip: Path, footage: Path, first: int = 16, end: int = 56) -> None:
    whole, cut = pictures(footage), pictures(clip)
    assert (cut[0], cut[-1], len(cut)) == (whole[first], whole[end - 1], end - first)
    assert cut == whole[first:end]
    assert samples(clip) == samples(footage)[first * 2000 * 2 : end * 2000 * 2]


@pytest.mark.parametrize("run", [in_asyncio, in_trio])
def test_the_call_as_it_is_documented(run: Callable[[Any], Any], footage: Path, tmp_path: Path) -> None:
    path = tmp_path / "scene_001.mov"
    path.write_bytes(footage.read_bytes())
    media_file = MediaFile(
        file_path=path, size=path.stat().st_size, codec=VideoCodec.PRORES_422, frame_rate=24.0, resolution=(256, 144)
    )

    async def extract() -> Path:
        extractor = TimecodeExtractor()
        tc_range = TimecodeRange(
            start=Timecode(hours=1, minutes=0, seconds=1, frames=0, frame_rate=24.0),
            end=Timecode(hours=1, minutes=0, seconds=2, frames=0, frame_rate=24.0),
            handles=8,
        )
        return await extractor.extract_segment(path, media_file, tc_range)

    clip = run(extract)
    assert clip == tmp_path / NAME
    assert_is_the_range(clip, footage)
    assert timecode(clip) == "01:00:00:16"
    assert sorted(os.listdir(tmp_path)) == ["scene_001.mov", NAME]


def test_many_at_once_give_whole_files(footage: Path, tmp_path: Path) -> None:
    extractor = TimecodeExtractor(output_dir=tmp_path)

    async def all_of_them() -> list[Path]:
        call = functools.partial(extractor.extract_segment, footage, MediaFile(footage))
        ranges = [RANGE, RANGE, RANGE, between("01:00:00:00", "01:00:01:00"), between("01:00:03:00", "01:00:04:00")]
        return await asyncio.gather(*(call(each) for each in ranges))

    clips = asyncio.run(all_of_them())
    assert_is_the_range(clips[0], footage)
    assert_is_the_range(clips[3], footage, 0, 24)
    assert_is_the_range(clips[4], footage, 72, 96)
    assert len(os.listdir(tmp_path)) == 3


# What holds the film


def test_from_an_archive_by_its_path_and_open(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", str(footage.parent), "--to", "A001")
    where = Path(f"A001/{footage.parent.name}/scene_001.mov")
    clip = take(drive.root, Path("/") / where, output_dir=tmp_path)
    assert_is_the_range(clip, footage)
    with Archive(drive.root, Mode.READ) as archive:
        clip.unlink()
        assert_is_the_range(take(archive, Path(f"main:{where}"), output_dir=tmp_path), footage)
        with pytest.raises(NotFound):
            take(archive, Path("A001/other.mov"))
        with pytest.raises(IsADirectory):
            take(archive, Path("A001"))
    monkeypatch.chdir(tmp_path / "mnt")
    assert take(drive.root, where) == tmp_path / "mnt" / NAME


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_from_a_zip_or_a_tar_of_stored_members(kind: str, footage: Path, tmp_path: Path) -> None:
    holder = tmp_path / f"project.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(holder, "w") as made:
            made.writestr("notes.txt", "notes" * 100)
            made.write(footage, "footage/scene_001.mov")
    else:
        with tarfile.open(holder, "w") as tar:
            tar.add(footage, "footage/scene_001.mov")
    for path in ("footage/scene_001.mov", "/footage/scene_001.mov", "/elsewhere/scene_001.mov"):
        assert_is_the_range(take(holder, Path(path), output_dir=tmp_path), footage)
    with holder.open("rb") as file:
        assert take(file, Path("footage/scene_001.mov"), output_dir=tmp_path).name == NAME
    with pytest.raises(NotFound, match=r"there is no footage/scene_002.mov in it"):
        take(holder, Path("footage/scene_002.mov"))


def test_compressed_members_are_refused_with_the_way_out(footage: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "small.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.write(footage, "scene_001.mov")
    with pytest.raises(BadMedia, match="is compressed in the ZIP; store it as it is"):
        take(tmp_path / "small.zip", Path("scene_001.mov"))


def test_members_that_two_folders_have_are_not_guessed_at(footage: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as made:
        made.write(footage, "a/scene_001.mov")
        made.write(footage, "b/scene_001.mov")
    with pytest.raises(NotFound, match=r"could be any of a/scene_001.mov, b/scene_001.mov"):
        take(tmp_path / "two.zip", Path("scene_001.mov"))


def test_a_damaged_zip_or_tar_is_an_answer(footage: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as made:
        made.write(footage, "scene_001.mov")
    data = (tmp_path / "whole.zip").read_bytes()
    directory = data.rindex(b"PK\x01\x02")
    for at in range(directory, len(data)):
        hurt = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
        try:
            take(io.BytesIO(hurt), Path("scene_001.mov"), output_dir=tmp_path)
        except FilmFSError:
            continue
    for end in (4, 100, len(data) // 2, len(data) - 10):
        with pytest.raises(FilmFSError):
            take(io.BytesIO(data[:end]), Path("scene_001.mov"))


def test_from_an_open_file_and_from_the_path_alone(footage: Path, tmp_path: Path) -> None:
    assert_is_the_range(take(io.BytesIO(footage.read_bytes()), Path("scene_001.mov"), output_dir=tmp_path), footage)
    assert take(None, footage, output_dir=tmp_path) == tmp_path / NAME
    with pytest.raises(NotFound):
        take(tmp_path / "nothing.mov", footage)
    with pytest.raises(NotAnArchive):
        take(tmp_path, footage)
    with pytest.raises(Usage):
        take(42, footage)


# Which frames, and what is said of them


def test_handles_end_where_the_film_does_and_it_is_told(
    footage: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = take(footage, footage, between("01:00:01:00", "01:00:03:00", 1000), tmp_path)
    assert_is_the_range(clip, footage, 0, 96)
    assert "the film ends before the handles do" in caplog.text


def test_what_is_said_of_a_film_and_is_not_so_is_reported_and_the_film_wins(
    footage: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = MediaFile(footage, 10 * 1024**3, VideoCodec.DNXHR, 25, (3840, 2160), 2)
    call = functools.partial(TimecodeExtractor(tmp_path).extract_segment, footage, said, RANGE)
    with caplog.at_level(logging.WARNING):
        assert_is_the_range(in_trio(call), footage)
    for words in ("10737418240 bytes", "25 frames", "DNxHR, and is ProRes 422 HQ", "3840 × 2160", "2 channels"):
        assert words in caplog.text


@pytest.mark.parametrize("rate", [23.976, 23.98, Fraction(24000, 1001), 24])
def test_rates_are_exact_and_labels_are_of_the_film(rate: float | Fraction, tmp_path: Path) -> None:
    film = Film(rate=Fraction(24000, 1001), frames=48, sound=None)
    path = film.write(tmp_path / "ntsc.mov")
    clip = take(path, path, between("01:00:00:12", "01:00:01:00", rate=rate))
    assert pictures(clip) == pictures(path)[12:24]
    assert timecode(clip) == "01:00:00:12"


def test_drop_frame_labels(tmp_path: Path) -> None:
    film = Film("mjpeg", "yuvj422p", Fraction(30000, 1001), 60, None, timecode="00:00:59;00")
    path = film.write(tmp_path / "drop.mov")
    assert pictures(take(path, path, between("00:00:59:28", "00:01:00:04", rate=29.97))) == pictures(path)[28:32]
    with pytest.raises(BadTimecode, match="does not exist"):
        take(path, path, between("00:00:59:00", "00:01:00:00", rate=29.97))
    with pytest.raises(BadTimecode, match="does not exist"):
        code("00:01:00:00", 29.97, drop=True)


def test_time_code_that_lies_beside_the_film(footage: Path, tmp_path: Path) -> None:
    film = Film("libx264", "yuv420p", Fraction(25), 50, None, timecode=None, video_options={"bf": "0", "g": "12"})
    data = with_rtmd(film.write(tmp_path / "C0001.mp4").read_bytes(), Fraction(25), rtmd_sample((1, 0, 0, 0)))
    (tmp_path / "C0001.mp4").write_bytes(data)
    clip = take(None, tmp_path / "C0001.mp4", between("01:00:01:00", "01:00:01:10", rate=25))
    assert pictures(clip) == pictures(tmp_path / "C0001.mp4")[25:35]
    plain = Film("libx264", "yuv420p", Fraction(24), 50, None, timecode=None).write(tmp_path / "A001C001.mp4")
    (tmp_path / "day.ale").write_text("Heading\nFPS\t24\n\nColumn\nName\tStart\n\nData\nA001C001\t02:00:00:00\n")
    assert timecode(take(None, plain, between("02:00:01:00", "02:00:01:10"))) == "02:00:01:00"


@pytest.mark.parametrize(
    ("tc_range", "says"),
    [
        (between("01:00:03:00", "01:00:05:00"), "outside the file, which has 01:00:00:00 to 01:00:04:00 at 24"),
        (between("01:00:01:00", "01:00:01:00"), "is empty"),
        (between("01:00:01:00", "01:00:02:00", rate=25), "25 frames a second, and the film has 01:00:00:00"),
    ],
)
def test_a_range_that_the_film_has_not_is_refused(
    tc_range: TimecodeRange, says: str, footage: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadTimecode, match=says):
        take(footage, footage, tc_range, tmp_path)
    assert not list(tmp_path.iterdir())


def test_ranges_that_make_no_sense_are_refused_at_once() -> None:
    with pytest.raises(BadTimecode):
        code("01:00:00:24")
    with pytest.raises(BadTimecode):
        code("01:00:00:00", 23.5)
    with pytest.raises(BadTimecode):
        TimecodeRange(code("01:00:00:00"), code("01:00:01:00", 25))
    with pytest.raises(Usage):
        between("01:00:00:00", "01:00:01:00", -1)


# The file that is written


def test_the_same_clip_is_returned_and_another_file_is_never_written_over(footage: Path, tmp_path: Path) -> None:
    clip = take(footage, footage, RANGE, tmp_path)
    made = clip.stat().st_mtime_ns
    assert take(footage, footage, RANGE, tmp_path) == clip
    assert clip.stat().st_mtime_ns == made
    clip.write_bytes(clip.read_bytes()[:-1] + b"!")
    with pytest.raises(Exists, match="another file"):
        take(footage, footage, RANGE, tmp_path)
    clip.write_text("mine")
    with pytest.raises(Exists):
        take(footage, footage, RANGE, tmp_path)
    assert clip.read_text() == "mine"
    assert os.listdir(tmp_path) == [NAME]


def test_sound_is_cut_by_the_rate_of_the_range(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "take.wav"), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(48_000)
        made.writeframes(bytes(range(256)) * 750)
    clip = take(None, tmp_path / "take.wav", between("00:00:00:24", "00:00:01:00", rate=25))
    with wave.open(str(clip)) as cut:
        assert cut.readframes(10_000) == (bytes(range(256)) * 750)[24 * 1920 * 2 : 25 * 1920 * 2]
