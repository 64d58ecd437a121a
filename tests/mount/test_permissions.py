"""Who may do what, as users other than root meet it, and what set-id bits and sticky directories do."""

import errno
import mmap
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drive import Drive, wait_until
from tests.mount.syscalls import acting_as, fails

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes other users"),
]

USER, GROUP = 1000, 2000
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


@pytest.fixture(scope="module")
def drive() -> Iterator[Drive]:
    """A mount that other users reach, as pytest's own directories are not."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o711)
        with Drive(Path(directory)).soundly("-o", "allow_other") as drive:
            yield drive


def _mode(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def _make(path: Path, mode: int, uid: int = 0, gid: int = 0) -> Path:
    path.write_bytes(b"x" * 100)
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def _write(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"y", 0)
    os.close(descriptor)


def _open_truncating(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))


def _truncate(path: Path) -> None:
    os.truncate(path, 5)


def _write_anew(path: Path) -> None:
    """As a new file is written, which goes past the daemon where it can."""
    with open(path, "wb", buffering=0) as file:
        file.write(b"y" * 100_000)


def _append(path: Path) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(b"y")


def _write_directly(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
    os.pwritev(descriptor, [mmap.mmap(-1, 4096)], 0)
    os.close(descriptor)


def _allocate(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.posix_fallocate(descriptor, 0, 50_000)
    os.close(descriptor)


def _copy_into(path: Path) -> None:
    source, target = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY)
    os.copy_file_range(source, target, 50, 0, 50)
    os.close(source)
    os.close(target)


CHANGES: list[Callable[[Path], Any]] = [
    _write,
    _open_truncating,
    _truncate,
    _write_anew,
    _append,
    _write_directly,
    _allocate,
    _copy_into,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_somebody_else_changes_loses_its_set_id_bits(work: Path, change: Callable[[Path], Any]) -> None:
    file = _make(work / "f", 0o6777)
    with acting_as(USER):
        change(file)
    assert _mode(file) == 0o777


def test_an_empty_file_that_somebody_else_writes_loses_its_set_id_bits(work: Path) -> None:
    file = work / "f"
    file.touch()
    file.chmod(0o6777)
    with acting_as(USER):
        _write_anew(file)
    assert _mode(file) == 0o777


@pytest.mark.parametrize("change", CHANGES)
def test_root_keeps_set_id_bits(work: Path, change: Callable[[Path], Any]) -> None:
    file = _make(work / "f", 0o6777)
    change(file)
    assert _mode(file) == 0o6777


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_loses_its_capabilities(work: Path, change: Callable[[Path], Any]) -> None:
    file = _make(work / "f", 0o755)
    os.setxattr(file, "security.capability", CAPABILITY)
    assert os.getxattr(file, "security.capability") == CAPABILITY
    change(file)
    with fails(errno.ENODATA):
        os.getxattr(file, "security.capability")


def test_chown_clears_set_id_bits_but_the_mark_of_a_lock(work: Path) -> None:
    both, lock = _make(work / "f", 0o6777), _make(work / "g", 0o2767)
    for file in (both, lock):
        os.chown(file, USER, GROUP)
    assert (_mode(both), _mode(lock)) == (0o777, 0o2767)


def test_an_owner_may_give_a_file_to_groups_of_his_own_only(work: Path) -> None:
    file = _make(work / "f", 0o644, USER, USER)
    with acting_as(USER, GROUP):
        os.chown(file, -1, GROUP)
        with fails(errno.EPERM):
            os.chown(file, -1, GROUP + 1)
        with fails(errno.EPERM):
            os.chown(file, 0, -1)
    assert os.stat(file).st_gid == GROUP


def test_who_is_not_in_a_file_s_group_cannot_set_its_set_gid_bit(work: Path) -> None:
    file = _make(work / "f", 0o755, USER, GROUP)
    with acting_as(USER):
        file.chmod(0o2755)
    assert _mode(file) == 0o755


def test_a_set_gid_directory_hands_on_its_group_and_directories_the_bit(work: Path) -> None:
    shared = work / "shared"
    shared.mkdir()
    os.chown(shared, 0, GROUP)
    shared.chmod(0o2777)
    with acting_as(USER):
        (shared / "f").touch()
        (shared / "d").mkdir()
        os.symlink("x", shared / "l")
        os.mkfifo(shared / "p")
        os.close(os.open(shared / "x", os.O_CREAT | os.O_WRONLY, 0o2777))
    assert {os.lstat(shared / name).st_gid for name in "fdlpx"} == {GROUP}
    assert _mode(shared / "d") & stat.S_ISGID
    # Who is not in the group makes no program that would run with it.
    assert not _mode(shared / "x") & stat.S_ISGID


def test_in_a_sticky_directory_only_owners_remove(work: Path) -> None:
    sticky = work / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    _make(sticky / "root", 0o666)
    _make(sticky / "mine", 0o666, USER)
    with acting_as(USER):
        for change in (
            lambda: os.unlink(sticky / "root"),
            lambda: os.rename(sticky / "root", sticky / "other"),
            lambda: os.rename(sticky / "mine", sticky / "root"),
        ):
            with fails(errno.EPERM):
                change()
        os.rename(sticky / "mine", sticky / "other")
        os.unlink(sticky / "other")


def test_modes_are_obeyed_in_every_directory_of_a_path(work: Path) -> None:
    (work / "closed" / "open").mkdir(parents=True)
    _make(work / "closed" / "open" / "f", 0o666)
    (work / "closed").chmod(0o700)
    with acting_as(USER), fails(errno.EACCES):
        os.stat(work / "closed" / "open" / "f")
    (work / "closed").chmod(0o711)
    with acting_as(USER):
        assert (work / "closed" / "open" / "f").read_bytes() == b"x" * 100
        with fails(errno.EACCES):
            (work / "closed" / "open" / "new").touch()
        with fails(errno.EACCES):
            os.listdir(work / "closed")


def test_times_may_be_set_by_owners_and_touched_by_who_may_write(work: Path) -> None:
    file = _make(work / "f", 0o666)
    with acting_as(USER):
        os.utime(file)
        with fails(errno.EPERM):
            os.utime(file, ns=(1, 1))
    file.chmod(0o644)
    with acting_as(USER), fails(errno.EACCES):
        os.utime(file)


def test_the_branch_s_own_virtual_parts_are_not_others_to_change(drive: Drive) -> None:
    with acting_as(USER), fails(errno.EROFS, errno.EACCES):
        (drive.mountpoint / ".filmfs" / "x").touch()


def test_with_allow_root_other_users_are_not_even_told_of_names() -> None:
    """The kernel lets everybody in then; it is libfuse that refuses."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o711)
        drive = Drive(Path(directory))
        drive.start("-o", "allow_root")
        try:
            (drive.main / "secret").touch()
            drive.restart("-o", "allow_root")
            wait_until(lambda: drive.command("status")["database_in_memory"], "the database is in memory")
            for name in ("main", "none", "main/secret"):
                with acting_as(USER, GROUP), fails(errno.EACCES):
                    os.stat(drive.mountpoint / name)
            assert (drive.main / "secret").exists()
        finally:
            drive.stop()
