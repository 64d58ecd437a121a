"""Several writers at work on a mount that is about to die, and the look at what is left."""

import gc
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from filmfs.archive import Archive, Mode
from filmfs.archive.check import main as main_of_check
from filmfs.core.ids import ROOT_FILE
from filmfs.versioning.rows import Kind
from filmfs.versioning.tree import View
from tests.crash.promises import Files, Promises
from tests.drive import PATIENCE_S, Drive

FAULTY = [sys.executable, "-m", "tests.crash.faulty"]
_TOP = Path(__file__).resolve().parents[2]


class Writers:
    """Some writers, each in a directory of its own below `main`; the first also commits and branches."""

    def __init__(self, drive: Drive, journals: Path, name: str, seed: int, count: int = 3) -> None:
        self.names = [f"{name}-{number}" for number in range(count)]
        self._journals = journals
        journals.mkdir(exist_ok=True)
        environment = os.environ | {"PYTHONPATH": str(_TOP)}
        arguments = [str(drive.main), str(journals), drive.root, str(seed), *self.names]
        command = [sys.executable, "-m", "tests.crash.witness", *arguments]
        self._process = subprocess.Popen(command, cwd=_TOP, env=environment, stderr=subprocess.DEVNULL)

    def await_start(self) -> None:
        """Returns when every writer has made something durable."""
        deadline = time.monotonic() + PATIENCE_S
        while not all(b"synced" in self._lines(own) for own in self.names):
            assert time.monotonic() < deadline, "the writers got nowhere"
            time.sleep(0.01)

    def await_end(self) -> None:
        """Waits for the writers to find the mount dead."""
        assert self._process.wait(PATIENCE_S) == 0

    def stop(self) -> None:
        """Ends those that are left, after the mount is gone."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def promises(self) -> dict[str, Promises]:
        """What each writer was promised."""
        return {own: Promises.of(self._lines(own).decode().splitlines()) for own in self.names}

    def _lines(self, own: str) -> bytes:
        path = self._journals / own
        return path.read_bytes() if path.exists() else b""


@contextmanager
def writers_on(
    drive: Drive, journals: Path, name: str, seed: int, count: int = 3, *, patient: bool = True
) -> Iterator[Writers]:
    """Starts writers, and if `patient` waits until each has made something durable; none is left at the end."""
    writers = Writers(drive, journals, name, seed, count)
    try:
        if patient:
            writers.await_start()
        yield writers
    finally:
        writers.stop()


def files_in(archive: Archive, view: View, own: str) -> Files:
    """What an archive has in a directory below a branch's or a commit's root."""
    found: Files = {}
    entry = view.find(ROOT_FILE, own.encode())
    for path, below, inode in view.walk(entry.file) if entry is not None else ():
        if inode.kind is Kind.FILE:
            data = archive.contents.read(archive.contents.map_of(inode.content), 0, inode.size)
            assert len(data) == inode.size, f"{path!r} has {len(data)} bytes and says {inode.size}"
            found[os.fsdecode(path)] = below.file, data
    return found


def breaches(archive: Archive, promised: dict[str, Promises]) -> Iterator[str]:
    """What an opened archive does not keep of what writers were promised."""
    history = archive.history
    for own, promises in promised.items():
        wrong = promises.breach(files_in(archive, history.view_of("main"), own))
        if wrong is not None:
            yield f"{own}: {wrong}"
        for point in promises.kept:
            wrong = promises.breach_of_kept(point, files_in(archive, history.view_of(point), own))
            if wrong is not None:
                yield f"{own}: {wrong}"


def assert_sound(root: str) -> None:
    """`check --data`, in this process: for many small archives whose database is not damaged."""
    out = io.StringIO()
    with redirect_stdout(out):
        main_of_check([root, "--data"])
    gc.enable()
    report = json.loads(out.getvalue().splitlines()[-1])["report"]
    assert report["faults"] == [], report["faults"]


def assert_kept(root: str, promised: dict[str, Promises]) -> None:
    """Holds when the archive keeps what writers were promised, is sound before and after, and has no leftovers."""
    assert_sound(root)
    with Archive(root, Mode.WRITE) as archive:
        assert all(line.startswith("staging/") for line in archive.dropped), archive.dropped
        for _ in range(2):
            wrong = list(breaches(archive, promised))
            assert not wrong, wrong
            archive.history.seal_all()
    left = os.listdir(Path(root) / "staging")
    assert not left, left
    assert_sound(root)
