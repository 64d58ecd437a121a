"""A disk that answers late: only those wait who need it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.ids import ROOT_FILE
from tests.drive import Drive, wait_until
from tests.support import an_inode

pytestmark = pytest.mark.mount

_SLOW = Path(__file__).resolve().parents[2] / "scripts" / "benches" / "slow.py"
_LATE_S = 1.0
_PROMPT_S = 0.4  # far less than the disk takes, and enough for a busy machine
_FILES = 20_000


class SlowDrive(Drive):
    """An archive on a disk that can be made slow."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, create=False)
        self._delays = directory / "delays.json"
        self.disk = directory / "disk"
        self.root = str(self.disk / "archive")

    @contextmanager
    def late(self, *operations: str, seconds: float = _LATE_S) -> Iterator[None]:
        """The disk takes so long for each of these while the block lasts."""
        self._delays.write_text(json.dumps(dict.fromkeys(operations, seconds)))
        try:
            yield
        finally:
            self._delays.unlink()

    @contextmanager
    def mounted_disk(self) -> Iterator[None]:
        """The disk under the archive."""
        kept = self.disk.with_name("kept")
        for directory in (kept, self.disk):
            directory.mkdir()
        command = [sys.executable, _SLOW, kept, self._delays, self.disk]
        with subprocess.Popen(command) as process:
            try:
                wait_until(lambda: os.path.ismount(self.disk), "the slow disk is there")
                yield
            finally:
                subprocess.run(["fusermount3", "-uzq", self.disk], check=False)
                process.terminate()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[SlowDrive]:
    """A mount over a disk that is quick until it is asked to be slow; it holds many files."""
    drive = SlowDrive(tmp_path)
    with drive.mounted_disk():
        Archive.create(drive.root, author="tester")
        with Archive(drive.root, Mode.WRITE) as archive:
            tree = archive.history.tree(archive.history.default)
            for number in range(_FILES):
                tree.make(ROOT_FILE, b"f%05d" % number, an_inode())
            archive.history.flush()
        with drive.soundly():
            yield drive


def _longest(work: Callable[[int], object], count: int = 30) -> float:
    longest = 0.0
    for number in range(count):
        start = time.monotonic()
        work(number)
        longest = max(longest, time.monotonic() - start)
        time.sleep(0.02)
    return longest


def _in_memory(drive: Drive) -> bool:
    return bool(json.loads((drive.mountpoint / ".filmfs" / "status.json").read_text())["database_in_memory"])


def test_names_are_answered_while_others_wait_for_their_bytes_to_be_durable(slow: SlowDrive) -> None:
    wait_until(lambda: _in_memory(slow), "the database is in memory")
    directory = slow.main / "names"
    directory.mkdir()
    written = slow.main / "written"
    written.write_bytes(b"x" * 100_000)

    def write_and_sync() -> None:
        with written.open("r+b") as file:
            file.write(os.urandom(8192))
            os.fsync(file.fileno())

    def use_names(number: int) -> None:
        path = directory / f"{number}"
        os.stat(slow.main / f"f{number:05}")
        path.touch()
        path.rename(directory / f"{number}x")
        os.setxattr(directory / f"{number}x", "user.note", b"1")
        os.listdir(directory)
        os.unlink(directory / f"{number}x")

    with slow.late("sync", "remove", "rename"):
        syncing = threading.Thread(target=write_and_sync)
        syncing.start()
        longest = _longest(use_names)
        assert syncing.is_alive()
    syncing.join()
    assert longest < _PROMPT_S


def test_small_writes_that_the_disk_holds_back_keep_nobody_else_waiting(slow: SlowDrive) -> None:
    written = slow.main / "edited"
    written.write_bytes(bytes(1 << 20))
    wait_until(lambda: _in_memory(slow), "the database is in memory")
    ended = threading.Event()

    def write() -> None:
        with written.open("r+b", buffering=0) as file:
            while not ended.is_set():
                file.write(os.urandom(4096))

    with slow.late("write"):
        writing = threading.Thread(target=write)
        writing.start()
        time.sleep(2 * _LATE_S)  # the first one is noticed
        longest = _longest(lambda number: (slow.main / f"new{number}").touch(), 20)
        ended.set()
    writing.join()
    assert longest < _PROMPT_S


def test_who_asks_for_what_is_not_in_memory_waits_alone(slow: SlowDrive) -> None:
    wait_until(lambda: _in_memory(slow), "the database is in memory")
    new = slow.main / "new"
    new.touch()
    database = os.open(os.path.join(slow.root, "meta.lmdb", "data.mdb"), os.O_RDONLY)
    with slow.late("read"):
        os.posix_fadvise(database, 0, 0, os.POSIX_FADV_DONTNEED)
        wait_until(lambda: not _in_memory(slow), "the daemon knows that the database went from memory")
        asking = threading.Thread(target=os.stat, args=(slow.main / f"f{_FILES // 2:05}",))
        asking.start()
        time.sleep(0.05)
        longest = _longest(lambda number: (slow.mountpoint / ".filmfs" / "status.json").read_bytes(), 20)
    asking.join()
    os.close(database)
    assert longest < _PROMPT_S
    wait_until(lambda: _in_memory(slow), "the database is in memory again")
    assert len(os.listdir(slow.main)) == _FILES + 1


def test_the_database_stays_right_while_others_open_it_and_it_is_being_written(slow: SlowDrive) -> None:
    """On a FUSE mount to open a file drops its pages; what is on its way to the disk must not be read back then."""
    ended = threading.Event()

    def open_it() -> None:
        while not ended.wait(1.1):
            os.close(os.open(os.path.join(slow.root, "meta.lmdb", "data.mdb"), os.O_RDONLY))

    opening = threading.Thread(target=open_it)
    with slow.late("write", seconds=0.3):
        opening.start()
        try:
            until, number = time.monotonic() + 20, 0
            while time.monotonic() < until:
                os.utime(slow.main / f"f{number * 7919 % _FILES:05}", (number, number))
                if number % 50 == 0:
                    (slow.main / f"new{number}").touch()
                number += 1
                time.sleep(0.001)
        finally:
            ended.set()
            opening.join()
