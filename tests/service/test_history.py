"""Branches and commits: naming them, finding them, giving them ids."""

import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.errors import BadName, Exists, NotFound, Refused, Usage
from filmfs.core.ids import ROOT_FILE, CommitId
from filmfs.store.database import Database
from filmfs.versioning.numbers import Numbers
from filmfs.versioning.rows import Kind
from tests.support import (
    NOW,
    SECOND,
    an_inode,
    edit_whole,
    main_of,
    make_file,
    paths_in,
    reopened,
    tree_of,
)


def commit(archive: Archive, message: str = "a commit", branch: str = "main") -> str:
    layer, _, _ = archive.history.commit(archive.history.table.get(branch), message, "tester")
    return f"{branch}@{layer.number}"


def iso(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def three_commits(archive: Archive) -> Archive:
    """main@2 has a; main@3 has a and b; main@4 has b."""
    tree = main_of(archive)[1]
    make_file(archive, tree, b"a", b"one")
    commit(archive)
    make_file(archive, tree, b"b", b"two")
    commit(archive)
    tree.unlink(ROOT_FILE, b"a", NOW)
    commit(archive)
    return archive


# Commits


def test_a_new_archive_has_the_branch_main_and_its_first_commit(archive: Archive) -> None:
    assert [branch.name for branch in archive.history.table.alive()] == ["main"]
    assert archive.history.resolve("main").number == 1


def test_a_commit_keeps_what_the_branch_was(three_commits: Archive) -> None:
    view_of = three_commits.history.view_of

    assert [paths_in(view_of(f"main@{n}")) for n in (1, 2, 3, 4)] == [set(), {b"a"}, {b"a", b"b"}, {b"b"}]


def test_a_commit_without_changes_is_the_commit_before(three_commits: Archive) -> None:
    before = three_commits.history.resolve("main")
    again, _, new = three_commits.history.commit(main_of(three_commits)[0], "nothing", "tester")

    assert (again, new) == (before, False)


def test_a_commit_carries_author_message_labels_and_a_time_of_its_own(archive: Archive) -> None:
    make_file(archive, main_of(archive)[1], b"a")
    layer, _, _ = archive.history.commit(main_of(archive)[0], "dailies", "Ada", labels=("day 1",))

    assert (layer.author, layer.message, layer.labels, layer.automatic) == ("Ada", "dailies", ("day 1",), False)
    assert layer.time > archive.history.resolve("main@1").time


def test_times_of_commits_rise_even_when_the_clock_goes_back(root: str) -> None:
    with Archive(root, Mode.WRITE, clock=lambda: SECOND) as archive:
        make_file(archive, main_of(archive)[1], b"a")
        commit(archive)
        times = [layer.time for layer in archive.history.table.commits(main_of(archive)[0])]

    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 2


def test_a_commit_through_a_branch_that_was_looked_up_earlier_freezes_the_layer_that_is_open_now(
    archive: Archive,
) -> None:
    branch, tree = main_of(archive)
    for name in (b"a", b"b"):
        make_file(archive, tree, name)
        archive.history.commit(branch, name.decode(), "tester")

    assert [layer.message for layer in archive.history.table.commits(main_of(archive)[0])] == ["b", "a", "archive made"]
    assert paths_in(archive.history.view_of("main@2")) == {b"a"}


def test_renaming_a_branch_that_was_looked_up_earlier_keeps_its_open_layer(archive: Archive) -> None:
    branch, tree = main_of(archive)
    make_file(archive, tree, b"a")
    commit(archive)
    archive.history.rename_branch(branch, "trunk")
    make_file(archive, tree_of(archive, "trunk"), b"b")

    assert paths_in(archive.history.view_of("trunk@2")) == {b"a"}
    assert paths_in(archive.history.view_of("trunk")) == {b"a", b"b"}


# Finding them


def test_a_branch_names_its_newest_commit(three_commits: Archive) -> None:
    assert three_commits.history.resolve("main").number == 4


def test_a_time_names_the_newest_commit_of_that_time(three_commits: Archive) -> None:
    resolve = three_commits.history.resolve
    for number in (1, 2, 3, 4):
        moment = iso(resolve(f"main@{number}").time)
        assert resolve(f"main@{moment}").number == number
        assert resolve(moment).number == number


def test_a_date_names_the_last_commit_of_that_day(three_commits: Archive) -> None:
    day = datetime.fromtimestamp(three_commits.history.resolve("main").time / SECOND).date()

    assert three_commits.history.resolve(f"main@{day}").number == 4


@pytest.mark.parametrize("when", ["1999-01-01", "0001-01-01", "0001-01-01T00:00:00+14:00", "1999-01-01T00:00:00Z"])
def test_a_time_before_the_first_commit_names_none(archive: Archive, when: str) -> None:
    with pytest.raises(NotFound, match="no commit at that time"):
        archive.history.resolve(f"main@{when}")


@pytest.mark.parametrize("when", ["9999-12-31", "9999-12-31T23:59:59-14:00"])
def test_a_time_far_ahead_names_the_newest_commit(archive: Archive, when: str) -> None:
    assert archive.history.resolve(f"main@{when}").number == 1


@pytest.mark.parametrize(
    ("point", "error", "words"),
    [
        ("nowhere", NotFound, "there are: main"),
        ("nowhere@3", NotFound, "there are: main"),
        ("main@99", NotFound, "no commit 99; its newest is 1"),
        ("main@yesterday", Usage, "BRANCH@NUMBER"),
        ("00000000", NotFound, "no commit 00000000"),
        ("", NotFound, "no branch"),
        ("a/b", NotFound, "no branch"),
        ("x" * 300, NotFound, "no branch"),
        ("caf\udce9", NotFound, "no branch"),
    ],
)
def test_what_names_nothing_is_told_with_the_way_out(
    archive: Archive, point: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        archive.history.resolve(point)


def test_a_branch_is_found_under_any_normalisation(archive: Archive) -> None:
    archive.history.create_branch("Gruen-Überarbeitung", "tester")

    assert archive.history.table.find(unicodedata.normalize("NFD", "Gruen-Überarbeitung")) is not None
    with pytest.raises(Exists):
        archive.history.create_branch(unicodedata.normalize("NFD", "Gruen-Überarbeitung"), "tester")


# Branches


def test_branches_do_not_see_each_others_changes(three_commits: Archive) -> None:
    three_commits.history.create_branch("grade", "tester")
    make_file(three_commits, main_of(three_commits)[1], b"only main")
    make_file(three_commits, tree_of(three_commits, "grade"), b"only grade")

    assert paths_in(main_of(three_commits)[1]) == {b"b", b"only main"}
    assert paths_in(tree_of(three_commits, "grade")) == {b"b", b"only grade"}


def test_a_branch_takes_what_was_not_committed_along(archive: Archive) -> None:
    make_file(archive, main_of(archive)[1], b"dirty")
    archive.history.create_branch("grade", "tester")

    assert paths_in(tree_of(archive, "grade")) == {b"dirty"}


def test_a_branch_can_start_from_an_old_commit(three_commits: Archive) -> None:
    three_commits.history.create_branch("older", "tester", source="main@2")

    assert paths_in(tree_of(three_commits, "older")) == {b"a"}
    assert three_commits.history.resolve("older") == three_commits.history.resolve("main@2")


def test_a_branch_can_start_from_a_commit_id(three_commits: Archive) -> None:
    three_commits.history.seal_all()
    named = three_commits.history.resolve("main@2").commit
    assert named is not None
    three_commits.history.create_branch("older", "tester", source=named.hex()[:12])

    assert paths_in(tree_of(three_commits, "older")) == {b"a"}


def test_what_a_deleted_branch_gave_to_others_stays(three_commits: Archive) -> None:
    history = three_commits.history
    history.create_branch("grade", "tester")
    make_file(three_commits, tree_of(three_commits, "grade"), b"graded")
    history.create_branch("final", "tester", source="grade")
    history.delete_branch(history.table.get("grade"))
    history.flush()
    with reopened(three_commits) as archive:
        assert paths_in(tree_of(archive, "final")) == {b"b", b"graded"}
        with pytest.raises(NotFound):
            archive.history.resolve("grade")


def test_the_name_of_a_deleted_branch_is_free_again(archive: Archive) -> None:
    history = archive.history
    first, _ = history.create_branch("grade", "tester")
    history.delete_branch(first)
    second, _ = history.create_branch("grade", "tester")

    assert second.id != first.id


def test_the_last_branch_cannot_be_deleted(archive: Archive) -> None:
    with pytest.raises(Refused, match="only branch"):
        archive.history.delete_branch(main_of(archive)[0])


def test_without_main_new_branches_start_from_the_oldest(archive: Archive) -> None:
    archive.history.create_branch("second", "tester")
    archive.history.create_branch("third", "tester")
    archive.history.delete_branch(main_of(archive)[0])

    assert archive.history.default.name == "second"


@pytest.mark.parametrize("name", ["main", "grade"])
def test_a_branch_cannot_take_anothers_name(archive: Archive, name: str) -> None:
    grade, _ = archive.history.create_branch("grade", "tester")
    other, _ = archive.history.create_branch("other", "tester")
    with pytest.raises(Exists):
        archive.history.rename_branch(other, name)
    assert archive.history.rename_branch(grade, "grade").name == "grade"


def test_a_branch_that_cannot_be_made_leaves_the_source_as_it_was(archive: Archive) -> None:
    make_file(archive, main_of(archive)[1], b"a")
    for name, error in (("main", Exists), (".x", BadName)):
        with pytest.raises(error):
            archive.history.create_branch(name, "tester")

    assert archive.history.resolve("main").number == 1


# Commit ids


def named(archive: Archive) -> dict[int, CommitId | None]:
    return {layer.number: layer.commit for layer in archive.history.table.commits(main_of(archive)[0])}


def test_commits_get_ids_that_differ_and_survive(three_commits: Archive) -> None:
    three_commits.history.seal_all()
    ids = named(three_commits)
    with reopened(three_commits) as archive:
        assert named(archive) == ids
    assert None not in ids.values()
    assert len(set(ids.values())) == 4


def archive_with_history(root: Path, names: list[bytes]) -> Iterator[Archive]:
    ticks = iter(range(SECOND, 10**6 * SECOND, SECOND))
    Archive.create(str(root), author="tester", clock=lambda: SECOND)
    with Archive(str(root), Mode.WRITE, clock=lambda: next(ticks)) as archive:
        for name in names:
            make_file(archive, main_of(archive)[1], name, b"same bytes")
            commit(archive)
        archive.history.seal_all()
        yield archive


def test_the_same_history_has_the_same_ids_in_another_archive(tmp_path: Path) -> None:
    (one,) = (named(archive) for archive in archive_with_history(tmp_path / "one", [b"a", b"b"]))
    (two,) = (named(archive) for archive in archive_with_history(tmp_path / "two", [b"a", b"b"]))

    assert one == two


def test_an_id_chains_all_that_came_before(tmp_path: Path) -> None:
    (one,) = (named(archive) for archive in archive_with_history(tmp_path / "one", [b"a", b"c"]))
    (two,) = (named(archive) for archive in archive_with_history(tmp_path / "two", [b"b", b"c"]))

    assert one[1] == two[1]
    assert one[2] != two[2]
    assert one[3] != two[3]


def test_a_commit_has_no_id_before_its_contents_are_hashed(archive: Archive) -> None:
    tree = main_of(archive)[1]
    edit_whole(archive, tree, make_file(archive, tree, b"take.mov"), bytes(1 << 16))
    commit(archive)
    archive.history.flush()

    assert archive.history.name_commits() == 1  # the archive's first, not this one
    assert named(archive)[2] is None
    archive.history.seal_all()
    assert named(archive)[2] is not None


def test_a_commit_that_is_not_durable_gets_no_id_of_half_its_changes(archive: Archive) -> None:
    tree = main_of(archive)[1]
    make_file(archive, tree, b"a")
    archive.history.flush()
    make_file(archive, tree, b"b")
    commit(archive)

    archive.history.name_commits()
    assert named(archive)[2] is None


def test_moving_a_directory_is_told_by_its_commit_as_a_move(archive: Archive) -> None:
    tree = main_of(archive)[1]
    tree.make(ROOT_FILE, b"A001", an_inode(Kind.DIRECTORY))
    commit(archive)
    tree.rename(ROOT_FILE, b"A001", ROOT_FILE, b"A002", NOW)
    commit(archive)
    archive.history.seal_all()

    assert len(set(named(archive).values())) == 3


# Numbers


def test_numbers_are_never_given_twice_even_when_the_transaction_that_took_them_fails(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = Database(str(tmp_path / "db"), create=True)
    numbers = Numbers(database, "file")
    given = [numbers.next()]
    for _ in range(3):
        given += [numbers.next() for _ in range(15_000)]
        with pytest.raises(RuntimeError, match="disk is full"):
            fail_to_refill(database, numbers)
    again = Numbers(database, "file")
    given += [again.next() for _ in range(100)]
    database.close()

    assert len(set(given)) == len(given)


def fail_to_refill(database: Database, numbers: Numbers) -> None:
    with database.write() as transaction:
        numbers.refill(transaction)
        raise RuntimeError("the disk is full")


def test_numbers_of_two_owners_are_different(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    database = Database(str(tmp_path / "db"), create=True)
    one, other = Numbers(database, "blob"), Numbers(database, "blob")
    given = [numbers.next() for _ in range(20_000) for numbers in (one, other)]
    database.close()

    assert len(set(given)) == len(given)
