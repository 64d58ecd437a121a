"""File states that are not hashed yet: what they read as, and that hashing them loses nothing."""

import os

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import EMPTY_CONTENT, FileId, identify
from filmfs.versioning.tree import Tree
from tests.support import edit_whole, keep_draft, main_of, make_file, read_path, reopened, stage

MIB = 1 << 20
LONG = os.urandom(2 * MIB)


def content_of(data: bytes) -> bytes:
    return identify([data])[0]


def a_file_with_a_draft(archive: Archive, data: bytes) -> tuple[Tree, FileId]:
    _, tree = main_of(archive)
    file = make_file(archive, tree, b"take.mov")
    edit_whole(archive, tree, file, data)
    return tree, file


def test_a_draft_is_sealed_to_the_content_of_its_bytes(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    assert archive.history.seal_all() == 1

    assert tree.get_inode(file).content == content_of(LONG)
    assert read_path(archive, tree, b"take.mov") == LONG
    assert len(archive.history.drafts) == 0
    assert os.listdir(archive.blobs.staging_directory) == []


def test_a_sealed_file_that_is_one_staging_file_becomes_the_blob_itself(archive: Archive) -> None:
    a_file_with_a_draft(archive, LONG)
    archive.history.seal_all()

    with open(archive.blobs.sealed_path(identify([LONG])[0]), "rb") as file:
        assert file.read() == LONG


def test_a_draft_that_was_flushed_survives_a_crash_and_is_sealed_by_the_next_run(archive: Archive) -> None:
    a_file_with_a_draft(archive, LONG)
    archive.history.flush()
    with reopened(archive) as again:
        _, tree = main_of(again)
        assert read_path(again, tree, b"take.mov") == LONG
        assert again.history.seal_all() == 1

        assert read_path(again, tree, b"take.mov") == LONG
        assert again.dropped == []


def test_a_draft_in_a_commit_and_its_successor_are_both_kept(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    archive.history.commit(main_of(archive)[0], "first", "tester")
    edit_whole(archive, tree, file, LONG[::-1])
    archive.history.seal_all()

    assert read_path(archive, archive.history.view_of("main@2"), b"take.mov") == LONG
    assert read_path(archive, tree, b"take.mov") == LONG[::-1]


def test_a_draft_that_was_replaced_before_a_commit_is_gone_with_its_staging_file(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    edit_whole(archive, tree, file, LONG[::-1])
    archive.history.flush()

    assert len(archive.history.drafts) == 1
    assert len(os.listdir(archive.blobs.staging_directory)) == 1


@pytest.mark.parametrize("kept", [MIB, MIB + MIB // 2])
@pytest.mark.parametrize("grown", [0, MIB // 4])
def test_two_drafts_over_one_staging_file_each_seal_to_their_own_bytes(archive: Archive, kept: int, grown: int) -> None:
    """The file was committed, then cut shorter (and grown again) before anything was hashed."""
    tree, file = a_file_with_a_draft(archive, LONG)
    archive.history.commit(main_of(archive)[0], "long", "tester")
    draft = tree.get_inode(file).content
    assert isinstance(draft, int)
    extents = archive.history.drafts.map_of(draft)
    assert extents is not None
    archive.history.drafts.closed(keep_draft(archive, tree, file, extents.truncated(kept).truncated(kept + grown)))
    archive.history.seal_all()

    with reopened(archive) as again:
        _, tree = main_of(again)
        assert read_path(again, again.history.view_of("main@2"), b"take.mov") == LONG
        assert read_path(again, tree, b"take.mov") == LONG[:kept] + bytes(grown)
        assert len(again.history.drafts) == 0
        assert_blobs_are_what_they_are_named(again)


def test_a_hole_over_stale_bytes_of_a_staging_file_is_zeros_in_the_blob(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    draft = tree.get_inode(file).content
    assert isinstance(draft, int)
    extents = archive.history.drafts.map_of(draft)
    assert extents is not None
    archive.history.drafts.closed(keep_draft(archive, tree, file, extents.punched(MIB // 2, MIB)))
    archive.history.seal_all()

    assert read_path(archive, tree, b"take.mov") == LONG[: MIB // 2] + bytes(MIB // 2) + LONG[MIB:]
    assert_blobs_are_what_they_are_named(archive)


def test_an_edit_of_a_draft_that_is_in_a_commit_shares_its_staging_file(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    history = archive.history
    history.commit(main_of(archive)[0], "long", "tester")
    draft = tree.get_inode(file).content
    assert isinstance(draft, int)
    before = history.drafts.map_of(draft)
    assert before is not None
    patch = stage(history, archive, b"patch")
    history.drafts.begin_writing(patch)
    edited = keep_draft(archive, tree, file, before.written(Extent(MIB, 5, patch)))
    history.drafts.end_writing(patch)
    history.drafts.closed(edited)
    history.seal_all()

    assert read_path(archive, history.view_of("main@2"), b"take.mov") == LONG
    assert read_path(archive, tree, b"take.mov") == LONG[:MIB] + b"patch" + LONG[MIB + 5 :]
    assert_blobs_are_what_they_are_named(archive)


def test_sealing_to_a_content_that_is_here_already_stores_nothing_twice(archive: Archive) -> None:
    tree, _ = a_file_with_a_draft(archive, LONG)
    archive.history.seal_all()
    edit_whole(archive, tree, make_file(archive, tree, b"copy.mov"), LONG)
    archive.history.seal_all()

    assert read_path(archive, tree, b"copy.mov") == LONG
    assert len(list(archive.blobs.sealed_files())) == 1
    assert os.listdir(archive.blobs.staging_directory) == []


def test_a_flush_during_sealing_that_is_cut_off_before_the_next_keeps_the_bytes(archive: Archive) -> None:
    """The row of a draft is being written while its content is found; a crash then loses the content's record."""
    tree, file = a_file_with_a_draft(archive, LONG)
    history = archive.history
    history.flush()
    tree.put_inode(file, tree.get_inode(file).changed(mode=0o600))
    (sealable,) = history.drafts.sealable()
    cut = history.cut()
    history.drafts.sealed(history.seal(sealable))
    history.write(cut)

    with reopened(archive) as again:
        assert read_path(again, main_of(again)[1], b"take.mov") == LONG


def test_a_row_that_changes_while_the_outcome_is_being_written_names_the_content(archive: Archive) -> None:
    tree, file = a_file_with_a_draft(archive, LONG)
    history = archive.history
    history.flush()
    (sealable,) = history.drafts.sealable()
    history.drafts.sealed(history.seal(sealable))
    cut = history.cut()
    tree.put_inode(file, tree.get_inode(file).changed(mode=0o600))
    history.write(cut)
    history.settle(cut)
    history.flush()

    with reopened(archive) as again:
        assert read_path(again, main_of(again)[1], b"take.mov") == LONG


def test_a_draft_whose_file_was_made_and_lost_in_one_layer_goes_at_the_next_opening(root: str) -> None:
    with Archive(root, Mode.WRITE) as archive:
        tree, _ = a_file_with_a_draft(archive, LONG)
        archive.history.flush()
        tree.unlink(FileId(1), b"take.mov", 1)
        archive.history.flush()
    with Archive(root, Mode.WRITE) as archive:
        assert len(archive.history.drafts) == 0
        assert len(archive.dropped) == 1
        assert os.listdir(archive.blobs.staging_directory) == []


def test_a_draft_of_nothing_but_a_hole_is_a_content_without_blobs(archive: Archive) -> None:
    _, tree = main_of(archive)
    file = make_file(archive, tree, b"sparse")
    archive.history.drafts.closed(keep_draft(archive, tree, file, ExtentMap(3 * MIB + 1)))
    archive.history.seal_all()

    assert tree.get_inode(file).content == content_of(bytes(3 * MIB + 1))
    assert list(archive.blobs.sealed_files()) == []


def test_a_draft_of_no_bytes_is_the_empty_content(archive: Archive) -> None:
    _, tree = main_of(archive)
    file = make_file(archive, tree, b"empty")
    archive.history.drafts.closed(keep_draft(archive, tree, file, ExtentMap()))
    archive.history.seal_all()

    assert tree.get_inode(file).content == EMPTY_CONTENT
    assert read_path(archive, tree, b"empty") == b""


def assert_blobs_are_what_they_are_named(archive: Archive) -> None:
    for path in archive.blobs.sealed_files():
        with open(path, "rb") as file:
            named = os.path.basename(os.path.dirname(path)) + os.path.basename(path)
            assert identify([file.read()])[0].hex() == named
