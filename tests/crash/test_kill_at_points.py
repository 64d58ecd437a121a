"""A process that dies at any place of a list, in the middle of its own work, loses nothing that it promised."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from tests.crash.points import ADDING, MOUNTED, OPENING, PUBLISHING
from tests.crash.scene import FAULTY, Writers, assert_kept, writers_on
from tests.drive import PATIENCE_S, Drive

pytestmark = [pytest.mark.mount, pytest.mark.crash]

SEED = int(os.environ.get("FILMFS_SEED", "1"))


@pytest.fixture
def faulty(drive: Drive) -> Drive:
    """A drive whose daemon can be told where to die, and takes moments for what takes seconds."""
    drive.program = FAULTY
    return drive


def work_until_it_dies(drive: Drive, journals: Path, name: str, kill: str) -> Writers:
    drive.start(FILMFS_TEST_FAST="1", FILMFS_TEST_KILL=kill)
    process = drive.process
    assert process is not None
    with writers_on(drive, journals, name, SEED, count=2, patient=False) as writers:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        died = process.poll()
        drive.kill()
        assert died == -9, f"{kill} was not passed"
        writers.await_end()
    return writers


@pytest.mark.parametrize("kill", MOUNTED)
def test_a_mount_that_dies_there_keeps_what_it_promised(faulty: Drive, tmp_path: Path, kill: str) -> None:
    writers = work_until_it_dies(faulty, tmp_path / "journals", "w", kill)
    assert_kept(faulty.root, writers.promises())


@pytest.mark.parametrize("kill", OPENING)
def test_an_opening_that_dies_there_is_done_by_the_next(faulty: Drive, tmp_path: Path, kill: str) -> None:
    journals = tmp_path / "journals"
    first = work_until_it_dies(faulty, journals, "w", "filmfs.store.blobs:Blobs.place/before/1")
    for number in range(3):
        Path(faulty.root, "staging", str(1 << 40 | number)).write_bytes(b"never acknowledged")
    with pytest.raises(AssertionError, match="the mount did not come"):
        faulty.start(FILMFS_TEST_KILL=kill)
    faulty.kill()
    assert_kept(faulty.root, first.promises())


@pytest.mark.parametrize("kill", ADDING)
def test_an_add_that_dies_there_shows_nothing_and_the_next_completes(drive: Drive, tmp_path: Path, kill: str) -> None:
    card = make_card(tmp_path)
    assert add(drive, card, kill) == -9, f"{kill} was not passed"
    drive.assert_sound()
    shown = drive.facts("du", "main:")["files"]
    assert shown == (40 if "forget_journal" in kill else 0)
    assert drive.facts("add", card)["files"] == 40
    with Archive(drive.root, Mode.WRITE):
        assert os.listdir(Path(drive.root) / "staging") == []
    assert drive.facts("du", "main:")["files"] == 40
    drive.assert_sound()


@pytest.mark.parametrize("kill", PUBLISHING)
def test_a_mount_that_dies_while_an_add_is_shown_shows_nothing_of_it(faulty: Drive, tmp_path: Path, kill: str) -> None:
    card = make_card(tmp_path)
    faulty.start(FILMFS_TEST_KILL=kill)
    assert add(faulty, card, "") != 0
    faulty.kill()
    faulty.assert_sound()
    assert faulty.facts("du", "main:")["files"] == 0
    assert faulty.facts("add", card)["known_files"] == 40
    assert faulty.facts("du", "main:")["files"] == 40
    faulty.assert_sound()


def make_card(tmp_path: Path) -> Path:
    chance = random.Random(SEED)
    card = tmp_path / "card"
    for number in range(40):
        path = card / f"{number % 3}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice((10, 5000, 50_000))))
    return card


def add(drive: Drive, card: Path, kill: str) -> int:
    command = [*FAULTY, "add", drive.root, str(card), "--quiet"]
    environment = os.environ | {"FILMFS_TEST_KILL": kill}
    return subprocess.run(command, env=environment, timeout=PATIENCE_S, capture_output=True, check=False).returncode
