"""Branches are directories at the root of the mount, and never see one another's changes."""

import errno
import os
import threading
from pathlib import Path

import pytest

from tests.drive import Drive
from tests.mount.syscalls import EXCHANGE, fails, rename2

pytestmark = pytest.mark.mount


def tree(top: Path) -> dict[str, bytes]:
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def test_branches_do_not_see_each_other_s_changes(mounted: Drive) -> None:
    (mounted.main / "A001").mkdir()
    (mounted.main / "A001" / "a").write_bytes(b"both")
    (mounted.main / "A001" / "b").write_bytes(b"x" * 500_000)
    other = mounted.branch("grade")
    before = tree(mounted.main)
    assert tree(other) == before
    (other / "A001" / "a").write_bytes(b"grade only")
    with open(other / "A001" / "b", "r+b") as file:
        file.write(b"graded")
    (other / "A001" / "new").touch()
    os.rename(other / "A001", other / "A002")
    assert tree(mounted.main) == before
    (mounted.main / "A001" / "a").unlink()
    (mounted.main / "main only").write_text("1")
    assert tree(other)["A002/a"] == b"grade only"
    assert "main only" not in tree(other)
    mounted.restart()
    assert sorted(tree(other)) == ["A002/a", "A002/b", "A002/new"]
    assert sorted(tree(mounted.main)) == ["A001/b", "main only"]


def test_mkdir_at_the_root_makes_a_branch_from_main_as_it_is(mounted: Drive) -> None:
    (mounted.main / "a").write_text("not committed")
    (mounted.mountpoint / "grade").mkdir()
    assert (mounted.mountpoint / "grade" / "a").read_text() == "not committed"
    (mounted.mountpoint / "grade" / "a").write_text("changed")
    assert (mounted.main / "a").read_text() == "not committed"
    assert {"grade", "main"} == {branch["name"] for branch in mounted.facts("branch list")["branches"]}


def test_what_was_closed_is_in_the_branch_that_is_made_next(drive: Drive) -> None:
    for number in range(30):
        (drive.main / "a").write_bytes(b"%d" % number * 3000)
        branch = drive.mountpoint / f"next{number}"
        branch.mkdir()
        assert (branch / "a").read_bytes() == b"%d" % number * 3000


def test_mv_at_the_root_renames_a_branch(mounted: Drive) -> None:
    (mounted.mountpoint / "one").mkdir()
    (mounted.mountpoint / "one" / "a").write_text("1")
    os.rename(mounted.mountpoint / "one", mounted.mountpoint / "two")
    assert sorted(os.listdir(mounted.mountpoint)) == ["main", "two"]
    assert (mounted.mountpoint / "two" / "a").read_text() == "1"
    assert not (mounted.mountpoint / "one").exists()
    with fails(errno.EEXIST):
        os.rename(mounted.mountpoint / "two", mounted.main)
    with fails(errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM):
        rename2(mounted.mountpoint / "two", mounted.main, EXCHANGE)


def test_a_branch_with_open_files_is_not_renamed(mounted: Drive) -> None:
    branch = mounted.branch("grade")
    with open(branch / "a", "w"), fails(errno.EBUSY):
        os.rename(branch, mounted.mountpoint / "other")
    os.rename(branch, mounted.mountpoint / "other")


def test_a_branch_that_was_made_anew_under_an_old_name_is_another(mounted: Drive) -> None:
    first = mounted.branch("grade")
    (first / "old").touch()
    number = first.stat().st_ino
    mounted.command("branch-delete", name="grade", force=False)
    assert not first.exists()
    again = mounted.branch("grade")
    assert os.listdir(again) == []
    assert again.stat().st_ino != number


def test_rmdir_of_a_branch_is_refused(mounted: Drive) -> None:
    (mounted.mountpoint / "grade").mkdir()
    with fails(errno.EPERM):
        os.rmdir(mounted.mountpoint / "grade")
    assert (mounted.mountpoint / "grade").is_dir()


@pytest.mark.parametrize(
    "name", [".x", "$RECYCLE.BIN", "a:b", "System Volume Information", "Thumbs.db", ".Trash-1000", ".fseventsd", "m@3"]
)
def test_names_that_no_branch_may_have_are_refused(drive: Drive, name: str) -> None:
    with fails(errno.EACCES):
        os.mkdir(drive.mountpoint / name)
    drive.branch("keeps", None) if not (drive.mountpoint / "keeps").exists() else None
    with fails(errno.EACCES):
        os.rename(drive.mountpoint / "keeps", drive.mountpoint / name)


def test_branch_names_have_one_spelling_too(drive: Drive) -> None:
    (drive.mountpoint / "e\u0301te\u0301").mkdir()
    assert (drive.mountpoint / "été").is_dir()
    with fails(errno.EEXIST):
        os.mkdir(drive.mountpoint / "été")
    with fails(errno.EILSEQ):
        os.mkdir(os.fsencode(drive.mountpoint) + b"/\xff")


