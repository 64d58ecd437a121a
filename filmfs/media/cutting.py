"""Which samples of a movie a range of its frames needs, and what of them is to be shown.

Frames are exact: each frame of the range has one sample within half a frame of its time, or the range is refused.
Decoding begins at the last sync sample that is shown no later than the first frame, so that open groups of pictures
come out right; pictures before that sync sample in time, which need the group before, are left out. What is decoded and
not asked for is hidden by the edit list. Sound is cut where the first and the last frame begin and end, to the sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from filmfs.core.errors import BadMedia
from filmfs.media.movie import Pace, Track
from filmfs.media.sound import frame_bytes

_PRE_ROLL_S = Fraction(80, 1000)  # of packets that need their neighbours before them (RFC 7845 has the longest)
_PRE_ROLL_PACKETS = 2


@dataclass(frozen=True, slots=True)
class Cut:
    """Samples [start, end) of a track less the `omitted`, with the stretch of them that is shown.

    `begins` and `ends` are that stretch in the track's own time, `delay` seconds of nothing before it.
    """

    track: Track
    start: int
    end: int
    begins: int
    ends: int
    omitted: frozenset[int] = frozenset()
    delay: Fraction = Fraction(0)
    sample_bytes: int = 0  # of uncompressed sound: bytes of a frame of it, whatever the table calls a sample
    pre_roll: int = 0  # packets of sound that are there only for those after them,
    packet: int = 0  # and how long each of them lasts

    @property
    def zero(self) -> int:
        """The track's own time at which the samples begin."""
        return self.track.table.decoded_at(self.start + self.pre_roll) - self.pre_roll * self.packet


@dataclass(frozen=True, slots=True)
class Stretch:
    """A range in seconds of the movie, from `begins` to `ends`."""

    begins: Fraction
    ends: Fraction


def cut_picture(track: Track, pace: Pace, first: int, count: int) -> tuple[Cut, Stretch]:
    """The samples for `count` frames from frame `first` on. Raises BadMedia where they are not all there, once each."""
    table = track.table
    low, high = table.shift_range
    half = pace.tick / 2
    begins, ends = floor(pace.time_of(first) - half) + 1, floor(pace.time_of(first + count) - half) + 1
    start, end = table.decoded_by(begins - high), min(table.decoded_by(ends - low), table.count)
    times = table.shown_at(start, end)
    numbers: Sequence[int] = range(start, end)
    if not table.is_in_order:
        wanted = sorted((time, index) for time, index in zip(times, numbers, strict=True) if begins <= time < ends)
        times, numbers = ([time for time, _ in wanted], [index for _, index in wanted])
    if not pace.shows(times, first, count):
        raise BadMedia("the frames of the range are not evenly spaced: some are missing, or come twice")
    shown_from, decoded_to = times[0], max(numbers) + 1
    sync, sync_time = _sync_sample(track, min(numbers), shown_from)
    omitted: frozenset[int] = frozenset()
    if not table.is_in_order:  # leading pictures need what is not in the clip
        shown = enumerate(table.shown_at(sync, decoded_to), sync)
        omitted = frozenset(index for index, time in shown if time < sync_time)
    shown_to = _end_of_last(pace, times[-1], first + count)
    cut = Cut(track, sync, decoded_to, shown_from, shown_to, omitted)
    offset = track.edit.delay + Fraction(-track.edit.start, track.timescale)
    return cut, Stretch(offset + Fraction(shown_from, track.timescale), offset + Fraction(shown_to, track.timescale))


def _sync_sample(track: Track, index: int, time: int) -> tuple[int, int]:
    """The last sync sample up to `index` that is shown no later than `time`, and when it is."""
    table = track.table
    candidates = table.sync_before(index)
    for sync in reversed(candidates):
        (shown_at,) = table.shown_at(sync, sync + 1)
        if shown_at <= time:
            return sync, shown_at
    raise BadMedia("the film does not begin with a picture that stands by itself")


def _end_of_last(pace: Pace, time: int, frame: int) -> int:
    """When the frame after the last, which is shown at `time`, is shown or would be."""
    if pace.tick.denominator == 1:
        return time + int(pace.tick)
    return max(round(pace.time_of(frame)), time + 1)


def cut_sound(track: Track, stretch: Stretch) -> Cut | None:
    """The samples that are heard in a stretch of the movie; None where the track is silent all through it."""
    scale, edit = track.timescale, track.edit
    begins = round((stretch.begins - edit.delay) * scale) + edit.start
    ends = round((stretch.ends - edit.delay) * scale) + edit.start
    table = track.table
    width = frame_bytes(track)
    if width and {duration for _, duration in table.duration_runs} != {1}:
        raise BadMedia(f"the uncompressed sound of track {track.number} has gaps, or lies in packets")
    last = table.decoded_at(table.count)
    low, high = max(begins, edit.start, 0), min(ends, edit.end if edit.end is not None else last, last)
    if high <= low:
        return None
    delay = Fraction(low - begins, scale)
    if width:
        return Cut(track, low, high, low, high, delay=delay, sample_bytes=width)
    first, end = table.decoded_by(low + 1) - 1, table.decoded_by(high)
    before = table.decoded_by(max(floor(low - _PRE_ROLL_S * scale), 0) + 1) - 1
    start = max(min(first - _PRE_ROLL_PACKETS, before), 0)
    _, packet = max(table.duration_runs)
    return Cut(track, start, end, low, high, delay=delay, pre_roll=first - start, packet=packet)
