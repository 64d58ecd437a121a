"""Names on the mount: kept as given, found under any Unicode normalisation, refused where they cannot be kept."""

import errno
import os
import unicodedata
from pathlib import Path

import pytest

from tests.drive import wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

NFC = "Straße été Å"
NFD = unicodedata.normalize("NFD", NFC)
assert NFC != NFD


@pytest.mark.parametrize(("given", "other"), [(NFC, NFD), (NFD, NFC)])
def test_a_name_is_kept_as_given_and_found_under_the_other_spelling(work: Path, given: str, other: str) -> None:
    (work / given).write_text("one file")
    assert os.listdir(work) == [given]
    assert (work / other).read_text() == "one file"
    assert (work / other).stat().st_ino == (work / given).stat().st_ino


def test_a_twin_that_differs_only_by_normalisation_is_refused(work: Path) -> None:
    (work / NFC).touch()
    (work / "plain").touch()
    with fails(errno.EEXIST):
        os.open(work / NFD, os.O_CREAT | os.O_EXCL)
    with fails(errno.EEXIST):
        (work / NFD).mkdir()
    with fails(errno.EEXIST):
        os.link(work / "plain", work / NFD)
    with fails(errno.EEXIST):
        os.symlink("x", work / NFD)
    assert sorted(os.listdir(work)) == sorted([NFC, "plain"])


def test_a_name_that_was_missed_is_found_once_its_twin_is_made(work: Path) -> None:
    assert not (work / NFC).exists()
    (work / NFD).write_text("here")
    assert (work / NFC).read_text() == "here"


def test_what_is_removed_under_one_spelling_is_gone_under_the_other(work: Path) -> None:
    (work / NFC).write_text("here")
    assert (work / NFC).exists()
    assert (work / NFD).exists()
    (work / NFD).unlink()
    assert not (work / NFD).exists()
    assert not (work / NFC).exists()
    (work / NFC).mkdir()
    assert (work / NFC).stat()
    (work / NFD).rmdir()
    assert not (work / NFC).exists()


def test_what_is_renamed_under_one_spelling_is_gone_under_the_other(work: Path) -> None:
    (work / NFC).write_text("here")
    assert (work / NFC).exists()
    os.rename(work / NFD, work / "plain")
    assert not (work / NFC).exists()
    assert (work / "plain").read_text() == "here"


def test_a_rename_over_the_other_spelling_replaces_it(work: Path) -> None:
    (work / NFC).write_text("old")
    (work / "new").write_text("new")
    assert (work / NFC).read_text() == "old"
    os.rename(work / "new", work / NFD)
    assert (work / NFC).read_text() == "new"
    assert os.listdir(work) == [NFD]


def test_a_rename_to_another_spelling_leaves_one_file(work: Path) -> None:
    (work / NFC).write_text("here")
    os.rename(work / NFC, work / NFD)  # for the kernel these are two names of one file, so it does nothing
    assert len(os.listdir(work)) == 1
    os.rename(work / NFC, work / "between")
    os.rename(work / "between", work / NFD)
    assert os.listdir(work) == [NFD]
    assert (work / NFC).read_text() == "here"


def test_characters_that_are_the_same_are_the_same_name(work: Path) -> None:
    ohm, omega = "\u2126", "\u03a9"
    (work / omega).write_text("here")
    assert (work / omega).exists()
    (work / ohm).unlink()

    def is_gone() -> bool:
        return not (work / omega).exists()

    wait_until(is_gone, "the kernel forgets the other spelling")


def test_what_is_made_anew_is_seen_under_the_spelling_that_was_seen_before(work: Path) -> None:
    for text in ("first", "second", "third"):
        (work / NFD).write_text(text)
        assert (work / NFC).read_text() == text
        (work / (NFC if text == "second" else NFD)).unlink()
        assert not (work / NFC).exists()


def test_case_matters(work: Path) -> None:
    (work / "A001").touch()
    assert not (work / "a001").exists()
    (work / "a001").touch()
    assert sorted(os.listdir(work)) == ["A001", "a001"]


@pytest.mark.parametrize(
    "name", ["x" * 255, "é" * 127, "映" * 85, " ", "\n", "\\", "*?<>|:\"'", "-rf", "@", "\x7f\x01"]
)
def test_any_valid_name_up_to_255_bytes_works(work: Path, name: str) -> None:
    (work / name).write_text("here")
    assert os.listdir(work) == [name]
    os.rename(work / name, work / "plain")
    os.rename(work / "plain", work / name)
    assert (work / name).read_text() == "here"


def test_a_name_that_normalisation_makes_long_can_still_be_told_from_its_like(work: Path) -> None:
    names = ["\u0390" * 127, "\u0390" * 126 + "\u03b0"]
    for name in names:
        (work / name).write_text(name)
    assert sorted(os.listdir(work)) == sorted(names)
    for name in names:
        assert (work / name).read_text() == name


def test_a_name_of_256_bytes_is_refused(work: Path) -> None:
    with fails(errno.ENAMETOOLONG):
        (work / ("x" * 256)).touch()
    with fails(errno.ENAMETOOLONG):
        (work / ("é" * 128)).stat()


def test_a_name_that_is_not_utf_8_is_refused_with_eilseq(work: Path) -> None:
    bad = os.fsencode(work) + b"/\xff\xfe"
    with fails(errno.EILSEQ):
        os.open(bad, os.O_CREAT | os.O_WRONLY)
    with fails(errno.EILSEQ):
        os.mkdir(bad)
    with fails(errno.EILSEQ):
        os.symlink(b"x", bad)
    (work / "a").touch()
    with fails(errno.EILSEQ):
        os.rename(os.fsencode(work / "a"), bad)
    assert os.listdir(work) == ["a"]
