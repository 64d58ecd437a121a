"""Write-back of a mounted archive: every second, at fsync, and the work that follows when there is time.

One flush at a time; those who ask while one runs share the next. A file that the disk lost bytes of keeps nobody else
from being written back (`versioning.lost`): it is told to who asks for that file, or for everything. Sealing hashes
closed files in a thread, one at a time, and commits get their ids when all their contents are sealed.
"""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from filmfs.archive.naming import names_of
from filmfs.core.errors import FilmFSError, NoSpace
from filmfs.core.ids import CommitId, DraftId, LayerId
from filmfs.mount.caches import forget_at_once
from filmfs.store.reserve import Reserve
from filmfs.versioning.lost import NO_LOSS, lost_bytes
from filmfs.vfs.closing import Copying
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.flush")

INTERVAL_S = 1.0
_NAMES_IN_THREAD = 1000  # changes; more would hold the interpreter from the requests for too long
_QUIET_S = 2.0  # a file that was closed is hashed when nothing was changed for so long, or at the latest …
_LATEST_S = 10.0  # … after this


class Flusher:
    """Makes what changed durable. Its methods belong to the event loop's thread."""

    def __init__(self, filesystem: FileSystem, disk: trio.CapacityLimiter) -> None:
        self._fs = filesystem
        self._history = filesystem.history
        self._disk = disk
        self._codec = trio.CapacityLimiter(1)
        self._reserve = Reserve(filesystem.archive.root, filesystem.archive.database.file)
        self._lock = trio.Lock()
        self._asked = 0
        self._done = 0
        self._hurried = False
        self._woken = trio.Event()
        self.is_writing = False  # to the database: parts of it may have to be waited for
        self._sealing = False
        self._sealed_at = 0.0
        self.last_error: str | None = None
        self._lost: dict[DraftId, str] = {}  # files that cannot be made durable

    async def flush(self) -> None:
        """Returns when all that was changed before the call is durable. Raises what the disk says."""
        await self.write_back()
        if self._lost:
            raise lost_bytes(self._lost.values())

    async def write_back(self) -> None:
        """The same, but for files that the disk lost bytes of: of those only what was durable before is."""
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
        self.is_writing = True
        try:
            # Meanwhile: new changes go to new buffers; the cut's own stay visible until they are durable.
            with trio.CancelScope(shield=True):
                loss = await trio.to_thread.run_sync(self._history.write, cut, limiter=self._disk)
            self._history.database.current()  # now, while nothing is being written
        except BaseException as error:
            helped = self._history.failed(cut)
            if isinstance(error, NoSpace):
                helped |= await trio.to_thread.run_sync(self._reserve.give_up, limiter=self._disk)
            if helped:
                return await self._flush_once()
            self.last_error = str(error)
            raise
        finally:
            self.is_writing = False
        self._history.settle(cut, loss)
        self._note_lost()
        if loss is not NO_LOSS:
            with _trying_again("what was durable of a file that is written is not kept apart"):
                for copying in self._fs.copying_exposed():
                    await copy_apart(copying, self._disk)
        if cut.seals or cut.discards or self._history.is_untidy:
            # Meanwhile: who opens such a file looks for it in both places.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._history.tidy, cut, loss, limiter=self._disk)
        return None

    def _note_lost(self) -> None:
        """Says once of each file that it cannot be made durable."""
        before, self._lost = self._lost, self._history.lost_files()
        new = self._lost.keys() - before.keys()
        for draft in new:
            log.error("%s", lost_bytes([self._lost[draft]]))
        if new:
            names, nodes = self._fs.fallen_back(new)
            forget_at_once(names, nodes)
        self.last_error = str(lost_bytes(self._lost.values())) if self._lost else None

    async def run(self) -> None:
        """Flushes, seals and names for as long as the mount lives. A failure is logged and tried again."""
        quiet_since = self._sealed_at = trio.current_time()
        changes, committed = -1, self._fs.changes
        async with trio.open_nursery() as nursery:
            while True:
                await self._rest()
                now = trio.current_time()
                if changes != self._fs.changes:
                    changes, quiet_since = self._fs.changes, now
                quiet = now - quiet_since
                with _trying_again("not durable yet"):
                    await self.write_back()
                    due = self._hurried or quiet >= _QUIET_S or now - self._sealed_at >= _LATEST_S
                    if due and not self._sealing:
                        # A task of its own: hashing may take minutes, and the next flush must not wait for it.
                        self._hurried, self._sealing = False, True
                        nursery.start_soon(self._seal_meanwhile)
                    settings = self._fs.archive.settings
                    if settings.auto_commit_s and committed != changes and quiet >= settings.auto_commit_s:
                        self._commit_all()
                        committed = changes
                        await self.write_back()

    async def _rest(self) -> None:
        with trio.move_on_after(INTERVAL_S):
            await self._woken.wait()
        self._woken = trio.Event()

    async def _seal_meanwhile(self) -> None:
        with _trying_again("not hashed yet"):
            await self.seal()
        self._sealing, self._sealed_at = False, trio.current_time()

    async def seal(self, *, within_s: float = math.inf) -> None:
        """Hashes what may be hashed and names the commits that this completes; begins nothing after `within_s`."""
        sealed = 0
        deadline = trio.current_time() + within_s
        ready = self._history.drafts.sealable()
        try:
            for sealable in ready:
                if trio.current_time() > deadline:
                    break
                try:
                    outcome = await trio.to_thread.run_sync(self._history.seal, sealable, limiter=self._codec)
                except (FilmFSError, OSError, MemoryError) as error:
                    log.error("a closed file cannot be hashed yet: %s", error)
                    continue
                self._fs.sealed(outcome)
                sealed += 1
        finally:
            for sealable in ready:  # those that are sealed are not known any more
                self._history.drafts.unsealed(sealable.id)
        if sealed:
            await self.write_back()
        unnamed = trio.current_time() <= deadline and bool(self._history.unnamed())
        if unnamed and self._history.take_names(await self._names()):
            await self.write_back()

    async def _names(self) -> dict[LayerId, CommitId]:
        """The ids that commits can have now; large ones are worked out by a process of their own."""
        quick, commits = self._history.is_naming_quick, self._history.unnamed()
        if await trio.to_thread.run_sync(quick, commits, _NAMES_IN_THREAD, limiter=self._codec):
            return await trio.to_thread.run_sync(self._history.find_names, limiter=self._codec)
        command = [sys.executable, "-P", "-m", "filmfs.archive.naming", self._fs.archive.root]
        done = await trio.run_process(command, capture_stdout=True, check=False)
        if done.returncode != 0:
            log.error("commits cannot be named yet: the process that does it ended with %d", done.returncode)
            return {}
        return names_of(done.stdout)

    async def keep_reserve(self) -> None:
        """Has room kept back for when the disk is full."""
        await trio.to_thread.run_sync(self._reserve.keep, limiter=self._disk)

    def hurry(self) -> None:
        """Has `run` seal and name at once, or when it has done what it is at."""
        self._hurried = True
        if not self._sealing:
            self._woken.set()

    def _commit_all(self) -> None:
        for branch in self._history.table.alive():
            self._history.commit(branch, "automatic", "filmfs", automatic=True)


async def copy_apart(copying: Copying, disk: trio.CapacityLimiter) -> None:
    """Copies in a thread, and has the drafts be made of the copy. Raises what the disk says."""
    worked = False
    try:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(copying.run, limiter=disk)
        worked = True
    finally:
        copying.finish(worked=worked)


@contextmanager
def _trying_again(what: str) -> Iterator[None]:
    """Logs a failure; the next turn tries again."""
    try:
        yield
    except FilmFSError as error:
        log.error("%s, trying again: %s", what, error)
    except Exception:
        log.exception("%s, trying again", what)
