"""Opening a QuickTime or ISO base media file: its `moov`, wherever that is, and the time code in its samples."""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Counting
from filmfs.core.smpte import can_drop
from filmfs.media.boxes import Box, boxes_in_file, boxes_of
from filmfs.media.fragments import gather, is_fragmented
from filmfs.media.labelling import with_timecode
from filmfs.media.movie import Movie, Pace, Track, pace_of, rate_of

MOOV_MAX = 96 << 20
_FTYP_MAX = 4096
_DROP, _NEGATIVE = 1, 4  # flags of a time code description
_UMID = "0X060A2B34"


@dataclass(frozen=True)
class QuickTime:
    """A movie file: what it begins with, and its movie."""

    size: int  # of the file
    ftyp: bytes
    movie: Movie
    timecode: "Timecode | None"

    @cached_property
    def pace(self) -> Pace:
        """When its frames are shown. Raises BadMedia when it has no picture, or none of a steady pace."""
        if self.movie.picture is None:
            raise BadMedia("the file has no picture")
        return pace_of(self.movie.picture)

    @cached_property
    def rate(self) -> Fraction:
        """Frames a second."""
        assert self.movie.picture is not None
        return rate_of(self.movie.picture)

    @cached_property
    def counting(self) -> Counting:
        """How its frames are counted; from 0 where it has no time code. Raises BadMedia."""
        pace, code = self.pace, self.timecode
        if code is None:
            return Counting(0, pace.frames, self.rate)
        per_label = self.rate / code.rate
        drop = code.drop and can_drop(self.rate)
        return Counting(round(code.first * per_label), pace.frames, self.rate, drop)

    def labelled(self, start: int, *, drop: bool = False, reel: str | None = None) -> "QuickTime":
        """The same with a time code track of its own that begins with the frame number `start`. Raises BadMedia."""
        movie = with_timecode(self.movie, self.rate, drop=drop, reel=reel)
        if movie is self.movie:
            return self
        return replace(self, movie=movie, timecode=Timecode(start, self.rate, drop, reel))


@dataclass(frozen=True, slots=True)
class Timecode:
    """A time code track: the frame number of its first sample, and how its frames are counted."""

    first: int
    rate: Fraction
    drop: bool
    reel: str | None = None


def open_quicktime(source: ByteSource) -> QuickTime:
    """Reads what a movie file says of itself. Raises BadMedia when it is none, or is damaged."""
    ftyp, moov, fragments = b"", b"", []
    for box in boxes_in_file(source):
        if box.kind == b"ftyp" and not ftyp:
            ftyp = source.read(box.start, min(box.end - box.start, _FTYP_MAX))
        elif box.kind == b"moov" and not moov:
            if box.end - box.start > MOOV_MAX:
                raise BadMedia(f"the moov has {box.end - box.start} bytes")
            moov = source.read(box.start, box.end - box.start)
            if not is_fragmented(Movie(moov)):
                break
        elif box.kind == b"moof":
            fragments.append(box)
    if not moov:
        raise BadMedia("the file has no moov: it is no movie, or its recording was not finished")
    movie = Movie(moov)
    if is_fragmented(movie):
        movie = gather(source, movie, fragments)
    for track in (movie.picture, *movie.sounds):
        if track is not None:
            track.refuse_what_is_elsewhere()
    return QuickTime(source.size, ftyp, movie, _timecode(movie.timecode, source))


def _timecode(track: Track | None, source: ByteSource) -> Timecode | None:
    if track is None:
        return None
    if track.table.count != 1:
        raise BadMedia("the time code jumps")
    (entry,) = track.entries
    flags, scale, duration, _ = unpack_from(">IIIB", track.movie.data, entry.body + 12)
    data = source.read(track.table.offset_of(0), 4)
    if len(data) < 4 or not scale or not duration:
        raise BadMedia("the time code cannot be read")
    (number,) = unpack_from(">i" if flags & _NEGATIVE else ">I", data)
    return Timecode(number, Fraction(scale, duration), bool(flags & _DROP), _reel(track.movie.data, entry))


def _reel(data: bytes, entry: Box) -> str | None:
    """The source reference of a time code description; the UMID that some programs put there is no reel."""
    name = next((box for box in boxes_of(data, entry.body + 26, entry.end) if box.kind == b"name"), None)
    if name is None or name.length < 4:
        return None
    (length,) = unpack_from(">H", data, name.body)
    text = data[name.body + 4 : min(name.body + 4 + length, name.end)].decode("utf-8", "replace").strip("\0 ")
    return text if text and not text.upper().startswith(_UMID) else None
