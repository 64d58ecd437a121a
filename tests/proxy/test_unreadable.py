"""Originals whose disk does not give all bytes: that may pass, so it is told first; at last it is damage."""

import errno
import io
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import av
import pytest

from filmfs.core.errors import Corrupt, DiskFailure
from filmfs.proxy.executors import InThisProcess
from filmfs.proxy.making import Making, make
from filmfs.proxy.reading import Reading
from filmfs.proxy.sequences import examine_source
from filmfs.proxy.sources import FrameFiles, OnDisk, Source
from tests.proxy.making import ALL
from tests.proxy.numbered import Numbered, Track, seen

FILM = Numbered(size=(512, 288), frames=96)
FILMS = {
    "ProRes.mov": FILM,
    "DNxHR.mxf": replace(FILM, codec="dnxhd", pixels="yuv422p", options={"profile": "dnxhr_hq"}, suffix=".mxf"),
    "H.264.mp4": replace(
        FILM, codec="libx264", pixels="yuv420p", options={"bf": "2", "preset": "veryfast"}, suffix=".mp4"
    ),
    "MPEG-2.mkv": replace(FILM, codec="mpeg2video", pixels="yuv420p", options={"b": "10M"}, suffix=".mkv"),
}


@dataclass(frozen=True, slots=True)
class Torn:
    """A file of which some bytes raise an error, as one does that is put together of pieces on a failing disk."""

    path: str
    first: int
    end: int
    error: Exception

    def open(self) -> io.RawIOBase:
        return _Torn(self)


class _Torn(io.FileIO):
    def __init__(self, torn: Torn) -> None:
        super().__init__(torn.path)
        self._torn = torn

    def read(self, size: int | None = -1) -> bytes:
        at = self.tell()
        data = super().read(size) or b""
        if at < self._torn.end and self._torn.first < at + len(data):
            if at < self._torn.first:
                self.seek(self._torn.first)
                return data[: self._torn.first - at]
            self.seek(at)
            raise self._torn.error
        return data


ERRORS = [OSError(errno.EIO, "Input/output error"), Corrupt("the file of blob 7 is missing")]
MARGIN = 4096  # a disk is read in blocks


@pytest.mark.parametrize("error", ERRORS, ids=["EIO", "Corrupt"])
@pytest.mark.parametrize("name", ["ProRes.mov", "H.264.mp4"])
def test_pictures_that_cannot_be_read_fail_the_film_first_and_are_damage_at_last(
    name: str, error: Exception, tmp_path: Path
) -> None:
    path = FILMS[name].write(tmp_path / "original")
    source = torn(path, "video", 30, 40, error)
    with pytest.raises(Corrupt if isinstance(error, Corrupt) else DiskFailure):
        making(source, tmp_path)
    assert examine_source(source, is_lenient=True) == examine_source(OnDisk(str(path)))
    made = making(source, tmp_path, is_lenient=True)
    possible = near(path, source)
    assert set(range(31, 39)) <= {*made.damaged, *made.harmed} <= possible
    for rendition in made.renditions:
        numbers = seen(Path(rendition.path)).numbers
        assert len(numbers) == 96
        intact = sorted({*range(96)} - {*made.damaged, *made.harmed})
        assert [numbers[number] for number in intact] == intact


@pytest.mark.parametrize("end", [5000, 20_000, 50_001, 300_000, 4_000_000, 8_000_000])
@pytest.mark.parametrize("first", [0, 1, 4096, 700_000])
@pytest.mark.parametrize("size", [1 << 12, 1 << 15, 1 << 20])
def test_of_what_can_be_read_nothing_is_lost_but_what_is_in_the_same_blocks(
    first: int, end: int, size: int, tmp_path: Path
) -> None:
    data = random.Random(1).randbytes(8_000_000)
    (tmp_path / "film").write_bytes(data)
    source = Torn(str(tmp_path / "film"), first, min(first + end, len(data)), ERRORS[0])
    with cast(BinaryIO, Reading(source.open, mends=True)()) as file:
        read = b"".join(iter(lambda: file.read(size), b""))
    low, high = first // MARGIN * MARGIN, -(-source.end // MARGIN) * MARGIN
    assert len(read) == len(data)
    assert read[:low] == data[:low]
    assert read[high:] == data[high:]
    assert read[source.first : source.end] == bytes(source.end - source.first)


def test_a_film_whose_first_picture_cannot_be_read_begins_with_the_next_that_can(tmp_path: Path) -> None:
    path = replace(FILM, size=(1920, 1080), frames=12, tracks=()).write(tmp_path / "original")
    source = replace(torn(path, "video", 0, 3, ERRORS[0]), first=MARGIN)  # its header is in the block before
    original = examine_source(source, is_lenient=True)
    work = tmp_path / "work"
    work.mkdir()
    made = make("torn", source, original, ALL, InThisProcess(), str(work), is_lenient=True)
    assert {0, 1, 2} <= set(made.damaged) <= near(path, source)
    assert len(seen(Path(made.renditions[0].path)).numbers) == 12


