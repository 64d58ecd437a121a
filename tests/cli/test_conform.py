"""`filmfs conform` as a person uses it."""

import json
import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.core import errors
from filmfs.cutlists.cmx3600 import read_edl
from tests.drive import Drive, answer
from tests.footage import Film, pictures, samples, timecode
from tests.media.test_waves import wave

RATE = Fraction(24)
EDL = """TITLE: the cut
FCM: NON-DROP FRAME

001  A001     V     C        01:00:00:00 01:00:00:10 10:00:00:00 10:00:00:10
* FROM CLIP NAME: A001.mov
002  A001     B     C        01:00:01:00 01:00:01:20 10:00:00:10 10:00:01:06
003  A001     V     C        01:00:00:05 01:00:00:09 10:00:01:06 10:00:01:10
"""
NAMES = ("A001_S000", "A001_S001", "T001_S000")
LACKING = EDL + "004  B777     V     C        01:00:00:05 01:00:00:09 10:00:01:10 10:00:01:14\n"


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drive, Path]:
    """An archive with a film of 48 frames and lists that mean it, and the film as it was."""
    directory = tmp_path_factory.mktemp("shoot")
    drive = Drive(directory)
    (directory / "card" / "day 1").mkdir(parents=True)
    path = Film(frames=48).write(directory / "card" / "day 1" / "A001.mov")
    lists = {
        "cut": EDL,
        "lacking": LACKING,
        "dissolve": EDL.replace("003  A001     V     C   ", "003  A001     V     D 002"),
    }
    for name, text in lists.items():
        (directory / "card" / f"{name}.edl").write_text(text)
    (directory / "card" / "noise.edl").write_bytes(bytes(range(256)))
    drive.filmfs("add", f"{directory / 'card'}/")
    return drive, path


def test_to_a_directory_go_the_stretches_that_are_used_and_lists_that_are_linked_to_them(
    shoot: tuple[Drive, Path], tmp_path: Path
) -> None:
    drive, path = shoot
    facts = drive.facts("conform", "main:cut.edl", "-o", tmp_path / "media", "--handles", 3)
    assert [(file["name"], file["frames"], file["events"]) for file in facts["files"]] == [
        ("A001_S000.mov", 13, 2),
        ("A001_S001.mov", 26, 1),
    ]
    assert sorted(os.listdir(tmp_path / "media")) == [
        "A001_S000.mov",
        "A001_S001.mov",
        "REPORT.txt",
        "cut.edl",
        "cut.otio",
    ]
    whole = pictures(path)
    assert pictures(tmp_path / "media" / "A001_S000.mov") == whole[0:13]
    assert pictures(tmp_path / "media" / "A001_S001.mov") == whole[21:47]
    assert timecode(tmp_path / "media" / "A001_S001.mov") == "01:00:00:21"
    linked, before = read_edl((tmp_path / "media" / "cut.edl").read_bytes()), read_edl(EDL)
    assert [event.clip_name for event in linked.events] == ["A001_S000.mov", "A001_S001.mov", "A001_S000.mov"]
    assert [(e.source, e.record) for e in linked.events] == [(e.source, e.record) for e in before.events]
    timeline = json.loads((tmp_path / "media" / "cut.otio").read_text())
    clip = timeline["tracks"]["children"][0]["children"][1]
    assert clip["source_range"]["start_time"]["value"] == 24 * 3600 + 24
    reference = next(iter(clip["media_references"].values()))
    assert (reference["target_url"], reference["available_range"]["start_time"]["value"]) == ("A001_S001.mov", 86421)


