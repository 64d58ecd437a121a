"""Folders on the mount that are made of files: the clips of a cut list, and ranges of image sequences."""

import errno
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.drive import Drive
from tests.footage import Film, pictures, samples, timecode
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

EDL = """TITLE: the cut
FCM: NON-DROP FRAME

001  A001     V     C        01:00:00:00 01:00:01:00 01:00:00:00 01:00:01:00
* FROM CLIP NAME: A001.mov
002  BL       V     C        00:00:00:00 00:00:00:12 01:00:01:00 01:00:01:12
003  AX       V     C        00:00:00:10 00:00:00:20 01:00:01:12 01:00:01:22
* FROM CLIP NAME: B002.mp4
004  NOPE     V     C        01:00:00:00 01:00:01:00 01:00:01:22 01:00:02:22
005  A001     A     C        01:00:00:12 01:00:01:12 01:00:00:00 01:00:01:00
006  A001     V     C        02:00:00:12 02:00:01:12 01:00:00:00 01:00:01:00
"""


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films as they come from cameras."""
    card = tmp_path_factory.mktemp("card")
    Film(frames=48).write(card / "A001.mov")
    Film(frames=48, video="mjpeg", pixels="yuvj422p").write(card / "again.mov")
    Film("libx264", "yuv420p", frames=50, sound="aac", timecode=None, video_options={"g": "25"}).write(
        card / "B002.mp4"
    )
    return card


@pytest.fixture
def cutting(tmp_path: Path) -> Iterator[Drive]:
    """A mount whose clips of cut lists have two frames more on both sides."""
    with Drive(tmp_path).soundly("-o", "handles=2") as drive:
        yield drive


@pytest.fixture
def room(cutting: Drive, card: Path) -> Path:
    """A branch with two films and a list of six events."""
    (cutting.main / "day1").mkdir()
    shutil.copy(card / "A001.mov", cutting.main / "day1")
    shutil.copy(card / "B002.mp4", cutting.main)
    (cutting.main / "cut.edl").write_text(EDL)
    return cutting.main


def test_a_cut_list_is_a_folder_of_its_events_in_their_order_with_handles(room: Path, card: Path) -> None:
    folder = room / "cut.edl@clips"
    assert os.listdir(folder) == ["001_A001.mov", "003_B002.mp4", "005_A1_A001.mov", "REPORT.txt"]
    first, second = pictures(card / "A001.mov"), pictures(card / "B002.mp4")
    assert pictures(folder / "001_A001.mov") == first[0:26]
    assert pictures(folder / "003_B002.mp4") == second[8:22]
    assert pictures(folder / "005_A1_A001.mov") == first[10:38]
    assert b"handles 0 before and 2 after, cut" in os.getxattr(folder / "001_A001.mov", "user.filmfs.range")
    assert os.getxattr(folder / "001_A001.mov", "user.filmfs.source") == b"main:day1/A001.mov"
    assert os.getxattr(folder, "user.filmfs.source") == b"main:cut.edl"


def test_the_report_says_what_became_of_each_event(room: Path) -> None:
    report = (room / "cut.edl@clips" / "REPORT.txt").read_text()
    assert report.startswith("cut.edl: 6 events, 3 clips, 2 without their film\ntitle: the cut\n")
    for line in (
        "record: 01:00:00:00 to 01:00:02:22 at 24 frames a second",
        "002  01:00:01:00-01:00:01:12  no clip: black",
        "004  01:00:01:22-01:00:02:22  no clip: nothing is called 'NOPE'",
        "006  01:00:00:00-01:00:01:00  no clip: the range is outside the file, which has 01:00:00:00 to 01:00:02:00",
    ):
        assert line in report


def test_what_is_added_or_replaced_shows_in_the_folder(room: Path, card: Path) -> None:
    folder = room / "cut.edl@clips"
    assert "004_NOPE.mov" not in os.listdir(folder)
    shutil.copy(card / "A001.mov", room / "NOPE.mov")
    assert "004_NOPE.mov" in os.listdir(folder)
    clip = folder / "001_A001.mov"
    with clip.open("rb") as opened:
        before = clip.read_bytes()
        shutil.copy(card / "again.mov", room / "day1" / "A001.mov")
        assert pictures(clip) == pictures(card / "again.mov")[0:26]
        assert opened.read() == before
    (room / "cut.edl").write_text("\n".join(EDL.splitlines()[:4]))
    assert os.listdir(folder) == ["001_A001.mov", "REPORT.txt"]
    os.unlink(room / "cut.edl")
    fails(errno.ENOENT, os.listdir, folder)


def test_a_list_s_folder_is_not_listed_and_cannot_be_changed(room: Path) -> None:
    folder = room / "cut.edl@clips"
    assert sorted(os.listdir(room)) == ["B002.mp4", "cut.edl", "day1"]
    assert sorted(os.listdir(folder / "..")) == ["B002.mp4", "cut.edl", "day1"]
    for change in (
        lambda: (folder / "new").touch(),
        lambda: (folder / "new").mkdir(),
        lambda: os.rmdir(folder),
        lambda: os.unlink(folder / "001_A001.mov"),
        lambda: os.rename(folder / "001_A001.mov", room / "mine.mov"),
        lambda: os.rename(room / "B002.mp4", folder / "mine.mp4"),
    ):
        fails(errno.EROFS, change)
    shutil.rmtree(room / "day1")
    assert os.listdir(folder) == ["003_B002.mp4", "REPORT.txt"]


@pytest.mark.parametrize("name", ["nope.edl@clips", "cut.edl@clips/nope", "cut.edl@clip", "B002.mp4@clips", "@clips"])
def test_what_cannot_be_is_not_there(room: Path, name: str) -> None:
    fails(errno.ENOENT, os.stat, room / name)


def test_what_is_no_cut_list_has_no_folder(room: Path) -> None:
    (room / "noise.edl").write_bytes(bytes(range(256)) * 8)
    (room / "folder.edl").mkdir()
    (room / "empty.edl").touch()
    for name in ("noise", "folder", "empty"):
        fails(errno.ENOENT, os.stat, room / f"{name}.edl@clips")


def test_a_folder_s_clips_can_be_copied_out(room: Path, tmp_path: Path, card: Path) -> None:
    shutil.copytree(room / "cut.edl@clips", tmp_path / "out")
    assert pictures(tmp_path / "out" / "001_A001.mov") == pictures(card / "A001.mov")[0:26]
    shutil.copytree(room / "cut.edl@clips", room / "kept")
    assert pictures(room / "kept" / "001_A001.mov") == pictures(card / "A001.mov")[0:26]


@pytest.mark.parametrize("name", ["sh010", "loose"])
def test_a_range_of_a_sequence_is_a_directory_of_the_frames_themselves(work: Path, name: str) -> None:
    frames = work / name if name == "sh010" else work
    frames.mkdir(exist_ok=True)
    for number in range(1001, 1021):
        (frames / f"{name}.{number}.exr").write_bytes(b"%d" % number * 100)
    folder = work / f"{name}@1011-1013"
    assert os.listdir(folder) == [f"{name}.{number}.exr" for number in (1011, 1012, 1013)]
    for frame in folder.iterdir():
        assert frame.read_bytes() == (frames / frame.name).read_bytes()
        assert frame.stat().st_ino == (frames / frame.name).stat().st_ino
    assert len(os.listdir(work / f"{name}@f1001-f1020")) == 20
    for beyond in ("1000-1010", "1011-1021", "01000000-01000010"):  # the last by time code, of which they say none
        fails(errno.ENOENT, os.stat, work / f"{name}@{beyond}")
    os.unlink(frames / f"{name}.1012.exr")
    fails(errno.ENOENT, os.listdir, folder)  # who asks for three frames shall not get two


PROGRAMME = """TITLE: programme
FCM: NON-DROP FRAME