def test_sound_that_cannot_be_read_is_silence_and_is_told(tmp_path: Path) -> None:
    path = replace(FILM, tracks=(Track("pcm_s16le", "stereo"),)).write(tmp_path / "original")
    before = seen(path).tracks[0]
    source = torn(path, "audio", 50, 60, ERRORS[0])
    with pytest.raises(DiskFailure):
        making(source, tmp_path)
    made = making(source, tmp_path, is_lenient=True)
    (flaw,) = made.flaws
    assert flaw.startswith("sound track 1 lacks 0.")
    editorial = next(each for each in made.renditions if each.recipe.channels_max is None)
    after = seen(Path(editorial.path)).tracks[0]
    assert (after.begins, len(after.samples[0])) == (before.begins, len(before.samples[0]))
    differ = [at for at, (a, b) in enumerate(zip(after.samples[0], before.samples[0], strict=True)) if a != b]
    assert all(after.samples[0][at] == 0 for at in differ)
    assert 0 < len(differ) < 48_000


def test_a_frame_of_a_sequence_that_cannot_be_read_is_damage_at_last(tmp_path: Path) -> None:
    files: list[tuple[int, Source]] = []
    for number in range(12):
        path = tmp_path / f"f.{number:04}.dpx"
        FILM.still(number, path)
        is_torn = number in (0, 5)
        files.append((number, Torn(str(path), 0, 1 << 40, ERRORS[0]) if is_torn else OnDisk(str(path))))  # type: ignore[arg-type]
    source = FrameFiles(0, tuple(files))
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(DiskFailure):
        examine_source(source)
    original = examine_source(source, is_lenient=True)
    with pytest.raises(DiskFailure):
        make("torn", source, original, ALL, InThisProcess(), str(work))
    made = make("torn", source, original, ALL, InThisProcess(), str(work), is_lenient=True)
    assert made.damaged == (0, 5)
    assert seen(Path(made.renditions[0].path)).numbers == (1, 1, 2, 3, 4, 4, 6, 7, 8, 9, 10, 11)


@pytest.mark.parametrize("name", ["DNxHR.mxf", "MPEG-2.mkv"])
def test_a_film_whose_packets_must_be_counted_is_never_taken_for_a_shorter_one(name: str, tmp_path: Path) -> None:
    path = FILMS[name].write(tmp_path / "original")
    with pytest.raises(DiskFailure, match="reading the film: Input/output error"):
        examine_source(torn(path, "video", 30, 40, ERRORS[0]))
    with pytest.raises(DiskFailure, match="some of it cannot be read"):
        examine_source(torn(path, "video", 30, 40, ERRORS[0]), is_lenient=True)
    plain = examine_source(OnDisk(str(path))).picture
    assert plain is not None
    assert plain.frames == 96


def test_a_large_place_that_cannot_be_read_costs_few_reads_and_what_is_after_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (1 << 14))  # 4 MiB
    torn = Torn(str(path), 1 << 20, 3 << 20, ERRORS[0])
    tries: list[int] = []

    class Counted(_Torn):
        def read(self, size: int | None = -1) -> bytes:
            tries.append(self.tell())
            return super().read(size)

    reading = Reading(lambda: Counted(torn), mends=True)  # type: ignore[return-value, arg-type]
    file = reading()
    assert not isinstance(file, str)
    made = b"".join(iter(lambda: file.read(1 << 15), b""))
    assert len(made) == 4 << 20
    lost = [at for at, (a, b) in enumerate(zip(made, path.read_bytes(), strict=True)) if a != b]
    assert made[: 1 << 20] == path.read_bytes()[: 1 << 20]
    assert max(lost) < (4 << 20) - 4096
    assert len([at for at in tries if 1 << 20 <= at < 3 << 20]) < 40


def making(source: Torn, folder: Path, *, is_lenient: bool = False) -> Making:
    """All proxies of a film, which is looked at where nothing is missing."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    original = examine_source(OnDisk(source.path))
    return make("torn", source, original, ALL, InThisProcess(), str(work), is_lenient=is_lenient)


def torn(path: Path, kind: str, first: int, end: int, error: Exception) -> Torn:
    """A film of whose packets [first, end) most bytes cannot be read."""
    places = [(at, at + size) for at, size, *_ in packets(path, kind)[first:end]]
    return Torn(str(path), min(places)[0] + 40, max(at for _, at in places) - 40, error)


def near(path: Path, source: Torn) -> set[int]:
    """The pictures that have bytes in blocks that cannot be read, and those up to where decoding can begin again."""
    found, is_in = set(), False
    for at, size, number, is_key in sorted(packets(path, "video")):
        touches = at < source.end + MARGIN and source.first - MARGIN < at + size
        is_in = touches or (is_in and not is_key)
        if is_in:
            found.add(number)
    return found


def packets(path: Path, kind: str) -> list[tuple[int, int, int, bool]]:
    """Place, size, number and whether it can be decoded by itself, of each packet in the order of their times."""
    with av.open(str(path)) as container:
        stream = (container.streams.video if kind == "video" else container.streams.audio)[0]
        found = sorted((each for each in container.demux(stream) if each.size), key=lambda each: each.pts)
        return [(each.pos, each.size, number, each.is_keyframe) for number, each in enumerate(found)]
