"""Films that were opened lately, by what they are made of: a clip of one costs no second look at its tables."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from filmfs.core.errors import BadMedia
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.timecode.films import Film, open_film
from filmfs.timecode.origins import Beside

_WEIGHT_MAX = 192 << 20
_LEAST = 64 << 10


@dataclass(frozen=True, slots=True)
class Source:
    """A film that something is made of: its bytes, the name that it has, and files `beside` it that tell of it."""

    content: ContentId
    name: str
    beside: tuple[tuple[str, ContentId], ...] = ()

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """All that it is known by."""
        return (self.content, *(content for _, content in self.beside))

    @property
    def identity(self) -> str:
        """All that it is known by, as text."""
        return " ".join((self.content.hex(), repr(self.name), *(f"{n!r} {c.hex()}" for n, c in self.beside)))


class Shelf:
    """Safe to use from many threads."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._films: OrderedDict[Source, Film] = OrderedDict()
        self._weight = 0
        self._opening: dict[Source, threading.Event] = {}
        self._lock = threading.Lock()

    def film(self, source: Source, maps: Mapping[ContentId, ExtentMap]) -> Film:
        """The film; `maps` tell what its contents are made of. Raises BadMedia and what its disk says."""
        while True:
            with self._lock:
                film = self._films.get(source)
                if film is not None:
                    self._films.move_to_end(source)
                    return film
                opening = self._opening.get(source)
                if opening is None:
                    self._opening[source] = threading.Event()
                    break
            opening.wait()  # a film's tables are in memory once, however many ask for it
        try:
            return self._open(source, maps)
        finally:
            with self._lock:
                self._opening.pop(source).set()

    def _open(self, source: Source, maps: Mapping[ContentId, ExtentMap]) -> Film:
        extents = maps.get(source.content)
        if extents is None:
            raise BadMedia("what the film is made of cannot be read")
        beside = {name: maps[content] for name, content in source.beside if content in maps}
        film = open_film(Stored(self._contents, extents), source.name, beside_of(self._contents, beside))
        with self._lock:
            if source not in self._films:
                self._films[source] = film
                self._weight += _weight(film)
            while self._weight > _WEIGHT_MAX and len(self._films) > 1:
                _, oldest = self._films.popitem(last=False)
                self._weight -= _weight(oldest)
        return film


def beside_of(contents: Contents, files: Mapping[str, ExtentMap]) -> Beside:
    """Kept files by their names, as a film finds its sidecars."""
    return Beside(lambda name: Stored(contents, files[name]) if name in files else None, lambda: files)


def _weight(film: Film) -> int:
    return max(film.weight, _LEAST)
