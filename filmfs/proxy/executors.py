"""Who carries out tasks: processes of this machine, or others.

A task that raises a FilmFSError is done: that is its outcome. A worker that dies, or tells nothing for a while, is
killed, and its task is given to another once more; then its outcome is an error too.
"""

import os
import pickle
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from filmfs.core.errors import BadMedia, FilmFSError
from filmfs.proxy.tasks import Result, Task, done_before, tell

_SILENCE_S = 120.0
_TRIES = 2
_LENGTH = struct.Struct("<I")
# glibc gives memory of this size back at once and takes it anew for each picture, which costs 3 %.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: its result or why there is none; `remarks` tell of workers that were lost on the way."""

    task: Task
    result: Result | FilmFSError
    remarks: tuple[str, ...] = ()


class Executor(Protocol):
    """Carries out tasks, in any order, several at once."""

    @property
    def workers(self) -> int:
        """About how many at once."""

    def run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        """Outcomes as they come. The files of results are in `folder`. `advance` is told of frames that are done.

        Whoever stops iterating ends the work.
        """


class InThisProcess:
    """Carries out one task after another."""

    workers = 1

    def run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        """See Executor."""
        for task in tasks:
            yield Outcome(task, carried_out(task, folder, advance))


def carried_out(task: Task, folder: str, advance: Callable[[int], None]) -> Result | FilmFSError:
    """A task's outcome, or that of an earlier run."""
    known = done_before(task, folder)
    if known is not None:
        advance(getattr(task, "frames", 0))
        return known
    try:
        return tell(task, folder, task.carry_out(folder, advance))
    except FilmFSError as error:
        return error


@dataclass(slots=True)
class _Worker:
    process: "subprocess.Popen[bytes]"
    heard: float
    task: Task | None = None
    tries: int = 0
    remarks: tuple[str, ...] = ()
    got: bytearray = field(default_factory=bytearray)


class Local:
    """Processes of this machine, which give way to all others. They stay between runs; `close` ends them."""

    def __init__(self, workers: int | None = None, *, silence_s: float = _SILENCE_S, nice: int = 10) -> None:
        """`workers` None: as many as this process may use cores. `silence_s`: how long one may tell nothing."""
        self.workers = workers or len(os.sched_getaffinity(0))
        self._silence_s = silence_s
        self._nice = nice
        self._pool: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Has the workers make themselves ready."""
        while len(self._pool) < self.workers:
            self._hire()

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self._pool):
            self._let_go(worker)

    def run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        """See Executor."""
        try:
            yield from self._run(tasks, folder, advance)
        finally:
            for worker in [each for each in self._pool if each.task is not None]:
                self._let_go(worker)

    def _run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        waiting: deque[tuple[Task, int, tuple[str, ...]]] = deque((task, _TRIES, ()) for task in tasks)
        while waiting or any(worker.task is not None for worker in self._pool):
            while waiting and (worker := self._idle()) is not None:
                worker.task, worker.tries, worker.remarks = waiting.popleft()
                worker.heard = time.monotonic()
                _send(worker.process.stdin, (worker.task, folder))
            for worker, message in self._messages():
                if isinstance(message, int):
                    advance(message)
                    continue
                ended, worker.task = worker.task, None
                assert ended is not None
                if isinstance(message, str):  # the worker is gone
                    remarks = (*worker.remarks, message)
                    if worker.tries > 1:
                        waiting.appendleft((ended, worker.tries - 1, remarks))
                    else:
                        yield Outcome(ended, BadMedia(message), remarks)
                    continue
                yield Outcome(ended, message, worker.remarks)

    def _idle(self) -> _Worker | None:
        idle = next((worker for worker in self._pool if worker.task is None), None)
        return idle or (self._hire() if len(self._pool) < self.workers else None)

    def _hire(self) -> _Worker:
        command = [sys.executable, "-P", "-m", "filmfs.proxy.worker", str(self._nice)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, **_KEEP_MEMORY},
        )
        worker = _Worker(process, time.monotonic())
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._pool.append(worker)
        return worker

    def _messages(self) -> Iterator[tuple[_Worker, Any]]:
        """What workers say: frames that they did, a result or an error; text when one is gone that had a task."""
        for key, _ in self._selector.select(min(1.0, self._silence_s / 4)):
            worker: _Worker = key.data
            data = os.read(key.fd, 1 << 16)
            worker.heard = time.monotonic()
            if not data:
                yield from self._lost(worker, f"a worker died ({_ended(worker.process)})")
            worker.got += data
            while len(worker.got) >= _LENGTH.size:
                (length,) = _LENGTH.unpack(worker.got[: _LENGTH.size])
                if len(worker.got) < _LENGTH.size + length:
                    break
                message = pickle.loads(worker.got[_LENGTH.size : _LENGTH.size + length])
                del worker.got[: _LENGTH.size + length]
                yield worker, message
        now = time.monotonic()
        for worker in list(self._pool):
            if worker.task is not None and now - worker.heard > self._silence_s:
                yield from self._lost(worker, f"a worker told nothing for {self._silence_s:.0f} s and was killed")

    def _lost(self, worker: _Worker, why: str) -> Iterator[tuple[_Worker, str]]:
        self._let_go(worker)
        if worker.task is not None:
            yield worker, why

    def _let_go(self, worker: _Worker) -> None:
        process = worker.process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        process.stdout.close()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        self._pool.remove(worker)


def _send(pipe: IO[bytes] | None, message: object) -> None:
    assert pipe is not None
    data = pickle.dumps(message)
    try:
        pipe.write(_LENGTH.pack(len(data)) + data)
        pipe.flush()
    except BrokenPipeError:  # it died; that is heard of on the other pipe
        pass


def _ended(process: "subprocess.Popen[bytes]") -> str:
    try:
        code = process.wait(timeout=1.0)
    except subprocess.TimeoutExpired:
        return "it closed its pipe"
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
