"""How people write a range of a file: `01.00.00.00-01.00.30.00`, and what that is in a given file.

    POINT-POINT[HANDLES][~RATE]    01:00:00:00-01:00:30:00  01.00.00,00-01.00.30,00  01000000-01003000  f86400-f87119
    POINT+LENGTHf[HANDLES][~RATE]  01.00.00.00+720f         f86400+720f

The out point of labels is exclusive (as in an EDL), that of frame numbers inclusive (as in VFX). HANDLES are `+24`
frames on both sides or `+24-12`, head and tail, cut at the ends of the file. `~2997` asserts the rate and converts
nothing. Frames are numbered from the label 00:00:00:00 on, so `f86400` is 01:00:00:00 at 24 frames a second.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import Label, exact_rate, frames_per_day, label_of, read_label, shown_rate

_POINT = r"(?:f\d{1,12}|\d{8}|\d\d[:.]\d\d[:.]\d\d[:.;,]\d\d\d?)"
_RANGE = re.compile(
    rf"(?P<first>{_POINT})(?:-(?P<last>{_POINT})|\+(?P<length>\d{{1,12}})f)"
    r"(?:\+(?P<head>\d{1,9})(?:-(?P<tail>\d{1,9}))?)?(?:~(?P<rate>\d{1,6}(?:\.\d{1,3})?))?",
    re.ASCII,
)
_RANGE_AND_SUFFIX = re.compile(
    rf"(?P<range>{_RANGE.pattern.replace('?P<', '?P<_')})(?P<suffix>\.[A-Za-z0-9]{{1,8}})?", re.ASCII
)
_NUMBERS = re.compile(r"(\d{1,7}|\d{9,10})(?:-(\d{1,7}|\d{9,10}))?([+~].*)?", re.ASCII)  # eight digits are a label
_REMEMBERED = 256  # names: one look-up asks several times

Point = Label | int
"""A label, or a frame number from 00:00:00:00 on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A range as it was asked for. `last` is None where `length` frames were."""

    first: Point
    last: Point | None
    length: int | None = None
    head: int = 0
    tail: int = 0
    rate: str | None = None

    @property
    def says_drop(self) -> bool:
        """Whether a point of it is written as drop-frame."""
        return any(isinstance(point, Label) and bool(point.drop) for point in (self.first, self.last))


@dataclass(frozen=True, slots=True)
class Counting:
    """How the frames of a file are counted: from which number on, how many, how fast, and by which labels."""

    start: int
    frames: int
    rate: Fraction
    drop: bool = False

    def label(self, number: int) -> Label:
        """The label of a frame number."""
        return label_of(number, self.rate, drop=self.drop)

    @property
    def shown(self) -> str:
        """The file's own range, for messages."""
        return f"{self.label(self.start)} to {self.label(self.start + self.frames)} at {shown_rate(self.rate)}"


@dataclass(frozen=True, slots=True)
class FrameRange:
    """`count` frames of a file from its frame `first` on (0 is its first), of which `head` and `tail` are handles."""

    first: int
    count: int
    head: int = 0
    tail: int = 0
    clamped: bool = False  # the file ended before the handles did

    @property
    def end(self) -> int:
        """The first frame past it."""
        return self.first + self.count


def read_range(text: str) -> Asked:
    """A range as people write it. Raises BadTimecode."""
    found = _RANGE.fullmatch(text)
    if found is None:
        raise BadTimecode(
            f"{text!r} is no range; 01.00.00.00-01.00.30.00 is one, or f86400-f87119, or 01.00.00.00+720f"
        )
    first, last, length, head, tail, rate = found.group("first", "last", "length", "head", "tail", "rate")
    start = _point(first)
    end = _point(last) if last is not None else None
    if end is not None and isinstance(start, int) != isinstance(end, int):
        raise BadTimecode(f"{text!r} goes from a frame number to a time code; write both in one way")
    before = int(head or 0)
    return Asked(start, end, int(length) if length else None, before, int(tail) if tail is not None else before, rate)


