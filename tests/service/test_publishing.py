"""Publishing: many new files appear in a branch at once, or none does."""

import os
from pathlib import Path
from typing import Any

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.adding import scan, take_bytes
from filmfs.archive.commands import run, run_and_flush
from filmfs.archive.opening import SPOOL_PREFIX
from filmfs.core.errors import Exists, FilmFSError, IsADirectory, NotADirectory, NotFound, Usage
from filmfs.core.ids import ROOT_FILE
from filmfs.store.records import write_frames
from filmfs.versioning.publish import NewFile, Publisher
from filmfs.versioning.rows import Kind
from filmfs.versioning.xattrs import get_xattrs
from tests.support import NOW, Ticks, an_inode, main_of, make_file, paths_in, read_path, reopened, shown_by


def add(archive: Archive, *paths: Path | str, branch: str = "main") -> dict[str, Any]:
    """`add` without its command line: the facts that publishing gives."""
    found = scan([os.fsencode(path) for path in paths], [])
    taking = take_bytes(archive, found, archive.history.view_of(branch), lambda done, path: None)
    assert taking.problems == []
    spool = os.path.join(archive.root, SPOOL_PREFIX + "test")
    with open(spool, "wb") as file:
        write_frames(file, [new.as_value() for new in taking.new])
    return run_and_flush(archive, "publish", {"branch": branch, "spool": spool, "message": "add", "author": "tester"})


def counts(facts: dict[str, Any]) -> tuple[int, int, int]:
    return facts["added"], facts["replaced"], facts["unchanged"]


@pytest.fixture
def card(tmp_path: Path) -> Path:
    card = tmp_path / "CARD"
    (card / "DCIM" / "100").mkdir(parents=True)
    (card / "DCIM" / "100" / "a.mov").write_bytes(b"aaa")
    (card / "DCIM" / "100" / "b.mov").write_bytes(os.urandom(20_000))
    (card / "empty").mkdir()
    (card / "none").touch()
    os.symlink("DCIM", card / "link")
    return card


def test_what_was_added_is_there_with_its_bytes(archive: Archive, card: Path) -> None:
    facts = add(archive, card)
    with reopened(archive) as again:
        tree = main_of(again)[1]
        names = ["", "/DCIM", "/DCIM/100", "/DCIM/100/a.mov", "/DCIM/100/b.mov", "/empty", "/link", "/none"]
        assert paths_in(tree) == {f"CARD{name}".encode() for name in names}
        assert read_path(again, tree, b"CARD/DCIM/100/b.mov") == (card / "DCIM/100/b.mov").read_bytes()
        assert read_path(again, tree, b"CARD/none") == b""
        assert tree.get_inode(tree.resolve([b"CARD", b"link"])).target == b"DCIM"
    assert counts(facts) == (8, 0, 0)
    assert facts["commit"] == "main@2"


def test_real_footage_comes_back_byte_by_byte(archive: Archive, test_data: Path) -> None:
    add(archive, test_data)
    tree = main_of(archive)[1]
    for path in filter(Path.is_file, test_data.rglob("*")):
        inside = os.fsencode(path.relative_to(test_data.parent))
        assert read_path(archive, tree, inside) == path.read_bytes()


def test_adding_the_same_again_changes_nothing_and_makes_no_commit(archive: Archive, card: Path) -> None:
    first = add(archive, card)
    before = shown_by(main_of(archive)[1])
    second = add(archive, card)

    assert counts(second) == (0, 0, 4)
    assert second["commit"] == first["commit"]
    assert shown_by(main_of(archive)[1]) == before


def test_a_file_that_changed_replaces_the_one_that_was_there(archive: Archive, card: Path) -> None:
    add(archive, card)
    (card / "DCIM" / "100" / "a.mov").write_bytes(b"new bytes")
    (card / "DCIM" / "100" / "c.mov").write_bytes(b"ccc")

    assert counts(add(archive, card)) == (1, 1, 3)
    tree = main_of(archive)[1]
    assert read_path(archive, tree, b"CARD/DCIM/100/a.mov") == b"new bytes"
    assert read_path(archive, archive.history.view_of("main@2"), b"CARD/DCIM/100/a.mov") == b"aaa"


