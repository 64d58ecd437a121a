"""Copies, holes and room of files that the kernel reads and writes itself, or that are one blob."""

import errno
import os
import subprocess

import pytest

from tests.drive import Drive, run
from tests.mount.sealed import seal, sealed_file
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.skipif(os.getuid() != 0, reason="passthrough needs root")]

MIB = 1 << 20


@pytest.fixture
def drive(passing: Drive) -> Drive:
    """A mount that hands plain files to the kernel."""
    return passing


def test_a_copy_inside_the_mount_stores_nothing(drive: Drive) -> None:
    data = os.urandom(8 * MIB)
    path = sealed_file(drive, "a", data)
    before = drive.size_on_disk()
    run("cp", path, drive.main / "b")
    assert (drive.main / "b").read_bytes() == data
    drive.commit()
    seal(drive)
    assert drive.size_on_disk() <= before + 4096
    with (drive.main / "b").open("r+b") as writer:
        writer.write(b"not a")
    assert path.read_bytes() == data
    assert (drive.main / "b").read_bytes() == b"not a" + data[5:]


def test_ranges_of_files_are_copied_to_any_place(drive: Drive) -> None:
    data = os.urandom(3 * MIB)
    path = sealed_file(drive, "a", data)
    with path.open("rb") as source, (drive.main / "b").open("wb") as target:
        target.write(b"head")
        target.flush()
        assert os.copy_file_range(source.fileno(), target.fileno(), 2 * MIB, MIB - 7, 4) == 2 * MIB
        os.lseek(target.fileno(), 0, os.SEEK_END)
        os.write(target.fileno(), b"tail")
        assert os.copy_file_range(source.fileno(), target.fileno(), 100, 3 * MIB - 50, 1) == 50
    expected = bytearray(b"head" + data[MIB - 7 : 3 * MIB - 7] + b"tail")
    expected[1:51] = data[-50:]
    assert (drive.main / "b").read_bytes() == expected
    drive.restart()
    assert (drive.main / "b").read_bytes() == expected


def test_a_copy_into_a_file_that_is_written_through_moves_bytes(drive: Drive) -> None:
    data = os.urandom(2 * MIB)
    path = sealed_file(drive, "a", data)
    with (drive.main / "b").open("wb") as target:
        target.write(b"1234")
        target.flush()
        with path.open("rb") as source:
            done = 0
            while done < len(data):
                done += os.copy_file_range(source.fileno(), target.fileno(), len(data) - done)
    assert (drive.main / "b").read_bytes() == b"1234" + data


def test_holes_are_found_made_and_kept(drive: Drive) -> None:
    for name, access in (("past the daemon", os.O_WRONLY), ("by the daemon", os.O_RDWR)):
        with open(os.open(drive.main / name, access | os.O_CREAT, 0o600), "wb") as file:
            descriptor = file.fileno()
            os.pwrite(descriptor, b"a" * MIB, 4 * MIB)
            assert os.lseek(descriptor, 0, os.SEEK_DATA) == 4 * MIB
            assert os.lseek(descriptor, 4 * MIB, os.SEEK_HOLE) == 5 * MIB
            with fails(errno.ENXIO):
                os.lseek(descriptor, 5 * MIB, os.SEEK_DATA)
            subprocess.run(["fallocate", "-p", "-o", str(4 * MIB), "-l", "8192", drive.main / name], check=True)
            os.posix_fallocate(descriptor, 0, 6 * MIB)
        assert (drive.main / name).stat().st_size == 6 * MIB
        data = (drive.main / name).read_bytes()
        assert data == bytes(4 * MIB + 8192) + b"a" * (MIB - 8192) + bytes(MIB)
