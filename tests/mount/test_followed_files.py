"""Files that some look at while others go on writing them: logs, recordings."""

import contextlib
import os
import random
import shutil
import subprocess

import pytest

from tests.drive import Drive, wait_until

pytestmark = pytest.mark.mount


def all_hashed(drive: Drive) -> None:
    """Waits for it."""
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all is hashed")


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
    with open(path, "wb", buffering=0) as file:
        file.write(first)
        reader = open(path, "rb")  # noqa: SIM115
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
