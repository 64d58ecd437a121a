"""kill -9 of `filmfs add` at any moment shows nothing of it, and a second run goes on and completes it."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.drive import FILMFS, Drive, answer

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
    for number in range(5):
        (card / f"{number}").write_bytes(os.urandom(1000) + bytes(600_000_000))
        os.truncate(card / f"{number}", 600_000_000)
    whole = seconds_of_an_add(tmp_path, card)
    assert not kill_an_add(drive, card, whole * 0.8)
    assert answer("ls", drive.root).stdout == ""
    facts = drive.facts("add", card)
    assert facts["known_files"] >= 1
    drive.assert_sound()
