"""Access times follow relatime, and reading is never a change."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.drive import Drive

pytestmark = pytest.mark.mount

DAY_NS = 24 * 3600 * 10**9
SIZES = [10, 300_000]


def _atime(path: Path) -> int:
    return os.lstat(path).st_atime_ns


def _aged(path: Path, *, atime: int, mtime: int) -> Path:
    """The path with times so long before now; its change is of now, so that whatever is read next is due."""
    now = time.time_ns()
    os.utime(path, ns=(now - atime, now - mtime))
    return path


@pytest.mark.parametrize("size", SIZES)
def test_the_first_reading_after_a_change_is_seen_and_the_next_is_not(work: Path, size: int) -> None:
    (work / "a").write_bytes(b"x" * size)
    file = _aged(work / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
    before = time.time_ns()
    file.read_bytes()
    first = _atime(file)
    assert first >= before - 10**9
    file.read_bytes()
    assert _atime(file) == first
    with open(file, "ab") as writer:
        writer.write(b"more")
    file.read_bytes()
    assert _atime(file) > first


def test_what_is_read_through_an_open_handle_is_seen(work: Path) -> None:
    with open(work / "a", "w+b", buffering=0) as file:
        file.write(b"x" * 300_000)
        _aged(work / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        file.read()
    assert time.time_ns() - _atime(work / "a") < DAY_NS


def test_reading_a_directory_and_a_symlink_is_seen(work: Path) -> None:
    (work / "d").mkdir()
    os.symlink("d", work / "l")
    for path in (work / "d", work / "l"):
        now = time.time_ns()
        os.utime(path, ns=(now - 5 * DAY_NS, now - 9 * DAY_NS), follow_symlinks=False)
    os.listdir(work / "d")
    os.readlink(work / "l")
    for path in (work / "d", work / "l"):
        assert time.time_ns() - _atime(path) < DAY_NS


@pytest.mark.skipif(os.getuid() != 0, reason="O_NOATIME is the owner's, and the mount's root is root's")
def test_o_noatime_leaves_no_trace(work: Path) -> None:
    (work / "a").write_bytes(b"x" * 300_000)
    _aged(work / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
    before = _atime(work / "a")
    descriptor = os.open(work / "a", os.O_RDONLY | os.O_NOATIME)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.read(descriptor, 300_000)
    os.close(descriptor)
    assert _atime(work / "a") == before


def test_reading_is_no_change_and_makes_no_commit(mounted: Drive) -> None:
    (mounted.main / "a").write_bytes(b"x" * 300_000)
    _aged(mounted.main / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
    mounted.commit(message="before")
    stored = _atime(mounted.main / "a")
    (mounted.main / "a").read_bytes()
    os.listdir(mounted.main)
    assert _atime(mounted.main / "a") > stored
    assert mounted.commit(message="nothing")["message"] == "before"
    old = next((mounted.mountpoint / ".filmfs" / "history" / "main").glob("2_*")) / "a"
    old.read_bytes()
    assert _atime(old) == stored
    mounted.restart()
    assert _atime(mounted.main / "a") == stored


def test_an_access_time_is_stored_with_the_next_change_of_the_file(mounted: Drive) -> None:
    (mounted.main / "a").write_bytes(b"x" * 300_000)
    _aged(mounted.main / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
    (mounted.main / "a").read_bytes()
    (mounted.main / "a").chmod(0o600)
    seen = _atime(mounted.main / "a")
    assert time.time_ns() - seen < DAY_NS
    mounted.restart()
    assert _atime(mounted.main / "a") == seen


def test_a_time_that_is_set_replaces_one_that_was_noted(work: Path) -> None:
    (work / "a").write_bytes(b"x")
    (work / "a").read_bytes()
    os.utime(work / "a", ns=(7, 7))
    assert _atime(work / "a") == 7


def test_a_mount_with_noatime_notes_nothing(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.start("-o", "noatime")
    try:
        (drive.main / "a").write_bytes(b"x" * 300_000)
        _aged(drive.main / "a", atime=5 * DAY_NS, mtime=9 * DAY_NS)
        before = _atime(drive.main / "a")
        subprocess.run(["cat", drive.main / "a"], stdout=subprocess.DEVNULL, check=True)
        assert _atime(drive.main / "a") == before
    finally:
        drive.stop()
