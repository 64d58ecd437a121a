"""An OpenTimelineIO timeline as the events of a cut list.

Each kind of track (picture, sound) is flattened: a nested stack gives its pieces to the track that holds it, and of
the tracks of picture the top-most piece counts at each place. Times are exact (seconds as Fraction) until the end,
where they become frame numbers. The objects are the library's; nothing here imports it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import Any

from filmfs.core.errors import BadCutList, BadTimecode
from filmfs.core.smpte import can_drop, exact_rate
from filmfs.cutlists.model import NOTES_MAX, CutList, Event, Origin, Span, Speed, Tracks, Transition
from filmfs.cutlists.sources import is_generated, origin_of, reel_of, says_drop, source_file_of, wipe_of
from filmfs.cutlists.tracks import tracks_of

_PIECES_MAX = 100_000
_Times = tuple[Fraction, Fraction]  # a start and a length, in seconds


@dataclass(frozen=True, slots=True)
class _Record:
    """How the record is counted."""

    rate: Fraction
    begin: int = 0
    drop: bool = False


@dataclass(frozen=True, slots=True)
class _Lead:
    """A transition that a piece begins with: what it is, its length, and the piece that goes out (None: black)."""

    wipe: str | None  # None of a dissolve
    effect: str | None
    length: Fraction
    outgoing: "_Piece | None"


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a clip at a place of what holds it; `clip` is None for black. `into` it from its own first frame."""

    start: Fraction
    length: Fraction
    clip: Any
    into: Fraction = Fraction(0)
    lead: _Lead | None = None

    @property
    def end(self) -> Fraction:
        return self.start + self.length

    def within(self, start: Fraction, end: Fraction) -> "_Piece":
        """The part of it between two times; a transition belongs to the beginning."""
        first, last = max(self.start, start), min(self.end, end)
        lead = self.lead if first == self.start else None
        return replace(self, start=first, length=last - first, into=self.into + first - self.start, lead=lead)

    def later(self, by: Fraction) -> "_Piece":
        return replace(self, start=self.start + by)


def flatten(root: Any, name: str) -> CutList:
    """The events of a timeline, or of a stack, track or clip that stands alone. Raises BadCutList."""
    stack = root.tracks if type(root).__name__ == "Timeline" else root
    start = getattr(root, "global_start_time", None)
    reader = _Flattening()
    rate = _rate_of(start.rate) if start is not None else reader.rate_of(stack)
    video, sounds = reader.picture_and_sounds(stack)
    begin = round((_seconds(start) if start is not None else reader.begin) * rate)
    drop = can_drop(rate) and says_drop(root)
    events = _events(video, sounds, _Record(rate, begin, drop))
    return CutList(str(root.name or name), rate, drop, tuple(events), tuple(reader.notes[:NOTES_MAX]))


def clip_list(clips: Sequence[Any], name: str) -> CutList:
    """The events of clips in a row, end to end (ALE): one each, in order."""
    reader = _Flattening()
    at, pieces = Fraction(0), []
    for clip in clips[:_PIECES_MAX]:
        if type(clip).__name__ != "Clip" or _range_or_none(clip) is None:
            reader.notes.append(f"{clip.name!r} is no clip, or has no start and end")
            continue
        _, length = _range(clip)
        pieces.append(_Piece(at, length, clip))
        at += length
    rate = _rate_of(pieces[0].clip.trimmed_range().duration.rate) if pieces else None
    events = _events(pieces, [], _Record(rate)) if rate is not None else []
    return CutList(name, rate, False, tuple(events), tuple(reader.notes[:NOTES_MAX]))


