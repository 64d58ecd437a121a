"""The programme of a cut list as a movie of newly encoded pictures, with what `programme` refuses.

Events of picture and sound become pieces that begin wherever either does. A transition is over from the picture that
goes on in the event before it. What has no film is refused: a rendered movie lacks nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO, cast

from filmfs.archive.assembly import Assembly, Piece
from filmfs.archive.library import Library
from filmfs.archive.programme import first_frame, sound_track
from filmfs.core.errors import BadMedia
from filmfs.cutlists import model
from filmfs.media.rendering import PictureSource, RenderEvent, SoundSource, Transition
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.store.reading import StoredFile


@dataclass(frozen=True, slots=True)
class _Shown:
    """An event of the picture: frames [first, end) of the record, what they show and how they begin."""

    first: int
    end: int
    source: PictureSource | None
    transition: Transition | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """An event of the sound on one channel."""

    first: int
    end: int
    source: SoundSource


@dataclass(frozen=True, slots=True)
class Rendering:
    """What `media.rendering.render` makes the movie of."""

    events: tuple[RenderEvent, ...]
    start: int
    rate: Fraction
    drop: bool

    @property
    def frames(self) -> int:
        """How many the movie has."""
        return sum(event.count for event in self.events)


def rendering_of(assembly: Assembly, library: Library, contents: Contents) -> Rendering:
    """The rendering of a list. Raises BadMedia, with the first event that cannot be in it and why."""
    cuts, rate = assembly.cuts, assembly.cuts.rate
    if rate is None:
        raise BadMedia("nobody says how many frames a second the record has")
    films = _Films(library, contents)
    shown = _pictures([piece for piece in assembly.pieces if piece.event.picture], films, rate)
    channels: dict[tuple[int, int], list[_Heard]] = {}
    for piece in assembly.pieces:
        for track in sorted({films.track(piece, channel) for channel in piece.event.sounds if piece.event.needs_media}):
            channels.setdefault((piece.event.sounds[0], track), []).append(films.heard(piece, track, rate))
    tracks = [sorted(heard, key=lambda each: each.first) for _, heard in sorted(channels.items())]
    if not shown and not tracks:
        raise BadMedia("the list has no events")
    if not shown:
        raise BadMedia("the list has no picture")
    start, end = shown[0].first, shown[-1].end
    events = _pieces(shown, tracks, start, end)
    return Rendering(tuple(events), start, rate, cuts.drop)


class _Films:
    """The films of a list, each with one way to open it."""

    def __init__(self, library: Library, contents: Contents) -> None:
        self._library = library
        self._contents = contents
        self._openers: dict[str, Callable[[], BinaryIO]] = {}

    def _opener(self, path: str) -> Callable[[], BinaryIO]:
        if path not in self._openers:
            stored = Stored(self._contents, self._library.kept(path).map)
            self._openers[path] = lambda: cast(BinaryIO, StoredFile(stored))
        return self._openers[path]

    def picture(self, piece: Piece, rate: Fraction) -> PictureSource:
        """What an event shows. Raises BadMedia."""
        event, path = piece.event, _path(piece)
        speed = Fraction(1) if event.speed is None else event.speed.fps / rate
        return PictureSource(self._opener(path), _first(piece), Fraction(0) if event.still else speed)

    def track(self, piece: Piece, channel: int) -> int:
        """Which sound track of its film an event's channel is. Raises BadMedia."""
        try:
            return sound_track(self._library.film(_path(piece)), channel, piece.event.sounds)
        except BadMedia as error:
            raise BadMedia(f"{piece.event.shown}: {error}") from None

    def heard(self, piece: Piece, track: int, rate: Fraction) -> _Heard:
        """What an event lets hear. Raises BadMedia."""
        first, end = piece.event.record.numbers(rate)
        assert piece.counting is not None
        offset = first_frame(self._library.film(_path(piece)), piece.counting)
        return _Heard(first, end, SoundSource(self._opener(_path(piece)), _first(piece), track, offset))


def _path(piece: Piece) -> str:
    if piece.path is None or piece.frames is None:
        raise BadMedia(f"{piece.event.shown} has no film: {piece.reason}")
    return piece.path


def _first(piece: Piece) -> int:
    """The frame of its film that an event begins with."""
    assert piece.counting is not None
    source, counting = piece.event.source, piece.counting
    return source.number(source.first, counting.rate, drop=counting.drop) - counting.start


def _pictures(pieces: Sequence[Piece], films: _Films, rate: Fraction) -> list[_Shown]:
    """The picture in record order, black where nothing is. Raises BadMedia."""
    shown: list[_Shown] = []
    outgoing: tuple[PictureSource | None] | None = None
    ordered = sorted(pieces, key=lambda piece: (piece.event.record.numbers(rate), piece.event.line))
    for piece in ordered:
        event = piece.event
        first, end = event.record.numbers(rate)
        if event.tracks.layer > 1 or event.transition in _KEYS:
            raise BadMedia(f"{event.shown} lies over another picture")
        source = films.picture(piece, rate) if event.needs_media else None
        if first == end:  # an outgoing half, which is what is before it or comes in for the transition alone
            outgoing = None if _goes_on(source, shown) else (source,)
            continue
        if shown and first < shown[-1].end:
            raise BadMedia(f"{event.shown} has another event in its place")
        if shown and first > shown[-1].end:
            shown.append(_Shown(shown[-1].end, first, None, None))
        shown.append(_Shown(first, end, source, _transition(event, outgoing)))
        outgoing = None
    return shown


_KEYS = (model.Transition.KEY_BACKGROUND, model.Transition.KEY_IN, model.Transition.KEY_OUT)


def _transition(event: model.Event, outgoing: tuple[PictureSource | None] | None) -> Transition | None:
    if event.transition is model.Transition.CUT:
        return None
    wipe = int(event.wipe) if event.wipe and event.wipe.isdecimal() else 0
    kind = "dissolve" if event.transition is model.Transition.DISSOLVE else wipe
    return Transition(kind, event.duration, outgoing is not None, outgoing[0] if outgoing is not None else None)


def _goes_on(source: PictureSource | None, shown: Sequence[_Shown]) -> bool:
    """Whether a picture is what the last event would show next."""
    if not shown:
        return False
    before = shown[-1]
    if before.source is None or source is None:
        return before.source is source
    return source.film is before.source.film and source.first == before.source.frame(before.end - before.first)


def _pieces(shown: Sequence[_Shown], tracks: Sequence[Sequence[_Heard]], start: int, end: int) -> list[RenderEvent]:
    """Events of which each has one picture and one source of each track."""
    edges = {each.first for each in shown} | {end}
    for track in tracks:
        for heard, after in pairwise(track):
            if after.first < heard.end:
                raise BadMedia("two events of the sound are in the same place")
        edges |= {edge for heard in track for edge in (heard.first, heard.end) if start < edge < end}
    events = []
    for first, until in pairwise(sorted(edges)):
        picture = next(each for each in shown if each.first <= first < each.end)
        begins = picture.first == first
        if picture.transition is not None and not begins and first - picture.first < picture.transition.frames:
            raise BadMedia("an edit of the sound lies inside a transition of the picture")
        source = picture.source
        if source is not None and not begins:
            source = replace(source, offset=source.offset + first - picture.first)
        sounds = [_sounding(track, first) for track in tracks]
        events.append(RenderEvent(until - first, source, sounds, picture.transition if begins else None))
    return events


def _sounding(track: Sequence[_Heard], at: int) -> SoundSource | None:
    heard = next((each for each in track if each.first <= at < each.end), None)
    return None if heard is None else replace(heard.source, first=heard.source.first + at - heard.first)
