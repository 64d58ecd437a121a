"""The classes of ranges that each film is cut to."""

from filmfs.core.ranges import FrameRange
from tests.accuracy.films import BASE, BOUNDARIES, Row

TEN_MINUTES = "10 minutes"
ALWAYS = ("one frame", "a stretch", BASE)
"""Those that every run of the tests tries."""


def classes(row: Row) -> tuple[str, ...]:
    """The classes that a film has."""
    usual = ("first frame", "last frame", "one frame", "a stretch", *BOUNDARIES, "whole film")
    return row.ranges or usual


def boundary_of(asked: str) -> str:
    """Which variant of the film a class is cut from."""
    return asked if asked in BOUNDARIES else BASE


def frames_of(asked: str, row: Row) -> FrameRange:
    """The range of a class in a film."""
    count = row.frames
    if asked in BOUNDARIES:
        first = max(0, count // 2 - 6)
        return FrameRange(first, min(12, count - first))
    if asked == TEN_MINUTES:
        long = round(600 * row.rate)
        return FrameRange((count - long) // 2, long)
    return {
        "first frame": FrameRange(0, 1),
        "last frame": FrameRange(count - 1, 1),
        "one frame": FrameRange(count * 2 // 5, 1),
        "a stretch": FrameRange(count // 7, count // 3),
        "whole film": FrameRange(0, count),
    }[asked]
