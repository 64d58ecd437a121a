"""Opening an MXF file (SMPTE ST 377-1) of operational pattern 1a (ST 378) or Atom (ST 390): what it is of, how its
frames are counted, and where they lie.

What is refused is what cannot be cut exactly: several stretches of a source one after the other, essence in other
files, sound in essence of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Counting
from filmfs.core.smpte import can_drop, nominal
from filmfs.media.coded import LOOKED_AT, is_coded, needs_others
from filmfs.media.klv import Klv, klvs_in
from filmfs.media.mxf_essence import Element, Essence, read_clip, read_frames
from filmfs.media.mxf_header import (
    DROP_FRAME,
    DURATION,
    NAME,
    ORIGIN,
    SOURCE_PACKAGE,
    START_POSITION,
    START_TIMECODE,
    TIMECODE_BASE,
    Metadata,
    Package,
    PackageTrack,
    Set,
)
from filmfs.media.mxf_index import Segment, join, read_segment
from filmfs.media.mxf_partitions import Partition, read_partitions, stretches

_SEGMENT_MAX = 256 << 20
_LOOKED_AT = 32  # frames: longer than groups of pictures are
_DENOMINATOR_MAX = 10_000  # of a rate
_SOUND_RATE = 0x3D03


@dataclass(frozen=True)
class Mxf:
    """An MXF file."""

    source: ByteSource
    partitions: tuple[Partition, ...]
    metadata: Metadata
    package: Package  # of the essence
    sids: tuple[int, int]  # of the body and of the index
    essence: Essence

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.source.size

    @cached_property
    def rate(self) -> Fraction:
        """Frames a second."""
        return _rate(self.package)

    @cached_property
    def first(self) -> int:
        """The edit unit that is shown first."""
        shown, kept = self._shown, self.package.picture
        clip = shown.clip if shown is not None else None
        begins = clip.number(START_POSITION, signed=True) if clip is not None else 0
        first = begins + (kept.set.number(ORIGIN, signed=True) if kept is not None else 0)
        if not 0 <= first < max(len(self.essence.units), 1):
            raise BadMedia(f"the film begins with frame {first} of {len(self.essence.units)} in the file")
        return first

    @cached_property
    def frames(self) -> int:
        """How many frames are shown."""
        there = len(self.essence.units) - self.first
        said = self._shown.sequence.number(DURATION, -1, signed=True) if self._shown and self._shown.sequence else -1
        return min(said, there) if said > 0 else there

    @cached_property
    def counting(self) -> Counting:
        """How its frames are counted; from 0 where it has no time code."""
        code = self.timecode
        return Counting(code.first if code is not None else 0, self.frames, self.rate, code is not None and code.drop)

    @cached_property
    def timecode(self) -> "Timecode | None":
        """That of the material package; or else of the package of the essence, or of the tape. Raises BadMedia."""
        material, kept, tape = self.metadata.material.timecode, self.package.timecode, self._tape
        if material is not None:
            return self._labelled(material, 0, "material package")
        if kept is not None:
            return self._labelled(kept, self.first, "source package")
        if tape is None or tape[0].timecode is None:
            return None
        return self._labelled(tape[0].timecode, tape[1] + self.first, "tape")

    def _labelled(self, code: Set, later: int, said_by: str) -> "Timecode":
        base, start = code.number(TIMECODE_BASE), code.number(START_TIMECODE, signed=True)
        first = Fraction(start * nominal(self.rate), base or 1) + later
        if not base or first.denominator != 1 or not 0 <= first < 1 << 40:
            raise BadMedia("the time code cannot be read")
        return Timecode(int(first), bool(code.number(DROP_FRAME)) and can_drop(self.rate), said_by)

    @cached_property
    def reel(self) -> str | None:
        """The name of the tape or card that the essence came from."""
        return (self._tape[0].set.text(NAME) or None) if self._tape is not None else None

    @cached_property
    def _tape(self) -> tuple[Package, int] | None:
        """The tape that the essence came from, and where on it the essence begins."""
        clip = self.package.picture.clip if self.package.picture is not None else None
        origin = self.metadata.package(clip.value(SOURCE_PACKAGE) or b"") if clip is not None else None
        if clip is None or origin is None or not origin.is_tape:
            return None
        return origin, clip.number(START_POSITION, signed=True)

    @property
    def is_intra(self) -> bool:
        """Whether every frame stands by itself."""
        return self.essence.index.keys is None and self.essence.index.temporal is None

    @cached_property
    def _shown(self) -> PackageTrack | None:
        return self.metadata.material.picture


@dataclass(frozen=True, slots=True)
class Timecode:
    """The frame number of the first frame, whether labels are dropped, and which package says so."""

    first: int
    drop: bool
    said_by: str


def open_mxf(source: ByteSource) -> Mxf:
    """Reads what an MXF file says of itself. Raises BadMedia when it is none, is damaged or cannot be cut."""
    partitions = read_partitions(source)
    metadata = _metadata(source, partitions)
    package, body, index_sid = _pictured(metadata)
    parts = stretches(partitions, body)
    if not parts:
        raise BadMedia("the essence of the film is not in the file")
    wrapped = next(each.essence for each in partitions if each.body_sid == body and each.essence is not None)
    segments = _segments(source, partitions, body, index_sid)
    index = join(segments, wrapped.length) if _is_clip(source, wrapped, partitions, body) else None
    if index is not None and index.count:
        essence = read_clip(index, wrapped)
    else:
        index = join(segments, max(part.stream + part.length for part in parts))
        essence = read_frames(source, index, parts, _period(package))
    pictures = essence.pictures
    if pictures is None:
        raise BadMedia("the file has no picture")
    if (index is None or not index.count) and is_coded(source.read(pictures.offsets[0], 3)):
        raise BadMedia("the file has no index table: nothing tells which frames stand by themselves")
    film = Mxf(source, tuple(partitions), metadata, package, (body, index_sid), essence)
    if film.is_intra and any(needs_others(frame) for frame in _beginnings(source, pictures)):
        raise BadMedia("the index table says that every frame stands by itself, and they need others")
    return film


def _beginnings(source: ByteSource, pictures: Element) -> Iterator[bytes]:
    """What the first frames begin with, where they may be of a kind that needs others."""
    places = list(zip(pictures.offsets[:_LOOKED_AT], pictures.sizes[:_LOOKED_AT], strict=True))
    if places and is_coded(source.read(places[0][0], min(3, places[0][1]))):
        for offset, size in places:
            yield source.read(offset, min(size, LOOKED_AT))


def _metadata(source: ByteSource, partitions: Sequence[Partition]) -> Metadata:
    """That of the header, or of a later partition where the header was left open and the later one was not."""
    having = [each for each in partitions if each.metadata[1]]
    if not having:
        raise BadMedia("the file has no header metadata")
    closed = [each for each in having if not each.is_open]
    start, end = (closed[-1] if having[0].is_open and closed else having[0]).metadata
    return Metadata(source.read(start, end - start))


def _pictured(metadata: Metadata) -> tuple[Package, int, int]:
    """The package with the pictures, its BodySID and IndexSID."""
    found = [each for each in metadata.essence if each[0].picture is not None]
    if not found:
        raise BadMedia("the file has no picture" if metadata.essence else "the essence of the film is in other files")
    if max(found[0][1:]) >= 1 << 32:
        raise BadMedia("the file gives its essence no number")
    others = [each[0] for each in metadata.essence if each is not found[0]]
    if len(found) > 1 or any(track.is_sound for other in others for track in other.tracks):
        raise BadMedia("the film's pictures and sound lie in several essence containers")
    return found[0]


def _is_clip(source: ByteSource, first: Klv, partitions: Sequence[Partition], body: int) -> bool:
    """Whether the essence is one key and length: nothing but room comes after it in its partition."""
    if not first.is_element or sum(each.body_sid == body and each.essence is not None for each in partitions) > 1:
        return False
    end = next(each.end for each in partitions if each.essence == first)
    return not any(each.is_essence for each in klvs_in(source, first.end, end))


def _segments(source: ByteSource, partitions: Sequence[Partition], body: int, index_sid: int) -> list[Segment]:
    """The segments of the essence's index table."""
    places = [each for partition in partitions for each in partition.index]
    if sum(each.length for each in places) > _SEGMENT_MAX:
        raise BadMedia("the index table is larger than any film needs")
    segments = [read_segment(source.read(each.value, each.length)) for each in places]
    return [each for each in segments if each.sids[1] in (body, 0) and index_sid in (each.sids[0], 0)]


def _rate(package: Package) -> Fraction:
    rate = package.picture.rate if package.picture is not None else None
    if rate is None or rate > 10_000 or rate.denominator > _DENOMINATOR_MAX:
        raise BadMedia("the file does not say how many frames a second it has")
    return rate


def _period(package: Package) -> int:
    """After how many frames the samples of sound for each repeat."""
    rates = [each.rational(_SOUND_RATE) for each in package.descriptors]
    rate = next((each for each in rates if each is not None), None)
    return 1 if rate is None else (rate / _rate(package)).denominator
