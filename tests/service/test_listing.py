"""Listing large directories piece by piece."""

import itertools

import pytest

from filmfs.archive import Archive
from filmfs.core.ids import ROOT_FILE
from filmfs.versioning.listing import Listing
from filmfs.versioning.tree import Tree
from filmfs.vfs.listings import DirectoryListing
from tests.support import NOW, an_inode, main_of, make_file

_FILES = 1500  # some blocks, and one that is not full


@pytest.fixture
def tree(archive: Archive) -> Tree:
    """`main` with many files, every third of them not durable yet."""
    _, tree = main_of(archive)
    names = [b"f%05d" % number for number in range(_FILES)]
    for name in names[0::3] + names[1::3]:
        make_file(archive, tree, name)
    archive.history.flush()
    for name in names[2::3]:
        make_file(archive, tree, name)
    return tree


def _names(listing: DirectoryListing, start: int = 0) -> list[bytes]:
    return [name for name, entry in listing.since(start) if entry is not None]


def _listing(tree: Tree) -> DirectoryListing:
    return DirectoryListing([], Listing(tree, ROOT_FILE))


def test_every_entry_is_listed_once_and_in_order(tree: Tree) -> None:
    assert _names(_listing(tree)) == [b"f%05d" % number for number in range(_FILES)]


def test_what_was_removed_and_is_not_durable_yet_is_not_listed(tree: Tree) -> None:
    for number in range(0, _FILES, 2):
        tree.unlink(ROOT_FILE, b"f%05d" % number, NOW)
    assert _names(_listing(tree)) == [b"f%05d" % number for number in range(1, _FILES, 2)]


def test_a_block_of_removed_entries_does_not_end_the_list(tree: Tree) -> None:
    for number in range(100, 1400):
        tree.unlink(ROOT_FILE, b"f%05d" % number, NOW)
    assert len(_names(_listing(tree))) == 200


def test_all_are_listed_while_they_are_removed_and_flushed(archive: Archive, tree: Tree) -> None:
    listing = _listing(tree)
    found = []
    for position in itertools.count():
        item = next(listing.since(position), None)
        if item is None:
            break
        found.append(item[0])
        tree.unlink(ROOT_FILE, item[0], NOW)
        if position % 100 == 50:
            archive.history.flush()
    assert found == [b"f%05d" % number for number in range(_FILES)]
    assert tree.is_empty(ROOT_FILE)


@pytest.mark.parametrize("count", [511, 512, 513, 1024])
def test_who_read_to_the_end_finds_every_position_again(archive: Archive, count: int) -> None:
    _, tree = main_of(archive)
    for number in range(count):
        make_file(archive, tree, b"f%05d" % number)
    listing = _listing(tree)
    names = _names(listing)
    assert len(names) == count
    for start in (0, count - 10, count, 511, count + 700, count - 1):
        assert _names(listing, start) == names[start:]
    make_file(archive, tree, b"later")
    assert set(_names(listing, count + 700)) <= {b"later"}
    assert _names(listing)[:count] == names


def test_a_position_leads_to_the_same_name_whatever_went_or_came_before_it(archive: Archive, tree: Tree) -> None:
    listing = _listing(tree)
    before = _names(listing)
    for name in before[:700]:
        tree.unlink(ROOT_FILE, name, NOW)
    tree.make(ROOT_FILE, b"f00000-new", an_inode())
    archive.history.flush()
    for position in (701, 1100, 3, 1499, 1200):
        item = next(listing.since(position), None)
        assert item is not None
        assert item[0] == before[position]
        assert (item[1] is None) == (position < 700)
    assert _names(listing, 900) == before[900:]
