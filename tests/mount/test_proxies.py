"""Proxies on the mount: beside their originals and where editors look for them, in nobody's way."""

import errno
import os
import random
import shutil
import time
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.ids import ContentId
from filmfs.proxy.recipes import EDITORIAL, PREVIEW
from filmfs.store.database import Transaction
from filmfs.store.derived import RENDITIONS, find_derived, put_derived, recipe_key
from tests.drive import Drive, answer, run, wait_until
from tests.mount.sealed import seal
from tests.mount.syscalls import fails
from tests.proxy.numbered import Numbered, number_in, seen

pytestmark = pytest.mark.mount

FILM = Numbered(rate=Fraction(24000, 1001), frames=30, timecode="01:00:00:00", reel="A001", size=(640, 360))
OTHER = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=20, size=(640, 360))
FILMS = ["A001.editorial.mov", "A001.preview.mp4", "A001.thumbnail.mp4"]
SIBLINGS = [*FILMS, "A001.filmstrip.jpg", "A001.poster.jpg"]


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films as they come from a camera."""
    card = tmp_path_factory.mktemp("card")
    FILM.write(card / "A001")
    OTHER.write(card / "B002")
    return card


@pytest.fixture
def shoot(drive: Drive, work: Path, card: Path) -> Path:
    """A directory with `A001.mov`, which has its proxies, and `notes.txt`."""
    shutil.copy(card / "A001.mov", work)
    (work / "notes.txt").write_text("notes")
    _make(drive, work)
    return work


def _make(drive: Drive, directory: Path) -> None:
    seal(drive)
    drive.filmfs("proxy make", f"main:{directory.name}")


def test_they_are_listed_beside_their_original_and_in_step_with_it(shoot: Path, card: Path) -> None:
    assert sorted(os.listdir(shoot)) == sorted(["A001.mov", "notes.txt", *SIBLINGS])
    original = seen(card / "A001.mov")
    for name in FILMS:
        proxy = seen(shoot / name)
        assert (proxy.numbers, proxy.times) == (original.numbers, original.times)
        assert proxy.timecode == "01:00:00:00"
        assert (shoot / name).stat().st_mtime_ns == (shoot / "A001.mov").stat().st_mtime_ns
        assert len((shoot / name).read_bytes()) == (shoot / name).stat().st_size


def test_editors_find_them_in_folders_of_their_own(shoot: Path) -> None:
    editorial = (shoot / "A001.editorial.mov").read_bytes()
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == editorial
    assert (shoot / "Proxies" / "A001_Proxy.mov").read_bytes() == editorial
    assert os.listdir(shoot / "Proxy") == ["A001.mov"]
    assert seen(shoot / "Proxy" / "A001.mov").reel == "A001"
    assert seen(shoot / "Proxy" / "A001.mov").size == EDITORIAL.size(*FILM.size)


def test_a_program_that_writes_into_such_a_folder_makes_it_a_real_one(shoot: Path) -> None:
    editorial = (shoot / "A001.editorial.mov").read_bytes()
    (shoot / "Proxy" / "B002.mov").write_bytes(b"rendered by an editor")
    assert os.listdir(shoot / "Proxy") == ["B002.mov"]
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == editorial  # where no file has the name
    run("mv", shoot / "Proxy" / "B002.mov", shoot / "Proxies" / "B002_Proxy.mov")
    assert os.listdir(shoot / "Proxies") == ["B002_Proxy.mov"]
    assert (shoot / "Proxies" / "A001_Proxy.mov").read_bytes() == editorial
    assert {"Proxy", "Proxies"} < set(os.listdir(shoot))
    (shoot / "Proxy" / "A001.mov").unlink()
    assert not (shoot / "Proxy" / "A001.mov").exists()
    assert (shoot / "A001.editorial.mov").exists()
    (shoot / "A001.editorial.mov").unlink()
    assert not (shoot / "Proxies" / "A001_Proxy.mov").exists()


@pytest.mark.parametrize("suffix", [".MOV", ".Mov"])
def test_a_suffix_in_capitals_is_found_in_folders_of_either_kind(shoot: Path, suffix: str) -> None:
    editorial = (shoot / "A001.editorial.mov").read_bytes()
    (shoot / "A001.mov").rename(shoot / f"A001{suffix}")
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == editorial
    (shoot / "Proxy" / "notes.txt").write_text("now it is real")
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == editorial
    assert (shoot / "A001.editorial.mov").read_bytes() == editorial


def test_who_stands_in_such_a_folder_sees_what_was_made_in_it(shoot: Path) -> None:
    run(
        "sh", "-c", f"cd '{shoot}/Proxy' && echo new > B002.mov && cat B002.mov && ls | grep -x B002.mov && rm B002.mov"
    )
    assert os.listdir(shoot / "Proxy") == []
    os.rmdir(shoot / "Proxy")
    assert os.listdir(shoot / "Proxy") == ["A001.mov"]


def test_who_held_such_a_folder_before_it_was_real_changes_the_real_one(shoot: Path) -> None:
    held = os.open(shoot / "Proxy", os.O_RDONLY | os.O_DIRECTORY)
    try:
        (shoot / "Proxy" / "notes.txt").write_text("notes")
        before = (shoot / "Proxy").stat()
        os.fchmod(held, 0o750)
        os.setxattr(held, "user.mine", b"1")
        assert (shoot / "Proxy").stat().st_mode & 0o777 == 0o750
        assert os.fstat(held).st_mode & 0o777 == 0o750
        assert os.getxattr(shoot / "Proxy", "user.mine") == os.getxattr(held, "user.mine") == b"1"
        assert before.st_mode & 0o777 == shoot.stat().st_mode & 0o777
        assert os.listdir(held) == ["notes.txt"]
        os.close(os.open("B002.mov", os.O_CREAT | os.O_WRONLY, dir_fd=held))
        os.rename(shoot / "Proxy" / "B002.mov", shoot / "Proxy" / "C003.mov")
        time.sleep(1.1)
        with fails(errno.ENOENT):
            os.stat("B002.mov", dir_fd=held)
        os.unlink("C003.mov", dir_fd=held)
        assert not (shoot / "Proxy" / "C003.mov").exists()
    finally:
        os.close(held)


def test_a_directory_that_becomes_one_of_these_leads_to_them_in_a_moment(shoot: Path) -> None:
    (shoot / "made").mkdir()
    assert not (shoot / "made" / "A001.mov").exists()
    os.rename(shoot / "made", shoot / "Proxy")
    wait_until((shoot / "Proxy" / "A001.mov").exists, "the kernel to forget that there was none")
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == (shoot / "A001.editorial.mov").read_bytes()


def test_what_is_refused_makes_no_such_directory(shoot: Path) -> None:
    for step in (os.rename, os.link):
        with pytest.raises(OSError, match=r"Read-only|cross-device|Invalid"):
            step(shoot / "A001.editorial.mov", shoot / "Proxy" / "x.mov")
    with fails(errno.ENOENT):
        os.rename(shoot / "nothing.mov", shoot / "Proxy" / "x.mov")
    assert os.listdir(shoot / "Proxy") == ["A001.mov"]
    assert "Proxy" not in os.listdir(shoot)


def test_a_name_as_long_as_names_can_be_may_be_made_in_one(shoot: Path) -> None:
    (shoot / "Proxy" / "notes.txt").touch()  # so that the directory is a real one
    long = shoot / "Proxy" / ("x" * 251 + ".mov")
    long.write_bytes(b"long")
    assert long.read_bytes() == b"long"


def test_of_a_film_and_a_sound_file_of_one_stem_the_film_is_meant(drive: Drive, shoot: Path) -> None:
    with wave.open(str(shoot / "A001.wav"), "wb") as sound:
        sound.setparams((1, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(bytes(96_000))
    _make(drive, shoot)
    film = (shoot / "A001.mov.editorial.mov").read_bytes()
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == film
    (shoot / "Proxy" / "notes.txt").touch()
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == film


def test_the_sound_beside_a_film_without_proxies_does_not_answer_for_it(drive: Drive, work: Path) -> None:
    (work / "A001.braw").write_bytes(os.urandom(10_000))
    with wave.open(str(work / "A001.wav"), "wb") as sound:
        sound.setparams((1, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(bytes(96_000))
    seal(drive)
    answer("proxy", "make", drive.root, f"main:{work.name}")
    listed = [name for name in os.listdir(work) if "editorial" in name]
    assert listed == ["A001.wav.editorial.mov"]
    for name in ("A001.editorial.mov", "Proxy/A001.mov", "Proxies/A001_Proxy.mov"):
        assert not (work / name).exists()
    (work / "A001.braw").unlink()
    assert (work / "A001.editorial.mov").exists()
    assert (work / "Proxy" / "A001.mov").exists()


def test_a_copy_of_a_proxy_is_no_second_original(drive: Drive, shoot: Path) -> None:
    shutil.copy(shoot / "A001.preview.mp4", shoot / "A001.mp4")
    seal(drive)
    assert sorted(os.listdir(shoot)) == sorted(["A001.mov", "A001.mp4", "notes.txt", *SIBLINGS])
    assert (shoot / "A001.editorial.mov").exists()


def test_those_of_sound_files_are_beside_them(drive: Drive, work: Path) -> None:
    with wave.open(str(work / "wild.wav"), "wb") as sound:
        sound.setparams((2, 3, 48_000, 0, "NONE", ""))
        sound.writeframes(random.Random(1).randbytes(6 * 96_000))
    _make(drive, work)
    names = {name.removeprefix("wild.") for name in os.listdir(work)}
    assert names == {"wav", "thumbnail.mp4", "preview.mp4", "editorial.mov", "poster.jpg"}
    for name in ("wild.preview.mp4", "wild.editorial.mov"):
        with av.open(str(work / name)) as container:
            sound = container.streams.audio[0]
            assert (sound.start_time, sound.duration, sound.time_base) == (0, 96_000, Fraction(1, 48_000))


def test_stills_are_pictures_of_it(shoot: Path) -> None:
    with av.open(str(shoot / "A001.poster.jpg")) as poster:
        assert number_in(next(poster.decode(video=0))) == 3  # at a tenth of its length
    assert os.getxattr(shoot / "A001.filmstrip.jpg", "user.filmfs.tile") == b"80x46"
    os.unlink(shoot / "A001.poster.jpg")
    assert not (shoot / "A001.poster.jpg").exists()
    assert (shoot / "A001.thumbnail.mp4").exists()


def test_a_directory_without_proxies_has_no_such_folders(work: Path, card: Path) -> None:
    (work / "A.txt").write_text("nothing")
    for name in ("Proxy", "Proxies", "A001.preview.mp4"):
        assert not (work / name).exists()
    (work / "Proxy").mkdir()  # a program may make its own
    shutil.copy(card / "A001.mov", work / "Proxy")
    assert os.listdir(work / "Proxy") == ["A001.mov"]


def test_they_tell_what_they_are(shoot: Path) -> None:
    path = shoot / "A001.preview.mp4"
    told = {name: os.getxattr(path, f"user.filmfs.{name}") for name in ("proxy", "virtual", "timecode.start", "frames")}
    assert told == {"proxy": b"preview", "virtual": b"1", "timecode.start": b"01:00:00:00", "frames": b"30"}
    assert os.getxattr(path, "user.filmfs.source").endswith(b"/A001.mov")


def test_they_are_shared_by_copies_branches_and_names(drive: Drive, shoot: Path) -> None:
    before = drive.size_on_disk()
    run("cp", shoot / "A001.mov", shoot / "again.mov")
    assert (shoot / "again.preview.mp4").read_bytes() == (shoot / "A001.preview.mp4").read_bytes()
    branch = drive.branch(f"of-{shoot.name}"[:60].lower().replace("_", "-"))
    assert (branch / shoot.name / "A001.preview.mp4").read_bytes() == (shoot / "A001.preview.mp4").read_bytes()
    os.rename(shoot / "A001.mov", shoot / "renamed.mov")
    assert (shoot / "renamed.preview.mp4").stat().st_size
    assert drive.size_on_disk() - before < 1 << 16


def test_who_removes_one_hides_it_in_that_branch(drive: Drive, shoot: Path) -> None:
    branch = drive.branch(f"kept-{shoot.name}"[:60].lower().replace("_", "-"))
    os.unlink(shoot / "A001.preview.mp4")
    assert sorted(os.listdir(shoot)) == sorted({"A001.mov", "notes.txt", *SIBLINGS} - {"A001.preview.mp4"})
    assert not (shoot / "A001.preview.mp4").exists()
    assert sorted(os.listdir(branch / shoot.name)) == sorted(["A001.mov", "notes.txt", *SIBLINGS])
    drive.restart()
    assert not (shoot / "A001.preview.mp4").exists()


def test_a_file_of_that_name_wins(shoot: Path) -> None:
    os.unlink(shoot / "A001.preview.mp4")
    (shoot / "A001.preview.mp4").write_text("my own")
    assert (shoot / "A001.preview.mp4").read_text() == "my own"
    assert os.listdir(shoot).count("A001.preview.mp4") == 1


def test_they_cannot_be_written(shoot: Path) -> None:
    with fails(errno.EROFS):
        open(shoot / "A001.preview.mp4", "r+b")  # noqa: SIM115


def test_directories_are_copied_moved_and_removed_as_ever(drive: Drive, shoot: Path) -> None:
    run("cp", "-r", shoot, shoot.parent / f"{shoot.name}-copy")
    copy = shoot.parent / f"{shoot.name}-copy"
    assert sorted(os.listdir(copy)) == sorted(["A001.mov", "notes.txt", *SIBLINGS])
    (copy / "moved").mkdir()
    run("mv", *(copy / name for name in sorted(os.listdir(copy)) if name != "moved"), copy / "moved")
    assert os.listdir(copy) == ["moved"]
    assert sorted(os.listdir(copy / "moved")) == sorted(["A001.mov", "notes.txt", *SIBLINGS])
    run("rm", "-r", copy)
    run("mkdir", shoot / "deeper")
    run("mv", *(shoot / name for name in sorted(os.listdir(shoot)) if name != "deeper"), shoot / "deeper")
    assert sorted(os.listdir(shoot)) == ["deeper"]
    assert sorted(os.listdir(shoot / "deeper")) == sorted(["A001.mov", "notes.txt", *SIBLINGS])
    run("rm", "-r", shoot / "deeper")
    assert os.listdir(shoot) == []


def test_those_that_are_made_again_are_seen_at_once(drive: Drive, shoot: Path) -> None:
    right = (shoot / "A001.editorial.mov").read_bytes()
    preview = (shoot / "A001.preview.mp4").read_bytes()

    def worsen(transaction: Transaction) -> None:
        original = ContentId(bytes.fromhex(os.getxattr(shoot / "A001.mov", "user.filmfs.content").decode()))
        made, other = (find_derived(transaction, original, recipe_key(each.identity)) for each in (EDITORIAL, PREVIEW))
        assert made is not None
        assert other is not None
        transaction.delete(RENDITIONS, made.film.content)
        wrong = replace(made, files=(replace(other.film, suffix=".mov"),))
        put_derived(transaction, original, recipe_key(EDITORIAL.identity), wrong)

    with Archive(drive.root, Mode.INGEST) as archive:
        archive.database.transact(worsen)
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == preview
    plan = drive.facts("proxy make", f"main:{shoot.name}", "--again", "--dry-run")
    assert [each["make"] for each in plan["films"]] == [["thumbnail", "preview", "editorial"]]
    made = drive.facts("proxy make", f"main:{shoot.name}", "--again")
    assert [proxy["name"] for proxy in made["films"][0]["proxies"]] == ["thumbnail", "preview", "editorial"]
    assert (shoot / "Proxy" / "A001.mov").read_bytes() == right
    assert sorted(os.listdir(shoot)) == sorted(["A001.mov", "notes.txt", *SIBLINGS])


def test_copies_of_proxies_are_not_proxied(drive: Drive, shoot: Path) -> None:
    run("cp", shoot / "A001.editorial.mov", shoot / "mine.mov")
    seal(drive)
    facts = drive.facts("proxy make", f"main:{shoot.name}")
    assert facts["films"] == []
    assert not (shoot / "mine.preview.mp4").exists()


def test_an_original_that_is_written_anew_has_no_proxies_of_the_old(drive: Drive, shoot: Path, card: Path) -> None:
    shutil.copy(card / "B002.mov", shoot / "A001.mov")
    seal(drive)
    assert sorted(os.listdir(shoot)) == ["A001.mov", "notes.txt"]
    _make(drive, shoot)
    assert seen(shoot / "A001.preview.mp4").numbers == tuple(range(20))


def test_two_files_with_one_stem_have_proxies_under_their_whole_names(drive: Drive, shoot: Path, card: Path) -> None:
    shutil.copy(card / "B002.mov", shoot / "A001.mp4")
    _make(drive, shoot)
    listed = [name for name in os.listdir(shoot) if "preview" in name]
    assert sorted(listed) == ["A001.mov.preview.mp4", "A001.mp4.preview.mp4"]
    assert seen(shoot / "A001.mov.preview.mp4").numbers == tuple(range(30))
    assert seen(shoot / "A001.mp4.preview.mp4").numbers == tuple(range(20))
    assert not (shoot / "A001.preview.mp4").exists()


def test_the_plain_view_shows_none_and_history_shows_them(drive: Drive, shoot: Path) -> None:
    commit = drive.commit()["commit"].partition("@")[2]
    plain = Path(drive.mountpoint) / ".filmfs" / "plain" / "main" / shoot.name
    assert sorted(os.listdir(plain)) == ["A001.mov", "notes.txt"]
    assert not (plain / "A001.preview.mp4").exists()
    history = Path(drive.mountpoint) / ".filmfs" / "history" / "main" / commit / shoot.name
    assert sorted(os.listdir(history)) == sorted(["A001.mov", "notes.txt", *SIBLINGS])


def test_a_proxy_can_be_clipped(shoot: Path) -> None:
    clip = shoot / "A001.editorial@01.00.00.05-01.00.00.15.mov"
    assert seen(clip).numbers == tuple(range(5, 15))
    assert seen(clip).timecode == "01:00:00:05"


def test_mounts_list_what_they_are_asked_to(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{card}/")
    drive.filmfs("proxy make", "main:")
    (tmp_path / "cut.edl").write_text("TITLE: CUT\n001  A001 V C 01:00:00:00 01:00:00:10 01:00:00:00 01:00:00:10\n")
    drive.filmfs("add", tmp_path / "cut.edl")
    files = {"A001.mov", "B002.mov", "cut.edl"}
    proxies = {
        f"{stem}.{name}"
        for stem in ("A001", "B002")
        for name in ("editorial.mov", "preview.mp4", "thumbnail.mp4", "poster.jpg", "filmstrip.jpg")
    }
    folders = {"Proxy", "Proxies", "cut.edl@clips"}
    for option, listed in (("none", files), ("siblings", files | proxies), ("all", files | proxies | folders)):
        with drive.soundly("-o", f"list={option}"):
            assert set(os.listdir(drive.main)) - {"cut.edl@conform.mov"} == listed
            assert (drive.main / "Proxy" / "A001.mov").stat().st_size
    with drive.soundly("-o", "list=all"):
        (drive.main / "Proxy" / "C003.mov").write_bytes(b"by an editor")
        assert set(os.listdir(drive.main / "Proxy")) == {"A001.mov", "B002.mov", "C003.mov"}
        run("rm", "-r", drive.main / "Proxy")
        assert all((drive.main / name).stat() for name in os.listdir(drive.main))
        run("rm", "-r", *(drive.main / name for name in os.listdir(drive.main) if "cut.edl" not in name))
        assert {name for name in os.listdir(drive.main) if "cut.edl" not in name} == set()
    refused = answer("mount", drive.root, drive.mountpoint, "-o", "list=everything")
    assert refused.returncode == 2
    assert "none, siblings, all" in refused.stderr


def test_a_large_directory_lists_its_proxies_after_its_files_once(drive: Drive, shoot: Path) -> None:
    for number in range(1300):
        (shoot / f"frame.{number:04}.txt").touch()
    listed = os.listdir(shoot)
    assert len(listed) == len(set(listed)) == 1300 + 2 + len(SIBLINGS)


def test_an_image_sequence_has_them_beside_its_directory(drive: Drive, work: Path) -> None:
    frames = work / "sh010"
    frames.mkdir()
    for number in range(1001, 1007):
        FILM.still(number - 1001, frames / f"sh010.{number}.dpx")
    seal(drive)
    drive.filmfs("proxy make", f"main:{work.name}/sh010")
    assert seen(work / "sh010.preview.mp4").numbers == tuple(range(6))
    FILM.still(99, frames / "sh010.1003.dpx")  # rendered again
    seal(drive)
    assert seen(work / "sh010.preview.mp4").numbers == (0, 1, 99, 3, 4, 5)  # made as it is asked for
    drive.filmfs("proxy make", f"main:{work.name}")
    assert seen(work / "sh010.editorial.mov").numbers == (0, 1, 99, 3, 4, 5)
