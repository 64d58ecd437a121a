"""Waiting for the kernel's next request without going round the event loop for it.

pyfuse3 asks trio before every request whether the kernel has one: two changes of an epoll set, a wait and a turn of the
scheduler, a third of what a look-up costs. In a burst the next request is there some microseconds after the last
answer, so this waits for that one by itself first, for a moment. Every turn of pyfuse3's loop still passes trio's
scheduler (it takes a lock), so nothing else is starved; and while anything is being waited for, trio is asked at once.
"""

import select
from types import SimpleNamespace

import pyfuse3
import trio

_MOMENT_S = 0.0002
_SELECTABLE = 1024  # descriptors from here on are not for select
_GLOBALS = vars(pyfuse3)


class Eager:
    """Stands between pyfuse3 and trio while a mount is served."""

    def __init__(self) -> None:
        self.waiting = 0  # handlers that wait for a thread

    async def wait_readable(self, descriptor: int) -> None:
        """Returns when the kernel has a request."""
        moment = 0.0 if self.waiting else _MOMENT_S
        if descriptor >= _SELECTABLE or not select.select((descriptor,), (), (), moment)[0]:
            await trio.lowlevel.wait_readable(descriptor)

    def install(self) -> None:
        """Has pyfuse3 wait in this way. One that is built otherwise goes on as it is."""
        if _GLOBALS.get("trio") is trio:
            lowlevel = SimpleNamespace(**vars(trio.lowlevel) | {"wait_readable": self.wait_readable})
            _GLOBALS["trio"] = SimpleNamespace(**vars(trio) | {"lowlevel": lowlevel})

    def remove(self) -> None:
        """Undoes `install`."""
        if "trio" in _GLOBALS:
            _GLOBALS["trio"] = trio


EAGER = Eager()
"""A process has one mount, as pyfuse3 has one session."""
