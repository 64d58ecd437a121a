"""The media of a cut list, trimmed: each stretch of a film that its events need, handles included, as a file.

Stretches of one film that overlap or touch are one file. Files are called as DaVinci Resolve's media management calls
them, `A001C003_S000.mov`, counted for each name in the order of the films' paths and of time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from filmfs.archive.assembly import Assembly, Piece
from filmfs.core.ranges import Asked, Counting, FrameRange
from filmfs.cutlists.names import safe


@dataclass(frozen=True, slots=True)
class Trim:
    """A stretch of a film that becomes a file: `name`, and the places of its events in the list."""

    path: str
    frames: FrameRange
    counting: Counting
    asked: Asked
    name: str
    events: tuple[int, ...]

    @property
    def shown(self) -> Counting:
        """How the file's own frames are counted."""
        return replace(self.counting, start=self.counting.start + self.frames.first, frames=self.frames.count)


def plan_trims(assembly: Assembly) -> tuple[Trim, ...]:
    """The files of a list, in the order of the films' paths and of time."""
    wanted = [
        (piece.path, piece.frames.first, piece.frames.end, at, piece)
        for at, piece in enumerate(assembly.pieces)
        if piece.path is not None and piece.frames is not None
    ]
    wanted.sort(key=lambda each: each[:4])
    trims: list[Trim] = []
    taken: dict[str, int] = {}
    for path, first, end, at, piece in wanted:
        last = trims[-1] if trims else None
        if last is not None and last.path == path and first <= last.frames.end:
            trims[-1] = _extended(last, end, at)
        else:
            trims.append(_trim(path, first, end, at, piece, taken))
    return tuple(trims)


def files_of(trims: Sequence[Trim], events: int) -> list[Trim | None]:
    """For each event of a list its file."""
    files: list[Trim | None] = [None] * events
    for trim in trims:
        for at in trim.events:
            files[at] = trim
    return files


def _trim(path: str, first: int, end: int, at: int, piece: Piece, taken: dict[str, int]) -> Trim:
    assert piece.counting is not None
    assert piece.asked is not None
    stem = safe(path.rpartition("/")[2].rpartition(".")[0])
    number = taken.get(stem.casefold(), 0)
    taken[stem.casefold()] = number + 1
    start = piece.counting.start
    asked = replace(piece.asked, first=start + first, last=start + end - 1, head=0, tail=0)
    name = f"{stem}_S{number:03d}{piece.suffix}"
    return Trim(path, FrameRange(first, end - first), piece.counting, asked, name, (at,))


def _extended(trim: Trim, end: int, at: int) -> Trim:
    end = max(end, trim.frames.end)
    frames = replace(trim.frames, count=end - trim.frames.first)
    asked = replace(trim.asked, last=trim.counting.start + end - 1)
    return replace(trim, frames=frames, asked=asked, events=(*trim.events, at))
