"""Waiting for the kernel's next request without going round the event loop for it.

pyfuse3's tasks take turns: each takes a lock, asks trio whether the kernel has a request, and lets go of the lock
before it answers. With trio's own means that is a pass of the scheduler for the lock, two changes of an epoll set, a
wait and another pass: half of what a look-up costs. In a burst the next request is there some microseconds after the
last answer, so the task that answered waits for that one by itself first, for a moment, under a lock that asks nobody
while it is free; with the extension it waits awake, for a processor that sleeps takes longer to wake than the request
to come. Others are let in every millisecond, and at once while a handler waits for a thread.
"""

import select
import time
from types import SimpleNamespace

import pyfuse3
import trio

from filmfs.mount.native import hooks

_MOMENT_US = 200
_TURN_S = 0.001  # others wait no longer than this for a burst
_SELECTABLE = 1024  # descriptors from here on are not for select
_GLOBALS = vars(pyfuse3)


class Turnstile:
    """A lock between tasks that the one that held it last gets again at once, as long as its turn lasts.

    Those that wait for it are told when it is free, and come to take it when that task waits for something else.
    """

    def __init__(self) -> None:
        self._held = False
        self._waiting = trio.lowlevel.ParkingLot()
        self._turn_ends = 0.0

    async def __aenter__(self) -> None:
        if time.monotonic() > self._turn_ends:
            await trio.lowlevel.checkpoint()
            self._turn_ends = time.monotonic() + _TURN_S
        while self._held:
            await self._waiting.park()
        self._held = True

    async def __aexit__(self, *_: object) -> None:
        self._held = False
        self._waiting.unpark()


def _is_readable_within(descriptor: int, most_us: int) -> bool:
    if hooks is not None:
        return hooks.wait_readable(descriptor, most_us)
    return descriptor < _SELECTABLE and bool(select.select((descriptor,), (), (), most_us / 1e6)[0])


class Eager:
    """Stands between pyfuse3 and trio while a mount is served."""

    def __init__(self) -> None:
        self.waiting = 0  # handlers that wait for a thread

    async def wait_readable(self, descriptor: int) -> None:
        """Returns when the kernel has a request."""
        if not _is_readable_within(descriptor, 0 if self.waiting else _MOMENT_US):
            await trio.lowlevel.wait_readable(descriptor)

    def install(self) -> None:
        """Has pyfuse3 wait in this way. One that is built otherwise goes on as it is."""
        if _GLOBALS.get("trio") is trio:
            lowlevel = SimpleNamespace(**vars(trio.lowlevel) | {"wait_readable": self.wait_readable})
            _GLOBALS["trio"] = SimpleNamespace(**vars(trio) | {"lowlevel": lowlevel, "Lock": Turnstile})

    def remove(self) -> None:
        """Undoes `install`."""
        if "trio" in _GLOBALS:
            _GLOBALS["trio"] = trio


EAGER = Eager()
"""A process has one mount, as pyfuse3 has one session."""
