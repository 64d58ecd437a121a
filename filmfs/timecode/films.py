"""Films of an archive, and clips of them: what a range of a stored file is made of.

A clip is an ExtentMap: bytes of its own and runs of the source's blobs. It costs no space, and is the same bytes
whenever and wherever it is made (`media.clips`).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from filmfs.core.errors import BadMedia
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal, MapBuilder
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Asked, Counting, FrameRange, asserted_rate, canonical, place
from filmfs.core.smpte import shown_rate
from filmfs.media.clipping import Clip
from filmfs.media.clips import plan
from filmfs.media.mxf import Mxf, open_mxf
from filmfs.media.mxf_clips import plan_mxf
from filmfs.media.mxf_movie import movie_of
from filmfs.media.quicktime import QuickTime, open_quicktime
from filmfs.media.wave import Wave, open_wave
from filmfs.timecode.origins import NOTHING, Beside, find_origin

MOVIES = (".mov", ".mp4", ".m4v", ".qt", ".3gp")
SOUNDS = (".wav", ".bwf", ".rf64")
MATERIAL = ".mxf"
_MXF_FRAME = 100  # bytes that each frame of an MXF film takes in memory
_MOVIES_OF_MATERIAL = (".mov", ".qt")
SUFFIXES = (*MOVIES, *SOUNDS, MATERIAL)


@dataclass(frozen=True, slots=True)
class Film:
    """A file that can be cut: its name, and what it says of itself.

    `timecode_from` is where its time code comes from: `tmcd`, `bext`, `material package`, `source package`, `tape`,
    what `timecode.origins` lists, or `none` where it counts from 00:00:00:00.
    """

    name: str
    of: QuickTime | Wave | Mxf
    timecode_from: str

    def counting(self, asked: Asked | None = None) -> Counting:
        """How its frames are counted. Raises BadTimecode for sound if nobody says how many frames a second has."""
        if not isinstance(self.of, Wave):
            return self.of.counting
        rate = None if asked is None or asked.rate is None else asserted_rate(asked.rate)
        return self.of.counting(rate, drop=asked is not None and asked.says_drop)

    @property
    def weight(self) -> int:
        """About how many bytes of memory it takes."""
        if isinstance(self.of, Mxf):
            return _MXF_FRAME * self.of.frames
        return 2 * len(self.of.movie.data) if isinstance(self.of, QuickTime) else 0

    @property
    def reel(self) -> str | None:
        """The reel, tape or card that it says it is of."""
        if isinstance(self.of, Mxf):
            return self.of.reel
        return self.of.timecode.reel if isinstance(self.of, QuickTime) and self.of.timecode is not None else None

    @property
    def suffix(self) -> str:
        """That of its clips where nobody asks for another: its own, and `.mov` where MXF could not be exact."""
        own = os.path.splitext(self.name)[1].lower()
        return own if not isinstance(self.of, Mxf) or self.of.is_intra else ".mov"

    @property
    def has_rate(self) -> bool:
        """Whether it says how many frames a second has: sound need not."""
        return not isinstance(self.of, Wave) or self.of.rate is not None

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Those that its clips can have."""
        if isinstance(self.of, Mxf):
            return (MATERIAL, *_MOVIES_OF_MATERIAL)
        return MOVIES if isinstance(self.of, QuickTime) else SOUNDS

    def plan(self, frames: FrameRange, counting: Counting, suffix: str) -> Clip:
        """The clip of a range in the container that a suffix stands for. Raises BadMedia."""
        if suffix not in self.suffixes:
            offered = " or ".join(self.suffixes)
            raise BadMedia(f"a clip of {self.name} is a {offered} file, and cannot be a {suffix} one")
        if isinstance(self.of, Wave):
            return self.of.plan(frames, counting)
        if isinstance(self.of, QuickTime):
            return plan(self.of, frames)
        return plan_mxf(self.of, frames) if suffix == MATERIAL else plan(movie_of(self.of, frames), frames)

    def facts(self, asked: Asked | None = None) -> dict[str, object]:
        """What there is to tell of it."""
        counting = self.counting(asked)
        return {
            "file": self.name,
            "start": str(counting.label(counting.start)),
            "end": str(counting.label(counting.start + counting.frames)),
            "frames": counting.frames,
            "rate": shown_rate(counting.rate),
            "exact_rate": str(Fraction(counting.rate)),
            "drop_frame": counting.drop,
            "timecode_from": self.timecode_from,
            "reel": self.reel,
        }


