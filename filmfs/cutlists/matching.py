"""Which file each event of a cut list means. Never a guess: one file, none, or several, with the reason.

An event is asked in this order, and the first answer counts:

    SOURCE FILE      the longest common end of the path, then the file's name, then the name without suffix
    FROM CLIP NAME   the file's name, then without suffix
    reel             a file's name (Resolve), then the beginning of one (CMX has 8 characters of it, Avid 32) or the
                     reel that a file says it is of, and there the time code must be in the file too
    all of it again  without regard to upper and lower case

Where several files answer, those whose time code covers the event count. What a file says of itself costs opening it,
so it is asked for as late as can be, and once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import frames_per_day
from filmfs.cutlists.candidates import Candidate, Index, path_parts
from filmfs.cutlists.model import CutList, Event, Span

_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file says of itself: its reel, and its frames from `start` up to, and without, `end`."""

    reel: str | None = None
    start: int | None = None
    end: int | None = None
    rate: Fraction | None = None
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """The file that an event means, and by what it was found."""

    path: str
    by: str


@dataclass(frozen=True, slots=True)
class Missing:
    """No file is what an event means."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """Several files could be what an event means."""

    paths: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """The event has no media: black, bars."""

    reason: str


Result = Matched | Missing | Ambiguous | NotNeeded
Ask = Callable[[str], Facts | None]


def match(cuts: CutList, candidates: Iterable[Candidate] | Index, ask: Ask | None = None) -> tuple[Result, ...]:
    """The file that each event means. `ask` tells what the file at a path says of itself, None if nothing."""
    matcher = Matcher(candidates if isinstance(candidates, Index) else Index(candidates), ask)
    return tuple(matcher.result(event) for event in cuts.events)


class Matcher:
    """Finds the files of events among the candidates of one index, and asks each file at most once."""

    def __init__(self, index: Index, ask: Ask | None = None) -> None:
        self._index = index
        self._ask = ask
        self._asked: dict[str, Facts | None] = {}
        self._by_reel: dict[str, list[Candidate]] | None = None

    def result(self, event: Event) -> Result:
        """The file that an event means."""
        if not event.needs_media:
            return NotNeeded(f"{event.origin}")
        reason = ""
        for by, found, must_cover in self._answers(event):
            if len(found) == 1 and not must_cover:
                return Matched(found[0].path, by)
            fitting = [one for one in found if self._covers(one, event.source, unknown=not must_cover)]
            if len(fitting) > 1:
                fitting = [one for one in fitting if self._is_of(one, event.reel)] or fitting
            if len(fitting) == 1:
                return Matched(fitting[0].path, f"{by} and time code")
            if fitting or (found and not must_cover):
                return _ambiguous(fitting or found, by, covered=bool(fitting))
            reason = reason or (self._none_covers(by, found) if found else "")
        return Missing(reason or _nothing_called(event))

    def _answers(self, event: Event) -> Iterator[tuple[str, list[Candidate], bool]]:
        """What each way to ask gives, and whether the time code must be in the file for it to count."""
        for fold in (False, True):
            how = " without regard to case" if fold else ""
            if event.source_file is not None:
                yield f"source file{how}", self._by_path(event.source_file, fold=fold), False
            if event.clip_name is not None:
                yield f"clip name{how}", self._by_name(event.clip_name, fold=fold), False
            if event.reel is not None:
                yield f"reel as file name{how}", self._by_name(event.reel, fold=fold), False
                yield f"reel{how}", self._by_reel_word(event.reel, fold=fold), True

    def _by_path(self, path: str, *, fold: bool) -> list[Candidate]:
        parts = path_parts(path)
        if not parts:
            return []
        named = self._index.named(parts[-1], fold=fold)
        if len(named) < 2 or len(parts) < 2:
            return named or self._index.stemmed(parts[-1], fold=fold)
        lengths = [_common_end(path_parts(one.path), parts, fold=fold) for one in named]
        return [one for one, length in zip(named, lengths, strict=True) if length == max(lengths)]

    def _by_name(self, name: str, *, fold: bool) -> list[Candidate]:
        return self._index.named(name, fold=fold) or self._index.stemmed(name, fold=fold)

    def _by_reel_word(self, reel: str, *, fold: bool) -> list[Candidate]:
        """Files whose name a reel is the beginning of, or that say that they are of it."""
        found = {one.path: one for one in self._index.beginning(reel, fold=fold)}
        found |= {one.path: one for one in self._reels().get(reel.casefold() if fold else reel, [])}
        return list(found.values())

    def _reels(self) -> dict[str, list[Candidate]]:
        """Candidates by the reel that they say they are of; asks all files the first time."""
        if self._by_reel is None:
            self._by_reel = {}
            for one in self._index.candidates:
                facts = self._facts(one)
                if facts is not None and facts.reel:
                    for key in {facts.reel, facts.reel.casefold()}:
                        self._by_reel.setdefault(key, []).append(one)
        return self._by_reel

    def _facts(self, one: Candidate) -> Facts | None:
        if one.reel is not None and one.start is not None and one.end is not None:
            return Facts(one.reel, one.start, one.end, one.rate, one.drop)
        if one.path not in self._asked:
            known = self._ask(one.path) if self._ask is not None else None
            if known is None and (one.reel is not None or one.start is not None):
                known = Facts(one.reel, one.start, one.end, one.rate, one.drop)
            elif known is not None and one.reel is not None:
                known = replace(known, reel=one.reel)
            self._asked[one.path] = known
        return self._asked[one.path]

    def _covers(self, one: Candidate, source: Span, *, unknown: bool) -> bool:
        """Whether a file has an event's frames; `unknown` is the answer where it does not say which it has."""
        facts = self._facts(one)
        if facts is None or facts.start is None or facts.end is None:
            return unknown
        try:
            first, end = (source.number(point, facts.rate, drop=facts.drop) for point in (source.first, source.end))
        except BadTimecode:
            return False
        return _has(facts, first, end) or (end < first and _has(facts, end, first))  # backwards, as some write it

    def _is_of(self, one: Candidate, reel: str | None) -> bool:
        facts = self._facts(one)
        return reel is not None and facts is not None and facts.reel == reel

    def _none_covers(self, by: str, found: list[Candidate]) -> str:
        if all(self._facts(one) is None for one in found):
            return f"{len(found)} found by {by}, but what time code they have is not known"
        return f"{len(found)} found by {by}, but none has its time code"


