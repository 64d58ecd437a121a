"""A cut list as a value: events, each a piece of a source put at a place of the programme.

What a list says is kept as it says it. A text list carries no frame rate, so its points are labels until somebody
gives one (`CutList.at`); a timeline's points are frame numbers. Sources count in their own way, the record in its own:
neither is ever turned into the other. Out points are exclusive.

    000012  A001C003  V     D    024 14:00:00:00 14:00:02:00 01:00:10:00 01:00:12:00
    number  reel      tracks |   |   source              |   record: in, out
                    transition   its frames
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from itertools import zip_longest
from math import ceil

from filmfs.core.errors import BadCutList, BadTimecode
from filmfs.core.ranges import Counting, Point
from filmfs.core.smpte import Label, frames_per_day, label_of, shown_rate

NOTES_MAX = 1000


class Transition(StrEnum):
    """How an event begins."""

    CUT = "cut"
    DISSOLVE = "dissolve"
    WIPE = "wipe"
    KEY_BACKGROUND = "key background"  # K B: what a key is laid over
    KEY_IN = "key"  # K
    KEY_OUT = "key out"  # K O


class Origin(StrEnum):
    """What an event's frames come from."""

    REEL = "reel"  # or clip, or file: something that has a name
    AUXILIARY = "auxiliary"  # AX: something without time code or reel; a clip's name may still say what
    BLACK = "black"  # BL, BLACK: no media
    BARS = "bars"  # BARS, colour bars: no media
    GENERATED = "generated"  # a title, a colour: made by the editing system, no media


@dataclass(frozen=True, slots=True)
class Tracks:
    """Where an event goes: the picture (track 1, or 2 for `V2` …), channels of sound; as `written`."""

    written: str
    picture: bool
    sounds: tuple[int, ...] = ()
    layer: int = 1


@dataclass(frozen=True, slots=True)
class Span:
    """From `first` up to, and without, `end`, counted with or without drop-frame at `rate` (None: nobody says)."""

    first: Point
    end: Point
    drop: bool = False
    rate: Fraction | None = None

    def numbers(self, rate: Fraction | None = None, *, drop: bool | None = None) -> tuple[int, int]:
        """Both as frame numbers from 00:00:00:00 on, at the span's own rate or the one given.

        An end before the start is on the next day. Raises BadTimecode for a label that does not exist at the rate,
        or if there is no rate.
        """
        first, end = self.number(self.first, rate, drop=drop), self.number(self.end, rate, drop=drop)
        if end < first and isinstance(self.first, Label):
            end += frames_per_day(self._rate(rate), drop=self.drop if drop is None else drop)
        return first, end

    def number(self, point: Point, rate: Fraction | None = None, *, drop: bool | None = None) -> int:
        """One point of it as a frame number; one of another rate is that with the same label. Raises BadTimecode."""
        drop = self.drop if drop is None else drop
        if isinstance(point, Label):
            return point.number(self._rate(rate), drop=drop)
        if self.rate is None or rate is None or rate == self.rate:
            return point
        return replace(label_of(point, self.rate, drop=self.drop), drop=None).number(rate, drop=drop)

    def length(self, rate: Fraction | None = None) -> int:
        """How many frames. Raises BadTimecode."""
        first, end = self.numbers(rate)
        return end - first

    def labels(self, rate: Fraction | None = None) -> tuple[Label, Label]:
        """Both as labels. Raises BadTimecode if they are frame numbers and there is no rate."""
        return self._label(self.first, rate), self._label(self.end, rate)

    def _label(self, point: Point, rate: Fraction | None) -> Label:
        if isinstance(point, int):
            return label_of(point, self._rate(rate), drop=self.drop)
        return replace(point, drop=self.drop)

    def _rate(self, rate: Fraction | None) -> Fraction:
        exact = rate if rate is not None else self.rate
        if exact is None:
            raise BadTimecode("a time code is no frame number until the frame rate is known")
        return exact


@dataclass(frozen=True, slots=True)
class Speed:
    """Frames of the source a second: 0 is a freeze, below 0 backwards. `entry` is where M2 says that it begins."""

    fps: Fraction
    entry: Label | None = None

    @property
    def is_freeze(self) -> bool:
        """Whether one frame stands still."""
        return not self.fps


@dataclass(frozen=True, slots=True)
class Locator:
    """A mark at a place of the record."""

    at: Label
    colour: str
    words: str


