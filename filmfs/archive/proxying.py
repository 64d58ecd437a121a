"""Working through the queue of proxies, one process at a time.

A job that was running when its process went is waiting again for the next one, which goes on from the pieces that are
there. `python -m filmfs.archive.proxying ROOT` works until nothing waits; a mount's daemon starts it, and `filmfs proxy
make` does the same work in its own process.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace

from filmfs.archive.adopting import adopt, adopt_itself
from filmfs.archive.ahead import Ahead
from filmfs.archive.footage import footage_at
from filmfs.archive.opening import Archive, Mode, lock_holder
from filmfs.archive.proxies import Made, Proxies
from filmfs.archive.queue import PROGRESS, WORK, Progress, working
from filmfs.core.errors import (
    BadMedia,
    BadName,
    Busy,
    FilmFSError,
    NoSpace,
    NotADirectory,
    NotFound,
    ReadOnly,
    SourceChanged,
    Stale,
    Unsupported,
    Usage,
)
from filmfs.core.paths import parse_place
from filmfs.proxy.executors import Executor, Local
from filmfs.proxy.making import Work, work_of
from filmfs.proxy.sources import OnDisk, Source, open_content
from filmfs.store.contents import find_map
from filmfs.store.database import Transaction
from filmfs.store.jobs import OPEN, Job, JobState, all_jobs, find_job, next_job, put_job

_TRIES = 3
_AGAIN_S = 1.0
_TELL_S = 0.5
_STOPS = (NoSpace, ReadOnly)  # the archive's own trouble: no job would fare better
_HOPELESS = (BadMedia, SourceChanged, Unsupported)  # tried again it would be the same


class _Cancelled(Exception):
    """Somebody cancelled the job that is running."""


class ProxyWork:
    """The work of an open archive's queue."""

    def __init__(self, archive: Archive, source_of: Callable[[Job], Source] | None = None) -> None:
        """`source_of` tells how workers open a job's original that cannot open the archive: see `source_elsewhere`."""
        self._archive = archive
        self._source_of = source_of
        self._proxies = Proxies(archive)
        self._ahead = Ahead(archive)

    def run(
        self,
        executor: Executor,
        begun: Callable[[Job, Work], None] = lambda job, work: None,
        advance: Callable[[int], None] = lambda frames: None,
    ) -> Iterator[Job]:
        """Works until nothing waits; each job when it is over. `begun` is told of a job's work before it is begun.

        Raises Busy while another process works, and NoSpace or ReadOnly, after which the job waits again.
        """
        with working(self._archive.root), self._ahead:
            self._resume()
            while (job := self._take()) is not None:
                try:
                    ended = self._carry_out(job, executor, begun, advance)
                except (KeyboardInterrupt, SystemExit):  # which costs no try
                    self._end(replace(job, tries=job.tries - 1), JobState.WAITING, job.error)
                    raise
                yield ended

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
        self, job: Job, executor: Executor, begun: Callable[[Job, Work], None], advance: Callable[[int], None]
    ) -> Job:
        try:
            made = self._make(job, executor, begun, advance)
        except _Cancelled:
            self._proxies.drop_pieces(job.content)
            return self._end(job, JobState.CANCELLED)
        except _STOPS as error:
            self._end(replace(job, tries=job.tries - 1), JobState.WAITING, str(error))
            raise
        except FilmFSError as error:
            if not isinstance(error, _HOPELESS) and not _is_last(job) and job.tries < 2 * _TRIES:
                time.sleep(_AGAIN_S * job.tries)  # what passes takes a while
                return self._end(job, JobState.WAITING, str(error))
            self._proxies.drop_pieces(job.content)
            return self._end(job, JobState.FAILED, str(error))
        remarks = (*made.flaws, *made.remarks)
        return self._end(replace(job, damaged=made.damaged, remarks=remarks), JobState.DONE)

    def _make(
        self, job: Job, executor: Executor, begun: Callable[[Job, Work], None], advance: Callable[[int], None]
    ) -> Made:
        book = self._archive.settings.recipes
        wanted = [book[name] for name in job.recipes if name in book]
        source = self._sequence(job)
        if source is None and self._proxies.missing(job.content, wanted):
            self._adopt(job)
        missing = self._proxies.missing(job.content, wanted)
        if not missing or self._proxies.is_proxy(job.content) or self._proxies.is_only_adopted(job.content, job.name):
            return Made({})
        original = self._ahead.take(job) if source is None else None
        original = original or self._proxies.examine(job.content, job.name, source, is_lenient=_is_last(job))
        self._ahead.look()
        work = work_of(original)
        begun(job, work)
        teller = _Teller(self._archive.root, job.number, work)

        def step(count: int) -> None:
            if teller.step(count):
                with self._archive.database.read() as transaction:
                    now = find_job(transaction, job.number)
                if now is None or now.state is not JobState.RUNNING:
                    raise _Cancelled
            advance(count)

        with teller:
            if self._source_of is not None and source is None:
                source = self._source_of(job)
            return self._proxies.make(
                job.content, original, missing, executor, step, source=source, is_lenient=_is_last(job)
            )

    def _sequence(self, job: Job) -> Source | None:
        """The frames of a job that is an image sequence. Raises SourceChanged when it is another by now."""
        with self._archive.database.read() as transaction:
            if find_map(transaction, job.content) is not None:
                return None
        place = parse_place(job.place)
        view = self._archive.history.view_of(place.point)
        for footage in footage_at(view, view.resolve(place.parts), job.place):
            if footage.content == job.content:
                return footage.source(self._archive.root)
        raise SourceChanged(f"{job.place} was changed since its proxies were asked for")

    def _adopt(self, job: Job) -> None:
        """Proxies that others made need not be made."""
        with suppress(NotFound, NotADirectory, BadName, Usage, Stale):  # it is elsewhere by now
            place = parse_place(job.place)
            view = self._archive.history.view_of(place.point)
            adopt_itself(self._archive, view, place.path)
            if not self._proxies.is_proxy(job.content):
                adopt(self._archive, view, place.path, job.content)

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