@dataclass(frozen=True, slots=True)
class FilmClip:
    """A clip of a film: which frames, what it is called, and what it is made of."""

    film: Film
    asked: Asked
    counting: Counting
    frames: FrameRange
    name: str
    map: ExtentMap

    def facts(self) -> dict[str, object]:
        """What there is to tell of it."""
        counting, frames = self.counting, self.frames
        own = sum(extent.length for extent in self.map.extents if isinstance(extent.source, Literal))
        return {
            **self.film.facts(self.asked),
            "clip": self.name,
            "first": str(counting.label(counting.start + frames.first)),
            "out": str(counting.label(counting.start + frames.end)),
            "count": frames.count,
            "handles": [frames.head, frames.tail],
            "handles_cut": frames.clamped,
            "size": self.map.size,
            "own_bytes": own,
        }


def is_film_name(name: str) -> bool:
    """Whether a file of that name may be a film."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def open_film(source: ByteSource, name: str, beside: Beside = NOTHING) -> Film:
    """Reads what a stored file says of itself, and files beside it of it. Raises BadMedia when it cannot be cut."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in MOVIES:
        movie = open_quicktime(source)
        return Film(name, movie, "tmcd") if movie.timecode is not None else _labelled(movie, source, name, beside)
    if suffix in SOUNDS:
        sound = open_wave(source)
        return Film(name, sound, "bext" if sound.reference is not None else "none")
    if suffix == MATERIAL:
        material = open_mxf(source)
        return Film(name, material, material.timecode.said_by if material.timecode is not None else "none")
    raise BadMedia(f"{name} is no kind of file that filmfs cuts ({', '.join(SUFFIXES)})")


def _labelled(movie: QuickTime, source: ByteSource, name: str, beside: Beside) -> Film:
    """A film without time code of its own, with that which something else says."""
    if movie.movie.picture is None:
        raise BadMedia("the file has no picture")
    origin = find_origin(movie.movie, movie.rate, source, name, beside)
    if origin is None:
        return Film(name, movie.labelled(0), "none")
    labelled = movie.labelled(origin.start, drop=origin.drop, reel=origin.reel)
    return Film(name, labelled, origin.source if labelled is not movie else "none")


def clip_of(film: Film, extents: ExtentMap, *asked: Asked, suffix: str | None = None) -> FilmClip:
    """The clip that is asked of a film which is made of `extents`; of a clip of it, if there are several.

    `suffix` (`.mov`) is the container that is wanted; None for what is best. Raises BadTimecode, BadMedia.
    """
    counting = film.counting(asked[-1])
    frames = place(asked[0], counting)
    for within in asked[1:]:
        inside = replace(counting, start=counting.start + frames.first, frames=frames.count)
        inner = place(within, inside)
        frames = replace(inner, first=frames.first + inner.first)
    wanted = (suffix or film.suffix).lower()
    name = f"{os.path.splitext(film.name)[0]}@{canonical(frames, counting)}{wanted}"
    clip = film.plan(frames, counting, wanted)
    return FilmClip(film, asked[-1], counting, frames, name, map_of(clip, [extents]))


def map_of(clip: Clip, sources: Sequence[ExtentMap]) -> ExtentMap:
    """What a clip is made of, whose runs are of files that `sources` are."""
    builder = MapBuilder(ExtentMap())
    for extent in _extents(clip, sources):
        builder.write(extent)
    builder.truncate(clip.size)
    return builder.value


def _extents(clip: Clip, sources: Sequence[ExtentMap]) -> Iterator[Extent]:
    at = 0
    for piece in clip.pieces:
        if isinstance(piece, bytes):
            yield Extent(at, len(piece), Literal(piece))
            at += len(piece)
            continue
        if not isinstance(piece, Hole):
            for part in sources[piece.source].pieces(piece.offset, piece.end):
                if isinstance(part, Extent):
                    yield Extent(at + part.offset - piece.offset, part.length, part.source, part.source_offset)
        at += piece.length
