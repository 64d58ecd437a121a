"""filmfs that kills itself at a point of its own work: python -m tests.crash.faulty ARGUMENTS OF filmfs…

FILMFS_TEST_KILL is `MODULE:FUNCTION/MOMENT/COUNT`: at the COUNT-th pass of that point the process gets SIGKILL from
itself. Functions are wrapped by name after everything is imported, so nothing of this is in the product.
FILMFS_TEST_FAST makes a mount flush, hash and name its files within moments instead of seconds. FILMFS_TEST_HELD names
a file: while that is there, it does so only when it is asked to. FILMFS_TEST_LATE_NAME is a name whose look-up never
ends. FILMFS_TEST_LOSE names a file: when that is there, the next sync of a staging file fails, and it is removed.
SIGUSR1 has its event loop stand still for a second and a half, which its watchdog then holds for long.
"""

import errno
import functools
import importlib
import inspect
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

import filmfs.cli.main
import filmfs.daemon
from filmfs.mount import flushing, operations, quick, watchdog

_passes = itertools.count(1)
_killing_at = 0


def point() -> None:
    """One pass of the point."""
    if next(_passes) == _killing_at:
        os.kill(os.getpid(), signal.SIGKILL)


def arm(target: str, moment: str, count: int) -> None:
    """Has the process die at the `count`-th pass of a point."""
    global _killing_at
    _killing_at = count
    module_name, _, path = target.partition(":")
    module = importlib.import_module(module_name)
    holder_path, _, name = path.rpartition(".")
    holder = functools.reduce(getattr, holder_path.split("."), module) if holder_path else module
    original = getattr(holder, name)
    wrapped = _wrapped(original, moment)
    setattr(holder, name, wrapped)
    if holder is module:
        for other in [m for n, m in sys.modules.items() if n.startswith("filmfs")]:
            for alias in [key for key, value in vars(other).items() if value is original]:
                setattr(other, alias, wrapped)


def _wrapped(original: Callable[..., Any], moment: str) -> Callable[..., Any]:
    if moment == "inside":  # a context manager's: its block is done, what it does at the end is not

        @functools.wraps(original)
        @contextmanager
        def manager(*arguments: Any, **options: Any) -> Iterator[Any]:
            with original(*arguments, **options) as given:
                yield given
                point()

        return manager
    if hasattr(original, "__wrapped__") and inspect.isgeneratorfunction(original.__wrapped__):

        @functools.wraps(original)
        @contextmanager
        def around(*arguments: Any, **options: Any) -> Iterator[Any]:
            if moment == "before":
                point()
            with original(*arguments, **options) as given:
                yield given
            if moment == "after":
                point()

        return around
    if inspect.isgeneratorfunction(original):

        @functools.wraps(original)
        def generator(*arguments: Any, **options: Any) -> Iterator[Any]:
            if moment == "before":
                point()
            yield from original(*arguments, **options)
            if moment == "after":
                point()

        return generator

    @functools.wraps(original)
    def function(*arguments: Any, **options: Any) -> Any:
        if moment == "before":
            point()
        result = original(*arguments, **options)
        if moment == "after":
            point()
        return result

    return function


def make_fast() -> None:
    """What takes seconds of quiet takes moments."""
    flushing.INTERVAL_S, flushing._QUIET_S, flushing._LATEST_S = 0.05, 0.05, 0.2


def make_held(told: str) -> None:
    """While the file `told` is there nothing is flushed or hashed that nobody asks for."""
    rest = flushing.Flusher._rest

    async def held(self: Any) -> None:
        await rest(self)
        while os.path.exists(told):  # noqa: ASYNC110, ASYNC240 (a test makes that file)
            await trio.sleep(0.01)

    flushing.Flusher._rest = held  # type: ignore[method-assign]


def lose_when_told(told: str) -> None:
    """Has the sync of a staging file fail when the file `told` is there."""
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if "/staging/" in os.readlink(f"/proc/self/fd/{descriptor}") and os.path.exists(told):
            os.unlink(told)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    os.fsync = fsync


def make_late(name: bytes) -> None:
    """To look for one name takes for ever."""
    lookup = operations.Operations.lookup

    async def late(self: Any, parent: Any, asked: Any, ctx: Any) -> Any:
        if asked == name:
            await trio.sleep_forever()
        return await lookup(self, parent, asked, ctx)

    at_once = quick.Answerer.answer

    def not_this_one(self: Any, opcode: int, number: int, what: Any = None) -> Any:
        return None if what == name else at_once(self, opcode, number, what)

    operations.Operations.lookup = late  # type: ignore[method-assign]
    quick.Answerer.answer = not_this_one  # type: ignore[method-assign]


def main() -> None:
    """filmfs, with what the environment asks for."""
    if "FILMFS_TEST_FAST" in os.environ:
        make_fast()
    if held := os.environ.get("FILMFS_TEST_HELD"):
        make_held(held)
    if told := os.environ.get("FILMFS_TEST_LOSE"):
        lose_when_told(told)
    if kill := os.environ.get("FILMFS_TEST_KILL"):
        target, moment, count = kill.rsplit("/", 2)
        arm(target, moment, int(count))
    watchdog.LOOP_S, watchdog.THREAD_S, watchdog._LOOK_S = 0.5, 1.0, 0.1
    filmfs.daemon._WRITE_AT_END_S = 2.0
    filmfs.daemon._LOOK_AT_COPY_S = 0.2 if "FILMFS_TEST_COPY" in os.environ else 300.0
    if late := os.environ.get("FILMFS_TEST_LATE_NAME"):
        make_late(late.encode())
    signal.signal(signal.SIGUSR1, lambda *_: time.sleep(1.5))
    filmfs.cli.main.main()


if __name__ == "__main__":
    sys.exit(main())