def test_only_branches_live_at_the_root(drive: Drive) -> None:
    (drive.main / "plain file").touch()
    for make in (
        lambda path: path.touch(),
        lambda path: os.symlink("x", path),
        lambda path: os.mkfifo(path),
        lambda path: os.rename(drive.main / "plain file", path),
        lambda path: os.link(drive.main / "plain file", path),
    ):
        with fails(errno.EACCES, errno.EPERM, errno.EROFS, errno.EXDEV):
            make(drive.mountpoint / "thing")
    with fails(errno.EROFS, errno.EXDEV, errno.EPERM, errno.EBUSY, errno.EINVAL):
        os.rename(drive.main, drive.main / "inside")


def test_a_hard_link_does_not_lead_from_one_branch_to_another(drive: Drive) -> None:
    (drive.main / "linked").write_text("x")
    other = drive.branch("links")
    with fails(errno.EXDEV):
        os.link(drive.main / "linked", other / "here too")


def test_a_move_between_branches_replaces_as_rename_does(drive: Drive) -> None:
    other = drive.branch("moves")
    (drive.main / "a").write_text("from main")
    (other / "a").write_text("old")
    os.rename(drive.main / "a", other / "a")
    assert (other / "a").read_text() == "from main"
    assert not (drive.main / "a").exists()
    (drive.main / "d").mkdir()
    (other / "d").mkdir()
    (other / "d" / "full").touch()
    with fails(errno.ENOTEMPTY):
        os.rename(drive.main / "d", other / "d")
    with fails(errno.EISDIR):
        os.rename(other / "a", drive.main / "d")
    assert (drive.main / "d").is_dir()


def test_an_open_file_keeps_its_bytes_when_it_moves_to_another_branch(drive: Drive) -> None:
    other = drive.branch("open moves")
    (drive.main / "m").write_bytes(b"x" * 300_000)
    with open(drive.main / "m", "rb") as file:
        os.rename(drive.main / "m", other / "m")
        assert file.read() == b"x" * 300_000
        (other / "m").write_bytes(b"changed")
    assert (other / "m").read_bytes() == b"changed"


def test_a_commit_has_an_open_file_as_of_its_last_close(mounted: Drive) -> None:
    path = mounted.main / "a"
    path.write_bytes(b"closed" * 100_000)
    with open(path, "r+b") as file:
        file.write(b"OPENED")
        file.flush()
        os.fsync(file.fileno())
        facts = mounted.facts("commit", "-m", "while open")
        assert facts["open_for_writing"] == ["a"]
        assert path.read_bytes()[:6] == b"OPENED"
        number = facts["commit"].rpartition("@")[2]
    in_history = mounted.mountpoint / ".filmfs" / "history" / "main" / number / "a"
    assert in_history.read_bytes() == b"closed" * 100_000
    assert path.read_bytes() == b"OPENED" + b"closed" * 99_999
    facts = mounted.commit()
    assert facts["open_for_writing"] == []
    mounted.restart()
    assert in_history.read_bytes() == b"closed" * 100_000
    assert path.read_bytes() == b"OPENED" + b"closed" * 99_999


def test_a_branch_from_a_branch_that_is_being_written_has_its_last_close(mounted: Drive) -> None:
    path = mounted.main / "a"
    path.write_bytes(b"1" * 10)
    with open(path, "wb") as file:
        file.write(b"2" * 10)
        file.flush()
        branch = mounted.branch("while open")
        assert (branch / "a").read_bytes() == b"1" * 10
        file.write(b"2" * 10)
    assert path.read_bytes() == b"2" * 20
    assert (branch / "a").read_bytes() == b"1" * 10


def test_branches_can_be_made_while_others_write(mounted: Drive) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            (mounted.main / f"{number % 20}").write_bytes(b"%d" % number * 2000)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        states = []
        for number in range(15):
            branch = mounted.branch(f"b{number}")
            states.append((branch, tree(branch)))
        for branch, state in states:
            assert tree(branch) == state
    finally:
        stop.set()
        writer.join()


def test_inode_numbers_stay_and_differ_between_branches(mounted: Drive) -> None:
    (mounted.main / "d").mkdir()
    (mounted.main / "d" / "a").write_bytes(b"x" * 10_000)
    paths = (mounted.main, mounted.main / "d", mounted.main / "d" / "a")
    numbers = [path.stat().st_ino for path in paths]
    mounted.commit()
    branch = mounted.branch("other")
    others = [path.stat().st_ino for path in (branch, branch / "d", branch / "d" / "a")]
    assert not set(numbers) & set(others)
    (mounted.main / "d" / "a").write_bytes(b"y")
    os.rename(mounted.main / "d", mounted.main / "e")
    mounted.restart()
    after = (mounted.main, mounted.main / "e", mounted.main / "e" / "a")
    assert [path.stat().st_ino for path in after] == numbers
    assert [path.stat().st_ino for path in (branch, branch / "d", branch / "d" / "a")] == others
