"""The `moov` of a clip: the source's boxes, with the times, the tables and the edits of the cuts.

Left out are tracks that are no picture, sound or time code, references to them, and tables that speak of samples in
ways that a clip has no use for. Text in `udta` and `meta` that repeats the time code is `stale`'s work, before this.
"""

import struct
from collections.abc import Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from filmfs.core.errors import BadMedia
from filmfs.media import writing
from filmfs.media.boxes import Box, find, write_box, write_full_box
from filmfs.media.clipping import TIMECODE_BYTES, Part, Places
from filmfs.media.listings import Listing, listed
from filmfs.media.movie import Movie, Track

_DROPPED_OF_MOVIE = {b"mvex", b"trak", b"mvhd"}
_DROPPED_OF_TRACK = {b"edts", b"tkhd", b"mdia", b"tref"}
_TABLES = b"stbl"
_SCALE_MAX = 1 << 31
_ENABLED_IN_MOVIE = 3


@dataclass(frozen=True, slots=True)
class NewTrack:
    """A track to be written: one of a source that it is like, but for its samples, edits and times."""

    like: Track
    tables: bytes  # `stbl`
    media_length: int  # in `timescale`
    edits: Sequence[tuple[int, int]]  # (length in the movie's units, media time); -1 is nothing
    timescale: int
    references: bytes = b""  # `tref`
    number: int | None = None  # where it is not that of the source

    @property
    def length(self) -> int:
        """How long it is shown, in the movie's units."""
        return sum(length for length, _ in self.edits)


def clip_moov(
    movie: Movie, parts: Sequence[Part], places: Places, timecode: int, duration: Fraction, *, large: bool
) -> bytes:
    """The box of a clip. Offsets of samples count from the body of its mdat: see `shift_offsets`. Raises BadMedia."""
    scale = movie_scale(parts[0].cut.track.timescale, duration)
    length = duration * scale
    if length.denominator != 1:
        raise BadMedia("the length of the clip is no whole number of its time scale")
    tracks = [write_track(_track(part, places, scale, large=large), scale) for part in parts]
    code = movie.timecode
    if code is not None:
        tracks.append(write_track(timecode_track(code, int(length), duration, large=large), scale))
    rest = [movie.data[box.start : box.end] for box in movie.boxes if box.kind not in _DROPPED_OF_MOVIE]
    return write_box(b"moov", write_header(movie, scale, int(length)), *tracks, *rest)


def movie_scale(timescale: int, duration: Fraction) -> int:
    """Units in a second in which the picture's edits and the duration are whole numbers."""
    scale = lcm(timescale, duration.denominator)
    return scale if scale < _SCALE_MAX else timescale


# Headers


def write_header(movie: Movie, scale: int, duration: int, tracks: int | None = None) -> bytes:
    """`mvhd` like that of a movie; where its tracks have new numbers, they are `tracks`."""
    box = find(movie.data, "mvhd", movie.box.body, movie.box.end)
    assert box is not None
    header = _times(movie.data, box, b"mvhd", scale, duration)
    return header if tracks is None else header[:-4] + struct.pack(">I", tracks + 1)


def _times(data: bytes, box: Box, kind: bytes, changed: int | None, duration: int) -> bytes:
    """An mvhd or mdhd with another scale, a tkhd with another number, and a duration; of version 1 if it must."""
    version, flags = data[box.body], int.from_bytes(data[box.body + 1 : box.body + 4], "big")
    width, middle = (8, 4) if version else (4, 4)
    at = box.body + 4 + 2 * width
    made = struct.unpack_from(">QQ" if version else ">II", data, box.body + 4)
    rest_at = at + middle + (4 if kind == b"tkhd" else 0) + width
    between = data[at : at + middle] if changed is None else struct.pack(">I", changed)
    if kind == b"tkhd":
        between += data[at + 4 : at + 8]
        flags |= 0 if changed is None else _ENABLED_IN_MOVIE
    rest = data[rest_at : box.end]
    if max(*made, duration) < 1 << 32:
        times, written = struct.pack(">II", *made), struct.pack(">I", duration)
        version = 0
    else:
        times, written = struct.pack(">QQ", *made), struct.pack(">Q", duration)
        version = 1
    return write_full_box(kind, version, flags, times, between, written, rest)


# Tracks


def _track(part: Part, places: Places, scale: int, *, large: bool) -> NewTrack:
    cut, track = part.cut, part.cut.track
    shown = round(Fraction(cut.ends - cut.begins, track.timescale) * scale)
    edits = [(round(cut.delay * scale), -1), (shown, cut.begins - cut.zero)]
    listing = listed(part, places, shown_for=cut.ends - cut.begins)
    tables = listing.box(description_of(track), large=large)
    return NewTrack(track, tables, listing.length, edits, track.timescale, _references(track))


def timecode_track(like: Track, length: int, duration: Fraction, *, large: bool) -> NewTrack:
    """A time code track of one sample, which lies where the body of the file begins."""
    units = round(duration * like.timescale)
    listing = Listing([(1, units)], [(1, 1)], [0], 1, TIMECODE_BYTES)
    tables = listing.box(description_of(like), large=large)
    return NewTrack(like, tables, units, [(length, 0)], like.timescale, _references(like))


def write_track(new: NewTrack, scale: int, dropped: Set[bytes] = frozenset()) -> bytes:
    """`trak`, in a movie of this time scale, without the boxes of these kinds that the track has which it is like."""
    like, data = new.like, new.like.movie.data
    others = [
        data[box.start : box.end] for box in like.boxes if box.kind not in _DROPPED_OF_TRACK and box.kind not in dropped
    ]
    media = []
    for box, within in like.media_boxes:
        if box.kind == b"mdhd":
            media.append(_times(data, box, b"mdhd", new.timescale, new.media_length))
        elif box.kind == b"minf":
            inner = [new.tables if each.kind == _TABLES else data[each.start : each.end] for each in within]
            media.append(write_box(b"minf", *inner))
        else:
            media.append(data[box.start : box.end])
    head = _times(data, like.need("tkhd"), b"tkhd", new.number, new.length)
    edits = writing.edits(new.edits)
    return write_box(b"trak", head, edits, new.references, write_box(b"mdia", *media), *others)


def _references(track: Track) -> bytes:
    """`tref`, of the time code alone: other tracks that it may speak of are not in the clip."""
    code = track.movie.timecode
    if code is None or code.number not in track.references(b"tmcd"):
        return b""
    return write_reference(code.number)


def write_reference(timecode: int) -> bytes:
    """`tref` to the time code track of this number."""
    return write_box(b"tref", write_box(b"tmcd", struct.pack(">I", timecode)))


def description_of(track: Track) -> bytes:
    """The track's stsd, header and all."""
    stsd = track.need("mdia/minf/stbl/stsd")
    return track.movie.data[stsd.start : stsd.end]
