"""Listing a directory while it changes, positions in it, large and deep ones, ones that are gone."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.listing import Listing
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

COUNT = 300
LATE = "frame.000290.exr"


def _fill(directory: Path) -> set[str]:
    names = {LATE.replace("000290", f"{number:06}") for number in range(COUNT)}
    for name in names:
        os.close(os.open(directory / name, os.O_CREAT | os.O_WRONLY))
    return names


def _unlink(work: Path) -> None:
    os.unlink(work / LATE)


def _unlink_one_of_two_names(work: Path) -> None:
    os.link(work / LATE, work / "other")
    os.unlink(work / LATE)


def _rename(work: Path) -> None:
    os.rename(work / LATE, work / "moved")


@pytest.mark.parametrize("change", [_unlink, _unlink_one_of_two_names, _rename])
def test_a_name_that_went_while_its_directory_was_listed_is_gone(work: Path, change: Callable[[Path], None]) -> None:
    names = _fill(work)
    with Listing(work) as listing:
        seen = {listing.next() for _ in range(20)}
        with open(work / LATE, "rb"):
            change(work)
            seen |= set(listing.rest())
            assert LATE not in seen
            assert names - seen == {LATE}
            with fails(errno.ENOENT):
                os.stat(work / LATE)


@pytest.mark.parametrize("count", [510, 512, 1024])
def test_a_directory_of_any_length_is_listed_whole_and_from_any_position(work: Path, count: int) -> None:
    for number in range(count):
        os.mknod(work / f"{number:06}")
    with Listing(work) as listing:
        positions, names = [], []
        while (name := listing.next()) is not None:
            names.append(name)
            positions.append(listing.tell())
        assert sorted(names) == sorted([".", "..", *(f"{number:06}" for number in range(count))])
        for at in (count - 10, 0, count + 1, 300):
            listing.seek(positions[at])
            assert listing.rest() == names[at + 1 :]


def test_a_name_that_leads_elsewhere_since_it_was_listed_leads_there(work: Path) -> None:
    _fill(work)
    (work / "new").write_text("new")
    with Listing(work) as listing:
        listing.next()
        os.rename(work / "new", work / LATE)
        listing.rest()
    assert (work / LATE).read_text() == "new"


def test_what_is_there_from_beginning_to_end_is_listed_once_whatever_comes_and_goes(work: Path) -> None:
    names = sorted(_fill(work))
    seen: list[str] = []
    with Listing(work) as listing:
        for number in range(100):
            seen.append(listing.next() or "")
            os.unlink(work / names[number])
            (work / f"a{number}").touch()
            (work / f"z{number}").touch()
        seen += listing.rest()
    assert len(seen) == len(set(seen))
    assert set(names[100:]) <= set(seen)


def test_a_position_leads_back_to_where_it_was_taken(work: Path) -> None:
    names = sorted(_fill(work))
    with Listing(work) as listing:
        for _ in range(150):
            listing.next()
        position = listing.tell()
        after = listing.rest()
        os.unlink(work / names[0])
        (work / "added").touch()
        listing.seek(position)
        assert listing.rest() == after


def test_a_position_is_good_in_another_opening_of_an_unchanged_directory(work: Path) -> None:
    for number in range(1500):
        os.close(os.open(work / f"{number:06}", os.O_CREAT | os.O_WRONLY))
    with Listing(work) as listing:
        for _ in range(1300):
            listing.next()
        position = listing.tell()
        after = listing.rest()
    with Listing(work) as another:
        another.seek(position)
        assert another.rest() == after


def test_a_listing_from_the_beginning_shows_what_was_added(work: Path) -> None:
    with Listing(work) as listing:
        assert sorted(listing.rest()) == [".", ".."]
        (work / "added").touch()
        listing.seek(0)
        assert sorted(listing.rest()) == [".", "..", "added"]


def test_a_path_can_be_a_hundred_directories_deep_and_more_from_inside(work: Path) -> None:
    deep = work.joinpath(*["d" * 20] * 100)
    deep.mkdir(parents=True)
    (deep / "f").write_text("x")
    assert (deep / "f").read_text() == "x"
    with fails(errno.ENAMETOOLONG):
        os.stat(work.joinpath(*["d" * 40] * 100))
    directory = os.open(deep, os.O_RDONLY)
    for _ in range(50):  # past PATH_MAX
        os.mkdir("e" * 255, dir_fd=directory)
        below = os.open("e" * 255, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    assert os.listdir(directory) == []
    os.close(directory)


def test_a_directory_that_is_gone_can_be_stood_in_and_nothing_made_in_it(work: Path) -> None:
    gone = work / "gone"
    gone.mkdir()
    directory = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    assert os.listdir(directory) == []
    assert os.stat(directory).st_nlink == 0
    for make in (
        lambda: os.mkdir("a", dir_fd=directory),
        lambda: os.open("a", os.O_CREAT | os.O_WRONLY, dir_fd=directory),
        lambda: os.symlink("x", "a", dir_fd=directory),
        lambda: os.rename(work, "a", dst_dir_fd=directory),
        lambda: os.stat("a", dir_fd=directory),
    ):
        with fails(errno.ENOENT):
            make()
    os.close(directory)


def test_links_of_a_directory_are_two_and_its_directories(work: Path) -> None:
    (work / "a" / "x").mkdir(parents=True)
    (work / "b").mkdir()
    assert [path.stat().st_nlink for path in (work, work / "a", work / "b")] == [4, 3, 2]
    os.rename(work / "a" / "x", work / "b" / "x")
    assert [path.stat().st_nlink for path in (work, work / "a", work / "b")] == [4, 2, 3]
    os.rename(work / "a", work / "b" / "x")
    assert [path.stat().st_nlink for path in (work, work / "b", work / "b" / "x")] == [3, 3, 2]
    (work / "b" / "x").rmdir()
    assert [path.stat().st_nlink for path in (work, work / "b")] == [3, 2]
