"""Reads CMX3600 edit decision lists, as Avid, Resolve, Premiere, Final Cut, Nucoda and others write them.

    TITLE: REEL 3
    FCM: NON-DROP FRAME
    001  A001C003 V     C        14:00:00:00 14:00:02:00 01:00:00:00 01:00:01:00
    M2   A001C003       048.0                14:00:00:00
    * FROM CLIP NAME: 12A-3.mov

An event's line is read from both ends, so that a reel may have any length, and spaces in it. What is clear is taken;
what is odd but harmless is a note with its line; an event that cannot be read is an error with its line, because a
list with an event less is another programme.
"""

import re
from dataclasses import replace
from fractions import Fraction

from filmfs.core.errors import BadCutList, BadTimecode
from filmfs.core.ranges import Point
from filmfs.core.smpte import Label, can_drop, read_label, shown_rate
from filmfs.cutlists.decoding import lines_of, text_of
from filmfs.cutlists.model import NOTES_MAX, CutList, Event, Origin, Span, Transition
from filmfs.cutlists.remarks import Remarks
from filmfs.cutlists.tracks import read_tracks

EVENTS_MAX = 100_000
DROP_RATE = Fraction(30000, 1001)  # of drop-frame lists, unless somebody knows better

_NUMBER = re.compile(r"\d{1,6}[A-Za-z]?", re.ASCII)
_LABEL = re.compile(r"\d\d:\d\d:\d\d[:.;,]\d\d\d?|\d\d\.\d\d\.\d\d\.\d\d|\d\d;\d\d;\d\d;\d\d", re.ASCII)
_FRAMES = re.compile(r"\d{1,10}", re.ASCII)
_TRANSITION = re.compile(r"C|D|W\d{0,3}|K[BO]?", re.ASCII)
_KEYS = {
    "K": Transition.KEY_IN,
    "KB": Transition.KEY_BACKGROUND,
    "KO": Transition.KEY_OUT,
}
_BLACK, _BARS = {"BL", "BLACK"}, {"BARS", "BAR", "COLORBARS", "COLOURBARS"}


def read_edl(data: bytes | str, rate: Fraction | None = None) -> CutList:
    """The cut list that an EDL is. `rate` is that of the record; an EDL does not say it.

    Drop-frame lists have 30000/1001 frames a second unless told; the rate of others is None unless told. Raises
    BadCutList with the line.
    """
    reader = _Reader()
    for number, line in enumerate(lines_of(text_of(data)), 1):
        reader.line(number, line.replace("\0", ""))
    cuts = reader.finish()
    if cuts.drop and rate is not None and not can_drop(rate):
        raise BadCutList(f"the list is drop-frame, and there is none at {shown_rate(rate)} frames a second")
    exact = rate if rate is not None else DROP_RATE if cuts.drop else None
    return cuts.at(exact) if exact is not None else cuts


class _Reader:
    """Takes a list's lines one by one: the events of the number that is being read, and what is in force."""

    def __init__(self) -> None:
        self.title = ""
        self.known = False  # a line was met that an EDL has
        self.drop: bool | None = None  # of the record: what the first FCM says
        self.source_drop = False  # what the last FCM says
        self.events: list[Event] = []
        self.remarks = Remarks()
        self.notes: list[str] = []
        self.renamed: dict[str, str] = {}

    def line(self, number: int, line: str) -> None:
        words = line.split()
        if not words:
            return
        if _NUMBER.fullmatch(words[0]) is not None and _is_event(words):
            self._event(number, line, words)
        elif not self._heading(line.strip()) and not self.remarks.take(number, line.strip(), words):
            if _has_points(words):
                raise BadCutList(f"line {number}: {words[0]!r} is no event's number: {_cut(line)}")
            self._note(f"line {number}: not understood: {_cut(line)}")

    def finish(self) -> CutList:
        self._close()
        self.notes += self.remarks.left_over
        if not self.known and not self.events:
            raise BadCutList("there is no event in it, no title and no frame code mode: this is no CMX3600 list")
        drop = any(event.record.drop for event in self.events) if self.events else bool(self.drop)
        events = [self._with_full_reel(event) for event in self.events]
        self.notes += _halves_that_miss(events)
        if len({event.record.drop for event in events}) > 1:
            self._note("some record time codes are drop-frame and some are not")
            events = [replace(event, record=replace(event.record, drop=drop)) for event in events]
        return CutList(self.title, None, drop, tuple(events), tuple(self.notes[:NOTES_MAX]))

    def _heading(self, line: str) -> bool:
        key, _, rest = line.partition(":")
        key, rest = key.strip().upper(), rest.strip()
        if key == "TITLE":
            if self.title and rest:
                self._note(f"a second title: {_cut(rest)}")
            self.title = self.title or rest
        elif key == "FCM":
            self.source_drop = rest.upper() in ("DROP FRAME", "DROP-FRAME", "DROP", "DF")
            if self.drop is None:  # where events came before it, it speaks of the sources after it alone
                self.drop = self.source_drop and not self.events and not self.remarks.events
        elif key == "FINAL CUT PRO REEL" and "REPLACED BY:" in rest:
            full, _, short = rest.partition("REPLACED BY:")
            self.renamed[short.strip()] = full.strip()
        else:
            return False
        self.known = True
        return True

    def _event(self, number: int, line: str, words: list[str]) -> None:
        if len(self.events) + len(self.remarks.events) >= EVENTS_MAX:
            raise BadCutList(f"line {number}: there are more than {EVENTS_MAX:,} events")
        event = _read_event(number, line, words, record_drop=bool(self.drop), source_drop=self.source_drop)
        if self.remarks.events and self.remarks.events[0].number != event.number:
            self._close()
        self.remarks.add(event)

    def _close(self) -> None:
        done, notes = self.remarks.close()
        self.events += done
        self.notes += notes

    def _note(self, words: str) -> None:
        if len(self.notes) < NOTES_MAX:
            self.notes.append(words)

    def _with_full_reel(self, event: Event) -> Event:
        full = self.renamed.get(event.reel) if event.reel is not None else None
        return replace(event, reel=full) if full else event


