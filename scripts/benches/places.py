"""Where scripts/bench works: an archive with its mount, and the mounts of its peers."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.frame import Client, ended
from filmfs.archive import Archive, Mode
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ROOT_FILE

FILMFS = [sys.executable, "-m", "filmfs"]
GIB = 1 << 30
MIB = 1 << 20
_PATIENCE_S = 600.0
_BUSY_S = 60.0
_ROOM = 10  # a bench of N bytes asks for so many times N of free disk


@dataclass(slots=True)
class Place:
    """A directory on the disk that is measured, and how thorough to be."""

    directory: Path
    client: Client
    rounds: int
    quick: bool

    @property
    def large(self) -> int:
        """Bytes of a large file: 10 GiB where the disk has room for several, else 2; 256 MiB when in a hurry."""
        if self.quick:
            return 256 * MIB
        return 10 * GIB if shutil.disk_usage(self.directory).free > _ROOM * 10 * GIB else 2 * GIB

    @property
    def cached(self) -> int:
        """Bytes of a file that is to stay in the page cache."""
        return 256 * MIB if self.quick else 2 * GIB

    def fresh(self, name: str) -> Path:
        """An empty directory."""
        path = self.directory / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path


class Mounted:
    """An archive of its own under `directory`, mounted beside it while the `with` block lasts."""

    def __init__(self, directory: Path, *, root: Path | None = None) -> None:
        self.root = root or directory / "archive"
        self.mountpoint = directory / "mnt"
        self.log = directory / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        filmfs("init", self.root)

    def __enter__(self) -> "Mounted":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def main(self) -> Path:
        """The branch `main`."""
        return self.mountpoint / "main"

    @property
    def pid(self) -> int:
        """The daemon's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Mounts; returns when the mount answers."""
        reading, writing = os.pipe()
        command = [*FILMFS, "mount", "--foreground", f"--ready-fd={writing}", str(self.root), str(self.mountpoint)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[writing])
        os.close(writing)
        with open(reading, "rb") as ready:
            if b"pid" not in ready.read():
                raise RuntimeError(f"the mount did not come: {self.log.read_text()}")

    def stop(self) -> None:
        """Unmounts, and waits for the daemon's end."""
        if self._process is None:
            return
        deadline = time.monotonic() + _BUSY_S
        while subprocess.run(["fusermount3", "-uq", self.mountpoint], check=False).returncode != 0:
            if time.monotonic() > deadline:  # nothing of the mount may be found by whoever removes the directory
                subprocess.run(["fusermount3", "-uz", self.mountpoint], check=True)
                break
            time.sleep(0.1)
        self._process.wait(_PATIENCE_S)
        self._process = None

    def restart(self) -> None:
        """Unmounts and mounts again: neither the kernel nor the daemon knows anything then."""
        self.stop()
        self.start()

    def settle(self) -> None:
        """Returns when all is durable and hashed, so that nothing goes on behind the next figure."""
        os.sync()
        deadline = time.monotonic() + _PATIENCE_S
        while self.status()["unsealed_files"]:
            if time.monotonic() > deadline:
                raise RuntimeError("files stay unsealed")
            time.sleep(0.1)

    def status(self) -> dict[str, Any]:
        """What the daemon says of itself."""
        facts: dict[str, Any] = json.loads((self.mountpoint / ".filmfs" / "status.json").read_bytes())
        return facts

    def reads(self) -> int | None:
        """Reads that the daemon answered since the mount, if it counts them."""
        return self.status().get("reads")

    def stored(self) -> int:
        """Bytes that blobs, staging files and records take on the disk."""
        return sum(
            os.lstat(os.path.join(directory, name)).st_blocks * 512
            for directory, _, names in os.walk(self.root)
            for name in names
        )

    def add(self, *sources: Path) -> None:
        """`filmfs add` into the root of `main`."""
        filmfs("add", self.root, *sources)

    def blob_of(self, name: str) -> Path:
        """The one blob that is the whole file."""
        with Archive(str(self.root), Mode.READ) as archive:
            blob = map_in(archive, name).whole_blob
            if blob is None:
                raise RuntimeError(f"{name} is not one whole blob")
            return Path(archive.blobs.path_of(blob))


def filmfs(*arguments: str | Path) -> None:
    """Runs a command; its words are not wanted."""
    subprocess.run([*FILMFS, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def peer(command: list[str], mountpoint: Path) -> Iterator[int]:
    """A peer's mount; gives its process. `command` stays in the foreground."""
    mountpoint.mkdir(parents=True, exist_ok=True)
    with ended(subprocess.Popen([*command, str(mountpoint)])) as process:
        deadline = time.monotonic() + 30
        while not os.path.ismount(mountpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not mount")
            time.sleep(0.05)
        try:
            yield process.pid
        finally:
            subprocess.run(["fusermount3", "-uz", mountpoint], check=False)


def beside(name: str, *arguments: object) -> list[str]:
    """The command that runs a script of this package."""
    return [sys.executable, str(Path(__file__).with_name(name)), *map(str, arguments)]


def fill_with_noise(path: Path, size: int) -> None:
    """A file that compresses and deduplicates nowhere, in the page cache and on the disk."""
    with path.open("wb") as file:
        for number in range(-(-size // (16 * MIB))):
            file.write(random.Random(f"{path.name}{number}").randbytes(min(16 * MIB, size - number * 16 * MIB)))
        file.flush()
        os.fsync(file.fileno())


def map_in(archive: Archive, name: str) -> ExtentMap:
    """What a file in the root of `main` is made of."""
    view = archive.history.view_of("main")
    entry = view.get(ROOT_FILE, name.encode())
    return archive.contents.map_of(view.get_inode(entry.file).content)
