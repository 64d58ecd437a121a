"""The disk fails the sync of one staging file: that file's bytes are lost, and nobody else is the worse for it."""

import errno
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.errors import LostBytes
from filmfs.versioning.rows import Kind
from tests.crash.machine import Machine, after_power_cuts_now
from tests.crash.scene import FAULTY, assert_kept
from tests.crash.test_disk_errors import write_synced
from tests.drive import PATIENCE_S, Drive, run_filmfs, wait_until
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.crash]

OLD = random.Random(1).randbytes(500_000)  # larger than what is copied when it is edited
NEW = random.Random(2).randbytes(500_000)
SMALL_OLD, SMALL_NEW = OLD[:50_000], NEW[:50_000]
FAST = {"FILMFS_TEST_FAST": "1"}


@contextmanager
def held(told: Path) -> Iterator[None]:
    """Nothing is flushed meanwhile that nobody asks for: the daemon knows it by the file `told`."""
    told.touch()
    time.sleep(0.1)  # for what is being flushed
    yield
    told.unlink()


def lose_next_sync(machine: Machine) -> None:
    """The next sync of a staging file fails, and what it was to write is gone. The disk is well after that."""
    machine.fail({"do": "fsync", "path": "/staging/", "errno": errno.EIO, "times": 1})


@contextmanager
def losing(machine: Machine, path: Path, mode: str) -> Iterator[int]:
    """A file that is written in the block, and whose sync then fails."""
    with held(machine.held), open(path, mode, buffering=0) as file:
        yield file.fileno()
        lose_next_sync(machine)
        with fails(errno.EIO):
            os.fsync(file.fileno())


def lose(machine: Machine, path: Path, data: bytes) -> None:
    with losing(machine, path, "wb") as descriptor:
        os.write(descriptor, data)


def left_by_power_cuts(machine: Machine, point: str = "main") -> Iterator[dict[str, bytes]]:
    """What a branch or a commit has in archives that power cuts left now, which must be sound."""
    for root in after_power_cuts_now(machine):
        before = files_of(root, point)
        assert_kept(root, {})
        assert files_of(root, point) == before
        yield before


def files_of(root: str, point: str) -> dict[str, bytes]:
    with Archive(root, Mode.READ) as archive:
        contents = archive.contents
        return {
            os.fsdecode(path): contents.read(contents.map_of(inode.content), 0, inode.size)
            for path, _, inode in archive.history.view_of(point).walk()
            if inode.kind is Kind.FILE
        }


