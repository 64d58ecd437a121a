"""A daemon that does not get on says so: in its log with the stacks of all threads, in its status, and to systemd."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio

from filmfs.mount.watchdog import Watchdog


def blocked(gate: threading.Event, pipe: int) -> None:
    os.read(pipe, 1)
    gate.set()


def test_a_thread_that_waits_for_long_is_told_once_with_where_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    reading, writing = os.pipe()
    gate = threading.Event()

    async def main() -> None:
        with Watchdog(scale=0.02) as watchdog:
            trio.lowlevel.spawn_system_task(watchdog.beat)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, blocked, gate, reading)
                try:
                    with trio.fail_after(20):
                        while not _told(watchdog):  # noqa: ASYNC110 - a thread tells
                            await trio.sleep(0.01)
                    await trio.sleep(0.5)
                finally:
                    os.write(writing, b"x")
            with trio.fail_after(20):
                while _told(watchdog):  # noqa: ASYNC110
                    await trio.sleep(0.01)

    trio.run(main)
    assert gate.is_set()
    assert "goes on after" in caplog.text
    assert caplog.text.count("at blocked (test_watchdog.py") == 1


def _told(watchdog: Watchdog) -> bool:
    """Whether it says where the thread waits; other threads of the test run, and a machine that halts, are told too."""
    return any("blocked (test_watchdog.py" in each for each in watchdog.status()["stuck"])


def test_threads_that_work_or_rest_are_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="resting") as pool, Watchdog(scale=0.02) as watchdog:
            pool.submit(threading.current_thread).result()
            trio.lowlevel.spawn_system_task(watchdog.beat)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                await trio.to_thread.run_sync(working, range(1000))
            await trio.sleep(0.5)

    trio.run(main)
    assert " waits for " not in caplog.text  # a machine that halts is told of the loop alone


def working(numbers: range) -> int:
    return sum(numbers)
