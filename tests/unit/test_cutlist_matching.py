"""Which files the events of a cut list mean: in which order they are asked, and that nothing is guessed."""

import time
from collections.abc import Iterable
from fractions import Fraction

import pytest

from filmfs.cutlists.candidates import Candidate
from filmfs.cutlists.cmx3600 import read_edl
from filmfs.cutlists.matching import Ambiguous, Facts, Matched, Missing, NotNeeded, Result, match

R24 = Fraction(24)
HOUR = 86_400


def files(*paths: str) -> list[Candidate]:
    return [Candidate(path, path.rpartition("/")[2]) for path in paths]


def found(
    remarks: str, candidates: Iterable[Candidate], facts: dict[str, Facts] | None = None, reel: str = "AX"
) -> Result:
    text = f"001 {reel} V C 01:00:00:00 01:00:10:00 10:00:00:00 10:00:10:00\n{remarks}"
    (only,) = match(read_edl(text, R24), candidates, (facts or {}).get)
    return only


def path(result: Result) -> str:
    assert isinstance(result, Matched), result
    return result.path


def test_a_source_file_comes_before_a_clip_name_and_that_before_a_reel() -> None:
    all_three = files("a/file.mov", "a/clip.mov", "a/REEL0001.mov")

    assert path(found("* SOURCE FILE: file.mov\n* FROM CLIP NAME: clip", all_three, reel="REEL0001")) == "a/file.mov"
    assert path(found("* FROM CLIP NAME: clip", all_three, reel="REEL0001")) == "a/clip.mov"
    assert path(found("", all_three, reel="REEL0001")) == "a/REEL0001.mov"
    assert path(found("* SOURCE FILE: gone.mov\n* FROM CLIP NAME: clip", all_three)) == "a/clip.mov"


def test_of_several_files_of_a_name_the_one_with_the_longest_common_path_counts() -> None:
    days = files("media/day1/A.mov", "media/day2/A.mov")

    assert path(found("* SOURCE FILE: S:\\shoot\\day2\\A.mov", days)) == "media/day2/A.mov"
    assert isinstance(found("* SOURCE FILE: S:\\shoot\\day3\\A.mov", days), Ambiguous)


@pytest.mark.parametrize(
    ("clip", "file"),
    [
        ("A001.mov", "A001.mov"),
        ("A001", "A001.mov"),
        ("A001.mov", "A001.mxf"),
        ("ZZ100_501.LAY3.01", "ZZ100_501.LAY3.01.mov"),
        ("a001.MOV", "A001.mov"),
        ("Gänge", "Ga\u0308nge.mov"),
    ],
)
def test_clip_names_with_and_without_their_suffix(clip: str, file: str) -> None:
    assert path(found(f"* FROM CLIP NAME: {clip}", files(file, "other.mov"))) == file


def test_what_is_no_suffix_is_not_taken_off() -> None:
    assert isinstance(found("* FROM CLIP NAME: ZZ100_501.LAY3", files("ZZ100_501.mov")), Missing)


def test_case_counts_where_it_can_tell() -> None:
    two = files("A001.mov", "a001.mov")

    assert path(found("* FROM CLIP NAME: a001", two)) == "a001.mov"
    assert isinstance(found("* FROM CLIP NAME: a001", files("A001.mov", "A001.MOV")), Ambiguous)


def test_a_whole_file_name_as_a_reel() -> None:
    assert path(found("", files("A001_C003.mov"), reel="A001_C003.mov")) == "A001_C003.mov"
    assert path(found("", files("A001_C003.mov"), reel="A001_C003")) == "A001_C003.mov"


def test_a_reel_that_is_cut_counts_where_the_time_code_is_in_the_file() -> None:
    two = files("A001_C003_0101AB.mov", "A001_C003_0202CD.mov")
    facts = {
        two[0].path: Facts(start=HOUR - 10, end=HOUR + 1000, rate=R24),
        two[1].path: Facts(start=2 * HOUR, end=2 * HOUR + 1000, rate=R24),
    }

    assert path(found("", two, facts, reel="A001_C00")) == two[0].path
    assert isinstance(found("", two[1:], facts, reel="A001_C00"), Missing)
    assert isinstance(found("", two, reel="A001_C00"), Missing)


