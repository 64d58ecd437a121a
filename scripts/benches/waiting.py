"""What a slow disk costs those who do not use it: latencies of names while bytes are waited for."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from benches.frame import OURS, Figure, Outcome, Target
from benches.names import fill
from benches.places import MIB, Mounted, Place, fill_with_noise
from benches.throttled import can_throttle, throttled_disk

OPERATIONS = 20  # a second, reads and writes each
_FILES = 2000
_LOAD = """
import os, sys, time
top, kind = sys.argv[1:]
number = 0
while True:
    number += 1
    if kind == "read":
        with open(f"{top}/cold.bin", "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 20):
                pass
    elif kind == "write":
        with open(f"{top}/written-{os.getpid()}", "wb", buffering=0) as file:
            for _ in range(64):
                file.write(bytes(65536))
    else:
        descriptor = os.open(f"{top}/synced-{os.getpid()}", os.O_CREAT | os.O_WRONLY)
        os.pwrite(descriptor, os.urandom(8192), number % 64 * 8192)
        os.fsync(descriptor)
        os.close(descriptor)
"""


def loop(place: Place) -> Outcome:
    """Names of other files while a slow disk is read, written and synced; and the same with a quick one."""
    outcome = Outcome()
    if not can_throttle():
        outcome.facts["left_out"] = "it needs root, loop devices and the blkio controller"
        return outcome
    directory = place.fresh("loop")
    fill_with_noise(directory / "cold.bin", 16 * MIB)
    with throttled_disk(directory) as (disk, throttle), Mounted(directory, root=disk / "archive") as mounted:
        mounted.add(directory / "cold.bin")
        mounted.stop()
        fill(mounted.root, {"old": 2 * _FILES, "warm": _FILES})
        mounted.start()
        for number, (what, operations) in enumerate((("quick disk", 0), ("slow disk", OPERATIONS))):
            throttle(operations)
            with _load(mounted.main):
                time.sleep(0.5)
                for name, spent in _latencies(mounted.main, number, place.quick).items():
                    outcome.figures += _figures(f"{name}, {what}", spent, is_slow=bool(operations))
                throttle(0)
    outcome.facts["disk_operations_a_second"] = OPERATIONS
    return outcome


@contextmanager
def _load(top: Path) -> Iterator[None]:
    """One that reads what no cache holds, one that writes, one that writes and syncs."""
    running = [subprocess.Popen([sys.executable, "-c", _LOAD, top, kind]) for kind in ("read", "write", "sync")]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def _latencies(top: Path, turn: int, quick: bool) -> dict[str, list[float]]:
    """Seconds of each operation, one after another for some seconds."""
    spent: dict[str, list[float]] = {}
    number = count(turn * _FILES)
    deadline = time.monotonic() + (3 if quick else 15)
    new = top / f"new{turn}"
    new.mkdir()

    def timed(name: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        spent.setdefault(name, []).append(time.perf_counter() - start)

    while time.monotonic() < deadline and (index := next(number)) < (turn + 1) * _FILES:
        path = new / f"{index}"
        timed("stat", lambda index=index: os.stat(top / "old" / f"f{index:07}"))  # type: ignore[misc]
        timed("create", path.touch)
        timed("rename", lambda path=path: path.rename(f"{path}x"))  # type: ignore[misc]
        timed("unlink", lambda path=path: os.unlink(f"{path}x"))  # type: ignore[misc]
        timed("statfs", lambda: os.statvfs(top))
        time.sleep(0.002)
    timed("list 2,000 files", lambda: os.listdir(top / "warm"))
    return spent


def _figures(what: str, spent: list[float], *, is_slow: bool) -> Iterator[Figure]:
    """The middle and the end of the distribution."""
    ordered = sorted(spent)
    most = {"slowest": ordered[-1]}
    if len(ordered) > 1:
        most = {"99 of 100 within": ordered[len(ordered) * 99 // 100], **most}
    for words, value in most.items():
        figure = Figure(f"{what}, {words}", "ms", {OURS: value * 1000}, {OURS: statistics.median(spent) * 1000})
        figure.rounds = len(spent)
        if is_slow and len(ordered) > 1:
            figure.target = Target("value", most=20)
        yield figure
