"""The Linux file calls that `os` does not have, and durability by name."""

import ctypes
import errno
import fcntl
import os
import signal
from collections.abc import Sequence

from filmfs.core.errors import DiskFailure, from_os_error

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 3, 16  # modes of fallocate(2); to punch always keeps the size
_FICLONE = 0x40049409
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_ALL = 7  # what is under way, what is not yet, and until it is done
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # system calls, by the same numbers everywhere
_SET_STRING, _CREATE, _CLOSE_ON_EXEC = 1, 6, 1
_READ_ONLY, _NO_SET_ID, _NO_DEVICES, _NO_ACCESS_TIMES = 1, 2, 4, 16
_libc = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def sync_path(path: str) -> None:
    """fsync of a file or a directory by its name."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise from_os_error(error, "making bytes durable") from error


def sync_filesystem(path: str) -> None:
    """Makes all that was written to the file system of `path` durable (syncfs)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(descriptor) != 0:
            raise DiskFailure(f"syncing the archive's file system: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(descriptor)


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Lets the disk begin with a range, so that a later sync has little to wait for. Only a hint."""
    _libc.sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def write_back(descriptor: int, offset: int, length: int) -> None:
    """Waits until the disk took a range; a power cut may still lose it. Raises OSError when it did not."""
    for _ in range(2):  # btrfs, when it compresses, begins at the first what it writes at the second
        if _libc.sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_ALL) != 0:
            code = ctypes.get_errno()
            if code not in (errno.ESPIPE, errno.EINVAL, errno.ENOSYS):
                raise OSError(code, os.strerror(code))
            os.fdatasync(descriptor)


def finish_writeback(descriptor: int, offset: int, length: int) -> None:
    """Waits until the disk has a range, and lets its pages go. Raises OSError: who waits is told of a failed one."""
    write_back(descriptor, offset, length)
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def allocate(descriptor: int, size: int) -> None:
    """Gives a file room for `size` bytes at once. Raises OSError when the disk has no room; else it is only a hint."""
    if _libc.fallocate(descriptor, 0, 0, size) != 0 and ctypes.get_errno() in (errno.ENOSPC, errno.EDQUOT):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def change_room(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2) with any mode. Raises OSError."""
    if _libc.fallocate(descriptor, mode, offset, length) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def nobody_writes(descriptor: int) -> bool:
    """Whether no process, ours included, has the file open or mapped for writing. `descriptor` is open for reading.

    The kernel grants a read lease (fcntl(2)) only then. Where a file system has no leases the answer is yes.
    """
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored, unlike the SIGIO of a broken lease
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno != errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def has_leases(directory: str) -> bool:
    """Whether `nobody_writes` can tell for files in `directory`."""
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        return not nobody_writes(descriptor)
    finally:
        os.close(descriptor)


def clone(source: int, target: int) -> bool:
    """Makes `target` share all blocks of `source` (FICLONE); says whether the file system could."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def mount_image(path: str, kind: str, options: Sequence[tuple[str, str]]) -> int:
    """Mounts an image read-only where no name leads: the descriptor of its root, with which it goes. Raises OSError."""
    context = _asked(_FSOPEN, kind.encode(), _CLOSE_ON_EXEC)
    try:
        for key, value in (("source", path), *options):
            _asked(_FSCONFIG, context, _SET_STRING, key.encode(), os.fsencode(value), 0)
        _asked(_FSCONFIG, context, _CREATE, None, None, 0)
        attributes = _READ_ONLY | _NO_SET_ID | _NO_DEVICES | _NO_ACCESS_TIMES
        return _asked(_FSMOUNT, context, _CLOSE_ON_EXEC, attributes)
    finally:
        os.close(context)


def _asked(call: int, *arguments: int | bytes | None) -> int:
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_libc.syscall(ctypes.c_long(call), *given))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
