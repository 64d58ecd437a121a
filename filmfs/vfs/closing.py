"""States of a file that are kept though its staging file is still being written: what it was at a close, in a commit.

That is so where programs write a file past us, one closed it, and others still look at it and will see what follows
(`OpenFile.note_close`). Who only appends leaves such states as they are. Before somebody may cut the file or write over
it they are copied.
"""

import os
from collections.abc import Callable
from typing import Protocol

from filmfs.core.errors import Corrupt, from_os_error
from filmfs.core.extents import Extent, ExtentMap, MapBuilder
from filmfs.core.ids import BlobId, DraftId
from filmfs.versioning.history import History

_PIECE = 1 << 20


class Follower(Protocol):
    """An open file that is made of a staging file and does not write to it."""

    @property
    def map(self) -> ExtentMap:
        """What it is made of."""

    def follow(self, source: BlobId, target: BlobId) -> None:
        """What lay in `source` lies at the same places in `target`."""


class Copying:
    """Copies what some drafts and open files need of a staging file. Made and finished by their owner."""

    def __init__(
        self, history: History, blob: BlobId, drafts: set[DraftId], followers: Callable[[], list[Follower]]
    ) -> None:
        """`followers` gives the open files, then and later. Raises what the disk says."""
        self._history = history
        self._from = blob
        self._drafts = drafts
        self._followers = followers
        runs = MapBuilder(ExtentMap())
        maps = [*map(history.drafts.map_of, drafts), *(follower.map for follower in followers())]
        for extent in (extent for extents in maps if extents is not None for extent in self._over(extents)):
            runs.write(Extent(extent.source_offset, extent.length, blob, extent.source_offset))
        self._runs = runs
        self._to, self._descriptor = history.spares.take(writable=True)
        history.drafts.begin_writing(self._to)

    def _over(self, extents: ExtentMap) -> list[Extent]:
        return [extent for extent in extents.extents if extent.source == self._from]

    def run(self) -> None:
        """Copies; may run in any thread. Raises what the disk says."""
        blobs = self._history.contents.blobs
        try:
            for run in self._runs.value.extents:
                for offset in range(run.offset, run.end, _PIECE):
                    piece = memoryview(blobs.read(self._from, offset, min(_PIECE, run.end - offset)))
                    if not piece:
                        raise Corrupt("a file that is being written is shorter than it was")
                    while piece:
                        done = os.pwrite(self._descriptor, piece, offset)
                        piece, offset = piece[done:], offset + done
        except OSError as error:
            raise from_os_error(error, "keeping what a file was when it was closed") from error

    def finish(self, *, worked: bool) -> None:
        """Has the drafts be made of the copy, from the next flush on, and open files from now on."""
        drafts = self._history.drafts
        for number in self._drafts if worked else ():
            drafts.move(number, self._from, self._to)
        for follower in self._followers() if worked else ():
            if all(self._runs.covering(e.source_offset, e.length) for e in self._over(follower.map)):
                follower.follow(self._from, self._to)
        os.close(self._descriptor)
        drafts.end_writing(self._to)
