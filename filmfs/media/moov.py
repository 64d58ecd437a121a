"""The `moov` of a clip: the source's boxes, with the times, the tables and the edits of the cuts.

Left out are tracks that are no picture, sound or time code, references to them, and tables that speak of samples in
ways that a clip has no use for. Text in `udta` and `meta` that repeats the time code is `stale`'s work, before this.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from math import lcm

from filmfs.core.errors import BadMedia
from filmfs.media import writing
from filmfs.media.boxes import Box, boxes_of, find, write_box, write_full_box
from filmfs.media.cutting import Cut
from filmfs.media.movie import Movie, Track
from filmfs.media.tables import Chunk

_DROPPED_OF_MOVIE = {b"mvex", b"trak", b"mvhd"}
_DROPPED_OF_TRACK = {b"edts", b"tkhd", b"mdia", b"tref"}
_TABLES = b"stbl"
_SCALE_MAX = 1 << 31
_TIMECODE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Part:
    """A cut and where its samples lie."""

    cut: Cut
    chunks: list[Chunk]


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


def clip_moov(
    movie: Movie, parts: Sequence[Part], places: Places, timecode: int, duration: Fraction, *, large: bool
) -> bytes:
    """The box. Offsets of samples count from the body of the clip's mdat: see `shift_offsets`. Raises BadMedia."""
    scale = movie_scale(parts, duration)
    length = duration * scale
    if length.denominator != 1:
        raise BadMedia("the length of the clip is no whole number of its time scale")
    tracks = [_track(part, places, scale, large=large) for part in parts]
    code = movie.timecode
    if code is not None:
        tracks.append(_timecode_track(code, int(length), scale, duration, large=large))
    header = _header(movie, scale, int(length))
    rest = [
        movie.data[box.start : box.end]
        for box in boxes_of(movie.data, movie.box.body, movie.box.end)
        if box.kind not in _DROPPED_OF_MOVIE
    ]
    return write_box(b"moov", header, *tracks, *rest)


def movie_scale(parts: Sequence[Part], duration: Fraction) -> int:
    """Units in a second in which the picture's edits and the duration are whole numbers."""
    scale = lcm(parts[0].cut.track.timescale, duration.denominator)
    return scale if scale < _SCALE_MAX else parts[0].cut.track.timescale


def shift_offsets(moov: bytes, by: int) -> bytes:
    """The same with `by` added to the offset of every chunk."""
    shifted = bytearray(moov)
    (box,) = boxes_of(moov)
    for track in boxes_of(moov, box.body, box.end):
        stbl = find(moov, "mdia/minf/stbl", track.body, track.end) if track.kind == b"trak" else None
        for table in boxes_of(moov, stbl.body, stbl.end) if stbl is not None else ():
            if table.kind in (b"stco", b"co64"):
                code = "I" if table.kind == b"stco" else "Q"
                offsets = writing.swapped(array(code, moov[table.body + 8 : table.end]))
                moved = array(code, [offset + by for offset in offsets])
                shifted[table.body + 8 : table.end] = writing.big_endian(moved)
    return bytes(shifted)


# Headers


def _header(movie: Movie, scale: int, duration: int) -> bytes:
    box = find(movie.data, "mvhd", movie.box.body, movie.box.end)
    assert box is not None
    return _times(movie.data, box, b"mvhd", scale, duration)


def _times(data: bytes, box: Box, kind: bytes, scale: int | None, duration: int) -> bytes:
    """An mvhd, tkhd or mdhd with another scale (not in a tkhd) and duration; of version 1 where it must."""
    version, flags = data[box.body], int.from_bytes(data[box.body + 1 : box.body + 4], "big")
    width, middle = (8, 4) if version else (4, 4)
    at = box.body + 4 + 2 * width
    made = struct.unpack_from(">QQ" if version else ">II", data, box.body + 4)
    rest_at = at + middle + (4 if kind == b"tkhd" else 0) + width
    between = data[at : at + 8] if kind == b"tkhd" else struct.pack(">I", scale or 0)
    rest = data[rest_at : box.end]
    if max(*made, duration) < 1 << 32:
        times, written = struct.pack(">II", *made), struct.pack(">I", duration)
        version = 0
    else:
        times, written = struct.pack(">QQ", *made), struct.pack(">Q", duration)
        version = 1
    return write_full_box(kind, version, flags, times, between, written, rest)


# Tracks


def _track(part: Part, places: Places, scale: int, *, large: bool) -> bytes:
    cut = part.cut
    track = cut.track
    shown = round(Fraction(cut.ends - cut.begins, track.timescale) * scale)
    edits = writing.edits([(round(cut.delay * scale), -1), (shown, cut.begins - cut.zero)])
    tables, media_length = _sample_tables(part, places, shown_for=cut.ends - cut.begins, large=large)
    return _rebuilt(track, scale, edits, round(cut.delay * scale) + shown, media_length, tables)


