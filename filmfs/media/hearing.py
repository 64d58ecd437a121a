"""A sound track of a movie that is made of several films' sound.

Sound is uncompressed and of one form in a track. Its segment from record frame f on begins with sample
round(f × sample rate / frame rate) and lasts until the next one does, so that nothing drifts; where its film has no
sound, or a sample too few, there are zeros. A track of one segment may have packets, as in a clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import shown_rate
from filmfs.media.clipping import Part, chunks_of
from filmfs.media.cutting import Stretch, cut_sound
from filmfs.media.movie import Track
from filmfs.media.quicktime import QuickTime
from filmfs.media.sound import Form, form_of


@dataclass(frozen=True, slots=True)
class SoundSegment:
    """What is heard next: one of a film's sound tracks (0 is the first) during frames of it; no film is silence.

    A film without picture has the record's frames; the first begins `offset` seconds after the film does.
    """

    film: QuickTime | None
    frames: FrameRange
    track: int = 0
    source: int = 0
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a track has from a frame of the record on: samples of a film, and of silence before and after them."""

    at: int
    part: Part | None
    before: int = 0
    after: int = 0

    @property
    def count(self) -> int:
        """How many samples of uncompressed sound it has."""
        heard = self.part.cut.ends - self.part.cut.begins if self.part is not None else 0
        return self.before + heard + self.after


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound track: its pieces, the track that it is like, and the form of its samples, if they are no packets."""

    pieces: list[Piece]
    like: Track
    form: Form | None
    frames: int

    @property
    def width(self) -> int:
        """Bytes of a sample; 1 where it comes in packets, and nothing has to be filled up."""
        return self.form.width if self.form else 1

    @property
    def edits(self) -> list[tuple[Fraction, int]]:
        """What of its samples is heard: (seconds, time in them); -1 is nothing."""
        scale = self.like.timescale
        if self.form is None:
            (cut,) = (piece.part.cut for piece in self.pieces if piece.part is not None)
            return [(cut.delay, -1), (Fraction(cut.ends - cut.begins, scale), cut.begins - cut.zero)]
        return [(Fraction(sum(piece.count for piece in self.pieces), scale), 0)]


def hear(number: int, segments: Sequence[SoundSegment], rate: Fraction) -> Heard:
    """The sound track of this number. Raises BadMedia, with the segment."""
    with_sound = [segment for segment in segments if segment.film is not None]
    if not with_sound:
        raise BadMedia(f"sound track {number} is silent from its beginning to its end")
    starts = list(accumulate((segment.frames.count for segment in segments), initial=0))
    pieces: list[Piece] = []
    like, form = _track_of(with_sound[0], number, segments.index(with_sound[0]) + 1)
    for position, segment in enumerate(segments):
        where = f"segment {position + 1} of sound track {number}"
        track = like
        if segment.film is not None:
            track, other = _track_of(segment, number, position + 1)
            if other != form:
                raise BadMedia(f"{where} is {other or 'packets'}, and the track began as {form or 'packets'}")
        if segment.frames.first < 0 or segment.frames.count < 1:
            raise BadMedia(f"{where} has no frames, or begins before its film")
        if form is None and len(segments) > 1:
            kind = like.entries[0].kind.decode("latin-1")
            raise BadMedia(f"{where} cannot be joined: its sound comes in packets ({kind}), which end where they end")
        samples = [round(frame * like.timescale / rate) for frame in starts[position : position + 2]]
        try:
            piece = _piece(segment, track, starts[position], samples[1] - samples[0], rate)
        except BadMedia as error:
            raise BadMedia(f"{where}: {error}") from None
        if (piece.before or piece.after) and form is not None and not form.is_silent_in_zeros:
            raise BadMedia(f"{where} is partly silent, and silence of the kind {form} is not zeros")
        pieces.append(piece)
    return Heard(pieces, like, form, starts[-1])


def _track_of(segment: SoundSegment, number: int, position: int) -> tuple[Track, Form | None]:
    assert segment.film is not None
    tracks = segment.film.movie.sounds
    if not 0 <= segment.track < len(tracks):
        raise BadMedia(
            f"segment {position} of sound track {number} is of sound track {segment.track + 1} of a film that has"
            f" {len(tracks)}"
        )
    track = tracks[segment.track]
    return track, form_of(track)


def _piece(segment: SoundSegment, track: Track, at: int, count: int, rate: Fraction) -> Piece:
    """`count` samples of a segment."""
    film, scale = segment.film, track.timescale
    if film is None:
        return Piece(at, None, before=count)
    begins = _begins(film, segment.frames.first, rate, segment.offset)
    # In whole samples of the film, so that there are as many as the record wants.
    begins = track.edit.delay + Fraction(round((begins - track.edit.delay) * scale), scale)
    cut = cut_sound(track, Stretch(begins, begins + Fraction(count, scale)))
    if cut is None and form_of(track) is None:
        raise BadMedia("its film has no sound there")
    if cut is None:
        return Piece(at, None, before=count)
    part = Part(cut, chunks_of(cut), segment.source)
    if part.reach > film.size:
        raise BadMedia("its file ends before these frames: its copy or its recording was cut off")
    if not cut.sample_bytes:
        return Piece(at, part)
    before = int(cut.delay * scale)
    return Piece(at, part, before, count - before - (cut.ends - cut.begins))


def _begins(film: QuickTime, frame: int, rate: Fraction, offset: Fraction) -> Fraction:
    """When a frame of a film begins, in seconds of its movie."""
    picture = film.movie.picture
    if picture is None:
        return offset + frame / rate
    if film.rate != rate:
        raise BadMedia(f"its film has {shown_rate(film.rate)} frames a second, and the record {shown_rate(rate)}")
    return picture.edit.delay + (film.pace.time_of(frame) - picture.edit.start) / picture.timescale
