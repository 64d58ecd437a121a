"""How a worker in another process opens an original: a value that can be sent there."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, Protocol, cast

from filmfs.core.ids import ContentId
from filmfs.store.blobs import Blobs
from filmfs.store.contents import Contents
from filmfs.store.database import Database
from filmfs.store.exporting import Stored
from filmfs.store.reading import StoredFile


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
        return open_content(_contents_at(self.root), self.content)


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
