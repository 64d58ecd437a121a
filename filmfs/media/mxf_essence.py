"""Where in an MXF file each frame's picture and sound lie (SMPTE ST 379-1 and 379-2).

Essence is wrapped frame by frame (a content package for each: system, picture, sound, data), or as one clip. The index
table tells where each package begins, and that of a few packages how they are laid out; some others are looked at to
see that they are alike. Only where they are not, or nothing tells, each key and length is read.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, cycle, islice
from operator import add, lt, sub

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.media.klv import MANY, Klv, klv_at, klvs_in
from filmfs.media.mxf_index import ENTRY, Index
from filmfs.media.mxf_partitions import Stretch

_ELEMENTS_MAX = 200  # of a content package
_PERIOD_MAX = 64
_FOUND_MIN = 2  # one may be a whole film in one piece


@dataclass(frozen=True, slots=True)
class Element:
    """An element of the essence: its key, and where the value of each frame lies."""

    key: bytes
    offsets: "array[int]"
    sizes: "array[int]"
    header: int  # bytes of its key and length
    is_padded: bool = False  # sizes may have what only takes up room at their end

    @property
    def number(self) -> int:
        """Its track number."""
        return int.from_bytes(self.key[12:16], "big")

    def trimmed(self, source: ByteSource, start: int, end: int) -> "Element":
        """The same with the exact sizes of the frames [start, end). Raises BadMedia."""
        if not self.is_padded:
            return self
        sizes = array("I", self.sizes)
        for number in range(max(start, 0), min(end, len(sizes))):
            found = klv_at(source, self.offsets[number] - self.header)
            if found.key != self.key or found.length > sizes[number]:
                raise BadMedia(f"frame {number} does not lie where the index table says")
            sizes[number] = found.length
        return replace(self, sizes=sizes)


@dataclass(frozen=True)
class Essence:
    """The essence of a file: its edit units in the order in which they are stored, by their bytes in the file."""

    index: Index
    units: "array[int]"
    ends: "array[int]"
    elements: tuple[Element, ...]
    is_clip: bool  # one key and length for all

    @cached_property
    def pictures(self) -> Element | None:
        """The pictures. Raises BadMedia where a frame has two."""
        found = [each for each in self.elements if _klv(each.key).is_picture]
        if len(found) > 1:
            raise BadMedia("the file has several pictures for each frame")
        return found[0] if found else None

    @cached_property
    def sounds(self) -> list[Element]:
        """The sound tracks."""
        return [each for each in self.elements if _klv(each.key).is_sound]


def read_clip(index: Index, wrapped: Klv) -> Essence:
    """Essence in one piece. Raises BadMedia."""
    units = array("Q", [offset + wrapped.value for offset in index.offsets])
    _check_order(units, wrapped.end)
    if index.unit_bytes:
        ends = array("Q", [unit + index.unit_bytes for unit in units])
    else:
        ends = array("Q", [*units[1:], wrapped.end])
    return Essence(index, units, ends, (Element(wrapped.key, units, _sizes(ends, units), 0),), is_clip=True)


def read_frames(source: ByteSource, index: Index | None, parts: Sequence[Stretch], period: int) -> Essence:
    """Essence frame by frame; sound repeats the lengths of its pieces after `period` frames. Raises BadMedia."""
    if index is None or not index.count:
        units = array("Q", _found_units(source, parts))
        ends = _ends(units, parts)
        if parts and parts[-1].offset + parts[-1].length == source.size:
            del units[-1:], ends[-1:]  # nothing comes after it: the file is cut off in it
        if len(units) < _FOUND_MIN:
            raise BadMedia("the file has no index table that tells where its frames are")
        entries = b"".join(b"\0\0\x80" + (unit - units[0]).to_bytes(8, "big") for unit in units)
        index = Index(0, len(units), 0, ENTRY, entries, b"")
        return Essence(index, units, ends, _walked(source, units, ends), is_clip=False)
    if index.unit_bytes and parts:
        _package(source, parts[0].offset, parts[0].offset + index.unit_bytes)
    units = _in_file(index.offsets, parts)
    ends = _ends(units, parts)
    elements = _by_pattern(source, index, units, ends, period if period <= _PERIOD_MAX else 1)
    return Essence(index, units, ends, elements or _walked(source, units, ends), is_clip=False)


def _klv(key: bytes) -> Klv:
    return Klv(key, 0, 0, 0)


# Edit units


def _in_file(offsets: "array[int]", parts: Sequence[Stretch]) -> "array[int]":
    """Where in the file these bytes of the essence are."""
    units = array("Q")
    bounds = [*(part.stream for part in parts[1:]), 1 << 64]
    low = 0
    for part, bound in zip(parts, bounds, strict=True):
        high = bisect_left(offsets, bound, low)
        shift = part.offset - part.stream
        try:
            units.extend(array("Q", [offset + shift for offset in offsets[low:high]]))
        except OverflowError:
            raise BadMedia("the index table points outside the file") from None
        low = high
    if not parts:
        raise BadMedia("the essence of the film is not in the file")
    _check_order(units, parts[-1].offset + parts[-1].length)
    return units


def _check_order(units: "array[int]", end: int) -> None:
    if units and (units[-1] >= end or not all(map(lt, units, islice(units, 1, None)))):
        raise BadMedia("the index table contradicts itself, or the file ends before these frames")


def _ends(units: "array[int]", parts: Sequence[Stretch]) -> "array[int]":
    """Where each edit unit ends: at the next, or with its partition."""
    ends = array("Q", [*units[1:], 0]) if units else array("Q")
    for part in parts:
        after = bisect_left(units, part.offset + part.length)
        if after:
            ends[after - 1] = part.offset + part.length
    return ends


def _found_units(source: ByteSource, parts: Sequence[Stretch]) -> Iterator[int]:
    """Where each key is that is the first of its partition's."""
    looked_at = 0
    for part in parts:
        first = b""
        for each in klvs_in(source, part.offset, part.offset + part.length):
            looked_at += 1
            if looked_at > MANY:
                raise BadMedia("the file has no index table, and too many frames to look for them")
            if not each.is_essence and not each.is_fill:
                break
            first = first or each.key
            if each.key == first:
                yield each.start


