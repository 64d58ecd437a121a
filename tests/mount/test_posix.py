"""Files and directories on the mount behave as POSIX has it."""

import errno
import mmap
import os
import socket
import stat
from pathlib import Path

import pytest

from tests.drive import Drive
from tests.mount.syscalls import EXCHANGE, NOREPLACE, fails, rename2

pytestmark = pytest.mark.mount

MIB = 1 << 20


def test_a_file_holds_what_was_written(work: Path) -> None:
    data = os.urandom(3 * MIB + 17)
    (work / "a").write_bytes(data)
    assert (work / "a").read_bytes() == data
    assert (work / "a").stat().st_size == len(data)


def test_truncate_cuts_and_grows_by_zeros(work: Path) -> None:
    file = work / "a"
    file.write_bytes(b"x" * 300_000)
    os.truncate(file, 1000)
    os.truncate(file, 5000)
    assert file.read_bytes() == b"x" * 1000 + bytes(4000)
    os.truncate(file, 0)
    assert file.read_bytes() == b""


@pytest.mark.parametrize("size", [100, 5000, 400_000])
def test_append_adds_at_the_end(work: Path, size: int) -> None:
    file = work / "a"
    file.write_bytes(b"1" * size)
    for _ in range(3):
        with open(file, "ab") as appending:
            appending.write(b"2" * 4000)
    assert file.read_bytes() == b"1" * size + b"2" * 12_000


