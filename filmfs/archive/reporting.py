"""What became of a cut list's events, for people: the report beside its clips."""

from collections.abc import Iterator

from filmfs.archive.assembly import Assembly, Piece
from filmfs.core.errors import BadTimecode
from filmfs.core.ranges import canonical
from filmfs.core.smpte import label_of, shown_rate
from filmfs.core.words import counted
from filmfs.cutlists.model import CutList, Span


def report_of(name: str, assembly: Assembly, conform: str | None) -> str:
    """The text. `conform` says why there is no conformed movie; None if there is."""
    pieces, cuts = assembly.pieces, assembly.cuts
    clips = sum(piece.reason is None for piece in pieces)
    missing = sum(piece.reason is not None and piece.event.needs_media for piece in pieces)
    lines = [
        f"{name}: {counted(len(pieces), 'event')}, {counted(clips, 'clip')}, {missing} without their film",
        *([f"title: {cuts.title}"] if cuts.title else []),
        f"record: {_record(cuts)}",
        "conformed movie: " + ("is there" if conform is None else f"none, because {conform}"),
        "",
    ]
    width = max(3, len(str(len(pieces))))
    for at, piece in enumerate(pieces):
        lines += _lines(f"{at + 1:0{width}d}", piece, cuts)
    if cuts.notes:
        lines += ["", "notes:", *(f"  {note}" for note in cuts.notes)]
    return "\n".join(lines) + "\n"


def _lines(ordinal: str, piece: Piece, cuts: CutList) -> Iterator[str]:
    event, why = piece.event, piece.reason
    record = _span(event.record, cuts)
    if why is None and piece.frames is not None and piece.counting is not None:
        yield f"{ordinal}  {record}  {piece.name}"
        cut = ", handles cut at the film's ends" if piece.frames.clamped else ""
        yield f"     {piece.path} {canonical(piece.frames, piece.counting)}, found by {piece.by}{cut}"
    else:
        said = " or ".join(repr(each) for each in (event.clip_name, event.source_file, event.reel) if each)
        yield f"{ordinal}  {record}  no clip: {why}" + (f" ({said})" if said and event.needs_media else "")


def _record(cuts: CutList) -> str:
    if not cuts.events:
        return "empty"
    first = min((event.record for event in cuts.events), key=lambda span: _sortable(span, cuts))
    last = max((event.record for event in cuts.events), key=lambda span: _sortable(span, cuts))
    rate = f"{shown_rate(cuts.rate)} frames a second" if cuts.rate is not None else "a rate that nobody says"
    drop = ", drop-frame" if cuts.drop else ""
    return f"{_span(first, cuts).split('-')[0]} to {_span(last, cuts).split('-')[-1]} at {rate}{drop}"


def _sortable(span: Span, cuts: CutList) -> tuple[int, ...]:
    point = span.first
    return (point,) if isinstance(point, int) else (point.hours, point.minutes, point.seconds, point.frames)


def _span(span: Span, cuts: CutList) -> str:
    try:
        if cuts.rate is not None:
            return "-".join(str(label_of(number, cuts.rate, drop=cuts.drop)) for number in span.numbers(cuts.rate))
    except BadTimecode:
        pass
    return f"{span.first}-{span.end}"
