"""Extended attributes on the mount."""

import errno
import os
import struct
from pathlib import Path

import pytest

from filmfs.core.ids import identify
from tests.drive import Drive, wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount


def test_attributes_are_kept_on_files_and_directories(work: Path) -> None:
    (work / "file").touch()
    (work / "dir").mkdir()
    for path in (work / "file", work / "dir"):
        os.setxattr(path, "user.note", b"one")
        os.setxattr(path, "user.empty", b"")
        os.setxattr(path, "user.note", b"\0two\xff")
        assert sorted(os.listxattr(path)) == ["user.empty", "user.note"]
        assert os.getxattr(path, "user.note") == b"\0two\xff"
        assert os.getxattr(path, "user.empty") == b""
        os.removexattr(path, "user.empty")
        assert os.listxattr(path) == ["user.note"]


@pytest.mark.skipif(os.getuid() != 0, reason="trusted attributes are root's")
def test_trusted_attributes_are_kept_on_symlinks_too(work: Path) -> None:
    os.symlink("nowhere", work / "soft")
    os.setxattr(work / "soft", "trusted.note", b"x", follow_symlinks=False)
    assert os.getxattr(work / "soft", "trusted.note", follow_symlinks=False) == b"x"
    assert os.listxattr(work / "soft", follow_symlinks=False) == ["trusted.note"]


def test_a_missing_attribute_is_enodata(work: Path) -> None:
    (work / "a").touch()
    with fails(errno.ENODATA):
        os.getxattr(work / "a", "user.none")
    with fails(errno.ENODATA):
        os.removexattr(work / "a", "user.none")


def test_what_no_file_has_is_unsupported_so_that_ls_asks_once(work: Path) -> None:
    (work / "a").touch()
    for name in ("system.posix_acl_access", "security.selinux"):
        with fails(errno.EOPNOTSUPP):
            os.getxattr(work / "a", name)


def test_create_and_replace_are_told_apart(work: Path) -> None:
    (work / "a").touch()
    with fails(errno.ENODATA):
        os.setxattr(work / "a", "user.note", b"1", os.XATTR_REPLACE)
    os.setxattr(work / "a", "user.note", b"1", os.XATTR_CREATE)
    with fails(errno.EEXIST):
        os.setxattr(work / "a", "user.note", b"2", os.XATTR_CREATE)
    os.setxattr(work / "a", "user.note", b"3", os.XATTR_REPLACE)
    assert os.getxattr(work / "a", "user.note") == b"3"


def test_a_value_can_have_64_kib_and_no_more(work: Path) -> None:
    (work / "a").touch()
    os.setxattr(work / "a", "user.large", bytes(1 << 16))
    assert os.getxattr(work / "a", "user.large") == bytes(1 << 16)
    with fails(errno.E2BIG, errno.ENOSPC):
        os.setxattr(work / "a", "user.larger", bytes((1 << 16) + 1))


def test_attributes_that_would_need_acls_are_not_supported(work: Path) -> None:
    (work / "a").touch()
    entries = ((0x01, 6), (0x04, 4), (0x20, 4))  # owner, group, others
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, mode, 0xFFFFFFFF) for tag, mode in entries)
    with fails(errno.EOPNOTSUPP):
        os.setxattr(work / "a", "system.posix_acl_access", acl)


def test_filmfs_s_own_attributes_are_found_but_not_listed_and_read_only(drive: Drive, work: Path) -> None:
    (work / "small").write_bytes(b"few bytes")
    (work / "large").write_bytes(b"x" * 100_000)

    def is_hashed(name: str, content: bytes) -> bool:
        try:
            return os.getxattr(work / name, "user.filmfs.content").decode() == identify([content])[0].hex()
        except OSError:
            return False

    wait_until(lambda: is_hashed("small", b"few bytes"), "the kernel tells of a close after it", seconds=1)
    wait_until(lambda: is_hashed("large", b"x" * 100_000), "the file is hashed some seconds after its close")
    assert os.listxattr(work / "large") == []
    with fails(errno.EPERM):
        os.setxattr(work / "large", "user.filmfs.content", b"x")
    with fails(errno.EPERM):
        os.removexattr(work / "large", "user.filmfs.content")
    assert os.getxattr(drive.mountpoint / ".filmfs", "user.filmfs.virtual") == b"1"


def test_the_copies_that_branches_have_are_apart(drive: Drive, work: Path) -> None:
    (work / "a").touch()
    os.setxattr(work / "a", "user.note", b"main")
    other = drive.branch("xattrs") / work.name / "a"
    os.setxattr(other, "user.note", b"branch")
    assert os.getxattr(work / "a", "user.note") == b"main"
    assert os.getxattr(other, "user.note") == b"branch"


def test_attributes_of_a_family_that_nobody_knows_are_refused(work: Path) -> None:
    (work / "a").touch()
    for name in ("note", "foreign.note", "user", "system.note"):
        with fails(errno.EOPNOTSUPP):
            os.setxattr(work / "a", name, b"x")


def test_no_more_names_are_taken_than_can_be_listed(work: Path) -> None:
    (work / "a").touch()
    kept = []
    with fails(errno.ENOSPC):
        for number in range(400):
            name = f"user.{number:0200}"
            os.setxattr(work / "a", name, b"x")
            kept.append(name)
    assert len(kept) > 300
    assert sorted(os.listxattr(work / "a")) == kept