def test_only_the_branch_that_was_named_gets_the_files(archive: Archive, card: Path) -> None:
    archive.history.create_branch("grade", "tester")
    add(archive, card, branch="grade")

    assert paths_in(main_of(archive)[1]) == set()


def test_what_was_not_committed_before_gets_a_commit_of_its_own(archive: Archive, card: Path) -> None:
    make_file(archive, main_of(archive)[1], b"mine")

    assert add(archive, card)["commit"] == "main@3"
    assert paths_in(archive.history.view_of("main@2")) == {b"mine"}


def test_directories_keep_their_times_modes_and_counts(archive: Archive, card: Path) -> None:
    os.chmod(card / "DCIM", 0o2750)
    for path in (card / "DCIM" / "100", card / "DCIM", card):
        os.utime(path, ns=(1_000_000_000, 2_000_000_003))
    add(archive, card)
    tree = main_of(archive)[1]
    for parts, nlink in (([b"CARD"], 4), ([b"CARD", b"DCIM"], 3), ([b"CARD", b"DCIM", b"100"], 2)):
        inode = tree.get_inode(tree.resolve(parts))
        assert (inode.mtime, inode.nlink) == (2_000_000_003, nlink)
    assert tree.get_inode(tree.resolve([b"CARD", b"DCIM"])).mode == 0o2750
    assert tree.get_inode(ROOT_FILE).nlink == 3


def test_hard_links_stay_hard_links(archive: Archive, card: Path) -> None:
    (card / "sub").mkdir()
    os.link(card / "DCIM" / "100" / "b.mov", card / "sub" / "same.mov")
    os.link(card / "DCIM" / "100" / "b.mov", card / "again.mov")
    add(archive, card)
    tree = main_of(archive)[1]
    names = [b"CARD/DCIM/100/b.mov", b"CARD/sub/same.mov", b"CARD/again.mov"]
    files = {tree.resolve(name.split(b"/")) for name in names}

    assert len(files) == 1
    inode = tree.get_inode(files.pop())
    assert inode.nlink == 3
    assert len(set(inode.links)) == 3


@pytest.mark.parametrize("contents", [False, True])
def test_hard_links_between_what_is_there_and_what_is_new_are_kept(
    archive: Archive, card: Path, contents: bool
) -> None:
    source = f"{card}/" if contents else card
    add(archive, source)
    (card / "new").mkdir()
    os.link(card / "DCIM" / "100" / "b.mov", card / "new" / "same.mov")
    os.link(card / "DCIM" / "100" / "b.mov", card / "0first.mov")
    add(archive, source)
    tree = main_of(archive)[1]
    prefix = [] if contents else [b"CARD"]
    files = [tree.resolve([*prefix, *name]) for name in ([b"DCIM", b"100", b"b.mov"], [b"new", b"same.mov"])]
    files.append(tree.resolve([*prefix, b"0first.mov"]))

    assert len(set(files)) == 1
    assert tree.get_inode(files[0]).nlink == 3
    assert len(set(tree.get_inode(files[0]).links)) == 3


def test_hard_links_added_to_the_root_are_kept(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"same")
    os.link(tmp_path / "one", tmp_path / "two")
    add(archive, tmp_path / "one", tmp_path / "two")
    tree = main_of(archive)[1]

    assert tree.resolve([b"one"]) == tree.resolve([b"two"])
    assert tree.get_inode(tree.resolve([b"one"])).nlink == 2


def test_attributes_are_kept(archive: Archive) -> None:
    new = NewFile((b"clip.mov",), an_inode(), {b"user.reel": b"A001"})
    assert list(publish(archive, [new])) == []
    inode = main_of(archive)[1].get_inode(main_of(archive)[1].resolve([b"clip.mov"]))

    assert get_xattrs(archive.database, archive.history.buffers, inode.xattrs) == {b"user.reel": b"A001"}


# All or nothing


def publish(archive: Archive, files: list[NewFile]) -> list[None]:
    return list(Publisher(main_of(archive)[1], archive.history.buffers, NOW).steps(files))


def directory(*parts: bytes) -> NewFile:
    return NewFile(parts, an_inode(Kind.DIRECTORY))


