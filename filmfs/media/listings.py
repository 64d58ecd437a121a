"""What a track of a new movie says of its samples: of those of a cut, and of several cuts one after another."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise

from filmfs.media import writing
from filmfs.media.boxes import write_box
from filmfs.media.clipping import Part, Places
from filmfs.media.cutting import Cut

_SILENT_AT_ONCE = 24_000


@dataclass(frozen=True, slots=True)
class Listing:
    """Samples in decoding order. Offsets count from the body of the new file's mdat."""

    durations: Sequence[tuple[int, int]]  # (samples, duration)
    contents: Sequence[tuple[int, int]]  # of each chunk: (samples, description)
    offsets: Sequence[int]  # of each chunk
    count: int
    size: int  # of each sample; 0 where `sizes` says
    sizes: Sequence[int] = ()
    shifts: Sequence[int] | None = None
    sync: Sequence[int] | None = None  # numbers from 1 on; None where all are

    @property
    def length(self) -> int:
        """How long they last together."""
        return sum(count * duration for count, duration in self.durations)

    def box(self, description: bytes, *, large: bool) -> bytes:
        """`stbl`, with this stsd."""
        boxes = [description, writing.durations(self.durations)]
        if self.shifts is not None:
            boxes.append(writing.shifts(self.shifts))
        if self.sync is not None:
            boxes.append(writing.sync_samples(self.sync))
        boxes.append(writing.chunk_contents(self.contents))
        boxes.append(writing.one_size(self.size, self.count) if self.size else writing.sizes(self.sizes))
        return write_box(b"stbl", *boxes, writing.chunk_offsets(self.offsets, large=large))

    def scaled(self, factor: int) -> "Listing":
        """The same with times in units that are so many times shorter."""
        if factor == 1:
            return self
        shifts = None if self.shifts is None else [shift * factor for shift in self.shifts]
        return replace(self, durations=[(count, each * factor) for count, each in self.durations], shifts=shifts)

    def lengthened(self, by: int) -> "Listing":
        """The same with a last sample that lasts longer."""
        if not by:
            return self
        *before, (count, last) = self.durations
        before += [(count - 1, last)] if count > 1 else []
        return replace(self, durations=[*before, (1, last + by)])


def listed(part: Part, places: Places, *, shown_for: int | None) -> Listing:
    """The samples of a cut. `shown_for`: the length of the new movie if no other cut follows, in the track's units."""
    cut, table = part.cut, part.cut.track.table
    kept = kept_of(cut)
    shifts = table.shifts(cut.start, cut.end)
    if shifts is not None and cut.omitted:
        shifts = [shifts[index - cut.start] for index in kept]
    size, sizes = _sizes(cut, kept)
    return Listing(
        _durations(cut, kept),
        list(zip(part.chunks.samples, part.chunks.descriptions, strict=True)),
        places.moved(part.chunks.offsets),
        len(kept),
        size,
        sizes,
        shifts,
        None if table.sync is None else _sync(cut, kept, shown_for),
    )


def silence(offset: int, count: int, width: int) -> Listing:
    """So many samples of zeros, in chunks of about half a second: some readers take a chunk at once."""
    starts = range(0, count, _SILENT_AT_ONCE)
    contents = [(min(_SILENT_AT_ONCE, count - start), 1) for start in starts]
    return Listing([(count, 1)], contents, [offset + start * width for start in starts], count, width)


def joined(listings: Sequence[Listing]) -> Listing:
    """The samples of several one after another."""
    if len(listings) == 1:
        return listings[0]
    firsts = list(accumulate((each.count for each in listings), initial=0))
    size = listings[0].size if len({each.size for each in listings}) == 1 else 0
    return Listing(
        _grouped(chain.from_iterable(each.durations for each in listings)),
        list(chain.from_iterable(each.contents for each in listings)),
        list(chain.from_iterable(each.offsets for each in listings)),
        firsts[-1],
        size,
        () if size else list(chain.from_iterable(each.sizes or [each.size] * each.count for each in listings)),
        _all_of([each.shifts for each in listings], lambda number: [0] * listings[number].count),
        _all_of(
            [_moved(each.sync, first) for each, first in zip(listings, firsts, strict=False)],
            lambda number: range(firsts[number] + 1, firsts[number + 1] + 1),
        ),
    )


def _moved(numbers: Sequence[int] | None, by: int) -> Sequence[int] | None:
    return None if numbers is None else [number + by for number in numbers]


def _all_of(columns: Sequence[Sequence[int] | None], otherwise: Callable[[int], Sequence[int]]) -> list[int] | None:
    """The columns one after another, where one is at all; `otherwise` is what a missing one says."""
    if all(column is None for column in columns):
        return None
    filled = (otherwise(number) if column is None else column for number, column in enumerate(columns))
    return list(chain.from_iterable(filled))


def _grouped(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    grouped: list[tuple[int, int]] = []
    for count, value in runs:
        if grouped and grouped[-1][1] == value:
            count += grouped.pop()[0]
        grouped.append((count, value))
    return grouped


def kept_of(cut: Cut) -> Sequence[int]:
    """The numbers of the samples of a cut that are in it."""
    numbers = range(cut.start, cut.end)
    return [index for index in numbers if index not in cut.omitted] if cut.omitted else numbers


def _durations(cut: Cut, kept: Sequence[int]) -> list[tuple[int, int]]:
    """What is omitted lengthens what stands before it; a last packet of sound ends where the clip does."""
    table = cut.track.table
    if cut.sample_bytes:
        return [(len(kept), 1)]
    if not cut.omitted:
        before = [(cut.pre_roll, cut.packet)] if cut.pre_roll else []
        runs = _grouped([*before, *table.durations(cut.start + cut.pre_roll, cut.end)])
    else:
        times = [table.decoded_at(index) for index in chain(kept, (cut.end,))]
        runs = writing.grouped([after - before for before, after in pairwise(times)])
    if cut.track.kind == b"soun":
        over = table.decoded_at(cut.end) - cut.ends
        count, last = runs.pop()
        if 0 < over < last:
            runs += [(count - 1, last)] if count > 1 else []
            count, last = 1, last - over
        runs.append((count, last))
    return runs


def _sync(cut: Cut, kept: Sequence[int], shown_for: int | None) -> list[int]:
    """Those after the movie's length are not named: GStreamer (qtdemux 1.22) would end the stream at one of them."""
    table = cut.track.table
    assert table.sync is not None
    within = set(table.syncs(cut.start, cut.end))
    numbers = [(number, index) for number, index in enumerate(kept, 1) if index in within]
    if shown_for is not None:
        shown, ends = table.shown_at(cut.start, cut.end), table.decoded_at(cut.start) + shown_for
        numbers = [each for each in numbers if each[0] == 1 or shown[each[1] - cut.start] < ends]
    return [number for number, _ in numbers]


def _sizes(cut: Cut, kept: Sequence[int]) -> tuple[int, Sequence[int]]:
    """The size of each, or 0 and all of them."""
    table = cut.track.table
    size = cut.sample_bytes or table.size
    if size:
        return size, ()
    sizes = table.sizes(cut.start, cut.end)
    return 0, [sizes[index - cut.start] for index in kept] if cut.omitted else sizes
