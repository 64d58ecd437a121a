"""The exactness table: every film of films.toml in every class of range, as each reader shows the clip and the film.

docs/accuracy.md is made of what came out (`python -m tests.accuracy.page`).
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

import pytest

from filmfs.core.errors import BadMedia
from filmfs.core.extents import Hole
from filmfs.core.ranges import Counting, FrameRange, canonical, place, read_range
from filmfs.core.smpte import label_of, shown_rate
from filmfs.media.clipping import Clip
from filmfs.timecode.films import open_film
from tests.accuracy.conftest import EVERYTHING, RECORD, Readings, need
from tests.accuracy.films import BASE, Refused, Row, Sequence, load
from tests.accuracy.ranges import ALWAYS, boundary_of, classes, frames_of
from tests.accuracy.readers import READERS, Differs, Reader, Unreadable
from tests.drive import Drive, answer
from tests.mount.conftest import drive

__all__ = ["drive"]

TABLE = load()
_BLOCK = 1 << 20


class OnDisk:
    """A ByteSource on a file."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._file).st_size

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)

    def close(self) -> None:
        os.close(self._file)


def _readers(row: Row, suffix: str, asked: str) -> list[Reader]:
    """Who compares that range of a film in this run. Who shows no clip of it at all tries one range alone."""
    if row.heavy and not RECORD:
        return []
    chosen = READERS if EVERYTHING else READERS[:1] if asked in ALWAYS else ()
    return [
        reader
        for reader in chosen
        if (not row.readers or reader.name in row.readers)
        and (asked == classes(row)[0] or not row.never(reader.name, suffix))
    ]


def _comparisons() -> Iterator[object]:
    for row in TABLE.films:
        marks = [pytest.mark.slow] if row.heavy else []
        for suffix in row.suffixes:
            for asked in classes(row):
                for reader in _readers(row, suffix, asked):
                    name = f"{row.file}-{suffix}-{asked}-{reader.name}"
                    yield pytest.param(row, suffix, asked, reader, id=name, marks=marks)


def _films() -> list[object]:
    rows = [row for row in TABLE.films if not row.heavy]
    return [pytest.param(row, suffix, id=f"{row.file}-{suffix}") for row in rows for suffix in row.suffixes]


@dataclass(frozen=True, slots=True)
class Cut:
    """A film, a clip of it, which frames that shall have and how they are counted."""

    film: Path
    clip: Path
    frames: FrameRange
    counting: Counting


class Cutter:
    """Clips of the films, of which the last one stays for the next reader."""

    def __init__(self, made: Callable[[Row, str], Path], directory: Path, readings: Readings) -> None:
        self._made, self._directory, self._readings = made, directory, readings
        self._key: tuple[str, ...] = ()
        self._last: Cut | None = None
        self._numbers = count()

    def clip(self, row: Row, suffix: str, asked: str) -> Cut:
        """The clip of a range; all who compare it begin to read."""
        if self._last is None or self._key != (row.file, suffix, asked):
            film = self._made(row, boundary_of(asked))
            self._forget(film)
            self._key, self._last = (row.file, suffix, asked), self._cut(row, suffix, asked, film)
            readers = [reader for reader in _readers(row, suffix, asked) if all(map(shutil.which, reader.needs))]
            for path in (self._last.film, self._last.clip):
                self._readings.begin(readers, path)
        return self._last

    def _forget(self, next_film: Path | None = None) -> None:
        if self._last is not None:
            self._readings.forget(self._last.clip)
            self._last.clip.unlink()
            if next_film is None or next_film.parent != self._last.film.parent:
                for film in self._last.film.parent.iterdir():
                    self._readings.forget(film)

    def close(self) -> None:
        """Takes the last clip away."""
        self._forget()
        self._last = None

    def _cut(self, row: Row, suffix: str, asked: str, path: Path) -> Cut:
        source = OnDisk(path)
        film = open_film(source, path.name)
        wanted = frames_of(asked, row)
        # Where sound does not say how many frames a second has, who asks does.
        rate = "" if film.has_rate else f"~{shown_rate(row.rate)}"
        counting = film.counting(read_range(f"f0-f1{rate}"))
        assert (counting.rate, counting.frames) == (row.rate, row.frames)
        assert counting.start == row.start(boundary_of(asked)) or BASE not in classes(row)
        frames = place(read_range(canonical(wanted, counting) + rate), counting)
        assert (frames.first, frames.count) == (wanted.first, wanted.count)
        clip = self._directory / f"clip{next(self._numbers)}{suffix}"
        write(film.plan(frames, counting, suffix), source, clip)
        source.close()
        return Cut(path, clip, frames, counting)


@pytest.fixture(scope="session")
def cutter(
    made: Callable[[Row, str], Path], readings: Readings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cutter]:
    cutter = Cutter(made, tmp_path_factory.mktemp("clips"), readings)
    yield cutter
    cutter.close()


