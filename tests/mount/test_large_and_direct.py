"""Files of terabytes, O_DIRECT, O_TMPFILE, and what else programs ask of open()."""

import errno
import fcntl
import mmap
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

TIB = 1 << 40
PAGE = 4096


def test_a_file_of_eight_terabytes_is_made_and_read_in_places(work: Path) -> None:
    with open(work / "a", "w+b", buffering=0) as file:
        os.ftruncate(file.fileno(), 8 * TIB)
        for at in (0, 5 * TIB + 1, 8 * TIB - 3):
            os.pwrite(file.fileno(), b"xyz", at)
        os.fsync(file.fileno())
    facts = (work / "a").stat()
    assert facts.st_size == 8 * TIB
    assert facts.st_blocks * 512 < 1 << 20
    with open(work / "a", "rb", buffering=0) as file:
        for at in (0, 5 * TIB + 1, 8 * TIB - 3):
            assert os.pread(file.fileno(), 3, at) == b"xyz"
        for at in (5, 3 * TIB, 5 * TIB - 1, 7 * TIB):
            assert os.pread(file.fileno(), PAGE, at).count(0) >= PAGE - 3
        assert os.pread(file.fileno(), PAGE, 8 * TIB - 1) == b"z"
    (work / "a").unlink()


def test_o_direct_reads_and_writes_past_the_page_cache(work: Path) -> None:
    pages = mmap.mmap(-1, 4 * PAGE)
    pages.write(b"A" * PAGE + b"B" * 3 * PAGE)
    descriptor = os.open(work / "a", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    assert os.pwritev(descriptor, [pages], PAGE) == 4 * PAGE
    back = mmap.mmap(-1, 8 * PAGE)
    assert os.preadv(descriptor, [back], 0) == 5 * PAGE
    assert back[: 5 * PAGE] == bytes(PAGE) + b"A" * PAGE + b"B" * 3 * PAGE
    os.close(descriptor)
    assert (work / "a").read_bytes() == bytes(PAGE) + b"A" * PAGE + b"B" * 3 * PAGE


def test_what_is_written_directly_and_otherwise_is_one_file(work: Path) -> None:
    pages = mmap.mmap(-1, PAGE)
    with open(work / "a", "w+b", buffering=0) as buffered:
        buffered.write(b"1" * 4 * PAGE)
        direct = os.open(work / "a", os.O_RDWR | os.O_DIRECT)
        pages.write(b"2" * PAGE)
        os.pwritev(direct, [pages], PAGE)
        assert os.pread(buffered.fileno(), 3 * PAGE, 0) == b"1" * PAGE + b"2" * PAGE + b"1" * PAGE
        os.pwrite(buffered.fileno(), b"3" * PAGE, 2 * PAGE)
        os.preadv(direct, [pages], 2 * PAGE)
        assert pages[:] == b"3" * PAGE
        os.close(direct)


def test_files_without_names_are_not_offered_and_programs_are_told(work: Path) -> None:
    with fails(errno.EOPNOTSUPP):
        os.open(work, os.O_TMPFILE | os.O_RDWR, 0o600)
    assert os.listdir(work) == []


def test_what_is_no_directory_and_what_goes_round_in_circles_is_told_apart(work: Path) -> None:
    (work / "file").touch()
    os.symlink("b", work / "a")
    os.symlink("a", work / "b")
    for look in (
        lambda: os.stat(work / "file" / "x"),
        lambda: os.stat(f"{work}/file/"),
        lambda: os.mkdir(work / "file" / "x"),
        lambda: os.rmdir(work / "file"),
        lambda: os.open(work / "file", os.O_DIRECTORY),
    ):
        with fails(errno.ENOTDIR):
            look()
    with fails(errno.ELOOP):
        os.stat(work / "a")
    with fails(errno.ELOOP):
        os.open(work / "a", os.O_RDONLY | os.O_NOFOLLOW)
    with fails(errno.ENAMETOOLONG):
        os.symlink("x" * 4096, work / "long")
    os.symlink("x" * 4095, work / "long")
    assert os.readlink(work / "long") == "x" * 4095
    with fails(errno.ENOENT):
        os.symlink("", work / "empty")


def test_names_of_255_bytes_are_kept_and_longer_ones_refused(work: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        (work / name).touch()
        os.link(work / name, work / f"x{name[1:]}")
        assert name in os.listdir(work)
    for make in (lambda: (work / ("n" * 256)).touch(), lambda: (work / ("é" * 128)).mkdir()):
        with fails(errno.ENAMETOOLONG):
            make()
    with fails(errno.ENAMETOOLONG):
        os.rename(work / ("n" * 255), work / ("m" * 256))


def test_hard_links_lead_to_one_file_from_several_directories(work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "file").write_bytes(b"1" * 300_000)
    os.link(work / "file", work / "a" / "one")
    os.link(work / "a" / "one", work / "a" / "b" / "two")
    with open(work / "a" / "b" / "two", "r+b") as file:
        file.write(b"2")
    (work / "a" / "one").chmod(0o640)
    facts = [path.stat() for path in (work / "file", work / "a" / "one", work / "a" / "b" / "two")]
    assert {(fact.st_ino, fact.st_nlink, stat.S_IMODE(fact.st_mode)) for fact in facts} == {(facts[0].st_ino, 3, 0o640)}
    assert (work / "file").read_bytes()[:2] == b"21"
    os.rename(work / "file", work / "a" / "one")  # two names of one file: POSIX does nothing
    assert (work / "file").exists()
    (work / "file").unlink()
    (work / "a" / "one").unlink()
    assert (work / "a" / "b" / "two").stat().st_nlink == 1
    with fails(errno.EPERM):
        os.link(work / "a", work / "c")


LOCKER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
try:
    eval(sys.argv[2])
    print("got")
except BlockingIOError:
    print("taken")
"""


def test_locks_of_both_kinds_keep_processes_apart(work: Path) -> None:
    """The kernel keeps them; a range and a whole file do not know each other, as on a local disk."""
    (work / "a").write_bytes(b"x" * 100)

    def other(lock: str) -> str:
        done = subprocess.run([sys.executable, "-c", LOCKER, work / "a", lock], capture_output=True, text=True)
        return done.stdout.strip()

    everything = "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    with open(work / "a", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 10, 0)
        assert other("fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)") == "taken"
        assert other("fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10)") == "got"
        assert other(everything) == "got"
        fcntl.flock(file, fcntl.LOCK_SH)
        assert other(everything) == "taken"
        assert other("fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)") == "got"
    assert other(everything) == "got"
    assert other("fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)") == "got"
