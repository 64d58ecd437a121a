"""When each picture of an original is shown, and where decoding can begin.

QuickTime and MP4 say so in their tables, which are read alone. Of all else, and of what those tables say in a way that
FFmpeg might take otherwise, every packet is looked at.
"""

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia
from filmfs.media.demuxing import demuxed
from filmfs.media.ending import cut_off
from filmfs.media.movie import Track
from filmfs.media.quicktime import open_quicktime
from filmfs.media.wave import open_wave
from filmfs.proxy.reading import Opener, Reading
from filmfs.store.containers import FileBytes


@dataclass(frozen=True, slots=True)
class Looked:
    """Times of pictures in the order in which they are shown, and of those with which decoding can begin.

    `last` is how long the last one is shown; all in the stream's time base. `is_trusted`: each picture has one.
    `sizes` are those of the pictures' packets, in bytes.
    """

    times: "array[int]"
    keys: "array[int]"
    last: int
    is_trusted: bool
    sizes: "array[int]"

    def starts(self, *, is_intra: bool) -> "array[int]":
        """The numbers of pictures with which decoding can begin."""
        if is_intra:
            return array("q", range(len(self.times)))
        numbers = {time: number for number, time in enumerate(self.times)}
        return array("q", sorted({numbers[key] for key in self.keys if key in numbers} | {0}))


def look_at_tables(opener: Opener, stream: VideoStream) -> Looked | None:
    """What the tables say; None where the packets must be asked. Raises BadMedia for a file that was cut off."""
    place = opener()
    if isinstance(place, str) and not os.path.isfile(place):
        return None
    with open(place, "rb") if isinstance(place, str) else place as file:
        source = FileBytes(file)
        try:
            track = open_quicktime(source).movie.picture
            if track is None or track.number != stream.id or stream.time_base != Fraction(1, track.timescale):
                return None
            looked = _of_track(track)
        except BadMedia:
            return None
        if looked is not None:
            _refuse_cut_off(track, source.size)
        return looked


def _of_track(track: Track) -> Looked | None:
    table, edit = track.table, track.edit
    delay = edit.delay * track.timescale
    times = table.shown_at(0, table.count)
    end = max(times, default=0) + 1 if edit.end is None else edit.end
    offset = int(delay) - edit.start
    sizes = repeat(table.size, table.count) if table.size else table.sizes(0, table.count)
    pairs = zip(times, sizes, strict=True)
    ordered = sorted((time + offset, size) for time, size in pairs if edit.start <= time < end)
    shown = array("q", (time for time, _ in ordered))
    if delay.denominator != 1 or not shown or shown[0] != delay:
        return None
    keys = array("q", (times[index] + offset for index in table.syncs(0, table.count)))
    latest = (
        max(range(len(times)), key=times.__getitem__) if edit.end is None else list(times).index(shown[-1] - offset)
    )
    ((_, last),) = table.durations(latest, latest + 1)
    return Looked(shown, keys, last, len(set(shown)) == len(shown), array("q", (size for _, size in ordered)))


def _refuse_cut_off(track: Track, size: int) -> None:
    table = track.table
    there = sum(table.offset_of(index) + table.size_of(index) <= size for index in range(table.count))
    if there < table.count:
        raise BadMedia(f"the file ends before {table.count - there} of its {table.count} frames: it was cut off")


def how_cut_off(opener: Opener) -> str:
    """How a file lacks its end, in words, as far as that is known: see media.ending. Raises what its disk says."""
    place = opener()
    if isinstance(place, str) and not os.path.isfile(place):
        return ""
    with open(place, "rb") if isinstance(place, str) else place as file:
        return cut_off(FileBytes(file))


def refuse_cut_off_sound(opener: Opener) -> None:
    """Raises BadMedia for a WAV file that ends before the samples that it promises."""
    place = opener()
    if isinstance(place, str) and not os.path.isfile(place):
        return
    with open(place, "rb") if isinstance(place, str) else place as file:
        try:
            wave = open_wave(FileBytes(file))
        except BadMedia:  # of a kind that filmfs does not read by itself
            return
    if wave.missing:
        count = wave.samples + wave.missing
        raise BadMedia(f"the file ends before {wave.missing} of its {count} samples: it was cut off")


def packets_of(reading: Reading, container: InputContainer, *streams: Stream) -> Iterator[Any]:
    """Packets of some streams, up to where the file ends or makes no sense any further.

    Raises DiskFailure and its kind where it cannot be read.
    """
    packets = demuxed(container, *streams)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            reading.raise_failure(error)
            return
        if packet is None:
            reading.raise_failure()
            return
        yield packet


def look_at_packets(reading: Reading, container: InputContainer, stream: VideoStream) -> Looked:
    """What the packets say. Raises BadMedia when there are none, DiskFailure when not all can be read."""
    times, sizes, keys = array("q"), array("q"), array("q")
    last, latest, is_trusted = 0, None, True
    try:
        for packet in demuxed(container, stream):
            if not packet.size:
                continue
            if packet.pts is None:
                is_trusted = False
                continue
            if packet.is_keyframe:
                keys.append(packet.pts)
            if packet.is_discard:
                continue
            times.append(packet.pts)
            sizes.append(packet.size)
            if latest is None or packet.pts > latest:
                latest, last = packet.pts, packet.duration or 0
    except av.FFmpegError as error:
        reading.raise_failure(error)
        if not times:
            raise BadMedia(f"FFmpeg cannot read its pictures: {error.strerror or error}") from None
    reading.raise_failure()
    reading.raise_gaps()
    pairs = sorted(zip(times, sizes, strict=True))
    ordered = array("q", (time for time, _ in pairs))
    is_trusted = is_trusted and len(set(ordered)) == len(ordered)
    return Looked(ordered, keys, last, is_trusted, array("q", (size for _, size in pairs)))