def test_only_the_file_that_the_disk_lost_fails_its_syncs(machine: Machine) -> None:
    main = machine.drive.start().main
    lose(machine, main / "lost", SMALL_NEW)
    for number in range(3):
        write_synced(main / f"other{number}", OLD)
        with open(main / "lost", "rb") as file, fails(errno.EIO):
            os.fsync(file.fileno())
    with open(main / "lost", "r+b", buffering=0) as file, fails(errno.EIO):
        file.write(b"more")
        os.fsync(file.fileno())
    with fails(errno.EIO):
        os.write(os.open(main / "lost", os.O_WRONLY | os.O_SYNC), b"at once")
    directory = os.open(main, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
    assert (main / "lost").stat().st_size == len(SMALL_NEW)
    for left in left_by_power_cuts(machine):
        assert {left.pop(f"other{number}") for number in range(3)} == {OLD}
        assert left in ({}, {"lost": b""})


def test_a_sync_that_finds_no_room_is_told_to_who_waits_and_then_only_of_that_file(machine: Machine) -> None:
    main = machine.drive.start().main
    machine.fail({"do": "fsync", "path": "/staging/", "errno": errno.ENOSPC, "times": 1})
    with open(main / "lost", "wb", buffering=0) as file:
        file.write(SMALL_NEW)
        with fails(errno.ENOSPC):
            os.fsync(file.fileno())
        write_synced(main / "other", OLD)
        with fails(errno.EIO):
            os.fsync(file.fileno())
    for left in left_by_power_cuts(machine):
        assert left in ({"other": OLD}, {"lost": b"", "other": OLD})


def test_a_lost_file_is_told_of_in_the_status_and_once_in_the_log(machine: Machine) -> None:
    drive = machine.drive.start(**FAST)
    lose(machine, drive.main / "lost", SMALL_NEW)
    for number in range(5):
        write_synced(drive.main / f"other{number}", b"o" * 9000)
    assert "lost bytes of main:lost" in drive.command("status")["last_flush_error"]
    assert drive.words().count("lost bytes of main:lost") == 1
    with pytest.raises(LostBytes, match="main:lost"):
        drive.command("flush")
    assert drive.facts("ls", "main:other1")
    with fails(errno.EIO), open(drive.main / "lost", "r+b") as file:
        os.fsync(file.fileno())
    (drive.main / "lost").unlink()
    drive.command("flush")
    assert drive.command("status")["last_flush_error"] is None
    lose(machine, drive.main / "another", SMALL_NEW)
    assert drive.words().count("lost bytes of main:another") == 1


@pytest.mark.parametrize("is_hashed", [True, False])
@pytest.mark.parametrize("old", [b"literal", SMALL_OLD, OLD], ids=["literal", "copied", "edited"])
def test_a_file_that_was_edited_in_place_has_its_old_bytes_after_a_power_cut(
    machine: Machine, old: bytes, is_hashed: bool
) -> None:
    drive = machine.drive.start(**FAST if is_hashed else {})
    write_synced(drive.main / "file", old)
    if is_hashed:
        wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "it is hashed")
    with losing(machine, drive.main / "file", "r+b") as descriptor:
        os.pwrite(descriptor, NEW[:9000], 1000)
    os.chmod(drive.main / "file", 0o640)
    write_synced(drive.main / "other", b"o" * 9000)
    shown = old.ljust(1000, b"\0")[:1000] + NEW[:9000] + old[10_000:]
    assert (drive.main / "file").read_bytes() == shown
    assert (drive.main / "file").stat().st_mode & 0o777 == 0o640
    for left in left_by_power_cuts(machine):
        assert left == {"file": old, "other": b"o" * 9000}


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_what_was_synced_of_a_file_that_grew_and_was_lost_stays(machine: Machine, commits: int) -> None:
    drive = machine.drive.start(**FAST)
    with losing(machine, drive.main / "file", "wb") as descriptor:
        os.write(descriptor, OLD)
        os.fsync(descriptor)
        os.write(descriptor, NEW)
    for _ in range(commits):
        with pytest.raises(LostBytes):
            drive.commit()
        write_synced(drive.main / "other", os.urandom(9000))
    assert (drive.main / "file").read_bytes() == OLD + NEW
    for point in ["main", *(f"main@{number + 2}" for number in range(commits))][-1:]:
        for left in left_by_power_cuts(machine, point):
            assert left["file"] == OLD


def test_what_was_synced_of_a_file_that_was_emptied_and_lost_stays_also_in_a_commit(machine: Machine) -> None:
    """All in one writing session: the commit has what was durable of it, the branch what came after."""
    drive = machine.drive.start()
    with losing(machine, drive.main / "file", "wb") as descriptor:
        os.write(descriptor, OLD)
        os.fsync(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, NEW[:300_000], 0)
    with pytest.raises(LostBytes):
        drive.commit()
    newest = max((drive.main / ".snapshots").iterdir())
    assert (newest / "file").read_bytes() == OLD
    assert (drive.main / "file").read_bytes() == NEW[:300_000]
    write_synced(drive.main / "other", b"o" * 9000)
    for left in left_by_power_cuts(machine):
        assert left == {"file": OLD, "other": b"o" * 9000}


@pytest.mark.parametrize("old", [None, SMALL_OLD, OLD])
def test_a_commit_has_a_lost_file_as_it_was_durable_and_the_branch_as_it_was_written(
    machine: Machine, old: bytes | None
) -> None:
    drive = machine.drive.start(**FAST)
    if old is not None:
        write_synced(drive.main / "file", old)
    drive.command("flush")
    with held(machine.held):
        (drive.main / "file").write_bytes(SMALL_NEW)
        lose_next_sync(machine)
        with pytest.raises(LostBytes, match="main:file"):
            drive.commit(message="with a lost file")
    assert (drive.main / "file").read_bytes() == SMALL_NEW
    write_synced(drive.main / "other", b"o" * 9000)
    assert drive.facts("log", "main")["commits"][0]["message"] == "with a lost file"
    (drive.main / "file").write_bytes(b"again" * 9000)
    drive.command("flush")
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all is hashed")
    assert files_of(drive.root, "main@2").get("file", b"") == (old or b"")
    for left in left_by_power_cuts(machine):
        assert left == {"file": b"again" * 9000, "other": b"o" * 9000}


