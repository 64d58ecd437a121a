"""Files of several blobs that the kernel reads by itself, as one plain file that is composed for it."""

import errno
import mmap
import os
import random
from pathlib import Path

import pytest

from filmfs.store.composing import is_possible
from tests.drive import Drive, run, wait_until
from tests.mount.sealed import seal, sealed_file
from tests.mount.syscalls import fails

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(not is_possible("/var/tmp"), reason="the kernel composes no files, or not for us"),
]

MIB = 1 << 20
BLOCK = 4096


@pytest.fixture
def drive(passing: Drive) -> Drive:
    """A mount whose files the kernel composes."""
    wait_until(lambda: passing.command("status")["composing"], "the kernel was seen to compose files")
    return passing


def reads(drive: Drive) -> int:
    """Requests for bytes that came."""
    return int(drive.command("status")["requests"]["reads"])


def joined(drive: Drive, pieces: list[tuple[int, int, int]]) -> tuple[Path, bytes]:
    """A sealed file of ranges (blob, from, length) of two blobs, by copy_file_range; its bytes."""
    datas = [random.Random(number).randbytes(4 * MIB) for number in (1, 2)]
    paths = [sealed_file(drive, f"blob{number}", data) for number, data in enumerate(datas)]
    path, expected = drive.main / "joined", b""
    with paths[0].open("rb") as first, paths[1].open("rb") as second, path.open("wb") as target:
        for number, start, length in pieces:
            source = (first, second)[number].fileno()
            assert os.copy_file_range(source, target.fileno(), length, start) == length
            expected += datas[number][start : start + length]
    drive.commit()
    seal(drive)
    return path, expected


def straight(drive: Drive) -> tuple[Path, bytes]:
    """One that can be composed without a copy, but for its last chunk."""
    return joined(drive, [(0, 0, MIB), (1, 2 * MIB, MIB), (0, 3 * MIB, MIB - 5)])


@pytest.mark.parametrize("head", [0, 700])
def test_no_read_of_it_reaches_the_daemon(drive: Drive, head: int) -> None:
    pieces = [(1, 0, head)] * bool(head) + [
        (0, head, MIB),
        (1, 2 * MIB + head, MIB),
        (0, 3 * MIB + head, MIB - 5 - head),
    ]
    path, expected = joined(drive, pieces)
    before = reads(drive)
    assert path.read_bytes() == expected
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == expected
        for _ in range(50):
            at = random.randrange(len(expected))
            assert os.pread(file.fileno(), 10_000, at) == expected[at : at + 10_000]
        copied = drive.main / "copied"
        run("cp", path, copied)
    assert copied.read_bytes() == expected
    assert reads(drive) == before


def test_bytes_after_its_end_are_zeros_in_a_mapping(drive: Drive) -> None:
    path, expected = straight(drive)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == expected
    run("python3", "-c", _PAST_THE_END, path)


_PAST_THE_END = """
import ctypes, mmap, os, sys
size = os.path.getsize(sys.argv[1])
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
    page = ctypes.string_at(ctypes.addressof(ctypes.c_char.from_buffer(mapped)) + size // 4096 * 4096, 4096)
    assert page[size % 4096:] == bytes(-size % 4096)
    os._exit(0)
"""


def test_readers_keep_it_when_it_is_written(drive: Drive) -> None:
    path, expected = straight(drive)
    before = reads(drive)
    with path.open("rb") as reader, mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        with path.open("r+b") as writer:
            writer.write(b"new bytes")
        assert path.read_bytes() == b"new bytes" + expected[9:]
        assert reads(drive) > before  # what was changed in place is read by all through one node
        assert reader.read() == expected
        assert mapped[:] == expected
    drive.restart()
    assert path.read_bytes() == b"new bytes" + expected[9:]


def test_who_reads_past_the_cache_is_served_beside_those_who_do_not(drive: Drive) -> None:
    path, expected = straight(drive)
    buffer = mmap.mmap(-1, 4 * MIB)  # O_DIRECT wants whole pages
    with path.open("rb") as reader:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            assert os.preadv(descriptor, [buffer], 0) == len(expected)
            assert buffer[: len(expected)] == expected
        finally:
            os.close(descriptor)
        assert reader.read() == expected
    assert path.read_bytes() == expected


def test_a_reader_s_descriptor_can_be_opened_again_while_another_reads_past_the_cache(drive: Drive) -> None:
    path, expected = straight(drive)
    with path.open("rb") as reader:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
        try:
            with open(f"/proc/self/fd/{reader.fileno()}", "rb") as again:
                assert again.read() == expected
        finally:
            os.close(descriptor)


def test_the_plain_view_of_a_composed_file_has_no_direct_way(drive: Drive) -> None:
    drive.branch("other")
    path, expected = straight(drive)
    shown = drive.mountpoint / ".filmfs" / "plain" / "main" / "joined"
    with path.open("rb") as reader:
        with fails(errno.EINVAL):
            os.open(shown, os.O_RDONLY | os.O_DIRECT)
        assert shown.read_bytes() == reader.read() == expected
    os.rename(drive.main, drive.mountpoint / "renamed")  # is refused for a branch with open files


def test_it_goes_with_the_last_who_uses_it(drive: Drive) -> None:
    """A daemon that dies leaves no mount and no file behind."""
    path, expected = straight(drive)
    assert path.read_bytes() == expected
    assert "erofs" not in Path("/proc/self/mounts").read_text()
    staged = os.path.join(drive.root, "staging")
    before = sorted(os.listdir(staged))
    drive.kill()
    drive.start()
    assert sorted(os.listdir(staged)) == before
    assert path.read_bytes() == expected


def test_older_states_of_an_edited_file_are_read_so_too(drive: Drive) -> None:
    path, expected = straight(drive)
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(b"e" * BLOCK)
    drive.commit()
    seal(drive)
    edited = expected[:MIB] + b"e" * BLOCK + expected[MIB + BLOCK :]
    (newest,) = [entry for entry in (drive.main / ".snapshots").iterdir() if (entry / "joined").exists()][-1:]
    before = reads(drive)
    assert (newest / "joined").read_bytes() in (expected, edited)
    assert reads(drive) == before


def test_a_blob_that_is_cut_off_on_the_disk_is_an_error_not_zeros(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.start()
    try:
        path, expected = straight(drive)
        drive.stop()
        for blob in Path(drive.root, "blobs").glob("*/*"):
            if blob.stat().st_size == 4 * MIB:
                os.truncate(blob, 3 * MIB + BLOCK)
        drive.start()
        with path.open("rb") as reader:
            assert os.pread(reader.fileno(), 2 * MIB, 0) == expected[: 2 * MIB]
            with fails(errno.EIO):
                os.pread(reader.fileno(), MIB, 2 * MIB + 2 * BLOCK)
    finally:
        drive.stop()
