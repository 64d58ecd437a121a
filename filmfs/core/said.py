"""When a film begins, as something besides its time code track says it: a label, how that is counted, the reel.

A label is of a film only where it counts as the film does: at the same number of labels a second, or at a part of them
(a camera that counts 30 on 60 frames a second). Drop-frame is believed only where there is drop-frame counting.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import Label, can_drop, nominal, shown_rate

_FIELD_MARK = 0x80


@dataclass(frozen=True, slots=True)
class Said:
    """The label of a film's first frame; `rate` is how many labels a second has, None where that is not said."""

    label: Label
    rate: Fraction | None = None
    reel: str | None = None

    def start(self, rate: Fraction) -> tuple[int, bool]:
        """The frame number of the first frame of a film of that rate, and whether it is counted in drop-frame.

        Raises BadTimecode where the label cannot be of such a film.
        """
        base = nominal(rate if self.rate is None else self.rate)
        frames_per_label, rest = divmod(nominal(rate), base)
        if rest:
            raise BadTimecode(f"{self.label} counts {base} labels a second, and the film has {shown_rate(rate)} frames")
        drop = bool(self.label.drop) and can_drop(rate)
        counted = rate / frames_per_label
        return replace(self.label, drop=drop).number(counted, drop=drop) * frames_per_label, drop


def label_of_bcd(frames: int, seconds: int, minutes: int, hours: int) -> Label | None:
    """The label of four bytes as SMPTE ST 12-1 has them: two decimal digits each, flags in the bits that they spare.

    Bit 6 of the frames is drop-frame. None where a digit is none.
    """
    fields = [_decimal(hours & 0x3F), _decimal(minutes & 0x7F), _decimal(seconds & 0x7F), _decimal(frames & 0x3F)]
    if None in fields:
        return None
    in_hours, in_minutes, in_seconds, in_frames = (field or 0 for field in fields)
    if in_hours > 23 or in_minutes > 59 or in_seconds > 59:
        return None
    return Label(in_hours, in_minutes, in_seconds, in_frames, True if frames & 0x40 else None)


def label_of_pair(label: Label, seconds: int, hours: int, base: int) -> Label:
    """The label at twice the frames, where `label` is one of `base` a second and of two frames.

    Which of the two, the field mark says: in the seconds' byte, at 25 a second in that of the hours (ST 12-1).
    """
    second = (hours if base == 25 else seconds) & _FIELD_MARK
    return replace(label, frames=label.frames * 2 + bool(second))


def _decimal(byte: int) -> int | None:
    tens, units = divmod(byte, 16)
    return tens * 10 + units if units < 10 else None
