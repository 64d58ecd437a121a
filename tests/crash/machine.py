"""An archive on a disk that forgets and fails, and what a power cut leaves of it."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filmfs.archive import Archive
from filmfs.store.disk import sync_path
from tests.crash.afterwards import Change, Disk, read_journal, write_out
from tests.crash.scene import FAULTY
from tests.drive import PATIENCE_S, Drive, wait_until

JOURNALS = "journals"


class Machine:
    """A disk that forgets, and an archive on it. While the file `held` is there a mount flushes only when asked."""

    def __init__(self, directory: Path) -> None:
        self.disk = directory / "disk"
        self.disk.mkdir()
        self.journal = directory / "changes"
        command = [sys.executable, "-m", "tests.crash.forgetful", str(self.disk), str(self.journal)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2])
        wait_until(lambda: os.path.ismount(self.disk), "the disk is there")
        (self.disk / JOURNALS).mkdir()
        sync_path(str(self.disk))
        Archive.create(str(self.disk / "archive"), author="tester")
        self.drive = Drive(self.disk, create=False)
        self.drive.mountpoint = directory / "mnt"
        self.drive.mountpoint.mkdir()
        self.drive.log = directory / "daemon.log"
        self.held = directory / "held"
        self.drive.program = ["env", f"FILMFS_TEST_HELD={self.held}", *FAULTY]

    def changes(self) -> list[Change]:
        """What was noted; the disk is gone then."""
        subprocess.run(["fusermount3", "-uz", self.disk], check=True)
        self._process.wait(PATIENCE_S)
        return read_journal(self.journal)

    def fail(self, *rules: dict[str, object]) -> None:
        """Has the disk fail as the rules say, from now on; without rules it is well again."""
        os.setxattr(self.disk, "user.faults", json.dumps(rules).encode())

    def remove(self) -> None:
        """Nothing of it stays."""
        self.drive.kill()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(PATIENCE_S)
        subprocess.run(["fusermount3", "-uzq", self.disk], check=False)


@contextmanager
def after_power_cut(disk: Disk, chance: random.Random, kept: float) -> Iterator[str]:
    """An archive as a power cut left it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        write_out(disk.after_power_cut(chance, kept), Path(top))
        yield os.path.join(top, "archive")


def after_power_cuts_now(machine: Machine) -> Iterator[str]:
    """Kills the daemon; archives as power cuts leave them that kept nothing, half or all of what was not synced."""
    machine.drive.kill()
    disk = Disk()
    for change in machine.changes():
        disk.note(change)
    for kept in (0.0, 0.5, 1.0):
        with after_power_cut(disk, random.Random(1), kept) as root:
            yield root