def _nothing_called(event: Event) -> str:
    asked = [repr(name) for name in (event.source_file, event.clip_name, event.reel) if name]
    return f"nothing is called {' or '.join(asked)}" if asked else "it names no file, clip or reel"


def _has(facts: Facts, first: int, end: int) -> bool:
    """Whether a file has the frames [first, end), which its labels say modulo a day."""
    if facts.start is None or facts.end is None:
        return False
    if facts.rate is None:
        return facts.start <= first and max(end, first + 1) <= facts.end
    day = frames_per_day(facts.rate, drop=facts.drop)
    into, length = (first - facts.start) % day, (end - first) % day
    return facts.start + into + max(length, 1) <= facts.end


def _ambiguous(found: list[Candidate], by: str, *, covered: bool) -> Ambiguous:
    paths = tuple(sorted(one.path for one in found))
    which = "all have its time code" if covered else "none has its time code"
    return Ambiguous(paths[:_SHOWN_MAX], f"{len(paths)} files by {by}, {which} or says none")


def _common_end(path: list[str], asked: list[str], *, fold: bool) -> int:
    """How many names two paths end with alike."""
    count = 0
    for own, other in zip(reversed(path), reversed(asked), strict=False):
        if own != other and not (fold and own.casefold() == other.casefold()):
            break
        count += 1
    return count
