"""The films of a tree, for who looks for what a cut list means: by name at once, by what they say of themselves when it
is asked.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from filmfs.archive.folders import Sidecars
from filmfs.archive.permissions import reachable
from filmfs.core.errors import BadMedia, BadTimecode, Corrupt, NotHashed, Stale
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ROOT_FILE, ContentId, FileId
from filmfs.core.ranges import Counting
from filmfs.cutlists.candidates import Candidate, Index
from filmfs.cutlists.matching import Facts
from filmfs.timecode.films import Film, is_film_name
from filmfs.timecode.shelf import Shelf, Source
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View


@dataclass(frozen=True, slots=True)
class Kept:
    """A film of a tree: its inode, and what it is made of."""

    file: FileId
    inode: Inode
    source: Source
    maps: Mapping[ContentId, ExtentMap]
    readable: int  # see `permissions.reachable`

    @property
    def map(self) -> ExtentMap:
        """What the film itself is made of."""
        return self.maps[self.source.content]


Trees = Callable[[], AbstractContextManager[View]]
"""Gives a tree as it is, for a moment: a view that is held for long keeps old pages of the database."""


class Library:
    """The films of one tree as it is now. For one thread."""

    def __init__(self, trees: Trees, shelf: Shelf, map_of: Callable[[ContentId], ExtentMap]) -> None:
        """`map_of` tells what a content is made of."""
        self._trees = trees
        self._shelf = shelf
        self._map_of = map_of
        self._lists: dict[FileId, list[Entry]] = {}
        self._kept: dict[str, Kept] = {}

    @cached_property
    def _entries(self) -> dict[str, tuple[tuple[FileId, ...], Entry]]:
        with self._trees() as view:
            return {path: (directories, entry) for path, directories, entry in _walk(view, (ROOT_FILE,), "")}

    @cached_property
    def index(self) -> Index:
        """All of them, by name."""
        return Index(Candidate(path, path.rpartition("/")[2]) for path in self._entries)

    def kept(self, path: str) -> Kept:
        """A film by its path. Raises NotHashed while it is written, BadMedia when it is empty, Corrupt."""
        if path not in self._kept:
            self._kept[path] = self._looked_up(path)
        return self._kept[path]

    def _looked_up(self, path: str) -> Kept:
        directories, entry = self._entries[path]
        with self._trees() as view:
            inode = view.get_inode(entry.file)
            if not isinstance(inode.content, bytes):
                raise NotHashed(f"{path} is {'empty' if inode.content is None else 'being hashed'}, or being written")
            name = path.rpartition("/")[2]
            source = Source(inode.content, name, Sidecars(view, self._lists).of(directories[-1], name))
            readable = reachable(inode, [view.get_inode(each) for each in directories])
        maps = {content: self._map_of(content) for content in source.contents}
        return Kept(entry.file, inode, source, maps, readable)

    def film(self, path: str) -> Film:
        """A film by its path, opened. Raises as `kept`, BadMedia when it is no film."""
        kept = self.kept(path)
        return self._shelf.film(kept.source, kept.maps)

    def ask(self, path: str) -> Facts | None:
        """What a film says of its reel and frames; None when it says nothing, or cannot be read."""
        try:
            film = self.film(path)
            counting = film.counting()
        except (BadMedia, BadTimecode, NotHashed, Corrupt, Stale):
            return None
        return facts_of(film, counting)


def _walk(view: View, directories: tuple[FileId, ...], above: str) -> Iterator[tuple[str, tuple[FileId, ...], Entry]]:
    for entry in view.entries(directories[-1]):
        path = above + entry.name.decode(errors="surrogateescape")
        if entry.kind is Kind.DIRECTORY:
            yield from _walk(view, (*directories, entry.file), path + "/")
        elif entry.kind is Kind.FILE and is_film_name(path):
            yield path, directories, entry


def facts_of(film: Film, counting: Counting) -> Facts:
    """What a film says of its reel and frames. Of one without time code nothing is told of its frames."""
    if film.timecode_from == "none":
        return Facts(film.reel, rate=counting.rate)
    start = counting.start
    return Facts(film.reel, start, start + counting.frames, counting.rate, counting.drop)