def test_the_reel_that_a_file_says_it_is_of() -> None:
    two = files("x.mov", "y.mov")
    facts = {
        "x.mov": Facts("TAPE7", HOUR, HOUR + 1000, R24),
        "y.mov": Facts("TAPE8", HOUR, HOUR + 1000, R24),
    }

    assert path(found("", two, facts, reel="TAPE8")) == "y.mov"


def test_of_several_files_those_that_have_the_time_code_count() -> None:
    two = files("one/A.mov", "two/A.mov")
    first, second = Facts(start=0, end=1000, rate=R24), Facts(start=HOUR, end=HOUR + 240, rate=R24)

    result = found("* FROM CLIP NAME: A", two, {"one/A.mov": first, "two/A.mov": second})
    assert result == Matched("two/A.mov", "clip name and time code")
    both = found("* FROM CLIP NAME: A", two, {"one/A.mov": second, "two/A.mov": second})
    assert isinstance(both, Ambiguous)
    assert both.paths == ("one/A.mov", "two/A.mov")


def test_a_file_counts_its_own_way() -> None:
    two = files("one/A.mov", "two/A.mov")
    facts = {
        "one/A.mov": Facts(start=90_000, end=90_250, rate=Fraction(25)),
        "two/A.mov": Facts(start=HOUR + 1, end=HOUR + 241, rate=R24),
    }

    assert path(found("* FROM CLIP NAME: A", two, facts)) == "one/A.mov"


@pytest.mark.parametrize(
    ("source", "has"),
    [
        ("23:59:50:00 23:59:51:00", True),
        ("23:59:50:00 00:00:01:00", True),
        ("00:00:01:00 00:00:02:00", True),
        ("00:00:01:00 00:00:00:00", True),  # backwards
        ("00:00:01:00 00:00:31:00", False),
        ("23:59:40:00 00:00:01:00", False),
    ],
)
def test_a_file_may_pass_midnight(source: str, has: bool) -> None:
    late = Facts(start=24 * HOUR - 360, end=24 * HOUR + 360, rate=R24)
    cuts = read_edl(f"001 A001_C00 V C {source} 10:00:00:00 10:00:01:00", R24)

    (result,) = match(cuts, files("A001_C003.mov"), {"A001_C003.mov": late}.get)

    assert isinstance(result, Matched if has else Missing)


def test_no_file_is_opened_where_a_name_tells() -> None:
    asked: list[str] = []
    cuts = read_edl("001 AX V C 01:00:00:00 01:00:10:00 10:00:00:00 10:00:10:00\n* FROM CLIP NAME: A", R24)

    match(cuts, files("A.mov", "B.mov"), lambda path: asked.append(path))  # type: ignore[func-returns-value]

    assert asked == []


def test_black_needs_nothing_and_what_is_not_there_is_told() -> None:
    assert isinstance(found("", [], reel="BL"), NotNeeded)
    missing = found("* FROM CLIP NAME: A", files("B.mov"), reel="R1")
    assert missing == Missing("nothing is called 'A' or 'R1'")


def test_a_thousand_events_among_a_hundred_thousand_files_take_less_than_a_second() -> None:
    many = [Candidate(f"day{n % 50}/A{n:06d}.mov", f"A{n:06d}.mov") for n in range(100_000)]
    text = "".join(
        f"{n:06d} A{n * 97:06d} V C 01:00:00:00 01:00:10:00 10:00:00:00 10:00:10:00\n"
        f"* FROM CLIP NAME: {'a' if n % 2 else 'A'}{n * 97:06d}\n"
        for n in range(1000)
    )
    cuts = read_edl(text, R24)
    before = time.monotonic()

    results = match(cuts, many)

    assert all(isinstance(result, Matched) for result in results)
    assert time.monotonic() - before < 2  # measured: 0.4 s
