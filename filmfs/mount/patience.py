"""Whether small writes may go to the disk from the event loop.

They are copies into the page cache, cheaper than a thread, for as long as the kernel takes them at once. When it holds
a writer back because the disk cannot keep up, everybody would be held back with it: then threads write for a while.
"""

import time

_LATE_S = 0.02
_AWAY_S = 5.0


class Patience:
    """What the last writes took: each is a block, `with patience:`."""

    def __init__(self) -> None:
        self._late_until = 0.0
        self._start = 0.0

    @property
    def is_disk_quick(self) -> bool:
        """Whether no write was late for some seconds."""
        return time.monotonic() >= self._late_until

    def __enter__(self) -> None:
        self._start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        end = time.monotonic()
        if end - self._start > _LATE_S:
            self._late_until = end + _AWAY_S
