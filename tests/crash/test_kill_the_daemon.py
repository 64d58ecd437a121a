"""kill -9 of the daemon at any moment loses nothing that was fsynced, and leaves a sound archive."""

import os
import random
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.crash.promises import Promises, files_below
from tests.crash.scene import FAULTY, Writers, assert_kept, writers_on
from tests.drive import FILMFS, Drive, wait_until

pytestmark = [pytest.mark.mount, pytest.mark.crash]

ROUNDS = int(os.environ.get("FILMFS_CRASH_ROUNDS", "30"))
ROUNDS_PER_ARCHIVE = 15
LONGEST_S = float(os.environ.get("FILMFS_CRASH_LONGEST_S", "0.6"))


def work_and_kill(drive: Drive, journals: Path, name: str, seed: int, seconds: float) -> Writers:
    with writers_on(drive, journals, name, seed) as writers:
        time.sleep(seconds)
        drive.kill()
        writers.await_end()
    return writers


@pytest.mark.timeout(60 + 20 * ROUNDS)
@pytest.mark.parametrize("part", range(-(-ROUNDS // ROUNDS_PER_ARCHIVE)))
def test_what_was_fsynced_is_there_after_kill_9_at_random_moments(drive: Drive, tmp_path: Path, part: int) -> None:
    seed = int(os.environ.get("FILMFS_SEED", time.time_ns()))
    chance = random.Random(seed + part)
    drive.program = FAULTY
    promised: dict[str, Promises] = {}
    for number in range(min(ROUNDS_PER_ARCHIVE, ROUNDS - part * ROUNDS_PER_ARCHIVE)):
        # In every other round files are hashed and commits named all the time, and not after seconds of quiet.
        drive.start(**({"FILMFS_TEST_FAST": "1"} if number % 2 else {}))
        for own, promises in promised.items():
            assert promises.breach(files_below(drive.main / own)) is None
        seconds = chance.random() * LONGEST_S
        writers = work_and_kill(drive, tmp_path / "journals", str(number), chance.randrange(1 << 30), seconds)
        promised = writers.promises()
        print(f"seed {seed} part {part} round {number}: killed {seconds:.2f} s after the writers' first fsync")
        assert_kept(drive.root, promised)
    drive.start()
    drive.stop()
    drive.assert_calm()
    assert_kept(drive.root, promised)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3])
def test_kill_9_during_unmounting_loses_nothing(drive: Drive, seconds: float) -> None:
    drive.start()
    expected = {f"{number}": os.urandom(200_000 + number) for number in range(20)}
    for name, data in expected.items():
        (drive.main / name).write_bytes(data)
    descriptor = os.open(drive.main, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    unmounting = subprocess.Popen([*FILMFS, "umount", "--wait", drive.mountpoint], stderr=subprocess.DEVNULL)
    mountinfo = Path("/proc/self/mountinfo")
    wait_until(lambda: str(drive.mountpoint) not in mountinfo.read_text(), "the mount goes")
    time.sleep(seconds)
    drive.kill()
    unmounting.wait(60)
    drive.assert_sound()
    drive.start()
    assert {path.name: path.read_bytes() for path in drive.main.iterdir()} == expected
    drive.stop()
    drive.assert_sound()


@pytest.mark.parametrize("seconds", [2.2, 2.9])
def test_kill_9_while_files_are_hashed_loses_nothing(drive: Drive, seconds: float) -> None:
    drive.start()
    data = os.urandom(24 << 20)
    (drive.main / "first").write_bytes(data)
    (drive.main / "second").write_bytes(data[::-1])
    drive.commit()
    with open(drive.main / "first", "r+b") as file:
        file.seek(1 << 20)
        file.write(b"changed")
        os.fsync(file.fileno())
    time.sleep(seconds)
    drive.kill()
    drive.assert_sound()
    drive.start()
    changed = data[: 1 << 20] + b"changed" + data[(1 << 20) + 7 :]
    assert (drive.main / "first").read_bytes() == changed
    assert (drive.main / "second").read_bytes() == data[::-1]
    assert (drive.mountpoint / ".filmfs" / "history" / "main" / "2" / "first").read_bytes() == data
    drive.stop()
    drive.assert_sound()


def test_renames_and_branches_are_whole_after_kill_9(drive: Drive) -> None:
    drive.start()
    (drive.main / "d0").mkdir()
    for number in range(50):
        (drive.main / "d0" / f"{number}").write_bytes(b"%d" % number * 3000)
    os.sync()
    expected = {f"{number}": b"%d" % number * 3000 for number in range(50)}
    for number in range(4):
        os.rename(drive.main / f"d{number}", drive.main / f"d{number + 1}")
        branch = drive.branch(f"b{number}")  # answered: durable
        os.rename(drive.main / f"d{number + 1}" / "0", drive.main / "0")
        os.rename(drive.main / "0", drive.main / f"d{number + 1}" / "0")
        drive.kill()
        drive.assert_sound()
        drive.start()
        assert {path.name: path.read_bytes() for path in (branch / f"d{number + 1}").iterdir()} == expected
        found = {path.name: path.read_bytes() for path in drive.main.rglob("*") if path.is_file()}
        assert found == expected
        for path in (drive.main / "0", drive.main / "d0" / "0"):
            if path.exists():
                os.rename(path, drive.main / f"d{number + 1}" / "0")


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_what_was_written_to_be_durable_at_once_is_there_after_kill_9(drive: Drive, flag: int) -> None:
    drive.start()
    descriptor = os.open(drive.main / "f", os.O_CREAT | os.O_WRONLY | flag, 0o644)
    for number in range(3):
        os.write(descriptor, b"%d" % number * 10_000)
    drive.kill()
    with suppress(OSError):
        os.close(descriptor)
    drive.start()
    assert (drive.main / "f").read_bytes() == b"".join(b"%d" % number * 10_000 for number in range(3))


def test_what_a_command_answered_survives_kill_9(drive: Drive, tmp_path: Path) -> None:
    source = tmp_path / "card"
    source.mkdir()
    (source / "a").write_bytes(os.urandom(300_000))
    drive.start()
    (drive.main / "before").write_bytes(b"b" * 100_000)
    facts = drive.facts("commit", "-m", "kept")
    drive.kill()
    drive.start()
    assert [commit["message"] for commit in drive.facts("log")["commits"]] == ["kept", "archive made"]
    number = facts["commit"].rpartition("@")[2]
    kept = drive.mountpoint / ".filmfs" / "history" / "main" / number / "before"
    assert kept.read_bytes() == b"b" * 100_000
    drive.filmfs("add", source)
    drive.kill()
    drive.start()
    assert (drive.main / "card" / "a").read_bytes() == (source / "a").read_bytes()
    drive.stop()
    drive.assert_sound()
