"""A QuickTime or ISO base media movie as its `moov` box says it: tracks, their edits and the pace of the picture.

What is refused is what cannot be cut exactly: edits that play the media out of order, encrypted samples, samples in
other files.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from struct import unpack_from

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.smpte import exact_rate, shown_rate
from filmfs.media.boxes import Box, boxes_of, find
from filmfs.media.tables import SampleTable

VIDEO, SOUND, TIMECODE = b"vide", b"soun", b"tmcd"
_ENCRYPTED = {b"encv", b"enca", b"drmi", b"drms"}
_SELF_CONTAINED = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """What of a track's media is shown: from `start` to `end` (None: to its end), after a `delay` of nothing."""

    delay: Fraction  # seconds of the movie
    start: int
    end: int | None


@dataclass(frozen=True)
class Track:
    """A track of a movie; `box` is its place in the movie's bytes."""

    movie: "Movie"
    box: Box

    @cached_property
    def kind(self) -> bytes:
        """VIDEO, SOUND, TIMECODE or another handler."""
        hdlr = self.need("mdia/hdlr")
        return self.movie.data[hdlr.body + 8 : hdlr.body + 12]

    @cached_property
    def number(self) -> int:
        """The track's id."""
        tkhd = self.need("tkhd")
        return int(unpack_from(">I", self.movie.data, tkhd.body + (20 if self.movie.data[tkhd.body] else 12))[0])

    @cached_property
    def timescale(self) -> int:
        """Units of the track's times in a second."""
        mdhd = self.need("mdia/mdhd")
        scale = int(unpack_from(">I", self.movie.data, mdhd.body + (20 if self.movie.data[mdhd.body] else 12))[0])
        if not scale:
            raise BadMedia(f"track {self.number} has no time scale")
        return scale

    @cached_property
    def table(self) -> SampleTable:
        """Its samples."""
        return SampleTable(self.movie.data, self.need("mdia/minf/stbl"))

    @cached_property
    def entries(self) -> tuple[Box, ...]:
        """Its sample descriptions, numbered from 1 in chunks."""
        stsd = self.need("mdia/minf/stbl/stsd")
        return tuple(boxes_of(self.movie.data, stsd.body + 8, stsd.end))

    @cached_property
    def edit(self) -> Edit:
        """What of it is shown. Raises BadMedia where that is more than one stretch at its own speed."""
        elst = find(self.movie.data, "edts/elst", self.box.body, self.box.end)
        if elst is None:
            return Edit(Fraction(0), 0, None)
        delay, shown_edit = Fraction(0), None
        for duration, media_time, rate in self._edits(elst):
            if media_time == -1 and shown_edit is None:
                delay += Fraction(duration, self.movie.timescale)
            elif shown_edit is not None or rate != 1 << 16 or media_time < 0:
                raise BadMedia(f"track {self.number} is shown in several pieces, or at another speed")
            else:
                length = duration * self.timescale
                end = media_time + (length + self.movie.timescale // 2) // self.movie.timescale if duration else None
                shown_edit = media_time, end
        start, end = shown_edit or (0, 0)
        return Edit(delay, start, end)

    def _edits(self, elst: Box) -> list[tuple[int, int, int]]:
        data, version = self.movie.data, self.movie.data[elst.body]
        (count,) = unpack_from(">I", data, elst.body + 4)
        form, width = (">Qqi", 20) if version == 1 else (">Iii", 12)
        if count * width > elst.length - 8:
            raise BadMedia(f"the edits of track {self.number} are cut off")
        if count > 1000:
            raise BadMedia(f"track {self.number} is shown in {count} pieces")
        return [unpack_from(form, data, elst.body + 8 + width * number) for number in range(count)]

    def find(self, path: str) -> Box | None:
        """The first box at a path below the track."""
        if path not in self._found:
            self._found[path] = find(self.movie.data, path, self.box.body, self.box.end)
        return self._found[path]

    @cached_property
    def _found(self) -> dict[str, Box | None]:
        """What was looked for: each clip asks for the same boxes again."""
        return {}

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """All that is in it."""
        return tuple(boxes_of(self.movie.data, self.box.body, self.box.end))

    @cached_property
    def media_boxes(self) -> tuple[tuple[Box, tuple[Box, ...]], ...]:
        """All that is in its `mdia`, and what is in those of them that are `minf`."""
        mdia, data = self.need("mdia"), self.movie.data
        return tuple(
            (box, tuple(boxes_of(data, box.body, box.end)) if box.kind == b"minf" else ())
            for box in boxes_of(data, mdia.body, mdia.end)
        )

    def need(self, path: str) -> Box:
        """The same. Raises BadMedia when it is not there."""
        box = self.find(path)
        if box is None or box.length < 16:
            raise BadMedia(f"a track of the movie has no {path.rpartition('/')[2]}")
        return box

    def references(self, kind: bytes) -> tuple[int, ...]:
        """The ids of tracks that it refers to in one way (`tmcd`, `chap` …)."""
        box = self.find(f"tref/{kind.decode('latin-1')}")
        if box is None:
            return ()
        return unpack_from(f">{box.length // 4}I", self.movie.data, box.body)

    def refuse_what_is_elsewhere(self) -> None:
        """Raises BadMedia for encrypted samples and those in other files."""
        for entry in self.entries:
            if entry.kind in _ENCRYPTED:
                raise BadMedia(f"track {self.number} is encrypted")
        dref = self.find("mdia/minf/dinf/dref")
        for box in boxes_of(self.movie.data, dref.body + 8, dref.end) if dref is not None else ():
            if box.length >= 4 and not self.movie.data[box.body + 3] & _SELF_CONTAINED:
                raise BadMedia(f"track {self.number} has its samples in another file")


@dataclass(frozen=True)
class Movie:
    """A movie by the bytes of its `moov` box, header and all; offsets in it are of the file that it is of."""

    data: bytes

    def rewritten(self, data: bytes) -> "Movie":
        """The same with other text in it, where nothing moved and no table changed: none is read again."""
        other = Movie(data)
        for track, new in zip(self.tracks, other.tracks, strict=True):
            if "table" in vars(track):
                vars(new)["table"] = track.table
        return other

    @cached_property
    def box(self) -> Box:
        """The moov box itself."""
        box = find(self.data, "moov")
        if box is None:
            raise BadMedia("there is no moov")
        return box

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """All that is in the moov."""
        return tuple(boxes_of(self.data, self.box.body, self.box.end))

    @cached_property
    def timescale(self) -> int:
        """Units of the movie's own times in a second."""
        mvhd = find(self.data, "mvhd", self.box.body, self.box.end)
        if mvhd is None or mvhd.length < 32:
            raise BadMedia("the movie has no mvhd" + (": its moov is compressed" if self._has(b"cmov") else ""))
        scale = int(unpack_from(">I", self.data, mvhd.body + (20 if self.data[mvhd.body] else 12))[0])
        if not scale:
            raise BadMedia("the movie has no time scale")
        return scale

    @cached_property
    def tracks(self) -> tuple[Track, ...]:
        """All of its tracks."""
        return tuple(Track(self, box) for box in self.boxes if box.kind == b"trak")

    @cached_property
    def picture(self) -> Track | None:
        """The track that is shown: the first with pictures."""
        return next((track for track in self.tracks if track.kind == VIDEO and track.table.count), None)

    @cached_property
    def sounds(self) -> tuple[Track, ...]:
        """The tracks that are heard."""
        return tuple(track for track in self.tracks if track.kind == SOUND and track.table.count)

    @cached_property
    def timecode(self) -> Track | None:
        """The time code of the picture, or any."""
        codes = [track for track in self.tracks if track.kind == TIMECODE and track.table.count]
        wanted = self.picture.references(TIMECODE) if self.picture is not None else ()
        return next((track for track in codes if track.number in wanted), codes[0] if codes else None)

    def _has(self, kind: bytes) -> bool:
        return any(box.kind == kind for box in boxes_of(self.data, self.box.body, self.box.end))


@dataclass(frozen=True, slots=True)
class Pace:
    """When the frames of a track are shown: frame k near `first` + k × `tick`, of `frames`. Units are the track's."""

    first: int
    tick: Fraction
    frames: int

    def shows(self, times: Sequence[int], first: int, count: int) -> bool:
        """Whether what is shown at these times is `count` frames from `first` on, one after another."""
        if isinstance(times, range) and times.step == self.tick:
            return len(times) == count and self.frames_at(times[:1]) == [first]
        return self.frames_at(times) == list(range(first, first + count))

    def frames_at(self, times: Iterable[int]) -> list[int]:
        """The numbers of the frames that are shown at these times."""
        over, under = 2 * self.tick.denominator, 2 * self.tick.numerator
        half, first = self.tick.numerator, self.first
        return [((time - first) * over + half) // under for time in times]

    def time_of(self, frame: int) -> Fraction:
        """When a frame should be shown."""
        return self.first + frame * self.tick


def rate_of(track: Track) -> Fraction:
    """Frames a second of a track with pictures, exactly. Raises BadMedia when they have no steady pace."""
    table = track.table
    runs = [(count, duration) for count, duration in table.duration_runs if count]
    if not runs:
        raise BadMedia("the track has no frames")
    steady = {duration for _, duration in (runs[:-1] if len(runs) > 1 and runs[-1][0] == 1 else runs)}
    if len(steady) == 1:
        duration = steady.pop()
        if not duration:
            raise BadMedia("the frames of the track have no duration")
        return Fraction(track.timescale, duration)
    first, last = table.decoded_at(0), table.decoded_at(table.count - 1)
    mean = Fraction(track.timescale * (table.count - 1), max(last - first, 1))
    try:
        return exact_rate(float(mean))
    except BadTimecode:
        raise BadMedia(f"the frames have no steady pace (about {shown_rate(mean)} a second)") from None


def pace_of(track: Track) -> Pace:
    """The pace of a track with pictures: its first frame shown, and how many are. Raises BadMedia."""
    table, edit = track.table, track.edit
    tick = track.timescale / rate_of(track)
    low, high = table.shift_range
    margin = high - low + 2 * int(tick) + 2
    begins = table.shown_at(0, min(table.count, table.decoded_by(edit.start - low + margin) + 1))
    shown_first = min((time for time in begins if time >= edit.start), default=None)
    if shown_first is None:
        raise BadMedia("no frame of the track is shown")
    start = table.decoded_by((edit.end if edit.end is not None else table.decoded_at(table.count)) - high - margin)
    ends = table.shown_at(start, table.count)
    shown_last = max((time for time in ends if edit.end is None or time < edit.end), default=shown_first)
    frames = round((shown_last - shown_first) / tick) + 1
    return Pace(shown_first, tick, max(frames, 1))
