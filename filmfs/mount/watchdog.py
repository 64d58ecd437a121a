"""Notices when the event loop or a thread of the daemon does not get on, and says where it stands.

The loop beats by a task; a thread that stands at the same instruction for long waits for something, most often a disk.
Nothing has to announce what it does, so nothing can forget to. Each incident is told once, with the stacks of all
threads, and shown in the status. systemd hears WATCHDOG=1 only while the loop runs (sd_watchdog_enabled(3)).
"""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import trio

log = logging.getLogger("filmfs.watchdog")

LOOP_S = 5.0  # a loop that runs beats every second
THREAD_S = 10.0
_LOOK_S = 1.0
_IDLE = ("/_thread_cache.py", "/threading.py", "/watchdog.py", "/futures/thread.py")  # where threads wait for work

Notify = Callable[[str], None]


@dataclass(slots=True)
class _Standing:
    """Where a thread was when it was first seen there."""

    at: tuple[int, int]
    since: float
    told: bool = False


class Watchdog:
    """A thread that looks at the others once a second, while it is used as a context manager."""

    def __init__(self, notify: Notify = lambda message: None, *, scale: float = 1.0) -> None:
        self.incidents = 0
        self.last: str | None = None
        self._notify = notify
        self._scale = scale  # of all times, for tests
        self._beaten = time.monotonic()
        self._loop = threading.get_ident()
        self._loop_told = False
        self._standing: dict[int, _Standing] = {}
        self._stuck: dict[int, str] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._beaten = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def status(self) -> dict[str, Any]:
        """What the mount's status says."""
        return {"stuck": list(self._stuck.values()), "incidents": self.incidents, "last_incident": self.last}

    async def beat(self) -> None:
        """Shows that the loop runs, for as long as it does."""
        while True:
            self._beaten = time.monotonic()
            await trio.sleep(_LOOK_S / 2 * self._scale)

    def _watch(self) -> None:
        fed = 0.0
        every = _feeding_s()
        while not self._done.wait(_LOOK_S * self._scale):
            now = time.monotonic()
            frames = sys._current_frames()
            self._look_at_loop(now, frames)
            self._look_at_threads(now, frames)
            if every is not None and now - fed >= every and not self._loop_told:
                self._notify("WATCHDOG=1")
                fed = now

    def _look_at_loop(self, now: float, frames: dict[int, FrameType]) -> None:
        late = now - self._beaten
        if late < LOOP_S * self._scale:
            if self._loop_told:
                log.warning("the event loop runs again")
                del self._stuck[self._loop]
            self._loop_told = False
        elif not self._loop_told:
            self._loop_told = True
            where = _where(frames[self._loop]) if self._loop in frames else "?"
            self._tell(self._loop, f"the event loop stands still for {late:.1f} s at {where}")

    def _look_at_threads(self, now: float, frames: dict[int, FrameType]) -> None:
        for thread in [thread for thread in self._standing if thread not in frames]:
            del self._standing[thread]
            self._stuck.pop(thread, None)
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for thread, frame in frames.items():
            if thread == self._loop:
                continue
            at = (id(frame), frame.f_lasti)
            standing = self._standing.get(thread)
            if standing is None or standing.at != at:
                if self._stuck.pop(thread, None) is not None and standing is not None:
                    log.warning("thread %s goes on after %.1f s", names.get(thread), now - standing.since)
                self._standing[thread] = _Standing(at, now)
            elif not standing.told and now - standing.since >= THREAD_S * self._scale and not _is_idle(frame):
                standing.told = True
                late = now - standing.since
                self._tell(thread, f"thread {names.get(thread)} waits for {late:.1f} s at {_where(frame)}")

    def _tell(self, thread: int, what: str) -> None:
        self.incidents += 1
        self.last = self._stuck[thread] = what
        log.error("%s; all threads:", what)
        try:
            faulthandler.dump_traceback(all_threads=True)
        except (OSError, ValueError, AttributeError, RuntimeError):  # stderr is no file
            log.error("their stacks cannot be written")


def _is_idle(frame: FrameType) -> bool:
    return frame.f_code.co_filename.endswith(_IDLE)


def _where(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({os.path.basename(code.co_filename)}:{frame.f_lineno})"


def _feeding_s() -> float | None:
    """How often systemd wants to hear that the daemon is well; None when it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1e6 / 3
    except (KeyError, ValueError):
        return None
