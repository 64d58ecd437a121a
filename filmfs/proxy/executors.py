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
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from filmfs.core.errors import BadMedia, FilmFSError
from filmfs.proxy.tasks import Result, Task, done_before, tell

_SILENCE_S = 120.0
_TRIES = 2
_LENGTH = struct.Struct("<I")


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
    got: bytearray = field(default_factory=bytearray)


class Local:
    """Processes of this machine, which give way to all others."""

    def __init__(self, workers: int | None = None, *, silence_s: float = _SILENCE_S, nice: int = 10) -> None:
        """`workers` None: as many as this process may use cores. `silence_s`: how long one may tell nothing."""
        self.workers = workers or len(os.sched_getaffinity(0))
        self._silence_s = silence_s
        self._nice = nice

    def run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        """See Executor."""
        pool = _Pool(self.workers, self._silence_s, self._nice, folder)
        try:
            yield from pool.run(tasks, advance)
        finally:
            pool.close()


class _Pool:
    def __init__(self, workers: int, silence_s: float, nice: int, folder: str) -> None:
        self._most, self._silence_s, self._nice, self._folder = workers, silence_s, nice, folder
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def run(self, tasks: Iterable[Task], advance: Callable[[int], None]) -> Iterator[Outcome]:
        waiting: deque[tuple[Task, int, tuple[str, ...]]] = deque((task, _TRIES, ()) for task in tasks)
        tried: dict[int, tuple[int, tuple[str, ...]]] = {}
        while waiting or any(worker.task is not None for worker in self._workers):
            while waiting and (worker := self._idle()) is not None:
                task, tries, remarks = waiting.popleft()
                tried[id(worker)] = tries, remarks
                worker.task, worker.heard = task, time.monotonic()
                _send(worker.process.stdin, task)
            for worker, message in self._messages():
                tries, remarks = tried[id(worker)]
                if isinstance(message, int):
                    advance(message)
                    continue
                ended, worker.task = worker.task, None
                assert ended is not None
                if isinstance(message, str):  # the worker is gone
                    remarks = (*remarks, message)
                    if tries > 1:
                        waiting.appendleft((ended, tries - 1, remarks))
                        continue
                    message = BadMedia(message)
                yield Outcome(ended, message, remarks)

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.task is None:
                return worker
        if len(self._workers) >= self._most:
            return None
        command = [sys.executable, "-P", "-m", "filmfs.proxy.worker", self._folder, str(self._nice)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        worker = _Worker(process, time.monotonic())
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, worker)
        self._workers.append(worker)
        return worker

    def _messages(self) -> Iterator[tuple[_Worker, Any]]:
        for key, _ in self._selector.select(min(1.0, self._silence_s / 4)):
            worker: _Worker = key.data
            data = os.read(key.fd, 1 << 16)
            worker.heard = time.monotonic()
            if not data:
                yield from self._lost(worker, f"a worker died ({_ended(worker.process)})")
                continue
            worker.got += data
            while len(worker.got) >= _LENGTH.size:
                (length,) = _LENGTH.unpack(worker.got[: _LENGTH.size])
                if len(worker.got) < _LENGTH.size + length:
                    break
                message = pickle.loads(worker.got[_LENGTH.size : _LENGTH.size + length])
                del worker.got[: _LENGTH.size + length]
                yield worker, message
        now = time.monotonic()
        for worker in list(self._workers):
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
            process.stdin.close()
        self._workers.remove(worker)

    def close(self) -> None:
        for worker in list(self._workers):
            self._let_go(worker)
        self._selector.close()


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
