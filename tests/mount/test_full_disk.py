"""A disk that is full: what is removed makes room again."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from filmfs.archive import Archive
from tests.drive import Drive, run, wait_until
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.skipif(os.getuid() != 0, reason="a loop device needs root")]

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 file system of 400 MiB, none of it kept for root."""
    image, mountpoint = tmp_path / "image", tmp_path / "disk"
    mountpoint.mkdir()
    with image.open("wb") as file:
        file.truncate(400 * MIB)
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    done = subprocess.run(["mount", "-o", "loop", image, mountpoint], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no loop device here: {done.stderr}")
    try:
        yield mountpoint
    finally:
        subprocess.run(["umount", "-l", mountpoint], check=True)


@pytest.fixture
def drive(small_disk: Path) -> Iterator[Drive]:
    """A mount of an archive on that disk."""
    drive = Drive(small_disk.parent, create=False)
    drive.root = str(small_disk / "archive")
    Archive.create(drive.root, author="tester")
    drive.start()
    try:
        yield drive
    finally:
        drive.stop()
    drive.assert_sound()


def room(drive: Drive) -> int:
    """Bytes that the disk has left."""
    disk = os.statvfs(drive.root)
    return disk.f_bavail * disk.f_frsize


def fill(path: Path) -> int:
    """Writes until the disk is full to the last block."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    for block in (MIB, 4096):
        with suppress(OSError):
            while True:
                os.write(descriptor, bytes(block))
    return descriptor


def test_what_is_removed_from_a_full_disk_makes_room(drive: Drive) -> None:
    wait_until(Path(drive.root, "reserve").exists, "room is kept back")
    descriptor = fill(drive.main / "filler")
    with suppress(OSError):
        os.fsync(descriptor)
    for number in range(3000):
        (drive.main / f"{number}").touch()
    (drive.main / "filler").unlink()
    os.close(descriptor)  # not before: a file that was hashed meanwhile would keep its bytes
    for number in range(2999):
        (drive.main / f"{number}").unlink()
    directory = os.open(drive.main, os.O_RDONLY)
    wait_until(lambda: room(drive) > 200 * MIB, "there is room")
    os.fsync(directory)
    os.close(directory)
    assert os.listdir(drive.main) == ["2999"]
    (drive.main / "after").write_bytes(b"x" * 10 * MIB)


_GREEDY = """
import os, sys
descriptor = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY)
print(flush=True)
while True:
    try:
        os.write(descriptor, bytes(4096))
    except OSError:
        pass
"""


def test_who_goes_on_writing_to_a_full_disk_gets_no_room_that_removals_need(drive: Drive) -> None:
    wait_until(Path(drive.root, "reserve").exists, "room is kept back")
    with subprocess.Popen([sys.executable, "-c", _GREEDY, drive.main / "greedy"], stdout=subprocess.PIPE) as greedy:
        assert greedy.stdout is not None
        greedy.stdout.readline()
        descriptor = fill(drive.main / "filler")
        for number in range(300):
            (drive.main / f"{number}").touch()
        with suppress(OSError):
            os.fsync(descriptor)
        time.sleep(2.5)  # a flush or two, which may find the disk full
        greedy.kill()
    for name in ("filler", "greedy"):
        (drive.main / name).unlink()
    os.close(descriptor)
    wait_until(lambda: room(drive) > 200 * MIB, "there is room")
    assert len(os.listdir(drive.main)) == 300


def test_a_full_disk_is_told_to_who_writes(drive: Drive) -> None:
    descriptor = fill(drive.main / "filler")
    with fails(errno.ENOSPC):
        os.write(descriptor, bytes(MIB))
    os.close(descriptor)
    (drive.main / "filler").unlink()
