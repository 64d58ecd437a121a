"""Has the proxies of a mounted archive made: puts what came in into the queue, and keeps a process at it.

That process and its workers give way to all others, so that the mount answers as ever; they end with the mount, and the
next one goes on.
"""

import logging
import sys

import trio

from filmfs.archive.queue import ProxyQueue, is_worked_on
from filmfs.core.errors import FilmFSError
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.proxies")

_LOOK_S = 1.0
_AFTER_FAILURE_S = 60.0
_NICE = 10


class ProxyMaker:
    """For one mount that may write."""

    def __init__(self, filesystem: FileSystem, disk: trio.CapacityLimiter) -> None:
        self._fs = filesystem
        self._archive = filesystem.archive
        self._queue = ProxyQueue(self._archive)
        self._disk = disk
        self._newest = -1
        self._woken = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._runs = False
        filesystem.call_for_proxies(self._wake)

    def _wake(self) -> None:
        """Somebody waits for a proxy. In any thread."""
        if self._token is not None:
            self._token.run_sync_soon(lambda: self._woken.set())

    async def run(self) -> None:
        """For as long as the mount lives."""
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(_LOOK_S):
                    await self._woken.wait()
                self._woken = trio.Event()
                try:
                    await self._add_new()
                    if not self._runs and await self._has_work():
                        self._runs = True
                        nursery.start_soon(self._work)
                except FilmFSError as error:
                    log.error("proxies wait: %s", error)

    async def _add_new(self) -> None:
        """What was hashed since the last time goes into the queue, as the archive's settings say."""
        jobs = self._fs.take_new_films()
        if jobs:
            await trio.to_thread.run_sync(self._queue.add, jobs, limiter=self._disk)

    async def _has_work(self) -> bool:
        """Whether something waits; asked of the database only when something was written there."""
        newest = self._archive.database.newest()
        if newest == self._newest:
            return False
        self._newest = newest
        waits = await trio.to_thread.run_sync(self._queue.has_waiting, limiter=self._disk)
        return waits and not await trio.to_thread.run_sync(is_worked_on, self._archive.root, limiter=self._disk)

    async def _work(self) -> None:
        """One process, until nothing waits."""
        workers = self._archive.settings.proxy_processes
        command = ["nice", "-n", str(_NICE), sys.executable, "-P", "-m", "filmfs.archive.proxying", self._archive.root]
        command += [str(workers)] if workers else []
        try:
            done = await trio.run_process(command, capture_stderr=True, check=False, deliver_cancel=_end)
            if done.returncode != 0:
                words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
                log.error("proxies wait, as they cannot be made now: %s", words or done.returncode)
                await trio.sleep(_AFTER_FAILURE_S)
        except OSError as error:  # no process, no memory for one
            log.error("proxies wait: %s", error)
            await trio.sleep(_AFTER_FAILURE_S)
        finally:
            self._runs, self._newest = False, -1


async def _end(process: trio.Process) -> None:
    """Its workers end with it."""
    process.terminate()
    with trio.move_on_after(5.0, shield=True):
        await process.wait()
        return
    process.kill()
