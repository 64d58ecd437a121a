"""Room that is kept back on the disk: making a removal durable takes some, and on a full disk only removals make it.

Some is the database's already: blocks past its end, which it grows into and nobody else gets. When even they are used,
a file is given up for more of them.
"""

import errno
import os

from filmfs.store.disk import change_room

_SIZE = 16 << 20
_LEAST = 1 << 20
_ENOUGH = 256 << 20  # of less nothing is kept back
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE


class Reserve:
    """The room of an archive that is mounted. Safe to use from any thread."""

    def __init__(self, root: str, database: str) -> None:
        """`database` is the file that needs it."""
        self._path = os.path.join(root, "reserve")
        self._database = database
        self._is_vain = False  # the file system gives no room ahead
        self._descriptor: int | None = None  # kept: on a FUSE mount opening the file again would drop its pages

    def keep(self) -> None:
        """Has room kept back, if there is plenty. Raises OSError."""
        disk = os.statvfs(os.path.dirname(self._path))
        if disk.f_bavail * disk.f_frsize < _ENOUGH:
            return
        self._have_room_ahead()
        if os.path.exists(self._path):
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            change_room(descriptor, 0, 0, _SIZE)
        except OSError:  # a file system that cannot give room ahead
            os.unlink(self._path)
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Lets go of the file; whether that made room."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        self._have_room_ahead()  # at once, before those have it who fill the disk
        return True

    def _have_room_ahead(self) -> None:
        if self._is_vain:
            return
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._database, os.O_WRONLY | os.O_CLOEXEC)
            end, length = os.fstat(self._descriptor).st_size, _SIZE
            while length >= _LEAST and not self._has_given(end, length):
                length //= 2
        except OSError:  # a file system that cannot
            self._is_vain = True

    def _has_given(self, end: int, length: int) -> bool:
        assert self._descriptor is not None
        try:
            change_room(self._descriptor, _KEEP_SIZE, end, length)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            return False
        return True
