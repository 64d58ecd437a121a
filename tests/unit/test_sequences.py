"""Image sequences: names that belong together, and ranges of them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadTimecode
from filmfs.core.ranges import Asked, Counting
from filmfs.core.sequences import find_sequences, select, sequence_called, span_of, split_sequence

SHOT = [f"sh010.{number:04d}.exr" for number in range(1001, 1101)]


def asked(name: str) -> list[str]:
    return select(sequence_called(SHOT, name.rpartition("@")[0]), range_of(name), Counting(86_400, 100, Fraction(24)))


def range_of(name: str) -> Asked:
    found = split_sequence(name)
    assert found is not None
    assert found[0] == name.rpartition("@")[0]
    return found[1]


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["sh010.1001.exr", "sh010.1002.exr"], ["sh010.%04d.exr"]),
        (["sh010_1001.exr", "sh010_1002.exr"], ["sh010_%04d.exr"]),
        (["0001.dpx", "0002.dpx"], ["%04d.dpx"]),
        (["a.9.exr", "a.10.exr"], ["a.%d.exr"]),
        (["a.0099.exr", "a.0100.exr", "a.9999.exr", "a.10000.exr"], ["a.%04d.exr"]),
        (["a.001.exr", "a.0001.exr"], ["a.%03d.exr", "a.%04d.exr"]),
        (["a.1.exr", "a.1.dpx", "b.1.exr"], ["a.%d.dpx", "a.%d.exr", "b.%d.exr"]),
        (["v001_sh010.1001.exr", "v001_sh010.1002.exr", "notes.txt", ".DS_Store"], ["v001_sh010.%04d.exr"]),
        (["notes.txt", "sh010", "sh010.1001", "a.1234567890123.exr"], []),
    ],
)
def test_names_that_differ_in_their_last_number_are_a_sequence(names: list[str], patterns: list[str]) -> None:
    assert [each.pattern for each in find_sequences(names)] == patterns


@given(st.lists(st.text("0129a._-", max_size=12).map(lambda text: text + ".exr"), unique=True, max_size=12))
def test_no_name_is_in_two_sequences_and_none_is_lost(names: list[str]) -> None:
    found = [name for sequence in find_sequences(names) for name in sequence.names.values()]
    assert len(found) == len(set(found))
    numbered = {name for name in names if name[:-4][-1:].isdigit()}
    assert set(found) == numbered


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("sh010@1011-1020", 1011, 1020),
        ("sh010@f1011-f1020", 1011, 1020),
        ("sh010@f1011+10f", 1011, 1020),
        ("sh010.%04d.exr@1011-1020", 1011, 1020),
        ("sh010@f1011-f1020+2-3", 1009, 1023),
        ("sh010@f1001-f1020+5", 1001, 1025),
        ("sh010@01.00.00.00-01.00.02.00", 1001, 1048),
        ("sh010@01000100-01000200", 1025, 1048),
        ("sh010@01.00.01.00+5f+1", 1024, 1030),
        ("sh010@f1011-f1020~24", 1011, 1020),
        ("anything else@1011-1011", 1011, 1011),
    ],
)
def test_a_range_is_the_files_of_its_frames(name: str, first: int, last: int) -> None:
    assert asked(name) == [f"sh010.{number}.exr" for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sh010@1-20", "sh010.%04d.exr has 1001 to 1100"),
        ("sh010@1099-1101", "has 1001 to 1100"),
        ("sh010@1020-1011", "ends before it begins"),
        ("sh010@00.59.59.00-01.00.01.00", "01:00:00:00 to 01:00:04:04 at 24"),
        ("sh010@f1011-f1020~25", "not ~25"),
    ],
)
def test_a_range_outside_is_refused_with_the_sequence_s_own(name: str, says: str) -> None:
    with pytest.raises(BadTimecode, match=says):
        asked(name)


def test_a_range_with_missing_frames_is_refused() -> None:
    (sequence,) = find_sequences([name for name in SHOT if name not in {"sh010.1012.exr", "sh010.1020.exr"}])
    assert sequence.gaps == [(1012, 1012), (1020, 1020)]
    assert span_of(sequence) == 100
    with pytest.raises(BadTimecode, match="missing: 1012, 1020"):
        select(sequence, range_of("sh010@1010-1025"))
    assert len(select(sequence, range_of("sh010@1013-1019"))) == 7


def test_a_hole_of_a_hundred_billion_frames_costs_nothing() -> None:
    (sequence,) = find_sequences(["a.1.exr", "a.999999999999.exr"])
    with pytest.raises(BadTimecode, match="missing: 2-999999999998"):
        select(sequence, range_of("a@f1-f999999999999"))


def test_time_code_of_frames_that_say_none_is_refused() -> None:
    with pytest.raises(BadTimecode, match=r"ask by number: sh010.%04d.exr has 1001 to 1100"):
        select(sequence_called(SHOT, "sh010"), range_of("sh010@01.00.00.00-01.00.02.00"))


def test_several_sequences_of_no_such_name_are_not_guessed_at() -> None:
    names = ["a.1.exr", "b.1.exr"]
    assert sequence_called(names, "b").pattern == "b.%d.exr"
    with pytest.raises(BadTimecode, match=r"could be any of several image sequences: a.%d.exr, b.%d.exr"):
        sequence_called(names, "sh010")
    with pytest.raises(BadTimecode, match="no image sequence"):
        sequence_called([], "sh010")


@pytest.mark.parametrize("name", ["sh010", "sh010@", "@1-2", "sh010@1011-1020.mov", "sh010@01000000-soon"])
def test_what_asks_for_no_range_is_none(name: str) -> None:
    assert split_sequence(name) is None
