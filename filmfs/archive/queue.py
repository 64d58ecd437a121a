"""The queue of proxies of an archive: who adds to it, and the one process at a time that works through it.

Jobs are in the database, so they outlive every process. A job that was running when its process went is waiting again
for the next one, which goes on from the pieces that are there. `python -m filmfs.archive.queue ROOT` works until
nothing waits; a mount's daemon starts it, and `filmfs proxy make` does the same work in its own process.
"""

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from filmfs.archive.opening import Archive, Mode
from filmfs.archive.proxies import WORK, Proxies
from filmfs.core.errors import BadMedia, Busy, FilmFSError, NoSpace, ReadOnly, Unsupported
from filmfs.proxy.executors import Executor, Local
from filmfs.proxy.making import frames_of_work
from filmfs.proxy.recipes import RECIPES
from filmfs.store.database import Transaction
from filmfs.store.jobs import OPEN, Job, JobState, add_jobs, all_jobs, find_job, next_job, put_job

_LOCK = "proxies.lock"
_PROGRESS = "progress.json"
_TRIES = 3
_TELL_S = 0.5
_STOPS = (NoSpace, ReadOnly)  # the archive's own trouble: no job would fare better
_HOPELESS = (BadMedia, Unsupported)  # tried again it would be the same


@dataclass(frozen=True, slots=True)
class Progress:
    """What the process that works through the queue is at."""

    pid: int
    job: int
    done: int
    total: int
    fps: float


class _Cancelled(Exception):
    """Somebody cancelled the job that is running."""


