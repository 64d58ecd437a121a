"""Writes a cut list as a CMX3600 EDL, as it was or with other files.

What `cmx3600` reads of it is the same list: labels of drop-frame have their `;`, names of both halves of a dissolve
stand below the second line, speeds below the line of their reel.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest

from filmfs.core.smpte import Label
from filmfs.cutlists.model import CutList, Event, Origin, Span, Speed, Transition
from filmfs.cutlists.tracks import untold_channels

_CODES = {
    Transition.CUT: "C",
    Transition.DISSOLVE: "D",
    Transition.KEY_BACKGROUND: "K B",
    Transition.KEY_IN: "K",
    Transition.KEY_OUT: "K O",
}
_REELS = {Origin.BLACK: "BL", Origin.BARS: "BARS"}
_AHEAD = ("SPLIT", "GPI")  # remarks that stand above their event


def write_edl(cuts: CutList, files: Sequence[str | None] = ()) -> str:
    """The list as an EDL. `files` are the names to link its events to; None leaves what the event says.

    Raises BadTimecode for a source that does not exist at its rate.
    """
    events = [
        replace(event, clip_name=file, source_file=file) if file is not None else event
        for event, file in zip(cuts.events, files or [None] * len(cuts.events), strict=True)
    ]
    lines = [f"TITLE: {_plain(cuts.title)}", f"FCM: {'' if cuts.drop else 'NON-'}DROP FRAME"]
    outgoing: Event | None = None
    for event, after in zip_longest(events, events[1:]):
        lines += (_plain(remark) for remark in event.comments if remark.startswith(_AHEAD))
        lines.append(_event(event, cuts.rate))
        lines += _remarks(event, cuts.rate)
        if after is not None and after.joins(event):
            outgoing = event
            continue
        lines += _names(event, outgoing)
        outgoing = None
    return "\n".join([*lines, ""])


def _event(event: Event, rate: Fraction | None) -> str:
    code = f"W{event.wipe or '001'}" if event.transition is Transition.WIPE else _CODES[event.transition]
    duration = "" if event.transition is Transition.CUT else f"{event.duration:03d}"
    points = " ".join(_points(event.source, rate) + _points(event.record, rate))
    return f"{event.number:<4} {_reel(event):<8} {event.tracks.written:<5} {code:<4} {duration:<3} {points}"


def _points(span: Span, rate: Fraction | None) -> list[str]:
    if isinstance(span.first, int) and (span.rate or rate) is None:
        return [f"{point:09d}" for point in (span.first, span.end)]  # of eight digits it would read as a label
    return [str(label) for label in span.labels(span.rate or rate)]


def _remarks(event: Event, rate: Fraction | None) -> Iterator[str]:
    if event.speed is not None:
        yield _speed(event, event.speed, rate)
    if untold := untold_channels(event.tracks):
        yield f"AUD  {'  '.join(map(str, untold))}"
    if event.effect:
        yield f"EFFECTS NAME IS {_plain(event.effect)}"
    if event.still:
        yield f"* {'FROM' if event.transition is Transition.CUT else 'TO'} CLIP IS A STILL"
    for locator in event.locators:
        yield f"* LOC: {locator.at} {_plain(f'{locator.colour:<7} {locator.words}')}".rstrip()
    if event.sop:
        yield f"* ASC_SOP: {_plain(event.sop)}"
    if event.sat:
        yield f"* ASC_SAT: {_plain(event.sat)}"
    for comment in event.comments:
        if not comment.startswith(_AHEAD):
            yield _plain(comment) if comment.startswith(">>>") else f"* {_plain(comment)}"


def _names(event: Event, outgoing: Event | None) -> Iterator[str]:
    """The names of an event, and of the half that goes out before it."""
    if outgoing is not None and outgoing.needs_media:
        yield from _name("FROM", outgoing)
        yield from _name("TO", event)
    else:
        yield from _name("FROM", event)


def _name(side: str, event: Event) -> Iterator[str]:
    if event.clip_name:
        yield f"* {side} CLIP NAME: {_plain(event.clip_name)}"
    if event.source_file:
        key = "SOURCE FILE" if event.clip_name else f"{side} FILE"
        yield f"* {key}: {_plain(event.source_file)}"


def _speed(event: Event, speed: Speed, rate: Fraction | None) -> str:
    entry: Label = speed.entry if speed.entry is not None else event.source.labels(event.source.rate or rate)[0]
    return f"M2   {_reel(event):<8}       {decimal(speed.fps)}                {entry}"


def decimal(fps: Fraction) -> str:
    """`024.0`, `-047.6`, `059.94`: to a ten-thousandth."""
    ten_thousandths = round(abs(fps) * 10_000)
    whole, rest = divmod(ten_thousandths, 10_000)
    return f"{'-' if fps < 0 else ''}{whole:03d}.{f'{rest:04d}'.rstrip('0') or '0'}"


def _reel(event: Event) -> str:
    return _plain(event.reel) if event.origin is Origin.REEL and event.reel else _REELS.get(event.origin, "AX")


def _plain(text: str) -> str:
    """Text that stays on its line."""
    return " ".join(text.splitlines()).strip()
