"""A part of a movie as a movie of its own: a new `moov`, and the samples where they lie.

    ftyp | moov | free | mdat: four bytes of time code, then runs of the source

Boxes are the source's own but for what times, tables and edits say. Movie time becomes the picture's, so that edits are
exact. The bytes are a function of the source, the range and this module: no clock, no chance. Each run keeps its place
within a block of 4 KiB, so that a file system can show the clip without copying (`free` and zeros fill up).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from filmfs.core.extents import Hole
from filmfs.media.boxes import write_box
from filmfs.media.cutting import Cut
from filmfs.media.moov import Part, Places, clip_moov, shift_offsets
from filmfs.media.movie import Movie
from filmfs.media.tables import Chunk

BLOCK = 4096
_GAP = 64 << 10  # what lies between samples and is no longer than this is taken along
_TIMECODE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of the source."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first offset past it."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Clip:
    """A file of pieces: bytes of its own, runs of the source, and zeros."""

    pieces: tuple[bytes | Run | Hole, ...]
    size: int


def build_clip(movie: Movie, ftyp: bytes, cuts: Sequence[Cut], timecode: int, duration: Fraction) -> Clip:
    """The clip of these cuts, of which the first gives the time scale. Raises BadMedia.

    `timecode` is the frame number of its first frame, `duration` in seconds.
    """
    parts = [Part(cut, _chunks(cut)) for cut in cuts]
    runs = _one_run(parts) or _runs([run for part in parts for run in _lengths(part)])
    body, moved = _laid_out(runs)
    places = Places(tuple(run.offset for run in runs), tuple(moved))
    is_large = body + (1 << 26) >= 1 << 32
    moov = clip_moov(movie, parts, places, timecode, duration, large=is_large)
    head = len(ftyp) + len(moov)
    first = runs[0].offset if runs else 0
    header = 16 if is_large else 8
    # The first run lies as far into a block as in the source.
    free = (first - moved[0] - head - header - 8) % BLOCK + 8 if runs else 8
    start = head + free + header
    opening = (
        (1).to_bytes(4, "big") + b"mdat" + (header + body).to_bytes(8, "big")
        if is_large
        else ((header + body).to_bytes(4, "big") + b"mdat")
    )
    beginning = b"".join((ftyp, shift_offsets(moov, start), write_box(b"free", bytes(free - 8)), opening))
    beginning += timecode.to_bytes(_TIMECODE_BYTES, "big")
    return Clip(tuple(_pieces(beginning, start, runs, moved)), start + body)


def _pieces(beginning: bytes, start: int, runs: Sequence[Run], moved: Sequence[int]) -> Iterable[bytes | Run | Hole]:
    yield beginning
    at = len(beginning)
    for run, offset in zip(runs, moved, strict=True):
        if start + offset > at:
            yield Hole(at, start + offset - at)
        yield run
        at = start + offset + run.length


def _laid_out(runs: Sequence[Run]) -> tuple[int, list[int]]:
    """The length of the body, and where in it each run begins: each as far into a block as the first is shifted."""
    at, moved = _TIMECODE_BYTES, []
    for run in runs:
        at += (run.offset - runs[0].offset - (at - _TIMECODE_BYTES)) % BLOCK
        moved.append(at)
        at += run.length
    return at, moved


def _chunks(cut: Cut) -> list[Chunk]:
    chunks = cut.track.table.chunks(cut.start, cut.end, cut.sample_bytes)
    return [piece for chunk in chunks for piece in _without(cut, chunk)] if cut.omitted else chunks


def _without(cut: Cut, chunk: Chunk) -> Iterable[Chunk]:
    """The parts of a chunk that are between what is omitted."""
    offset, end = chunk.offset, chunk.first + chunk.samples
    start, where = chunk.first, offset
    for index in range(chunk.first, end):
        offset += cut.track.table.size_of(index)
        if index in cut.omitted:
            if index > start:
                yield Chunk(where, start, index - start, chunk.description)
            start, where = index + 1, offset
    if end > start:
        yield Chunk(where, start, end - start, chunk.description)


def _one_run(parts: Sequence[Part]) -> list[Run]:
    """The run that all samples lie in, if there is next to nothing between them."""
    lows, highs, total = [], [], 0
    for part in parts:
        table, width = part.cut.track.table, part.cut.sample_bytes
        offsets = [chunk.offset for chunk in part.chunks]
        last = part.chunks[offsets.index(max(offsets))]
        lows.append(min(offsets))
        highs.append(
            last.offset + (last.samples * width if width else table.bytes_of(last.first, last.first + last.samples))
        )
        span = part.cut.start, part.cut.end
        total += width * (span[1] - span[0]) if width else table.bytes_of(*span)
    start, end = min(lows), max(highs)
    return [Run(start, end - start)] if end - start - total <= _GAP else []


def _lengths(part: Part) -> list[Run]:
    table, width = part.cut.track.table, part.cut.sample_bytes
    if width:
        return [Run(chunk.offset, chunk.samples * width) for chunk in part.chunks]
    return [Run(chunk.offset, table.bytes_of(chunk.first, chunk.first + chunk.samples)) for chunk in part.chunks]


def _runs(pieces: list[Run]) -> list[Run]:
    """Few runs that hold all pieces, in the order of the file."""
    pieces.sort(key=lambda run: run.offset)
    runs: list[Run] = []
    start = end = -1
    for piece in pieces:
        if start < 0:
            start, end = piece.offset, piece.end
        elif piece.offset <= end + _GAP:
            end = max(end, piece.end)
        else:
            runs.append(Run(start, end - start))
            start, end = piece.offset, piece.end
    if start >= 0:
        runs.append(Run(start, end - start))
    return runs
