"""Taking bytes in: once, whole, durable, and never from a source that moves."""

import os
import random
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.errors import IsADirectory, NotFound, SourceChanged, TooLarge
from filmfs.core.ids import EMPTY_CONTENT, identify
from filmfs.store.contents import LITERAL_MAX
from filmfs.store.ingest import JOURNAL, Ingest, Taken
from tests.support import Ticks, reopened

MIB = 1 << 20
SIZES = [1, LITERAL_MAX, LITERAL_MAX + 1, MIB, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 9 * MIB + 3]


@pytest.fixture
def ingest(archive: Archive) -> Ingest:
    return Ingest(archive.database, archive.blobs)


def source(directory: Path, size: int, name: str = "clip.mov", seed: int = 0) -> bytes:
    path = directory / name
    path.write_bytes(random.Random(size + seed).randbytes(size))
    return bytes(path)


def bytes_of(path: bytes) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def read_back(archive: Archive, taken: Taken) -> bytes:
    return archive.contents.read(archive.contents.map_of(taken.content), 0, taken.size)


def blob_files(archive: Archive) -> list[str]:
    return list(archive.blobs.sealed_files())


def staged(archive: Archive) -> list[str]:
    return os.listdir(archive.blobs.staging_directory)


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_taken_whole_under_its_content_id(
    archive: Archive, ingest: Ingest, tmp_path: Path, size: int
) -> None:
    path = source(tmp_path, size)
    taken = ingest.take(path)
    ingest.flush()

    assert taken.content == identify([bytes_of(path)])[0]
    assert read_back(archive, taken) == bytes_of(path)
    assert staged(archive) == []


def test_an_empty_file_is_the_empty_content_and_stores_nothing(
    archive: Archive, ingest: Ingest, tmp_path: Path
) -> None:
    taken = ingest.take(source(tmp_path, 0))
    ingest.flush()

    assert taken == Taken(EMPTY_CONTENT, 0, 0)
    assert blob_files(archive) == staged(archive) == []


@pytest.mark.parametrize(("size", "files"), [(LITERAL_MAX, 0), (LITERAL_MAX + 1, 1)])
def test_small_files_are_records_and_larger_ones_are_plain_files(
    archive: Archive, ingest: Ingest, tmp_path: Path, size: int, files: int
) -> None:
    ingest.take(source(tmp_path, size))
    ingest.flush()

    assert len(blob_files(archive)) == files


@pytest.mark.parametrize("size", [100, 3 * MIB])
@pytest.mark.parametrize("apart", [False, True])
def test_files_of_the_same_bytes_are_stored_once(
    archive: Archive, ingest: Ingest, tmp_path: Path, size: int, apart: bool
) -> None:
    first = ingest.take(source(tmp_path, size, "one"))
    if apart:
        ingest.flush()
    second = ingest.take(source(tmp_path, size, "two"))
    ingest.flush()

    assert first.content == second.content
    assert ingest.stored_bytes == size
    assert len(blob_files(archive)) == int(size > LITERAL_MAX)
    assert staged(archive) == []


def test_many_files_are_one_batch(archive: Archive, ingest: Ingest, tmp_path: Path) -> None:
    """More than are synced one by one."""
    taken = [ingest.take(source(tmp_path, 5000, f"frame.{number}", number)) for number in range(40)]
    ingest.flush()

    assert len(blob_files(archive)) == len({each.content for each in taken}) == 40