class _Flattening:
    """Walks what is nested, and keeps what was odd."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.begin = Fraction(0)  # of the record, where a track says it and the timeline does not
        self._count = 0

    def picture_and_sounds(self, root: Any) -> tuple[list[_Piece], list[list[_Piece]]]:
        """The picture's pieces, and those of each channel of sound."""
        if type(root).__name__ != "Stack":
            pieces = self._child(root, "Video")
            return (pieces, []) if getattr(root, "kind", "Video") == "Video" else ([], [pieces])
        channels = [self._child(track, "Audio") for track in root if _kind(track) == "Audio"]
        window = _window(root)
        return self._stack(root, "Video"), [_trimmed(channel, *window) if window else channel for channel in channels]

    def rate_of(self, root: Any) -> Fraction:
        """The rate that most of the timeline is counted in."""
        tracks = _tracks(root)
        picture = [track for track in tracks if _kind(track) != "Audio"]
        rates = Counter(rate for track in picture for rate in _rates(track))
        rates = rates or Counter(rate for track in tracks for rate in _rates(track))
        if not rates:
            raise BadCutList("nothing in it says how many frames a second has")
        return rates.most_common(1)[0][0]

    def _stack(self, stack: Any, kind: str) -> list[_Piece]:
        self._effects(stack)
        rows = [self._child(child, kind) for child in stack if _kind(child) in (kind, None) and child.enabled]
        pieces = _top_most([row for row in rows if row])
        window = _window(stack)
        return _trimmed(pieces, *window) if window else pieces

    def _track(self, track: Any, kind: str) -> list[_Piece]:
        self._effects(track)
        at, pieces, pending = Fraction(0), list[_Piece](), None
        for child in track:
            if type(child).__name__ == "Transition":
                pending = child
                continue
            _, length = _range(child)
            inner = [piece.later(at) for piece in self._child(child, kind)]
            if pending is not None:
                inner = inner if inner and inner[0].start == at else [_Piece(at, length, None), *inner]
                _join(pieces, inner, at, pending)
                pending = None
            pieces += inner
            at += length
        window = _window(track)
        if window is not None and at and not -window[1] < window[0] < at:
            self.begin = abs(window[0])  # OTIO's own EDL reader put the record's time code there, as a negative number
            return pieces
        return _trimmed(pieces, *window) if window else pieces

    def _child(self, child: Any, kind: str) -> list[_Piece]:
        """The pieces of anything that can stand in a track, from 0 on."""
        what = type(child).__name__
        if not getattr(child, "enabled", True) or what == "Gap":
            return []
        if what == "Stack":
            return self._stack(child, kind)
        if what == "Track":
            return self._track(child, kind)
        self._count += 1
        if self._count > _PIECES_MAX:
            raise BadCutList(f"there are more than {_PIECES_MAX:,} clips")
        _, length = _range(child)
        return [_Piece(Fraction(0), length, child)]

    def _effects(self, composition: Any) -> None:
        if any(hasattr(effect, "time_scalar") for effect in composition.effects):
            self.notes.append(f"the speed of {composition.name!r} as a whole is not followed")


def _join(before: list[_Piece], after: list[_Piece], at: Fraction, transition: Any) -> None:
    """Lets the first piece after `at` begin with a transition, and the last one before end where that begins."""
    first, length = _seconds(transition.in_offset), _seconds(transition.in_offset) + _seconds(transition.out_offset)
    outgoing = None
    if before and before[-1].end == at:
        first = min(first, before[-1].length)
        shortened = before[-1].within(before[-1].start, at - first)
        before[-1] = shortened
        outgoing = replace(shortened, start=at - first, length=Fraction(0), into=shortened.into + shortened.length)
    name = str(transition.name or transition.transition_type or "")
    piece = after[0]
    lead = _Lead(wipe_of(transition, name), name or None, length, outgoing)
    after[0] = replace(piece, start=at - first, length=piece.length + first, into=piece.into - first, lead=lead)


def _top_most(rows: Sequence[list[_Piece]]) -> list[_Piece]:
    """What is seen of rows of which each lies over those before it.

    A title or a colour hides nothing: what is below it is needed. Black is seen where it is the only row.
    """
    if len(rows) < 2:
        return list(rows[0]) if rows else []
    media = [[piece for piece in row if piece.clip is not None and not is_generated(piece.clip)] for row in rows]
    made = [[piece for piece in row if piece.clip is not None and is_generated(piece.clip)] for row in rows]
    seen: list[_Piece] = []
    for row in (*reversed(media), *reversed(made)):
        covered = [(piece.start, piece.end) for piece in seen]
        seen = sorted([*seen, *_uncovered(row, covered)], key=lambda piece: piece.start)
    return seen


def _uncovered(row: Iterable[_Piece], covered: list[_Times]) -> Iterator[_Piece]:
    """The parts of a row that none of the intervals covers; both are in order."""
    at = 0
    for piece in row:
        while at < len(covered) and covered[at][1] <= piece.start:
            at += 1
        start, next_at = piece.start, at
        while next_at < len(covered) and covered[next_at][0] < piece.end:
            if covered[next_at][0] > start:
                yield piece.within(start, covered[next_at][0])
            start = max(start, covered[next_at][1])
            next_at += 1
        if start < piece.end:
            yield piece.within(start, piece.end)


def _trimmed(pieces: Iterable[_Piece], start: Fraction, length: Fraction) -> list[_Piece]:
    """The pieces inside a window, from its beginning on."""
    kept = [
        piece.within(start, start + length) for piece in pieces if piece.end > start and piece.start < start + length
    ]
    return [piece.later(-start) for piece in kept]


