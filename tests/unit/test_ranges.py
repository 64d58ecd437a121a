"""Ranges as people write them, and the frames that they are in a file."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadTimecode
from filmfs.core.ranges import (
    Asked,
    Counting,
    FrameRange,
    canonical,
    place,
    read_range,
    split_name,
    split_numbers,
    with_handles,
)
from filmfs.core.smpte import can_drop, frames_per_day

FILM = Counting(86_400, 2_400, Fraction(24))  # 01:00:00:00 to 01:01:40:00
DROP = Counting(107_892, 3_000, Fraction(30000, 1001), drop=True)


def frames(text: str, counting: Counting = FILM) -> tuple[int, int]:
    placed = place(read_range(text), counting)
    return placed.first, placed.count


@pytest.mark.parametrize(
    "text",
    [
        "01.00.10.00-01.00.20.00",
        "01:00:10:00-01:00:20:00",
        "01:00:10.00-01.00.20:00",
        "01001000-01002000",
        "f86640-f86879",
        "01.00.10.00+240f",
        "f86640+240f",
        "01.00.10.00-01.00.20.00~24",
    ],
)
def test_every_spelling_is_the_same_range(text: str) -> None:
    assert frames(text) == (240, 240)


@pytest.mark.parametrize("text", ["01.00.00,00-01.00.10,00", "01:00:00;00-01:00:10;00", "01:00:00:00-01:00:10;00~2997"])
def test_a_drop_frame_mark_is_right_only_where_frames_are_dropped(text: str) -> None:
    assert frames(text, DROP) == (0, 300)
    with pytest.raises(BadTimecode):
        frames(text, FILM)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("01.00.20.00-01.00.10.00", "ends before it begins"),
        ("01.00.10.00-01.00.10.00", "is empty"),
        ("00.59.59.23-01.00.10.00", "01:00:00:00 to 01:01:40:00 at 24"),
        ("01.01.30.00-01.01.40.01", "outside the file"),
        ("f0-f10", "outside the file"),
        ("f86400+0f", "is empty"),
        ("01.00.00.24-01.00.10.00", "no label"),
        ("01.00.00.00-01.00.10.00~25", "24 frames a second, not ~25"),
        ("01.00.00.00-f86500", "write both in one way"),
        ("yesterday", "no range"),
    ],
)
def test_what_is_no_range_of_the_file_says_why(text: str, says: str) -> None:
    with pytest.raises(BadTimecode, match=says):
        frames(text)


def test_a_label_that_drop_frame_leaves_out_is_refused() -> None:
    with pytest.raises(BadTimecode, match="does not exist"):
        frames("01.01.00,00-01.01.10,00", DROP)


def test_handles_are_cut_at_the_ends_of_the_file() -> None:
    both = place(read_range("01.00.10.00-01.00.20.00+24"), FILM)
    assert both == FrameRange(216, 288, 24, 24)
    clamped = place(read_range("01.00.00.12-01.01.30.00+24-600"), FILM)
    assert clamped == FrameRange(0, 2_400, 12, 240, clamped=True)
    asked = with_handles(read_range("01.00.10.00-01.00.20.00"), 8)
    assert place(asked, FILM) == FrameRange(232, 256, 8, 8)
    assert with_handles(read_range("01.00.10.00-01.00.20.00+24-0"), 8).head == 24


def test_a_file_may_pass_midnight() -> None:
    night = Counting(86_400 * 24 - 48, 96, Fraction(24))
    assert frames("23.59.59.00-00.00.01.00", night) == (24, 48)
    assert frames("00.00.00.00-00.00.01.00", night) == (48, 24)
    assert frames("23.59.58.00-00.00.02.00", night) == (0, 96)
    with pytest.raises(BadTimecode, match="before it begins"):
        frames("00.00.01.00-00.00.00.00", night)


def test_a_name_ends_at_the_last_at_that_a_range_follows() -> None:
    found = split_name("me@home.mxf@01.00.00.00-01.00.30.00+24.mov")
    assert found is not None
    assert (found[0], found[2]) == ("me@home.mxf", ".mov")
    found = split_name("scene@f1-f2@draft.mov")
    assert found is None
    found = split_name("scene@f1-f2")
    assert found is not None
    assert found[2] == ""
    for name in ("scene.mov", "@01000000-01003000.mov", "scene@take2.mov", "scene@01.00.00.00.mov", "x@f1-f2.mo/v"):
        assert split_name(name) is None
    assert split_numbers("sh010@1011-1020") == ("sh010", Asked(1011, 1020))
    assert split_numbers("sh010@1011-1020+2") == ("sh010", Asked(1011, 1020, head=2, tail=2))
    assert split_numbers("sh010@1011-1020+2-1") == ("sh010", Asked(1011, 1020, head=2, tail=1))
    assert split_numbers("sh010@1011+3f") == ("sh010", Asked(1011, None, 3))
    assert split_numbers("sh010@01000000-01003000") is None  # that is a time code
    assert split_numbers("@1-2") is None
    assert split_numbers("sh010@1011") is None


@st.composite
def placed(draw: st.DrawFn) -> tuple[Counting, FrameRange]:
    rate = draw(
        st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(50)])
    )
    drop = can_drop(rate) and draw(st.booleans())
    day = frames_per_day(rate, drop=drop)
    counting = Counting(draw(st.integers(0, day - 1)), draw(st.integers(1, day - 1)), rate, drop)
    first = draw(st.integers(0, counting.frames - 1))
    end = draw(st.integers(first + 1, counting.frames))
    middle = draw(st.integers(first, end - 1))
    last = draw(st.integers(middle + 1, end))
    return counting, FrameRange(first, end - first, middle - first, end - last)


@given(placed())
def test_the_canonical_spelling_of_a_range_is_that_range(of: tuple[Counting, FrameRange]) -> None:
    counting, wanted = of
    assert place(read_range(canonical(wanted, counting)), counting) == wanted


@given(st.text(max_size=40))
def test_no_text_is_more_than_refused(text: str) -> None:
    split_name(text)
    split_numbers(text)
    with pytest.raises(BadTimecode):
        read_range(text + "!")
