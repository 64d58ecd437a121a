"""Writes a cut list as OpenTimelineIO's JSON, by hand: its schema is plain, and needs no library to be written.

Source ranges and `available_range` are in time code space: the frame numbers that the media's labels have. What does
not fit into one track (keys, a second track of the picture) goes to tracks above. A dissolve is a Transition at its
beginning, all of it over the incoming clip.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from filmfs.core.errors import BadCutList
from filmfs.core.ranges import Counting
from filmfs.cutlists.model import CutList, Event, Transition, material

Json = dict[str, object]
_ROWS_MAX = 200


@dataclass(frozen=True, slots=True)
class Media:
    """The file of an event: where it is, and which frames it has, numbered as its labels are."""

    url: str
    name: str
    counting: Counting


@dataclass
class _Row:
    """One track that is being filled."""

    end: int
    children: list[Json] = field(default_factory=list)


def write_otio(cuts: CutList, media: Sequence[Media | None] = ()) -> str:
    """The list as OTIO JSON. Raises BadCutList if its rate is not known, BadTimecode for what does not exist at it."""
    if cuts.rate is None:
        raise BadCutList("a timeline needs a frame rate, and the list has none; give one")
    start = cuts.start()
    files = media or [None] * len(cuts.events)
    placed = sorted(
        zip(cuts.events, files, _material(cuts, files), strict=True),
        key=lambda placing: placing[0].record.numbers(cuts.rate),
    )
    video: list[_Row] = []
    audio: dict[int, _Row] = {}
    for event, file, needed in placed:
        first, end = event.record.numbers(cuts.rate)
        if first == end:  # an outgoing half: the clip before it goes on
            continue
        if event.picture:
            _put(_free_row(video, event.tracks.layer, first, start), event, file, needed, cuts.rate)
        for channel in event.sounds:
            row = audio.setdefault(channel, _Row(start))
            if row.end <= first:
                _put(row, event, file, needed, cuts.rate)
    tracks = [_track(f"V{number}", "Video", row) for number, row in enumerate(video, 1)]
    tracks += [_track(f"A{channel}", "Audio", audio[channel]) for channel in sorted(audio)]
    timeline = {
        "OTIO_SCHEMA": "Timeline.1",
        "metadata": {},
        "name": cuts.title,
        "global_start_time": _time(start, cuts.rate),
        "tracks": {**_item("Stack.1", "tracks"), "children": tracks},
    }
    return json.dumps(timeline, indent=2, ensure_ascii=False)


def _material(cuts: CutList, files: Sequence[Media | None]) -> tuple[tuple[int, int] | None, ...]:
    return material(cuts, [file.counting if file is not None else None for file in files])


def _free_row(rows: list[_Row], layer: int, first: int, start: int) -> _Row:
    """The lowest track from `layer` on that has room at `first`."""
    for at in range(layer - 1, _ROWS_MAX):
        while at >= len(rows):
            rows.append(_Row(start))
        if rows[at].end <= first:
            return rows[at]
    raise BadCutList(f"more than {_ROWS_MAX} pictures lie over one another")


def _put(row: _Row, event: Event, file: Media | None, needed: tuple[int, int] | None, rate: Fraction) -> None:
    first, end = event.record.numbers(rate)
    if first > row.end:
        row.children.append(_gap(first - row.end, rate))
    if event.transition in (Transition.DISSOLVE, Transition.WIPE) and event.duration and row.children:
        row.children.append(_transition(event, rate))
    if event.needs_media:
        row.children.append(_clip(event, file, needed[0] if needed is not None else None, end - first, rate))
    else:
        row.children.append(_gap(end - first, rate))
    row.end = end


def _clip(event: Event, file: Media | None, first: int | None, count: int, rate: Fraction) -> Json:
    """An event as a clip; `first` is its first frame, None where that is not known."""
    effects: list[Json] = []
    if event.speed is not None:
        scalar = float(event.speed.fps / rate)
        kind = "FreezeFrame" if event.speed.is_freeze else "LinearTimeWarp"
        effects.append({**_named(f"{kind}.1", ""), "effect_name": kind, "time_scalar": scalar})
    source = f"{event.source.first} {event.source.end}" if first is None else None
    cmx: Json = {"events": event.number, "reel": event.reel, "comments": list(event.comments), "source": source}
    metadata: Json = {"cmx_3600": {key: value for key, value in cmx.items() if value}}
    source_rate = file.counting.rate if file is not None else event.source.rate or rate
    if file is not None and first is not None:
        has = file.counting
        metadata["filmfs"] = {"head": first - has.start, "tail": has.start + has.frames - first - count}
    return {
        **_item("Clip.2", event.clip_name or event.reel or event.number),
        "metadata": metadata,
        "source_range": _range(first or 0, count, source_rate),
        "effects": effects,
        "media_references": {"DEFAULT_MEDIA": _reference(event, file)},
        "active_media_reference_key": "DEFAULT_MEDIA",
    }


def _reference(event: Event, file: Media | None) -> Json:
    if file is None:
        return {**_named("MissingReference.1", event.source_file or ""), "available_range": None}
    return {
        **_named("ExternalReference.1", file.name),
        "available_range": _range(file.counting.start, file.counting.frames, file.counting.rate),
        "target_url": file.url,
    }


def _transition(event: Event, rate: Fraction) -> Json:
    dissolve = event.transition is Transition.DISSOLVE
    return {
        **_named("Transition.1", event.effect or ""),
        "transition_type": "SMPTE_Dissolve" if dissolve else "Custom_Transition",
        "in_offset": _time(0, rate),
        "out_offset": _time(event.duration, rate),
        "metadata": {} if dissolve else {"cmx_3600": {"transition": f"W{event.wipe or '001'}"}},
    }


def _gap(frames: int, rate: Fraction) -> Json:
    return {**_item("Gap.1", ""), "source_range": _range(0, frames, rate)}


def _track(name: str, kind: str, row: _Row) -> Json:
    return {**_item("Track.1", name), "kind": kind, "children": row.children}


def _item(schema: str, name: str) -> Json:
    return {**_named(schema, name), "source_range": None, "effects": [], "markers": [], "enabled": True}


def _named(schema: str, name: str) -> Json:
    return {"OTIO_SCHEMA": schema, "metadata": {}, "name": name}


def _range(first: int, count: int, rate: Fraction) -> Json:
    return {"OTIO_SCHEMA": "TimeRange.1", "start_time": _time(first, rate), "duration": _time(count, rate)}


def _time(frames: int, rate: Fraction) -> Json:
    return {"OTIO_SCHEMA": "RationalTime.1", "value": float(frames), "rate": float(rate)}