def _rebuilt(track: Track, scale: int, edits: bytes, duration: int, media_length: int, tables: bytes) -> bytes:
    data = track.movie.data
    others = [
        data[box.start : box.end]
        for box in boxes_of(data, track.box.body, track.box.end)
        if box.kind not in _DROPPED_OF_TRACK
    ]
    mdia = track.need("mdia")
    media = []
    for box in boxes_of(data, mdia.body, mdia.end):
        if box.kind == b"mdhd":
            media.append(_times(data, box, b"mdhd", track.timescale, media_length))
        elif box.kind == b"minf":
            inner = [
                tables if each.kind == _TABLES else data[each.start : each.end]
                for each in boxes_of(data, box.body, box.end)
            ]
            media.append(write_box(b"minf", *inner))
        else:
            media.append(data[box.start : box.end])
    head = _times(data, track.need("tkhd"), b"tkhd", None, duration)
    return write_box(b"trak", head, edits, *_references(track), write_box(b"mdia", *media), *others)


def _references(track: Track) -> list[bytes]:
    """`tref`, of the time code alone: other tracks that it may speak of are not in the clip."""
    code = track.movie.timecode
    if code is None or code.number not in track.references(b"tmcd"):
        return []
    return [write_box(b"tref", write_box(b"tmcd", struct.pack(">I", code.number)))]


def _timecode_track(track: Track, length: int, scale: int, duration: Fraction, *, large: bool) -> bytes:
    units = round(duration * track.timescale)
    tables = write_box(
        b"stbl",
        _description(track),
        writing.durations([(1, units)]),
        writing.chunk_contents([(1, 1)]),
        writing.one_size(_TIMECODE_BYTES, 1),
        writing.chunk_offsets([0], large=large),
    )
    return _rebuilt(track, scale, writing.edits([(length, 0)]), length, units, tables)


def _description(track: Track) -> bytes:
    stsd = track.need("mdia/minf/stbl/stsd")
    return track.movie.data[stsd.start : stsd.end]


# Sample tables


def _sample_tables(part: Part, places: Places, *, shown_for: int, large: bool) -> tuple[bytes, int]:
    """`stbl` of a part, and how long its samples last together in its own units."""
    cut, table = part.cut, part.cut.track.table
    kept = (
        [index for index in range(cut.start, cut.end) if index not in cut.omitted]
        if cut.omitted
        else range(cut.start, cut.end)
    )
    durations = _durations(cut, kept)
    boxes = [_description(cut.track), writing.durations(durations)]
    shifts = table.shifts(cut.start, cut.end)
    if shifts is not None:
        chosen = [shifts[index - cut.start] for index in kept] if cut.omitted else shifts
        boxes.append(writing.shifts(chosen))
    if table.sync is not None:
        boxes.append(_sync_table(cut, kept, shown_for))
    boxes.append(writing.chunk_contents((chunk.samples, chunk.description) for chunk in part.chunks))
    boxes.append(_sizes(part, kept))
    boxes.append(writing.chunk_offsets(places.moved([chunk.offset for chunk in part.chunks]), large=large))
    return write_box(b"stbl", *boxes), sum(count * duration for count, duration in durations)


def _durations(cut: Cut, kept: Sequence[int]) -> list[tuple[int, int]]:
    """stts: what is omitted lengthens what stands before it; a last packet of sound ends where the clip does."""
    table = cut.track.table
    if cut.sample_bytes:
        return [(len(kept), 1)]
    if not cut.omitted:
        runs = writing.grouped([cut.packet] * cut.pre_roll + table.durations(cut.start + cut.pre_roll, cut.end))
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


def _sync_table(cut: Cut, kept: Sequence[int], shown_for: int) -> bytes:
    """stss, without those after the clip's length: GStreamer (qtdemux 1.22) would end the stream at one of them."""
    table = cut.track.table
    assert table.sync is not None
    zero, within = table.decoded_at(cut.start), set(table.sync)
    listed = []
    for number, index in enumerate(kept, 1):
        if index in within and (number == 1 or table.shown_at(index, index + 1)[0] - zero < shown_for):
            listed.append(number)
    return writing.sync_samples(listed)


def _sizes(part: Part, kept: Sequence[int]) -> bytes:
    cut, table = part.cut, part.cut.track.table
    size = cut.sample_bytes or table.size
    if size:
        return writing.one_size(size, len(kept))
    sizes = table.sizes(cut.start, cut.end)
    return writing.sizes([sizes[index - cut.start] for index in kept] if cut.omitted else sizes)
