"""Files that are written out of an archive."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from filmfs.core.errors import DiskFailure, Exists
from filmfs.store.exporting import write_file


@pytest.fixture(params=["nameless files", "no nameless files"])
def directory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """On a file system that has files without a name, and on one that has not."""
    if request.param == "no nameless files":
        really = os.open

        def refused(path: str, flags: int, *rest: Any, **more: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return really(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", refused)
    return tmp_path


def test_a_file_appears_when_it_is_whole(directory: Path) -> None:
    def fill(descriptor: int) -> None:
        os.pwrite(descriptor, b"mine", 2)
        assert not (directory / "clip.mov").exists()

    write_file(str(directory / "clip.mov"), 8, fill)
    assert (directory / "clip.mov").read_bytes() == b"\0\0mine\0\0"
    assert os.listdir(directory) == ["clip.mov"]


def test_a_file_that_somebody_made_meanwhile_is_not_written_over(directory: Path) -> None:
    def fill(descriptor: int) -> None:
        os.write(descriptor, b"mine")
        (directory / "clip.mov").write_text("theirs")

    with pytest.raises(Exists):
        write_file(str(directory / "clip.mov"), 4, fill)
    assert (directory / "clip.mov").read_text() == "theirs"
    assert os.listdir(directory) == ["clip.mov"]


def test_of_a_file_that_failed_nothing_is_left(directory: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_file(str(directory / "clip.mov"), 4, lambda descriptor: print(1 // 0))
    assert os.listdir(directory) == []


def test_of_a_file_that_cannot_be_closed_nothing_is_left(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.close

    def failing(descriptor: int) -> None:
        really(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "close", failing)
    with pytest.raises(DiskFailure):
        write_file(str(directory / "clip.mov"), 4, lambda descriptor: print(1 // 0))
    assert os.listdir(directory) == []


def test_of_a_writer_that_is_killed_nothing_is_left(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from filmfs.store.exporting import write_file;"
        "write_file(sys.argv[1], 4, lambda descriptor: os.kill(os.getpid(), signal.SIGKILL))"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path / "clip.mov"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []
