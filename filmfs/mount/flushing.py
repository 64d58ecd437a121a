"""Write-back of a mounted archive: every second, at fsync, and the work that follows when there is time.

One flush at a time; those who ask while one runs share the next. Sealing hashes closed files in a thread, one at a
time, and commits get their ids when all their contents are sealed.
"""

import logging
import math

import trio

from filmfs.core.errors import FilmFSError
from filmfs.core.ids import CommitId, LayerId
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.flush")

INTERVAL_S = 1.0
_QUIET_S = 2.0  # a file that was closed is hashed when nothing was changed for so long, or at the latest …
_LATEST_S = 10.0  # … after this


class Flusher:
    """Makes what changed durable. Its methods belong to the event loop's thread."""

    def __init__(self, filesystem: FileSystem, disk: trio.CapacityLimiter) -> None:
        self._fs = filesystem
        self._history = filesystem.history
        self._disk = disk
        self._codec = trio.CapacityLimiter(1)
        self._lock = trio.Lock()
        self._asked = 0
        self._done = 0
        self.last_error: str | None = None

    async def flush(self) -> None:
        """Returns when all that was changed before the call is durable. Raises what the disk says."""
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._done >= mine:
                return
            taken = self._asked
            await self._flush_once()
            self._done = taken

    def hold(self) -> trio.Lock:
        """While this lock is held nothing is flushed: what happens meanwhile becomes durable together."""
        return self._lock

    async def _flush_once(self) -> None:
        cut = self._fs.cut()
        try:
            # Meanwhile: new changes go to new buffers; the cut's own stay visible until they are durable.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._history.write, cut, limiter=self._disk)
        except BaseException as error:
            self._history.buffers.put_back(cut)
            self.last_error = str(error)
            raise
        self._history.settle(cut)
        self.last_error = None

    async def run(self) -> None:
        """Flushes, seals and names for as long as the mount lives. A failure is logged and tried again."""
        quiet_since = waiting_since = trio.current_time()
        changes, committed = -1, self._fs.changes
        while True:
            await trio.sleep(INTERVAL_S)
            now = trio.current_time()
            if changes != self._fs.changes:
                changes, quiet_since = self._fs.changes, now
            try:
                await self.flush()
                if now - quiet_since >= _QUIET_S or now - waiting_since >= _LATEST_S:
                    await self.seal()
                    waiting_since = trio.current_time()
                settings = self._fs.archive.settings
                quiet = now - quiet_since
                if settings.auto_commit_s and committed != changes and quiet >= settings.auto_commit_s:
                    self._commit_all()
                    committed = changes
                    await self.flush()
            except FilmFSError as error:
                log.error("not durable yet, trying again: %s", error)
            except Exception:
                log.exception("write-back failed, trying again")

    async def seal(self, *, within_s: float = math.inf) -> None:
        """Hashes what may be hashed and names the commits that this completes; begins nothing after `within_s`."""
        sealed = 0
        deadline = trio.current_time() + within_s
        for sealable in self._history.drafts.sealable():
            if trio.current_time() > deadline:
                self._history.drafts.unsealed(sealable.id)
                continue
            try:
                outcome = await trio.to_thread.run_sync(self._history.seal, sealable, limiter=self._codec)
            except FilmFSError as error:
                log.error("a closed file cannot be hashed yet: %s", error)
                self._history.drafts.unsealed(sealable.id)
                continue
            except BaseException:
                self._history.drafts.unsealed(sealable.id)
                raise
            self._fs.sealed(outcome)
            sealed += 1
        if sealed:
            await self.flush()
        if trio.current_time() <= deadline and next(self._history.unnamed(), None) is not None:
            names = await trio.to_thread.run_sync(self._compute_names, limiter=self._codec)
            if self._history.take_names(names):
                await self.flush()

    def _compute_names(self) -> dict[LayerId, CommitId]:
        with self._history.database.snapshot() as snapshot:
            return self._history.compute_names(snapshot)

    def _commit_all(self) -> None:
        for branch in self._history.table.alive():
            self._history.commit(branch, "automatic", "filmfs", automatic=True)
