"""When proxies are made: as films come in, and when somebody reads the name of one."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tests.drive import Drive, answer, wait_until
from tests.mount.sealed import seal
from tests.mount.syscalls import fails
from tests.proxy.numbered import Numbered, seen

pytestmark = pytest.mark.mount

FILM = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=20, size=(512, 288))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, and what looks like one."""
    card = tmp_path_factory.mktemp("card")
    FILM.write(card / "scene")
    (card / "broken.mov").write_bytes(b"no film" * 1000)
    return card


def _set(drive: Drive, setting: str) -> None:
    path = Path(drive.root) / "archive.toml"
    path.write_text(path.read_text().replace("proxies = []", setting))


def test_reading_the_name_of_a_proxy_makes_it(mounted: Drive, card: Path) -> None:
    shutil.copy(card / "scene.mov", mounted.main)
    seal(mounted)
    assert sorted(os.listdir(mounted.main)) == ["scene.mov"]
    assert seen(mounted.main / "scene.preview.mp4").numbers == tuple(range(20))
    assert sorted(os.listdir(mounted.main)) == ["scene.mov", "scene.preview.mp4"]
    assert (mounted.main / "scene.poster.jpg").stat().st_size
    (job, *_) = mounted.facts("proxy status")["jobs"]
    assert (job["place"], job["state"]) == ("main:scene.mov", "done")


def test_reading_the_name_of_an_image_sequence_s_proxy_makes_it(mounted: Drive) -> None:
    (mounted.main / "sh010").mkdir()
    (mounted.main / "empty").mkdir()
    for number in range(1, 7):
        FILM.still(number, mounted.main / "sh010" / f"sh010.{number:04}.dpx")
    seal(mounted)
    assert seen(mounted.main / "sh010.preview.mp4").numbers == tuple(range(1, 7))
    assert (mounted.main / "sh010.poster.jpg").stat().st_size
    for name in ("empty.preview.mp4", "sh010.preview.mov", "sh010.mov"):
        with fails(errno.ENOENT):
            os.stat(mounted.main / name)
    counts = mounted.facts("proxy status")["counts"]
    assert counts == {"done": 2}


def test_who_asks_for_proxies_of_what_is_being_hashed_waits_for_it(mounted: Drive, card: Path) -> None:
    shutil.copy(card / "scene.mov", mounted.main)
    (mounted.main / "large.mov").write_bytes(os.urandom(100_000_000))
    told = json.loads(answer("proxy", "make", mounted.root, "main:", "--sizes", "thumbnail", "--json").stdout)
    assert {each["place"]: each.get("error") for each in told["films"]} == {
        "main:large.mov": "failed",  # it is no film
        "main:scene.mov": None,
    }


def test_a_name_whose_proxy_cannot_be_made_is_not_there(mounted: Drive, card: Path) -> None:
    shutil.copy(card / "broken.mov", mounted.main)
    (mounted.main / "notes.txt").write_text("notes")
    seal(mounted)
    for name in ("broken.preview.mp4", "notes.preview.mp4", "nothing.preview.mp4", "broken.preview.mov"):
        with fails(errno.ENOENT):
            os.stat(mounted.main / name)
    counts = mounted.facts("proxy status")["counts"]
    assert counts == {"failed": 1}


def test_nothing_is_made_of_names_where_the_archive_says_so(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", card / "scene.mov")
    _set(drive, "proxies_on_read = false")
    with drive.soundly():
        assert not (drive.main / "scene.preview.mp4").exists()
        assert drive.facts("proxy status")["jobs"] == []


def test_films_that_come_in_have_the_proxies_that_the_archive_says(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    _set(drive, 'proxies = ["thumbnail"]\nproxy_processes = 1')
    with drive.soundly():
        (drive.main / "A001").mkdir()
        shutil.copy(card / "scene.mov", drive.main / "A001" / "scene.mov")
        wait_until(lambda: "scene.thumbnail.mp4" in os.listdir(drive.main / "A001"), "the thumbnail", 30)
        assert sorted(os.listdir(drive.main / "A001")) == [
            "scene.filmstrip.jpg",
            "scene.mov",
            "scene.poster.jpg",
            "scene.thumbnail.mp4",
        ]


def test_so_have_films_that_are_added(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    _set(drive, 'proxies = ["thumbnail", "preview"]')
    frames = tmp_path / "sh010"
    frames.mkdir()
    for number in range(3):
        FILM.still(number, frames / f"sh010.{number:04}.dpx")
    assert "proxies of 3 films are in the queue" in drive.filmfs("add", f"{card}/", frames)
    assert drive.facts("proxy status")["counts"] == {"waiting": 3}
    with drive.soundly():
        wait_until(lambda: drive.facts("proxy status")["counts"] == {"done": 2, "failed": 1}, "all", 30)
        assert (drive.main / "scene.preview.mp4").exists()
        assert seen(drive.main / "sh010.preview.mp4").numbers == (0, 1, 2)


@pytest.mark.parametrize(
    "setting", ['proxies = ["huge"]', 'proxies = "preview"', "proxies_on_read = 1", "proxy_processes = true"]
)
def test_settings_that_make_no_sense_are_refused(setting: str, tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    _set(drive, setting)
    with pytest.raises(AssertionError, match="prox"):
        drive.filmfs("ls", "main:")


def test_making_ends_with_the_mount_and_the_next_goes_on(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    _set(drive, 'proxies = ["thumbnail"]\nproxy_processes = 1')
    long = Numbered(frames=250, size=(1920, 1080), group=1).write(tmp_path / "long")
    drive.filmfs("add", long)
    with drive.soundly():
        wait_until(lambda: drive.facts("proxy status")["running"] is not None, "the job to begin", 30)
    assert drive.facts("proxy status")["running"] is None
    assert drive.facts("proxy status")["counts"] == {"waiting": 1}
    with drive.soundly():
        wait_until(lambda: drive.facts("proxy status")["counts"] == {"done": 1}, "the job", 120)
        assert seen(drive.main / "long.thumbnail.mp4").numbers == tuple(range(250))
