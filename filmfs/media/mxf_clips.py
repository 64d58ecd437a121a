"""A part of an MXF film as an MXF file of its own, where every frame stands by itself.

    header partition: the metadata | body partition: runs of the source | footer: index table | random index pack

The metadata is the source's own but for lengths, positions, time code and the identifiers of the packages, which are
derived from those of the source and the range: no clock, no chance. Fill items have each run keep its place within a
block of 4 KiB, so that a file system can show the clip without copying.
"""

import hashlib
import struct
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import frames_per_day, nominal
from filmfs.media.clipping import BLOCK, Clip, Run
from filmfs.media.klv import (
    BODY,
    FILL_LEAST,
    FOOTER,
    HEADER,
    INDEX_SEGMENT,
    RANDOM_INDEX,
    pack_key,
    write_fill,
    write_header,
    write_item,
    write_klv,
)
from filmfs.media.mxf import Mxf
from filmfs.media.mxf_header import (
    CONTAINER_DURATION,
    DESCRIPTOR,
    DROP_FRAME,
    DURATION,
    ORIGIN,
    PACKAGE_UID,
    SAMPLE_RATE,
    SOURCE_PACKAGE,
    START_POSITION,
    START_TIMECODE,
    TIMECODE_BASE,
    UID,
    Package,
    PackageTrack,
    Set,
)
from filmfs.media.mxf_index import BODY_SID, DELTAS, EDIT_RATE, ENTRIES, INDEX_SID, SLICES, START, UNIT_BYTES
from filmfs.media.mxf_index import DURATION as INDEX_DURATION

_ENTRIES_BYTES_MAX = 65_000  # of one segment: an item's length has two bytes
_LONGEST_HEADER = 25
_UMID_OWN = 16  # the last bytes of a UMID are the material's number (ST 330)


@dataclass(frozen=True, slots=True)
class _Body:
    """The runs of a clip, and the fill that goes before each."""

    runs: tuple[Run, ...]
    fills: tuple[int, ...]

    @property
    def length(self) -> int:
        """Bytes of them all."""
        return sum(run.length for run in self.runs) + sum(self.fills[1:])


def plan_mxf(film: Mxf, frames: FrameRange) -> Clip:
    """The clip of a range that lies in the film. Raises BadMedia where it cannot be exact."""
    if not film.is_intra:
        raise BadMedia("frames of this film need others: a clip of it is offered as .mov, and not as .mxf")
    start, end = film.first + frames.first, film.first + frames.end
    runs = _runs(film, start, end)
    if any(run.end > film.size for run in runs):
        raise BadMedia("the file ends before these frames: its copy or its recording was cut off")
    metadata = _metadata(film, frames)
    wrapping = _LONGEST_HEADER if film.essence.is_clip else 0
    pack_bytes = len(_pack(film, HEADER, 0, 0, 0, 0))
    header = pack_bytes + len(metadata)
    body = header + pack_bytes
    first_fill = _fill_to(runs[0].offset - body - wrapping)
    laid = _laid_out(runs, first_fill)
    footer = body + first_fill + wrapping + laid.length
    index = _index(film, laid, start, end)
    body_sid, _ = film.sids
    opening = b"".join(
        (
            _pack(film, HEADER, 0, 0, footer, len(metadata)),
            metadata,
            _pack(film, BODY, header, 0, footer, 0),
            write_fill(first_fill),
            write_header(_key(film), laid.length, width=8) if wrapping else b"",
        )
    )
    closing = b"".join(
        (
            _pack(film, FOOTER, footer, header, footer, 0, len(index)),
            index,
            _random_index((0, 0), (body_sid, header), (0, footer)),
        )
    )
    return Clip((opening, *_pieces(laid), closing), footer + len(closing))


def _key(film: Mxf) -> bytes:
    pictures = film.essence.pictures
    assert pictures is not None
    return pictures.key


# Essence


def _runs(film: Mxf, start: int, end: int) -> list[Run]:
    """The edit units [start, end) as runs of the source: one in each partition that has any."""
    units, ends = film.essence.units, film.essence.ends
    runs: list[Run] = []
    begins = units[start]
    for number in range(start, end):
        if number + 1 == end or ends[number] != units[number + 1]:
            runs.append(Run(begins, ends[number] - begins))
            begins = units[number + 1] if number + 1 < end else 0
    return runs


def _laid_out(runs: Sequence[Run], first_fill: int) -> _Body:
    """Each run as far into a block as it is in the source."""
    fills = [first_fill]
    fills += [_fill_to(after.offset - before.end) for before, after in pairwise(runs)]
    return _Body(tuple(runs), tuple(fills))


def _fill_to(distance: int) -> int:
    """The least fill that moves a place on by `distance` modulo a block."""
    fill = distance % BLOCK
    return fill if not fill or fill >= FILL_LEAST else fill + BLOCK


def _pieces(laid: _Body) -> Iterator[bytes | Run]:
    yield laid.runs[0]
    for run, fill in zip(laid.runs[1:], laid.fills[1:], strict=True):
        if fill:
            yield write_fill(fill)
        yield run


