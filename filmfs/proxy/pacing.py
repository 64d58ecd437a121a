"""When pictures are shown of which a container does not say it in a way that can be used, and how fast they follow."""

from array import array
from fractions import Fraction
from itertools import accumulate, pairwise

import av
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.smpte import exact_rate
from filmfs.media.demuxing import demuxed
from filmfs.proxy.reading import Reading

_DOUBLES_OF = 10  # pictures, of which one may have the time of another


def count_pictures(
    reading: Reading, container: "av.container.InputContainer", stream: VideoStream, like: VideoStream
) -> tuple["array[int]", int]:
    """Times for all pictures that can be decoded: their own where none comes before an earlier one, else evenly.

    Where few have the time of the one before, each of these is a tick later. Also how many packets cannot be decoded.
    """
    times: list[int | None] = []
    lost = 0
    stream.thread_type = "NONE"  # of several threads one may say nothing of an error
    try:
        for packet in demuxed(container, stream):
            try:
                times += [frame.pts for frame in packet.decode()]
            except av.FFmpegError:
                lost += 1
    except av.FFmpegError as error:
        reading.raise_failure(error)
    reading.raise_failure()
    reading.raise_gaps()
    if not times:
        raise BadMedia("none of its pictures can be decoded")
    known = [time for time in times if time is not None]
    doubles = sum(before == time for before, time in pairwise(known))
    is_rising = len(known) == len(times) and all(before <= time for before, time in pairwise(known))
    if is_rising and doubles * _DOUBLES_OF <= len(known):
        return array("q", accumulate(known, lambda before, time: max(before + 1, time))), lost
    rate = Fraction(like.average_rate or like.guessed_rate or 25)
    step = 1 / rate / Fraction(like.time_base or 1)
    return array("q", (round((known[0] if known else 0) + number * step) for number in range(len(times)))), lost


def pace_of(times: "array[int]", stream: VideoStream) -> tuple[Fraction, bool]:
    """Frames a second, and whether each picture has as long: within a tick, as some clocks cannot say it exactly."""
    base = Fraction(stream.time_base or 1)
    said = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    average = (len(times) - 1) / ((times[-1] - times[0]) * base) if len(times) > 1 else (said or [Fraction(25)])[0]
    if len(times) == 1:
        return average, True
    steps = {after - before for before, after in pairwise(times)}
    candidates = [1 / (steps.pop() * base)] if len(steps) == 1 and base < Fraction(1, 2000) else []
    candidates += [*(known for rate in (*said, average) if (known := _known(rate))), *said]
    for rate in candidates:
        ticks = 1 / rate / base
        if all(abs(time - times[0] - number * ticks) < 1 for number, time in enumerate(times)):
            return rate, True
    return average, False


def _known(rate: Fraction) -> Fraction | None:
    """The rate that people mean."""
    try:
        return exact_rate(float(rate))
    except BadTimecode:
        return None
