"""Time code: every label of a day, exact rates, and what is refused."""

from fractions import Fraction

import pytest

from filmfs.core.errors import BadTimecode
from filmfs.core.smpte import Label, can_drop, exact_rate, frames_per_day, label_of, nominal, read_label, shown_rate

DROP_RATES = [Fraction(n * 1000, 1001) for n in (30, 60, 120)]
OTHER_RATES = [Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30), Fraction(50), Fraction(60)]


def labels_near_each_minute(rate: Fraction) -> list[tuple[int, int, int, int]]:
    """All labels of drop-frame that stand within a second of a full minute, in order."""
    base, dropped = nominal(rate), nominal(rate) // 15
    return [
        (minute // 60, minute % 60, second, frame)
        for minute in range(24 * 60)
        for second in (0, 59)
        for frame in range(base)
        if not (minute % 10 and second == 0 and frame < dropped)
    ]


@pytest.mark.parametrize("rate", DROP_RATES, ids=shown_rate)
def test_drop_frame_labels_count_without_a_gap(rate: Fraction) -> None:
    before = None
    for fields in labels_near_each_minute(rate):
        number = Label(*fields).number(rate, drop=True)
        label = label_of(number, rate, drop=True)
        assert (label.hours, label.minutes, label.seconds, label.frames) == fields
        if before is not None and fields[2] != 59:
            assert number == before + 1
        before = number
    assert before == frames_per_day(rate, drop=True) - 1


@pytest.mark.parametrize("rate", DROP_RATES, ids=shown_rate)
def test_drop_frame_keeps_pace_with_the_clock(rate: Fraction) -> None:
    """A day of labels is a day but 2.6 frames of 30 (ST 12-1, 5.2.2)."""
    assert abs(frames_per_day(rate, drop=True) / rate - 86_400) < Fraction(1, 10)


@pytest.mark.parametrize("rate", [*DROP_RATES, *OTHER_RATES], ids=shown_rate)
def test_every_frame_of_a_day_has_one_label(rate: Fraction) -> None:
    for drop in (False, True)[: 1 + can_drop(rate)]:
        day = frames_per_day(rate, drop=drop)
        for number in range(0, day, 997):
            assert label_of(number, rate, drop=drop).number(rate, drop=drop) == number
        assert label_of(day + 5, rate, drop=drop) == label_of(5, rate, drop=drop)
        assert str(label_of(day - 1, rate, drop=drop)).startswith("23:59:59")


@pytest.mark.parametrize(
    ("text", "rate", "drop"),
    [
        ("00:01:00;00", DROP_RATES[0], True),
        ("00:01:00;01", DROP_RATES[0], True),
        ("10:59:00;03", DROP_RATES[1], True),
        ("00:00:00:24", Fraction(24), False),
        ("24:00:00:00", Fraction(24), False),
        ("00:60:00:00", Fraction(25), False),
        ("00:00:60:00", Fraction(25), False),
        ("01:00:00;00", Fraction(30000, 1001), False),
        ("01:00:00:00", Fraction(24), True),
    ],
)
def test_labels_that_do_not_exist_are_refused(text: str, rate: Fraction, drop: bool) -> None:
    with pytest.raises(BadTimecode):
        read_label(text).number(rate, drop=drop)


def test_labels_are_read_in_every_way_that_people_write_them() -> None:
    for text in ("01:02:03:04", "01.02.03.04", "01:02:03.04"):
        assert read_label(text) == Label(1, 2, 3, 4, None)
    for text in ("01:02:03;04", "01.02.03,04"):
        assert read_label(text) == Label(1, 2, 3, 4, True)
    for text in ("1:2:3:4", "01:02:03", "", "01:02:03:0x", "٠1:02:03:04", "01-02-03-04", "01:02:03:04 "):
        with pytest.raises(BadTimecode):
            read_label(text)
    assert Label(1, 2, 3, 4, True).text(".", ",") == "01.02.03,04"


def test_decimal_rates_become_exact_ones() -> None:
    for given, exact in (
        (23.976, (24000, 1001)),
        (23.98, (24000, 1001)),
        (29.97, (30000, 1001)),
        (59.94, (60000, 1001)),
    ):
        assert exact_rate(given) == Fraction(*exact)
    assert exact_rate(24.0) == exact_rate("24") == 24
    assert exact_rate("119.88") == Fraction(120000, 1001)
    assert exact_rate(Fraction(179, 6)) == Fraction(179, 6)  # what a file says of itself is taken as it is
    for nothing in (17.3, 29.5, 24.1, 0, -25, 1e9, float("nan"), float("inf"), "fast", "1/0", Fraction(0)):
        with pytest.raises(BadTimecode):
            exact_rate(nothing)


def test_half_a_frame_more_is_a_label_more() -> None:
    """FFmpeg rounds so, and Python's `round` does not: it goes to the even number."""
    assert [nominal(Fraction(rate)) for rate in ("25/2", "27/2", "12.4", "0.3", "24000/1001")] == [13, 14, 12, 1, 24]
