"""Proxies that are to be made, kept until they are: a queue that any process adds to and one works through.

`jobs`   number (8 bytes, in the order in which they were added) → [content, name, place, [recipe, …], priority, state,
         tries, error, added, ended, damaged, [remark, …]]
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from filmfs.core.errors import Corrupt
from filmfs.core.ids import ContentId
from filmfs.store.database import Transaction, reserve

JOBS = b"jobs"
_ENDED_KEPT = 500
_REMARKS_MAX, _REMARK_LENGTH = 20, 300


class JobState(StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN = (JobState.WAITING, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Job:
    """Proxies of a content: `name` tells what kind of file it is, `place` where somebody saw it.

    The job with the greatest priority is next, of several the oldest. Times are nanoseconds since 1970; 0 is not yet.
    `damaged` counts frames; `remarks` are what whoever asked should know of how it went.
    """

    content: ContentId
    name: str
    place: str
    recipes: tuple[str, ...]
    priority: int = 0
    state: JobState = JobState.WAITING
    tries: int = 0
    error: str = ""
    added: int = 0
    ended: int = 0
    damaged: int = 0
    remarks: tuple[str, ...] = ()
    number: int = 0


def add_jobs(transaction: Transaction, jobs: Iterable[Job]) -> list[int]:
    """Adds jobs; their numbers. One that waits for the same content already takes over what is asked for more."""
    waiting = {job.content: job for job in all_jobs(transaction) if job.state is JobState.WAITING}
    numbers = []
    for job in jobs:
        known = waiting.get(job.content)
        if known is None:
            known = replace(job, number=reserve(transaction, "job", 1))
        else:
            recipes = tuple(dict.fromkeys((*known.recipes, *job.recipes)))
            known = replace(known, recipes=recipes, priority=max(known.priority, job.priority))
        put_job(transaction, known)
        waiting[job.content] = known
        numbers.append(known.number)
    return numbers


def next_job(transaction: Transaction) -> Job | None:
    """The one that is next."""
    waiting = (job for job in all_jobs(transaction) if job.state is JobState.WAITING)
    return max(waiting, key=lambda job: (job.priority, -job.number), default=None)


def all_jobs(transaction: Transaction) -> Iterator[Job]:
    """All that are known, in the order in which they were added. Raises Corrupt."""
    for key, raw in transaction.scan(JOBS):
        yield _job(key, transaction.value(JOBS, key, raw))


def find_job(transaction: Transaction, number: int) -> Job | None:
    """The job with a number."""
    key = _key(number)
    value = transaction.get(JOBS, key)
    return None if value is None else _job(key, value)


def put_job(transaction: Transaction, job: Job) -> None:
    """Records a job as it is now; of those that ended the newest are kept."""
    value = [job.content, job.name, job.place, list(job.recipes), job.priority, str(job.state), job.tries, job.error]
    remarks = [remark[:_REMARK_LENGTH] for remark in job.remarks[:_REMARKS_MAX]]
    transaction.put(JOBS, _key(job.number), [*value, job.added, job.ended, job.damaged, remarks])
    if job.state not in OPEN and transaction.count(JOBS) > _ENDED_KEPT:
        drop_ended(transaction, _ENDED_KEPT)


def drop_ended(transaction: Transaction, kept: int = 0) -> int:
    """Forgets jobs that are over but for the newest; how many."""
    ended = sorted((each.ended, each.number) for each in all_jobs(transaction) if each.state not in OPEN)
    old = ended[: len(ended) - kept] if kept < len(ended) else []
    for _, number in old:
        transaction.delete(JOBS, _key(number))
    return len(old)


def _key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _job(key: bytes, value: Any) -> Job:
    try:
        content, name, place, recipes, priority, state, *rest = value
        tries, error, added, ended, damaged, *more = rest
        number = int.from_bytes(key, "big")
        known = JobState(state)
        remarks = tuple(map(str, more[0])) if more else ()  # records of filmfs before there were any have none
    except (TypeError, ValueError) as problem:
        raise Corrupt(f"a record of the queue of proxies cannot be understood ({problem})") from problem
    told = tries, error, added, ended, damaged, remarks
    return Job(ContentId(content), name, place, tuple(recipes), priority, known, *told, number)