@pytest.mark.parametrize("how", ["cut and written", "while it is open", "replaced", "removed and made"])
def test_a_lost_file_that_is_written_anew_is_durable_like_any_other(machine: Machine, how: str) -> None:
    drive = machine.drive.start(**FAST)
    main = drive.main
    write_synced(main / "file", OLD)
    with losing(machine, main / "file", "r+b") as descriptor:
        os.pwrite(descriptor, NEW[:9000], 1000)
    if how == "while it is open":
        with open(main / "file", "r+b", buffering=0) as file:
            file.truncate(0)
            file.write(SMALL_NEW)
            os.fsync(file.fileno())
    elif how == "replaced":
        write_synced(main / "temporary", SMALL_NEW)
        (main / "temporary").rename(main / "file")
    else:
        if how == "removed and made":
            (main / "file").unlink()
        write_synced(main / "file", SMALL_NEW)
    drive.command("flush")
    assert drive.command("status")["last_flush_error"] is None
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "it is hashed")
    assert len(list(Path(drive.root, "blobs").rglob("*"))) >= 256
    for left in left_by_power_cuts(machine):
        assert left == {"file": SMALL_NEW}


def test_a_lost_file_that_is_removed_is_gone_for_good(machine: Machine) -> None:
    drive = machine.drive.start(**FAST)
    write_synced(drive.main / "file", OLD)
    with losing(machine, drive.main / "file", "r+b") as descriptor:
        os.pwrite(descriptor, NEW[:9000], 1000)
    (drive.main / "file").unlink()
    write_synced(drive.main / "other", b"o" * 9000)
    assert drive.command("status")["last_flush_error"] is None
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "the rest is hashed")
    wait_until(lambda: not os.listdir(Path(drive.root, "staging")), "nothing of it is kept")
    for left in left_by_power_cuts(machine):
        assert left == {"other": b"o" * 9000}


def test_a_lost_file_gets_names_and_modes_that_are_durable(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "file", OLD)
    with losing(machine, main / "file", "r+b") as descriptor:
        os.pwrite(descriptor, NEW[:9000], 1000)
    (main / "directory").mkdir()
    (main / "file").rename(main / "directory" / "renamed")
    os.link(main / "directory" / "renamed", main / "second")
    write_synced(main / "other", b"o" * 9000)
    for left in left_by_power_cuts(machine):
        assert left == {"directory/renamed": OLD, "second": OLD, "other": b"o" * 9000}


def test_a_lost_file_that_is_renamed_over_another_shows_and_is_sound(machine: Machine) -> None:
    main = machine.drive.start().main
    write_synced(main / "file", OLD)
    lose(machine, main / "temporary", SMALL_NEW)
    (main / "temporary").rename(main / "file")
    write_synced(main / "other", b"o" * 9000)
    assert (main / "file").read_bytes() == SMALL_NEW
    with open(main / "file", "rb") as file, fails(errno.EIO):
        os.fsync(file.fileno())
    for left in left_by_power_cuts(machine):
        assert left == {"file": b"", "other": b"o" * 9000}


def test_a_lost_file_moves_to_another_branch_as_a_copy_that_is_durable(machine: Machine) -> None:
    drive = machine.drive.start()
    lose(machine, drive.main / "file", SMALL_NEW)
    with pytest.raises(LostBytes):
        drive.branch("other")
    other = drive.mountpoint / "other"
    with fails(errno.EXDEV):
        (drive.main / "file").rename(other / "moved")
    with open(drive.main / "file", "rb") as source, open(other / "moved", "wb") as copy:
        os.copy_file_range(source.fileno(), copy.fileno(), len(SMALL_NEW))
        os.fsync(copy.fileno())
    for left in left_by_power_cuts(machine, "other"):
        assert left["moved"] == SMALL_NEW


