"""Films that were opened lately, by what they are made of: a clip of one costs no second look at its tables."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.timecode.films import Film, open_film

_WEIGHT_MAX = 192 << 20
_LEAST = 64 << 10


@dataclass(frozen=True, slots=True)
class Source:
    """A file that something is made of: its bytes, and the name that it has."""

    content: ContentId
    name: str


class Shelf:
    """Safe to use from many threads."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._films: OrderedDict[Source, Film] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def film(self, source: Source, extents: ExtentMap) -> Film:
        """The film that is made of `extents`. Raises BadMedia and what its disk says."""
        with self._lock:
            film = self._films.get(source)
            if film is not None:
                self._films.move_to_end(source)
                return film
        film = open_film(Stored(self._contents, extents), source.name)
        with self._lock:
            if source not in self._films:
                self._films[source] = film
                self._weight += _weight(film)
            while self._weight > _WEIGHT_MAX and len(self._films) > 1:
                _, oldest = self._films.popitem(last=False)
                self._weight -= _weight(oldest)
        return film


def _weight(film: Film) -> int:
    return max(film.weight, _LEAST)