@lru_cache(_REMEMBERED)
def split_name(name: str) -> tuple[str, Asked, str] | None:
    """A file's name, the range that is asked of it and the suffix wanted, of `scene@01.00.00.00-01.00.30.00.mov`.

    The name ends at the last `@` that a range follows. None when there is none.
    """
    at = len(name)
    while (at := name.rfind("@", 0, at)) > 0:
        found = _RANGE_AND_SUFFIX.fullmatch(name, at + 1)
        if found is not None:
            try:
                return name[:at], read_range(found["range"]), found["suffix"] or ""
            except BadTimecode:
                return None
    return None


def split_numbers(name: str) -> tuple[str, Asked] | None:
    """The same of a sequence by the numbers of its files, `sh010@1011-1020`: its name and the range."""
    stem, _, text = name.rpartition("@")
    found = _NUMBERS.fullmatch(text)
    if found is None or not stem:
        return None
    first, last, rest = found.groups()
    try:
        return stem, read_range(f"f{first}" + (f"-f{last}" if last else "") + (rest or ""))
    except BadTimecode:
        return None


def place(asked: Asked, counting: Counting) -> FrameRange:
    """Which frames of a file are asked for. Raises BadTimecode, with the file's own range where that tells more."""
    if asked.rate is not None and asserted_rate(asked.rate) != counting.rate:
        raise BadTimecode(f"the file has {shown_rate(counting.rate)} frames a second, not ~{asked.rate}")
    first = _position(asked.first, counting)
    if asked.length is not None:
        end = first + asked.length
    elif isinstance(asked.last, int):
        end = asked.last + 1 - counting.start
    else:
        assert asked.last is not None
        end = _end_of_labels(asked, first, counting)
    if end <= first:
        why = "is empty" if end == first else "ends before it begins"
        raise BadTimecode(f"the range {why} (the out point is the first frame that is not in it)")
    if first < 0 or end > counting.frames:
        raise BadTimecode(f"the range is outside the file, which has {counting.shown}")
    low, high = max(first - asked.head, 0), min(end + asked.tail, counting.frames)
    clamped = (low, high) != (first - asked.head, end + asked.tail)
    return FrameRange(low, high - low, first - low, high - end, clamped)


def canonical(frames: FrameRange, counting: Counting) -> str:
    """The range as filmfs writes it: with `.`, before the frames of drop-frame with `,`; handles after it."""
    first, end = frames.first + frames.head, frames.end - frames.tail
    handles = f"+{frames.head}" if frames.head or frames.tail else ""
    if frames.head != frames.tail:
        handles += f"-{frames.tail}"
    return f"{_written(counting, first)}-{_written(counting, end)}{handles}"


def _written(counting: Counting, position: int) -> str:
    return counting.label(counting.start + position).text(".", "," if counting.drop else ".")


def _point(text: str) -> Point:
    if text.startswith("f"):
        return int(text[1:])
    if text.isdecimal():
        hours, minutes, seconds, frames = (int(text[at : at + 2]) for at in (0, 2, 4, 6))
        return Label(hours, minutes, seconds, frames)
    return read_label(text)


def asserted_rate(text: str) -> Fraction:
    """The rate of `~2997`: 23976 and 2997 are thousandths and hundredths, 24 and 120 are whole. Raises BadTimecode."""
    if "." not in text and len(text) >= 4:
        text = f"{text[:2]}.{text[2:]}" if text[0] != "1" else f"{text[:3]}.{text[3:]}"
    return exact_rate(text)


def _position(point: Point, counting: Counting) -> int:
    """Where in the file a point is; a label that comes again after midnight is the first of its kind in the file."""
    if isinstance(point, int):
        return point - counting.start
    number = point.number(counting.rate, drop=counting.drop)
    position = number - counting.start
    day = frames_per_day(counting.rate, drop=counting.drop)
    return position % day if position % day < counting.frames else position


def _end_of_labels(asked: Asked, first: int, counting: Counting) -> int:
    assert isinstance(asked.first, Label)
    assert isinstance(asked.last, Label)
    day = frames_per_day(counting.rate, drop=counting.drop)
    numbers = [label.number(counting.rate, drop=counting.drop) for label in (asked.first, asked.last)]
    length = numbers[1] - numbers[0]
    passes_midnight = length < 0 and first >= 0 and first + length + day <= counting.frames
    return first + length + (day if passes_midnight else 0)


def with_handles(asked: Asked, frames: int) -> Asked:
    """The same with so many frames more on both sides, unless it asks for handles itself."""
    return asked if asked.head or asked.tail else replace(asked, head=frames, tail=frames)