@dataclass(frozen=True, slots=True)
class Event:
    """A piece of a source at a place of the programme.

    A dissolve, wipe or key of a text list is two events of one number: the outgoing half, often of no length, and the
    incoming one, which has the transition. `clip_name` and `source_file` are what the event itself shows; a list says
    them of both halves below the second line.
    """

    number: str
    tracks: Tracks
    source: Span
    record: Span
    reel: str | None = None
    origin: Origin = Origin.REEL
    transition: Transition = Transition.CUT
    duration: int = 0
    wipe: str | None = None
    speed: Speed | None = None
    clip_name: str | None = None
    source_file: str | None = None
    effect: str | None = None
    still: bool = False
    locators: tuple[Locator, ...] = ()
    sop: str | None = None
    sat: str | None = None
    comments: tuple[str, ...] = ()
    line: int = 0  # of the text; 0 if it is no text

    @property
    def picture(self) -> bool:
        """Whether it has a picture."""
        return self.tracks.picture

    @property
    def sounds(self) -> tuple[int, ...]:
        """Its channels of sound."""
        return self.tracks.sounds

    @property
    def needs_media(self) -> bool:
        """Whether there is anything to look for: black, bars and titles are made."""
        return self.origin in (Origin.REEL, Origin.AUXILIARY)

    @property
    def shown(self) -> str:
        """The event, for messages."""
        return f"line {self.line}: event {self.number}" if self.line else f"event {self.number}"

    def joins(self, before: "Event") -> bool:
        """Whether it is the incoming half of the event whose outgoing half is `before`."""
        here = (self.number, self.tracks.written)
        return self.transition is not Transition.CUT and here == (before.number, before.tracks.written)


@dataclass(frozen=True, slots=True)
class CutList:
    """A cut list. `rate` is the record's, None where nobody says; `notes` are what is odd in it, for a person."""

    title: str
    rate: Fraction | None
    drop: bool
    events: tuple[Event, ...]
    notes: tuple[str, ...] = field(default=())

    def at(self, rate: Fraction) -> "CutList":
        """The list at a frame rate of the record, with notes of events whose source is not as long as their record.

        Raises BadCutList for a record label that does not exist at it.
        """
        for event in self.events:
            try:
                event.record.numbers(rate)
            except BadTimecode as error:
                raise BadCutList(f"{event.shown}: {error}") from None
        unequal = (*self.notes, *lengths_that_differ(self, rate))
        return replace(self, rate=rate, notes=unequal[:NOTES_MAX])

    def start(self) -> int:
        """The frame number of the record that the programme begins with (0 of an empty list). Raises BadTimecode."""
        return min((event.record.numbers(self.rate)[0] for event in self.events), default=0)

    def with_outgoing(self) -> Iterator[tuple[Event | None, Event]]:
        """Each event with its outgoing half, None where it has none."""
        before: Event | None = None
        for event in self.events:
            yield (before if before is not None and event.joins(before) else None), event
            before = event


def lengths_that_differ(cuts: CutList, rate: Fraction) -> list[str]:
    """A note for each event at normal speed whose source is longer or shorter than its record."""
    notes: list[str] = []
    for event in cuts.events:
        at_speed = event.speed is None and not event.still and event.needs_media
        if at_speed and event.source.rate in (None, rate) and len(notes) < NOTES_MAX:
            record = event.record.length(rate)
            try:
                source = event.source.length(rate)
            except BadTimecode as error:
                notes.append(f"{event.shown}: its source counts in another way: {error}")
                continue
            if source != record:
                notes.append(
                    f"{event.shown}: {source} frames of the source for {record} of the record"
                    f" at {shown_rate(rate)} frames a second"
                )
    return notes


def material(cuts: CutList, files: Sequence[Counting | None] = ()) -> tuple[tuple[int, int] | None, ...]:
    """For each event the frames of its source that it needs, [first, end), as its file counts them.

    An outgoing half needs those of the transition too, at its speed; backwards, the frames before its first. None
    where the time code does not exist in the file, or nobody says how it counts.
    """
    needed: list[tuple[int, int] | None] = []
    counts = files or [None] * len(cuts.events)
    for event, after, file in zip_longest(cuts.events, cuts.events[1:], counts):
        tail = after.duration if after is not None and after.joins(event) else 0
        try:
            needed.append(_needed(event, tail, file, cuts.rate))
        except BadTimecode:
            needed.append(None)
    return tuple(needed)


def _needed(event: Event, tail: int, file: Counting | None, record: Fraction | None) -> tuple[int, int]:
    rate = file.rate if file is not None else event.source.rate or record
    drop = file.drop if file is not None else None
    speed = event.speed.fps if event.speed is not None else None
    backwards = speed is not None and speed < 0
    first, end = _forward(event.source, rate, drop, backwards=backwards)
    if tail:
        frames = tail if speed is None or record is None else ceil(tail * abs(speed) / record)
        first, end = (min(first, end - frames), end) if backwards else (first, max(end, first + frames))
    return first, max(end, first + 1)


def _forward(source: Span, rate: Fraction | None, drop: bool | None, *, backwards: bool) -> tuple[int, int]:
    """A span in the order of the source: some write backwards motion from its last frame to its first."""
    if backwards:
        first, end = source.number(source.first, rate, drop=drop), source.number(source.end, rate, drop=drop)
        if end < first:
            return end + 1, first + 1
    return source.numbers(rate, drop=drop)
