"""A range of a movie file as a file: the cuts of all its tracks, put together.

This is where a request meets a file: `plan` says which pieces the clip is of, or why it cannot be exact.
"""

from fractions import Fraction

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import can_drop, frames_per_day, label_of
from filmfs.media.clipping import Clip, Layout, Part, Run, chunks_of
from filmfs.media.cutting import cut_picture, cut_sound
from filmfs.media.moov import clip_moov
from filmfs.media.movie import Movie
from filmfs.media.quicktime import QuickTime
from filmfs.media.stale import relabelled

BUILDER = 1
"""Counts what `plan` makes of the same request: whoever keeps a clip's bytes keeps them with this number."""


def plan(film: QuickTime, frames: FrameRange) -> Clip:
    """The clip of a range that lies in the film. Raises BadMedia where it cannot be exact."""
    timecode = _timecode(film, frames.first)
    movie = _relabelled(film, timecode)
    picture = movie.picture
    if picture is None:
        raise BadMedia("the file has no picture")
    first, stretch = cut_picture(picture, film.pace, frames.first, frames.count)
    sounds = (cut_sound(track, stretch) for track in movie.sounds)
    cuts = [first, *(cut for cut in sounds if cut is not None)]
    parts, layout = [Part(cut, chunks_of(cut)) for cut in cuts], Layout()
    places, duration = layout.add(parts), stretch.ends - stretch.begins
    moov = clip_moov(movie, parts, places, timecode, duration, large=layout.is_large)
    clip = layout.file(film.ftyp, moov, timecode)
    if any(isinstance(piece, Run) and piece.end > film.size for piece in clip.pieces):
        raise BadMedia("the file ends before these frames: its copy or its recording was cut off")
    return clip


def _relabelled(film: QuickTime, timecode: int) -> Movie:
    """The movie with metadata that says where the clip begins, not where the film did."""
    code = film.timecode
    if code is None:
        return film.movie
    drop = code.drop and can_drop(code.rate)
    old, new = (label_of(number, code.rate, drop=drop) for number in (code.first, timecode))
    return relabelled(film.movie, old, new)


def _timecode(film: QuickTime, first: int) -> int:
    """The number that the clip's time code begins with."""
    code = film.timecode
    if code is None:
        return first
    later = Fraction(first) * code.rate / film.rate
    if later.denominator != 1:
        raise BadMedia("the film's time code counts slower than its frames, and has no number for this one")
    return (code.first + int(later)) % frames_per_day(code.rate, drop=code.drop)
