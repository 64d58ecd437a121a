"""The copy of the database: proved before it takes its place, and what an archive can be taken back to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.archive.copies import age_of_copy, is_copy_due
from tests.support import edit_whole, main_of, make_file, read_path

DATA = os.urandom(10_000)


def copy_of(archive: Archive) -> Path:
    return Path(archive.root, "meta.copy", "data.mdb")


def make_copy(root: str) -> str:
    """As the daemon has it made; gives why it was not."""
    command = [sys.executable, "-P", "-m", "filmfs.archive.copies", root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bool(done.returncode) == bool(done.stderr)
    return done.stderr


@pytest.fixture
def filled(archive: Archive) -> Archive:
    tree = main_of(archive)[1]
    edit_whole(archive, tree, make_file(archive, tree, b"take.mov"), DATA)
    for number in range(500):
        make_file(archive, tree, b"%d" % number, b"few bytes")
    archive.history.seal_all()
    return archive


def test_an_archive_can_be_taken_back_to_its_copy(filled: Archive) -> None:
    assert age_of_copy(filled.root) is None
    assert is_copy_due(filled.root)
    assert make_copy(filled.root) == ""
    assert not is_copy_due(filled.root)
    assert is_copy_due(filled.root, every_s=0)
    assert os.listdir(os.path.dirname(copy_of(filled))) == ["data.mdb"]
    filled.close()
    database = Path(filled.root, "meta.lmdb")
    shutil.rmtree(database)
    database.mkdir()
    shutil.copy(copy_of(filled), database)
    report = check_archive(filled.root, data=True)
    assert report.sound
    assert report.copy_age_s is not None
    with Archive(filled.root, Mode.WRITE) as again:
        assert read_path(again, main_of(again)[1], b"take.mov") == DATA


def test_a_damaged_database_does_not_take_the_place_of_a_good_copy(filled: Archive) -> None:
    assert make_copy(filled.root) == ""
    good = copy_of(filled).read_bytes()
    filled.close()
    data = Path(filled.root, "meta.lmdb", "data.mdb")
    raw = data.read_bytes()
    assert b"few bytes" in raw
    data.write_bytes(raw.replace(b"few bytes", b"few bytez"))
    assert "damaged" in make_copy(filled.root)
    assert copy_of(filled).read_bytes() == good
    assert os.listdir(os.path.dirname(copy_of(filled))) == ["data.mdb"]


def test_a_copy_beside_a_writer_is_of_one_moment(filled: Archive) -> None:
    tree = main_of(filled)[1]
    make_file(filled, tree, b"not flushed")
    assert make_copy(filled.root) == ""
    filled.history.flush()
    assert check_archive(filled.root).copy_age_s is not None