def _events(video: list[_Piece], sounds: list[list[_Piece]], on: _Record) -> list[Event]:
    """Events in the order of the record. The same piece on several tracks is one event."""
    merged: dict[object, tuple[_Piece, bool, list[int]]] = {}
    for channel, pieces in ((0, video), *enumerate(sounds, 1)):
        for piece in pieces:
            key = (piece.start, piece.length, piece.into, _same_clip(piece.clip), piece.lead is None or id(piece))
            _, picture, channels = merged.setdefault(key, (piece, channel == 0, []))
            if channel:
                channels.append(channel)
            elif not picture:
                merged[key] = (piece, True, channels)
    events: list[Event] = []
    ordered = sorted(merged.values(), key=lambda entry: (entry[0].start, not entry[1], entry[2]))
    for number, (piece, picture, channels) in enumerate(ordered, 1):
        tracks = tracks_of(picture=picture, sounds=tuple(channels))
        if piece.lead is not None:
            outgoing = piece.lead.outgoing or _Piece(piece.start, Fraction(0), None)
            events.append(_event(f"{number:03d}", outgoing, tracks, on))
        events.append(_event(f"{number:03d}", piece, tracks, on))
    return events


def _same_clip(clip: Any) -> object:
    """What makes two clips the same on two tracks: name, media, place in it and speed."""
    if clip is None:
        return None
    own = clip.trimmed_range()
    return (str(clip.name), source_file_of(clip), own.start_time.value, own.start_time.rate, _scalar(clip))


def _event(number: str, piece: _Piece, tracks: Tracks, on: _Record) -> Event:
    rate = on.rate
    first, end = on.begin + round(piece.start * rate), on.begin + round(piece.end * rate)
    record, lead, clip = Span(first, end, on.drop, rate), piece.lead, piece.clip
    joined: dict[str, Any] = {}
    if lead is not None:
        kind = Transition.DISSOLVE if lead.wipe is None else Transition.WIPE
        frames = round(lead.length * rate)
        joined = {"transition": kind, "duration": frames, "effect": lead.effect, "wipe": lead.wipe}
    if clip is None:
        return Event(number, tracks, Span(0, end - first, False, rate), record, origin=Origin.BLACK, **joined)
    scalar, reel = _scalar(clip), reel_of(clip)
    speed = Speed(scalar * rate) if scalar is not None else None
    return Event(
        number,
        tracks,
        _source(piece, scalar),
        record,
        reel,
        origin_of(clip, reel),
        speed=speed,
        clip_name=str(clip.name) or None,
        source_file=source_file_of(clip),
        **joined,
    )


def _source(piece: _Piece, scalar: Fraction | None) -> Span:
    """Which frames of its source a piece shows, counted at the source's own rate."""
    start = piece.clip.trimmed_range().start_time
    own = _rate_of(start.rate)
    pace = own * (abs(scalar) if scalar is not None else 1)
    first = _seconds(start) * own + piece.into * pace
    end = first + piece.length * pace
    if scalar is None:  # pieces that meet at the record meet in the source
        whole = round(first), round(end)
    else:
        whole = floor(first), ceil(end)
    return Span(whole[0], max(whole[1], whole[0] + (1 if piece.length else 0)), False, own)


def _scalar(clip: Any) -> Fraction | None:
    """How many times as fast a clip plays; None at its own speed."""
    scalars = [effect.time_scalar for effect in clip.effects if hasattr(effect, "time_scalar")]
    if not scalars:
        return None
    product = Fraction(1)
    for scalar in scalars:
        if not isfinite(scalar) or abs(scalar) > 10_000:
            raise BadCutList(f"{clip.name!r} plays {scalar} times as fast")
        product *= Fraction(scalar).limit_denominator(100_000)
    return None if product == 1 else product


def _range(item: Any) -> _Times:
    try:
        own = item.trimmed_range()
    except Exception as error:  # the library's own kinds
        raise BadCutList(f"{item.name!r} has no length: {error}") from None
    return _seconds(own.start_time), max(_seconds(own.duration), Fraction(0))


def _window(composition: Any) -> _Times | None:
    """The part of a stack or track that is used; None if all of it."""
    return _range(composition) if composition.source_range is not None else None


def _seconds(time: Any) -> Fraction:
    if not isfinite(time.value) or abs(time.value) > 1e12:
        raise BadCutList(f"{time.value} is no time")
    return Fraction(time.value).limit_denominator(1_000_000) / _rate_of(time.rate)


def _rate_of(rate: float) -> Fraction:
    try:
        return exact_rate(rate)
    except BadTimecode:
        if isfinite(rate) and 0 < rate <= 1_000_000:  # sound is counted in samples, some XML in ticks
            return Fraction(rate).limit_denominator(1001)
        raise BadCutList(f"{rate} is no rate") from None


def _kind(child: Any) -> str | None:
    """`Video` or `Audio` of a track; None of what is both."""
    return str(child.kind) if type(child).__name__ == "Track" else None


def _tracks(root: Any) -> list[Any]:
    return list(root) if type(root).__name__ == "Stack" else [root]


def _rates(track: Any) -> Iterator[Fraction]:
    items = [track] if type(track).__name__ == "Clip" else [item for item in track if hasattr(item, "trimmed_range")]
    for item in items:
        with_length = _range_or_none(item)
        if with_length is not None:
            yield _rate_of(with_length.duration.rate)


def _range_or_none(item: Any) -> Any:
    try:
        return item.trimmed_range()
    except Exception:
        return None
