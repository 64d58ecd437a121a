"""The tree of a branch: what POSIX says of names."""

import unicodedata
from collections.abc import Callable

import pytest

from filmfs.archive import Archive
from filmfs.core import errors
from filmfs.core.ids import ROOT_FILE, FileId
from filmfs.versioning.rows import Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.xattrs import get_xattrs, put_xattrs
from tests.support import NOW, an_inode, main_of, make_directories, paths_in

LATER = NOW + 1


@pytest.fixture
def tree(archive: Archive) -> Tree:
    """a/, a/b/, a/file, full/, full/x, file, link → file."""
    tree = main_of(archive)[1]
    directory = make_directories(tree, [b"a"])
    make_directories(tree, [b"a", b"b"])
    full = make_directories(tree, [b"full"])
    for parent, name in ((directory, b"file"), (full, b"x"), (ROOT_FILE, b"file")):
        tree.make(parent, name, an_inode())
    tree.make(ROOT_FILE, b"link", an_inode(Kind.SYMLINK, target=b"file"))
    return tree


def at(tree: Tree, path: str) -> FileId:
    return tree.resolve(path.encode().split(b"/")) if path else ROOT_FILE


def rename(tree: Tree, old: str, new: str, **options: bool) -> object:
    (parent, _, name), (to, _, new_name) = old.rpartition("/"), new.rpartition("/")
    return tree.rename(at(tree, parent), name.encode(), at(tree, to), new_name.encode(), LATER, **options)


