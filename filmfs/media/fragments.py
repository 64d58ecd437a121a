"""Fragmented movies (ISO/IEC 14496-12, 8.8): the tables that they would have if they were whole.

A fragment (`moof`) lists its samples by run; what it leaves out, `tfhd` says for the track and `trex` for the file. The
outcome is a `moov` with all tables in it, of which offsets count in the same file, so that everything else knows only
whole movies.
"""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.media import writing
from filmfs.media.boxes import Box, boxes_of, find, write_box
from filmfs.media.movie import SOUND, Movie, Track
from filmfs.media.sound import frame_bytes

_MOOF_MAX = 16 << 20
_SAMPLES_MAX = 10_000_000
_NON_SYNC = 0x10000  # of sample flags
# Flags of tfhd and trun
_BASE_OFFSET, _DESCRIPTION, _DURATION, _SIZE, _FLAGS, _MOOF_IS_BASE = 0x1, 0x2, 0x8, 0x10, 0x20, 0x20000
_RUN_OFFSET, _RUN_FIRST_FLAGS = 0x1, 0x4
_RUN_FIELDS = (0x100, 0x200, 0x400, 0x800)  # duration, size, flags, shift


@dataclass
class _Samples:
    """What was found of one track."""

    description: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0
    sizes: "array[int]" = field(default_factory=lambda: array("I"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    shifts: "array[int]" = field(default_factory=lambda: array("i"))
    sync: list[int] = field(default_factory=list)
    chunks: list[tuple[int, int, int]] = field(default_factory=list)  # offset, samples, description
    next_time: int = 0
    has_shifts: bool = False


def is_fragmented(movie: Movie) -> bool:
    """Whether the samples of a movie, or more of them, are in fragments."""
    return find(movie.data, "mvex", movie.box.body, movie.box.end) is not None


def gather(source: ByteSource, movie: Movie, moofs: Iterable[Box]) -> Movie:
    """The movie with the samples of all its fragments. Raises BadMedia."""
    if any(track.table.count for track in movie.tracks if track.find("mdia/minf/stbl/stsz") is not None):
        raise BadMedia("some samples of the movie are in fragments, and some are not")
    found = {track.number: _Samples() for track in movie.tracks}
    _read_defaults(movie, found)
    total = 0
    for moof in moofs:
        if moof.end - moof.start > _MOOF_MAX:
            raise BadMedia(f"a fragment's header has {moof.end - moof.start} bytes")
        data = source.read(moof.start, moof.end - moof.start)
        total += _read_fragment(data, moof.start, found)
        if total > _SAMPLES_MAX:
            raise BadMedia("the fragments have more samples than any film")
    if not total:
        raise BadMedia("the movie has no samples: its recording was not finished")
    return _whole(movie, found)


def _read_defaults(movie: Movie, found: dict[int, _Samples]) -> None:
    mvex = find(movie.data, "mvex", movie.box.body, movie.box.end)
    assert mvex is not None
    for box in boxes_of(movie.data, mvex.body, mvex.end):
        if box.kind == b"trex" and box.length >= 24:
            number, *defaults = unpack_from(">5I", movie.data, box.body + 4)
            if number in found:
                samples = found[number]
                samples.description, samples.duration, samples.size, samples.flags = defaults


def _read_fragment(data: bytes, start: int, found: dict[int, _Samples]) -> int:
    """Adds the samples of one moof, which begins at `start` of the file; how many they were."""
    (moof,) = boxes_of(data)
    count, end = 0, start
    for traf in boxes_of(data, moof.body, moof.end):
        if traf.kind == b"traf":
            more, end = _read_track(data, traf, start, end, found)
            count += more
    return count


def _read_track(data: bytes, traf: Box, start: int, base: int, found: dict[int, _Samples]) -> tuple[int, int]:
    tfhd = find(data, "tfhd", traf.body, traf.end)
    if tfhd is None or tfhd.length < 8:
        raise BadMedia("a fragment does not say of which track it is")
    flags = int.from_bytes(data[tfhd.body + 1 : tfhd.body + 4], "big")
    (number,) = unpack_from(">I", data, tfhd.body + 4)
    samples = found.get(number)
    if samples is None:
        raise BadMedia(f"a fragment is of track {number}, which the movie has not")
    fields = _Fields(data, tfhd.body + 8, tfhd.end)
    base = fields.next(8) if flags & _BASE_OFFSET else start if flags & _MOOF_IS_BASE else base
    description = fields.next(4) if flags & _DESCRIPTION else samples.description
    duration = fields.next(4) if flags & _DURATION else samples.duration
    size = fields.next(4) if flags & _SIZE else samples.size
    sample_flags = fields.next(4) if flags & _FLAGS else samples.flags
    tfdt = find(data, "tfdt", traf.body, traf.end)
    if tfdt is not None:
        width = 8 if data[tfdt.body] else 4
        samples.next_time = _Fields(data, tfdt.body + 4, tfdt.end).next(width)
        if samples.times and samples.next_time < samples.times[-1]:
            raise BadMedia("the fragments are out of order")
    at, count = base, 0
    for box in boxes_of(data, traf.body, traf.end):
        if box.kind == b"trun":
            run = _Run(data, box, duration, size, sample_flags)
            at = base + run.offset if run.offset is not None else at
            run.add_to(samples, at, description)
            at, count = at + sum(run.sizes), count + run.count
    return count, at


class _Fields:
    """Numbers one after another."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data, self.at, self._end = data, at, end

    def next(self, width: int, *, signed: bool = False) -> int:
        """The next one. Raises BadMedia at the end."""
        if self.at + width > self._end:
            raise BadMedia("the header of a fragment is cut off")
        self.at += width
        return int.from_bytes(self._data[self.at - width : self.at], "big", signed=signed)


class _Run:
    """A `trun`: samples that lie one after another."""

    def __init__(self, data: bytes, box: Box, duration: int, size: int, flags: int) -> None:
        fields = _Fields(data, box.body, box.end)
        has = fields.next(4) & 0xFFFFFF
        self.count = fields.next(4)
        self.offset = fields.next(4, signed=True) if has & _RUN_OFFSET else None
        first_flags = fields.next(4) if has & _RUN_FIRST_FLAGS else None
        present = [bool(has & bit) for bit in _RUN_FIELDS]
        width = 4 * sum(present)
        if self.count > _SAMPLES_MAX or fields.at + width * self.count > box.end:
            raise BadMedia("a run of samples is cut off")
        values = writing.swapped(array("I", data[fields.at : fields.at + width * self.count]))
        columns = iter([values[number :: sum(present)] for number in range(sum(present))])
        said = [next(columns) if is_there else None for is_there in present]
        self.durations = said[0] if said[0] is not None else array("I", [duration]) * self.count
        self.sizes = said[1] if said[1] is not None else array("I", [size]) * self.count
        self.flags = said[2] if said[2] is not None else array("I", [flags]) * self.count
        if first_flags is not None and self.count:
            self.flags[0] = first_flags
        self.shifts = None if said[3] is None else array("i", said[3].tobytes())

    def add_to(self, samples: _Samples, offset: int, description: int) -> None:
        """Adds the samples of this run, which lie at `offset`."""
        if not self.count:
            return
        if offset < 0:
            raise BadMedia("a run of samples lies before the file")
        first = len(samples.sizes)
        samples.chunks.append((offset, self.count, description))
        samples.sizes.extend(self.sizes)
        times = list(accumulate(self.durations, initial=samples.next_time))
        if times[-1] >= 1 << 62:
            raise BadMedia("the times of a fragment are past any film's")
        samples.times.extend(times[:-1])
        samples.next_time = times[-1]
        samples.has_shifts |= self.shifts is not None
        samples.shifts.extend(self.shifts if self.shifts is not None else array("i", bytes(4 * self.count)))
        samples.sync += (number for number, flags in enumerate(self.flags, first + 1) if not flags & _NON_SYNC)


def _whole(movie: Movie, found: dict[int, _Samples]) -> Movie:
    """The moov with full tables."""
    begins = min(
        (Fraction(samples.times[0], track.timescale) for track, samples in _used(movie, found)), default=Fraction(0)
    )
    data, parts = movie.data, []
    tracks = {track.box.start: track for track in movie.tracks}
    for box in boxes_of(data, movie.box.body, movie.box.end):
        if box.start in tracks:
            parts.append(_whole_track(tracks[box.start], found[tracks[box.start].number], begins))
        elif box.kind != b"mvex":
            parts.append(data[box.start : box.end])
    return Movie(write_box(b"moov", *parts))


def _used(movie: Movie, found: dict[int, _Samples]) -> Iterator[tuple[Track, _Samples]]:
    return ((track, found[track.number]) for track in movie.tracks if found[track.number].times)


def _whole_track(track: Track, samples: _Samples, begins: Fraction) -> bytes:
    data = track.movie.data
    zero = samples.times[0] if samples.times else 0
    delay = Fraction(zero, track.timescale) - begins
    parts = []
    for box in boxes_of(data, track.box.body, track.box.end):
        if box.kind == b"mdia":
            parts.append(_with_tables(data, box, _tables(track, samples)))
        elif box.kind != b"edts" or not (zero or delay):
            parts.append(data[box.start : box.end])
    if zero or delay:
        # Recordings that do not begin at zero: their edits count from what was before.
        edit = track.edit
        start = max(edit.start - zero, 0)
        scale = track.movie.timescale
        last = (samples.times[-1] if samples.times else 0) - zero - start
        parts.insert(1, writing.edits([(round((edit.delay + delay) * scale), -1), (max(last, 1) * scale, start)]))
    return write_box(b"trak", *parts)


def _with_tables(data: bytes, mdia: Box, stbl: bytes) -> bytes:
    parts = []
    for box in boxes_of(data, mdia.body, mdia.end):
        if box.kind == b"minf":
            inner = (each for each in boxes_of(data, box.body, box.end))
            parts.append(
                write_box(b"minf", *(stbl if each.kind == b"stbl" else data[each.start : each.end] for each in inner))
            )
        else:
            parts.append(data[box.start : box.end])
    return write_box(b"mdia", *parts)


def _tables(track: Track, samples: _Samples) -> bytes:
    stsd = track.need("mdia/minf/stbl/stsd")
    times = [*samples.times, samples.next_time]
    lasts = [after - before for before, after in pairwise(times)] if samples.times else []
    if any(duration < 0 for duration in lasts):
        raise BadMedia("the fragments overlap in time")
    description = track.movie.data[stsd.start : stsd.end]
    offsets = writing.chunk_offsets([offset for offset, _, _ in samples.chunks], large=True)
    width = frame_bytes(track) if track.kind == SOUND else 0
    if width and all(size == duration * width for size, duration in zip(samples.sizes, lasts, strict=True)):
        # Packets of uncompressed sound: to be cut anywhere they are taken apart.
        ends = list(accumulate(lasts, initial=0))
        bounds = list(accumulate((count for _, count, _ in samples.chunks), initial=0))
        frames = [ends[high] - ends[low] for low, high in pairwise(bounds)]
        contents = zip(frames, (of for _, _, of in samples.chunks), strict=True)
        tables = (
            writing.durations([(ends[-1], 1)]),
            writing.chunk_contents(contents),
            writing.one_size(width, ends[-1]),
        )
        return write_box(b"stbl", description, *tables, offsets)
    boxes = [description, writing.durations(writing.grouped(lasts))]
    if samples.has_shifts:
        boxes.append(writing.shifts(samples.shifts))
    if len(samples.sync) < len(samples.sizes):
        boxes.append(writing.sync_samples(samples.sync))
    boxes.append(writing.chunk_contents((count, of) for _, count, of in samples.chunks))
    boxes.append(writing.sizes(samples.sizes))
    return write_box(b"stbl", *boxes, offsets)
