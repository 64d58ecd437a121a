"""Times on the mount: which change sets which, and that those which are set are kept."""

import os
import time
from pathlib import Path

import pytest

from tests.mount.syscalls import NOW, OMIT, set_times

pytestmark = pytest.mark.mount


def test_times_that_were_set_survive_the_close(work: Path) -> None:
    for size in (10, 100_000):
        with open(work / f"{size}", "wb") as file:
            file.write(b"x" * size)
            file.flush()
            os.utime(file.fileno(), ns=(1_000_000_001, 2_000_000_003))
        found = (work / f"{size}").stat()
        assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 2_000_000_003)


def test_times_are_those_of_the_change(work: Path) -> None:
    before = time.time_ns() - 20_000_000
    (work / "a").write_bytes(b"x")
    os.utime(work / "a", ns=(1, 1))
    os.utime(work / "a")
    assert before <= (work / "a").stat().st_mtime_ns <= time.time_ns()
    assert before <= work.stat().st_mtime_ns <= time.time_ns()
    os.utime(work / "a", ns=(-5_000_000_000, -7_000_000_001))
    assert (work / "a").stat().st_mtime_ns == -7_000_000_001


def test_emptying_what_is_empty_is_a_change_too(work: Path) -> None:
    (work / "a").touch()
    os.utime(work / "a", ns=(5, 5))
    before = (work / "a").stat()
    (work / "a").write_bytes(b"")
    assert (work / "a").stat().st_mtime_ns > 5
    assert (work / "a").stat().st_ctime_ns > before.st_ctime_ns


@pytest.mark.parametrize("seconds", [-9 * 10**9, -1, 0, 2**31, 2**32 + 5, 2**34 + 1])
def test_times_long_before_and_after_are_kept_to_the_nanosecond(work: Path, seconds: int) -> None:
    at = seconds * 10**9 + 123_456_789
    (work / "a").touch()
    os.utime(work / "a", ns=(at, at + 1))
    assert ((work / "a").stat().st_atime_ns, (work / "a").stat().st_mtime_ns) == (at, at + 1)


@pytest.mark.parametrize("seconds", [-(2**62), 253_402_300_800, 2**62])
def test_a_time_past_what_can_be_kept_is_the_nearest_and_stops_nothing(work: Path, seconds: int) -> None:
    (work / "a").touch()
    set_times(work / "a", seconds * 10**9, seconds * 10**9)
    assert abs((work / "a").stat().st_mtime_ns - seconds * 10**9) < abs(seconds) * 10**9
    kept = (work / "a").stat()
    with open(work / "a", "r+b") as file:
        os.fsync(file.fileno())
    assert (work / "a").stat() == kept


def test_one_time_can_be_set_and_the_other_left(work: Path) -> None:
    (work / "a").touch()
    os.utime(work / "a", ns=(5, 7))
    set_times(work / "a", OMIT, 9)
    assert ((work / "a").stat().st_atime_ns, (work / "a").stat().st_mtime_ns) == (5, 9)
    set_times(work / "a", 6, OMIT)
    assert ((work / "a").stat().st_atime_ns, (work / "a").stat().st_mtime_ns) == (6, 9)
    before = (work / "a").stat()
    set_times(work / "a", OMIT, OMIT)
    assert (work / "a").stat() == before
    set_times(work / "a", 6, NOW)
    assert (work / "a").stat().st_atime_ns == 6
    assert abs((work / "a").stat().st_mtime - time.time()) < 10
