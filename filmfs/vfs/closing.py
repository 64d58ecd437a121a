"""States of a file that are kept though its staging file is still being written: what it was at a close, in a commit.

That is so where programs write a file past us, one closed it, and others still look at it and will see what follows
(`OpenFile.note_close`). Who only appends leaves such states as they are. Before somebody may cut the file or write over
it they are copied.
"""

import os

from filmfs.core.errors import from_os_error
from filmfs.core.extents import Extent, ExtentMap, MapBuilder
from filmfs.core.ids import BlobId, DraftId
from filmfs.versioning.history import History

_PIECE = 1 << 20


class Copying:
    """Copies what some drafts need of a staging file. Made and finished by the owner of the drafts."""

    def __init__(self, history: History, blob: BlobId, drafts: set[DraftId]) -> None:
        self._history = history
        self._from = blob
        self._drafts = drafts
        runs = MapBuilder(ExtentMap())
        for extents in map(history.drafts.map_of, drafts):
            for extent in extents.extents if extents is not None else ():
                if extent.source == blob:
                    runs.write(Extent(extent.source_offset, extent.length, blob, extent.source_offset))
        self._runs = runs.value
        self._to, self._descriptor = history.spares.take(writable=True)
        history.drafts.begin_writing(self._to)

    def run(self) -> None:
        """Copies; may run in any thread. Raises what the disk says."""
        blobs = self._history.contents.blobs
        try:
            for run in self._runs.extents:
                for offset in range(run.offset, run.end, _PIECE):
                    piece = memoryview(blobs.read(self._from, offset, min(_PIECE, run.end - offset)))
                    while piece:
                        done = os.pwrite(self._descriptor, piece, offset)
                        piece, offset = piece[done:], offset + done
        except OSError as error:
            raise from_os_error(error, "keeping what a file was when it was closed") from error

    def finish(self, *, worked: bool) -> None:
        """Has the drafts be made of the copy, from the next flush on."""
        drafts = self._history.drafts
        for number in self._drafts if worked else ():
            drafts.move(number, self._from, self._to)
        os.close(self._descriptor)
        drafts.end_writing(self._to)