def test_a_sparse_file_reads_back_with_its_zeros(archive: Archive, ingest: Ingest, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.seek(6 * MIB)
        file.write(b"data")
        file.truncate(11 * MIB)
    taken = ingest.take(bytes(path))
    ingest.flush()

    assert read_back(archive, taken) == path.read_bytes()


def test_a_source_is_never_altered(ingest: Ingest, tmp_path: Path) -> None:
    path = source(tmp_path, 5 * MIB)
    os.utime(path, ns=(1, 2))
    before = os.stat(path)
    ingest.take(path)
    ingest.flush()

    assert os.stat(path) == before


def test_progress_adds_up_to_the_size(ingest: Ingest, tmp_path: Path) -> None:
    for size in SIZES:
        steps: list[int] = []
        ingest.take(source(tmp_path, size, f"{size}"), steps.append)
        assert sum(steps) == size


# Going on after an interruption


class Stop(Exception):
    """The run is cut off here."""


def stop(_: int) -> None:
    raise Stop


@pytest.mark.parametrize("size", [100, MIB, 9 * MIB])
def test_a_take_that_is_cut_off_leaves_nothing(archive: Archive, ingest: Ingest, tmp_path: Path, size: int) -> None:
    with pytest.raises(Stop):
        ingest.take(source(tmp_path, size), stop)
    ingest.flush()

    assert blob_files(archive) == staged(archive) == []
    with archive.database.read() as transaction:
        assert transaction.count(b"content") == transaction.count(b"blob") == transaction.count(JOURNAL) == 0


def test_a_second_run_reads_nothing_again_that_was_flushed(archive: Archive, tmp_path: Path) -> None:
    paths = [source(tmp_path, 2 * MIB, name) for name in ("one", "two", "three")]
    first = Ingest(archive.database, archive.blobs)
    for path in paths[:2]:
        first.take(path)
    first.flush()
    first.take(paths[2])  # never flushed: the run is cut off

    with reopened(archive) as again:
        second = Ingest(again.database, again.blobs)
        taken = [second.take(path) for path in paths]
        second.flush()
        assert [each.reused for each in taken] == [True, True, False]
        assert [read_back(again, each) for each in taken] == [bytes_of(path) for path in paths]


@pytest.mark.parametrize("change", ["bytes", "mtime"])
def test_a_source_that_changed_since_is_read_again(archive: Archive, tmp_path: Path, change: str) -> None:
    path = source(tmp_path, 2 * MIB)
    first = Ingest(archive.database, archive.blobs)
    first.take(path)
    first.flush()
    if change == "bytes":
        source(tmp_path, 2 * MIB, seed=1)
    else:
        os.utime(path, ns=(1, 1))
    second = Ingest(archive.database, archive.blobs)
    taken = second.take(path)
    second.flush()

    assert not taken.reused
    assert read_back(archive, taken) == bytes_of(path)


def test_the_notes_of_a_run_can_be_dropped(archive: Archive, ingest: Ingest, tmp_path: Path) -> None:
    path = source(tmp_path, 100)
    ingest.take(path)
    ingest.flush()
    ingest.forget_journal()

    assert not Ingest(archive.database, archive.blobs).take(path).reused


# Sources that misbehave


@pytest.mark.parametrize("size", [100, MIB, 9 * MIB])
@pytest.mark.parametrize("what", ["grows", "shrinks", "is rewritten"])
@pytest.mark.timeout(30)
def test_a_source_that_is_written_to_while_it_is_read_is_refused(
    archive: Archive, ingest: Ingest, tmp_path: Path, size: int, what: str
) -> None:
    path = source(tmp_path, size)

    def change(_: int) -> None:
        if what == "grows":
            with open(path, "ab") as file:
                file.write(b"more")
        elif what == "shrinks":
            os.truncate(path, size // 2)
        else:
            with open(path, "r+b") as file:
                file.write(b"new!")

    with pytest.raises(SourceChanged, match="add it again"):
        ingest.take(path, change)
    ingest.flush()

    assert blob_files(archive) == staged(archive) == []


def test_a_source_that_is_gone_is_not_found(ingest: Ingest, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        ingest.take(bytes(tmp_path / "gone"))


def test_a_source_that_is_no_file_any_more_is_not_waited_for(ingest: Ingest, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with pytest.raises(IsADirectory):
            ingest.take(bytes(path))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """A disk that fails past that size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB])
def test_a_disk_that_fails_while_a_file_is_copied_is_an_error_of_ours(
    archive: Archive, ingest: Ingest, tmp_path: Path, size: int
) -> None:
    path = source(tmp_path, size)
    with files_no_larger_than(2 * MIB), pytest.raises(TooLarge):
        ingest.take(path)

    assert staged(archive) == []


# Sharing blocks with the source


@pytest.fixture
def reflinking(tmp_path: Path) -> Iterator[Path]:
    """A directory on a file system that can share blocks."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that can share blocks")
    image, mountpoint = tmp_path / "image", tmp_path / "reflinking"
    mountpoint.mkdir()
    with open(image, "wb") as file:
        file.truncate(512 * MIB)
    for command in (
        ["mkfs.xfs", "-q", "-m", "reflink=1", str(image)],
        ["mount", "-o", "loop", str(image), str(mountpoint)],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"{command[0]} does not work here: {getattr(error, 'stderr', error)!r}")
    yield mountpoint
    subprocess.run(["umount", str(mountpoint)], check=True)


def test_blocks_are_shared_with_the_source_where_the_file_system_can(reflinking: Path) -> None:
    root = str(reflinking / "archive")
    Archive.create(root, author="tester")
    path = source(reflinking, 64 * MIB)
    os.sync()
    free = os.statvfs(root).f_bfree
    with Archive(root, Mode.WRITE, clock=Ticks()) as archive:
        ingest = Ingest(archive.database, archive.blobs)
        taken = ingest.take(path)
        ingest.flush()

        assert taken.cloned
        assert taken.content == identify([bytes_of(path)])[0]
        assert read_back(archive, taken) == bytes_of(path)
        os.sync()
        assert (free - os.statvfs(root).f_bfree) * os.statvfs(root).f_frsize < 16 * MIB


def test_a_clone_of_a_source_that_is_written_to_is_refused_too(reflinking: Path) -> None:
    root = str(reflinking / "archive")
    Archive.create(root, author="tester")
    path = source(reflinking, 9 * MIB)
    with Archive(root, Mode.WRITE, clock=Ticks()) as archive:
        with pytest.raises(SourceChanged):
            Ingest(archive.database, archive.blobs).take(path, lambda _: os.truncate(path, 1))
        assert staged(archive) == []
