"""A change stores the bytes that changed, and nobody else sees it."""

import os
import random
import subprocess
from pathlib import Path

import pytest

from tests.drive import Drive, answer, wait_until

pytestmark = pytest.mark.mount

MIB = 1 << 20
KIB = 1 << 10
METADATA = 64 * KIB


def change(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
        os.fsync(file.fileno())


def settled_size(drive: Drive) -> int:
    """Bytes on disk once all closed files are hashed and in their place."""

    def is_settled() -> bool:
        hashed = drive.command("status")["unsealed_files"] == 0
        return bool(hashed) and not os.listdir(os.path.join(drive.root, "staging"))

    wait_until(is_settled, "all files are hashed")
    drive.command("flush")  # which takes away what is not needed any more
    return drive.size_on_disk()


def test_changing_4_kib_in_the_middle_of_a_large_file_stores_4_kib(mounted: Drive) -> None:
    data = os.urandom(64 * MIB)
    (mounted.main / "a.mov").write_bytes(data)
    mounted.commit(message="as shot")
    branch = mounted.branch("grade")
    before = settled_size(mounted)
    patch, at = os.urandom(4 * KIB), 32 * MIB + 12_345
    change(branch / "a.mov", at, patch)
    assert mounted.size_on_disk() - before <= 4 * KIB + METADATA
    assert settled_size(mounted) - before <= 4 * KIB + METADATA
    changed = data[:at] + patch + data[at + len(patch) :]
    assert (branch / "a.mov").read_bytes() == changed
    assert (mounted.main / "a.mov").read_bytes() == data
    mounted.restart()
    assert (branch / "a.mov").read_bytes() == changed
    assert (mounted.main / "a.mov").read_bytes() == data
    assert (mounted.mountpoint / ".filmfs" / "history" / "main" / "2" / "a.mov").read_bytes() == data


def test_a_file_that_is_changed_at_the_same_places_for_long_needs_no_more_room(mounted: Drive) -> None:
    """A database keeps its file open and writes its pages again and again, few at a time or many."""
    (mounted.main / "a.db").write_bytes(bytes(8 * MIB))
    settled_size(mounted)
    expected = bytearray(8 * MIB)
    with open(mounted.main / "a.db", "r+b", buffering=0) as file:

        def write(offset: int, data: bytes) -> None:
            os.pwrite(file.fileno(), data, offset)
            expected[offset : offset + len(data)] = data

        pages = [page * 4 * KIB for page in range(256)]
        random.Random(1).shuffle(pages)
        for page in pages:
            write(page, os.urandom(4 * KIB))
        os.fsync(file.fileno())
        for round in range(20):
            write(round * 100, os.urandom(500_000))
            os.fsync(file.fileno())
        staged = [path.stat().st_size for path in Path(mounted.root, "staging").iterdir()]
        assert max(staged) <= 2 * MIB
        assert (mounted.main / "a.db").read_bytes() == expected
    settled_size(mounted)
    assert (mounted.main / "a.db").read_bytes() == expected


def test_room_that_was_asked_for_past_a_file_s_end_is_given_back(mounted: Drive) -> None:
    before = settled_size(mounted)
    with open(mounted.main / "a.mov", "wb") as file:
        asking = ["fallocate", "--keep-size", "--length", str(64 * MIB), mounted.main / "a.mov"]
        if subprocess.run(asking, check=False, stderr=subprocess.DEVNULL).returncode:
            pytest.skip("without the extension nobody can ask for room")
        file.write(bytes(range(256)) * 16 * KIB)
    assert settled_size(mounted) - before <= 4 * MIB + METADATA
    assert (mounted.main / "a.mov").read_bytes() == bytes(range(256)) * 16 * KIB


def test_changing_4_kib_of_a_10_gib_file_stores_4_kib(mounted: Drive, tmp_path: Path) -> None:
    """The original is sparse so that making it costs nothing; reading it through is another test's business."""
    size, at, patch = 10 << 30, 5 << 30, os.urandom(4 * KIB)
    with open(mounted.main / "a.mov", "wb") as file:
        file.truncate(size)
        for position in range(0, size, 1 << 30):
            file.seek(position)
            file.write(position.to_bytes(8, "big") * 8 * KIB)
    mounted.commit()
    before = settled_size(mounted)
    branch = mounted.branch("grade")
    change(branch / "a.mov", at + 100, patch)
    assert settled_size(mounted) - before <= 4 * KIB + METADATA
    with open(branch / "a.mov", "rb") as changed, open(mounted.main / "a.mov", "rb") as original:
        for position in range(0, size, 1 << 30):
            expected = bytearray(position.to_bytes(8, "big") * 8 * KIB + bytes(KIB))
            original.seek(position)
            assert original.read(len(expected)) == expected
            if position == at:
                expected[100 : 100 + len(patch)] = patch
            changed.seek(position)
            assert changed.read(len(expected)) == expected


def test_changing_a_file_that_was_added_leaves_the_source_and_its_blob_alone(mounted: Drive, tmp_path: Path) -> None:
    source = tmp_path / "A001C001.mov"
    data = os.urandom(3 * MIB)
    source.write_bytes(data)
    mounted.filmfs("add", source)
    blob = mounted.facts("info", f"main:{source.name}")["blob"]
    change(mounted.main / source.name, MIB, b"graded")
    assert source.read_bytes() == data
    assert Path(blob).read_bytes() == data


def test_two_branches_that_write_the_same_bytes_store_them_once(mounted: Drive) -> None:
    data = os.urandom(2 * MIB)
    other = mounted.branch("other")
    (mounted.main / "a").write_bytes(data)
    (other / "b").write_bytes(data)
    assert settled_size(mounted) < 3 * MIB
    assert (mounted.main / "a").read_bytes() == (other / "b").read_bytes() == data


def test_many_small_changes_to_a_large_file_read_back_exactly(mounted: Drive) -> None:
    model = bytearray(os.urandom(6 * MIB))
    path = mounted.main / "a.mov"
    path.write_bytes(model)
    mounted.commit()
    settled_size(mounted)
    for number in range(120):
        at = (number * 7919 * 4099) % (len(model) - 5000)
        data = os.urandom(1 + number * 37 % 4999)
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(data)
        model[at : at + len(data)] = data
    assert path.read_bytes() == model
    settled_size(mounted)
    assert path.read_bytes() == model
    mounted.restart()
    assert path.read_bytes() == model


def test_a_sparse_source_arrives_whole_through_add(mounted: Drive, tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.write(b"head")
        file.truncate(40 * MIB)
        file.seek(20 * MIB)
        file.write(b"middle")
    done = answer("add", mounted.root, tmp_path / "sparse")
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "sparse", "rb") as source, open(mounted.main / "sparse", "rb") as copy:
        assert copy.read() == source.read()


def test_what_was_written_over_again_and_again_is_stored_once(mounted: Drive) -> None:
    data = bytearray(os.urandom(32 * MIB))
    (mounted.main / "a").write_bytes(data)
    mounted.commit()
    before = settled_size(mounted)
    with open(mounted.main / "a", "r+b", buffering=0) as file:
        for number in range(200):
            at = MIB + number * 997 % (MIB // 2)
            data[at : at + 100_001] = os.urandom(100_001)
            os.pwrite(file.fileno(), data[at : at + 100_001], at)
    assert settled_size(mounted) - before <= 2 * MIB
    assert (mounted.main / "a").read_bytes() == data
