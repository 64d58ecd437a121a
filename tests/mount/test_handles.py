"""File handles, as an NFS server keeps them: numbers that lead back to a file, also after the mount was away."""

import ctypes
import errno
import os
from pathlib import Path

import pytest

from tests.drive import Drive, wait_until
from tests.mount.syscalls import fails

pytestmark = [
    pytest.mark.mount,
    pytest.mark.skipif(os.getuid() != 0, reason="open_by_handle_at is root's"),
]

_AT_FDCWD = -100
_libc = ctypes.CDLL(None, use_errno=True)


class Handle(ctypes.Structure):
    """struct file_handle."""

    _fields_ = (("size", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128))


def handle_of(path: Path) -> Handle:
    """name_to_handle_at(2)."""
    handle, mount = Handle(128), ctypes.c_int()
    if _libc.name_to_handle_at(_AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return handle


def open_handle(drive: Drive, handle: Handle) -> int:
    """open_by_handle_at(2), for reading."""
    mount = os.open(drive.mountpoint, os.O_RDONLY)
    try:
        descriptor = _libc.open_by_handle_at(mount, ctypes.byref(handle), os.O_RDONLY)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return int(descriptor)
    finally:
        os.close(mount)


def read_handle(drive: Drive, handle: Handle) -> bytes:
    """All bytes of the file."""
    with os.fdopen(open_handle(drive, handle), "rb") as file:
        return file.read()


def test_handles_lead_to_their_files_after_renames_commits_and_remounts(mounted: Drive) -> None:
    deep = mounted.main / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"bytes")
    file, directory, root = handle_of(deep / "file"), handle_of(deep), handle_of(mounted.main)
    assert read_handle(mounted, file) == b"bytes"
    os.rename(deep / "file", mounted.main / "moved")
    mounted.commit(message="one")
    mounted.restart()
    assert read_handle(mounted, file) == b"bytes"
    for handle, path in ((directory, deep), (root, mounted.main)):
        descriptor = open_handle(mounted, handle)
        assert os.readlink(f"/proc/self/fd/{descriptor}") == str(path)
        assert os.stat(descriptor).st_ino == path.stat().st_ino
        os.close(descriptor)


def test_a_handle_of_history_leads_there_too(mounted: Drive) -> None:
    (mounted.main / "file").write_bytes(b"old")
    mounted.commit(message="one")
    (mounted.main / "file").write_bytes(b"new")
    old = handle_of(mounted.mountpoint / ".filmfs" / "history" / "main" / "2" / "file")
    assert read_handle(mounted, old) == b"old"


def test_a_handle_of_what_is_gone_is_stale(mounted: Drive) -> None:
    (mounted.main / "file").write_bytes(b"bytes")
    handle = handle_of(mounted.main / "file")
    (mounted.main / "file").unlink()
    (mounted.main / "file").write_bytes(b"another")
    mounted.restart()
    with fails(errno.ESTALE):
        open_handle(mounted, handle)


def test_numbers_stay_through_changes_and_remounts(mounted: Drive) -> None:
    (mounted.main / "d").mkdir()
    (mounted.main / "d" / "file").write_bytes(b"bytes")
    numbers = [path.stat().st_ino for path in (mounted.main, mounted.main / "d", mounted.main / "d" / "file")]
    with open(mounted.main / "d" / "file", "ab") as file:
        file.write(b"x" * 500_000)
    (mounted.main / "d" / "file").chmod(0o600)
    mounted.commit(message="one")
    mounted.restart()
    assert [path.stat().st_ino for path in (mounted.main, mounted.main / "d", mounted.main / "d" / "file")] == numbers
    other = mounted.branch("other")
    assert (other / "d" / "file").stat().st_ino != numbers[2], "two branches' copies are no hard links"


def test_a_handle_leads_to_its_file_whatever_node_that_got_since(mounted: Drive) -> None:
    """A file that somebody reads past the daemon gets another node for who writes it anew."""
    path = mounted.main / "file"
    path.write_bytes(b"0" * (2 << 20))
    handles = [handle_of(path)]
    passes = mounted.command("status")["passthrough"]
    for number in range(1, 4):
        wait_until(lambda: mounted.command("status")["unsealed_files"] == 0, "it is hashed")
        before = handle_of(path)
        with open(path, "rb") as reader, open(path, "wb") as writer:
            writer.write(b"%d" % number * (2 << 20))
            assert reader.read(1) in b"0123"
            if passes:
                with fails(errno.ESTALE):  # as long as there is somebody for whom it leads to what was
                    open_handle(mounted, before)
            handles.append(handle_of(path))
        for handle in handles:
            assert read_handle(mounted, handle) == b"%d" % number * (2 << 20)
            assert path.read_bytes()[:2] == b"%d%d" % (number, number)
    assert len({bytes(handle.data) for handle in handles}) > 1 or not passes
    mounted.restart()
    for handle in handles:
        with open(path, "rb") as reader:
            assert reader.read(2) == b"33"
        assert read_handle(mounted, handle)[:2] == b"33"


def test_a_node_that_a_file_had_before_shows_no_old_pages(mounted: Drive) -> None:
    path = mounted.main / "file"
    path.write_bytes(b"0" * (2 << 20))
    wait_until(lambda: mounted.command("status")["unsealed_files"] == 0, "it is hashed")
    first = handle_of(path)
    with open(path, "rb"), open(path, "r+b") as writer:
        writer.write(b"1")
    second = handle_of(path)
    for number in range(2, 6):
        for handle in (first, second):
            assert read_handle(mounted, handle)[:2] == b"%d0" % (number - 1)  # from here on the kernel has its pages
        with open(path, "r+b") as writer:
            writer.write(b"%d" % number)
        assert path.read_bytes()[:2] == b"%d0" % number
