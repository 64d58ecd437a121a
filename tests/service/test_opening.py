"""Making, opening and locking an archive, and what opening finds after a crash."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode, find_archive
from filmfs.archive.opening import SPOOL_PREFIX, ingesting, lock_holder
from filmfs.core.errors import Busy, Corrupt, Exists, FilmFSError, NotAnArchive, WrongVersion
from filmfs.core.ids import identify
from filmfs.store.blobs import TABLE, BlobRecord, blob_key
from filmfs.store.database import Database
from tests.support import edit_whole, main_of, make_file, paths_in, read_path, reopened, stage, tree_of

DATA = os.urandom(10_000)


def edit_settings(root: str, old: str, new: str) -> None:
    path = Path(root, "archive.toml")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


# Making and opening


@pytest.mark.parametrize(
    "name", ["Film", 'A "quoted" \\ name', "Ünïcode 🎬", "tab\tand\nline", "del\x7f", "caf\udce9", ""]
)
def test_an_archive_of_any_name_opens(tmp_path: Path, name: str) -> None:
    made = Archive.create(str(tmp_path / "archive"), author="tester", name=name)
    with Archive(str(tmp_path / "archive"), Mode.READ) as archive:
        assert archive.settings == made
        assert archive.settings.name == made.name != ""


def test_an_archive_takes_the_name_of_its_directory(root: str) -> None:
    with Archive(root, Mode.READ) as archive:
        assert archive.settings.name == "archive"


def test_an_archive_is_made_in_an_empty_directory_only(tmp_path: Path, root: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(Exists, match="not empty"):
        Archive.create(str(tmp_path / "full"), author="tester")
    with pytest.raises(Exists, match="already"):
        Archive.create(root, author="tester")
    assert os.listdir(tmp_path / "full") == ["file"]


def test_what_is_no_archive_is_told_with_the_way_out(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(NotAnArchive, match="filmfs init"):
            find_archive(str(path))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("format = 1", "format = 2", WrongVersion),
        ("format = 1", "", WrongVersion),
        ("format = 1", "format = ", NotAnArchive),
        ("auto_commit_s", "auto_comit_s", NotAnArchive),
        ('name = "archive"', "", NotAnArchive),
        ("auto_commit_s = 60", 'auto_commit_s = "soon"', NotAnArchive),
    ],
)
def test_settings_that_cannot_be_used_are_told_by_name(root: str, old: str, new: str, error: type[Exception]) -> None:
    edit_settings(root, old, new)
    with pytest.raises(error, match=r"archive\.toml"):
        Archive(root, Mode.READ)


def test_a_missing_database_is_told(root: str) -> None:
    os.unlink(os.path.join(root, "meta.lmdb", "data.mdb"))
    with pytest.raises(NotAnArchive, match="no database"):
        Archive(root, Mode.READ)


def test_a_database_that_is_not_one_is_an_error_of_ours(root: str) -> None:
    Path(root, "meta.lmdb", "data.mdb").write_bytes(b"nonsense" * 1024)
    with pytest.raises(FilmFSError):
        Archive(root, Mode.READ)


def test_a_damaged_record_is_corrupt_each_time_it_is_opened(root: str) -> None:
    database = Database(os.path.join(root, "meta.lmdb"))
    with database.write() as transaction:
        transaction.raw.put((2).to_bytes(8, "big"), b"damage", db=transaction._tables[b"layer"])
    database.close()
    for _ in range(2):
        with pytest.raises(Corrupt, match="layer"):
            Archive(root, Mode.WRITE)


def test_readers_and_an_ingest_stand_beside_a_writer(archive: Archive) -> None:
    make_file(archive, main_of(archive)[1], b"a")
    archive.history.flush()
    script = (
        "import sys; from filmfs.archive import Archive, Mode\n"
        "with Archive(sys.argv[1], Mode[sys.argv[2]]) as archive:\n"
        "    print([path for path, _, _ in archive.history.view_of('main').walk()])\n"
    )
    for mode in ("READ", "INGEST"):
        done = subprocess.run([sys.executable, "-c", script, archive.root, mode], capture_output=True, check=True)
        assert done.stdout == b"[b'a']\n"


# The lock


def test_a_second_writer_is_told_who_has_it(archive: Archive) -> None:
    with pytest.raises(Busy, match=rf"process {os.getpid()} \(command\)"):
        Archive(archive.root, Mode.WRITE)


def test_a_second_writer_is_told_where_it_is_mounted(archive: Archive) -> None:
    archive.note_role(role="mount", mountpoint="/mnt/film")
    with pytest.raises(Busy, match="mounted at /mnt/film"):
        Archive(archive.root, Mode.WRITE)
    holder = lock_holder(archive.root)
    assert holder is not None
    assert (holder.pid, holder.mountpoint) == (os.getpid(), "/mnt/film")


def test_the_lock_is_free_after_closing(root: str) -> None:
    for _ in range(2):
        with Archive(root, Mode.WRITE):
            assert lock_holder(root) is not None
        assert lock_holder(root) is None


def test_the_lock_of_a_killed_process_is_free(root: str) -> None:
    script = (
        "import sys, time; from filmfs.archive import Archive, Mode\n"
        "archive = Archive(sys.argv[1], Mode.WRITE); print('open', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(Busy, match=f"process {process.pid}"):
            Archive(root, Mode.WRITE)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Archive(root, Mode.WRITE) as archive:
        assert archive.dropped == []


# After a crash


def test_staging_files_that_no_record_speaks_of_are_removed_and_reported(archive: Archive) -> None:
    blob = stage(archive.history, archive, b"12345")
    Path(archive.blobs.staging_directory, "junk.tmp").write_bytes(b"1")
    with reopened(archive) as again:
        assert os.listdir(again.blobs.staging_directory) == []
        assert sorted(again.dropped) == [
            f"staging/{blob}: 5 bytes that were never acknowledged",
            "staging/junk.tmp: 1 bytes that were never acknowledged",
        ]


def test_staging_files_of_an_ingest_that_runs_are_left_alone(archive: Archive) -> None:
    blob = stage(archive.history, archive, b"12345")
    spool = Path(archive.root, SPOOL_PREFIX + "1")
    spool.touch()
    with ingesting(archive.root), reopened(archive) as again:
        assert os.listdir(again.blobs.staging_directory) == [str(blob)]
        assert again.dropped == []
        assert spool.exists()
        again.close()
    with Archive(archive.root, Mode.WRITE):
        assert not spool.exists()


def test_a_blob_that_was_sealed_but_not_renamed_is_placed(archive: Archive) -> None:
    blob = stage(archive.history, archive, DATA)
    content, _ = identify([DATA])
    with archive.database.write() as transaction:
        transaction.put(TABLE, blob_key(blob), BlobRecord(len(DATA), content).as_value())
    with reopened(archive) as again:
        assert os.path.exists(again.blobs.sealed_path(content))
        assert os.listdir(again.blobs.staging_directory) == []
        assert again.blobs.read(blob, 0, len(DATA)) == DATA
        assert again.dropped == []


def test_a_crash_between_the_record_of_a_seal_and_its_rename_loses_nothing(archive: Archive) -> None:
    tree = main_of(archive)[1]
    edit_whole(archive, tree, make_file(archive, tree, b"take.mov"), DATA)
    history = archive.history
    history.flush()
    (sealable,) = history.drafts.sealable()
    history.drafts.sealed(history.seal(sealable))
    history.write(history.cut())
    with reopened(archive) as again:
        assert read_path(again, main_of(again)[1], b"take.mov") == DATA
        assert os.listdir(again.blobs.staging_directory) == []


def test_a_draft_that_no_row_refers_to_is_dropped_with_its_staging_file(archive: Archive) -> None:
    tree = main_of(archive)[1]
    file = make_file(archive, tree, b"take.mov")
    draft = edit_whole(archive, tree, file, DATA)
    tree.put_inode(file, tree.get_inode(file).changed(content=None, size=0))
    archive.history.flush()
    assert len(archive.history.drafts) == 1
    with reopened(archive) as again:
        assert len(again.history.drafts) == 0
        assert again.dropped == [f"staging/{draft_blob(archive, draft)}: an edit that a newer one had replaced"]
        assert os.listdir(again.blobs.staging_directory) == []


def draft_blob(archive: Archive, draft: int) -> int:
    extents = archive.history.drafts.map_of(draft)  # type: ignore[arg-type]
    assert extents is not None
    (blob,) = extents.blobs()
    return blob


def test_a_staging_file_that_no_draft_is_made_of_any_more_goes(archive: Archive) -> None:
    # As after a crash while a file was open whose new bytes had been written over by the time of the next flush.
    blob = stage(archive.history, archive, b"12345")
    archive.history.buffers.record((TABLE, blob_key(blob), BlobRecord(0, None).as_value()))
    archive.history.flush()
    with reopened(archive) as again:
        assert again.dropped == [f"staging/{blob}: bytes that a later edit had replaced"]
        assert os.listdir(again.blobs.staging_directory) == []
        with again.database.read() as transaction:
            assert not transaction.has(TABLE, blob_key(blob))


def test_what_was_not_flushed_is_gone_and_what_was_is_whole(archive: Archive) -> None:
    tree = main_of(archive)[1]
    make_file(archive, tree, b"kept/file", b"bytes")
    archive.history.create_branch("grade", "tester")
    archive.history.flush()
    make_file(archive, tree, b"lost")
    archive.history.create_branch("lost", "tester")
    with reopened(archive) as again:
        assert [branch.name for branch in again.history.table.alive()] == ["grade", "main"]
        assert paths_in(main_of(again)[1]) == paths_in(tree_of(again, "grade")) == {b"kept", b"kept/file"}


def test_a_staging_file_longer_than_its_flushed_draft_is_cut_when_it_is_sealed(archive: Archive) -> None:
    tree = main_of(archive)[1]
    file = make_file(archive, tree, b"take.mov")
    draft = edit_whole(archive, tree, file, DATA)
    archive.history.flush()
    path = archive.blobs.staging_path(draft_blob(archive, draft))  # type: ignore[arg-type]
    with open(path, "ab") as written:
        written.write(b"written, never flushed")
    with reopened(archive) as again:
        again.history.seal_all()
        tree = main_of(again)[1]
        assert read_path(again, tree, b"take.mov") == DATA
        assert tree.get_inode(file).content == identify([DATA])[0]


def test_no_numbers_are_given_twice_over_a_crash(archive: Archive) -> None:
    tree = main_of(archive)[1]
    before = make_file(archive, tree, b"a")
    archive.history.flush()
    tree = main_of(archive)[1]
    lost = make_file(archive, tree, b"lost")
    with reopened(archive) as again:
        after = make_file(again, main_of(again)[1], b"b")
        assert len({before, lost, after}) == 3