001  A001     V     C        01:00:00:00 01:00:00:10 10:00:00:00 10:00:00:10
* FROM CLIP NAME: A001.mov
002  A001     B     C        01:00:01:00 01:00:01:20 10:00:00:10 10:00:01:06
003  A001     V     C        01:00:00:05 01:00:00:09 10:00:01:06 10:00:01:10
"""


def test_a_cut_list_is_a_movie_in_record_order(room: Path, card: Path) -> None:
    (room / "programme.edl").write_text(PROGRAMME)
    movie = room / "programme.edl@conform.mov"
    whole = pictures(card / "A001.mov")
    assert pictures(movie) == whole[0:10] + whole[24:44] + whole[5:9]
    assert timecode(movie) == "10:00:00:00"
    width = len(samples(card / "A001.mov")) // (48 * 2000)
    heard = samples(movie)
    assert heard == bytes(10 * 2000 * width) + samples(card / "A001.mov")[
        24 * 2000 * width : 44 * 2000 * width
    ] + bytes(4 * 2000 * width)
    assert os.getxattr(movie, "user.filmfs.source") == b"main:programme.edl"
    assert "conformed movie: is there" in (room / "programme.edl@clips" / "REPORT.txt").read_text()
    shutil.copy(card / "again.mov", room / "day1" / "A001.mov")
    again = pictures(card / "again.mov")
    assert pictures(movie) == again[0:10] + again[24:44] + again[5:9]


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("003  A001     V     C   ", "003  A001     V     D 008", "event 003 begins with a dissolve"),
        ("10:00:01:06 10:00:01:10", "10:00:01:07 10:00:01:11", "event 003 has 1 frames of nothing before it"),
        ("00:05 01:00:00:09", "00:05 01:00:00:10", "event 003 has 5 frames of its film for 4 of the record"),
        ("003  A001", "003  BL  ", "event 003 is black"),
        ("003  A001", "003  Z999", "event 003 has no film"),
        ("002  A001     B ", "002  A001     A2", "event 003 has 20 frames of nothing before it"),
        ("003  A001", "M2   A001       048.0                01:00:01:00\n003  A001", "002 is shown at another speed"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_movie_is_not_there_and_the_report_says_why(
    room: Path, before: str, after: str, says: str
) -> None:
    assert before in PROGRAMME
    (room / "programme.edl").write_text(PROGRAMME.replace(before, after))
    fails(errno.ENOENT, os.stat, room / "programme.edl@conform.mov")
    report = (room / "programme.edl@clips" / "REPORT.txt").read_text()
    assert "conformed movie: none, because" in report
    assert says in report


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[Drive]:
    """A mount that other users see."""
    if os.getuid() != 0:
        pytest.skip("only root can be several users")
    drive = Drive(tmp_path)
    drive.start("-o", "allow_other")
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o055)
    try:
        yield drive
    finally:
        drive.stop()


def as_nobody(*command: str | Path) -> int:
    """How a command ends for somebody else."""
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command], capture_output=True, check=False
    )
    return done.returncode


def test_a_list_leads_nobody_to_films_that_he_cannot_reach(shared: Drive, card: Path) -> None:
    room, private = shared.main, shared.main / "private"
    private.mkdir()
    shutil.copy(card / "A001.mov", private)
    (room / "programme.edl").write_text(PROGRAMME)
    (room / "programme.edl").chmod(0o644)
    (private / "A001.mov").chmod(0o644)
    reading = [
        room / "programme.edl@clips" / "001_A001.mov",
        room / "programme.edl@clips" / "REPORT.txt",
        room / "programme.edl@conform.mov",
    ]
    shared.main.chmod(0o755)
    for mode, may in ((0o755, True), (0o700, False), (0o711, True), (0o705, False)):
        private.chmod(mode)
        assert [as_nobody("cat", path) == 0 for path in reading] == [may] * 3, oct(mode)
    private.chmod(0o755)
    for mode, may in ((0o640, False), (0o644, True)):
        (private / "A001.mov").chmod(mode)
        direct = private / "A001@01.00.00.00-01.00.00.10.mov"
        assert [as_nobody("cat", path) == 0 for path in (*reading, direct)] == [may] * 4, oct(mode)
        assert (
            as_nobody(
                "python3", "-c", f"import os; os.getxattr({str(private / 'A001.mov')!r}, 'user.filmfs.timecode.start')"
            )
            == 0
        ) == may


def test_a_directory_that_cannot_be_entered_cannot_be_entered_as_a_sequence_either(shared: Drive) -> None:
    frames = shared.main / "sh010"
    frames.mkdir()
    for number in range(1001, 1011):
        (frames / f"sh010.{number}.exr").write_bytes(b"frame")
    shared.main.chmod(0o755)
    folder = shared.main / "sh010@1001-1003"
    for mode, may in ((0o755, True), (0o700, False)):
        frames.chmod(mode)
        assert (as_nobody("cat", folder / "sh010.1001.exr") == 0) == may
        assert (as_nobody("ls", folder) == 0) == may


def test_files_with_numbers_are_no_sequence_of_another_name(work: Path) -> None:
    (work / "invoice_1.pdf").write_bytes(b"bill")
    (work / "frame_1.exr").write_bytes(b"frame")
    for name in ("backup@1-1", "invoice@1-1", "..@1-2", ".@f0-f9"):
        fails(errno.ENOENT, os.stat, work / name)
    assert os.listdir(work / "frame@1-1") == ["frame_1.exr"]
    (work / "backup@1-1").mkdir()


ACCENTED = "Sz\N{LATIN SMALL LETTER E WITH ACUTE}ne.mov"


def test_a_folder_s_files_are_found_under_any_normalisation(room: Path, card: Path) -> None:
    shutil.copy(card / "A001.mov", room / unicodedata.normalize("NFD", ACCENTED))
    event = "001  AX V C 01:00:00:00 01:00:01:00 01:00:00:00 01:00:01:00"
    (room / "accent.edl").write_text(f"{event}\n* FROM CLIP NAME: {ACCENTED}\n")
    for form in ("NFC", "NFD"):
        clip = room / "accent.edl@clips" / unicodedata.normalize(form, f"001_{ACCENTED}")
        assert pictures(clip) == pictures(card / "A001.mov")[0:26]


def test_reports_of_a_list_that_is_saved_again_and_again_are_those_of_now(room: Path) -> None:
    for number in range(5):
        (room / "cut.edl").write_text(EDL.replace("the cut", f"version {number}"))
        assert f"title: version {number}" in (room / "cut.edl@clips" / "REPORT.txt").read_text()
