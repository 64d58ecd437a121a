"""A gate: many threads inside at once, or one that is alone.

Threads that are inside may go in again; who wants to be alone waits for them to leave, while others wait outside.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """See above. Safe to use from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0  # threads
        self._closed = False
        self._mine = threading.local()

    def depth(self) -> int:
        """How often this thread went in and did not leave."""
        return getattr(self._mine, "depth", 0)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Goes in; waits while somebody is alone."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self, within_s: float) -> Iterator[bool]:
        """Waits until no other thread is inside, for so long; gives whether that came, and then holds it."""
        own = int(self.depth() > 0)
        deadline = time.monotonic() + within_s
        with self._changed:
            self._closed = True
            try:
                while self._inside > own:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
                yield self._inside <= own
            finally:
                self._closed = False
                self._changed.notify_all()

    def step_out(self, seconds: float) -> bool:
        """Lets somebody be alone for a moment; False when this thread went in more than once and cannot leave."""
        if self.depth() != 1:
            return False
        self._leave()
        time.sleep(seconds)
        self._enter()
        return True

    def _enter(self) -> None:
        depth = self.depth()
        if not depth:
            with self._changed:
                while self._closed:
                    self._changed.wait()
                self._inside += 1
        self._mine.depth = depth + 1

    def _leave(self) -> None:
        self._mine.depth -= 1
        if not self._mine.depth:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()
