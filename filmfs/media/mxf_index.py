"""Index tables of MXF (SMPTE ST 377-1, 11): where in the essence each edit unit begins.

Entries are in the order in which frames are stored; an entry's temporal offset says how much further on the frame is
stored that is shown in its place. Offsets count bytes of the essence container, whatever partitions it lies in. Slices
are parts of an edit unit whose place changes with what stands before them.
"""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.media.klv import items_of
from filmfs.media.mxf_header import Set

EDIT_RATE, START, DURATION, UNIT_BYTES = 0x3F0B, 0x3F0C, 0x3F0D, 0x3F05
INDEX_SID, BODY_SID, SLICES, POSITIONS, DELTAS, ENTRIES = 0x3F06, 0x3F07, 0x3F08, 0x3F0E, 0x3F09, 0x3F0A
FRAMES_MAX = 2_200_000  # a day at 25 a second
_UNIT_MIN = 64  # bytes: no picture is shorter
_WIDTH_MAX = 4096  # of an entry
_PREDICTED = 0x30  # flags of entries that need others: forward and backward
ENTRY = 11


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of an index table."""

    start: int
    count: int
    unit_bytes: int  # of each edit unit, where all are as long
    rate: Fraction | None
    slices: int
    width: int  # of an entry
    entries: bytes
    deltas: bytes  # as they are written
    sids: tuple[int, int]  # of the index, of the body

    def cut(self, first: int) -> "Segment":
        """The part of it from edit unit `first` on."""
        skipped = max(first - self.start, 0)
        rest = self.entries[skipped * self.width :]
        return Segment(
            self.start + skipped,
            self.count - skipped,
            self.unit_bytes,
            self.rate,
            self.slices,
            self.width,
            rest,
            self.deltas,
            self.sids,
        )


def read_segment(data: bytes) -> Segment:
    """A segment by the value of its set. Raises BadMedia."""
    found = Set(data, 0, items_of(data, 0, len(data)))
    slices, entries, deltas = found.number(SLICES), found.value(ENTRIES) or b"", found.value(DELTAS) or b""
    width, held = ENTRY + 4 * slices + 8 * found.number(POSITIONS), 0
    start, count = found.number(START, signed=True), found.number(DURATION, signed=True)
    if len(entries) >= 8:
        held, width_said = unpack_from(">II", entries)
        width = width_said or width
        if width < ENTRY + 4 * slices or held * width > len(entries) - 8:
            raise BadMedia("a segment of the index table is cut off")
    if not 0 <= start < FRAMES_MAX or count < 0 or count > FRAMES_MAX or slices > 64:
        raise BadMedia(f"a segment of the index table says that it is of {count} frames from {start} on")
    unit_bytes = found.number(UNIT_BYTES)
    if width > _WIDTH_MAX or unit_bytes >= 1 << 32:
        raise BadMedia(f"a segment of the index table has frames of {unit_bytes} bytes, or entries of {width}")
    if not unit_bytes:
        count = min(count or held, held)
    sids = found.number(INDEX_SID), found.number(BODY_SID)
    return Segment(
        start,
        count,
        unit_bytes,
        found.rational(EDIT_RATE),
        slices,
        width,
        entries[8 : 8 + count * width],
        deltas,
        sids,
    )


@dataclass(frozen=True)
class Index:
    """A whole index table: of frames that are all as long, or with an entry for each."""

    unit_bytes: int
    count: int
    slices: int
    width: int
    entries: bytes
    deltas: bytes

    @cached_property
    def offsets(self) -> "array[int]":
        """Where each edit unit begins, in the order in which they are stored."""
        if self.unit_bytes:
            return array("Q", range(0, self.count * self.unit_bytes, self.unit_bytes))
        return _column(self.entries, self.width, 3, "Q")

    def slice_offsets(self, number: int) -> "array[int]":
        """Where in its edit unit the slice `number` begins (0 begins with it)."""
        if not number:
            return array("I", bytes(4 * self.count))
        return _column(self.entries, self.width, 7 + 4 * number, "I")

    @cached_property
    def temporal(self) -> Sequence[int] | None:
        """How much further on each shown frame is stored; None where they are stored as they are shown."""
        if self.unit_bytes:
            return None
        shifts = array("b", self.entries[0 :: self.width])
        return shifts if any(shifts) else None

    @cached_property
    def keys(self) -> "array[int] | None":
        """The frames that stand by themselves; None where all do."""
        flags = b"" if self.unit_bytes else self.entries[2 :: self.width]
        if not any(flag & _PREDICTED for flag in set(flags)):
            return None
        return array("I", [number for number, flag in enumerate(flags) if not flag & _PREDICTED])

    def with_offsets(self, first: int, offsets: "array[int]") -> bytes:
        """The entries from `first` on with other offsets."""
        entries = bytearray(self.entries[first * self.width : (first + len(offsets)) * self.width])
        values = array("Q", offsets)
        if sys.byteorder == "little":
            values.byteswap()
        data = values.tobytes()
        for byte in range(8):
            entries[3 + byte :: self.width] = data[byte::8]
        return bytes(entries)


def _column(entries: bytes, width: int, at: int, code: str) -> "array[int]":
    """A big-endian number of every entry."""
    values = array(code)
    size, count = values.itemsize, len(entries) // width
    data = bytearray(size * count)
    for byte in range(size):
        data[byte::size] = entries[at + byte :: width]
    values.frombytes(bytes(data))
    if sys.byteorder == "little":
        values.byteswap()
    return values


def join(segments: Sequence[Segment], essence_bytes: int) -> Index | None:
    """The table of segments that may come twice and in any order; None where they do not tell of every frame."""
    useful = [each for each in segments if each.unit_bytes or each.count]
    if not useful:
        return None
    first = min(useful, key=lambda each: (each.start, -each.count))
    if first.unit_bytes:
        counts = [each.start + each.count for each in useful if each.unit_bytes == first.unit_bytes]
        there = essence_bytes // first.unit_bytes
        if len(counts) < len(useful) or first.start or there > FRAMES_MAX or first.unit_bytes < _UNIT_MIN:
            return None
        return Index(first.unit_bytes, min(max(counts) or there, there), 0, ENTRY, b"", first.deltas)
    kinds = {(each.slices, each.width, each.unit_bytes) for each in useful}
    upto, parts = 0, []
    for each in sorted(useful, key=lambda each: (each.start, -each.count)):
        if each.start > upto or len(kinds) > 1:
            return None
        if each.start + each.count > upto:
            rest = each.cut(upto)
            parts.append(rest.entries)
            upto = rest.start + rest.count
    if upto > FRAMES_MAX:
        return None
    return Index(0, upto, first.slices, first.width, b"".join(parts), first.deltas)
