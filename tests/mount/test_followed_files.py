"""Files that some look at while others go on writing them: logs, recordings."""

import contextlib
import errno
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.drive import Drive, wait_until
from tests.mount.syscalls import ZERO_RANGE, fails, fallocate

pytestmark = pytest.mark.mount

LONG, OTHER = random.Random(1).randbytes(1_500_000), random.Random(2).randbytes(600_000)


def all_hashed(drive: Drive) -> None:
    """Waits for it."""
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all is hashed")


def written_and_followed(mounted: Drive, path: Path, data: bytes) -> IO[bytes]:
    """Writes a new file and closes it, which the daemon has noticed; gives a reader that has it open."""
    with open(path, "wb", buffering=0) as file:
        file.write(data)
        reader = open(path, "rb")  # noqa: SIM115
    for _ in range(3):  # the kernel tells of a close when it has time
        time.sleep(0.2)
        mounted.command("flush")
    return reader


@pytest.fixture
def scene(mounted: Drive) -> Iterator[tuple[Path, Path, IO[bytes]]]:
    """A log that is followed and appended to, a commit's view of it, and who appends."""
    log = mounted.main / "log"
    with written_and_followed(mounted, log, LONG), open(log, "ab", buffering=0) as appending:
        mounted.commit(message="while it is open")
        yield log, max((mounted.main / ".snapshots").iterdir()) / "log", appending


def test_who_follows_a_log_sees_what_others_append(mounted: Drive) -> None:
    path = mounted.main / "day.log"
    with path.open("wb") as writer:
        writer.write(b"one\n")
        writer.flush()
        follower = path.open("rb")
    with follower:
        assert follower.read() == b"one\n"
        for line in (b"two\n", b"three\n", b"four\n" * 1000):
            with path.open("ab") as writer:
                writer.write(line)
            assert follower.read() == line
        mounted.commit()
        assert path.read_bytes() == b"one\ntwo\nthree\n" + b"four\n" * 1000
    all_hashed(mounted)
    history = next((mounted.mountpoint / ".filmfs" / "history" / "main").glob("2*"))
    assert (history / "day.log").read_bytes() == path.read_bytes()


def test_a_commit_between_two_who_append_has_what_the_first_closed(mounted: Drive) -> None:
    path = mounted.main / "day.log"
    with path.open("wb") as first:
        first.write(b"one\n")
        first.flush()
        follower = path.open("rb")
    with follower, path.open("ab") as second:
        second.write(b"two\n")
        second.flush()
        mounted.commit()
        second.write(b"three\n")
        second.flush()
        assert follower.read() == b"one\ntwo\nthree\n"
    history = next((mounted.mountpoint / ".filmfs" / "history" / "main").glob("2*"))
    assert (history / "day.log").read_bytes() == b"one\n"
    assert path.read_bytes() == b"one\ntwo\nthree\n"
    all_hashed(mounted)
    assert (history / "day.log").read_bytes() == b"one\n"


@pytest.mark.parametrize("how", ["cut", "written over", "punched", "copied and cut"])
def test_a_commit_keeps_what_a_file_was_at_a_close_while_it_goes_on_to_be_written(mounted: Drive, how: str) -> None:
    """A log is followed by a reader, closed and appended to; then it is cut and begun anew, as logrotate does."""
    path, first, second = mounted.main / "log", random.Random(1).randbytes(500_000), random.Random(2).randbytes(600_000)
    reader = written_and_followed(mounted, path, first)
    with reader, open(path, "ab", buffering=0) as file:
        file.write(b"more")
        mounted.commit(message="while it is written")
        kept = max((mounted.main / ".snapshots").iterdir()) / "log"
        assert kept.read_bytes() == first
        if how == "written over":
            with open(path, "r+b", buffering=0) as other:
                other.write(second)
        elif how == "punched":
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["fallocate", "--punch-hole", "--length", "65536", path], check=True)
        else:
            if how == "copied and cut":
                shutil.copyfile(kept, mounted.main / "copy")
            file.truncate(1000)
            file.write(second)
        assert kept.read_bytes() == first
        os.fsync(file.fileno())
        shown = path.read_bytes()
    all_hashed(mounted)
    mounted.restart()
    assert kept.read_bytes() == first
    assert path.read_bytes() == shown
    assert how != "copied and cut" or (mounted.main / "copy").read_bytes() == first
    if how != "punched":
        assert shown == (second + b"more" if how == "written over" else first[:1000] + second)[: len(shown)]