class ProxyQueue:
    """The queue of an open archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._proxies = Proxies(archive)

    def add(self, jobs: Iterable[Job]) -> list[int]:
        """Adds jobs, durably; their numbers."""
        now = time.time_ns()
        wanted = [replace(job, added=now) for job in jobs]
        return self._archive.database.transact(lambda transaction: add_jobs(transaction, wanted))

    def jobs(self) -> list[Job]:
        """All that are known."""
        with self._archive.database.read() as transaction:
            return list(all_jobs(transaction))

    def cancel(self, numbers: Iterable[int] | None = None) -> list[Job]:
        """Cancels jobs that are not over, all of them if none are named; those that were."""
        wanted = None if numbers is None else set(numbers)

        def change(transaction: Transaction) -> list[Job]:
            jobs = [job for job in all_jobs(transaction) if job.state in OPEN]
            jobs = [job for job in jobs if wanted is None or job.number in wanted]
            for job in jobs:
                put_job(transaction, replace(job, state=JobState.CANCELLED, ended=time.time_ns()))
            return jobs

        return self._archive.database.transact(change)

    def work(
        self,
        executor: Executor,
        begun: Callable[[Job, int], None] = lambda job, frames: None,
        advance: Callable[[int], None] = lambda frames: None,
    ) -> Iterator[Job]:
        """Works until nothing waits; each job when it is over. `begun` is told of a job's frames before it is begun.

        Raises Busy while another process works, and NoSpace or ReadOnly, after which the job waits again.
        """
        with working(self._archive.root):
            self._resume()
            while (job := self._take()) is not None:
                yield self._carry_out(job, executor, begun, advance)

    def _resume(self) -> None:
        """Jobs of a process that went wait again."""

        def change(transaction: Transaction) -> None:
            for job in [each for each in all_jobs(transaction) if each.state is JobState.RUNNING]:
                put_job(transaction, replace(job, state=JobState.WAITING))

        self._archive.database.transact(change)

    def _take(self) -> Job | None:
        def change(transaction: Transaction) -> Job | None:
            job = next_job(transaction)
            if job is not None:
                job = replace(job, state=JobState.RUNNING, tries=job.tries + 1)
                put_job(transaction, job)
            return job

        return self._archive.database.transact(change)

    def _carry_out(
        self, job: Job, executor: Executor, begun: Callable[[Job, int], None], advance: Callable[[int], None]
    ) -> Job:
        try:
            damaged = self._make(job, executor, begun, advance)
        except _Cancelled:
            return self._end(job, JobState.CANCELLED)
        except _STOPS as error:
            self._end(replace(job, tries=job.tries - 1), JobState.WAITING, str(error))
            raise
        except FilmFSError as error:
            is_over = isinstance(error, _HOPELESS) or job.tries >= _TRIES
            return self._end(job, JobState.FAILED if is_over else JobState.WAITING, str(error))
        return self._end(replace(job, damaged=damaged), JobState.DONE)

    def _make(
        self, job: Job, executor: Executor, begun: Callable[[Job, int], None], advance: Callable[[int], None]
    ) -> int:
        wanted = [recipe for recipe in RECIPES.values() if recipe.name in job.recipes]
        missing = self._proxies.missing(job.content, wanted)
        if not missing or self._proxies.is_proxy(job.content):
            return 0
        original = self._proxies.examine(job.content, job.name)
        frames = frames_of_work(original)
        begun(job, frames)
        teller = _Teller(self._archive.root, job.number, frames)

        def step(count: int) -> None:
            if teller.step(count):
                with self._archive.database.read() as transaction:
                    now = find_job(transaction, job.number)
                if now is None or now.state is not JobState.RUNNING:
                    raise _Cancelled
            advance(count)

        with teller:
            return len(self._proxies.make(job.content, original, missing, executor, step).damaged)

    def _end(self, job: Job, state: JobState, error: str = "") -> Job:
        ended = replace(job, state=state, error=error, ended=0 if state in OPEN else time.time_ns())

        def change(transaction: Transaction) -> Job:
            now = find_job(transaction, job.number)
            if now is not None and now.state is JobState.CANCELLED:
                return now
            if now is not None:  # more may have been asked for meanwhile
                more = replace(ended, recipes=now.recipes, priority=now.priority)
                put_job(transaction, more)
                return more
            return ended

        return self._archive.database.transact(change)


@contextmanager
def working(root: str) -> Iterator[None]:
    """While this lasts, no other process works through the queue. Raises Busy when one does."""
    with open(os.path.join(root, _LOCK), "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy("another process makes the archive's proxies") from None
        yield


def is_worked_on(root: str) -> bool:
    """Whether a process works through the queue."""
    try:
        with working(root):
            return False
    except Busy:
        return True
    except OSError:
        return False


def progress_of(root: str) -> Progress | None:
    """What that process is at; None when there is none, or it has not begun."""
    if not is_worked_on(root):
        return None
    with suppress(OSError, ValueError, TypeError), open(os.path.join(root, WORK, _PROGRESS)) as file:
        return Progress(**json.load(file))
    return None


class _Teller:
    """Writes down how far a job is, now and then, for who asks."""

    def __init__(self, root: str, job: int, total: int) -> None:
        self._path = os.path.join(root, WORK, _PROGRESS)
        self._job, self._total, self._done = job, total, 0
        self._began = self._told = time.monotonic()

    def __enter__(self) -> "_Teller":
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        self._tell()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.unlink(self._path)

    def step(self, count: int) -> bool:
        """So many frames more; whether it was time to write that down."""
        self._done += count
        if time.monotonic() - self._told < _TELL_S:
            return False
        self._tell()
        return True

    def _tell(self) -> None:
        self._told = time.monotonic()
        fps = self._done / max(0.001, self._told - self._began)
        facts = {"pid": os.getpid(), "job": self._job, "done": self._done, "total": self._total, "fps": round(fps, 1)}
        with suppress(OSError):
            with open(self._path + ".part", "w") as file:
                json.dump(facts, file)
            os.rename(self._path + ".part", self._path)


def main(root: str, workers: int | None = None) -> int:
    """Works through the queue of the archive at `root`; 0 when nothing waits any more or another process is at it."""
    try:
        with Archive(root, Mode.INGEST) as archive, Local(workers) as executor:
            for _ in ProxyQueue(archive).work(executor):
                pass
    except Busy:
        return 0
    except FilmFSError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
