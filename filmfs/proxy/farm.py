"""An executor whose workers are on other machines, through Dask.

Dask is optional (`pip install filmfs[farm]`) and is loaded when it is needed. Its scheduler is told of tasks and of
small values only: a worker keeps the files of a result on its own disk until they were fetched from there. docs/farm.md
says how a farm is set up.
"""

import importlib.util
import queue
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from filmfs.core.errors import BadMedia, Corrupt, FilmFSError, NotFound, Stale, Unsupported, Usage, from_os_error
from filmfs.proxy.executors import Local, Outcome
from filmfs.proxy.farmhand import TOPIC, Made, carry_out, versions
from filmfs.proxy.parcels import receive
from filmfs.proxy.sources import OnDisk
from filmfs.proxy.tasks import JoinTask, PictureTask, SoundTask, StillsTask, Task, WaveformTask, done_before, tell

_AHEAD = 2  # tasks for each worker: one is carried out, the next is there already, or the last is being fetched
_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")
_TRIES = 2  # beside those that Dask makes when a worker is lost
_LOOK_S = 1.0
_FETCH_S = 60.0


@dataclass(slots=True)
class _Sent:
    """A task on its way. `frames`: of how many the caller was told; `heard`: when a worker last told something.

    `others`: the workers that it was offered to, if not to all.
    """

    task: PictureTask | SoundTask | WaveformTask
    tries: int = _TRIES
    remarks: tuple[str, ...] = ()
    frames: int = 0
    future: Any = None
    address: str = ""
    heard: float | None = None  # None: no worker has begun
    others: tuple[str, ...] = ()


class _Killed(BadMedia):
    """Workers died that had a task. Maybe it only waited there for one that did harm, so it is tried alone."""


