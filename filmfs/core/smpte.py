"""SMPTE time code (ST 12-1): exact rates, labels and frame numbers.

A *frame number* counts frames from the label 00:00:00:00 on. A *label* is hours, minutes, seconds and frames, and says
a frame number modulo 24 hours. Drop-frame counting leaves labels out so that they keep pace with the clock at
30000/1001 frames a second and its multiples: of each minute but every tenth the first two, four, eight … Nothing here
is a float, and a label that does not exist is refused, never moved to a neighbour.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from filmfs.core.errors import BadTimecode

_WHOLE_RATES = (
    *range(1, 61),
    64,
    72,
    75,
    80,
    90,
    96,
    100,
    120,
    144,
    150,
    180,
    192,
    200,
    240,
    250,
    300,
    480,
    500,
    960,
    1000,
)
_THOUSANDTHS = (12, 15, 24, 30, 48, 60, 72, 96, 120, 144, 192, 240, 480)  # n × 1000/1001
KNOWN_RATES = (*map(Fraction, _WHOLE_RATES), *(Fraction(n * 1000, 1001) for n in _THOUSANDTHS), Fraction(25, 2))
_NEAR = Fraction(1, 150)  # 23.98 is 24000/1001, and 29.96 is nothing
_LABEL = re.compile(r"(\d\d)[:.](\d\d)[:.](\d\d)([:.;,])(\d\d\d?)", re.ASCII)


def exact_rate(rate: float | str | Fraction) -> Fraction:
    """Frames a second, exactly: 23.976, "23.98" and "24000/1001" are 24000/1001.

    Raises BadTimecode for what is no video rate.
    """
    if isinstance(rate, Fraction):
        exact = rate
    else:
        try:
            given = Fraction(str(rate))
        except (ValueError, ZeroDivisionError):
            raise BadTimecode(f"{rate!r} is no frame rate") from None
        exact = KNOWN_RATES[0]
        for known in KNOWN_RATES:
            if abs(known - given) < abs(exact - given):
                exact = known
        if abs(exact - given) > min(_NEAR, _NEAR * exact / 24):
            raise BadTimecode(f"{rate} frames a second is no video rate")
    if not 0 < exact <= 10_000:
        raise BadTimecode(f"{rate} frames a second is no video rate")
    return exact


def nominal(rate: Fraction) -> int:
    """How many labels a second has: 30 for 30000/1001, and as FFmpeg has it 13 for 12.5."""
    over, under = rate.numerator, rate.denominator
    return max(1, over if under == 1 else (2 * over + under) // (2 * under))


def can_drop(rate: Fraction) -> bool:
    """Whether drop-frame counting exists at a rate."""
    return nominal(rate) % 30 == 0 and rate == Fraction(nominal(rate) * 1000, 1001)


def frames_per_day(rate: Fraction, *, drop: bool) -> int:
    """How many labels there are."""
    frames = nominal(rate) * 86_400
    return frames - _dropped(rate) * 9 * 6 * 24 if drop else frames


def _dropped(rate: Fraction) -> int:
    """Labels that are left out of a minute: 2 of 30, 4 of 60, 8 of 120."""
    return nominal(rate) // 15


@dataclass(frozen=True, slots=True, order=True)
class Label:
    """hours:minutes:seconds:frames; `drop` is what its last separator says, None if nothing."""

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop: bool | None = None

    def number(self, rate: Fraction, *, drop: bool) -> int:
        """Its frame number. Raises BadTimecode for a label that does not exist, or of the other way of counting."""
        if self.drop and not drop:
            raise BadTimecode(f"{self.text(last=':')} is written as drop-frame, and the time code is non-drop")
        if drop and not can_drop(rate):
            raise BadTimecode(f"there is no drop-frame counting at {shown_rate(rate)} frames a second")
        base, mark = nominal(rate), ";" if drop else ":"
        if not (0 <= self.hours < 24 and 0 <= self.minutes < 60 and 0 <= self.seconds < 60 and 0 <= self.frames < base):
            raise BadTimecode(f"{self.text(last=mark)} is no label at {shown_rate(rate)} frames a second")
        minutes = self.hours * 60 + self.minutes
        number = (minutes * 60 + self.seconds) * base + self.frames
        if drop:
            if self.minutes % 10 and not self.seconds and self.frames < _dropped(rate):
                raise BadTimecode(f"{self.text(last=mark)} does not exist: drop-frame counting leaves it out")
            number -= _dropped(rate) * (minutes - minutes // 10)
        return number

    def __str__(self) -> str:
        return self.text()

    def text(self, between: str = ":", last: str | None = None) -> str:
        """As it is written; drop-frame has `;` before the frames, or what `last` says."""
        mark = last or (";" if self.drop else between)
        return f"{self.hours:02d}{between}{self.minutes:02d}{between}{self.seconds:02d}{mark}{self.frames:02d}"


def label_of(number: int, rate: Fraction, *, drop: bool) -> Label:
    """The label of a frame number, modulo 24 hours. Raises BadTimecode where there is no such counting."""
    if drop and not can_drop(rate):
        raise BadTimecode(f"there is no drop-frame counting at {shown_rate(rate)} frames a second")
    base = nominal(rate)
    number %= frames_per_day(rate, drop=drop)
    if drop:
        dropped = _dropped(rate)
        tens, rest = divmod(number, base * 600 - dropped * 9)
        # The first minute of ten has all its labels; after it each is shorter, and begins with those left out.
        number += dropped * (9 * tens + max(0, (rest - dropped) // (base * 60 - dropped)))
    seconds, frames = divmod(number, base)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return Label(hours, minutes, seconds, frames, drop)


def read_label(text: str) -> Label:
    """A label as people write it: `:` or `.` between the fields, `;` or `,` before the frames of drop-frame.

    `:` and `.` there say nothing about drop-frame. Raises BadTimecode.
    """
    found = _LABEL.fullmatch(text)
    if found is None:
        raise BadTimecode(f"{text!r} is no time code; 01:00:00:00 is one")
    hours, minutes, seconds, mark, frames = found.groups()
    return Label(int(hours), int(minutes), int(seconds), int(frames), True if mark in ";," else None)


def shown_rate(rate: Fraction) -> str:
    """A rate as people write it: 24, 23.976, 29.97, 12.5, 59.94."""
    if rate.denominator == 1:
        return str(rate.numerator)
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")