def file(*parts: bytes) -> NewFile:
    return NewFile(parts, an_inode())


def test_nothing_shows_before_everything_does(archive: Archive) -> None:
    make_file(archive, main_of(archive)[1], b"there/old")
    files = [directory(b"there"), directory(b"new")]
    files += [file(place, b"%d" % number) for number in range(600) for place in (b"there", b"new")]
    steps = Publisher(main_of(archive)[1], archive.history.buffers, NOW).steps(files)
    for _ in steps:
        assert paths_in(main_of(archive)[1]) == {b"there", b"there/old"}

    assert len(paths_in(main_of(archive)[1])) == 1203


@pytest.mark.parametrize(
    ("conflict", "error"),
    [(file(b"taken dir"), IsADirectory), (directory(b"taken file"), NotADirectory), (file(b"x", b"y"), NotFound)],
)
def test_a_conflict_found_late_leaves_the_branch_as_it_was(
    archive: Archive, conflict: NewFile, error: type[FilmFSError]
) -> None:
    tree = main_of(archive)[1]
    make_file(archive, tree, b"taken dir/x")
    make_file(archive, tree, b"taken file")
    archive.history.flush()
    before = shown_by(tree)
    rows = row_counts(archive)
    with pytest.raises(error):
        publish(archive, [directory(b"new"), file(b"new", b"a"), file(b"b"), conflict])
    archive.history.flush()

    assert shown_by(tree) == before
    assert row_counts(archive) == rows


def row_counts(archive: Archive) -> tuple[int, int]:
    with archive.database.read() as transaction:
        return transaction.count(b"inode"), transaction.count(b"dirent")


def test_a_directory_that_comes_twice_is_made_once(archive: Archive) -> None:
    twice = [directory(b"a"), directory(b"a", b"b"), file(b"a", b"b", b"1"), directory(b"a"), directory(b"a", b"b")]
    publish(archive, [*twice, file(b"a", b"b", b"2")])

    assert paths_in(main_of(archive)[1]) == {b"a", b"a/b", b"a/b/1", b"a/b/2"}


def test_a_directory_that_is_there_may_come_twice_too(archive: Archive) -> None:
    main_of(archive)[1].make(ROOT_FILE, b"a", an_inode(Kind.DIRECTORY))
    twice = [directory(b"a"), directory(b"a", b"b"), file(b"a", b"b", b"1"), directory(b"a"), directory(b"a", b"b")]
    publish(archive, [*twice, file(b"a", b"b", b"2")])

    assert paths_in(main_of(archive)[1]) == {b"a", b"a/b", b"a/b/1", b"a/b/2"}


# Commands


def test_commands_refuse_what_they_do_not_know(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no command"):
        run(archive, "format-disk", {})
    with pytest.raises(Usage, match="branch-create"):
        run(archive, "branch-create", {"nonsense": 1})
    outside = {"branch": "main", "spool": str(tmp_path / "x"), "message": "", "author": ""}
    with pytest.raises(Usage, match="not a list of new files"):
        run_and_flush(archive, "publish", outside)


def test_commands_are_durable_when_they_return(archive: Archive) -> None:
    made = run_and_flush(archive, "branch-create", {"name": "grade", "author": "tester", "description": "v1"})
    run_and_flush(archive, "branch-rename", {"name": "grade", "to": "final"})
    make_file(archive, archive.history.tree(archive.history.table.get("final")), b"a")
    done = run_and_flush(archive, "commit", {"branch": "final", "message": "m", "author": "tester", "labels": ["x"]})
    with reopened(archive) as again:
        assert [branch.name for branch in again.history.table.alive()] == ["final", "main"]
        assert again.history.table.get("final").description == made["description"] == "v1"
        assert again.history.resolve("final").labels == ("x",)
        assert done["new"] is True
        with pytest.raises(Exists):
            run_and_flush(again, "branch-create", {"name": "final", "author": "tester"})
        run_and_flush(again, "branch-delete", {"name": "final"})
    with Archive(archive.root, Mode.READ, clock=Ticks()) as again:
        assert [branch.name for branch in again.history.table.alive()] == ["main"]
