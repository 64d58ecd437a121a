"""Proxies that somebody else made: where they lie by custom, and which of filmfs's own each stands for.

    Proxy/NAME.*  Proxies/NAME_Proxy.*       DaVinci Resolve, Premiere, beside the original
    M4ROOT/CLIP/C0001.MP4                    M4ROOT/SUB/C0001S03.MP4        Sony XAVC S
    XDROOT/Clip/C0001.MXF                    XDROOT/Sub/C0001S01.MP4        Sony XDCAM
    CONTENTS/VIDEO/0001AB.MXF                CONTENTS/PROXY/0001AB.MP4      Panasonic P2

Names alone decide nothing: frames, rate and time code must be the original's, as far as it can be read here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from filmfs.core.models import ProxyResolution
from filmfs.proxy.names import is_original_name, stem_of
from filmfs.proxy.originals import Original

_ENDING = r"(?:_proxy|[-_]\d{1,3}|S\d{1,2})?"  # linkers of editors pass over these too
_CARDS = (
    ((r"M4ROOT", r"CLIP"), "SUB", r"S\d{2}"),
    ((r"XDROOT", r"Clip"), "Sub", r"S\d{2}"),
    ((r"CONTENTS", r"VIDEO"), "PROXY", ""),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, by the names that lead to it, and what a proxy is called there."""

    directory: tuple[str, ...]
    name: "re.Pattern[str]"

    def takes(self, name: str) -> bool:
        """Whether a file of that name may be the proxy."""
        return is_original_name(name) and self.name.fullmatch(stem_of(name)) is not None


def places_of(path: tuple[str, ...]) -> Iterator[Place]:
    """Where proxies of the original at a path may lie."""
    *directory, name = path
    stem = re.escape(stem_of(name))
    loose = re.compile(stem + _ENDING, re.IGNORECASE)
    for folder in ("Proxy", "Proxies"):
        yield Place((*directory, folder), loose)
    for above, beside, ending in _CARDS:
        if len(directory) >= 2 and all(
            re.fullmatch(kind, part, re.IGNORECASE) for kind, part in zip(above, directory[-2:], strict=True)
        ):
            yield Place((*directory[:-1], beside), re.compile(stem + ending, re.IGNORECASE))


def originals_near(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Directories in which the original may be of a film at a path, if that is where proxies lie by custom."""
    *directory, _ = path
    if not directory:
        return
    if directory[-1].lower() in ("proxy", "proxies"):
        yield tuple(directory[:-1])
    for above, beside, _ in _CARDS:
        if directory[-1].lower() == beside.lower() and len(directory) >= 2:
            yield (*directory[:-1], above[-1])


def why_not(original: Original, proxy: Original) -> str | None:
    """Why a film cannot be a proxy of an original; None where all that both say is the same."""
    one, other = original.picture, proxy.picture
    if one is None or other is None:
        return "one of them has no picture"
    if one.frames != other.frames:
        return f"it has {other.frames} frames, and the original {one.frames}"
    if one.rate != other.rate:
        return f"it has {float(other.rate):.3f} frames a second, and the original {float(one.rate):.3f}"
    codes = original.labels.timecode, proxy.labels.timecode
    if None not in codes and codes[0] != codes[1]:
        return f"it begins at {codes[1]}, and the original at {codes[0]}"
    if (other.width, other.height) >= (one.width, one.height):
        return "it is not smaller than the original"
    return None


def stands_for(original: Original | None, proxy: Original) -> ProxyResolution:
    """Which of the sizes it comes nearest to; of an original that cannot be read here by its lines."""
    lines = proxy.picture.height if proxy.picture is not None else 0
    whole = original.picture.height if original is not None and original.picture is not None else 2160
    share = Fraction(lines, whole)
    sizes = {
        ProxyResolution.EDITORIAL: Fraction(1, 2),
        ProxyResolution.PREVIEW: Fraction(1, 4),
        ProxyResolution.THUMBNAIL: Fraction(1, 8),
    }
    return min(sizes, key=lambda each: max(share / sizes[each], sizes[each] / share) if share else Fraction(1 << 30))
