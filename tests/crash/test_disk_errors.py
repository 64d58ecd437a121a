"""A disk that fails, is full or turns read-only is told to who waits for it; all else goes on, and goes on after."""

import errno
import os
import resource
from pathlib import Path

import pytest

from tests.crash.machine import Machine, after_power_cuts_now
from tests.crash.scene import FAULTY, assert_kept
from tests.drive import Drive, wait_until
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.crash]

KIB = 1 << 10


def write_synced(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def assert_survives_power_cut(machine: Machine) -> None:
    """Holds when what is durable now is sound, whatever the disk forgot."""
    for root in after_power_cuts_now(machine):
        assert_kept(root, {})


def test_a_sync_that_failed_is_never_followed_by_one_that_succeeds(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "before", b"b" * 9000)
    machine.fail({"do": "fsync", "path": "/staging/", "errno": errno.EIO, "times": 1})
    with open(main / "lost", "wb", buffering=0) as file:
        file.write(b"l" * 50_000)
        for _ in range(3):  # the disk is well again after the first, but has dropped the bytes
            with fails(errno.EIO):
                os.fsync(file.fileno())
    assert "lost bytes" in machine.drive.command("status")["last_flush_error"]
    assert "lost bytes" in machine.drive.words()
    (main / "lost").unlink()
    write_synced(main / "lost", b"again" * 10_000)
    write_synced(main / "after", b"a" * 9000)
    assert machine.drive.command("status")["last_flush_error"] is None
    assert (main / "lost").read_bytes() == b"again" * 10_000
    assert_survives_power_cut(machine)


@pytest.mark.parametrize(
    ("do", "after"), [("write", 0), ("write", 1), ("write", 2), ("write", 3), ("fsync", 0), ("fsync", 1)]
)
def test_a_database_that_could_not_be_written_is_used_again_when_it_can(machine: Machine, do: str, after: int) -> None:
    main = machine.drive.start().main
    write_synced(main / "before", b"b" * 9000)
    machine.fail({"do": do, "path": "data.mdb", "errno": errno.EIO, "times": 1, "after": after})
    told: list[int | None] = []
    for number in range(4):
        try:
            write_synced(main / f"{number}", b"%d" % number * 9000)
        except OSError as error:
            told.append(error.errno)
    assert told in ([], [errno.EIO])
    write_synced(main / "after", b"a" * 9000)
    assert (main / "before").read_bytes() == b"b" * 9000
    assert (main / "after").read_bytes() == b"a" * 9000
    assert {path.name for path in main.iterdir()} == {"before", "0", "1", "2", "3", "after"}
    assert_survives_power_cut(machine)


def test_bytes_that_cannot_be_written_are_told_to_the_writer_alone(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "before", b"b" * 9000)
    machine.fail({"do": "write", "path": "/staging/", "errno": errno.EIO})
    with fails(errno.EIO), open(main / "new", "wb", buffering=0) as file:
        file.write(b"x" * 300_000)
        os.fsync(file.fileno())
    (main / "small").write_bytes(b"fits into a record")
    assert (main / "before").read_bytes() == b"b" * 9000
    machine.fail()
    write_synced(main / "new", b"y" * 300_000)
    assert (main / "small").read_bytes() == b"fits into a record"
    assert_survives_power_cut(machine)


def test_a_blob_that_cannot_be_placed_is_read_where_it_is_and_placed_later(machine: Machine) -> None:
    main = machine.drive.start(FILMFS_TEST_FAST="1").main
    machine.fail({"do": "rename", "errno": errno.EIO}, {"do": "unlink", "path": "/staging/", "errno": errno.EIO})
    write_synced(main / "a", b"a" * 90_000)
    wait_until(lambda: machine.drive.command("status")["unsealed_files"] == 0, "it is hashed")
    write_synced(main / "b", b"b" * 90_000)
    assert (main / "a").read_bytes() == b"a" * 90_000
    machine.fail()
    write_synced(main / "c", b"c" * 90_000)
    wait_until(lambda: not list((machine.disk / "archive" / "staging").iterdir()), "all have their places")
    assert_survives_power_cut(machine)


def test_a_disk_that_turned_read_only_refuses_what_is_written_and_shows_what_is_there(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "before", b"b" * 90_000)
    changing = "write|create|truncate|rename|unlink|mkdir|link|chmod"
    machine.fail({"do": changing, "errno": errno.EROFS})
    with fails(errno.EROFS):
        write_synced(main / "new", b"x" * 90_000)
    with fails(errno.EROFS):
        write_synced(main / "small", b"x")
    assert (main / "before").read_bytes() == b"b" * 90_000
    assert (main / "small").read_bytes() == b"x"
    machine.fail()
    write_synced(main / "after", b"a" * 90_000)
    assert (main / "small").read_bytes() == b"x"
    assert_survives_power_cut(machine)


def test_a_full_disk_is_told_and_all_goes_on_when_there_is_room(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "before", b"b" * 90_000)
    os.setxattr(machine.disk, "user.room", b"%d" % (700 * KIB))
    with fails(errno.ENOSPC), open(main / "large", "wb", buffering=0) as file:
        for _ in range(20):
            file.write(b"l" * 100_000)
            os.fsync(file.fileno())
    assert (main / "before").read_bytes() == b"b" * 90_000
    os.setxattr(machine.disk, "user.room", b"%d" % (100_000 * KIB))
    write_synced(main / "after", b"a" * 900_000)
    assert_survives_power_cut(machine)


def test_a_blob_that_the_disk_cannot_read_is_eio_and_the_others_are_read(machine: Machine) -> None:
    main = machine.drive.start(FILMFS_TEST_FAST="1").main
    write_synced(main / "bad", os.urandom(300_000))
    write_synced(main / "good", b"g" * 300_000)
    wait_until(lambda: machine.drive.command("status")["unsealed_files"] == 0, "they are hashed")
    blob = machine.drive.facts("info", "main:bad")["blob"]
    machine.drive.restart()
    for path in (machine.disk / "archive" / "blobs").rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    machine.fail({"do": "read", "path": os.path.basename(blob), "errno": errno.EIO})
    with fails(errno.EIO):
        (main / "bad").read_bytes()
    assert (main / "good").read_bytes() == b"g" * 300_000
    wait_until(lambda: "Input/output error" in machine.drive.words(), "a line in the log")
    machine.fail()
    machine.drive.restart()
    assert len((main / "bad").read_bytes()) == 300_000


def test_a_daemon_without_descriptors_closes_what_it_only_keeps_for_later(drive: Drive) -> None:
    drive.program = FAULTY
    drive.start(FILMFS_TEST_FAST="1")
    written = {f"{number}": os.urandom(9000) for number in range(60)}
    for name, data in written.items():
        (drive.main / name).write_bytes(data)
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all are hashed")
    drive.restart()
    assert drive.process is not None
    taken = len(os.listdir(f"/proc/{drive.process.pid}/fd"))
    resource.prlimit(drive.process.pid, resource.RLIMIT_NOFILE, (taken + 12, taken + 12))
    assert {name: (drive.main / name).read_bytes() for name in written} == written
    for name in written:
        with open(drive.main / name, "r+b") as file:
            file.write(b"changed")
    held = []
    with fails(errno.ENFILE):
        for number in range(60):
            held.append(open(drive.main / f"new{number}", "wb", buffering=0))  # noqa: SIM115 - all of them at once
            held[-1].write(bytes(9000))
    for file in held:
        file.close()
    (drive.main / "after").write_bytes(b"goes on" * 2000)
    assert (drive.main / "3").read_bytes()[:7] == b"changed"
    drive.stop()
    drive.assert_sound()
