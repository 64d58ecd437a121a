"""A time code track for a movie that has none: QuickTime File Format, "Timecode Media".

The track says how frames are counted and of which reel they are; its one sample is the number of the first frame, which
the writer of the movie's bytes puts where `clip_moov` says.
"""

import struct
from fractions import Fraction

from filmfs.core.smpte import nominal
from filmfs.media import writing
from filmfs.media.boxes import boxes_of, write_box, write_full_box
from filmfs.media.movie import Movie, Track

_DROP, _WRAPS = 1, 2  # flags of a time code description
_COUNT_MAX = 255  # labels in a second: one byte
_UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_ENGLISH = 0
_ENABLED_IN_MOVIE = 3


def with_timecode(movie: Movie, rate: Fraction, *, drop: bool, reel: str | None = None) -> Movie:
    """The movie with a time code track that its picture refers to; as it is where there are too many labels a second.

    What its one sample says, and where it lies, is left open: it is for clips of it.
    """
    picture = movie.picture
    if picture is None or not can_say(rate):
        return movie
    number = max(track.number for track in movie.tracks) + 1
    code = timecode_box(number, rate, drop=drop, reel=reel)
    rest = [
        _referring(picture, number) if box == picture.box else movie.data[box.start : box.end]
        for box in boxes_of(movie.data, movie.box.body, movie.box.end)
    ]
    return Movie(write_box(b"moov", *rest, code))


def can_say(rate: Fraction) -> bool:
    """Whether a time code track can count that many labels a second."""
    return nominal(rate) <= _COUNT_MAX


def timecode_box(number: int, rate: Fraction, *, drop: bool, reel: str | None) -> bytes:
    """`trak` of a time code track of this number, without durations."""
    return write_box(b"trak", _track_header(number), _media(rate, drop=drop, reel=reel))


def _referring(track: Track, number: int) -> bytes:
    data = track.movie.data
    kept = [data[box.start : box.end] for box in boxes_of(data, track.box.body, track.box.end) if box.kind != b"tref"]
    reference = write_box(b"tref", write_box(b"tmcd", struct.pack(">I", number)))
    return write_box(b"trak", *kept, reference)


def _track_header(number: int) -> bytes:
    return write_full_box(
        b"tkhd", 0, _ENABLED_IN_MOVIE, struct.pack(">5I", 0, 0, number, 0, 0), bytes(16), _UNITY, bytes(8)
    )


def _media(rate: Fraction, *, drop: bool, reel: str | None) -> bytes:
    """`mdia`; durations are left to clips."""
    scale, duration = rate.numerator, rate.denominator
    flags = _WRAPS | (_DROP if drop else 0)
    entry = struct.pack(">6xHIIIIBx", 1, 0, flags, scale, duration, nominal(rate)) + _reel(reel)
    tables = write_box(
        b"stbl",
        write_full_box(b"stsd", 0, 0, struct.pack(">I", 1), write_box(b"tmcd", entry)),
        writing.durations([(1, duration)]),
        writing.chunk_contents([(1, 1)]),
        writing.one_size(4, 1),
        writing.chunk_offsets([0], large=False),
    )
    looks = struct.pack(">HHHxx6HB", 0, 0, 12, 0, 0, 0, 0xFFFF, 0xFFFF, 0xFFFF, 0)  # font, face, size, colours, name
    header = write_box(
        b"gmhd",
        write_full_box(b"gmin", 0, 0, struct.pack(">H3HHH", 0x40, 0x8000, 0x8000, 0x8000, 0, 0)),
        write_box(b"tmcd", write_full_box(b"tcmi", 0, 0, looks)),
    )
    where = write_box(b"dinf", write_full_box(b"dref", 0, 0, struct.pack(">I", 1), write_full_box(b"url ", 0, 1)))
    return write_box(
        b"mdia",
        write_full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, scale, 0, _ENGLISH, 0)),
        _handler(b"mhlr", b"tmcd"),
        write_box(b"minf", header, _handler(b"dhlr", b"url "), where, tables),
    )


def _handler(component: bytes, kind: bytes) -> bytes:
    return write_full_box(b"hdlr", 0, 0, component, kind, bytes(12), b"\x0fTimeCodeHandler")


def _reel(reel: str | None) -> bytes:
    """The source reference: user data of kind `name`, a Macintosh string with its length and language."""
    if not reel:
        return b""
    text = reel.encode("utf-8")[:255]
    return write_box(b"name", struct.pack(">HH", len(text), _ENGLISH), text)