@pytest.mark.parametrize("is_killed", [True, False])
@pytest.mark.parametrize("edited", [True, False])
def test_what_the_next_mount_hashes_of_a_lost_file_is_what_the_disk_has(
    machine: Machine, edited: bool, is_killed: bool
) -> None:
    """It may read the bytes in memory that the disk never got: what it names after them must be written again."""
    drive = machine.drive.start()
    with losing(machine, drive.main / "file", "wb") as descriptor:
        os.write(descriptor, OLD)
        os.fsync(descriptor)
        if edited:
            os.pwrite(descriptor, NEW[:9000], 1000)
        os.write(descriptor, NEW)
    write_synced(drive.main / "other", b"o" * 9000)
    if is_killed:
        drive.kill()
    else:
        drive.stop()
    drive.start(**FAST)
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all is hashed")
    wait_until(lambda: not os.listdir(Path(drive.root, "staging")), "all have their places")
    shown = (drive.main / "file").read_bytes()
    assert len(shown) == len(OLD)
    for left in left_by_power_cuts(machine):
        assert left == {"file": shown, "other": b"o" * 9000}


def test_a_branch_shows_a_lost_file_as_it_is_there_at_once(drive: Drive) -> None:
    """It was made while the file was not durable yet, and the kernel knows the length that it had then."""
    loses = Path(drive.root).with_name("loses")
    drive.program = FAULTY
    drive.start(FILMFS_TEST_LOSE=str(loses))
    write_synced(drive.main / "file", SMALL_OLD)
    loses.touch()
    with open(drive.main / "file", "wb", buffering=0) as file:
        file.write(SMALL_NEW + b"longer")
    other = drive.mountpoint / "other" / "file"
    other.parent.mkdir()
    assert other.stat().st_size in (len(SMALL_OLD), len(SMALL_NEW) + 6)
    wait_until(lambda: other.stat().st_size == len(SMALL_OLD), "the branch shows what is durable")
    assert not loses.exists()
    with open(other, "ab", buffering=0) as file:
        file.write(b"appended")
        os.fsync(file.fileno())
    assert other.read_bytes() == SMALL_OLD + b"appended"
    assert (drive.main / "file").read_bytes() == SMALL_NEW + b"longer"
    (drive.main / "file").unlink()


def test_a_drive_with_a_lost_file_is_unmounted_only_when_that_is_given_up(machine: Machine) -> None:
    drive = machine.drive.start()
    lose(machine, drive.main / "lost", SMALL_NEW)
    (drive.main / "other").write_bytes(b"o" * 9000)
    refused = run_filmfs("umount", "--wait", drive.mountpoint)
    assert refused.returncode == 42, refused
    assert "main:lost" in refused.stderr
    assert "stays mounted" in refused.stderr
    given_up = run_filmfs("umount", "--wait", "--lazy", drive.mountpoint)
    assert given_up.returncode == 42, given_up
    assert "main:lost" in given_up.stderr
    assert drive.process is not None
    drive.process.wait(PATIENCE_S)
    assert "what was written last is lost" in drive.words()
    for left in left_by_power_cuts(machine):
        assert left in ({"other": b"o" * 9000}, {"lost": b"", "other": b"o" * 9000})


def test_a_file_that_the_kernel_writes_itself_is_lost_until_another_is_written_in_its_place(drive: Drive) -> None:
    loses, told = (Path(drive.root).with_name(name) for name in ("loses", "held"))
    drive.program = FAULTY
    drive.start(FILMFS_TEST_FAST="1", FILMFS_TEST_LOSE=str(loses), FILMFS_TEST_HELD=str(told))
    if not drive.command("status")["passthrough"]:
        pytest.skip("this kernel has no FUSE passthrough, or not for this user")
    with held(told), open(drive.main / "file", "wb", buffering=0) as file:
        file.write(OLD * 4)
        os.fsync(file.fileno())
        file.write(NEW * 4)
        loses.touch()
        with fails(errno.EIO):
            os.fsync(file.fileno())
        with fails(errno.EIO):  # the staging file stays, and a crash leads back to what is durable of it
            file.truncate(0)
        with fails(errno.EIO):
            os.open(drive.main / "file", os.O_WRONLY | os.O_TRUNC)
        write_synced(drive.main / "other", OLD * 4)
        with fails(errno.EIO):
            os.fsync(file.fileno())
    assert (drive.main / "file").read_bytes() == OLD * 4 + NEW * 4
    drive.kill()
    drive.assert_sound()
    assert files_of(drive.root, "main") == {"file": OLD * 4, "other": OLD * 4}
    drive.start(FILMFS_TEST_FAST="1")
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "all is hashed")
    write_synced(drive.main / "file", SMALL_NEW)
    drive.stop()
    drive.assert_sound()
    assert files_of(drive.root, "main") == {"file": SMALL_NEW, "other": OLD * 4}