def _index(film: Mxf, laid: _Body, start: int, end: int) -> bytes:
    """The segments of the clip's index table."""
    source, count = film.essence.index, end - start
    if source.unit_bytes:
        return _segment(film, 0, count, source.unit_bytes, 0, b"")
    offsets, at = array("Q"), 0
    units = film.essence.units[start:end]
    low = 0
    for run, fill in zip(laid.runs, (0, *laid.fills[1:]), strict=True):
        at += fill
        high = low
        while high < count and units[high] < run.end:
            high += 1
        offsets.extend(array("Q", [unit - run.offset + at for unit in units[low:high]]))
        low, at = high, at + run.length
    entries = source.with_offsets(start, offsets)
    step = max(_ENTRIES_BYTES_MAX // source.width, 1)
    return b"".join(
        _segment(
            film,
            first,
            min(step, count - first),
            0,
            source.width,
            entries[first * source.width :][: step * source.width],
        )
        for first in range(0, count, step)
    )


def _segment(film: Mxf, first: int, count: int, unit_bytes: int, width: int, entries: bytes) -> bytes:
    body_sid, index_sid = film.sids
    source = film.essence.index
    items = [
        write_item(EDIT_RATE, struct.pack(">ii", film.rate.numerator, film.rate.denominator)),
        write_item(START, struct.pack(">q", first)),
        write_item(INDEX_DURATION, struct.pack(">q", count)),
        write_item(UNIT_BYTES, struct.pack(">I", unit_bytes)),
        write_item(INDEX_SID, struct.pack(">I", index_sid)),
        write_item(BODY_SID, struct.pack(">I", body_sid)),
        write_item(SLICES, bytes((source.slices,))),
    ]
    if source.deltas:
        items.append(write_item(DELTAS, source.deltas))
    if entries:
        items.append(write_item(ENTRIES, struct.pack(">II", len(entries) // width, width) + entries))
    value = b"".join(items)
    name = hashlib.sha256((film.metadata.material.set.value(PACKAGE_UID) or b"") + value).digest()[:16]
    return write_klv(INDEX_SEGMENT, write_item(UID, name) + value)


# Partitions


def _pack(
    film: Mxf, kind: int, this: int, previous: int, footer: int, header_bytes: int, index_bytes: int = 0
) -> bytes:
    """A closed and complete partition's pack, of the pattern and kinds of essence that the source has."""
    source = film.partitions[0].pack
    body_sid, index_sid = film.sids
    numbers = struct.pack(
        ">IQQQQQIQI",
        1,
        this,
        previous,
        footer,
        header_bytes,
        index_bytes,
        index_sid if index_bytes else 0,
        0,
        body_sid if kind == BODY else 0,
    )
    return write_klv(pack_key(kind, 4), source[:4] + numbers + source[64:])


def _random_index(*partitions: tuple[int, int]) -> bytes:
    entries = b"".join(struct.pack(">IQ", sid, start) for sid, start in partitions)
    return write_klv(pack_key(RANDOM_INDEX, 1), entries + struct.pack(">I", 20 + len(entries) + 4))


# Metadata


def _metadata(film: Mxf, frames: FrameRange) -> bytes:
    """The source's header metadata as it is of the clip."""
    changed = bytearray(film.metadata.data)
    packages = [film.metadata.material, film.package]
    for package in packages:
        for track in package.tracks:
            _cut_track(changed, film, track, frames, is_source=package is film.package)
    for described in _descriptors(film):
        rate = described.rational(SAMPLE_RATE) or film.rate
        _put(changed, described, CONTAINER_DURATION, _scaled(film, frames.count, rate))
    return _renamed(bytes(changed), film, packages, frames)


def _descriptors(film: Mxf) -> list[Set]:
    whole = film.metadata.referred(film.package.set, DESCRIPTOR)
    return [*([whole] if whole is not None else []), *film.package.descriptors]


def _cut_track(changed: bytearray, film: Mxf, track: PackageTrack, frames: FrameRange, *, is_source: bool) -> None:
    rate = track.rate
    if rate is None or track.sequence is None:
        return
    length, later = _scaled(film, frames.count, rate), _scaled(film, frames.first, rate)
    _put(changed, track.set, ORIGIN, 0)
    for part in (track.sequence, *track.components):
        _put(changed, part, DURATION, length)
        if START_TIMECODE in part.items:
            _put(changed, part, START_TIMECODE, _later_timecode(film, part, frames.first))
        if START_POSITION in part.items:
            is_elsewhere = is_source and any(part.value(SOURCE_PACKAGE) or b"")
            before = part.number(START_POSITION, signed=True)
            _put(changed, part, START_POSITION, before + later if is_elsewhere else 0)


def _later_timecode(film: Mxf, code: Set, frames: int) -> int:
    """The start of a time code so many frames on."""
    base, start = code.number(TIMECODE_BASE), code.number(START_TIMECODE, signed=True)
    drop = bool(code.number(DROP_FRAME))
    later = Fraction(frames * base, nominal(film.rate))
    if later.denominator != 1:
        raise BadMedia("the film's time code counts slower than its frames, and has no number for this one")
    rate = Fraction(base * 1000, 1001) if drop else Fraction(base)
    day = frames_per_day(rate, drop=drop) if base else 0
    return (start + int(later)) % day if day else start


def _scaled(film: Mxf, frames: int, rate: Fraction) -> int:
    """So many frames in units of another rate."""
    return round(frames * rate / film.rate)


def _put(changed: bytearray, owner: Set, tag: int, value: int) -> None:
    place = owner.items.get(tag)
    if place is not None and place[1] == 8:
        changed[place[0] : place[0] + 8] = struct.pack(">q", max(min(value, (1 << 63) - 1), -(1 << 63)))


def _renamed(data: bytes, film: Mxf, packages: Sequence[Package], frames: FrameRange) -> bytes:
    """The same with identifiers of its own for the packages that are not the source's any more."""
    for package in packages:
        old = package.set.value(PACKAGE_UID) or b""
        if len(old) == 32 and any(old):
            told = old + struct.pack(">QQQ", film.size, frames.first, frames.count)
            data = data.replace(old, old[:_UMID_OWN] + hashlib.sha256(told).digest()[:_UMID_OWN])
    return data
