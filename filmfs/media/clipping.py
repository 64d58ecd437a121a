"""How the file of a movie that is made of others' samples is laid out.

    ftyp | moov | free | mdat: four bytes of time code, then runs of the sources

Each run keeps its place within a block of 4 KiB, so that a file system can show the movie without copying (`free` and
zeros fill up). The bytes are a function of what is put in, and of this module: no clock, no chance.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from operator import add

from filmfs.core.extents import Hole
from filmfs.media import writing
from filmfs.media.boxes import write_box
from filmfs.media.cutting import Cut
from filmfs.media.tables import Chunks

BLOCK = 4096
TIMECODE_BYTES = 4
_GAP = 64 << 10  # what lies between samples and is no longer than this is taken along
_ZEROS = -1  # the source of silence


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of a source; where there are several, `source` is the number that the caller gave it."""

    offset: int
    length: int
    source: int = 0

    @property
    def end(self) -> int:
        """The first offset past it."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of pieces: bytes of its own, runs of its sources, and zeros."""

    pieces: tuple[bytes | Run | Hole, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A cut and where its samples lie in its source."""

    cut: Cut
    chunks: Chunks
    source: int = 0

    @property
    def reach(self) -> int:
        """The offset past all of its samples."""
        ends: Iterable[int] = map(add, self.chunks.offsets, self.lengths())
        return max(ends)

    def lengths(self) -> list[int]:
        """The bytes of each chunk."""
        cut, table = self.cut, self.cut.track.table
        width = cut.sample_bytes or table.size
        if width:
            return [samples * width for samples in self.chunks.samples]
        ends = list(accumulate(table.sizes(cut.start, cut.end), initial=0))
        firsts = [first - cut.start for first in self.chunks.firsts]
        return [ends[first + samples] - ends[first] for first, samples in zip(firsts, self.chunks.samples, strict=True)]


@dataclass(frozen=True, slots=True)
class Places:
    """Runs of the source that begin at `sources`, ordered, and begin at `targets` in the body of the clip."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]

    def moved(self, offsets: Sequence[int]) -> list[int]:
        """Where in the body these bytes of the source are."""
        if len(self.sources) == 1:
            shift = self.targets[0] - self.sources[0]
            return [offset + shift for offset in offsets]
        shifts = [target - source for source, target in zip(self.sources, self.targets, strict=True)]
        return [offset + shifts[bisect_right(self.sources, offset) - 1] for offset in offsets]


class Layout:
    """The body of an `mdat` that grows by what is put to its end."""

    def __init__(self) -> None:
        self._items: list[tuple[int, Run]] = []
        self._end = TIMECODE_BYTES

    @property
    def is_large(self) -> bool:
        """Whether offsets and sizes of the file may need more than 32 bits."""
        return self._end + (1 << 26) >= 1 << 32

    def add(self, parts: Sequence[Part]) -> Places:
        """Puts the samples of parts of one source to the end, in that source's order; where they are then."""
        runs = _one_run(parts) or _runs(parts)
        return Places(tuple(run.offset for run in runs), tuple(self._put(run) for run in runs))

    def add_zeros(self, length: int) -> int:
        """Puts so many zeros there, or finds them at the end; where they are."""
        return self._put(Run(0, length, _ZEROS))

    def _put(self, run: Run) -> int:
        target = self._end
        if self._items:
            before, last = self._items[-1]
            if last.source == run.source and last.offset <= run.offset and _meets(last, run):
                joined = replace(last, length=max(last.end, run.end) - last.offset)
                self._items[-1] = before, joined
                self._end = before + joined.length
                return before + run.offset - last.offset
            # As far into a block as the first is shifted.
            target += (run.offset - self._first - (target - TIMECODE_BYTES)) % BLOCK
        self._items.append((target, run))
        self._end = target + run.length
        return target

    @property
    def _first(self) -> int:
        return self._items[0][1].offset if self._items else 0

    def file(self, ftyp: bytes, moov: bytes, timecode: int) -> Clip:
        """The file, of a moov whose offsets count from the body; `timecode` is the number of the first frame."""
        head, header = len(ftyp) + len(moov), 16 if self.is_large else 8
        # The first run lies as far into a block as in the source.
        free = (self._first - TIMECODE_BYTES - head - header - 8) % BLOCK + 8 if self._items else 8
        start, size = head + free + header, header + self._end
        opening = (
            (1).to_bytes(4, "big") + b"mdat" + size.to_bytes(8, "big")
            if self.is_large
            else size.to_bytes(4, "big") + b"mdat"
        )
        own = (ftyp, writing.shift_offsets(moov, start), write_box(b"free", bytes(free - 8)), opening)
        beginning = b"".join(own) + timecode.to_bytes(TIMECODE_BYTES, "big")
        return Clip(tuple(self._pieces(beginning, start)), start + self._end)

    def _pieces(self, beginning: bytes, start: int) -> Iterator[bytes | Run | Hole]:
        yield beginning
        at = len(beginning)
        for offset, run in self._items:
            if start + offset > at:
                yield Hole(at, start + offset - at)
            at = start + offset
            yield Hole(at, run.length) if run.source == _ZEROS else run
            at += run.length


def _meets(last: Run, run: Run) -> bool:
    """Whether a run begins about where the last one ends; what comes again is there again, but for zeros."""
    return run.source == _ZEROS or abs(run.offset - last.end) <= _GAP


def chunks_of(cut: Cut) -> Chunks:
    """Where the samples of a cut lie, without what is left out of it."""
    chunks = cut.track.table.chunks(cut.start, cut.end, cut.sample_bytes)
    if not cut.omitted:
        return chunks
    pieces = [piece for chunk in zip(*chunks, strict=True) for piece in _without(cut, *chunk)]
    return Chunks(*zip(*pieces, strict=True))


def _without(cut: Cut, offset: int, first: int, samples: int, description: int) -> Iterable[tuple[int, int, int, int]]:
    """The parts of a chunk that are between what is omitted."""
    start, where, end = first, offset, first + samples
    for index in range(first, end):
        offset += cut.track.table.size_of(index)
        if index in cut.omitted:
            if index > start:
                yield where, start, index - start, description
            start, where = index + 1, offset
    if end > start:
        yield where, start, end - start, description


def _one_run(parts: Sequence[Part]) -> list[Run]:
    """The run that all samples lie in, if there is next to nothing between them."""
    lows, highs, total = [], [], 0
    for part in parts:
        table, width = part.cut.track.table, part.cut.sample_bytes
        offsets, firsts, samples, _ = part.chunks
        highest = max(offsets)
        last = offsets.index(highest)
        first, count = firsts[last], samples[last]
        lows.append(min(offsets))
        highs.append(highest + (count * width if width else table.bytes_of(first, first + count)))
        span = part.cut.start, part.cut.end
        total += width * (span[1] - span[0]) if width else table.bytes_of(*span)
    start, end = min(lows), max(highs)
    return [Run(start, end - start, parts[0].source)] if end - start - total <= _GAP else []


def _runs(parts: Sequence[Part]) -> list[Run]:
    """Few runs that hold all samples of parts of one source, in the order of the file."""
    pieces = sorted(chain.from_iterable(zip(part.chunks.offsets, part.lengths(), strict=True) for part in parts))
    runs: list[Run] = []
    source = parts[0].source if parts else 0
    start = end = -1
    for offset, length in pieces:
        if start < 0:
            start, end = offset, offset + length
        elif offset <= end + _GAP:
            end = max(end, offset + length)
        else:
            runs.append(Run(start, end - start, source))
            start, end = offset, offset + length
    if pieces:
        runs.append(Run(start, end - start, source))
    return runs
