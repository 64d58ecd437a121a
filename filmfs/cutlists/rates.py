"""Which frame rates a cut list can be of, when it does not say.

A label with 24 frames is of 25 a second or more, and most events have a source as long as their record only at the
right number of labels a second. What is left is a choice for a person, or for the media: 24 and 23.976 count alike.
"""

from fractions import Fraction

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import Label, can_drop, nominal
from filmfs.cutlists.model import CutList

USUAL_RATES = (
    *(Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30)),
    *(Fraction(48000, 1001), Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60)),
)


def rates_that_fit(cuts: CutList) -> tuple[Fraction, ...]:
    """The usual rates at which every label of the record exists, those with the fewest odd lengths; slowest first.

    Where most lengths are odd at each of them (sound that counts in another way), lengths say nothing.
    """
    if cuts.rate is not None:
        return (cuts.rate,)
    odd: dict[Fraction, int] = {}
    for rate in USUAL_RATES:
        if nominal(rate) >= fewest_labels(cuts) and (can_drop(rate) or not cuts.drop):
            try:
                odd[rate] = _odd_lengths(cuts, rate)
            except BadTimecode:
                continue
    fewest = min(odd.values(), default=0)
    return tuple(rate for rate in odd if odd[rate] == fewest or fewest * 2 > len(cuts.events))


def fewest_labels(cuts: CutList) -> int:
    """How many labels a second the record has at least."""
    points = (point for event in cuts.events for point in (event.record.first, event.record.end))
    return max((point.frames + 1 for point in points if isinstance(point, Label)), default=1)


def _odd_lengths(cuts: CutList, rate: Fraction) -> int:
    """How many events at normal speed have a source that is not as long as their record, or none at this rate."""
    odd = 0
    for event in cuts.events:
        length = event.record.length(rate)
        if event.speed is None and not event.still and event.needs_media:
            try:
                odd += event.source.length(rate) != length
            except BadTimecode:
                odd += 1
    return odd
