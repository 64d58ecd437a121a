"""Names: which are valid, which are the same, how a place in an archive is read."""

import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from filmfs.core.errors import BadName, NameNotUtf8, NameTooLong, Usage
from filmfs.core.paths import (
    NAME_MAX,
    Place,
    check_branch_name,
    name_key,
    parse_place,
    repaired_name,
    shown,
)

LMDB_KEY_MAX = 511
GROWS_IN_NFC = "\u0958"  # three bytes, and six in its normal form

text_names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)
fitting_names = text_names.filter(lambda name: len(name.encode()) <= NAME_MAX and name not in (".", ".."))


@given(fitting_names)
def test_names_that_differ_only_by_normalisation_have_one_key(name: str) -> None:
    forms = [unicodedata.normalize(form, name).encode() for form in ("NFC", "NFD")]
    assume(all(len(form) <= NAME_MAX for form in forms))

    assert {name_key(form) for form in forms} == {name_key(name.encode())}


@given(fitting_names, fitting_names)
def test_names_that_differ_by_more_have_different_keys(one: str, other: str) -> None:
    assume(unicodedata.normalize("NFC", one) != unicodedata.normalize("NFC", other))

    assert name_key(one.encode()) != name_key(other.encode())


@given(fitting_names)
@example(GROWS_IN_NFC * 85)
def test_a_key_leaves_room_for_what_the_tables_add_to_it(name: str) -> None:
    assert len(name_key(name.encode())) <= LMDB_KEY_MAX - 64
    assert b"\0" not in name_key(name.encode())


def test_names_are_compared_case_sensitively() -> None:
    assert name_key(b"A001.MOV") != name_key(b"a001.mov")


def test_very_long_names_that_differ_at_their_end_keep_different_keys() -> None:
    one, other = (GROWS_IN_NFC * 84 + end for end in ("a", "b"))

    assert name_key(one.encode()) != name_key(other.encode())


@pytest.mark.parametrize("name", [b"x" * 255, "é".encode() * 127, "🎬".encode() * 63])
def test_a_name_may_have_255_bytes(name: bytes) -> None:
    assert name_key(name)


@pytest.mark.parametrize("name", [b"x" * 256, "é".encode() * 128])
def test_a_name_may_not_have_more_than_255_bytes(name: bytes) -> None:
    with pytest.raises(NameTooLong):
        name_key(name)


@pytest.mark.parametrize("name", [b"\xff", b"clip\xe9.mov", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_a_name_that_is_not_utf8_is_refused_as_that(name: bytes) -> None:
    with pytest.raises(NameNotUtf8, match=r"\\x"):
        name_key(name)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_what_cannot_be_a_name_is_refused(name: bytes) -> None:
    with pytest.raises(BadName):
        name_key(name)


@given(st.binary(min_size=1, max_size=600))
@example(b"\xff" * 255)
@example("é".encode() * 200)
@example(b"x" * 246 + "🎬".encode() * 20)
def test_a_repaired_name_is_valid(name: bytes) -> None:
    assume(b"/" not in name and b"\0" not in name and name not in (b".", b".."))

    assert name_key(repaired_name(name))


@given(fitting_names)
def test_a_valid_name_needs_no_repair(name: str) -> None:
    assert repaired_name(name.encode()) == name.encode()


def test_repair_shows_the_bytes_that_were_wrong() -> None:
    assert repaired_name(b"caf\xe9 \xc3\xa9.mov") == "caf%E9 é.mov".encode()


def test_long_names_stay_different_when_they_are_repaired() -> None:
    assert repaired_name(b"x" * 300 + b"1") != repaired_name(b"x" * 300 + b"2")


def test_bytes_that_are_not_utf8_are_shown_as_numbers() -> None:
    assert shown(b"a\xffb") == "a\\xffb"


@pytest.mark.parametrize(
    ("text", "point", "path"),
    [
        ("main", "main", b""),
        ("main:", "main", b""),
        ("main:A001/clip.mov", "main", b"A001/clip.mov"),
        ("main@42", "main@42", b""),
        ("main@42:A/b", "main@42", b"A/b"),
        ("main@2026-11-22:A", "main@2026-11-22", b"A"),
        ("main@2026-11-22T10:00:A", "main@2026-11-22T10:00", b"A"),
        ("main@2026-11-22T10:00:00:A/x.mov", "main@2026-11-22T10:00:00", b"A/x.mov"),
        ("main@2026-11-22T10:00:00+01:00:A/x.mov", "main@2026-11-22T10:00:00+01:00", b"A/x.mov"),
        ("main@2026-11-22T10:00:00.5Z:A", "main@2026-11-22T10:00:00.5Z", b"A"),
        ("main@2026-11-22 10.00.00:A", "main@2026-11-22 10.00.00", b"A"),
        ("main:A001@01:00:00:00-01:00:30:00.mov", "main", b"A001@01:00:00:00-01:00:30:00.mov"),
        ("grade v2:x y", "grade v2", b"x y"),
        ("café:é", "café", "é".encode()),
        ("main:caf\udce9", "main", b"caf\xe9"),
        ("main:two\nlines", "main", b"two\nlines"),
    ],
)
def test_a_place_is_a_point_of_history_and_a_path(text: str, point: str, path: bytes) -> None:
    assert parse_place(text) == Place(point, path)


@pytest.mark.parametrize("text", ["", ":A", "/mnt/film/A", "A/b:c"])
def test_what_names_no_branch_is_no_place(text: str) -> None:
    with pytest.raises(Usage, match="BRANCH:PATH"):
        parse_place(text)


def test_the_parts_of_a_place_leave_out_what_says_nothing() -> None:
    assert Place("main", b"/A//./b/").parts == [b"A", b"b"]


def test_a_place_does_not_lead_upwards() -> None:
    with pytest.raises(BadName, match=r"'\.\.'"):
        _ = Place("main", b"A/../b").parts


@pytest.mark.parametrize("name", ["main", "color-grade-v2", "Ünïcode ünd spaces", "x@y", "v1.2", "@home", "lost"])
def test_ordinary_names_may_be_branches(name: str) -> None:
    assert check_branch_name(name) == name


NOT_BRANCHES = [".", "..", ".git", "$RECYCLE.BIN", "a/b", "a:b", "main@42", "x@2026-11-22", "x@2026-11-22T10"]
JUNK = ["Thumbs.db", "lost+found", "System Volume Information", "Icon\r"]


@pytest.mark.parametrize("name", ["", *NOT_BRANCHES, *JUNK, "two\nlines", "x" * 256, "caf\udce9"])
def test_names_that_mean_something_else_may_not_be_branches(name: str) -> None:
    with pytest.raises(BadName):
        check_branch_name(name)


@given(st.text(alphabet="ab@:/.$ 0129-T+Z\n", min_size=1, max_size=20))
@example("a@12b")
@example("a@2026-1")
def test_every_branch_can_be_written_in_a_place(name: str) -> None:
    try:
        check_branch_name(name)
    except BadName:
        return
    assert parse_place(name) == Place(name, b"")
    assert parse_place(f"{name}:A/b") == Place(name, b"A/b")
    assert parse_place(f"{name}@42:A/b") == Place(f"{name}@42", b"A/b")
