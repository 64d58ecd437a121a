"""Image sequences: which file names are the frames of one, and what a range of it is.

    sh010.1001.exr  sh010_1001.exr  0001.dpx     what stands before the last number, the number, what stands after it
    sh010@1011-1020  sh010@f1011-f1020           numbers as the file names have them, the last one is in it
    sh010@01.00.00.00-01.00.02.00                time code, of which the first frame's header says where it begins

Numbers of a sequence are written with the same number of digits, zeros before them, or without zeros at all. A range
with frames that are not there is refused: who asks for ten frames shall not get nine.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from filmfs.core.errors import BadTimecode
from filmfs.core.ranges import Asked, Counting, place, split_name, split_numbers

_FRAME = re.compile(
    r"(?P<before>.*?)(?<!\d)(?P<digits>\d{1,12})(?P<after>\.(?=\d*[A-Za-z])[A-Za-z0-9]{1,8})", re.ASCII | re.DOTALL
)
_SEPARATORS = "._- "
_SHOWN_GAPS = 5


@dataclass(frozen=True)
class ImageSequence:
    """Files of one folder that are the frames of one sequence: numbers in order, and each one's name."""

    before: str
    after: str
    padding: int  # digits of a number, with zeros before it; 1 where there are none
    names: dict[int, str]

    @cached_property
    def numbers(self) -> list[int]:
        """In order."""
        return sorted(self.names)

    @property
    def stem(self) -> str:
        """What people call it: `sh010` of sh010.1001.exr."""
        return self.before.rstrip(_SEPARATORS)

    @property
    def pattern(self) -> str:
        """As programs write it: `sh010.%04d.exr`."""
        return f"{self.before}%{f'0{self.padding}' if self.padding > 1 else ''}d{self.after}"

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Numbers that are missing between the first and the last: (first, last) of each stretch."""
        return [(low + 1, high - 1) for low, high in pairwise(self.numbers) if high - low > 1]

    @property
    def shown(self) -> str:
        """Its own range, for messages."""
        return f"{self.pattern} has {self.numbers[0]} to {self.numbers[-1]}"


def find_sequences(names: Iterable[str]) -> list[ImageSequence]:
    """The sequences of a folder, in the order of their names. A number alone is a sequence of one frame."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name in names:
        found = _FRAME.fullmatch(name)
        if found is not None:
            groups.setdefault((found["before"], found["after"]), []).append((found["digits"], name))
    return [
        ImageSequence(before, after, padding, frames)
        for (before, after), members in sorted(groups.items())
        for padding, frames in sorted(_by_padding(members).items())
    ]


def _by_padding(members: list[tuple[str, str]]) -> dict[int, dict[int, str]]:
    """The frames of names that differ in their numbers alone: those of one way of writing numbers belong together."""
    padded = {len(digits) for digits, _ in members if digits.startswith("0") and len(digits) > 1}
    if not padded and len({len(digits) for digits, _ in members}) == 1:
        padded = {len(members[0][0])}
    found: dict[int, dict[int, str]] = {}
    for digits, name in members:
        # A number that outgrew its zeros still belongs to those that have them.
        fits = [width for width in padded if len(digits) == width or (len(digits) > width and digits[0] != "0")]
        found.setdefault(max(fits, default=1), {})[int(digits)] = name
    return found


def sequence_called(names: Iterable[str], stem: str) -> ImageSequence:
    """The sequence of a folder that is called so, else the only one. Raises BadTimecode when there is not one."""
    sequences = find_sequences(names)
    called = [each for each in sequences if stem in (each.stem, each.before, each.pattern)] or sequences
    if not called:
        raise BadTimecode(f"there is no image sequence {stem}".rstrip())
    if len(called) > 1:
        which = ", ".join(each.pattern for each in called[:_SHOWN_GAPS])
        raise BadTimecode(f"{stem} could be any of several image sequences: {which}")
    return called[0]


def split_sequence(name: str) -> tuple[str, Asked] | None:
    """A sequence's name and the range that is asked of it, of `sh010@1011-1020`. None when there is none."""
    numbers = split_numbers(name)
    if numbers is not None:
        return numbers
    found = split_name(name)
    return found[:2] if found is not None and not found[2] else None


def select(sequence: ImageSequence, asked: Asked, counting: Counting | None = None) -> list[str]:
    """The names of the frames that are asked for, handles included, in order.

    `counting` is that of its frames from the first number to the last, missing ones too; a range of
    labels needs it. Raises BadTimecode, with the sequence's own range where that tells more.
    """
    first, last = _numbers(sequence, asked, counting)
    low, high = bisect_left(sequence.numbers, first), bisect_right(sequence.numbers, last)
    if high - low <= last - first:
        gaps = [(max(start, first), min(end, last)) for start, end in sequence.gaps if start <= last and end >= first]
        which = ", ".join(str(start) if start == end else f"{start}-{end}" for start, end in gaps[:_SHOWN_GAPS])
        more = " and more" if len(gaps) > _SHOWN_GAPS else ""
        raise BadTimecode(f"frames of {sequence.pattern} are missing: {which}{more}")
    return [sequence.names[number] for number in sequence.numbers[low:high]]


def span_of(sequence: ImageSequence) -> int:
    """How many frames there are from the first number to the last, missing ones too."""
    return sequence.numbers[-1] - sequence.numbers[0] + 1


def _numbers(sequence: ImageSequence, asked: Asked, counting: Counting | None) -> tuple[int, int]:
    low, high = sequence.numbers[0], sequence.numbers[-1]
    if isinstance(asked.first, int):
        if asked.rate is not None and counting is not None:
            place(Asked(counting.start, None, 1, rate=asked.rate), counting)
        assert asked.last is None or isinstance(asked.last, int)
        last = asked.last if asked.last is not None else asked.first + (asked.length or 0) - 1
        if last < asked.first:
            raise BadTimecode("the range ends before it begins (the last number is in it)")
        if asked.first < low or last > high:
            raise BadTimecode(f"the range is outside the sequence: {sequence.shown}")
        return max(asked.first - asked.head, low), min(last + asked.tail, high)
    if counting is None:
        raise BadTimecode(f"the first frame of the sequence says no time code; ask by number: {sequence.shown}")
    frames = place(asked, counting)
    return low + frames.first, low + frames.end - 1
