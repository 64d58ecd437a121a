"""File content as runs of blobs.

An ExtentMap is a value: writing gives a new map and touches no blob. Fetching bytes is store.contents' work. What no
extent covers is a hole and reads as zeros. MapBuilder is the same rules on a list, for a file that is being written.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from filmfs.core.ids import BlobId


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes that are kept in the map itself."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes of a file from `offset`, kept at `source_offset` of `source`."""

    offset: int
    length: int
    source: BlobId | Literal
    source_offset: int = 0

    @property
    def end(self) -> int:
        """The first offset past this extent."""
        return self.offset + self.length

    def clipped(self, start: int, end: int) -> "Extent":
        """The part of this extent inside [start, end)."""
        low, high = max(self.offset, start), min(self.end, end)
        if low == self.offset and high == self.end:
            return self
        return Extent(low, high - low, self.source, self.source_offset + low - self.offset)

    def continues(self, other: "Extent") -> bool:
        """Whether this extent goes on where `other` ends, in the file and in the source."""
        return (
            self.offset == other.end
            and self.source == other.source
            and not isinstance(self.source, Literal)
            and self.source_offset == other.source_offset + other.length
        )


@dataclass(frozen=True, slots=True)
class Hole:
    """`length` zeros of a file from `offset`."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ExtentMap:
    """All runs of one file of `size` bytes: ordered, disjoint, inside the size, neighbours joined where they can be."""

    size: int = 0
    extents: tuple[Extent, ...] = ()

    @classmethod
    def of_blob(cls, blob: BlobId, size: int) -> "ExtentMap":
        """The map of a file that is one whole blob."""
        return cls(size, (Extent(0, size, blob),) if size else ())

    @classmethod
    def of_bytes(cls, data: bytes) -> "ExtentMap":
        """The map of a file that is kept as literal bytes."""
        return cls(len(data), (Extent(0, len(data), Literal(data)),) if data else ())

    @property
    def whole_blob(self) -> BlobId | None:
        """The one blob that holds this file from its own offset 0 on, if one does. The blob may be longer."""
        if len(self.extents) == 1:
            only = self.extents[0]
            if only.length == self.size and only.source_offset == 0 and not isinstance(only.source, Literal):
                return only.source
        return None

    @property
    def stored(self) -> int:
        """Bytes that are kept somewhere: the size less the holes."""
        return sum(extent.length for extent in self.extents)

    def moved(self, source: BlobId, target: BlobId) -> "ExtentMap":
        """The map when what lay in `source` lies at the same places in `target`."""
        return ExtentMap(
            self.size,
            tuple(
                Extent(e.offset, e.length, target, e.source_offset) if e.source == source else e for e in self.extents
            ),
        )

    def blobs(self) -> set[BlobId]:
        """The blobs that this map refers to."""
        return {extent.source for extent in self.extents if not isinstance(extent.source, Literal)}

    def pieces(self, start: int, end: int) -> Iterator[Extent | Hole]:
        """What the bytes [start, end) are made of, in order and without gaps; nothing past the size."""
        end = min(end, self.size)
        if start >= end:
            return
        position = start
        for index in range(_first_ending_after(self.extents, start), len(self.extents)):
            extent = self.extents[index]
            if extent.offset >= end:
                break
            if extent.offset > position:
                yield Hole(position, extent.offset - position)
            part = extent.clipped(start, end)
            yield part
            position = part.end
        if position < end:
            yield Hole(position, end - position)

    def written(self, extent: Extent) -> "ExtentMap":
        """This map with `extent` over what was there; the file grows to hold it."""
        low, high, middle = _splice(self.extents, extent.offset, extent.end, extent)
        return ExtentMap(max(self.size, extent.end), (*self.extents[:low], *middle, *self.extents[high:]))

    def punched(self, start: int, end: int) -> "ExtentMap":
        """This map with a hole at [start, end); the size stays."""
        low, high, middle = _splice(self.extents, start, end, None)
        return ExtentMap(self.size, (*self.extents[:low], *middle, *self.extents[high:]))

    def truncated(self, size: int) -> "ExtentMap":
        """This map cut or grown (by a hole) to `size`."""
        shorter = self.punched(size, self.size) if size < self.size else self
        return ExtentMap(size, shorter.extents)


class MapBuilder:
    """An ExtentMap under construction, with the same rules and cheap small changes."""

    def __init__(self, start: ExtentMap) -> None:
        self.size = start.size
        self._extents = list(start.extents)
        self._value: ExtentMap | None = start

    @property
    def value(self) -> ExtentMap:
        """The map as it stands."""
        if self._value is None:
            self._value = ExtentMap(self.size, tuple(self._extents))
        return self._value

    def write(self, extent: Extent) -> None:
        """See ExtentMap.written."""
        low, high, middle = _splice(self._extents, extent.offset, extent.end, extent)
        self._extents[low:high] = middle
        self.size = max(self.size, extent.end)
        self._value = None

    def punch(self, start: int, end: int) -> None:
        """See ExtentMap.punched."""
        low, high, middle = _splice(self._extents, start, end, None)
        self._extents[low:high] = middle
        self._value = None

    def truncate(self, size: int) -> None:
        """See ExtentMap.truncated."""
        if size < self.size:
            low, high, middle = _splice(self._extents, size, self.size, None)
            self._extents[low:high] = middle
        self.size = size
        self._value = None

    def covering(self, offset: int, length: int) -> list[Extent]:
        """The extents that cover [offset, offset+length) without a hole; none where they do not."""
        first = _first_ending_after(self._extents, offset)
        last, end = first, offset
        while last < len(self._extents) and self._extents[last].offset <= end < offset + length:
            end = self._extents[last].end
            last += 1
        return self._extents[first:last] if end >= offset + length else []


def _first_ending_after(extents: Sequence[Extent], position: int) -> int:
    """The index of the first extent that ends after `position`."""
    index = bisect_right(extents, position, key=lambda extent: extent.offset)
    return index - 1 if index and extents[index - 1].end > position else index


def _splice(extents: Sequence[Extent], start: int, end: int, new: Extent | None) -> tuple[int, int, list[Extent]]:
    """What replaces extents[low:high] when [start, end) becomes `new` (or a hole): (low, high, replacement)."""
    low = _first_ending_after(extents, start)
    high = bisect_left(extents, end, key=lambda extent: extent.offset)
    high = max(low, high)
    middle: list[Extent] = []
    if low < high and extents[low].offset < start:
        middle.append(extents[low].clipped(0, start))
    if new is not None and new.length:
        middle.append(new)
    if low < high and extents[high - 1].end > end:
        last = extents[high - 1]
        middle.append(last.clipped(end, last.end))
    if low and middle and middle[0].continues(extents[low - 1]):
        low -= 1
        middle.insert(0, extents[low])
    if high < len(extents) and middle and extents[high].continues(middle[-1]):
        middle.append(extents[high])
        high += 1
    return low, high, _joined(middle)


def _joined(extents: list[Extent]) -> list[Extent]:
    joined: list[Extent] = []
    for extent in extents:
        if joined and extent.continues(joined[-1]):
            before = joined.pop()
            extent = Extent(before.offset, before.length + extent.length, before.source, before.source_offset)
        joined.append(extent)
    return joined