@pytest.mark.parametrize("how", ["cut", "written over"])
@pytest.mark.parametrize("appended", [b"", b"more" * 1000])
def test_who_reads_a_commit_keeps_what_that_has(scene: tuple[Path, Path, IO[bytes]], how: str, appended: bytes) -> None:
    log, kept, appending = scene
    with open(kept, "rb", buffering=0) as reader:
        assert os.pread(reader.fileno(), 4096, 1_000_000) == LONG[1_000_000:1_004_096]
        appending.write(appended)
        assert os.pread(reader.fileno(), 2 * len(LONG), 0) == LONG
        if how == "cut":
            appending.truncate(1000)
            appending.write(OTHER)
        else:
            with open(log, "r+b", buffering=0) as writer:
                writer.write(OTHER)
        os.posix_fadvise(reader.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(reader.fileno(), 2 * len(LONG), 0) == LONG


def test_zeros_that_are_refused_do_not_make_a_file_longer(scene: tuple[Path, Path, IO[bytes]]) -> None:
    log, kept, appending = scene
    with contextlib.suppress(OSError):
        fallocate(appending.fileno(), ZERO_RANGE, 1000, len(LONG))
        assert log.read_bytes() == LONG[:1000] + bytes(len(LONG))
    assert log.stat().st_size in (len(LONG), len(LONG) + 1000)
    assert kept.read_bytes() == LONG
    if log.stat().st_size == len(LONG):
        assert log.read_bytes() == LONG


@pytest.mark.parametrize("size", [1000, 300_000])
def test_zeros_beyond_the_largest_length_leave_the_bytes(mounted: Drive, size: int) -> None:
    path, data = mounted.main / "file", LONG[:size]
    path.write_bytes(data)
    with open(path, "r+b", buffering=0) as file, fails(errno.EFBIG):
        fallocate(file.fileno(), ZERO_RANGE, 0, 20 << 40)
    assert path.read_bytes() == data
    mounted.restart()
    assert path.read_bytes() == data


def test_a_copy_of_what_a_commit_has_is_that_whatever_is_written_meanwhile(
    mounted: Drive, scene: tuple[Path, Path, IO[bytes]]
) -> None:
    log, kept, _ = scene
    with open(kept, "rb", buffering=0) as source, open(log, "r+b", buffering=0) as writer:
        writer.write(OTHER)
        with open(mounted.main / "copy", "wb", buffering=0) as copy:
            shutil.copyfileobj(source, copy)
    assert (mounted.main / "copy").read_bytes() == LONG


def test_who_edits_a_file_in_another_branch_keeps_what_it_was(
    mounted: Drive, scene: tuple[Path, Path, IO[bytes]]
) -> None:
    log, _, _ = scene
    edited = mounted.branch("b") / "log"
    assert edited.read_bytes() == LONG
    with open(edited, "r+b", buffering=0) as editor:
        os.pwrite(editor.fileno(), b"x" * 5000, 1_000_000)
        with open(log, "r+b", buffering=0) as writer:
            writer.write(OTHER)
        os.pwrite(editor.fileno(), b"y" * 10, 1_200_000)
    expected = LONG[:1_000_000] + b"x" * 5000 + LONG[1_005_000:1_200_000] + b"y" * 10 + LONG[1_200_010:]
    assert edited.read_bytes() == expected