def test_the_linked_list_and_its_media_are_again_what_the_list_was(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    drive.filmfs("conform", "main:cut.edl", "-o", tmp_path / "media", "--handles", 3)
    other = Drive(tmp_path / "other")
    other.filmfs("add", f"{tmp_path / 'media'}/")
    other.filmfs("conform", "main:cut.edl", "-o", tmp_path / "again.mov")
    whole = pictures(path)
    assert pictures(tmp_path / "again.mov") == whole[0:10] + whole[24:44] + whole[5:9]


def test_to_a_file_goes_the_programme_in_record_order(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    facts = drive.facts("conform", "main:cut.edl", "-o", tmp_path / "programme.mov")
    whole = pictures(path)
    assert pictures(tmp_path / "programme.mov") == whole[0:10] + whole[24:44] + whole[5:9]
    assert timecode(tmp_path / "programme.mov") == "10:00:00:00"
    assert len(samples(tmp_path / "programme.mov")) == len(samples(path)) * 34 // 48
    assert facts["size"] == (tmp_path / "programme.mov").stat().st_size


def test_what_has_no_media_is_named_and_the_rest_is_done(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    done = answer("conform", drive.root, "main:lacking.edl", "-o", tmp_path / "media")
    assert done.returncode == errors.LeftOut.exit_code
    assert "event 004" in done.stdout + done.stderr
    assert "nothing is called 'B777'" in done.stdout + done.stderr
    assert len(list((tmp_path / "media").glob("*.mov"))) == 2


def test_a_film_that_is_cut_off_stops_no_other_event(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    torn = Film(frames=48, options={"movflags": "faststart"}).write(tmp_path / "T001.mov")
    os.truncate(torn, torn.stat().st_size * 6 // 10)
    (tmp_path / "torn.edl").write_text(
        EDL + "004  T001     V     C        01:00:00:05 01:00:00:09 10:00:01:10 10:00:01:14\n"
        "005  T001     V     C        01:00:01:20 01:00:02:00 10:00:01:14 10:00:01:18\n"
    )
    drive.filmfs("add", str(torn), str(tmp_path / "torn.edl"))
    done = answer("conform", drive.root, "main:torn.edl", "-o", tmp_path / "media")
    assert done.returncode == errors.LeftOut.exit_code
    assert "event 005" in done.stdout
    assert "T001.mov: the file ends before these frames" in done.stdout
    assert {each.name for each in (tmp_path / "media").glob("*.mov")} == {f"{name}.mov" for name in NAMES}
    explained, report = drive.filmfs("conform", "main:torn.edl", "--explain"), tmp_path / "media" / "REPORT.txt"
    for told in (explained, report.read_text()):
        assert told.startswith("torn.edl: 5 events, 4 clips, 1 without their film")
    assert all(f"{name}.mov" in report.read_text() for name in NAMES)
    assert "--render" not in answer("conform", drive.root, "main:torn.edl", "-o", tmp_path / "torn.mov").stderr


def test_a_list_without_events_is_refused_and_what_is_odd_in_one_is_told(
    shoot: tuple[Drive, Path], tmp_path: Path
) -> None:
    drive, _ = shoot
    (tmp_path / "bare.edl").write_text("TITLE: nothing\n")
    (tmp_path / "odd.edl").write_text(EDL + "what is this\n")
    drive.filmfs("add", str(tmp_path / "bare.edl"), str(tmp_path / "odd.edl"))
    done = answer("conform", drive.root, "main:bare.edl", "-o", tmp_path / "bare")
    assert (done.returncode, done.stdout) == (errors.BadCutList.exit_code, "")
    assert "main:bare.edl has no events" in done.stderr
    assert "note: line 8: not understood: what is this" in drive.filmfs(
        "conform", "main:odd.edl", "-o", tmp_path / "odd.mov"
    )
    assert drive.facts("conform", "main:odd.edl", "-o", tmp_path / "odd")["notes"]


def test_what_cannot_be_one_movie_is_refused_with_the_event(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    for name, says in (("lacking", "event 004 has no film"), ("dissolve", "event 003 begins with a dissolve")):
        done = answer("conform", drive.root, f"main:{name}.edl", "-o", tmp_path / "movie.mov")
        assert done.returncode == errors.BadMedia.exit_code
        assert says in done.stderr
        assert not (tmp_path / "movie.mov").exists()
        assert says in drive.filmfs("conform", f"main:{name}.edl", "--explain")


def test_what_conform_cannot_do_with_its_options_is_said(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    (tmp_path / "file").write_text("mine")
    for arguments, error, says in (
        (["-o", tmp_path / "m.mov", "--handles", 3], errors.Usage, "no handles"),
        (["-o", tmp_path / "file"], errors.Exists, "is a file; say a directory"),
    ):
        done = answer("conform", drive.root, "main:cut.edl", *arguments)
        assert done.returncode == error.exit_code
        assert says in done.stderr
    assert os.listdir(tmp_path) == ["file"]


def test_explain_writes_nothing_and_says_what_each_event_is(shoot: tuple[Drive, Path]) -> None:
    drive, _ = shoot
    facts = drive.facts("conform", "main:cut.edl", "--explain", "--handles", 2)
    assert [event["path"] for event in facts["events"]] == ["day 1/A001.mov"] * 3
    assert facts["events"][1] | {"found_by": None} == {
        "number": "002",
        "line": 6,
        "clip": "002_A001.mov",
        "path": "day 1/A001.mov",
        "found_by": None,
        "first_frame": 22,
        "frames": 24,
        "handles": [2, 2],
        "reason": None,
    }
    assert (facts["rate"], facts["no_conform_because"]) == ("24", None)


def test_nothing_that_is_there_is_written_over(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, _ = shoot
    (tmp_path / "A001_S001.mov").write_text("mine")
    (tmp_path / "m.mov").write_text("mine")
    for target in (tmp_path, tmp_path / "m.mov"):
        done = answer("conform", drive.root, "main:cut.edl", "-o", target)
        assert done.returncode == errors.Exists.exit_code
    assert sorted(os.listdir(tmp_path)) == ["A001_S001.mov", "m.mov"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["main:noise.edl", "--explain"], errors.BadCutList),
        (["main:day 1", "--explain"], errors.IsADirectory),
        (["main:day 1/A001.mov", "--explain"], errors.BadCutList),
        (["main:nope.edl", "--explain"], errors.NotFound),
        (["main:cut.edl"], errors.Usage),
        (["main:cut.edl", "-o", "movie.mp4"], errors.Usage),
        (["main:cut.edl", "--render", "-o", "directory"], errors.Usage),
        (["main:cut.edl", "--explain", "--rate", "23"], None),
        (["main:cut.edl", "--explain", "--rate", "many"], errors.BadTimecode),
    ],
)
def test_bad_input_is_told_in_a_sentence(
    shoot: tuple[Drive, Path], arguments: list[str], error: type[errors.FilmFSError] | None
) -> None:
    done = answer("conform", shoot[0].root, *arguments)
    assert done.returncode == (0 if error is None else error.exit_code), done.stderr
    assert done.stderr.startswith("filmfs: ") or error is None


def test_what_cannot_be_of_the_films_own_bytes_can_be_rendered(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    text = (
        "TITLE: all\n"
        "001  A001     B     C        01:00:00:00 01:00:00:10 10:00:00:00 10:00:00:10\n"
        "002  A001     V     C        01:00:00:10 01:00:00:10 10:00:00:10 10:00:00:10\n"
        "002  A001     V     D 004    01:00:01:00 01:00:01:08 10:00:00:10 10:00:00:18\n"
        "003  BL       V     C        00:00:00:00 00:00:00:03 10:00:00:18 10:00:00:21\n"
        "004  A001     V     C        01:00:00:04 01:00:00:12 10:00:00:21 10:00:01:01\n"
        "M2   A001       048.0                01:00:00:04\n"
    )
    (tmp_path / "all.edl").write_text(text)
    drive.filmfs("add", tmp_path / "all.edl")
    facts = drive.facts("conform", "main:all.edl", "--render", "-o", tmp_path / "all.mov")
    assert facts["frames"] == 25
    assert timecode(tmp_path / "all.mov") == "10:00:00:00"
    shown = _luma(tmp_path / "all.mov")
    source = _luma(path)
    for at, frame in [*((n, n) for n in range(10)), *((14 + n, 28 + n) for n in range(4))]:
        assert _nearest(shown[at], source) == frame
    assert all(max(frame) < 80 for frame in shown[18:21])  # black, of ten bits
    assert [_nearest(frame, source) for frame in shown[21:25]] == [4, 6, 8, 10]


def _luma(path: Path) -> list[list[int]]:
    """A row of each picture, ten bits."""
    with av.open(str(path)) as container:
        frames = [frame.reformat(format="yuv422p10le") for frame in container.decode(video=0)]
    return [list(memoryview(bytes(frame.planes[0])[: 2 * frame.width]).cast("H")) for frame in frames]


def _nearest(row: list[int], rows: list[list[int]]) -> int:
    return min(range(len(rows)), key=lambda at: sum(abs(a - b) for a, b in zip(row, rows[at], strict=True)))


def test_sound_of_a_recorder_is_heard_to_the_sample(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    film = Film(frames=48, rate=Fraction(30000, 1001), timecode="01:00:00;00").write(tmp_path / "card" / "A001.mov")
    # The recorder began 700 samples before the film's first frame, inside a frame.
    reference = round(107_892 * 48_000 * Fraction(1001, 30000)) - 700
    _, noise = wave(tmp_path / "card" / "SC12.wav", 3, reference=reference, width=3)
    edl = (
        "TITLE: sound\nFCM: DROP FRAME\n"
        "001  A001     V     C        01:00:00;05 01:00:00;25 10:00:00;00 10:00:00;20\n"
        "002  SC12     A     C        01:00:00;08 01:00:00;18 10:00:00;03 10:00:00;13\n"
    )
    (tmp_path / "card" / "sound.edl").write_text(edl)
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    drive.filmfs("conform", "main:sound.edl", "-o", tmp_path / "sound.mov")
    drive.filmfs("conform", "main:sound.edl", "--render", "-o", tmp_path / "rendered.mov")
    assert pictures(tmp_path / "sound.mov") == pictures(film)[5:25]

    def at(frame: int) -> int:
        return round(frame * 48_000 * Fraction(1001, 30000))

    begins = at(107_892 + 8) - reference
    expected = bytearray(4 * at(20))
    for number in range(at(13) - at(3)):
        sample = begins + number
        expected[4 * (at(3) + number) + 1 : 4 * (at(3) + number) + 4] = noise[3 * sample : 3 * sample + 3]
    assert samples(tmp_path / "sound.mov") == bytes(expected)
    assert samples(tmp_path / "rendered.mov") == bytes(expected)
    (event,) = (
        event for event in drive.facts("conform", "main:sound.edl", "--explain")["events"] if event["line"] == 4
    )
    assert event["clip"] == "002_A1_SC12.wav"


def test_a_dissolve_may_come_from_a_picture_that_was_not_before_it(shoot: tuple[Drive, Path], tmp_path: Path) -> None:
    drive, path = shoot
    text = (
        "001  A001     V     C        01:00:00:00 01:00:00:04 10:00:00:00 10:00:00:04\n"
        "002  A001     V     C        01:00:01:06 01:00:01:06 10:00:00:04 10:00:00:04\n"
        "002  A001     V     D 008    01:00:00:10 01:00:00:20 10:00:00:04 10:00:00:14\n"
    )
    (tmp_path / "apart.edl").write_text(text)
    drive.filmfs("add", tmp_path / "apart.edl")
    drive.filmfs("conform", "main:apart.edl", "--render", "-o", tmp_path / "apart.mov")
    shown, source = _luma(tmp_path / "apart.mov"), _luma(path)
    for at, frame in ((3, 3), (4, 30), (11, 17), (13, 19)):
        assert _nearest(shown[at], source) == frame
