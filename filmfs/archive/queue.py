"""The queue of proxies of an archive: who adds to it, and who works through it.

Jobs are in the database, so they outlive every process. One process at a time works through them (`archive.proxying`).
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from filmfs.archive.opening import Archive
from filmfs.core.errors import Busy
from filmfs.core.models import Unit
from filmfs.store.database import Transaction
from filmfs.store.jobs import OPEN, Job, JobState, add_jobs, all_jobs, drop_ended, find_job, put_job

WORK = "work"
PROGRESS = "progress.json"
_LOCK = "proxies.lock"


@dataclass(frozen=True, slots=True)
class Progress:
    """What the process that works through the queue is at; `fps`: units a second."""

    pid: int
    job: int
    done: int
    total: int
    fps: float
    unit: Unit


class ProxyQueue:
    """The queue of an open archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def add(self, jobs: Iterable[Job]) -> list[int]:
        """Adds jobs, durably; their numbers."""
        now = time.time_ns()
        wanted = [replace(job, added=now) for job in jobs]
        return self._archive.database.transact(lambda transaction: add_jobs(transaction, wanted))

    def jobs(self) -> list[Job]:
        """All that are known."""
        with self._archive.database.read() as transaction:
            return list(all_jobs(transaction))

    def is_open(self, number: int) -> bool:
        """Whether a job waits or runs."""
        with self._archive.database.read() as transaction:
            job = find_job(transaction, number)
        return job is not None and job.state in OPEN

    def has_waiting(self) -> bool:
        """Whether a job waits, or ran when its process went."""
        with self._archive.database.read() as transaction:
            return any(job.state in OPEN for job in all_jobs(transaction))

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

    def clear(self) -> int:
        """Forgets jobs that are over; how many."""
        return self._archive.database.transact(drop_ended)


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
    with suppress(OSError, ValueError, TypeError, KeyError), open(os.path.join(root, WORK, PROGRESS)) as file:
        told = json.load(file)
        return Progress(**{**told, "unit": Unit(told["unit"])})
    return None