class Farm:
    """Workers that a Dask scheduler knows. They carry out all tasks but JoinTasks and StillsTasks.

    What those put together is in the folder of this machine: a process of this machine carries it out. One run at
    a time. A worker that is lost costs nothing: Dask gives its tasks to others, until too many workers were lost with
    the same one (`distributed.scheduler.allowed-failures`). That one is tried alone at the end, then it has failed.
    """

    def __init__(
        self, address: str, *, moved: Mapping[str, str] | None = None, timeout_s: float = 10.0, silence_s: float = 120.0
    ) -> None:
        """`moved`: which paths of originals begin otherwise at the workers, and how. `silence_s`: see Local.

        Raises Usage for what is no address, NotFound when there is no scheduler at it, or none with workers.
        """
        if _ADDRESS.fullmatch(address) is None:
            raise Usage(f"{address!r} is no address of a Dask scheduler, such as tcp://10.0.0.1:8786")
        if importlib.util.find_spec("distributed") is None:
            raise Unsupported("a farm needs distributed, which is not installed: pip install -e '.[farm]'")
        from distributed import Client

        client: Any = Client  # whose functions have no types
        self._address, self._moved, self._silence_s = address, moved or {}, silence_s
        self._heard: queue.SimpleQueue[tuple[str, str, int | None]] = queue.SimpleQueue()
        self._local = Local()
        try:
            self._client = client(address, timeout=timeout_s, set_as_default=False)
        except (OSError, ValueError) as error:
            raise NotFound(f"no Dask scheduler answers at {address}: {error}") from error
        try:
            self._client.wait_for_workers(1, timeout=timeout_s)
        except TimeoutError as error:
            self.close()
            raise NotFound(f"the Dask scheduler at {address} has no workers; start some") from error
        self._client.subscribe_topic(TOPIC, lambda event: self._heard.put(tuple(event[1])))

    def __enter__(self) -> "Farm":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the farm, which goes on for others."""
        self._client.close()
        self._local.close()

    @property
    def workers(self) -> int:
        """See Executor."""
        return max(1, sum(self._threads().values()))

    def _threads(self) -> dict[str, int]:
        """Of each worker that there is, by its address."""
        try:
            return {str(address): int(threads) for address, threads in self._client.nthreads().items()}
        except OSError as error:
            raise Stale(f"the Dask scheduler at {self._address} answers no more: {error}") from error

    def run(self, tasks: Iterable[Task], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        """See Executor."""
        waiting: deque[_Sent] = deque()
        joins = []
        for task in tasks:
            known = done_before(task, folder)
            if known is not None:
                advance(task.span.count if isinstance(task, PictureTask) else 0)
                yield Outcome(task, known)
            elif isinstance(task, JoinTask | StillsTask):
                joins.append(task)
            else:
                waiting.append(_Sent(task))
        yield from self._run(waiting, folder, advance)
        if joins:
            yield from self._local.run(joins, folder, advance)

    def _run(self, waiting: deque[_Sent], folder: str, advance: Callable[[int], None]) -> Iterator[Outcome]:
        flying: dict[str, _Sent] = {}
        suspects: deque[_Sent] = deque()
        try:
            while waiting or flying or suspects:
                if suspects and not waiting and not flying:
                    waiting.append(suspects.popleft())
                waiting.extend(self._stranded(flying))
                room = self.workers * _AHEAD - len(flying) if waiting else 0
                for _ in range(min(room, len(waiting))):
                    self._send(waiting.popleft(), flying)
                for key, outcome in self._outcomes(flying, folder, advance):
                    sent = flying.pop(key)
                    sent.future.cancel()
                    if isinstance(outcome, Outcome):
                        yield outcome
                    elif sent.tries > 1:
                        again = suspects if isinstance(outcome, _Killed) else waiting
                        again.append(replace(sent, tries=sent.tries - 1, remarks=(*sent.remarks, str(outcome))))
                    else:
                        yield Outcome(sent.task, outcome, (*sent.remarks, str(outcome)))
        finally:
            for sent in flying.values():
                with suppress(Exception):  # the scheduler may be what is gone
                    sent.future.cancel()

    def _send(self, sent: _Sent, flying: dict[str, _Sent]) -> None:
        key = f"{type(sent.task).__name__}-{uuid.uuid4().hex}"
        known = self._threads() if sent.address else ()
        others = sent.others = tuple(each for each in known if each != sent.address)
        sent.heard = None
        sent.future = self._client.submit(
            carry_out,
            key,
            _moved(sent.task, self._moved),
            versions(),
            self._silence_s,
            key=key,
            pure=False,
            retries=_TRIES,
            workers=others or None,  # where it went wrong before it may go wrong again
            allow_other_workers=bool(others),
        )
        flying[key] = sent
        sent.future.add_done_callback(lambda _: self._heard.put((key, "", None)))

    def _stranded(self, flying: dict[str, _Sent]) -> list[_Sent]:
        """Tasks that were offered to workers that are all gone: when these were the last ones, Dask (2026.8) keeps such
        a task for them for ever. They are taken back, to be offered to all."""
        offered = {key: sent for key, sent in flying.items() if sent.others and sent.heard is None}
        there = set(self._threads()) if offered else set()
        stranded = [key for key, sent in offered.items() if there.isdisjoint(sent.others)]
        for key in stranded:
            flying[key].future.cancel()
        return [replace(flying.pop(key), address="", others=()) for key in stranded]

    def _outcomes(
        self, flying: dict[str, _Sent], folder: str, advance: Callable[[int], None]
    ) -> list[tuple[str, Outcome | FilmFSError]]:
        """What can be said now of tasks: an outcome, or an error after which a task can be tried once more."""
        with suppress(queue.Empty):
            key, address, frames = self._heard.get(timeout=_LOOK_S)
            sent = flying.get(key)
            if sent is not None and frames is None:
                return [(key, self._ended(key, sent, folder, advance))]
            if sent is not None and frames is not None:
                sent.heard, sent.address = time.monotonic(), address
                _advance(sent, frames, advance)
        # Whoever iterates may have taken long: what was told in the meantime counts first.
        return self._lost(flying) if self._heard.empty() else []

    def _ended(self, key: str, sent: _Sent, folder: str, advance: Callable[[int], None]) -> Outcome | FilmFSError:
        if sent.future.status == "error":
            return self._failed(sent)
        try:
            made = self._made(sent)
            _advance(sent, made.frames, advance)
            remarks = (*sent.remarks, *(f"{made.address}: {remark}" for remark in made.remarks))
            if isinstance(made.result, FilmFSError):
                return Outcome(sent.task, made.result, remarks)
            for parcel in made.parcels:
                receive(folder, parcel, partial(self._read, made.address, key, parcel.name))
            return Outcome(sent.task, tell(sent.task, folder, made.result), remarks)
        except (Corrupt, Stale) as error:
            return error
        except OSError as error:
            return Outcome(sent.task, from_os_error(error, "writing what a worker made"), sent.remarks)

    def _failed(self, sent: _Sent) -> Outcome | FilmFSError:
        from distributed import KilledWorker

        error = sent.future.exception()
        if isinstance(error, KilledWorker):
            return _Killed("several workers died while they had it")
        if isinstance(error, OSError):
            return Outcome(sent.task, from_os_error(error, "a worker"), sent.remarks)
        return Outcome(sent.task, BadMedia(f"workers failed: {type(error).__name__}: {error}"), sent.remarks)

    def _made(self, sent: _Sent) -> Made:
        with _stale("a result"):
            made: Made = sent.future.result(timeout=_FETCH_S)
        sent.address = made.address
        return made

    def _read(self, address: str, key: str, name: str, offset: int, length: int) -> bytes:
        with _stale(f"files at {address}"):
            read = self._client.rpc(address).filmfs_read
            told = self._client.sync(read, key=key, name=name, offset=offset, length=length, callback_timeout=_FETCH_S)
            return bytes(told["data"])

    def _lost(self, flying: dict[str, _Sent]) -> list[tuple[str, Outcome | FilmFSError]]:
        """Tasks that the scheduler has forgotten, and those whose worker has told nothing for too long.

        A worker itself makes two tries of `silence_s` before it gives up; only one that hangs as a whole takes longer.
        """
        if self._client.status in ("closing", "closed"):
            raise Stale(f"the Dask scheduler at {self._address} answers no more")
        lost: list[tuple[str, Outcome | FilmFSError]] = []
        for key, sent in flying.items():
            if sent.future.status in ("lost", "cancelled"):
                lost.append((key, Stale("the scheduler forgot a task")))
            elif sent.heard is not None and time.monotonic() - sent.heard > 3 * self._silence_s:
                if key in self._client.processing().get(
                    sent.address, ()
                ):  # of a worker that is gone nothing can be asked
                    lost.append((key, BadMedia(f"the worker at {sent.address} told nothing for too long")))
                else:
                    sent.heard = None  # Dask has given it to another, which has not begun
        return lost


@contextmanager
def _stale(what: str) -> Iterator[None]:
    """Dask raises much, and all of it means that the worker is gone, or what it kept."""
    try:
        yield
    except Exception as error:
        raise Stale(f"{what} could not be fetched: {type(error).__name__}: {error}") from error


def _advance(sent: _Sent, frames: int, advance: Callable[[int], None]) -> None:
    """Tells of frames that were not told of before: another try does some of them again."""
    if frames > sent.frames:
        advance(frames - sent.frames)
        sent.frames = frames


def _moved(task: PictureTask | SoundTask | WaveformTask, moved: Mapping[str, str]) -> Task:
    source = getattr(task, "source", None)
    if isinstance(source, OnDisk):
        for here, there in moved.items():
            prefix = here.rstrip("/") + "/"
            if source.path.startswith(prefix):
                path = there.rstrip("/") + "/" + source.path.removeprefix(prefix)
                return replace(task, source=OnDisk(path))
    return task
