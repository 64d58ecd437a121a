"""Clips on the mount: names beside a film, found and not listed, that lead to its own frames."""

import errno
import os
import shutil
from fractions import Fraction
from pathlib import Path

import pytest

from filmfs.store.composing import is_possible
from tests.drive import Drive, run, wait_until
from tests.footage import Film, pictures, samples, timecode
from tests.mount.sealed import seal
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

FILM = Film(frames=48, rate=Fraction(30000, 1001), timecode="00:59:59;15")
RANGE = "00.59.59,20-01.00.00,10"
WHOLE = "00.59.59,15-01.00.01,03"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films as they come from a camera."""
    card = tmp_path_factory.mktemp("card")
    FILM.write(card / "scene.mov")
    Film(frames=48, rate=Fraction(30000, 1001), timecode="00:59:59;15", video="mjpeg", pixels="yuvj422p").write(
        card / "other.mov"
    )
    Film("libx264", "yuv420p", Fraction(25), 50, "aac", timecode=None, video_options={"g": "25"}).write(
        card / "phone.mp4"
    )
    return card


@pytest.fixture
def shoot(work: Path, card: Path) -> Path:
    """A directory with `scene.mov` in it."""
    shutil.copy(card / "scene.mov", work)
    return work


def test_a_range_of_a_film_is_a_file_beside_it(shoot: Path, card: Path) -> None:
    clip = shoot / f"scene@{RANGE}.mov"
    assert pictures(clip) == pictures(card / "scene.mov")[5:25]
    assert timecode(clip) == "00:59:59;20"
    width = len(samples(card / "scene.mov")) // round(48 * 48_000 / FILM.rate)
    begins, ends = (round(frame * 48_000 / FILM.rate) * width for frame in (5, 25))
    assert samples(clip) == samples(card / "scene.mov")[begins:ends]


def test_it_takes_no_room_and_is_not_listed(drive: Drive, shoot: Path) -> None:
    clip, before = shoot / f"scene@{RANGE}.mov", _stored(drive)
    assert len(clip.read_bytes()) == clip.stat().st_size > 1 << 16
    assert _stored(drive) == before
    assert os.listdir(shoot) == ["scene.mov"]
    assert clip.stat().st_mtime_ns == (shoot / "scene.mov").stat().st_mtime_ns


@pytest.mark.parametrize(
    "spelled",
    [
        "00:59:59;20-01:00:00;10",
        "00.59.59.20-01.00.00.10",
        "00595920-01000010",
        "00.59.59,20+20f",
        f"f{59 * 60 * 30 + 59 * 30 + 20 - 108}+20f",
        f"{RANGE}~2997",
        f"{WHOLE}@{RANGE}",
    ],
)
def test_other_spellings_lead_to_the_same_bytes(shoot: Path, spelled: str) -> None:
    assert (shoot / f"scene@{spelled}.mov").read_bytes() == (shoot / f"scene@{RANGE}.mov").read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "scene@01.00.00,00-01.00.00,00.mov",  # empty
        "scene@01.00.00,10-00.59.59,20.mov",  # ends before it begins
        "scene@00.59.00,00-01.00.00,00.mov",  # outside the film
        f"scene@{RANGE}~25.mov",  # another rate
        "scene@01.01.00,00-01.01.00,10.mov",  # no such label
        f"scene@{RANGE}",  # no kind of file
        f"scene@{RANGE}.wav",  # another kind than the film
        f"scene@{RANGE}@{WHOLE}.mov",  # outside the clip
        f"nothing@{RANGE}.mov",
        "scene@.mov",
        "scene@\N{SNOWMAN}.mov",
    ],
)
def test_what_cannot_be_is_not_there(shoot: Path, name: str) -> None:
    fails(errno.ENOENT, os.stat, shoot / name)


def test_handles_are_added_and_cut_at_the_film_s_ends_and_the_range_says_so(shoot: Path, card: Path) -> None:
    clip = shoot / f"scene@{RANGE}+8-3.mov"
    assert pictures(clip) == pictures(card / "scene.mov")[:28]
    said = os.getxattr(clip, "user.filmfs.range").decode()
    assert said.startswith("00:59:59;15-01:00:00;13 ")
    assert "handles 5 before and 3 after, cut at the film's ends" in said


def test_attributes_say_what_a_clip_is_of(drive: Drive, shoot: Path) -> None:
    clip = shoot / f"scene@{RANGE}.mov"
    told = {
        "source": f"main:{shoot.name}/scene.mov",
        "virtual": "1",
        "accuracy": "exact",
        "timecode.start": "00:59:59;20",
        "timecode.rate": "30000/1001",
        "timecode.drop": "1",
        "timecode.from": "tmcd",
        "frames": "20",
    }
    for name, value in told.items():
        assert os.getxattr(clip, f"user.filmfs.{name}").decode() == value
    assert os.listxattr(clip) == []


def test_a_clip_cannot_be_changed(shoot: Path) -> None:
    clip = shoot / f"scene@{RANGE}.mov"
    for change in (
        lambda: os.open(clip, os.O_WRONLY),
        lambda: os.open(clip, os.O_RDWR),
        lambda: os.truncate(clip, 0),
        lambda: os.chmod(clip, 0o600),
        lambda: os.unlink(clip),
        lambda: os.rename(clip, shoot / "mine.mov"),
        lambda: os.setxattr(clip, "user.note", b"mine"),
        lambda: os.utime(clip),
    ):
        fails(errno.EROFS, change)
    assert clip.stat().st_mode & 0o222 == 0


def test_a_real_file_of_that_name_wins(shoot: Path) -> None:
    name = shoot / f"scene@{RANGE}.mov"
    assert name.stat().st_size > 10
    (shoot / "real").write_bytes(b"real bytes")
    os.rename(shoot / "real", name)
    assert name.read_bytes() == b"real bytes"
    os.unlink(name)
    assert name.stat().st_size > 10


def test_the_film_with_the_same_suffix_is_meant_or_the_only_one(shoot: Path, card: Path) -> None:
    shutil.copy(card / "phone.mp4", shoot / "scene.mp4")
    shutil.copy(card / "phone.mp4", shoot / "phone.MP4")
    assert pictures(shoot / f"scene@{RANGE}.mov") == pictures(card / "scene.mov")[5:25]
    phone = pictures(card / "phone.mp4")
    assert pictures(shoot / "scene@00.00.00.05-00.00.01.00.mp4") == phone[5:25]
    assert pictures(shoot / "phone@00.00.00.05-00.00.01.00.mp4") == phone[5:25]
    assert pictures(shoot / "phone.MP4@00.00.00.05-00.00.01.00.mp4") == phone[5:25]
    assert os.getxattr(shoot / "phone@00.00.00.05-00.00.01.00.mp4", "user.filmfs.timecode.from") == b"none"
    os.unlink(shoot / "scene.mov")
    shutil.copy(card / "scene.mov", shoot / "scene.qt")
    fails(errno.ENOENT, os.stat, shoot / "scene@f0-f9.m4v")  # scene.mp4 or scene.qt?


def test_a_name_with_an_at_is_split_at_the_last_one(work: Path, card: Path) -> None:
    shutil.copy(card / "scene.mov", work / "me@home@2.mov")
    assert pictures(work / f"me@home@2@{RANGE}.mov") == pictures(card / "scene.mov")[5:25]


def test_who_has_a_clip_open_reads_what_it_was_of_and_the_next_look_up_sees_the_new_film(
    shoot: Path, card: Path
) -> None:
    clip = shoot / f"scene@{RANGE}.mov"
    before = clip.read_bytes()
    with clip.open("rb") as opened:
        shutil.copyfile(card / "other.mov", shoot / "scene.mov")
        assert opened.read() == before
        assert pictures(clip) == pictures(card / "other.mov")[5:25]
        opened.seek(0)
        assert opened.read() == before
    os.unlink(shoot / "scene.mov")
    fails(errno.ENOENT, os.stat, clip)


def test_a_film_that_is_being_written_has_no_clips_yet(shoot: Path) -> None:
    with (shoot / "scene.mov").open("r+b") as writing:
        writing.seek(0, os.SEEK_END)
        writing.write(b"more")
        writing.flush()
        # The name is not said to be missing: it only is not ready.
        fails(errno.EBUSY, os.stat, shoot / f"scene@{RANGE}.mov")


def test_a_copy_of_a_clip_takes_next_to_no_room(drive: Drive, work: Path, tmp_path: Path) -> None:
    path = Film(frames=480, video="mjpeg", pixels="yuvj422p", video_options={"qmin": "1", "qmax": "1"}).write(
        tmp_path / "long.mov"
    )
    shutil.copy(path, work)
    clip = work / "long@01.00.01.00-01.00.19.00.mov"
    assert clip.stat().st_size > 1 << 20
    before = _stored(drive)
    run("cp", clip, work / "copy.mov")
    run("cmp", clip, work / "copy.mov")
    drive.commit()
    drive.assert_sound()
    assert pictures(work / "copy.mov") == pictures(path)[24 : 19 * 24]
    assert _stored(drive) - before < 1 << 16


def _stored(drive: Drive) -> int:
    seal(drive)
    return drive.size_on_disk()


def test_clips_are_found_in_history_and_in_other_branches_but_not_in_the_plain_view(
    drive: Drive, shoot: Path, card: Path
) -> None:
    os.stat(shoot / f"scene@{RANGE}.mov")  # it is hashed then
    drive.commit()
    branch = drive.branch("grade")
    commit = max(
        (drive.mountpoint / ".filmfs" / "history" / "main").iterdir(), key=lambda path: int(path.name.split("_")[0])
    )
    for place in (branch, commit):
        assert pictures(place / shoot.name / f"scene@{RANGE}.mov") == pictures(card / "scene.mov")[5:25]
    plain = drive.mountpoint / ".filmfs" / "plain" / "main" / shoot.name
    assert (plain / "scene.mov").stat().st_size
    fails(errno.ENOENT, os.stat, plain / f"scene@{RANGE}.mov")


def test_a_clip_keeps_its_number_over_a_remount(mounted: Drive, card: Path) -> None:
    shutil.copy(card / "scene.mov", mounted.main)
    clip = mounted.main / f"scene@{RANGE}.mov"
    number, data = clip.stat().st_ino, clip.read_bytes()
    mounted.restart()
    assert (clip.stat().st_ino, clip.read_bytes()) == (number, data)


def test_what_is_no_film_or_broken_has_no_clips(work: Path, card: Path) -> None:
    (work / "text.mov").write_text("no film")
    (work / "empty.mov").touch()
    (work / "folder.mov").mkdir()
    (work / "cut.mov").write_bytes((card / "scene.mov").read_bytes()[:3000])
    os.symlink("text.mov", work / "link.mov")
    for name in ("text", "empty", "folder", "cut", "link"):
        fails(errno.ENOENT, os.stat, work / f"{name}@f0-f9.mov")


@pytest.mark.skipif(not is_possible("/var/tmp"), reason="the kernel composes no files, or not for us")
def test_the_kernel_reads_a_large_clip_by_itself(passing: Drive, tmp_path: Path) -> None:
    wait_until(lambda: passing.command("status")["composing"], "the kernel was seen to compose files")
    path = Film(frames=480, video="mjpeg", pixels="yuvj422p", video_options={"qmin": "1", "qmax": "1"}).write(
        tmp_path / "long.mov"
    )
    shutil.copy(path, passing.main)
    clip = passing.main / "long@01.00.01.00-01.00.19.00.mov"
    os.stat(clip)
    reads = passing.command("status")["requests"]["reads"]
    assert pictures(clip) == pictures(path)[24 : 19 * 24]
    assert passing.command("status")["requests"]["reads"] == reads


def test_attributes_of_a_film_say_how_its_frames_are_counted(drive: Drive, shoot: Path, card: Path) -> None:
    shutil.copy(card / "phone.mp4", shoot)
    (shoot / "notes.mov").write_text("no film")
    seal(drive)
    expected = {"scene.mov": (b"00:59:59;15", b"30000/1001", b"tmcd"), "phone.mp4": (b"00:00:00:00", b"25", b"none")}
    for name, told in expected.items():
        asked = (f"user.filmfs.timecode.{each}" for each in ("start", "rate", "from"))
        assert tuple(os.getxattr(shoot / name, each) for each in asked) == told
    for name in ("notes.mov", "scene.mov"):
        fails(errno.ENODATA, os.getxattr, shoot / name, "user.filmfs.reel")
    fails(errno.ENODATA, os.getxattr, shoot / "notes.mov", "user.filmfs.timecode.start")
