"""A cut list and the films of a tree: which frames of which film each event is, or why it is none.

Points of a source are read as its film counts them. Nothing is guessed: what could be several films is none, and what
the list and the film say differently is said in words.
"""

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import zip_longest

from filmfs.archive.library import Library
from filmfs.core.errors import BadTimecode, FilmFSError
from filmfs.core.ranges import Asked, Counting, FrameRange, place
from filmfs.core.smpte import frames_per_day, nominal, shown_rate
from filmfs.cutlists.matching import Ambiguous, Matched, Missing, NotNeeded, Result, match
from filmfs.cutlists.model import CutList, Event, Span, material
from filmfs.cutlists.names import clip_names
from filmfs.cutlists.rates import rates_that_fit
from filmfs.timecode.films import Film


@dataclass(frozen=True, slots=True)
class Piece:
    """An event: the frames of a film that it is, handles included, or the `reason` why there are none.

    `name` is what its clip is called in the list's folder, `asked` how those frames are asked for.
    """

    event: Event
    path: str | None = None
    by: str = ""
    asked: Asked | None = None
    counting: Counting | None = None
    frames: FrameRange | None = None
    name: str | None = None
    suffix: str = ""
    reason: str | None = None

    @property
    def is_missing(self) -> bool:
        """Whether it should be a clip, and is none."""
        return self.frames is None and self.event.needs_media


@dataclass(frozen=True, slots=True)
class Assembly:
    """All events of a list, in its order. The list has the record's rate, if anybody knows it."""

    cuts: CutList
    pieces: tuple[Piece, ...]


def assemble(cuts: CutList, library: Library, handles: int = 0) -> Assembly:
    """What a list is in a tree. `handles` frames more are taken on both sides, as far as the films have them."""
    results = match(cuts, library.index, library.ask)
    films: dict[str, Film | FilmFSError] = {}
    for result in results:
        if isinstance(result, Matched) and result.path not in films:
            films[result.path] = _opened(library, result.path)
    cuts = _with_rate(cuts, [films[result.path] if isinstance(result, Matched) else None for result in results])
    following = zip_longest(cuts.events, cuts.events[1:])
    pieces = [
        _piece(event, after, result, films, cuts.rate, handles)
        for (event, after), result in zip(following, results, strict=True)
    ]
    names = clip_names(cuts.events, [_file_of(piece) for piece in pieces])
    return Assembly(cuts, tuple(replace(piece, name=name) for piece, name in zip(pieces, names, strict=True)))


def _opened(library: Library, path: str) -> Film | FilmFSError:
    try:
        return library.film(path)
    except FilmFSError as error:
        return error


def _with_rate(cuts: CutList, films: list[Film | FilmFSError | None]) -> CutList:
    """The list at the rate of the record: what it says, or that of most of its films, if its labels exist at it."""
    if cuts.rate is not None:
        return cuts.at(cuts.rate)
    fitting = rates_that_fit(cuts)
    votes: Counter[Fraction] = Counter()
    for event, film in zip(cuts.events, films, strict=True):
        if isinstance(film, Film) and event.picture and film.has_rate:
            votes[film.counting().rate] += 1
    wanted = [rate for rate, _ in votes.most_common() if rate in fitting]
    if wanted:
        return cuts.at(wanted[0])
    return cuts.at(fitting[0]) if len(fitting) == 1 else cuts


def _piece(
    event: Event,
    after: Event | None,
    result: Result,
    films: dict[str, Film | FilmFSError],
    rate: Fraction | None,
    handles: int,
) -> Piece:
    if isinstance(result, NotNeeded):
        return Piece(event, reason=result.reason)
    if isinstance(result, Missing):
        return Piece(event, reason=result.reason)
    if isinstance(result, Ambiguous):
        return Piece(event, reason=f"{result.reason}: {', '.join(result.paths)}")
    film = films[result.path]
    found = Piece(event, result.path, result.by)
    if isinstance(film, FilmFSError):
        return replace(found, reason=str(film))
    try:
        return _placed(found, after, film, rate, handles)
    except FilmFSError as error:
        return replace(found, reason=str(error))


def _placed(found: Piece, after: Event | None, film: Film, rate: Fraction | None, handles: int) -> Piece:
    asked_rate = None if film.has_rate or rate is None else shown_rate(rate)
    counting = film.counting(Asked(0, 0, rate=asked_rate))
    first, end = _frames_of(found.event, after, counting)
    asked = Asked(first, end - 1, None, handles, handles, asked_rate)
    frames = place(asked, counting)
    return replace(found, asked=asked, counting=counting, frames=frames, suffix=film.clip_suffix)


def _frames_of(event: Event, after: Event | None, counting: Counting) -> tuple[int, int]:
    """The numbers of the frames that an event needs of a film, as that counts: [first, end). Raises BadTimecode."""
    source = event.source
    if source.drop and not counting.drop:
        raise BadTimecode("the list says that the time code is drop-frame, and the film's is not")
    if isinstance(source.first, int) and source.rate is not None and nominal(source.rate) != nominal(counting.rate):
        slower, faster = shown_rate(source.rate), shown_rate(counting.rate)
        raise BadTimecode(f"the list counts {slower} frames a second, and the film has {faster}")
    span = Span(source.first, source.end, counting.drop, counting.rate)
    pair = [replace(each, source=span) for each in (event, after) if each is not None]
    first, end = material(CutList("", counting.rate, counting.drop, tuple(pair)), counting.rate)[0]
    if first < counting.start:  # past midnight
        day = frames_per_day(counting.rate, drop=counting.drop)
        if first + day < counting.start + counting.frames:
            first, end = first + day, end + day
    return first, end


def _file_of(piece: Piece) -> str | None:
    """The name of the file that a piece's clip is made of, with the suffix that the clip has."""
    if piece.path is None or piece.frames is None:
        return None
    return piece.path.rpartition("/")[2].rpartition(".")[0] + piece.suffix
