"""Which pictures can stand one after another in a track, and how.

Pictures that each stand by themselves are simply put together, also those of several sample descriptions of one family
of codecs. Groups of pictures need one description for all (readers take another decoder's parameters for the wrong
ones), and are shown through an edit each, that hides what must be decoded before.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from math import lcm

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import shown_rate
from filmfs.media.boxes import boxes_of, find, write_full_box
from filmfs.media.clipping import Part, chunks_of
from filmfs.media.cutting import Cut, cut_picture
from filmfs.media.groups import begins_anew
from filmfs.media.listings import Listing, joined
from filmfs.media.movie import Track
from filmfs.media.quicktime import QuickTime

_FAMILIES = {  # of codecs whose pictures say all that a decoder needs
    "ProRes 422": {b"apch", b"apcn", b"apcs", b"apco"},
    "ProRes 4444": {b"ap4h", b"ap4x"},
    "DNxHD": {b"AVdn", b"AVdh"},
    "CineForm": {b"CFHD"},
    "JPEG": {b"jpeg"},
}
_FIRST_OF_FAMILY = (b"apch", b"apcn")  # FFmpeg takes others of the family behind one of these, and not before it
_SHAPES = {"pasp": struct.pack(">II", 1, 1), "fiel": b"\1\0", "clap": b""}  # and what they say who are not there
_OF_THE_STREAM = {b"btrt"}  # bit rates: what differs in it is no other way of decoding
_ENTRY = 78  # bytes of a visual sample entry before the boxes in it (ISO/IEC 14496-12, 12.1.3)
_SIZE_AT, _MATRIX_BACK = 24, 44
_THIS_FILE = b"\0\1"  # the number of a data reference


@dataclass(frozen=True, slots=True)
class Shot:
    """A segment of the picture: its samples, and how many frames of them are shown."""

    part: Part
    frames: int
    stands_alone: bool  # each of its samples is a picture that needs no other, and is shown

    @property
    def track(self) -> Track:
        """The track that it is of."""
        return self.part.cut.track

    @property
    def entries(self) -> list[bytes]:
        """The sample descriptions that its samples have."""
        track = self.track
        used = sorted(set(self.part.chunks.descriptions))
        if not used or not 1 <= used[0] <= used[-1] <= len(track.entries):
            raise BadMedia("its samples have a description that is not there")
        return [track.movie.data[box.start : box.end] for box in (track.entries[number - 1] for number in used)]


def cut_shot(film: QuickTime, frames: FrameRange, source: int, rate: Fraction) -> Shot:
    """The samples of a range of a film. Raises BadMedia."""
    track = film.movie.picture
    if track is None:
        raise BadMedia("its film has no picture")
    if not track.entries:
        raise BadMedia("its film does not say how its pictures are coded")
    if film.rate != rate:
        raise BadMedia(f"its film has {shown_rate(film.rate)} frames a second, and the record {shown_rate(rate)}")
    if frames.first < 0 or frames.count < 1 or frames.end > film.pace.frames:
        raise BadMedia(f"it goes past its film, which has {film.pace.frames} frames")
    cut, _ = cut_picture(track, film.pace, frames.first, frames.count)
    part = Part(cut, chunks_of(cut), source)
    if part.reach > film.size:
        raise BadMedia("its file ends before these frames: its copy or its recording was cut off")
    return Shot(part, frames.count, _stands_alone(cut, frames.count))


def _stands_alone(cut: Cut, count: int) -> bool:
    table = cut.track.table
    if cut.omitted or cut.end - cut.start != count:
        return False
    shifts = table.shifts(cut.start, cut.end)
    return len(table.syncs(cut.start, cut.end)) == count and (shifts is None or len(set(shifts)) == 1)


@dataclass(frozen=True, slots=True)
class Sequel:
    """Shots that follow each other in a track, with its sample descriptions and its units in a second."""

    shots: tuple[Shot, ...]
    entries: tuple[bytes, ...]
    rate: Fraction
    timescale: int
    stands_alone: bool

    @property
    def like(self) -> Track:
        """The track whose other boxes the new one has."""
        return self.shots[0].track

    @property
    def description(self) -> bytes:
        """`stsd`."""
        return write_full_box(b"stsd", 0, 0, struct.pack(">I", len(self.entries)), *self.entries)

    def listing(self, listings: Sequence[Listing]) -> tuple[Listing, list[tuple[Fraction, int]]]:
        """The samples of the track, of those of its shots; and its edits: (seconds, media time)."""
        if self.stands_alone:
            whole, tick = joined(listings), int(self.timescale / self.rate)
            whole = replace(whole, durations=[(whole.count, tick)], shifts=None, sync=None)
            return whole, [(whole.count / self.rate, 0)]
        edits, kept, at = [], [], 0
        spans = [self._span(shot) for shot in self.shots]
        for number, (shot, listing) in enumerate(zip(self.shots, listings, strict=True)):
            factor, cut = self.timescale // shot.track.timescale, shot.part.cut
            scaled = listing.scaled(factor)
            if number + 1 < len(spans):
                # What is shown next begins when all of this is over: FFmpeg looks for an edit's frames by their time.
                scaled = scaled.lengthened(max(0, spans[number][1] - scaled.length - spans[number + 1][0]))
            edits.append((shot.frames / self.rate, at + (cut.begins - cut.zero) * factor))
            kept.append(scaled)
            at += scaled.length
        return joined(kept), edits

    def _span(self, shot: Shot) -> tuple[int, int]:
        """When the first of its samples is shown and the last one has been, counted from where they begin."""
        cut, table = shot.part.cut, shot.track.table
        times = [
            time for index, time in enumerate(table.shown_at(cut.start, cut.end), cut.start) if index not in cut.omitted
        ]
        factor = self.timescale // shot.track.timescale
        return (min(times) - cut.zero) * factor, (max(times) - cut.zero) * factor + int(self.timescale / self.rate)


def follow(shots: Sequence[Shot], rate: Fraction, sources: Mapping[int, ByteSource]) -> Sequel:
    """The shots in one track. Raises BadMedia for the first that cannot be, with its number from 1.

    A source is read where its pictures need one another: the first bytes of each segment.
    """
    stands_alone = all(shot.stands_alone for shot in shots)
    looks = _looks(shots[0].track)
    looks_of = {id(shots[0].track): looks}
    essences = {_essence(entry) for entry in shots[0].entries}
    is_led = any(entry[4:8] in _FIRST_OF_FAMILY for shot in shots for entry in shot.entries)
    for number, shot in enumerate(shots, 1) if len(shots) > 1 else ():
        if id(shot.track) not in looks_of:
            looks_of[id(shot.track)] = _looks(shot.track)
        reason = _difference(looks, looks_of[id(shot.track)]) or _foreign(shot, essences, is_led=is_led)
        if not reason and not stands_alone:
            reason = _hindrance(shot, essences, rate, sources.get(shot.part.source), is_first=number == 1)
        if reason:
            raise BadMedia(f"segment {number} of the picture cannot stand in one track with segment 1: {reason}")
    entries: dict[bytes, bytes] = {}
    for entry in chain.from_iterable(shot.entries for shot in shots):
        entries.setdefault(_essence(entry), entry[:14] + _THIS_FILE + entry[16:])
    ordered = dict(sorted(entries.items(), key=lambda each: each[1][4:8] not in _FIRST_OF_FAMILY))
    numbers = {essence: number for number, essence in enumerate(ordered, 1)}
    placed = tuple(_renumbered(shot, numbers) for shot in shots)
    return Sequel(placed, tuple(ordered.values()), rate, _timescale(shots, rate, stands_alone), stands_alone)


def _timescale(shots: Sequence[Shot], rate: Fraction, stands_alone: bool) -> int:
    if stands_alone:
        scale = shots[0].track.timescale
        return scale if (scale / rate).denominator == 1 else rate.numerator
    return lcm(*{shot.track.timescale for shot in shots})


def _renumbered(shot: Shot, numbers: Mapping[bytes, int]) -> Shot:
    """The same with the descriptions of the new track."""
    chunks = shot.part.chunks
    used = sorted(set(chunks.descriptions))
    new = {old: numbers[_essence(entry)] for old, entry in zip(used, shot.entries, strict=True)}
    if all(old == number for old, number in new.items()):
        return shot
    renumbered = chunks._replace(descriptions=[new[old] for old in chunks.descriptions])
    return replace(shot, part=replace(shot.part, chunks=renumbered))


# Whether they can


@dataclass(frozen=True, slots=True)
class _Looks:
    """What of a track with pictures readers take from its first description, or from its header."""

    family: str
    size: tuple[int, int]
    shapes: tuple[bytes, ...]
    matrix: bytes


def _looks(track: Track) -> _Looks:
    data, entry = track.movie.data, track.entries[0]
    family = next((name for name, kinds in _FAMILIES.items() if entry.kind in kinds), entry.kind.decode("latin-1"))
    if entry.length < _ENTRY:
        raise BadMedia(f"the description of track {track.number} is cut off")
    boxes = {kind: find(data, kind, entry.body + _ENTRY, entry.end) for kind in _SHAPES}
    head = track.need("tkhd")
    return _Looks(
        family,
        struct.unpack_from(">HH", data, entry.body + _SIZE_AT),
        tuple(_SHAPES[kind] if box is None else data[box.body : box.end] for kind, box in boxes.items()),
        data[head.end - _MATRIX_BACK : head.end - 8],
    )


def _difference(first: _Looks, other: _Looks) -> str:
    if other.family != first.family:
        return f"it is {other.family}, and not {first.family}"
    if other.size != first.size:
        return "its pictures have {}×{} points, and not {}×{}".format(*other.size, *first.size)
    if other.shapes != first.shapes:
        return "its points have another shape, or its fields another order"
    return "it is shown turned another way" if other.matrix != first.matrix else ""


def _foreign(shot: Shot, essences: set[bytes], *, is_led: bool) -> str:
    """Why descriptions cannot stand beside `essences`; empty where they can. `is_led`: FFmpeg takes others beside."""
    others = [entry for entry in shot.entries if _essence(entry) not in essences]
    if any(not any(entry[4:8] in kinds for kinds in _FAMILIES.values()) for entry in others):
        return "its decoder parameters are others"
    if {entry[4:8] for entry in others} - {essence[:4] for essence in essences} and not is_led:
        return "players that FFmpeg is in pass over its kind of the codec there"
    return ""


def _hindrance(shot: Shot, essences: set[bytes], rate: Fraction, source: ByteSource | None, *, is_first: bool) -> str:
    """Why groups of pictures cannot follow those with the descriptions `essences`; empty where they can."""
    if {_essence(entry) for entry in shot.entries} != essences or len(essences) != 1:
        return "its pictures need one another, and its decoder parameters are others"
    if (shot.track.timescale / rate).denominator != 1:
        return "its pictures need one another, and their times are rounded"
    if not is_first and not begins_anew(shot.track, shot.part.cut.start, source):
        return "its pictures need one another, and its groups of pictures are open"
    return ""


def _essence(entry: bytes) -> bytes:
    """What of a description tells how to decode: its kind, size and depth, and the boxes in it."""
    try:
        inner = [entry[box.start : box.end] for box in boxes_of(entry, 8 + _ENTRY) if box.kind not in _OF_THE_STREAM]
    except BadMedia:
        inner = [entry[8 + _ENTRY :]]
    return b"".join((entry[4:8], entry[32:36], entry[82 : 8 + _ENTRY], *inner))
