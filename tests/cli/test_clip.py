"""`filmfs clip` as a person uses it."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from filmfs.core import errors
from tests.drive import Drive, answer
from tests.footage import Film, pictures, samples, timecode

FILM = Film(frames=48, rate=Fraction(30000, 1001), timecode="00:59:59;15")


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drive, Path]:
    """An archive with a film of 48 frames and some other files, and the film as it was."""
    directory = tmp_path_factory.mktemp("shoot")
    drive = Drive(directory)
    (directory / "card").mkdir()
    path = FILM.write(directory / "card" / "scene.mov")
    (directory / "card" / "notes.txt").write_text("notes")
    (directory / "card" / "broken.mov").write_bytes(path.read_bytes()[:5000])
    drive.filmfs("add", f"{directory / 'card'}/")
    return drive, path


def test_a_range_is_written_as_a_film_of_its_own(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    facts = drive.facts("clip", "main:scene.mov", "00:59:59;20-01:00:00;10", "-o", tmp_path)
    clip = tmp_path / "scene@00.59.59,20-01.00.00,10.mov"
    assert facts["output"] == str(clip)
    assert pictures(clip) == pictures(path)[5:25]
    assert timecode(clip) == "00:59:59;20"
    width = len(samples(path)) // round(48 * 48_000 / FILM.rate)
    begins, ends = (round(frame * 48_000 / FILM.rate) * width for frame in (5, 25))
    assert samples(clip) == samples(path)[begins:ends]
    assert clip.stat().st_size == facts["size"]
    assert os.listdir(tmp_path) == [clip.name]


def test_handles_are_added_and_cut_at_the_film_s_ends(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    facts = drive.facts("clip", "main:scene.mov", "00.59.59,20-01.00.00,10", "--handles", 8, "-o", tmp_path / "c.mov")
    assert (facts["handles"], facts["handles_cut"], facts["count"]) == ([5, 8], True, 33)
    assert pictures(tmp_path / "c.mov") == pictures(path)[:33]


def test_without_a_range_it_says_what_there_is(shoot: tuple[Drive, Path]) -> None:
    drive, _ = shoot
    facts = drive.facts("clip", "main:scene.mov")
    assert (facts["start"], facts["end"], facts["frames"], facts["rate"]) == ("00:59:59;15", "01:00:01;03", 48, "29.97")
    assert drive.filmfs("clip", "main:scene.mov").startswith(
        "00:59:59;15 to 01:00:01;03, 48 frames at 29.97 drop-frame"
    )


def test_a_sidecar_in_the_folder_of_an_archive_says_when_a_film_begins(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    (tmp_path / "card").mkdir()
    film = Film("mjpeg", "yuvj422p", Fraction(24), 12, None, timecode=None).write(tmp_path / "card" / "A001.mov")
    (film.parent / "day.ale").write_text(
        "Heading\nFPS\t24\n\nColumn\nName\tTape\tStart\n\nData\nA001\tR1\t10:00:00:00\n"
    )
    drive.filmfs("add", f"{film.parent}/")
    facts = drive.facts("clip", "main:A001.mov")
    assert (facts["start"], facts["timecode_from"], facts["reel"]) == ("10:00:00:00", "ale", "R1")


def test_explain_says_what_a_clip_is_made_of_and_writes_nothing(shoot: tuple[Drive, Path]) -> None:
    drive, _ = shoot
    said = drive.filmfs("clip", "main:scene.mov", "f107882-f107901", "--explain")
    assert said.startswith("scene@00.59.59,20-01.00.00,10.mov\n")
    assert drive.facts("clip", "main:scene.mov", "00.59.59,20+20f", "--explain")["count"] == 20


@pytest.mark.parametrize(
    ("file", "asked", "says"),
    [
        ("scene.mov", "01:00:00:00-02:00:00:00", "outside the file, which has 00:59:59;15 to 01:00:01;03 at 29.97"),
        ("scene.mov", "01:01:00;00-01:01:10;00", "does not exist"),
        ("scene.mov", "01:00:01;00-01:00:00;00", "ends before it begins"),
        ("scene.mov", "01:00:00;00-01:00:01;00~25", "not ~25"),
        ("scene.mov", "soon", "no range"),
        ("notes.txt", "f0-f1", "no kind of file that filmfs cuts"),
        ("broken.mov", "f0-f1", "no moov"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_the_reason(
    shoot: tuple[Drive, Path], tmp_path: Path, file: str, asked: str, says: str
) -> None:
    done = answer("clip", shoot[0].root, f"main:{file}", asked, "-o", tmp_path / "out.mov")
    assert done.returncode == errors.BadMedia.exit_code
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_a_range_is_said_before_that_it_goes_nowhere(shoot: tuple[Drive, Path]) -> None:
    drive, _ = shoot
    for asked, error in (
        ("01:00:01;03-00:59:59;15", errors.BadTimecode),
        ("00:59:59;15-01:00:01;03~25", errors.BadTimecode),
        ("00:59:59;15-01:00:01;03", errors.Usage),
    ):
        assert answer("clip", drive.root, "main:scene.mov", asked).returncode == error.exit_code


def test_nothing_is_written_over(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    (tmp_path / "out.mov").write_text("mine")
    done = answer("clip", shoot[0].root, "main:scene.mov", "00.59.59,20+2f", "-o", tmp_path / "out.mov")
    assert done.returncode == errors.Exists.exit_code
    assert (tmp_path / "out.mov").read_text() == "mine"
    assert answer("clip", shoot[0].root, "main:scene.mov", "00.59.59,20+2f").returncode == 2


def test_an_mxf_film_goes_to_the_container_that_the_output_is_named_for(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    (tmp_path / "card").mkdir()
    path = FILM.write(tmp_path / "card" / "scene.mxf")
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    (tmp_path / "out").mkdir()
    for target in ("clip.mov", "clip.mxf", "."):
        drive.facts("clip", "main:scene.mxf", "00:59:59;20-01:00:00;10", "-o", tmp_path / "out" / target)
    names = ["clip.mov", "clip.mxf", "scene@00.59.59,20-01.00.00,10.mxf"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    for name in names:
        assert pictures(tmp_path / "out" / name) == pictures(path)[5:25]
        assert timecode(tmp_path / "out" / name) == "00:59:59;20"


def test_a_range_of_an_image_sequence_is_a_directory_of_its_frames(tmp_path: Path) -> None:
    (tmp_path / "card" / "sh010").mkdir(parents=True)
    numbers = [number for number in range(1001, 1021) if number != 1018]
    for number in numbers:
        (tmp_path / "card" / "sh010" / f"sh010.{number}.exr").write_bytes(b"%d" % number * 50)
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    assert drive.filmfs("clip", "main:sh010") == (
        "sh010.%04d.exr: 1001 to 1020, 19 frames, without time code\nmissing: 1018\n"
    )
    facts = drive.facts("clip", "main:sh010", "1011-1013", "--explain")
    assert (facts["first"], facts["last"], facts["count"]) == ("sh010.1011.exr", "sh010.1013.exr", 3)
    drive.filmfs("clip", "main:sh010", "1011-1013", "--handles", 1, "-o", tmp_path)
    written = sorted((tmp_path / "sh010@1011-1013+1").iterdir())
    assert [path.name for path in written] == [f"sh010.{number}.exr" for number in range(1010, 1015)]
    for path in written:
        assert path.read_bytes() == (tmp_path / "card" / "sh010" / path.name).read_bytes()
    for asked, says in (("1017-1019", "missing: 1018"), ("900-1001", "has 1001 to 1020"), ("1,2", "no range")):
        done = answer("clip", drive.root, "main:sh010", asked, "--explain")
        assert done.returncode == errors.BadTimecode.exit_code
        assert says in done.stderr
    again = answer("clip", drive.root, "main:sh010", "1011-1013+1", "-o", tmp_path)
    assert again.returncode == errors.Exists.exit_code
    assert "cut at the sequence's ends" in drive.filmfs("clip", "main:sh010", "1002-1005", "--handles", 3, "--explain")


def test_where_it_goes_must_be_a_film_of_its_kind_or_a_directory(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    whole = "00:59:59;15-01:00:01;03"
    for arguments in ([whole, "-o", tmp_path / "clip.txt"], [whole, "-o", tmp_path / "clip.wav"], ["-o", tmp_path]):
        done = answer("clip", drive.root, "main:scene.mov", *arguments)
        assert done.returncode == errors.Usage.exit_code
    assert os.listdir(tmp_path) == []
