"""Staging files that are made before they are needed: making one waits for a disk, which a thread may do ahead."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from filmfs.core.errors import FilmFSError
from filmfs.core.ids import BlobId
from filmfs.store.blobs import Blobs


@dataclass(frozen=True, slots=True)
class _Spare:
    blob: BlobId
    reading: int
    writing: int


class Spares:
    """Empty staging files, and descriptors of them. What a crash leaves of them holds nothing, and goes at opening."""

    def __init__(self, blobs: Blobs, new_blob: Callable[[], BlobId]) -> None:
        self._blobs = blobs
        self._new_blob = new_blob
        self._spares: deque[_Spare] = deque()

    def making(self) -> Callable[[], None] | None:
        """What makes one, to be called in any thread; None while there is one."""
        return None if self._spares else self.have_one

    def have_one(self) -> None:
        """Makes one if there is none. If it cannot be made, `take` will tell."""
        if not self._spares:
            with suppress(FilmFSError):
                self._spares.append(self._make())

    def take(self, *, writable: bool) -> tuple[BlobId, int]:
        """A new staging file and a descriptor of it, the caller's to close: for writing, or for reading only.

        Raises what the disk says.
        """
        spare = self._spares.popleft() if self._spares else self._make()
        os.close(spare.reading if writable else spare.writing)
        return spare.blob, spare.writing if writable else spare.reading

    def close(self) -> None:
        """Gives back what was not needed."""
        while self._spares:
            spare = self._spares.popleft()
            os.close(spare.reading)
            os.close(spare.writing)
            self._blobs.discard(spare.blob)

    def _make(self) -> _Spare:
        blob = self._new_blob()
        writing = self._blobs.create(blob)
        try:
            return _Spare(blob, self._blobs.open_staged(blob, writable=False), writing)
        except BaseException:
            os.close(writing)
            raise
