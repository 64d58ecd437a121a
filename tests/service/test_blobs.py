"""Blobs: immutable files, read through a few descriptors, whatever their names are just then."""

import os
import threading

import pytest

from filmfs.archive import Archive
from filmfs.core.errors import Corrupt
from filmfs.core.extents import Extent, ExtentMap, Literal
from filmfs.core.ids import BlobId, ContentId, identify
from filmfs.store.blobs import TABLE, BlobRecord, blob_key
from tests.support import stage

DATA = bytes(range(256)) * 40


def sealed_blob(archive: Archive, data: bytes) -> tuple[BlobId, ContentId]:
    """A blob that is recorded and placed."""
    blob = stage(archive.history, archive, data)
    content, _ = identify([data])
    with archive.database.write() as transaction:
        transaction.put(TABLE, blob_key(blob), BlobRecord(len(data), content).as_value())
    archive.blobs.place(blob, content)
    return blob, content


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_sealed_blob_is_a_plain_read_only_file_named_by_its_content(archive: Archive) -> None:
    _, content = sealed_blob(archive, DATA)
    path = os.path.join(archive.root, "blobs", content.hex()[:2], content.hex()[2:])
    with open(path, "rb") as file:
        assert file.read() == DATA
    assert os.stat(path).st_mode & 0o777 == 0o400


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (100, 5000), (0, len(DATA)), (len(DATA) - 1, 1), (7, 0)])
def test_any_range_of_a_blob_can_be_read(archive: Archive, offset: int, length: int) -> None:
    blob, _ = sealed_blob(archive, DATA)

    assert archive.blobs.read(blob, offset, length) == DATA[offset : offset + length]
    assert archive.blobs.read_cached(blob, offset, length) in (None, DATA[offset : offset + length])


def test_a_blob_that_is_recorded_as_sealed_but_not_placed_yet_can_be_read(archive: Archive) -> None:
    blob = stage(archive.history, archive, DATA)
    with archive.database.write() as transaction:
        transaction.put(TABLE, blob_key(blob), BlobRecord(len(DATA), identify([DATA])[0]).as_value())

    assert archive.blobs.read(blob, 0, len(DATA)) == DATA


def test_placing_a_blob_again_changes_nothing(archive: Archive) -> None:
    blob, content = sealed_blob(archive, DATA)
    archive.blobs.place(blob, content)

    assert archive.blobs.read(blob, 0, len(DATA)) == DATA


def test_a_second_blob_of_the_same_bytes_keeps_one_file(archive: Archive) -> None:
    first, content = sealed_blob(archive, DATA)
    inode = os.stat(archive.blobs.sealed_path(content)).st_ino
    second, _ = sealed_blob(archive, DATA)

    assert os.stat(archive.blobs.sealed_path(content)).st_ino == inode
    assert archive.blobs.read(first, 0, 9) == archive.blobs.read(second, 0, 9) == DATA[:9]
    assert os.listdir(archive.blobs.staging_directory) == []


def test_a_blob_whose_directory_went_missing_is_placed_in_a_new_one(archive: Archive) -> None:
    content, _ = identify([DATA])
    os.rmdir(os.path.dirname(archive.blobs.sealed_path(content)))
    blob, _ = sealed_blob(archive, DATA)

    assert archive.blobs.read(blob, 0, 3) == DATA[:3]


def test_a_missing_file_is_corrupt_and_named(archive: Archive) -> None:
    blob, content = sealed_blob(archive, DATA)
    os.unlink(archive.blobs.sealed_path(content))
    with pytest.raises(Corrupt, match=f"blob {blob} is missing"):
        archive.blobs.read(blob, 0, 1)


def test_a_blob_without_a_record_is_corrupt(archive: Archive) -> None:
    with pytest.raises(Corrupt, match="blob 999 is missing"):
        archive.blobs.read(BlobId(999), 0, 1)


def test_a_file_that_is_too_short_is_corrupt_rather_than_zeros(archive: Archive) -> None:
    blob, content = sealed_blob(archive, DATA)
    path = archive.blobs.sealed_path(content)
    os.chmod(path, 0o600)
    os.truncate(path, 100)
    with pytest.raises(Corrupt, match="ends at 100"):
        archive.blobs.read(blob, 50, 100)
    assert archive.blobs.read_cached(blob, 50, 100) is None


def test_reading_many_blobs_keeps_a_bounded_number_of_files_open(archive: Archive) -> None:
    blobs = [sealed_blob(archive, b"%d" % number)[0] for number in range(600)]
    before = open_descriptors()
    for number, blob in enumerate(blobs):
        assert archive.blobs.read(blob, 0, len(b"%d" % number)) == b"%d" % number

    assert open_descriptors() - before <= 512
    assert archive.blobs.read(blobs[0], 0, 1) == b"0"
    archive.blobs.close()
    assert open_descriptors() <= before


def test_releasing_a_blob_closes_its_file(archive: Archive) -> None:
    blob, _ = sealed_blob(archive, DATA)
    before = open_descriptors()
    archive.blobs.read(blob, 0, 1)
    archive.blobs.release(blob)
    archive.blobs.release(blob)

    assert open_descriptors() == before


def test_threads_that_read_while_files_are_opened_and_closed_see_the_right_bytes(archive: Archive) -> None:
    blobs = [sealed_blob(archive, bytes([number]) * 3000)[0] for number in range(40)]
    wrong: list[object] = []

    def read_all() -> None:
        try:
            for _ in range(20):
                for number, blob in enumerate(blobs):
                    if archive.blobs.read(blob, 1, 2000) != bytes([number]) * 2000:
                        wrong.append(blob)
                    archive.blobs.release(blob)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_map_of_blobs_literals_and_holes_is_read_as_one_file(archive: Archive) -> None:
    blob, _ = sealed_blob(archive, DATA)
    extents = ExtentMap(20, (Extent(2, 5, blob, 100), Extent(9, 3, Literal(b"xabcx"), 1)))
    expected = bytes(2) + DATA[100:105] + bytes(2) + b"abc" + bytes(8)

    assert archive.contents.read(extents, 0, 20) == expected
    assert archive.contents.read(extents, 4, 7) == expected[4:11]
    assert archive.contents.read(extents, 15, 100) == expected[15:]
    assert archive.contents.read(extents, 20, 5) == b""
    assert b"".join(archive.contents.stream(extents, step=3)) == expected
    assert archive.contents.read_cached(extents, 0, 20) in (None, expected)
