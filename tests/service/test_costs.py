"""What a commit and a branch cost: the same for ten files and for ten thousand."""

import pytest

from filmfs.archive import Archive
from filmfs.core.ids import ROOT_FILE
from filmfs.store.database import TABLES
from filmfs.versioning.rows import Kind
from tests.support import NOW, an_inode, main_of

FEW, MANY = 10, 10_000


def counts(archive: Archive) -> dict[bytes, int]:
    """Records in every table but `meta`, whose counters stay as many."""
    with archive.database.read() as transaction:
        return {table: transaction.count(table) for table in TABLES if table != b"meta"}


def fill(archive: Archive, files: int) -> None:
    tree = main_of(archive)[1]
    directory, _ = tree.make(ROOT_FILE, b"frames", an_inode(Kind.DIRECTORY))
    for number in range(files):
        tree.make(directory, b"%06d.exr" % number, an_inode())


def added(archive: Archive, before: dict[bytes, int]) -> dict[bytes, int]:
    return {table: count - before[table] for table, count in counts(archive).items() if count != before[table]}


@pytest.mark.parametrize("files", [FEW, MANY])
def test_a_commit_writes_one_record_more(archive: Archive, files: int) -> None:
    fill(archive, files)
    archive.history.flush()
    before = counts(archive)
    archive.history.commit(main_of(archive)[0], "a commit", "tester")
    archive.history.flush()

    assert added(archive, before) == {b"layer": 1}


@pytest.mark.parametrize("files", [FEW, MANY])
def test_a_branch_of_what_is_committed_writes_two_records(archive: Archive, files: int) -> None:
    fill(archive, files)
    archive.history.commit(main_of(archive)[0], "a commit", "tester")
    archive.history.flush()
    before = counts(archive)
    archive.history.create_branch("grade", "tester")
    archive.history.flush()

    assert added(archive, before) == {b"layer": 1, b"branch": 1}


@pytest.mark.parametrize("files", [FEW, MANY])
def test_a_branch_of_what_is_not_committed_writes_three_records(archive: Archive, files: int) -> None:
    fill(archive, files)
    archive.history.flush()
    before = counts(archive)
    archive.history.create_branch("grade", "tester")
    archive.history.flush()

    assert added(archive, before) == {b"layer": 2, b"branch": 1}


@pytest.mark.parametrize("files", [FEW, MANY])
def test_a_commit_and_a_branch_of_what_is_not_even_flushed_wait_for_nothing(archive: Archive, files: int) -> None:
    """Neither writes anything by itself; with the next flush come the rows that were due anyway."""
    fill(archive, files)
    before = counts(archive)
    archive.history.commit(main_of(archive)[0], "a commit", "tester")
    archive.history.create_branch("grade", "tester")
    assert counts(archive) == before
    archive.history.flush()

    rows = added(archive, before)
    assert rows.pop(b"layer") == 2
    assert rows.pop(b"branch") == 1
    # The directory and the files; the root, which was in the layer before; each row noted as a change.
    assert rows == {b"inode": files + 2, b"dirent": files + 1, b"changes": 2 * files + 3}


@pytest.mark.parametrize("files", [FEW, MANY])
def test_renaming_a_directory_writes_its_own_rows_only(archive: Archive, files: int) -> None:
    fill(archive, files)
    archive.history.create_branch("grade", "tester")
    archive.history.flush()
    before = counts(archive)
    tree = archive.history.tree(archive.history.table.get("grade"))
    tree.rename(ROOT_FILE, b"frames", ROOT_FILE, b"plates", NOW)
    archive.history.flush()

    # Both names, the directory and the root: in the layer of the branch that did it.
    assert added(archive, before) == {b"inode": 2, b"dirent": 2, b"changes": 4}


def test_history_grows_by_commits_and_not_by_writes(archive: Archive) -> None:
    fill(archive, FEW)
    archive.history.flush()
    tree = main_of(archive)[1]
    before = counts(archive)
    file = tree.resolve([b"frames", b"000001.exr"])
    for number in range(20):
        tree.put_inode(file, tree.get_inode(file).changed(mode=number))
        archive.history.flush()

    assert added(archive, before) == {}


def test_what_was_made_and_removed_between_two_commits_leaves_no_rows(archive: Archive) -> None:
    archive.history.commit(main_of(archive)[0], "a commit", "tester")
    tree = main_of(archive)[1]
    tree.make(ROOT_FILE, b"kept", an_inode())
    archive.history.flush()
    before = counts(archive)
    tree.make(ROOT_FILE, b"brief", an_inode())
    archive.history.flush()
    tree.unlink(ROOT_FILE, b"brief", NOW)
    archive.history.flush()

    assert added(archive, before) == {}
