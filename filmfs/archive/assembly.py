"""A cut list and the films of a tree: which frames of which film each event is, or why it is none.

Points of a source are read as its film counts them. Nothing is guessed: what could be several films is none, and what
the list and the film say differently is said in words.
"""

from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction

from filmfs.archive.library import Library
from filmfs.core.errors import BadTimecode, FilmFSError
from filmfs.core.ranges import Asked, Counting, FrameRange, place
from filmfs.core.smpte import Label, frames_per_day, nominal, shown_rate
from filmfs.cutlists.matching import Ambiguous, Matched, Result, match
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
    error: FilmFSError | None = None  # of opening the film
    candidates: tuple[str, ...] = ()  # films that it could be, where they are several

    def refused(self, error: FilmFSError) -> "Piece":
        """The same where its frames cannot be a clip after all."""
        return replace(self, frames=None, name=None, reason=f"{self.path}: {error}", error=error)


@dataclass(frozen=True, slots=True)
class Assembly:
    """All events of a list, in its order. The list has the record's rate, if anybody knows it."""

    cuts: CutList
    pieces: tuple[Piece, ...]


def assemble(cuts: CutList, library: Library, handles: int = 0) -> Assembly:
    """What a list is in a tree. `handles` frames more are taken on both sides, as far as the films have them."""
    results = match(cuts, library.index, library.ask)
    films = {path: _opened(library, path) for path in {one.path for one in results if isinstance(one, Matched)}}
    cuts = _with_rate(cuts, [films[one.path] if isinstance(one, Matched) else None for one in results])
    found = [_found(event, result, films, cuts.rate) for event, result in zip(cuts.events, results, strict=True)]
    needed = material(cuts, [piece.counting for piece in found])
    pieces = [_placed(piece, span, handles) for piece, span in zip(found, needed, strict=True)]
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


def _found(event: Event, result: Result, films: dict[str, Film | FilmFSError], rate: Fraction | None) -> Piece:
    """An event with its film, and how that counts."""
    if isinstance(result, Ambiguous):
        return Piece(event, reason=f"{result.reason}: {', '.join(result.paths)}", candidates=result.paths)
    if not isinstance(result, Matched):
        return Piece(event, reason=result.reason)
    film, piece = films[result.path], Piece(event, result.path, result.by)
    if isinstance(film, FilmFSError):
        return replace(piece, reason=str(film), error=film)
    asked_rate = None if film.has_rate or rate is None else shown_rate(rate)
    try:
        # Sound has no labels of its own: they are those of who asks.
        counting = film.counting(Asked(Label(0, 0, 0, 0, event.source.drop or None), None, 1, rate=asked_rate))
        _refuse_other_counting(event.source, counting)
    except FilmFSError as error:
        return replace(piece, reason=str(error))
    return replace(piece, counting=counting, suffix=film.suffix, asked=Asked(0, 0, rate=asked_rate))


def _refuse_other_counting(source: Span, counting: Counting) -> None:
    """Raises BadTimecode where a list counts a source's frames in a way that its film does not."""
    if source.drop and not counting.drop:
        raise BadTimecode("the list says that the time code is drop-frame, and the film's is not")
    if isinstance(source.first, int) and source.rate is not None and nominal(source.rate) != nominal(counting.rate):
        here, there = shown_rate(source.rate), shown_rate(counting.rate)
        raise BadTimecode(f"the list counts {here} frames a second, and the film has {there}")


def _placed(piece: Piece, needed: tuple[int, int] | None, handles: int) -> Piece:
    """The piece with its frames."""
    counting = piece.counting
    if counting is None or piece.asked is None:
        return piece
    if needed is None:
        return replace(piece, reason="the film has no such time code")
    first, end = needed
    day = frames_per_day(counting.rate, drop=counting.drop)
    if first < counting.start <= first + day < counting.start + counting.frames:  # past midnight
        first, end = first + day, end + day
    asked = replace(piece.asked, first=first, last=end - 1, head=handles, tail=handles)
    try:
        return replace(piece, asked=asked, frames=place(asked, counting))
    except BadTimecode as error:
        return replace(piece, reason=str(error))


def _file_of(piece: Piece) -> str | None:
    """The name of the file that a piece's clip is made of, with the suffix that the clip has."""
    if piece.path is None or piece.frames is None:
        return None
    return piece.path.rpartition("/")[2].rpartition(".")[0] + piece.suffix
