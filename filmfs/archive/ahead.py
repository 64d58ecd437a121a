"""The original that is next in the queue is looked at while proxies of the one before are made.

To look at one takes 50 ms to a second, in which no worker of the executor has anything to do.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from filmfs.archive.opening import Archive
from filmfs.archive.proxies import Proxies
from filmfs.core.errors import FilmFSError
from filmfs.proxy.originals import Original
from filmfs.store.contents import find_map
from filmfs.store.jobs import Job, next_job


class Ahead:
    """Looks at one original at a time, within `with`, whose end waits for it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._thread: ThreadPoolExecutor
        self._next: tuple[Job, Future[Original]] | None = None

    def __enter__(self) -> "Ahead":
        self._thread = ThreadPoolExecutor(1, "examine")
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._next = None

    def look(self) -> None:
        """Begins with what is next now."""
        with self._archive.database.read() as transaction:
            job = next_job(transaction)
            is_film = job is not None and find_map(transaction, job.content) is not None
        if job is not None and is_film:
            self._next = job, self._thread.submit(Proxies(self._archive).examine, job.content, job.name)

    def take(self, job: Job) -> Original | None:
        """What was found, if it was this job's; None also where there was an error, which is to be met again."""
        looked, self._next = self._next, None
        if looked is not None and (looked[0].content, looked[0].name) == (job.content, job.name):
            with suppress(FilmFSError):
                return looked[1].result()
        return None