def exchange(tree: Tree, old: str, new: str) -> None:
    (parent, _, name), (other, _, other_name) = old.rpartition("/"), new.rpartition("/")
    tree.exchange(at(tree, parent), name.encode(), at(tree, other), other_name.encode(), LATER)


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (lambda tree: tree.make(ROOT_FILE, b"file", an_inode()), errors.Exists),
        (lambda tree: tree.make(at(tree, "file"), b"x", an_inode()), errors.NotADirectory),
        (lambda tree: tree.make(FileId(999), b"x", an_inode()), errors.Stale),
        (lambda tree: tree.make(ROOT_FILE, b"\xff", an_inode()), errors.NameNotUtf8),
        (lambda tree: tree.make(ROOT_FILE, b"x" * 256, an_inode()), errors.NameTooLong),
        (lambda tree: tree.make(ROOT_FILE, b"..", an_inode()), errors.BadName),
        (lambda tree: tree.link(at(tree, "a"), ROOT_FILE, b"new", NOW), errors.Refused),
        (lambda tree: tree.link(at(tree, "file"), ROOT_FILE, b"link", NOW), errors.Exists),
        (lambda tree: tree.unlink(ROOT_FILE, b"a", NOW), errors.IsADirectory),
        (lambda tree: tree.unlink(ROOT_FILE, b"none", NOW), errors.NotFound),
        (lambda tree: tree.rmdir(ROOT_FILE, b"file", NOW), errors.NotADirectory),
        (lambda tree: tree.rmdir(ROOT_FILE, b"full", NOW), errors.NotEmpty),
        (lambda tree: tree.rmdir(ROOT_FILE, b"none", NOW), errors.NotFound),
        (lambda tree: rename(tree, "none", "x"), errors.NotFound),
        (lambda tree: rename(tree, "file", "link", replace=False), errors.Exists),
        (lambda tree: rename(tree, "file", "a"), errors.IsADirectory),
        (lambda tree: rename(tree, "a", "file"), errors.NotADirectory),
        (lambda tree: rename(tree, "a", "full"), errors.NotEmpty),
        (lambda tree: rename(tree, "a", "a/new"), errors.Loop),
        (lambda tree: rename(tree, "a", "a/b/new"), errors.Loop),
        (lambda tree: rename(tree, "file", "full/\0"), errors.BadName),
        (lambda tree: tree.rename(ROOT_FILE, b"file", at(tree, "link"), b"x", NOW), errors.NotADirectory),
        (lambda tree: exchange(tree, "a", "a/b"), errors.Loop),
        (lambda tree: exchange(tree, "a/b", "a"), errors.Loop),
        (lambda tree: exchange(tree, "file", "none"), errors.NotFound),
        (lambda tree: tree.resolve([b"file", b"x"]), errors.NotADirectory),
        (lambda tree: tree.resolve([b"a", b"none"]), errors.NotFound),
    ],
)
def test_what_posix_refuses_is_refused_and_changes_nothing(
    tree: Tree, does: Callable[[Tree], object], error: type[Exception]
) -> None:
    before = list(tree.walk())
    with pytest.raises(error):
        does(tree)

    assert list(tree.walk()) == before


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize(("form", "other"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_is_kept_as_given_and_found_under_any_normalisation(
    archive: Archive, flushed: bool, form: str, other: str
) -> None:
    tree = main_of(archive)[1]
    given, twin = (unicodedata.normalize(each, "Überblendung é").encode() for each in (form, other))
    file, _ = tree.make(ROOT_FILE, given, an_inode())
    if flushed:
        archive.history.flush()

    assert tree.get(ROOT_FILE, twin).file == file
    assert [entry.name for entry in tree.entries(ROOT_FILE)] == [given]
    with pytest.raises(errors.Exists):
        tree.make(ROOT_FILE, twin, an_inode())
    tree.rename(ROOT_FILE, twin, ROOT_FILE, twin, LATER)
    assert [entry.name for entry in tree.entries(ROOT_FILE)] == [twin]
    assert tree.path_of(file) == twin
    tree.unlink(ROOT_FILE, given, LATER)
    assert tree.entries(ROOT_FILE) == []


def test_a_name_that_is_longer_in_its_normal_form_is_kept_as_given(archive: Archive) -> None:
    tree = main_of(archive)[1]
    name = ("\u0958" * 85).encode()
    file, _ = tree.make(ROOT_FILE, name, an_inode())
    archive.history.flush()

    assert tree.get(ROOT_FILE, name).file == file
    assert [entry.name for entry in tree.entries(ROOT_FILE)] == [name]


def test_a_rename_over_a_file_gives_the_file_that_lost_its_name(tree: Tree) -> None:
    lost_file = at(tree, "link")
    lost = rename(tree, "file", "link")

    assert isinstance(lost, tuple)
    assert (lost[0], lost[1].nlink) == (lost_file, 0)
    assert tree.inode(lost_file) is None


def test_a_rename_over_another_name_of_the_same_file_changes_nothing(tree: Tree) -> None:
    tree.link(at(tree, "file"), ROOT_FILE, b"second", NOW)
    before = list(tree.walk())

    assert rename(tree, "file", "second") is None
    assert list(tree.walk()) == before


def test_a_directory_can_take_the_place_of_an_empty_one(tree: Tree) -> None:
    moved = at(tree, "full")
    rename(tree, "full", "a/b")

    assert paths_in(tree) == {b"a", b"a/b", b"a/b/x", b"a/file", b"file", b"link"}
    assert at(tree, "a/b") == moved
    assert tree.get_inode(at(tree, "a")).nlink == 3
    assert tree.get_inode(ROOT_FILE).nlink == 3


def test_a_directory_that_was_removed_takes_no_new_entries(tree: Tree) -> None:
    gone = at(tree, "a/b")
    tree.rmdir(at(tree, "a"), b"b", LATER)
    with pytest.raises(errors.Stale):
        tree.make(gone, b"x", an_inode())
    with pytest.raises(errors.Stale):
        tree.rename(ROOT_FILE, b"file", gone, b"x", LATER)


def test_two_entries_of_different_kinds_can_be_exchanged(tree: Tree) -> None:
    directory, file = at(tree, "a"), at(tree, "full/x")
    exchange(tree, "a", "full/x")

    assert (at(tree, "full/x"), at(tree, "a")) == (directory, file)
    assert tree.path_of(at(tree, "full/x/b")) == b"full/x/b"
    assert tree.get_inode(ROOT_FILE).nlink == 3
    assert tree.get_inode(at(tree, "full")).nlink == 3


def test_an_inode_knows_all_its_names(tree: Tree) -> None:
    file = at(tree, "file")
    tree.link(file, at(tree, "a"), b"second", LATER)
    rename(tree, "file", "full/moved")

    assert set(tree.get_inode(file).links) == {(at(tree, "a"), b"second"), (at(tree, "full"), b"moved")}
    tree.unlink(at(tree, "full"), b"moved", LATER)
    assert tree.path_of(file) == b"a/second"


def test_a_file_can_have_65000_names_and_no_more(archive: Archive) -> None:
    tree = main_of(archive)[1]
    file, inode = tree.make(ROOT_FILE, b"file", an_inode())
    tree.put_inode(file, inode.changed(nlink=65_000))
    with pytest.raises(errors.TooManyLinks):
        tree.link(file, ROOT_FILE, b"more", NOW)


def test_changing_a_directory_is_seen_in_its_times(tree: Tree) -> None:
    for change in (
        lambda: tree.make(ROOT_FILE, b"new", an_inode(ctime=LATER)),
        lambda: tree.unlink(ROOT_FILE, b"new", LATER + 1),
        lambda: rename(tree, "file", "a/moved"),
    ):
        before = tree.get_inode(ROOT_FILE)
        change()
        assert tree.get_inode(ROOT_FILE).mtime != before.mtime


def test_a_set_group_directory_hands_its_group_on(archive: Archive) -> None:
    tree = main_of(archive)[1]
    shared, _ = tree.make(ROOT_FILE, b"shared", an_inode(Kind.DIRECTORY, mode=0o2775, gid=1234))
    _, file = tree.make(shared, b"file", an_inode(mode=0o644))
    _, directory = tree.make(shared, b"directory", an_inode(Kind.DIRECTORY, mode=0o755))

    assert (file.gid, file.mode) == (1234, 0o644)
    assert (directory.gid, directory.mode) == (1234, 0o2755)


def test_a_directory_of_many_entries_lists_them_sorted_flushed_or_not(archive: Archive) -> None:
    tree = main_of(archive)[1]
    names = [b"%d" % number for number in range(500)]
    for name in names[:250]:
        tree.make(ROOT_FILE, name, an_inode())
    archive.history.flush()
    for name in names[250:]:
        tree.make(ROOT_FILE, name, an_inode())

    assert [entry.name for entry in tree.entries(ROOT_FILE)] == sorted(names)


@pytest.mark.parametrize("flushed", [False, True])
def test_a_directory_is_empty_when_its_last_entry_goes(archive: Archive, flushed: bool) -> None:
    tree = main_of(archive)[1]
    directory = make_directories(tree, [b"d"])
    tree.make(directory, b"x", an_inode())
    if flushed:
        archive.history.flush()
    assert not tree.is_empty(directory)
    tree.unlink(directory, b"x", LATER)

    assert tree.is_empty(directory)


def test_extended_attributes_are_found_before_while_and_after_they_are_written(archive: Archive) -> None:
    history = archive.history
    attributes = {b"user.reel": b"A001", b"user.note": bytes(60_000)}

    reference = put_xattrs(history.buffers, attributes)
    assert get_xattrs(archive.database, history.buffers, reference) == attributes
    cut = history.cut()
    assert get_xattrs(archive.database, history.buffers, reference) == attributes
    history.write(cut)
    history.settle(cut)
    assert get_xattrs(archive.database, history.buffers, reference) == attributes
    assert put_xattrs(history.buffers, {}) == b""
    with pytest.raises(errors.Corrupt):
        get_xattrs(archive.database, history.buffers, b"unknown")