def _sizes(ends: "array[int]", starts: Sequence[int]) -> "array[int]":
    try:
        return array("I", map(sub, ends, starts))
    except OverflowError:
        raise BadMedia("a frame of the film is longer than 4 GiB, or shorter than nothing") from None


# Content packages


def _package(source: ByteSource, start: int, end: int) -> list[Klv]:
    """The keys and lengths of an edit unit, without what only takes up room. Raises BadMedia."""
    found: list[Klv] = []
    for each in klvs_in(source, start, end):
        if each.is_essence:
            found.append(each)
        if len(found) > _ELEMENTS_MAX or each.end > end or each.length >= 1 << 32:
            raise BadMedia(f"the frame at {start} has too many elements, or is cut off")
    return found


def _by_pattern(
    source: ByteSource, index: Index, units: "array[int]", ends: "array[int]", period: int
) -> tuple[Element, ...]:
    """The elements as the first packages have them; none where others look different."""
    count = len(units)
    packages = [_package(source, units[number], ends[number]) for number in range(min(period, count))]
    keys = [each.key for each in packages[0]]
    if any([each.key for each in package] != keys for package in packages) or len(set(keys)) < len(keys):
        return ()
    slices = [index.slice_offsets(number) for number in range(index.slices + 1)]
    elements = []
    for number, key in enumerate(keys):
        if _klv(key).is_picture or _klv(key).is_sound:
            column = [package[number] for package in packages]
            after = [package[number + 1] if number + 1 < len(keys) else None for package in packages]
            element = _element(column, after, units, ends, slices)
            if element is None or not _holds(source, element, period):
                return ()
            elements.append(element)
    return tuple(elements)


def _element(
    column: list[Klv],
    after: list[Klv | None],
    units: "array[int]",
    ends: "array[int]",
    slices: "list[array[int]]",
) -> Element | None:
    """An element by what it is in the first packages: in its slice it begins where it does there."""
    places = _places(column, units, slices)
    headers = {each.value - each.start for each in column}
    if places is None or len(headers) > 1:
        return None
    (header,) = headers
    offsets = array("Q", map(add, places, cycle([header])))
    if _klv(column[0].key).is_sound:
        lengths = [each.length for each in column]
        return Element(column[0].key, offsets, array("I", islice(cycle(lengths), len(units))), header)
    following = [each for each in after if each is not None]
    bounds: Sequence[int] | None = _places(following, units, slices) if following else ends
    if bounds is None:
        return None
    sizes = _sizes(array("Q", bounds), offsets)
    if len({each.length for each in column}) == 1 and min(sizes) == max(sizes) >= column[0].length:
        return Element(column[0].key, offsets, array("I", [column[0].length]) * len(units), header)
    padded = any(size != each.length for size, each in zip(sizes, column, strict=False))
    return Element(column[0].key, offsets, sizes, header, is_padded=padded)


def _places(column: list[Klv], units: "array[int]", slices: "list[array[int]]") -> "array[int] | None":
    """Where an element begins in every edit unit; None where its slice does not say."""
    inside = [each.start - units[number] for number, each in enumerate(column)]
    chosen = max(
        number
        for number, begins in enumerate(slices)
        if all(begins[at] <= distance for at, distance in enumerate(inside))
    )
    further = [distance - slices[chosen][number] for number, distance in enumerate(inside)]
    begins = map(add, units, slices[chosen]) if chosen else iter(units)
    try:
        return array("Q", map(add, begins, cycle(further)))
    except OverflowError:
        return None


def _holds(source: ByteSource, element: Element, period: int) -> bool:
    """Whether the element lies where it should in frames all over the film."""
    count = len(element.offsets)
    middle = range(count // 2, min(count // 2 + period, count))
    for number in chain(range(0, count, max(count // 16, 1)), middle, range(max(count - period, 0), count)):
        try:
            found = klv_at(source, element.offsets[number] - element.header)
        except BadMedia:
            return False
        size = element.sizes[number]
        if found.key != element.key or found.value != element.offsets[number] or found.length > size:
            return False
        if found.length != size and not element.is_padded:
            return False
    return True


def _walked(source: ByteSource, units: "array[int]", ends: "array[int]") -> tuple[Element, ...]:
    """The elements by every key and length. Raises BadMedia where frames do not have the same ones."""
    columns: dict[bytes, tuple[array[int], array[int]]] = {}
    looked_at = 0
    for number, (start, end) in enumerate(zip(units, ends, strict=True)):
        package = _package(source, start, end)
        looked_at += len(package) + 1
        if looked_at > MANY:
            raise BadMedia("the frames of the film are laid out differently, and there are too many to look at each")
        for each in package:
            if each.is_picture or each.is_sound:
                offsets, sizes = columns.setdefault(each.key, (array("Q"), array("I")))
                offsets.append(each.value)
                sizes.append(each.length)
        if any(len(offsets) != number + 1 for offsets, _ in columns.values()):
            raise BadMedia(f"frame {number} does not have the elements that others have")
    return tuple(Element(key, offsets, sizes, 0) for key, (offsets, sizes) in columns.items())
