"""A cut list as a movie: ranges of films one after another in record order, made of the films' own bytes.

    ftyp | moov | free | mdat: four bytes of time code, then runs of the films in record order

Which pictures can follow each other is `media.joining`'s to say, which sound `media.hearing`'s. Tracks are like the
first film's of their kind; what says something of one film as a whole is left out. Frames are counted from the record's
own start, by a time code track that is written for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, groupby
from math import lcm
from operator import itemgetter

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import can_drop, frames_per_day, shown_rate
from filmfs.media.boxes import write_box
from filmfs.media.clipping import Clip, Layout, Part, Places
from filmfs.media.hearing import Heard, Piece, SoundSegment, hear
from filmfs.media.joining import Sequel, cut_shot, follow
from filmfs.media.labelling import can_say, timecode_box
from filmfs.media.listings import Listing, joined, listed, silence
from filmfs.media.moov import NewTrack, description_of, timecode_track, write_header, write_reference, write_track
from filmfs.media.movie import Movie
from filmfs.media.quicktime import QuickTime

_FTYP = write_box(b"ftyp", b"qt  ", (0x200).to_bytes(4, "big"), b"qt  ")
_OF_ONE_FILM = {b"udta", b"meta"}
_SCALE_MAX = 1 << 31


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames of a film that are shown next; `source` is the caller's number for the film's file."""

    film: QuickTime
    frames: FrameRange
    source: int = 0


def plan_conform(
    picture: Sequence[Segment],
    sounds: Sequence[Sequence[SoundSegment]],
    *,
    start: int,
    rate: Fraction,
    drop: bool,
    reel: str | None = None,
    sources: Mapping[int, ByteSource] | None = None,
) -> Clip:
    """The movie of these segments, which follow each other without gaps from the frame number `start` on.

    The pieces of the Clip name the sources of its runs. `sources` are the files themselves, by the same numbers: where
    pictures need one another (H.264, HEVC) the first bytes of each segment are read.
    Raises BadMedia for what cannot be exact, with the segment.
    """
    if drop and not can_drop(rate):
        raise BadMedia(f"there is no drop-frame counting at {shown_rate(rate)} frames a second")
    shots = []
    for number, segment in enumerate(picture, 1):
        try:
            shots.append(cut_shot(segment.film, segment.frames, segment.source, rate))
        except BadMedia as error:
            raise BadMedia(f"segment {number} of the picture: {error}") from None
    sequel = follow(shots, rate, sources or {}) if shots else None
    heard = [hear(number, track, rate) for number, track in enumerate(sounds, 1) if track]
    if not shots and not heard:
        raise BadMedia("the cut list has nothing in it")
    frames = sum(shot.frames for shot in shots) or max(track.frames for track in heard)
    for number, track in enumerate(heard, 1):
        if track.frames > frames:
            raise BadMedia(f"sound track {number} lasts {track.frames} frames, and the picture {frames}")
    return _Record(sequel, heard, frames, rate, drop, reel).file(start)


# The file


@dataclass(frozen=True)
class _Record:
    """The movie before its bytes have places."""

    picture: Sequel | None
    sounds: list[Heard]
    frames: int
    rate: Fraction
    drop: bool
    reel: str | None

    @cached_property
    def scale(self) -> int:
        """Units in a second in which frames are whole numbers; samples and the picture's own times too, if they can."""
        scale = self.rate.numerator
        for other in (
            *((self.picture.timescale,) if self.picture else ()),
            *(each.like.timescale for each in self.sounds),
        ):
            finer = lcm(scale, other)
            scale = finer if finer < _SCALE_MAX else scale
        return scale

    def file(self, start: int) -> Clip:
        """The movie, from this frame number on."""
        layout = Layout()
        shots = self.picture.shots if self.picture else ()
        starts = accumulate((shot.frames for shot in shots), initial=0)
        pieces = [Piece(at, shot.part) for at, shot in zip(starts, shots, strict=False)]
        seen, *heard = _listings(layout, [(1, pieces), *((track.width, track.pieces) for track in self.sounds)])
        tracks = [self._seen(self.picture, seen, large=layout.is_large)] if self.picture else []
        tracks += [
            self._heard(track, joined(listings), large=layout.is_large)
            for track, listings in zip(self.sounds, heard, strict=True)
        ]
        tracks = [replace(track, number=number) for number, track in enumerate(tracks, 1)]
        header = tracks[0].like.movie
        if can_say(self.rate):
            tracks = self._with_timecode(tracks, large=layout.is_large)
        boxes = [write_track(track, self.scale, _OF_ONE_FILM) for track in tracks]
        moov = write_box(b"moov", write_header(header, self.scale, self._units(self.length), len(tracks)), *boxes)
        return layout.file(_FTYP, moov, start % frames_per_day(self.rate, drop=self.drop))

    @property
    def length(self) -> Fraction:
        """How long it is, in seconds."""
        return self.frames / self.rate

    def _units(self, seconds: Fraction) -> int:
        return round(seconds * self.scale)

    def _seen(self, picture: Sequel, listings: Sequence[Listing], *, large: bool) -> NewTrack:
        listing, edits = picture.listing(listings)
        tables = listing.box(picture.description, large=large)
        shown = [(self._units(length), time) for length, time in edits]
        return NewTrack(picture.like, tables, listing.length, shown, picture.timescale)

    def _heard(self, heard: Heard, listing: Listing, *, large: bool) -> NewTrack:
        tables = listing.box(description_of(heard.like), large=large)
        edits = [(self._units(length), time) for length, time in heard.edits]
        return NewTrack(heard.like, tables, listing.length, edits, heard.like.timescale)

    def _with_timecode(self, tracks: Sequence[NewTrack], *, large: bool) -> list[NewTrack]:
        number = len(tracks) + 1
        code = timecode_box(number, self.rate, drop=self.drop, reel=self.reel)
        (like,) = Movie(write_box(b"moov", code)).tracks
        first, *others = tracks
        made = timecode_track(like, self._units(self.length), self.length, large=large)
        return [replace(first, references=write_reference(number)), *others, made]


def _listings(layout: Layout, tracks: Sequence[tuple[int, Sequence[Piece]]]) -> list[list[Listing]]:
    """Puts the pieces of tracks, which have samples of so many bytes, there in record order; what is where then."""
    listings: list[list[Listing]] = [[] for _ in tracks]
    in_order = sorted(
        ((piece.at, number, width, piece) for number, (width, pieces) in enumerate(tracks) for piece in pieces),
        key=itemgetter(0, 1),
    )
    for _, group in groupby(in_order, key=itemgetter(0)):
        together = list(group)
        parts: dict[int, list[Part]] = {}
        for *_, piece in together:
            if piece.part is not None:
                parts.setdefault(piece.part.source, []).append(piece.part)
        places = {source: layout.add(of_source) for source, of_source in parts.items()}
        for _, number, width, piece in together:
            is_all = len(tracks[number][1]) == 1
            listings[number].append(_listing(layout, places, width, piece, is_all=is_all))
    return listings


def _listing(layout: Layout, places: Mapping[int, Places], width: int, piece: Piece, *, is_all: bool) -> Listing:
    """The samples of a piece, with its silence; `is_all`: the track has no other."""
    found = []
    if piece.before:
        found.append(silence(layout.add_zeros(piece.before * width), piece.before, width))
    if piece.part is not None:
        shown_for = piece.part.cut.ends - piece.part.cut.begins if is_all else None
        found.append(listed(piece.part, places[piece.part.source], shown_for=shown_for))
    if piece.after:
        found.append(silence(layout.add_zeros(piece.after * width), piece.after, width))
    return joined(found)
