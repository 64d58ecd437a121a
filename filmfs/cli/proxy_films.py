"""Which films `proxy` commands are about, and what is to be made of them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filmfs.archive import Archive
from filmfs.archive.opening import lock_holder
from filmfs.cli.common import Output
from filmfs.cli.files import resolve
from filmfs.control import refresh
from filmfs.core.errors import FilmFSError
from filmfs.core.paths import parse_place
from filmfs.core.words import counted
from filmfs.proxy.book import Book

if TYPE_CHECKING:  # all of FFmpeg's libraries are behind these, and most commands need none
    from filmfs.archive.footage import Footage, Unusable
    from filmfs.archive.proxies import Proxies

_HASHED_S, _LOOK_S = 60.0, 0.5


@dataclass
class Films:
    """What is at the places that somebody named: originals, and what cannot be one, with why."""

    usable: "list[Footage]" = field(default_factory=list)
    unusable: "list[Unusable]" = field(default_factory=list)


@dataclass
class Plan:
    """What is to be made of a film, and which files stand for some of it."""

    film: "Footage"
    make: tuple[str, ...]
    adopt: dict[str, str] = field(default_factory=dict)  # size → where it lies


def find_films(opened: Archive, places: Sequence[str], output: Output, *, waits: bool = True) -> Films:
    """All films at places. `waits`: for what was written to a mount a moment ago, until it is hashed, a minute at most.

    Raises what is wrong with the place, if there is one; of several it is told as unusable.
    """
    until = time.monotonic() + _HASHED_S
    is_told = False
    while True:
        films = Films()
        for place in places:
            _look(films, opened, place, is_alone=len(places) == 1)
        waiting = sum(each.is_waiting for each in films.unusable)
        if not (waits and waiting and lock_holder(opened.root)) or time.monotonic() > until:
            return films
        if not is_told:
            output.remark(f"{counted(waiting, 'file')} being hashed, which is waited for")
            is_told = True
        time.sleep(_LOOK_S)
        refresh(opened.root)
        opened.history.catch_up(opened.history.read_table())


def films_at(opened: Archive, text: str) -> "Iterator[Footage | Unusable]":
    """What is at a place, told by its full name. Raises NotFound and its kind."""
    from filmfs.archive.footage import survey

    place = parse_place(text)
    view, file = resolve(opened, place)
    names = b"/".join(place.parts).decode(errors="surrogateescape")
    yield from survey(view, file, f"{place.point}:{names}")


def _look(films: Films, opened: Archive, place: str, *, is_alone: bool) -> None:
    from filmfs.archive.footage import Footage, Unusable

    try:
        for each in films_at(opened, place):
            if isinstance(each, Footage):
                films.usable.append(each)
            elif each not in films.unusable:
                films.unusable.append(each)
    except FilmFSError as error:
        if is_alone:
            raise
        films.unusable.append(Unusable(place, str(error).removeprefix(f"{place}: ")))  # told after its name


def plan(proxies: "Proxies", films: "Sequence[Footage]", recipes: Book, *, again: bool) -> list[Plan]:
    """What is missing of each content, under the first of its names."""
    once: dict[bytes, Footage] = {}
    for film in films:
        once.setdefault(film.content, film)
    plans = [Plan(film, _missing(proxies, film, recipes, again=again)) for film in once.values()]
    return [each for each in plans if each.make]


def _missing(proxies: "Proxies", film: "Footage", recipes: Book, *, again: bool) -> tuple[str, ...]:
    """The names of what is to be made of a film; nothing of a proxy itself, or in an adopted one's place."""
    if proxies.is_proxy(film.content) or proxies.is_only_adopted(film.content, film.name):
        return ()
    there = {name: proxies.find(film.content, recipe) for name, recipe in recipes.items()}
    return tuple(name for name, made in there.items() if made is None or (again and "adopted" not in made.facts))


def with_adoptions(opened: Archive, plans: Sequence[Plan], recipes: Book, *, again: bool) -> list[Plan]:
    """The same as it will be when proxies that others made were adopted, which comes first.

    `again`: what was made here is forgotten before that.
    """
    from filmfs.archive.adopting import adopt

    found: list[Plan] = []
    taken: set[str] = set()
    for each in plans:
        stand: dict[str, str] = {}
        if not each.film.frames:
            place = parse_place(each.film.place)
            view = opened.history.view_of(place.point)
            for candidate in adopt(opened, view, place.path, each.film.content, keeps=False, replaces=again):
                if candidate.resolution is not None:
                    stand[candidate.resolution] = f"{place.point}:{candidate.place}"
        taken |= set(stand.values())
        rest = tuple(name for name in each.make if recipes[name].name not in stand)
        found.append(Plan(each.film, rest, stand))
    return [each for each in found if each.film.place not in taken and (each.make or each.adopt)]