def write(clip: Clip, source: OnDisk, path: Path) -> Path:
    """The clip as a file, in which zeros take no room."""
    with path.open("wb") as file:
        for piece in clip.pieces:
            if isinstance(piece, bytes):
                file.write(piece)
            elif isinstance(piece, Hole):
                file.seek(piece.length, os.SEEK_CUR)
            else:
                for at in range(piece.offset, piece.end, _BLOCK):
                    block = source.read(at, min(_BLOCK, piece.end - at))
                    if any(block[:64]) or any(block):
                        file.write(block)
                    else:
                        file.seek(len(block), os.SEEK_CUR)
        file.truncate(clip.size)
    return path


@pytest.mark.interop
@pytest.mark.parametrize(("row", "suffix", "asked", "reader"), list(_comparisons()))
def test_a_clip_is_its_range_of_the_film(
    row: Row,
    suffix: str,
    asked: str,
    reader: Reader,
    cutter: Cutter,
    readings: Readings,
    record_property: Callable[[str, object], None],
) -> None:
    need(*reader.needs)
    cut = cutter.clip(row, suffix, asked)
    why = row.why_not(reader.name, suffix, asked)
    cell = {"film": row.name, "made_by": row.made_by, "clip": suffix, "range": asked, "reader": reader.name}
    record_property("cell", cell)
    try:
        whole = readings.of(reader, cut.film)
        if whole.pictures is not None:
            assert len(whole.pictures) == row.frames
            others = sum(one != next_one for one, next_one in pairwise(whole.pictures))
            assert others > 0.9 * (row.frames - 1), "the film's pictures are too much alike to tell"
        readings.of(reader, cut.clip).must_be(cut.frames, whole, cut.counting)
    except (Differs, Unreadable) as error:
        if why is None:
            raise
        record_property("cell", {**cell, "outcome": f"{error.__class__.__name__}: {why}"})
        return
    assert why is None, f"{reader.name} shows it after all: take it out of what is known"


@pytest.mark.mount
@pytest.mark.parametrize(("row", "suffix"), _films())
def test_the_clip_on_a_mount_is_the_same_file(
    row: Row, suffix: str, cutter: Cutter, drive: Drive, record_property: Callable[[str, object], None]
) -> None:
    cut = cutter.clip(row, suffix, "a stretch")
    film, asked = cut.film, canonical(cut.frames, cut.counting)
    record_property(
        "cell", {"film": row.name, "made_by": row.made_by, "clip": suffix, "range": "a stretch", "reader": "mount"}
    )
    (drive.main / film.name).write_bytes(film.read_bytes())
    rate = f"~{shown_rate(row.rate)}" if film.suffix == ".wav" else ""
    assert digest(drive.main / f"{film.name}@{asked}{rate}{suffix}") == digest(cut.clip)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


@pytest.mark.mount
@pytest.mark.parametrize("sequence", TABLE.sequences, ids=lambda sequence: sequence.files)
def test_a_range_of_a_sequence_is_the_files_themselves(
    sequence: Sequence, drive: Drive, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    need("ffmpeg")
    record_property(
        "cell", {"film": sequence.name, "made_by": "FFmpeg", "clip": "folder", "range": "numbers", "reader": "mount"}
    )
    files = sequence.write(tmp_path)
    folder = drive.main / sequence.files.partition("%")[0].rstrip("._")
    folder.mkdir()
    for file in files:
        (folder / file.name).write_bytes(file.read_bytes())
    for first, last in ((1001, 1001), (1020, 1020), (1005, 1014), (1001, 1020)):
        asked = folder.with_name(f"{folder.name}@{first}-{last}")
        wanted = files[first - 1001 : last - 1000]
        assert sorted(os.listdir(asked)) == [file.name for file in wanted]
        for file in wanted:
            assert (asked / file.name).read_bytes() == file.read_bytes()
            assert (asked / file.name).stat().st_ino == (folder / file.name).stat().st_ino


@pytest.mark.parametrize("refused", TABLE.refused, ids=lambda refused: refused.row.file)
def test_what_cannot_be_exact_is_refused_and_explained(
    refused: Refused,
    made: Callable[[Row, str], Path],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    path = made(refused.row, BASE)
    home = Drive(tmp_path)
    home.filmfs("add", path)
    output = ["-o", f"clip{refused.suffix}"] if refused.suffix else []
    done = answer("clip", home.root, f"main:{path.name}", "f0-f19", "--explain", *output)
    assert done.returncode == BadMedia.exit_code, done.stdout
    said = done.stderr.strip().partition(f"{path.name}: ")[2]
    assert refused.says in said
    cell = {"film": refused.row.name, "made_by": refused.row.made_by, "clip": refused.suffix, "range": "", "reader": ""}
    record_property("cell", {**cell, "outcome": f"refused: {said.replace(path.name, refused.row.file)}"})


def test_labels_lie_where_the_table_says() -> None:
    row = next(row for row in TABLE.films if row.file == "mjpeg.mov")
    labels = []
    for boundary in ("across a minute boundary", BASE, "across midnight"):
        start, frames = row.start(boundary), frames_of(boundary, row)
        labels += [str(label_of(start + frames.first + at, row.rate, drop=True)) for at in (5, 6)]
    assert labels == ["00:00:59;59", "00:01:00;04", "00:59:59;59", "01:00:00;00", "23:59:59;59", "00:00:00;00"]
