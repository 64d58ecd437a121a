"""kill -9 of `filmfs add` at any moment shows nothing of it, and a second run goes on and completes it."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.store.ingest import JOURNAL
from tests.drive import FILMFS, Drive, wait_until

pytestmark = pytest.mark.crash

ROUNDS = int(os.environ.get("FILMFS_CRASH_ROUNDS", "8"))


def make_card(card: Path, chance: random.Random) -> None:
    for number in range(300):
        path = card / f"{number % 9}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice((10, 5000, 50_000, 300_000))))


def tree(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def kill_an_add(drive: Drive, card: Path, seconds: float) -> bool:
    """Starts an add and kills it after so long; whether it had come to its end."""
    adding = subprocess.Popen([*FILMFS, "add", drive.root, card, "--quiet"], stderr=subprocess.PIPE)
    try:
        adding.wait(seconds)
    except subprocess.TimeoutExpired:
        adding.kill()
    adding.communicate(timeout=60)
    return adding.returncode == 0


def seconds_of_an_add(tmp_path: Path, card: Path) -> float:
    other = Drive(tmp_path / "measure")
    started = time.monotonic()
    assert kill_an_add(other, card, 120)
    return time.monotonic() - started


@pytest.mark.parametrize("mounted", [False, pytest.param(True, marks=pytest.mark.mount)])
def test_a_killed_add_shows_nothing_and_the_next_one_completes(drive: Drive, tmp_path: Path, mounted: bool) -> None:
    chance = random.Random(os.environ.get("FILMFS_SEED", time.time_ns()))
    card = tmp_path / "card"
    make_card(card, chance)
    whole = seconds_of_an_add(tmp_path, card)
    if mounted:
        drive.start()
    rounds = max(ROUNDS // 2, 1)
    for number in range(rounds):
        done = kill_an_add(drive, card, whole * (0.3 + 0.75 * number / rounds))
        shown = drive.facts("ls", "main:")["entries"]
        # Past the point where the list of names was handed over, all of it may be there; never a part.
        files = drive.facts("du", "main:")["files"]
        assert files in ((300,) if done else (0, 300)), shown
        drive.assert_sound()
        if files:
            break
    facts = drive.facts("add", card)
    assert facts["files"] == 300
    drive.assert_sound()
    if not mounted:
        drive.start()
    assert tree(drive.main / "card") == tree(card)
    drive.restart()
    assert os.listdir(Path(drive.root) / "staging") == []
    assert not list(Path(drive.root).glob(".publish-*"))


def test_what_a_killed_add_had_stored_is_not_read_again(drive: Drive, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for number in range(4500):
        (card / f"{number:05}").write_bytes(b"%d" % number)
    with open(card / "last", "wb") as file:
        file.truncate(800_000_000)  # time to be killed in
    adding = subprocess.Popen([*FILMFS, "add", drive.root, card, "--quiet"])
    wait_until(lambda: noted_files(drive) > 0 or adding.poll() is not None, "the first batch is durable")
    adding.kill()
    assert adding.wait(60) != 0
    assert drive.filmfs("ls") == ""
    drive.assert_sound()
    os.truncate(card / "last", 10)
    facts = drive.facts("add", card)
    assert facts["known_files"] >= 1000
    assert (facts["files"], facts["added"]) == (4501, 4502)  # and the folder
    drive.assert_sound()


def noted_files(drive: Drive) -> int:
    """How many files the next run of `add` need not read."""
    with Archive(drive.root, Mode.READ) as archive, archive.database.read() as transaction:
        return transaction.count(JOURNAL)
