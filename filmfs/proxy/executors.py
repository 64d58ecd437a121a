"""Who carries out tasks: processes of this machine, or others.

A task that raises a FilmFSError is done: that is its outcome. A worker that dies, or tells nothing for a while, is
killed, and its task is given to another once more; then its outcome is an error too.
"""

import os
import pickle
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from filmfs.core.errors import BadMedia, FilmFSError, from_os_error
from filmfs.proxy.tasks import Result, SoundTask, Task, done_before, tell

_SILENCE_S = 120.0
_LOADING_S, _ENDING_S = 120.0, 10.0
_TRIES = 2
_STARTING = "starting a process that makes proxies"
_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<i")
# glibc would give the memory of pictures back at once and take it anew for each. What is larger is taken once, and the
# zeros that an encoder asks for (64 MiB for DNxHR of 1920 × 1080, of which it uses little) are then no work.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(48 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 31)}


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
    except OSError as error:
        return from_os_error(error, "making proxies")


class _Stem:
    """A process that has loaded all that workers need, of which each of them is a copy: loading takes a while."""

    def __init__(self, nice: int) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_LOADING_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "filmfs.proxy.worker", str(nice)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env={**_KEEP_MEMORY, **os.environ},
            )

    def grow(self) -> tuple[int, socket.socket]:
        """A worker: its pid, and where it takes tasks and answers. Raises OSError when there is none."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._socket, [_NUMBER.pack(0)], [theirs.fileno()])
        try:
            return self._answer(), ours
        except OSError:
            ours.close()
            raise

    def bury(self, pid: int) -> int:
        """The exit code of a worker that ends, or the signal, negative, that ended it. Raises OSError: it does not."""
        self._socket.settimeout(_ENDING_S)
        self._socket.sendall(_NUMBER.pack(pid))
        return self._answer()

    def _answer(self) -> int:
        data = self._socket.recv(_NUMBER.size, socket.MSG_WAITALL)
        if len(data) < _NUMBER.size:
            raise BrokenPipeError("the process that workers come from is gone")
        (number,) = _NUMBER.unpack(data)
        return int(number)

    def close(self) -> None:
        """Ends it; its workers end when they are let go of."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


@dataclass(slots=True)
class _Worker:
    pid: int
    handle: int  # a pidfd: the number may be another process's one day
    socket: socket.socket
    stem: _Stem
    heard: float
    task: Task | None = None
    tries: int = 0
    remarks: tuple[str, ...] = ()
    got: bytearray = field(default_factory=bytearray)


class Local:
    """Processes of this machine, which give way to all others. They stay between runs; `close` ends them.

    Where all cores are to work there is one more for sound: it would keep one waiting for the others at the end.
    """

    def __init__(self, workers: int | None = None, *, silence_s: float = _SILENCE_S, nice: int = 10) -> None:
        """`workers` None: as many as this process may use cores. `silence_s`: how long one may tell nothing."""
        self.workers = workers or len(os.sched_getaffinity(0))
        self._besides = 1 if self.workers >= len(os.sched_getaffinity(0)) > 1 else 0
        self._silence_s = silence_s
        self._nice = nice
        self._stem: _Stem | None = None
        self._pool: list[_Worker] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Has the workers made ready."""
        try:
            self._stem = self._stem or _Stem(self._nice)
        except OSError as error:
            raise from_os_error(error, _STARTING) from None

    def close(self) -> None:
        """Ends all workers."""
        for worker in list(self._pool):
            self._let_go(worker)
        self._drop_stem()

    def _drop_stem(self) -> None:
        if self._stem is not None:
            self._stem.close()
            self._stem = None

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
            while waiting and (worker := self._idle(waiting[0][0])) is not None:
                worker.task, worker.tries, worker.remarks = waiting.popleft()
                worker.heard = time.monotonic()
                _send(worker.socket, (worker.task, folder))
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

    def _idle(self, task: Task) -> _Worker | None:
        besides = self._besides if any(isinstance(each, SoundTask) for each in (task, *self._tasks())) else 0
        if sum(1 for _ in self._tasks()) >= self.workers + besides:
            return None
        return next((worker for worker in self._pool if worker.task is None), None) or self._hire()

    def _tasks(self) -> Iterator[Task]:
        return (worker.task for worker in self._pool if worker.task is not None)

    def _hire(self) -> _Worker:
        try:
            self._stem = self._stem or _Stem(self._nice)
            pid, connection = self._stem.grow()
        except OSError:  # something ended it; another one may do
            self._drop_stem()
            try:
                self._stem = _Stem(self._nice)
                pid, connection = self._stem.grow()
            except OSError as error:
                self._drop_stem()
                raise from_os_error(error, _STARTING) from None
        worker = _Worker(pid, os.pidfd_open(pid), connection, self._stem, time.monotonic())
        self._selector.register(connection, selectors.EVENT_READ, worker)
        self._pool.append(worker)
        return worker

    def _messages(self) -> Iterator[tuple[_Worker, Any]]:
        """What workers say: frames that they did, a result or an error; text when one is gone that had a task."""
        for key, _ in self._selector.select(min(1.0, self._silence_s / 4)):
            worker: _Worker = key.data
            try:
                data = worker.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            worker.heard = time.monotonic()
            if not data:
                yield from self._lost(worker, "a worker died ({})")
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
        ended = self._let_go(worker)
        if worker.task is not None:
            yield worker, why.format(ended)

    def _let_go(self, worker: _Worker) -> str:
        """Ends a worker, if it did not end by itself; how it ended."""
        self._selector.unregister(worker.socket)
        worker.socket.close()
        self._pool.remove(worker)
        with suppress(OSError):
            signal.pidfd_send_signal(worker.handle, signal.SIGKILL)
        os.close(worker.handle)
        if worker.stem is not self._stem:
            return "with what it came from"
        try:
            code = self._stem.bury(worker.pid)
        except OSError:  # it waits for a disk, or what it came from is gone too
            self._drop_stem()
            return "it does not end"
        return signal.Signals(-code).name if code < 0 else f"exit {code}"


def _send(connection: socket.socket, message: object) -> None:
    data = pickle.dumps(message)
    with suppress(ConnectionError):  # it died, which is heard of when something is read
        connection.sendall(_LENGTH.pack(len(data)) + data)
