"""Whether small writes may go to the disk from the event loop.

They are copies into the page cache, cheaper than a thread, for as long as the kernel takes them at once. When it holds
a writer back because the disk cannot keep up, everybody would be held back with it. So threads write until several
writes in a row were quick, and again after each one that was not.
"""

_LATE_S = 0.005
_PROVEN = 8


class Patience:
    """What the last writes took."""

    def __init__(self) -> None:
        self._quick = 0

    @property
    def is_disk_quick(self) -> bool:
        """Whether a write is likely to take no time."""
        return self._quick >= _PROVEN

    def note(self, took_s: float) -> None:
        """What a write took."""
        self._quick = 0 if took_s > _LATE_S else self._quick + 1
