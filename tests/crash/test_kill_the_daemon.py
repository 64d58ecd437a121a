"""kill -9 of the daemon at any moment loses nothing that was fsynced, and leaves a sound archive."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from tests.crash.witness import state
from tests.drive import FILMFS, Drive, wait_until

pytestmark = [pytest.mark.mount, pytest.mark.crash]

ROUNDS = int(os.environ.get("FILMFS_CRASH_ROUNDS", "8"))
LONGEST_S = 2.5


@dataclass
class Promised:
    """What the journal says: for each file the state that was synced, and one that may have been begun."""

    synced: dict[str, int | None] = field(default_factory=dict)
    begun: dict[str, int | None] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Path) -> "Promised":
        promised = cls()
        for line in journal.read_text().split("\n"):
            try:
                facts = json.loads(line)
            except ValueError:
                continue
            if "writing" in facts:
                promised.begun = {facts["writing"]: facts["state"]}
            elif "removing" in facts:
                promised.begun = {facts["removing"]: None}
            elif "gone" in facts:
                promised.synced[facts["gone"]], promised.begun = None, {}
            else:
                promised.synced[facts["file"]], promised.begun = facts["state"], {}
        return promised


def assert_kept(top: Path, promised: Promised) -> None:
    """Every file is in the state that was promised, or in the one that was just being written."""
    for name, number in promised.synced.items():
        path = top / name
        found = path.read_bytes() if path.exists() else None
        promises = [None if number is None else state(name, number)]
        if name in promised.begun:
            begun = promised.begun[name]
            promises.append(None if begun is None else state(name, begun))
            if name.startswith("careless") or number is None:
                # Rewritten in place: cut to nothing, and then every piece of the new state on its way.
                whole = promises[-1] or b""
                promises += [b"", whole[: len(whole) // 3]]
        assert found in promises, f"{name}: {found[:12] if found is not None else None!r} is not state {number}"


def work_and_kill(drive: Drive, journal: Path, seed: int, seconds: float) -> None:
    command = [sys.executable, "-m", "tests.crash.witness", str(drive.main), str(journal), str(seed)]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2]) as writer:
        time.sleep(seconds)
        drive.kill()
        assert writer.wait(60) == 0


def test_what_was_fsynced_is_there_after_kill_9_at_random_moments(drive: Drive, tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("FILMFS_SEED", time.time_ns()))
    journal = tmp_path / "journal"
    for number in range(ROUNDS):
        drive.start()
        if number:
            assert_kept(drive.main, Promised.of(journal))
            for path in drive.main.iterdir():
                path.unlink()
        journal.write_text("")
        work_and_kill(drive, journal, chance.randrange(1 << 30), 0.3 + chance.random() * LONGEST_S)
        assert Promised.of(journal).synced, "the writer got nowhere"
        drive.assert_sound()
    drive.start()
    assert_kept(drive.main, Promised.of(journal))
    drive.stop()
    drive.assert_sound()
    drive.assert_calm()
    assert os.listdir(Path(drive.root) / "staging") == []


def test_an_archive_that_was_killed_opens_without_a_mount_too(drive: Drive, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    drive.start()
    work_and_kill(drive, journal, 7, 1.5)
    with Archive(drive.root, Mode.WRITE) as archive:
        for line in archive.dropped:
            assert line.startswith("staging/")
        archive.history.seal_all()
    drive.assert_sound()
    assert os.listdir(Path(drive.root) / "staging") == []
    drive.start()
    assert_kept(drive.main, Promised.of(journal))


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
