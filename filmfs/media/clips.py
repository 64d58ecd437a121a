"""A range of a movie file as a file: the cuts of all its tracks, put together.

This is where a request meets a file: `plan` says which pieces the clip is of, or why it cannot be exact.
"""

from fractions import Fraction

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.core.smpte import frames_per_day
from filmfs.media.clipping import Clip, Run, build_clip
from filmfs.media.cutting import cut_picture, cut_sound
from filmfs.media.quicktime import QuickTime

BUILDER = 1
"""Counts what `plan` makes of the same request: whoever keeps a clip's bytes keeps them with this number."""


def plan(film: QuickTime, frames: FrameRange) -> Clip:
    """The clip of a range that lies in the film. Raises BadMedia where it cannot be exact."""
    picture = film.movie.picture
    if picture is None:
        raise BadMedia("the file has no picture")
    first, stretch = cut_picture(picture, film.pace, frames.first, frames.count)
    sounds = (cut_sound(track, stretch) for track in film.movie.sounds)
    cuts = [first, *(cut for cut in sounds if cut is not None)]
    clip = build_clip(film.movie, film.ftyp, cuts, _timecode(film, frames.first), stretch.ends - stretch.begins)
    if any(isinstance(piece, Run) and piece.end > film.size for piece in clip.pieces):
        raise BadMedia("the file ends before these frames: its copy or its recording was cut off")
    return clip


def _timecode(film: QuickTime, first: int) -> int:
    """The number that the clip's time code begins with."""
    code = film.timecode
    if code is None:
        return first
    later = Fraction(first) * code.rate / film.rate
    if later.denominator != 1:
        raise BadMedia("the film's time code counts slower than its frames, and has no number for this one")
    return (code.first + int(later)) % frames_per_day(code.rate, drop=code.drop)
