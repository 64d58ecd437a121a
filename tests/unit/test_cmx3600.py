"""EDLs: what each kind of line means, what is a note, and what is refused."""

import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadCutList, BadTimecode, FilmFSError
from filmfs.core.ranges import Counting
from filmfs.core.smpte import Label
from filmfs.cutlists.cmx3600 import DROP_RATE, read_edl
from filmfs.cutlists.model import CutList, Event, Locator, Origin, Transition, material
from filmfs.cutlists.rates import rates_that_fit

CUT = "01:00:00:00 01:00:01:00 10:00:00:00 10:00:01:00"
R24 = Fraction(24)


def events(text: str, rate: Fraction | None = None) -> tuple[Event, ...]:
    return read_edl(text, rate).events


def event(line: str) -> Event:
    (only,) = events(line)
    return only


# name: events, notes at 24 (or 25), rates that fit
GIVEN = {
    "25fps.edl": (4, 0, ["25"]),
    "avid_example.edl": (2, 0, None),
    "cdl.edl": (2, 0, None),
    "dissolve_test.edl": (4, 0, None),
    "dissolve_test_2.edl": (4, 0, None),
    "dissolve_test_3.edl": (4, 0, ["24000/1001", "24"]),
    "dissolve_test_4.edl": (8, 0, ["24000/1001", "24"]),
    "dissolve_test_fail.edl": (4, 1, None),
    "gap_test.edl": (3, 0, None),
    "multi_audio.edl": (1, 0, None),
    "no_spaces_test.edl": (9, 0, ["24000/1001", "24"]),
    "nucoda_example.edl": (2, 0, None),
    "premiere_example.edl": (2, 0, None),
    "screening_example.edl": (9, 0, ["24000/1001", "24"]),
    "speed_effects.edl": (548, 0, ["24000/1001", "24"]),
    "speed_effects_small.edl": (5, 0, ["24000/1001", "24"]),
    "timecode_mismatch.edl": (20, 4, ["25"]),
    "transition_duration.edl": (5, 0, None),
    "wipe_test.edl": (4, 0, None),
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_lists_that_editing_systems_wrote_are_read(test_data: Path, name: str) -> None:
    count, notes, rates = GIVEN[name]
    cuts = read_edl((test_data / "edl" / name).read_bytes())

    fitting = rates_that_fit(cuts)
    placed = cuts.at(fitting[0])

    assert (len(cuts.events), len(placed.notes), cuts.rate) == (count, notes, None)
    assert rates is None or [str(rate) for rate in fitting] == rates
    assert all(needed is not None and needed[0] < needed[1] for needed in material(placed))


def test_an_event_is_a_piece_of_a_source_at_a_place_of_the_record() -> None:
    cuts = read_edl(f"TITLE: Reel 3\nFCM: NON-DROP FRAME\n\n001  A001C003 V     C        {CUT}\n", R24)

    assert (cuts.title, cuts.rate, cuts.drop, cuts.notes) == ("Reel 3", 24, False, ())
    assert cuts.events[0].reel == "A001C003"
    assert cuts.events[0].source.numbers(R24) == (86_400, 86_424)
    assert cuts.events[0].record.numbers(R24) == (864_000, 864_024)
    assert (cuts.events[0].line, cuts.start()) == (4, 864_000)


@pytest.mark.parametrize(
    ("written", "picture", "sounds", "layer"),
    [
        ("V", True, (), 1),
        ("V2", True, (), 2),
        ("A", False, (1,), 1),
        ("A2", False, (2,), 1),
        ("A12", False, (12,), 1),
        ("AA", False, (1, 2), 1),
        ("B", True, (1,), 1),
        ("AA/V", True, (1, 2), 1),
        ("A2/V", True, (2,), 1),
        ("NONE", False, (), 1),
    ],
)
def test_tracks(written: str, picture: bool, sounds: tuple[int, ...], layer: int) -> None:
    tracks = event(f"001 R {written} C {CUT}").tracks

    assert (tracks.written, tracks.picture, tracks.sounds, tracks.layer) == (written, picture, sounds, layer)


def test_more_channels_are_told_by_a_line_of_their_own() -> None:
    assert event(f"001 AX NONE C {CUT}\nAUD  3  4").sounds == (3, 4)
    assert event(f"001 AX AA/V C {CUT}\nAUD  3").sounds == (1, 2, 3)


@pytest.mark.parametrize(
    ("written", "reel"),
    [
        ("A001", "A001"),
        ("FKI_LEADER_HEAD_1920X1080.MOV", "FKI_LEADER_HEAD_1920X1080.MOV"),
        ("A" * 129, "A" * 129),
        ("MY  REEL 3", "MY  REEL 3"),
        ("001", "001"),
        ("A001_C002.[1001-1092].exr", "A001_C002.[1001-1092].exr"),
        ("V C", "V C"),
    ],
)
def test_a_reel_may_be_long_and_have_spaces(written: str, reel: str) -> None:
    assert event(f"000001  {written}  V     C        {CUT}").reel == reel


@pytest.mark.parametrize(
    ("written", "origin"),
    [("BL", Origin.BLACK), ("black", Origin.BLACK), ("BARS", Origin.BARS), ("AX", Origin.AUXILIARY)],
)
def test_black_bars_and_what_has_no_reel(written: str, origin: Origin) -> None:
    only = event(f"001  {written} V C {CUT}")

    assert (only.reel, only.origin) == (None, origin)
    assert only.needs_media == (origin is Origin.AUXILIARY)


@pytest.mark.parametrize(
    ("written", "transition", "wipe", "frames"),
    [
        ("C", Transition.CUT, None, 0),
        ("D    024", Transition.DISSOLVE, None, 24),
        ("W001 024", Transition.WIPE, "001", 24),
        ("W119 8", Transition.WIPE, "119", 8),
        ("K B", Transition.KEY_BACKGROUND, None, 0),
        ("K    010", Transition.KEY_IN, None, 10),
        ("K    010 (F)", Transition.KEY_IN, None, 10),
        ("K O  012", Transition.KEY_OUT, None, 12),
    ],
)
def test_transitions(written: str, transition: Transition, wipe: str | None, frames: int) -> None:
    only = event(f"001 R V {written} {CUT}")

    assert (only.reel, only.transition, only.wipe, only.duration) == ("R", transition, wipe, frames)


DISSOLVE = """\
001  ONE V     C        01:00:00:00 01:00:01:00 10:00:00:00 10:00:01:00
002  ONE V     C        01:00:01:00 01:00:01:00 10:00:01:00 10:00:01:00
002  TWO V     D    010 02:00:00:00 02:00:01:00 10:00:01:00 10:00:02:00
EFFECTS NAME IS CROSS DISSOLVE
* FROM CLIP NAME: one.mov
* SOURCE FILE: /vol/one.mov
* TO CLIP NAME: two.mov
* SOURCE FILE: /vol/two.mov
"""


def test_a_dissolve_is_two_events_and_each_is_told_its_own_names() -> None:
    cuts = read_edl(DISSOLVE, R24)
    _, outgoing, incoming = cuts.events

    assert (outgoing.clip_name, outgoing.source_file) == ("one.mov", "/vol/one.mov")
    assert (incoming.clip_name, incoming.source_file) == ("two.mov", "/vol/two.mov")
    assert incoming.effect == "CROSS DISSOLVE"
    assert [before for before, _ in cuts.with_outgoing()] == [None, None, outgoing]
    assert material(cuts) == ((86_400, 86_424), (86_424, 86_434), (172_800, 172_824))


def test_a_dissolve_from_black_is_named_by_what_comes() -> None:
    text = f"001 BL V C {CUT}\n001 R V D 010 {CUT}\n* FROM CLIP NAME: BL\n* FROM CLIP NAME: there.mov\n"

    assert [one.clip_name for one in events(text)] == [None, "there.mov"]


def test_a_wipe_on_a_line_of_its_own_is_read() -> None:
    text = f"001 ONE V C {CUT}\n002 TWO V W001 024 02:00:00:00 02:00:02:00 10:00:01:00 10:00:03:00\n"

    assert [one.transition for one in events(text)] == [Transition.CUT, Transition.WIPE]
    assert read_edl(text).notes == ()


@pytest.mark.parametrize(
    ("written", "fps"),
    [("047.6", Fraction("47.6")), ("-024.0", Fraction(-24)), ("000.0", Fraction(0)), ("+12", Fraction(12))],
)
def test_speed_is_frames_of_the_source_a_second(written: str, fps: Fraction) -> None:
    speed = event(f"001 MY REEL V C {CUT}\nM2   MY REEL   {written}   01:00:00:00\n").speed

    assert speed is not None
    assert (speed.fps, speed.entry, speed.is_freeze) == (fps, Label(1, 0, 0, 0), fps == 0)


def test_a_speed_is_that_of_the_half_with_its_reel() -> None:
    text = f"001 ONE V C {CUT}\n001 TWO V D 010 {CUT}\nM2 ONE 048.0 01:00:00:00\n"

    assert [one.speed is not None for one in events(text)] == [True, False]


def test_backwards_motion_needs_the_frames_between_its_ends() -> None:
    forwards = "001 R V C 01:00:00:00 01:00:02:00 10:00:00:00 10:00:02:00\nM2 R -024.0 01:00:02:00\n"
    backwards = "001 R V C 01:00:01:23 00:59:59:23 10:00:00:00 10:00:02:00\nM2 R -024.0 01:00:01:23\n"

    assert material(read_edl(forwards, R24)) == material(read_edl(backwards, R24)) == ((86_400, 86_448),)


def test_a_source_is_counted_as_its_file_does() -> None:
    cuts = read_edl("001 R V C 01:00:00:00 01:00:01:24 10:00:00:00 10:00:02:01", R24)

    assert material(cuts) == (None,)
    assert material(cuts, [Counting(0, 100, Fraction(25))]) == ((90_000, 90_049),)


def test_what_is_said_below_an_event() -> None:
    only = event(
        f"001 R V C {CUT}\n* FROM CLIP NAME: 12A-3: take.mov\n*SOURCE FILE: S:\\day 1\\A001.mov\n"
        "* LOC: 01:00:01:14 RED     FIX ME\n*ASC_SOP (1 1 1)(0 0 0)(1 1 1)\n* ASC_SAT: 0.9\n"
        "* FROM CLIP IS A STILL\n* * FREEZE FRAME\n>>> SOURCE R 0060\n"
    )

    assert (only.clip_name, only.source_file) == ("12A-3: take.mov", "S:\\day 1\\A001.mov")
    assert only.locators == (Locator(Label(1, 0, 1, 14), "RED", "FIX ME"),)
    assert (only.sop, only.sat, only.still) == ("(1 1 1)(0 0 0)(1 1 1)", "0.9", True)
    assert only.comments == ("FREEZE FRAME", ">>> SOURCE R 0060")


def test_files_are_named_in_more_than_one_way() -> None:
    for words in ("FROM CLIP", "FROM FILE", "SOURCE FILE"):
        assert event(f"001 R V C {CUT}\n* {words}: S:\\a\\b.exr").source_file == "S:\\a\\b.exr"
    assert event(f"001 R V C {CUT}\nFROM CLIP NAME: shot1").clip_name == "shot1"


def test_splits_and_pulses_are_kept_with_the_event_that_follows() -> None:
    text = f"001 R V C {CUT}\nSPLIT:    AUDIO DELAY=  00:00:00:05\n002 R V C {CUT}\n"

    assert [one.comments for one in events(text)] == [(), ("SPLIT: AUDIO DELAY= 00:00:00:05",)]


def test_a_reel_that_final_cut_shortened_is_told_in_full() -> None:
    assert event(f"FINAL CUT PRO REEL: A001_C003_0101AB REPLACED BY: A001_C00\n001 A001_C00 V C {CUT}").reel == (
        "A001_C003_0101AB"
    )


def test_drop_frame_lists_are_of_30000_1001_unless_told() -> None:
    cuts = read_edl(f"TITLE: x\nFCM: DROP FRAME\n001 R V C {CUT}")

    assert (cuts.rate, cuts.drop, cuts.events[0].source.drop) == (DROP_RATE, True, True)
    assert cuts.events[0].source.numbers(DROP_RATE) == (107_892, 107_922)
    sixty = read_edl(f"FCM: DROP FRAME\n001 R V C {CUT}", Fraction(60000, 1001))
    assert sixty.rate == Fraction(60000, 1001)
    with pytest.raises(BadCutList, match="drop-frame"):
        read_edl(f"FCM: DROP FRAME\n001 R V C {CUT}", Fraction(25))


def test_a_frame_code_mode_in_the_middle_is_that_of_sources() -> None:
    text = f"FCM: NON-DROP FRAME\n001 R V C {CUT}\nFCM: DROP FRAME\n002 S V C {CUT}\n"

    assert [(one.source.drop, one.record.drop) for one in events(text)] == [(False, False), (True, False)]


def test_a_mark_on_one_label_of_a_line_says_that_the_others_have_none() -> None:
    only = event("FCM: DROP FRAME\n001 R V C 01:00:00:00 01:00:01:00 10:00:00;00 10:00:01;00")

    assert (only.source.drop, only.record.drop) == (False, True)


def test_frame_numbers_instead_of_labels() -> None:
    only = event("001 R V C 86400 86424 0 24")

    assert (only.source.numbers(), only.record.numbers()) == ((86_400, 86_424), (0, 24))
    assert event("001 R V C 01000000 01000100 00000000 00000100").record.numbers(R24) == (0, 24)


def test_sources_and_records_may_pass_midnight() -> None:
    assert event("001 R V C 23:59:59:00 00:00:01:00 00:00:00:00 00:00:02:00").source.length(R24) == 48


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_encoding_and_any_end_of_line(encoding: str, end: str) -> None:
    text = f"TITLE: Café{end}001  R V C {CUT}{end}* FROM CLIP NAME: Gänge.mov{end}"
    cuts = read_edl(text.encode(encoding))

    assert (cuts.title, cuts.events[0].clip_name) == ("Café", "Gänge.mov")


def test_a_list_without_a_rate_can_be_placed_at_any_that_fits() -> None:
    cuts = read_edl("TITLE: x\n001 R V C 01:00:00:00 01:00:01:24 00:00:00:00 00:00:01:24")

    assert cuts.rate is None
    assert cuts.at(Fraction(25)).events[0].record.length(Fraction(25)) == 49
    with pytest.raises(BadCutList, match="line 2"):
        cuts.at(R24)
    with pytest.raises(BadTimecode, match="frame rate"):
        cuts.events[0].record.numbers()


def test_a_source_of_another_length_is_a_note() -> None:
    cuts = read_edl("001 R V C 01:00:00:00 01:00:02:00 10:00:00:00 10:00:01:00", R24)

    assert cuts.notes == ("line 1: event 001: 48 frames of the source for 24 of the record at 24 frames a second",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"TITLE: x\n001 R V X {CUT}", "line 2.*no transition"),
        (f"001 R Q C {CUT}", "line 1.*which tracks"),
        ("001 R V C 01:00:00:00 01:00:01:00 10:00:00:00", "line 1.*four time codes"),
        (f"001 R V C {CUT}\n002 R V C 01:00:00:00 01:00:02:0", "line 2.*four time codes"),
        (f"001 R V C {CUT}\n002 R V C", "line 2.*four time codes"),
        (f"001 R V C {CUT}\n002 R V", "line 2.*four time codes"),
        (f"001 R V C {CUT}\nOO2 R V C {CUT}", "line 2.*'OO2' is no event's number"),
        ("001 R V C 01:00:00:00 01:00:01:00 10:00:00:00 10:61:00:00", "line 1.*no time of a day"),
        ("FCM: DROP FRAME\n001 R V C 01:00:00:00 01:00:01:00 01:01:00:00 01:02:00:00", "line 2.*does not exist"),
        ("", "no CMX3600 list"),
        ("<xml>what</xml>", "no CMX3600 list"),
        ("TITLE: " + "x" * 10_000, "line 1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(BadCutList, match=says):
        read_edl(text)


def test_what_is_not_understood_is_a_note_with_its_line() -> None:
    cuts = read_edl(f"001 R V C {CUT}\nHELLO THERE\nM2 R fast 01:00:00:00\n")

    assert [note.split(":")[0] for note in cuts.notes] == ["line 2", "line 3"]


def test_a_thousand_events_take_no_time() -> None:
    text = "TITLE: x\n" + "".join(
        f"{n:06d}  A{n:03d}C001 V     C        {CUT}\n* FROM CLIP NAME: {n}.mov\n" for n in range(1000)
    )
    before = time.monotonic()

    assert len(events(text)) == 1000
    assert time.monotonic() - before < 1


LINES = st.sampled_from(
    [
        f"001 R V C {CUT}",
        f"001 R V D 010 {CUT}",
        f"002 A B AA/V W001 024 {CUT}",
        "FCM: DROP FRAME",
        "M2 R -024.0 01:00:00:00",
        "* FROM CLIP NAME: x",
        "* TO CLIP NAME: y",
        "* SOURCE FILE: z",
        "AUD 3 4",
        "* LOC: 01:00:00:00 RED",
        "SPLIT: x",
        "M2",
        "*",
    ]
)


@given(st.lists(st.one_of(LINES, st.text(max_size=60)), max_size=12).map("\n".join) | st.text())
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    refuses_or_reads(text)


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    refuses_or_reads(data)
    refuses_or_reads(b"TITLE: x\n001 R V C 01:00:00:00 01:00:01:00 10:00:00:00 10:00:01:00\n" + data)


def refuses_or_reads(data: bytes | str) -> None:
    try:
        cuts = read_edl(data)
        assert isinstance(cuts, CutList)
        for rate in rates_that_fit(cuts):
            material(cuts.at(rate))
    except FilmFSError:
        pass
