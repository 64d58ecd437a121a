"""Which rendition of a film to show over a link, on a display, by a player."""

from collections.abc import Iterable, Set
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rendition:
    """An original or one of its proxies, as a player sees it: points as wide as they are high, bits a second."""

    name: str
    width: int
    height: int
    bit_rate: int
    codec: str  # as FFmpeg calls it


@dataclass(frozen=True, slots=True)
class Display:
    """How many points what shows it has."""

    width: int
    height: int


def select_proxy(
    media: Iterable[Rendition], bandwidth_bps: int, display: Display, codecs: Set[str]
) -> Rendition | None:
    """The best rendition that link and display can take, of those that the player decodes.

    If none is small enough it is the one that asks least of the link: there is nothing below it. None where the player
    decodes none of them. Of two of one size the one with more bits is better.
    """
    known = [each for each in media if each.codec in codecs]
    fitting = [
        each
        for each in known
        if each.bit_rate <= bandwidth_bps and each.width <= display.width and each.height <= display.height
    ]
    if fitting:
        return max(fitting, key=lambda each: (each.width * each.height, each.bit_rate, *_rest(each)))
    return min(known, key=lambda each: (each.bit_rate, each.width * each.height, *_rest(each)), default=None)


def _rest(rendition: Rendition) -> tuple[str, str, int]:
    """What tells two of them apart that are equally good, so that their order does not."""
    return rendition.name, rendition.codec, rendition.width
