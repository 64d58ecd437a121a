"""A sound file as a QuickTime movie without picture: a `moov` whose sound track points into the samples of the file."""

import struct
from fractions import Fraction

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import Counting
from filmfs.media import writing
from filmfs.media.foreign import FTYP, PCM, chunks_alike, described, media_box, movie_of_tracks, pcm_entry, track_box
from filmfs.media.movie import SOUND
from filmfs.media.quicktime import QuickTime
from filmfs.media.wave import Wave

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FLOATS = {4: b"fl32", 8: b"fl64"}


def movie_of_sound(wave: Wave) -> QuickTime:
    """The movie. Raises BadMedia for samples that QuickTime has no name for."""
    code, channels = struct.unpack_from("<HH", wave.form)
    if code == _EXTENSIBLE and len(wave.form) >= 26:
        (code,) = struct.unpack_from("<H", wave.form, 24)
    width, rest = divmod(wave.width, channels) if channels else (0, 1)
    kind = {_PCM: PCM, _FLOAT: _FLOATS}.get(code, {}).get(width)
    if kind is None or rest or wave.samples >= 1 << 32:
        raise BadMedia(f"sound of the kind 0x{code:04x} with {8 * width} bits cannot be a track of a movie")
    rate, samples = wave.sample_rate, wave.samples
    tables = [
        described(pcm_entry(rate, channels, width, kind)),
        writing.durations([(samples, 1)]),
        chunks_alike(max(samples, 1)),
        writing.one_size(wave.width, samples),
        writing.chunk_offsets([wave.data.offset], large=True),
    ]
    edits = writing.edits([(samples, 0)])
    track = track_box(1, SOUND, samples, (0, 0), edits, media_box(SOUND, rate, samples, tables))
    return QuickTime(wave.data.end, FTYP, movie_of_tracks([track], rate, samples), None)


def first_frame_of(wave: Wave, counting: Counting) -> Fraction:
    """When the first frame of a sound file begins, in seconds of the file: a recorder starts inside a frame."""
    return counting.start / counting.rate - Fraction(wave.reference or 0, wave.sample_rate)
