"""A read-only mount follows what another process writes: a mount, or commands.

It takes no lock and writes nothing into the archive. What it shows is what is durable: the writer's last flush.
"""

import logging

import trio

from filmfs.core.errors import FilmFSError
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.follow")

INTERVAL_S = 0.25


async def follow(filesystem: FileSystem) -> None:
    """Shows what becomes durable, for as long as the mount lives."""
    history = filesystem.history
    seen = -1
    while True:
        try:
            newest = history.database.newest()
            if newest != seen:
                # First, and here: the thread that owns the trees opens a database anew that the writer made larger.
                history.database.refresh()
                # Meanwhile what old layers hold is shown: rows of layers that the table does not know are not seen.
                filesystem.catch_up(await trio.to_thread.run_sync(history.read_table))
                seen = newest
        except (FilmFSError, RuntimeError) as error:
            log.error("what was written meanwhile cannot be shown yet: %s", error)
        await trio.sleep(INTERVAL_S)