def test_o_excl_refuses_a_name_that_is_there(work: Path) -> None:
    (work / "a").touch()
    with fails(errno.EEXIST):
        os.open(work / "a", os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_o_trunc_empties_the_file(work: Path) -> None:
    (work / "a").write_bytes(b"x" * 100_000)
    os.close(os.open(work / "a", os.O_WRONLY | os.O_TRUNC))
    assert (work / "a").stat().st_size == 0


def test_rename_replaces_a_file_and_an_empty_directory(work: Path) -> None:
    (work / "a").write_bytes(b"new")
    (work / "b").write_bytes(b"old")
    os.rename(work / "a", work / "b")
    assert os.listdir(work) == ["b"]
    assert (work / "b").read_bytes() == b"new"
    (work / "c").mkdir()
    (work / "d").mkdir()
    (work / "c" / "inner").touch()
    os.rename(work / "c", work / "d")
    assert os.listdir(work / "d") == ["inner"]


def test_rename_refuses_what_posix_refuses(work: Path) -> None:
    (work / "file").touch()
    (work / "full").mkdir()
    (work / "full" / "inner").mkdir()
    (work / "other").mkdir()
    with fails(errno.ENOTEMPTY):
        os.rename(work / "other", work / "full")
    with fails(errno.EISDIR):
        os.rename(work / "file", work / "other")
    with fails(errno.ENOTDIR):
        os.rename(work / "other", work / "file")
    with fails(errno.EINVAL):
        os.rename(work / "full", work / "full" / "inner" / "deep")
    with fails(errno.ENOENT):
        os.rename(work / "missing", work / "file")


def test_rename_noreplace_refuses_and_exchange_swaps(work: Path) -> None:
    (work / "a").write_bytes(b"a")
    (work / "b").mkdir()
    (work / "b" / "inner").touch()
    with fails(errno.EEXIST):
        rename2(work / "a", work / "b", NOREPLACE)
    rename2(work / "a", work / "b", EXCHANGE)
    assert os.listdir(work / "a") == ["inner"]
    assert (work / "b").read_bytes() == b"a"
    assert work.stat().st_nlink == 3
    rename2(work / "b", work / "c", NOREPLACE)
    assert (work / "c").read_bytes() == b"a"


@pytest.mark.parametrize("size", [10, 100_000, 3 * MIB])
def test_an_unlinked_file_lives_until_it_is_closed(work: Path, size: int) -> None:
    file = work / "a"
    file.write_bytes(b"x" * size)
    with open(file, "r+b") as opened:
        file.unlink()
        assert not file.exists()
        assert os.fstat(opened.fileno()).st_nlink == 0
        opened.seek(5)
        opened.write(b"yyy")
        opened.flush()
        os.fsync(opened.fileno())
        os.fchmod(opened.fileno(), 0o600)
        os.ftruncate(opened.fileno(), size + 7)
        os.utime(opened.fileno(), ns=(1, 2))
        opened.seek(0)
        assert opened.read() == b"xxxxxyyy" + b"x" * (size - 8) + bytes(7)
        assert os.fstat(opened.fileno()).st_mtime_ns == 2
        file.write_bytes(b"another")
        opened.seek(0)
        assert opened.read(8) == b"xxxxxyyy"
    assert file.read_bytes() == b"another"


def test_attributes_of_an_unlinked_open_file_can_be_set(work: Path) -> None:
    with open(work / "a", "wb") as opened:
        (work / "a").unlink()
        os.setxattr(opened.fileno(), "user.note", b"1")
        assert os.getxattr(opened.fileno(), "user.note") == b"1"
        os.removexattr(opened.fileno(), "user.note")
        assert os.listxattr(opened.fileno()) == []


def test_a_file_that_is_replaced_while_open_keeps_its_bytes_for_who_has_it(work: Path) -> None:
    (work / "a").write_bytes(b"old" * 10_000)
    (work / "b").write_bytes(b"new")
    with open(work / "a", "rb") as opened:
        os.rename(work / "b", work / "a")
        assert opened.read() == b"old" * 10_000
    assert (work / "a").read_bytes() == b"new"


def test_a_removed_directory_that_is_open_lists_nothing(work: Path) -> None:
    (work / "a").mkdir()
    descriptor = os.open(work / "a", os.O_RDONLY | os.O_DIRECTORY)
    (work / "a").rmdir()
    try:
        with fails(errno.ENOENT, errno.ESTALE):
            os.open("inner", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor)
        assert os.fstat(descriptor).st_nlink == 0
    finally:
        os.close(descriptor)


def test_symlinks_keep_their_target_as_given(work: Path) -> None:
    for target in ("somewhere/else", "/absolute", "é" * 100, "x" * 4000):
        link = work / f"link{len(target)}"
        os.symlink(target, link)
        assert os.readlink(link) == target
        assert os.lstat(link).st_size == len(target.encode())
    (work / "dir").mkdir()
    (work / "dir" / "file").write_text("through")
    os.symlink("dir", work / "soft")
    assert (work / "soft" / "file").read_text() == "through"


def test_hard_links_are_one_file(work: Path) -> None:
    (work / "a").write_bytes(b"1")
    os.link(work / "a", work / "b")
    (work / "b").write_bytes(b"22222")
    assert (work / "a").read_bytes() == b"22222"
    assert (work / "a").stat().st_nlink == 2
    assert (work / "a").stat().st_ino == (work / "b").stat().st_ino
    os.rename(work / "a", work / "b")  # two names of one file: nothing happens
    assert sorted(os.listdir(work)) == ["a", "b"]
    (work / "a").unlink()
    assert (work / "b").stat().st_nlink == 1
    with fails(errno.EPERM):
        os.link(work, work / "directory")


def test_special_files_are_kept(work: Path) -> None:
    os.mkfifo(work / "fifo", 0o640)
    assert stat.S_ISFIFO((work / "fifo").stat().st_mode)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(work, os.O_PATH)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
    assert stat.S_ISSOCK((work / "socket").stat().st_mode)


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_devices_keep_their_numbers(work: Path) -> None:
    os.mknod(work / "char", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(work / "block", 0o600 | stat.S_IFBLK, os.makedev(259, 70_000))
    assert (work / "char").stat().st_rdev == os.makedev(1, 3)
    assert (work / "block").stat().st_rdev == os.makedev(259, 70_000)


def test_a_fifo_carries_bytes(work: Path) -> None:
    os.mkfifo(work / "fifo")
    reading = os.open(work / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(work / "fifo", os.O_WRONLY)
    os.write(writing, b"through")
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    os.close(writing)


def test_modes_are_kept_and_the_umask_obeyed(work: Path) -> None:
    before = os.umask(0o027)
    try:
        os.close(os.open(work / "a", os.O_CREAT | os.O_WRONLY, 0o666))
        os.mkdir(work / "d", 0o777)
    finally:
        os.umask(before)
    assert stat.S_IMODE((work / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((work / "d").stat().st_mode) == 0o750
    os.chmod(work / "a", 0o4751)
    assert stat.S_IMODE((work / "a").stat().st_mode) == 0o4751


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_owners_are_kept_and_a_setgid_directory_hands_on_its_group(work: Path) -> None:
    os.chown(work, 1000, 2000)
    os.chmod(work, 0o2775)
    (work / "file").touch()
    (work / "inner").mkdir()
    assert (work.stat().st_uid, work.stat().st_gid) == (1000, 2000)
    assert (work / "file").stat().st_gid == 2000
    assert (work / "inner").stat().st_gid == 2000
    assert (work / "inner").stat().st_mode & stat.S_ISGID
    assert not (work / "file").stat().st_mode & stat.S_ISGID
    os.chown(work / "file", -1, 77)
    assert (work / "file").stat().st_gid == 77


def test_statfs_tells_of_the_disk_below(drive: Drive, work: Path) -> None:
    here, below = os.statvfs(work), os.statvfs(drive.root)
    assert here.f_namemax == 255
    assert here.f_blocks * here.f_frsize == below.f_blocks * below.f_frsize


def test_fsync_works_on_files_and_directories(work: Path) -> None:
    with open(work / "a", "wb") as file:
        file.write(b"x" * 5000)
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)
    os.sync()


def test_a_large_directory_can_be_emptied_while_it_is_listed(work: Path) -> None:
    names = {f"frame.{number:06}.exr" for number in range(2000)}
    for name in names:
        os.close(os.open(work / name, os.O_CREAT | os.O_WRONLY))
    seen = set()
    with os.scandir(work) as listing:
        for entry in listing:
            seen.add(entry.name)
            os.unlink(entry.path)
    assert seen == names
    assert os.listdir(work) == []
    work.rmdir()


def test_dot_and_dot_dot_lead_where_they_should(drive: Drive, work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    assert os.stat(f"{work}/a/b/..").st_ino == (work / "a").stat().st_ino
    assert os.stat(f"{work}/a/.").st_ino == (work / "a").stat().st_ino
    assert os.stat(f"{drive.main}/..").st_ino == drive.mountpoint.stat().st_ino


def test_directories_count_their_children(work: Path) -> None:
    assert work.stat().st_nlink == 2
    (work / "a").mkdir()
    (work / "b").mkdir()
    (work / "f").touch()
    assert work.stat().st_nlink == 4
    os.rename(work / "a", work / "b" / "a")
    assert work.stat().st_nlink == 3
    with fails(errno.ENOTEMPTY):
        os.rmdir(work / "b")


def test_holes_cost_nothing_and_read_as_zeros(work: Path) -> None:
    size = 8 << 40
    with open(work / "sparse", "wb") as file:
        file.truncate(size)
        file.seek(5 << 40)
        file.write(b"in the middle")
    found = (work / "sparse").stat()
    assert found.st_size == size
    assert found.st_blocks <= 8
    with open(work / "sparse", "rb") as file:
        assert file.read(100_000) == bytes(100_000)
        file.seek((5 << 40) - 3)
        assert file.read(19) == bytes(3) + b"in the middle" + bytes(3)
        file.seek(size - 5)
        assert file.read() == bytes(5)


def test_a_size_past_all_disks_is_refused_and_the_file_stays(drive: Drive, work: Path) -> None:
    (work / "a").write_bytes(b"as it was")
    with fails(errno.EFBIG, errno.EINVAL):
        os.truncate(work / "a", (1 << 63) - 1)
    assert (work / "a").read_bytes() == b"as it was"
    (work / "a").write_bytes(b"and it can be written")
    assert (work / "a").read_bytes() == b"and it can be written"


def test_a_file_can_be_read_through_a_mapping(work: Path) -> None:
    data = os.urandom(MIB + 5)
    (work / "a").write_bytes(data)
    with open(work / "a", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == data


def test_stores_through_a_shared_mapping_reach_the_file(work: Path) -> None:
    (work / "a").write_bytes(bytes(300_000))
    with open(work / "a", "r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
        mapped[100_000:100_005] = b"store"
        mapped.flush()
        assert os.pread(file.fileno(), 5, 100_000) == b"store"
        mapped[299_995:] = b"last!"
    mapped.close()
    expected = bytearray(300_000)
    expected[100_000:100_005] = b"store"
    expected[299_995:] = b"last!"
    assert (work / "a").read_bytes() == expected


def test_many_handles_on_one_file_see_one_another(work: Path) -> None:
    handles = [open(work / "a", "w+b" if i == 0 else "r+b", buffering=0) for i in range(5)]  # noqa: SIM115
    for index, handle in enumerate(handles):
        os.pwrite(handle.fileno(), bytes([65 + index]) * 3000, index * 3000)
    for handle in handles:
        assert os.pread(handle.fileno(), 20_000, 0) == b"".join(bytes([65 + i]) * 3000 for i in range(5))
        handle.close()


def test_readers_and_writers_of_one_file_do_not_block_one_another(work: Path) -> None:
    with open(work / "log", "wb", buffering=0) as writing, open(work / "log", "rb", buffering=0) as reading:
        for number in range(50):
            writing.write(b"%05d" % number)
            assert reading.read() == b"%05d" % number
