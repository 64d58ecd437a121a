"""What an EDL says below its events: names, files, speed, marks, colour.

A remark belongs to the events of one number, which are one line or, with a transition, two: what comes FROM is the
outgoing half, what goes TO is the incoming one.
"""

import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import Label, read_label
from filmfs.cutlists.model import Event, Locator, Speed, Tracks

_REMARKS_MAX = 500  # of one event
_SPEED = re.compile(r"[+-]?\d{1,4}(?:\.\d{1,6})?", re.ASCII)
_NAMED = re.compile(
    r"(?P<key>(?:(?:FROM|TO|KEY) )?CLIP NAME|(?:FROM |TO )?SOURCE FILE|FROM CLIP|TO CLIP|FROM FILE|TO FILE"
    r"|LOC|ASC_SOP|ASC_SAT) ?: ?(?P<value>.*)|(?P<bare>ASC_SOP|ASC_SAT) ?(?P<numbers>[(\d].*)",
    re.IGNORECASE,
)
_STILL = {"FROM CLIP IS A STILL": False, "TO CLIP IS A STILL": True}
_KEPT = ("SPLIT", "GPI", ">>>", "REM", "|", "@", "DLEDL", "B/L", "END")


@dataclass
class Remarks:
    """The events of the number that is being read, and what was said of them so far."""

    events: list[Event] = field(default_factory=list)
    _before: list[str] = field(default_factory=list)  # said ahead of the first event that it concerns (SPLIT, GPI)
    _notes: list[str] = field(default_factory=list)
    _taken: int = 0
    _incoming: bool = True  # whether the last name that was told is that of the incoming half

    def add(self, event: Event) -> None:
        """One more event; of another number only after `close`."""
        if self._before:
            event = replace(event, comments=(*self._before, *event.comments))
            self._before = []
        self.events.append(event)
        self._incoming = True

    def close(self) -> tuple[list[Event], list[str]]:
        """The events with all that was said of them, and what was odd in it."""
        done, notes = self.events, self._notes
        self.events, self._notes, self._taken = [], [], 0
        return done, notes

    @property
    def left_over(self) -> list[str]:
        """What was said ahead of an event that never came."""
        return list(self._before)

    def take(self, number: int, line: str, words: list[str]) -> bool:
        """One line that is no event and no heading; False if it says nothing that is understood."""
        self._taken += 1
        if self._taken > _REMARKS_MAX:
            if self._taken == _REMARKS_MAX + 1:
                self._notes.append(f"line {number}: more than {_REMARKS_MAX} remarks; the rest is left out")
            return True
        starred = line.startswith("*")
        text = " ".join(words).lstrip("* ")
        if words[0].upper() == "M2" and len(words) >= 3:
            return self._speed(number, words)
        if words[0].upper() == "AUD" and self.events:
            return self._channels(words[1:])
        found = _NAMED.fullmatch(text)
        if found is not None and self.events:
            self._named(number, line, found)
        elif text.upper() in _STILL and self.events:
            self._change(self._half(incoming=_STILL[text.upper()]), still=True)
        elif text.upper().startswith("EFFECTS NAME IS ") and self.events:
            self._change(-1, effect=text[len("EFFECTS NAME IS ") :])
        elif words[0].upper().rstrip(":") in ("SPLIT", "GPI"):
            self._before = [*self._before[-_REMARKS_MAX:], text]
        elif starred or line.upper().startswith(_KEPT):
            self._comment(text)
        else:
            return False
        return True

    def _comment(self, text: str) -> None:
        if text and self.events:
            self._change(-1, comments=(*self.events[-1].comments, text))
        elif text and len(self._before) < _REMARKS_MAX:
            self._before.append(text)

    def _named(self, number: int, line: str, found: "re.Match[str]") -> None:
        key = (found["key"] or found["bare"]).upper()
        value = line.lstrip("* ").partition(":")[2].strip() if found["key"] else found["numbers"]
        if key in ("ASC_SOP", "ASC_SAT"):
            self._colour(key, value)
        elif key == "LOC":
            self._locator(number, value)
        else:
            self._name(key, value)

    def _name(self, key: str, value: str) -> None:
        incoming = key.startswith(("TO", "KEY")) or (key.endswith("FILE") and not key.startswith("FROM"))
        if key == "SOURCE FILE":
            incoming = self._incoming
        else:
            self._incoming = incoming
        at = self._half(incoming=incoming)
        if value and value.upper() not in ("BL", "BLACK"):
            self._change(at, **{"clip_name" if key.endswith("NAME") else "source_file": value})

    def _colour(self, key: str, value: str) -> None:
        self._change(-1, **{"sop" if key == "ASC_SOP" else "sat": value})

    def _locator(self, number: int, value: str) -> None:
        at, _, rest = value.partition(" ")
        colour, _, words = rest.strip().partition(" ")
        try:
            locator = Locator(read_label(at), colour, words.strip())
        except BadTimecode:
            self._notes.append(f"line {number}: the mark has no time code")
            self._comment(f"LOC: {value}")
        else:
            self._change(-1, locators=(*self.events[-1].locators, locator))

    def _speed(self, number: int, words: list[str]) -> bool:
        """`M2 reel 048.0 01:00:00:00`: of the half with that reel, or that begins there."""
        entry = _label(words[-1])
        speed = words[-2] if entry is not None and len(words) > 3 else words[-1]
        if _SPEED.fullmatch(speed) is None or not self.events:
            self._notes.append(f"line {number}: the speed is not understood, or is no event's: {' '.join(words)[:120]}")
            return True
        reel = " ".join(words[1 : words.index(speed, 1)]).upper()
        at = max(range(len(self.events)), key=lambda at: _likeness(self.events[at], reel, entry))
        self._change(at, speed=Speed(Fraction(speed), entry))
        return True

    def _channels(self, words: list[str]) -> bool:
        """`AUD 3 4`: channels that the tracks' column has no word for."""
        if not all(word.isascii() and word.isdecimal() and 0 < len(word) < 3 for word in words):
            return False
        tracks = self.events[-1].tracks
        sounds = tuple(sorted({*tracks.sounds, *map(int, words)}))
        self._change(-1, tracks=Tracks(tracks.written, tracks.picture, sounds, tracks.layer))
        return True

    def _half(self, *, incoming: bool) -> int:
        """Where the event is that a remark is of."""
        paired = len(self.events) > 1 and self.events[-1].joins(self.events[-2]) and self.events[-2].needs_media
        return -2 if paired and not incoming else -1

    def _change(self, at: int, **fields: object) -> None:
        self.events[at] = replace(self.events[at], **fields)  # type: ignore[arg-type]  # the names are checked above


def _label(word: str) -> Label | None:
    try:
        return replace(read_label(word), drop=None)
    except BadTimecode:
        return None


def _likeness(event: Event, reel: str, entry: Label | None) -> tuple[bool, bool]:
    own = (event.reel or "").upper()
    same = bool(reel) and bool(own) and (own.startswith(reel) or reel.startswith(own))
    return (same, entry is not None and event.source.first == entry)