def _is_event(words: list[str]) -> bool:
    """Whether a line that begins with a number is an event: four points end it, or time codes are in it.

    Or it begins as one, and is cut off: a reel, tracks and a transition, or a part of that.
    """
    if len(words) > 6 and all(_FRAMES.fullmatch(word) for word in words[-4:]):
        return any(_TRANSITION.fullmatch(word) for word in words[2:-4])
    if 2 < len(words) < 5:
        return read_tracks(words[2]) is not None and (len(words) < 4 or _TRANSITION.fullmatch(words[3]) is not None)
    return any(_LABEL.fullmatch(word) is not None for word in words[1:])


def _has_points(words: list[str]) -> bool:
    """Whether four time codes end a line, and more is before them."""
    return len(words) > 4 and all(_LABEL.fullmatch(word) is not None for word in words[-4:])


def _read_event(number: int, line: str, words: list[str], *, record_drop: bool, source_drop: bool) -> Event:
    """The event of a line. Raises BadCutList."""
    try:
        if len(words) < 7 or not all(word[0].isdigit() for word in words[-4:]):
            raise BadTimecode("an event has a number, a reel, tracks, a transition and four time codes")
        points = [_point(word) for word in words[-4:]]
        transition, wipe, duration, left = _transition(words[:-4])
        tracks = read_tracks(words[left - 1]) if left > 1 else None
        if tracks is None:
            raise BadTimecode("it is not said to which tracks it goes")
        reel, origin = _reel(_between(line, words, left - 1))
        source, record = _spans(points, record_drop=record_drop, source_drop=source_drop)
    except BadTimecode as error:
        raise BadCutList(f"line {number}: {error}: {_cut(line)}") from None
    return Event(words[0], tracks, source, record, reel, origin, transition, duration, wipe, line=number)


def _point(word: str) -> Point:
    if ":" not in word and _FRAMES.fullmatch(word) is not None:
        if len(word) != 8:
            return int(word)
        word = ":".join(word[at : at + 2] for at in (0, 2, 4, 6))
    if word.count(";") == 3:
        word = word.replace(";", ":", 2)
    label = read_label(word)
    if label.hours > 23 or label.minutes > 59 or label.seconds > 59:
        raise BadTimecode(f"{word} is no time of a day")
    return label


def _transition(words: list[str]) -> tuple[Transition, str | None, int, int]:
    """The transition that ends the words before an event's points, its wipe and frames; how many words are left."""
    left = len(words)
    if words[left - 1].upper() == "(F)":  # a key that fades
        left -= 1
    duration = 0
    if left > 2 and _FRAMES.fullmatch(words[left - 1]) and len(words[left - 1]) <= 6:
        duration = int(words[left - 1])
        left -= 1
    code = words[left - 1].upper()
    if code in ("B", "O") and words[left - 2].upper() == "K":
        code, left = f"K{code}", left - 1
    if _TRANSITION.fullmatch(code) is None:
        raise BadTimecode(f"{words[left - 1]!r} is no transition (C, D, W001, K)")
    left -= 1
    if code == "C":
        return Transition.CUT, None, 0, left
    if code[0] == "K":
        return _KEYS[code], None, duration, left
    return (Transition.DISSOLVE, None, duration, left) if code == "D" else (Transition.WIPE, code[1:], duration, left)


def _reel(text: str) -> tuple[str | None, Origin]:
    word = text.upper()
    if word in _BLACK:
        return None, Origin.BLACK
    if word in _BARS:
        return None, Origin.BARS
    return (None, Origin.AUXILIARY) if word in ("", "AX") else (text, Origin.REEL)


def _between(line: str, words: list[str], before: int) -> str:
    """The line between its first word and word `before`, with the spaces that are in it."""
    rest = line.strip()[len(words[0]) :].strip()
    for word in reversed(words[before:]):
        rest = rest[: -len(word)].rstrip()
    return rest


def _spans(points: list[Point], *, record_drop: bool, source_drop: bool) -> tuple[Span, Span]:
    """Source and record. Where one of a line's labels is marked as drop-frame, those without the mark are non-drop."""
    marks = [isinstance(point, Label) and bool(point.drop) for point in points]
    if any(marks):
        source_drop, record_drop = any(marks[:2]), any(marks[2:])
        points = [replace(point, drop=None) if isinstance(point, Label) else point for point in points]
    return Span(points[0], points[1], source_drop), Span(points[2], points[3], record_drop)


def _halves_that_miss(events: list[Event]) -> list[str]:
    """A note for each dissolve or wipe that no line says what it comes from."""
    notes, before = [], None
    for event in events:
        alone = event.transition in (Transition.DISSOLVE, Transition.WIPE) and not (before and event.joins(before))
        if alone and before is not None and before.record.end != event.record.first:
            notes.append(f"{event.shown}: nothing ends where its {event.transition} begins")
        elif (
            alone and before is not None and before.number != event.number and before.record.first == before.record.end
        ):
            notes.append(f"{event.shown}: the line before, of no length, seems to be its outgoing half")
        before = event
    return notes


def _cut(line: str) -> str:
    text = line.strip()
    return text if len(text) <= 120 else f"{text[:120]}…"
