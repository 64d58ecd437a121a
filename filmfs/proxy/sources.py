"""How a worker in another process opens an original: a value that can be sent there."""

import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import BinaryIO, Protocol, cast

from filmfs.core.ids import ContentId
from filmfs.core.sequences import ImageSequence
from filmfs.store.blobs import Blobs
from filmfs.store.contents import Contents
from filmfs.store.database import Database
from filmfs.store.exporting import Stored
from filmfs.store.reading import StoredFile

_BEFORE = 8  # files before a part of a sequence that are there to be shown instead of its first


class Source(Protocol):
    """An original, wherever it is. A plain value."""

    def open(self) -> str | BinaryIO:
        """What PyAV can open; a file is the caller's to close."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file, or an address that FFmpeg reads (http://…)."""

    path: str

    def open(self) -> str:
        """See Source."""
        return self.path


@dataclass(frozen=True, slots=True)
class InArchive:
    """A content of the archive at `root`, which the worker opens for itself."""

    root: str
    content: ContentId

    def open(self) -> str | BinaryIO:
        """See Source. Raises Corrupt."""
        return open_content(_shared.get(self.root) or _contents_at(self.root), self.content)


_shared: dict[str, Contents] = {}  # of archives that this process has open: the database can be opened once


def share(root: str, contents: Contents) -> None:
    """Has this process open what it has of an archive through what is open already."""
    _shared[root] = contents


def open_content(contents: Contents, content: ContentId) -> str | BinaryIO:
    """A content as what PyAV can open: the plain file, where it is one, as FFmpeg reads that by itself."""
    extents = contents.map_of(content)
    path = contents.blobs.sealed_path(content)
    if len(extents.extents) == 1 and os.path.isfile(path) and os.path.getsize(path) == extents.size:
        return path
    return cast(BinaryIO, StoredFile(Stored(contents, extents)))


@lru_cache(maxsize=1)
def _contents_at(root: str) -> Contents:
    database = Database(os.path.join(root, "meta.lmdb"), readonly=True)
    return Contents(database, Blobs(root, database, readonly=True))


@dataclass(frozen=True, slots=True)
class FrameFiles:
    """An image sequence: the number of each frame and its file, in order; `first` is the number of the first picture.

    Numbers may be missing. `rate` None: what the header of the first frame says, else 24.
    """

    first: int
    frames: tuple[tuple[int, Source], ...]
    rate: Fraction | None = None

    def open(self) -> str | BinaryIO:
        """The first frame's file."""
        return self.frames[0][1].open()

    def part(self, first: int, end: int) -> "FrameFiles":
        """What it takes to show the pictures [first, end), which keep their places."""
        low = bisect_left(self.frames, self.first + first, key=lambda frame: frame[0])
        high = bisect_left(self.frames, self.first + end, key=lambda frame: frame[0])
        return replace(self, frames=self.frames[max(0, low - _BEFORE) : high])


def frame_files(sequence: ImageSequence, source: Callable[[str], Source], rate: Fraction | None = None) -> FrameFiles:
    """All of a sequence, where `source` is that of a file by its name."""
    frames = tuple((number, source(sequence.names[number])) for number in sequence.numbers)
    return FrameFiles(sequence.numbers[0], frames, rate)


def part_of(source: Source, first: int, end: int) -> Source:
    """What of an original a task needs that shows the pictures [first, end)."""
    return source.part(first, end) if isinstance(source, FrameFiles) else source