def _is_last(job: Job) -> bool:
    """Whether it was tried often enough, and failed the last time: that it was cut off is no failure."""
    return job.tries >= _TRIES and bool(job.error)


def source_elsewhere(archive: Archive, job: Job) -> Source:
    """A job's original for workers on other machines: in the archive's mount, else its plain file in the archive.

    They have that at the same path, or are told where. Raises NotFound when there is neither.
    """
    holder = lock_holder(archive.root)
    if holder is not None and holder.mountpoint:
        branch, _, path = job.place.partition(":")
        seen = os.path.join(holder.mountpoint, branch, path)
        with suppress(OSError):
            if os.getxattr(seen, "user.filmfs.content") == job.content.hex().encode():
                return OnDisk(seen)
    place = open_content(archive.contents, job.content)
    if isinstance(place, str):
        return OnDisk(place)
    place.close()
    raise NotFound(f"{job.place} is of several pieces: workers elsewhere can read it where the archive is mounted")


class _Teller:
    """Writes down how far a job is, now and then, for who asks."""

    def __init__(self, root: str, job: int, work: Work) -> None:
        self._path = os.path.join(root, WORK, PROGRESS)
        self._job, self._work, self._done = job, work, 0
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
        """So much more; whether it was time to write that down."""
        self._done += count
        if time.monotonic() - self._told < _TELL_S:
            return False
        self._tell()
        return True

    def _tell(self) -> None:
        self._told = time.monotonic()
        fps = self._done / max(0.001, self._told - self._began)
        told = asdict(Progress(os.getpid(), self._job, self._done, self._work.total, round(fps, 1), self._work.unit))
        with suppress(OSError):
            with open(self._path + ".part", "w") as file:
                json.dump(told, file)
            os.rename(self._path + ".part", self._path)


def _stop(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)  # through all that holds processes


def main(root: str, workers: int | None = None) -> int:
    """Works through the queue of the archive at `root`; 0 when nothing waits any more or another process is at it."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        with Local(workers) as executor:
            executor.start()  # which loads while the archive is opened
            with Archive(root, Mode.INGEST) as archive:
                for _ in ProxyWork(archive).run(executor):
                    pass
    except Busy:
        return 0
    except FilmFSError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))
