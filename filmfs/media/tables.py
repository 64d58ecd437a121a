"""The sample tables of a track (ISO/IEC 14496-12, 8.6 and 8.7): where each sample lies, how long it is, when it is
shown.

Samples are numbered from 0 in decoding order. Times are in units of the track's time scale. The tables stay where they
are in the movie's bytes, and only what is asked for is read of them: a film of two hours costs milliseconds, and little
memory besides those bytes.
"""

import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain, islice, repeat
from operator import add, ge, mul, sub
from struct import unpack_from
from typing import NamedTuple

from filmfs.core.errors import BadMedia
from filmfs.media.boxes import Box, boxes_of

_SAMPLES_MAX = 100_000_000  # 12 hours at 2,000 a second
_TIME_MAX = 1 << 62
_WIDTHS = {"I": 4, "i": 4, "Q": 8}
_BLOCK = 512


class Chunks(NamedTuple):
    """What samples lie in, in their order: columns of as many numbers. Descriptions count from 1."""

    offsets: Sequence[int]
    firsts: Sequence[int]  # the number of the first sample in each
    samples: Sequence[int]  # how many
    descriptions: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Column:
    """`count` big-endian numbers of a table, the first of them at `start`, one each `step` of their widths."""

    data: bytes
    code: str
    start: int
    count: int
    step: int = 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        width = _WIDTHS[self.code] * self.step
        return int(unpack_from(f">{self.code}", self.data, self.start + index * width)[0])

    def between(self, low: int, high: int) -> "array[int]":
        """Those from one index up to, and without, another; as a slice of a list would be."""
        low, high, _ = slice(low, high).indices(self.count)
        width = _WIDTHS[self.code] * self.step
        values = array(self.code)
        values.frombytes(self.data[self.start + low * width : self.start + max(low, high) * width])
        if sys.byteorder == "little":
            values.byteswap()
        return values[:: self.step] if self.step > 1 else values

    def all(self) -> "array[int]":
        """All of them."""
        return self.between(0, self.count)

    def distinct(self) -> set[int]:
        """Those that differ; of what comes again and again, as shifts do, each stretch is looked at once."""
        size = _WIDTHS[self.code] * self.step * _BLOCK
        end = self.start + self.count * _WIDTHS[self.code] * self.step
        blocks = {self.data[at : min(at + size, end)] for at in range(self.start, end, size)}
        columns = (replace(self, data=block, start=0, count=self._entries_of(block)) for block in blocks)
        return set(chain.from_iterable(column.all() for column in columns))

    def _entries_of(self, data: bytes) -> int:
        return -(-len(data) // (_WIDTHS[self.code] * self.step))


class _Runs:
    """Values in runs of so many samples each. Where every 512th run begins is kept, the others are counted from it."""

    def __init__(self, lengths: _Column, values: _Column) -> None:
        self.lengths = lengths
        self.values = values
        blocks = (sum(lengths.between(at, at + _BLOCK)) for at in range(0, len(lengths), _BLOCK))
        self._marks = list(accumulate(blocks, initial=0))

    @property
    def count(self) -> int:
        """Of how many samples they are."""
        return self._marks[-1]

    def between(self, start: int, end: int) -> list[tuple[int, int]]:
        """(count, value) of the samples [start, end), all of which there are."""
        if end <= start:
            return []
        low = (bisect_right(self._marks, start) - 1) * _BLOCK
        high = bisect_left(self._marks, end) * _BLOCK
        ends = list(accumulate(self.lengths.between(low, high), initial=self._marks[low // _BLOCK]))
        first, last = bisect_right(ends, start), bisect_left(ends, end)
        edges = [start, *ends[first:last], end]
        values = self.values.between(low + first - 1, low + last)
        return [run for run in zip(map(sub, edges[1:], edges), values, strict=True) if run[0]]

    def expanded(self, start: int, end: int) -> list[int]:
        """The values of samples [start, end)."""
        return list(chain.from_iterable([value] * count for count, value in self.between(start, end)))


class SampleTable:
    """One track's. Nothing of it changes; any thread may ask."""

    def __init__(self, data: bytes, stbl: Box) -> None:
        """Raises BadMedia when the tables contradict each other."""
        self._data = data
        found = {box.kind: box for box in boxes_of(data, stbl.body, stbl.end)}
        self._found = found
        self.size, self._sizes = self._read_sizes()
        self.count = self._counted if self.size else len(self._sizes)
        self._offsets = self._read_offsets()
        self._read_chunks()
        self._durations = self._read_runs(b"stts", "I")
        lengths, durations = self._durations.lengths.all(), self._durations.values.all()
        length = sum(map(mul, lengths, durations))
        if self._durations.count != self.count or length > _TIME_MAX:
            raise BadMedia(f"a track has {self.count} samples and times for {self._durations.count}")
        self._ends: array[int] = array("Q", accumulate(lengths))  # of the runs of durations
        self._starts: array[int] = array("Q", accumulate(map(mul, lengths, durations), initial=0))
        self._shifts = self._read_runs(b"ctts", "i") if b"ctts" in found else None
        if self._shifts is not None and self._shifts.count != self.count:
            raise BadMedia(f"a track has {self.count} samples and shifts for {self._shifts.count}")
        self.sync = self._read_sync()

    # Where samples lie

    def size_of(self, index: int) -> int:
        """Bytes of a sample."""
        return self._sizes[index] if not self.size else self.size

    def bytes_of(self, start: int, end: int) -> int:
        """Bytes of the samples [start, end)."""
        return self.size * (end - start) if self.size else sum(self._sizes.between(start, end))

    def sizes(self, start: int, end: int) -> "array[int]":
        """The sizes of the samples [start, end), where they differ."""
        return self._sizes.between(start, end)

    def offset_of(self, index: int) -> int:
        """Where in the file a sample lies."""
        return self.chunks(index, index + 1).offsets[0]

    def chunks(self, start: int, end: int, width: int = 0) -> Chunks:
        """What the samples [start, end) lie in, in their order, and nothing besides them.

        `width` is the bytes of each, where that is not what the table says.
        """
        if start >= end:
            return Chunks((), (), (), ())
        offsets = self._offsets.between(self._chunk_of(start), self._chunk_of(end - 1) + 1).tolist()
        firsts: list[int] = []
        samples: list[int] = []
        descriptions: list[int] = []
        run, at = bisect_right(self._run_samples, start) - 1, start
        while at < end:
            per, first = self._per_chunk[run], self._run_samples[run]
            upto = min(end, self._run_samples[run + 1]) if run + 1 < len(self._run_samples) else end
            low, high = (at - first) // per, -(-(upto - first) // per)
            firsts += range(first + low * per, first + high * per, per)
            samples += repeat(per, high - low)
            descriptions += repeat(self._descriptions[run], high - low)
            at, run = upto, run + 1
        samples[-1] = end - firsts[-1]
        skipped = start - firsts[0]
        if skipped:
            offsets[0] += width * skipped if width else self.bytes_of(firsts[0], start)
            firsts[0] = start
            samples[0] -= skipped
        return Chunks(offsets, firsts, samples, descriptions)

    def _chunk_of(self, index: int) -> int:
        run = bisect_right(self._run_samples, index) - 1
        return self._run_chunks[run] + (index - self._run_samples[run]) // self._per_chunk[run]

    # When they are shown

    def decoded_at(self, index: int) -> int:
        """The decoding time of a sample; of the one past the last, the end."""
        run = bisect_right(self._ends, index)
        if run == len(self._ends):
            return self._starts[-1]
        begins = self._ends[run - 1] if run else 0
        return self._starts[run] + (index - begins) * self._durations.values[run]

    def decoded_by(self, time: int) -> int:
        """The number of samples whose decoding time is before `time`."""
        run = min(max(bisect_right(self._starts, time - 1) - 1, 0), len(self._ends) - 1)
        if run < 0:
            return 0
        begins = self._ends[run - 1] if run else 0
        step = self._durations.values[run]
        left = time - self._starts[run]
        ends = self._ends[run] - begins
        return begins + (min(max(-(-left // step), 0), ends) if step else (ends if left > 0 else 0))

    @property
    def is_in_order(self) -> bool:
        """Whether samples are shown in the order, and at the time, of their decoding."""
        return self._shifts is None

    def shown_at(self, start: int, end: int) -> Sequence[int]:
        """The times at which the samples [start, end) are shown."""
        runs, begins = self._durations.between(start, end), self.decoded_at(start)
        if len(runs) == 1 and self._shifts is None and runs[0][1]:
            (count, duration), *_ = runs
            return range(begins, begins + count * duration, duration)
        times = islice(
            accumulate(chain.from_iterable([each] * count for count, each in runs), initial=begins), end - start
        )
        if self._shifts is None:
            return list(times)
        return list(map(add, times, self._shifts.expanded(start, end)))

    def durations(self, start: int, end: int) -> list[tuple[int, int]]:
        """(count, duration): how long the samples [start, end) last in decoding."""
        return self._durations.between(start, end)

    def shifts(self, start: int, end: int) -> list[int] | None:
        """How much later than decoded each is shown; None where that is no question."""
        return None if self._shifts is None else self._shifts.expanded(start, end)

    @cached_property
    def shift_range(self) -> tuple[int, int]:
        """The least and the greatest shift."""
        values = self._shifts.values.distinct() if self._shifts is not None else ()
        return (min(values), max(values)) if values else (0, 0)

    @property
    def duration_runs(self) -> list[tuple[int, int]]:
        """(count, duration) as they are stored."""
        return list(zip(self._durations.lengths.all(), self._durations.values.all(), strict=True))

    def sync_before(self, index: int) -> Sequence[int]:
        """The sync samples up to and with `index`, in order; all are, where no table says which."""
        return range(index + 1) if self.sync is None else self.sync[: bisect_right(self.sync, index)]

    def syncs(self, start: int, end: int) -> Sequence[int]:
        """The sync samples of [start, end)."""
        if self.sync is None:
            return range(start, end)
        return self.sync[bisect_left(self.sync, start) : bisect_left(self.sync, end)]

    # Reading the tables

    def _entries(self, kind: bytes, width: int, *, fields: int = 1) -> tuple[int, int]:
        """The place of a table's entries and how many they are."""
        box = self._found.get(kind)
        if box is None or box.length < 8:
            raise BadMedia(f"a track has no {kind.decode()}")
        (count,) = unpack_from(">I", self._data, box.body + 4)
        if count * width * fields > box.length - 8:
            raise BadMedia(f"the {kind.decode()} of a track is cut off")
        return box.body + 8, count

    def _read_sizes(self) -> tuple[int, _Column]:
        box = self._found.get(b"stsz")
        if box is None or box.length < 12:
            raise BadMedia("a track has no stsz" + (", but an stz2" if b"stz2" in self._found else ""))
        size, count = unpack_from(">II", self._data, box.body + 4)
        if not size and count * 4 > box.length - 12:
            raise BadMedia("the stsz of a track is cut off")
        if count > _SAMPLES_MAX * 50:
            raise BadMedia(f"a track says that it has {count} samples")
        self._counted = count
        return size, _Column(self._data, "I", box.body + 12, 0 if size else count)

    def _read_offsets(self) -> _Column:
        kind, code, width = (b"co64", "Q", 8) if b"co64" in self._found else (b"stco", "I", 4)
        return _Column(self._data, code, *self._entries(kind, width))

    def _read_chunks(self) -> None:
        start, count = self._entries(b"stsc", 4, fields=3)
        table = _Column(self._data, "I", start, count * 3).all()
        firsts = [first - 1 for first in table[0::3]]
        self._per_chunk, self._descriptions = table[1::3], table[2::3]
        chunks = len(self._offsets)
        bounds = [*firsts[1:], chunks] if count else []
        if count and (firsts[0] != 0 or any(map(ge, firsts, bounds))):
            raise BadMedia("the chunks of a track are out of order")
        if not all(self._per_chunk):
            raise BadMedia("a chunk of a track has no samples")
        totals = list(accumulate(map(mul, self._per_chunk, map(sub, bounds, firsts)), initial=0))
        if totals[-1] < self.count:
            raise BadMedia(f"a track has {self.count} samples and chunks for {totals[-1]}")
        self._run_chunks: array[int] = array("Q", firsts)
        self._run_samples: array[int] = array("Q", totals[:-1])

    def _read_runs(self, kind: bytes, code: str) -> _Runs:
        start, count = self._entries(kind, 4, fields=2)
        return _Runs(_Column(self._data, "I", start, count, 2), _Column(self._data, code, start + 4, count, 2))

    def _read_sync(self) -> "array[int] | None":
        if b"stss" not in self._found:
            return None
        numbers = set(_Column(self._data, "I", *self._entries(b"stss", 4)).all())
        if b"stps" in self._found:  # key frames of open groups, as QuickTime tells them apart
            numbers |= set(_Column(self._data, "I", *self._entries(b"stps", 4)).all())
        if numbers and not 1 <= min(numbers) <= max(numbers) <= self.count:
            raise BadMedia("a sync sample of a track is not there")
        return array("I", [number - 1 for number in sorted(numbers)])
