"""Timelines that are no EDL: what is flattened and how, and what is refused before a parser sees it."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadCutList, FilmFSError, Unsupported
from filmfs.cutlists import timelines
from filmfs.cutlists.cmx3600 import read_edl
from filmfs.cutlists.model import CutList, Event, Origin, Transition
from filmfs.cutlists.otio import write_otio
from filmfs.cutlists.sources import path_of
from filmfs.cutlists.timelines import check_xml, read_timeline

R24 = Fraction(24)


@pytest.fixture
def otio() -> Any:
    return pytest.importorskip("opentimelineio")


def clip(otio: Any, name: str, first: int, frames: int, rate: float = 24, **more: Any) -> Any:
    media = otio.schema.ExternalReference(target_url=f"file:///vol/{name}.mov")
    return otio.schema.Clip(name=name, media_reference=media, source_range=span(otio, first, frames, rate), **more)


def span(otio: Any, first: int, frames: int, rate: float = 24) -> Any:
    time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(time(first, rate), time(frames, rate))


def timeline(otio: Any, *tracks: Any, start: int = 86_400) -> Any:
    made = otio.schema.Timeline("cut", global_start_time=otio.opentime.RationalTime(start, 24))
    made.tracks.extend(tracks)
    return made


def track(otio: Any, *children: Any, kind: str = "Video") -> Any:
    made = otio.schema.Track(kind=kind)
    made.extend(children)
    return made


def gap(otio: Any, frames: int) -> Any:
    return otio.schema.Gap(source_range=span(otio, 0, frames))


def events(made: Any) -> list[Event]:
    return list(read_timeline(made.to_json_string().encode(), "cut.otio").events)


def seen(made: Any) -> list[tuple[str | None, tuple[int, int], tuple[int, int]]]:
    return [(event.clip_name, event.source.numbers(), event.record.numbers()) for event in events(made)]


GIVEN = {
    "clip_example.otio": 3,
    "multitrack.otio": 5,
    "nested_example.otio": 7,
    "premiere_example.otio": 14,
    "screening_example.otio": 9,
    "simple_cut.otio": 4,
    "transition.otio": 5,
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_timelines_that_otio_has_as_examples_are_read(otio: Any, test_data: Path, name: str) -> None:
    cuts = read_timeline((test_data / "otio" / name).read_bytes(), name)

    assert len(cuts.events) == GIVEN[name]
    assert cuts.rate in (24, 30)


def test_a_timeline_of_an_edl_begins_where_that_did(otio: Any, test_data: Path) -> None:
    cuts = read_timeline((test_data / "otio" / "screening_example.otio").read_bytes(), "screening_example.otio")
    edl = read_edl((test_data / "edl" / "screening_example.edl").read_bytes(), R24)

    assert [one.record.numbers() for one in cuts.events] == [one.record.numbers(R24) for one in edl.events]
    assert [one.source.numbers() for one in cuts.events] == [one.source.numbers(R24) for one in edl.events]


def test_the_top_most_picture_counts(otio: Any) -> None:
    below = track(otio, clip(otio, "below", 1000, 100))
    above = track(otio, gap(otio, 20), clip(otio, "above", 500, 30))

    assert seen(timeline(otio, below, above)) == [
        ("below", (1000, 1020), (86_400, 86_420)),
        ("above", (500, 530), (86_420, 86_450)),
        ("below", (1050, 1100), (86_450, 86_500)),
    ]


def test_a_title_hides_nothing(otio: Any) -> None:
    title = otio.schema.Clip("title", media_reference=otio.schema.GeneratorReference(), source_range=span(otio, 0, 200))
    below = track(otio, clip(otio, "below", 1000, 100))

    first, second = events(timeline(otio, below, track(otio, title)))

    assert (first.clip_name, first.record.numbers()) == ("below", (86_400, 86_500))
    assert (second.origin, second.record.numbers()) == (Origin.GENERATED, (86_500, 86_600))


def test_what_is_switched_off_is_not_there(otio: Any) -> None:
    off = clip(otio, "off", 0, 10)
    off.enabled = False

    assert seen(timeline(otio, track(otio, off, clip(otio, "on", 0, 10)))) == [("on", (0, 10), (86_410, 86_420))]


def test_a_transition_is_two_halves_as_in_an_edl(otio: Any) -> None:
    time = otio.opentime.RationalTime
    blend = otio.schema.Transition(
        "blend", transition_type="SMPTE_Dissolve", in_offset=time(4, 24), out_offset=time(6, 24)
    )
    made = timeline(otio, track(otio, clip(otio, "a", 100, 50), blend, clip(otio, "b", 200, 50)))

    assert seen(made) == [
        ("a", (100, 146), (86_400, 86_446)),
        ("a", (146, 146), (86_446, 86_446)),
        ("b", (196, 250), (86_446, 86_500)),
    ]
    _, outgoing, incoming = events(made)
    assert (incoming.transition, incoming.duration, incoming.effect) == (Transition.DISSOLVE, 10, "blend")
    assert incoming.joins(outgoing)


def test_a_nested_stack_gives_the_part_that_is_used(otio: Any) -> None:
    nested = otio.schema.Stack(source_range=span(otio, 30, 40))
    nested.append(track(otio, clip(otio, "a", 0, 50), clip(otio, "b", 0, 50)))

    assert seen(timeline(otio, track(otio, gap(otio, 10), nested))) == [
        ("a", (30, 50), (86_410, 86_430)),
        ("b", (0, 20), (86_430, 86_450)),
    ]


@pytest.mark.parametrize(
    ("scalar", "fps", "frames"), [(2.0, 48, 20), (0.5, 12, 5), (-1.0, -24, 10), (0.0, 0, 1), (1.5, 36, 15)]
)
def test_speed_takes_more_or_fewer_frames_of_the_source(otio: Any, scalar: float, fps: int, frames: int) -> None:
    effect = otio.schema.LinearTimeWarp(time_scalar=scalar)
    (only,) = events(timeline(otio, track(otio, clip(otio, "a", 100, 10, effects=[effect]))))

    assert only.speed is not None
    assert (only.speed.fps, only.source.numbers()) == (fps, (100, 100 + frames))


def test_the_same_clip_on_several_tracks_is_one_event(otio: Any) -> None:
    tracks = [track(otio, clip(otio, "a", 0, 10), kind=kind) for kind in ("Video", "Audio", "Audio")]
    wild = track(otio, clip(otio, "wild", 0, 10), kind="Audio")

    assert [(one.tracks.written, one.picture, one.sounds) for one in events(timeline(otio, *tracks, wild))] == [
        ("AA/V", True, (1, 2)),
        ("A3", False, (3,)),
    ]


def test_decimal_rates_are_exact(otio: Any) -> None:
    made = otio.schema.Timeline("cut")
    made.tracks.append(track(otio, clip(otio, "a", 86_400, 1000, 23.976)))
    cuts = read_timeline(made.to_json_string().encode(), "cut.otio")

    assert cuts.rate == Fraction(24000, 1001)
    assert cuts.events[0].source.numbers() == (86_400, 87_400)


def test_a_list_that_is_written_as_a_timeline_is_read_as_it_was(otio: Any, test_data: Path) -> None:
    for name in ("screening_example", "dissolve_test", "dissolve_test_4", "speed_effects_small", "wipe_test"):
        cuts = read_edl((test_data / "edl" / f"{name}.edl").read_bytes(), R24)
        again = read_timeline(write_otio(cuts).encode(), f"{name}.otio")

        assert records(again) == records(cuts)


def records(cuts: CutList) -> list[tuple[int, int, int, str]]:
    """Where the events of a list are, that have a length, with their first frame and transition."""
    numbers = [(*one.record.numbers(R24), one.source.numbers(R24)[0], one.transition) for one in cuts.events]
    return [one for one in numbers if one[0] != one[1]]


@pytest.mark.parametrize("suffix", ["fcpxml", "xml", "aaf", "ale"])
def test_what_the_adapters_write_is_read(otio: Any, tmp_path: Path, suffix: str) -> None:
    module = {"fcpxml": "fcpx_xml", "xml": "fcp", "aaf": "aaf", "ale": "ale"}[suffix]
    pytest.importorskip(f"otio_{module}_adapter")
    one, two = clip(otio, "one", 100, 48), clip(otio, "two", 200, 24)
    for made in (one, two):
        made.media_reference.available_range = span(otio, 0, 1000)
    path = tmp_path / f"cut.{suffix}"
    more = {"use_empty_mob_ids": True} if suffix == "aaf" else {}
    otio.adapters.write_to_file(timeline(otio, track(otio, one, two), start=0), str(path), **more)

    cuts = read_timeline(path.read_bytes(), path.name)

    assert [event.clip_name for event in cuts.events] == ["one", "two"]
    assert [event.record.numbers() for event in cuts.events] == [(0, 48), (48, 72)]
    assert [event.source.numbers() for event in cuts.events] == [(100, 148), (200, 224)]


def test_one_of_several_timelines_is_chosen_by_name(otio: Any) -> None:
    both = otio.schema.SerializableCollection()
    for name in ("one", "two"):
        made = timeline(otio, track(otio, clip(otio, name, 0, 10)))
        made.name = name
        both.append(made)
    data = both.to_json_string().encode()

    with pytest.raises(BadCutList, match="'one', 'two'"):
        read_timeline(data, "both.otio")
    assert read_timeline(data, "both.otio", "two").events[0].clip_name == "two"
    with pytest.raises(BadCutList, match="'three'"):
        read_timeline(data, "both.otio", "three")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(timelines._ADAPTERS, ".ale", ("otio_of_nobody", "ale"))

    with pytest.raises(Unsupported, match=r"pip install filmfs\[timelines\]"):
        read_timeline(b"Heading", "x.ale")


def test_other_files_are_no_timelines() -> None:
    with pytest.raises(BadCutList, match="no kind of timeline"):
        read_timeline(b"", "x.prproj")


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>',
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        '<!DOCTYPE x SYSTEM "http://example.org/"><x/>',
        '<!DOCTYPE x PUBLIC "p" "file:///etc/passwd"><x/>',
        "<x>" * 10_000 + "</x>" * 10_000,
        "<x>",
        "",
    ],
)
def test_xml_that_could_do_harm_is_refused(text: str) -> None:
    with pytest.raises(BadCutList):
        check_xml(text)


def test_xml_as_editing_systems_write_it_is_taken() -> None:
    check_xml('<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE fcpxml><fcpxml/>')
    check_xml('<!DOCTYPE xmeml SYSTEM "xmeml.dtd"><xmeml/>')


def test_nesting_that_would_end_a_parser_is_refused(otio: Any) -> None:
    for deep in ("[" * 100_000, '{"OTIO_SCHEMA":"Stack.1","children":[' * 1000 + "]}" * 1000, "[" * 500 + "]" * 500):
        with pytest.raises(BadCutList):
            read_timeline(deep.encode(), "x.otio")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///vol/a%20b.mov", "/vol/a b.mov"),
        ("file://localhost/D%3a/media/a.mov", "D:/media/a.mov"),
        ("file:///vol/a #1.mov", "/vol/a #1.mov"),
        ("a%20b.mov", "a%20b.mov"),
        ("S:\\day 1\\a.mov", "S:\\day 1\\a.mov"),
    ],
)
def test_addresses_become_paths(url: str, path: str) -> None:
    assert path_of(url) == path


@given(st.binary(max_size=300), st.sampled_from(timelines.SUFFIXES))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes, suffix: str) -> None:
    refuses_or_reads(data, suffix)


TIMES = st.sampled_from([0, -1, 5, 1e300, float("inf"), float("nan"), "x", None])


@given(st.recursive(TIMES, lambda inner: st.lists(inner, max_size=3), max_leaves=4), TIMES, TIMES)
def test_no_timeline_raises_anything_but_a_refusal(children: object, value: object, rate: object) -> None:
    time = {"OTIO_SCHEMA": "RationalTime.1", "value": value, "rate": rate}
    of = {"OTIO_SCHEMA": "TimeRange.1", "start_time": time, "duration": time}
    made = {"OTIO_SCHEMA": "Clip.1", "name": "x", "source_range": of, "media_reference": children}
    row = {"OTIO_SCHEMA": "Track.1", "name": "", "kind": "Video", "children": [made, children]}
    refuses_or_reads(json.dumps(row).encode(), ".otio")
    refuses_or_reads(json.dumps({**row, "children": [made]}).encode(), ".otio")


def refuses_or_reads(data: bytes, suffix: str) -> None:
    try:
        read_timeline(data, f"x{suffix}")
    except FilmFSError:
        pass
