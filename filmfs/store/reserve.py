"""Room that is kept back on the disk: making a removal durable takes some, and on a full disk only removals make it."""

import os

from filmfs.store.disk import change_room

_SIZE = 16 << 20
_ENOUGH = 256 << 20  # of less nothing is kept back


class Reserve:
    """The file `reserve` of an archive that is mounted. Safe to use from any thread."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, "reserve")

    def keep(self) -> None:
        """Has room kept back, if there is plenty. Raises OSError."""
        disk = os.statvfs(os.path.dirname(self._path))
        if os.path.exists(self._path) or disk.f_bavail * disk.f_frsize < _ENOUGH:
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            change_room(descriptor, 0, 0, _SIZE)
        except OSError:  # a file system that cannot give room ahead
            os.unlink(self._path)
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Lets go of it; whether that made room."""
        try:
            os.unlink(self._path)
        except OSError:
            return False
        return True
