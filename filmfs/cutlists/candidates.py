"""Files that events of a cut list may mean, found by name: exactly, without suffix, by the beginning, by any case."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}$", re.ASCII)
_SEPARATORS = re.compile(r"[/\\]+")
_MEDIA = {
    *("mov", "mp4", "m4v", "qt", "3gp", "mxf", "avi", "mkv", "mts", "m2ts", "mpg", "ts", "braw", "r3d", "ari", "arx"),
    *(
        "crm",
        "rmf",
        "dng",
        "dpx",
        "exr",
        "tif",
        "tiff",
        "jpg",
        "png",
        "wav",
        "bwf",
        "rf64",
        "aif",
        "aiff",
        "mp3",
        "aac",
    ),
}
_BEGINNING_MIN, _BEGINNING_FOUND_MAX = 4, 500  # a shorter reel, or one that more names begin with, tells nothing


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file: its path, its name, and what is known of its reel and frames without opening it."""

    path: str
    name: str
    reel: str | None = None
    start: int | None = None
    end: int | None = None
    rate: Fraction | None = None
    drop: bool = False


class Index:
    """Candidates by what they can be asked for. Each table is made when it is first asked, in one pass."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.candidates: Sequence[Candidate] = tuple(candidates)

    def named(self, name: str, *, fold: bool) -> list[Candidate]:
        """Those with that name."""
        return (self._folded_names if fold else self._names).get(_key(name, fold=fold), [])

    def stemmed(self, name: str, *, fold: bool) -> list[Candidate]:
        """Those with that name before their suffix, or with that name before its suffix if it has one."""
        table = self._folded_stems if fold else self._stems
        known = name.rpartition(".")[2].lower() in _MEDIA  # `.LAY3` ends no file's name
        return table.get(_key(name, fold=fold)) or (table.get(_key(stem_of(name), fold=fold), []) if known else [])

    def beginning(self, reel: str, *, fold: bool) -> list[Candidate]:
        """Those whose name a reel is the beginning of, as it is, or in upper case with `_` for what is no letter."""
        if len(reel) < _BEGINNING_MIN:
            return []
        keys, key = self._sorted, _reel_key(reel)
        first = bisect_left(keys, (key, 0))
        end = bisect_left(keys, (key + "~", 0), first)
        if end - first > _BEGINNING_FOUND_MAX:
            return []
        found = [self.candidates[at] for _, at in keys[first:end]]
        return [one for one in found if fold or one.name.startswith(reel) or reel == key]

    @cached_property
    def _names(self) -> dict[str, list[Candidate]]:
        return self._table(lambda name: _key(name, fold=False))

    @cached_property
    def _stems(self) -> dict[str, list[Candidate]]:
        return self._table(lambda name: _key(stem_of(name), fold=False))

    @cached_property
    def _folded_names(self) -> dict[str, list[Candidate]]:
        return self._table(lambda name: _key(name, fold=True))

    @cached_property
    def _folded_stems(self) -> dict[str, list[Candidate]]:
        return self._table(lambda name: _key(stem_of(name), fold=True))

    @cached_property
    def _sorted(self) -> list[tuple[str, int]]:
        return sorted((_reel_key(one.name), at) for at, one in enumerate(self.candidates))

    def _table(self, key: Callable[[str], str]) -> dict[str, list[Candidate]]:
        table: dict[str, list[Candidate]] = {}
        for one in self.candidates:
            table.setdefault(key(one.name), []).append(one)
        return table


def path_parts(path: str) -> list[str]:
    """A path's names, however they are parted: `S:\\day 1\\A.mov`, `/day 1/A.mov`."""
    return [unicodedata.normalize("NFC", part) for part in _SEPARATORS.split(path) if part not in ("", ".")]


def stem_of(name: str) -> str:
    """A file's name without its suffix."""
    return _SUFFIX.sub("", name) or name


def _key(name: str, *, fold: bool) -> str:
    composed = name if name.isascii() else unicodedata.normalize("NFC", name)
    return composed.casefold() if fold else composed


_REEL_SAFE = re.compile(r"[^0-9A-Z]")


def _reel_key(text: str) -> str:
    return _REEL_SAFE.sub("_", text.upper())
