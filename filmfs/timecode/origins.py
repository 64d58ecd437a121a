"""Where the time code of a film comes from that has no time code track: the first of these that says one.

    rtmd        Sony's metadata in the film: a track, and an XML document that says more (drop-frame, half steps)
    sidecar     C0001M01.XML beside C0001.MP4, where the track does not contradict it
    ale         an ALE of the same folder that names the film
    file name   core.namecodes

What does not fit the film (another rate, a label that does not exist) is passed over, and so is a damaged sidecar.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.namecodes import find_label
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Counting
from filmfs.core.said import Said
from filmfs.core.sequences import ImageSequence, span_of
from filmfs.media.images import read_image_time
from filmfs.media.movie import Movie
from filmfs.media.rtmd import embedded_xml, read_rtmd
from filmfs.media.sidecars import SIDECAR_MAX, find_clip, read_ale, read_sony_xml

_ALES_MAX = 50  # of one folder
_STILLS_RATE = Fraction(24)


@dataclass(frozen=True, slots=True)
class Beside:
    """A film's folder: the files in it by name (None where there is none), and all names."""

    open: Callable[[str], ByteSource | None]
    names: Callable[[], Iterable[str]]


NOTHING = Beside(lambda _: None, tuple)


@dataclass(frozen=True, slots=True)
class Origin:
    """A film's first frame number, how it is counted, and who says so."""

    start: int
    drop: bool
    reel: str | None
    source: str


def find_origin(movie: Movie, rate: Fraction, source: ByteSource, name: str, beside: Beside) -> Origin | None:
    """Where a film of that rate begins, as the first that fits says it; None where nothing does."""
    for said, origin in _said(movie, source, name, beside):
        try:
            start, drop = said.start(rate)
        except BadTimecode:
            continue
        return Origin(start, drop, said.reel, origin)
    return None


def _said(movie: Movie, source: ByteSource, name: str, beside: Beside) -> Iterator[tuple[Said, str]]:
    track = read_rtmd(movie, source)
    embedded = _sony(embedded_xml(movie, source)) if track is not None else None
    for said, origin in ((embedded, "rtmd"), (_sony_xml(name, beside), "sidecar")):
        if said is not None and (track is None or _agree(track, said)):
            yield said, origin
    if track is not None:
        yield track, "rtmd"
    listed = _listed(name, beside)
    if listed is not None:
        yield listed, "ale"
    label = find_label(name)
    if label is not None:
        yield Said(label), "file name"


def _agree(one: Said, other: Said) -> bool:
    """Whether both say the same second."""
    return (one.label.hours, one.label.minutes, one.label.seconds) == (
        other.label.hours,
        other.label.minutes,
        other.label.seconds,
    )


def sony_sidecars(name: str) -> tuple[str, ...]:
    """What Sony's metadata file of a film may be called."""
    stem = os.path.splitext(name)[0]
    return (f"{stem}M01.XML", f"{stem}M01.xml")


def _sony_xml(name: str, beside: Beside) -> Said | None:
    for each in sony_sidecars(name):
        data = _bytes(beside.open(each))
        if data is not None:
            return _sony(data)
    return None


def _sony(data: bytes | None) -> Said | None:
    try:
        return read_sony_xml(data) if data is not None else None
    except BadMedia:
        return None


def _listed(name: str, beside: Beside) -> Said | None:
    """What the ALE files of the folder say; None where they contradict each other."""
    lists = sorted(each for each in beside.names() if each.lower().endswith(".ale") and not each.startswith("."))
    found: set[Said] = set()
    for each in lists[:_ALES_MAX]:
        data = _bytes(beside.open(each))
        try:
            said = find_clip(read_ale(data), name) if data is not None else None
        except BadMedia:
            continue
        if said is not None:
            found.add(said)
    return found.pop() if len(found) == 1 else None


def _bytes(source: ByteSource | None) -> bytes | None:
    return source.read(0, source.size) if source is not None and source.size <= SIDECAR_MAX else None


def sequence_counting(sequence: ImageSequence, first_frame: ByteSource) -> Counting | None:
    """How the frames of an image sequence are counted, as the header of its first frame says; None where it does not.

    A header that says no rate counts 24 a second.
    """
    said = read_image_time(first_frame, sequence.names[sequence.numbers[0]])
    if said is None:
        return None
    rate = said.rate or _STILLS_RATE
    try:
        start, drop = Said(said.label).start(rate)
    except BadTimecode:
        return None
    return Counting(start, span_of(sequence), rate, drop)
