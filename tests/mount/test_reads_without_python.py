"""Files of several pieces, whose reads the C extension answers from a table and without a copy."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.ids import ROOT_FILE
from filmfs.mount.native import hooks
from tests.drive import Drive, run, wait_until
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.skipif(hooks is None, reason="the extension is not built")]

MIB = 1 << 20


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """A mount of the test's own."""
    drive = Drive(tmp_path)
    drive.start()
    try:
        yield drive
    finally:
        drive.stop()


def reads(drive: Drive) -> tuple[int, int]:
    """Reads that came, and those that were answered without Python."""
    found = drive.command("status")["requests"]
    return found["reads"], found["reads_without_python"]


def file_of_pieces(drive: Drive) -> tuple[Path, bytes]:
    """A sealed file of 9 MiB: pieces of several blobs at odd places, holes between them and at its end."""
    (drive.main / "first").write_bytes(random.Random(1).randbytes(8 * MIB))
    drive.commit()
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "sealing")
    path = drive.main / "pieces"
    run("cp", drive.main / "first", path)
    expected = bytearray((drive.main / "first").read_bytes())
    chance = random.Random(2)
    with path.open("r+b") as file:
        for _ in range(60):
            at, new = chance.randrange(8 * MIB - 70_000), chance.randbytes(chance.choice((1, 4095, 4096, 4097, 65_537)))
            os.pwrite(file.fileno(), new, at)
            expected[at : at + len(new)] = new
        file.truncate(9 * MIB)
    run("fallocate", "--punch-hole", "--offset", 3 * MIB + 5, "--length", 700_000, path)
    expected[3 * MIB + 5 : 3 * MIB + 700_005] = bytes(700_000)
    expected += bytes(MIB)
    drive.commit()
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "sealing")
    return path, bytes(expected)


def test_a_file_of_pieces_reads_as_what_was_written_without_python(drive: Drive) -> None:
    path, expected = file_of_pieces(drive)
    drive.restart()
    assert path.read_bytes() == expected
    came, without_python = reads(drive)
    assert came == without_python > 9
    chance = random.Random(3)
    with path.open("rb", buffering=0) as file:
        for _ in range(300):
            at, length = chance.randrange(9 * MIB), chance.randrange(2 * MIB)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.pread(file.fileno(), length, at) == expected[at : at + length]
    drive.stop()
    drive.assert_sound()
    drive.assert_calm()


def test_a_damaged_file_that_is_cut_is_an_error_to_who_cuts_it_and_nobody_else_s(drive: Drive) -> None:
    (drive.main / "damaged").write_bytes(os.urandom(2 * MIB))
    drive.commit()
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "sealing")
    drive.stop()
    for blob in Path(drive.root).glob("blobs/*/*"):
        os.truncate(blob, 0)
    drive.start()
    with fails(errno.EIO):
        os.truncate(drive.main / "damaged", 100)
    with (drive.main / "other").open("wb") as file:
        file.write(b"x" * 9000)
        file.flush()
        os.fsync(file.fileno())
    drive.kill()
    drive.start()
    assert (drive.main / "other").read_bytes() == b"x" * 9000
    assert (drive.main / "damaged").stat().st_size == 2 * MIB


def test_a_blob_that_was_cut_short_is_an_error_to_who_reads_it_and_all_else_reads_on(drive: Drive) -> None:
    path, expected = file_of_pieces(drive)
    drive.stop()
    with Archive(drive.root, Mode.READ) as archive:
        view = archive.history.view_of("main")
        content = view.get_inode(view.get(ROOT_FILE, b"pieces").file).content
        blobs = {extent.source for extent in archive.contents.map_of(content).extents}
        largest = max((archive.blobs.path_of(blob) for blob in blobs if isinstance(blob, int)), key=os.path.getsize)
    os.truncate(largest, 6 * MIB)
    drive.start()
    with path.open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), MIB, MIB) == expected[MIB : 2 * MIB]
        with fails(errno.EIO):
            os.pread(file.fileno(), MIB, 7 * MIB)
        assert os.pread(file.fileno(), MIB, 2 * MIB) == expected[2 * MIB : 3 * MIB]
    wait_until(lambda: "a blob of main:pieces cannot be read" in drive.words(), "a line in the log")
