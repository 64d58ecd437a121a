"""`check`: an archive is called sound whatever was cut off."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.adding import scan, take_bytes
from filmfs.archive.check import Report, check_archive
from filmfs.archive.check import main as walk
from filmfs.core.errors import NotAnArchive, WrongVersion
from filmfs.versioning.rows import INODE, Inode
from tests.service.damage import CLIP, CLIP_ID, FRAME, LONG, edit, point, raw_records, sealed_file

# Sound


@pytest.fixture
def root(full_root: str) -> str:
    """The archive to damage."""
    return full_root


def test_an_archive_with_everything_in_it_is_sound(root: str) -> None:
    report = check_archive(root, data=True)

    assert report.faults == ()
    assert report.branches == 2
    assert report.commits == 4
    assert report.blobs == 5
    assert report.bytes_verified >= LONG + len(CLIP) + len(FRAME)
    assert report.as_facts()["sound"] is True


def test_an_empty_archive_is_sound(tmp_path: Path) -> None:
    Archive.create(str(tmp_path / "new"), author="tester")
    report = check_archive(str(tmp_path / "new"))
    assert report.faults == ()
    assert report.notes == ()
    assert (report.branches, report.commits, report.inodes) == (1, 1, 1)


def test_it_runs_beside_a_process_that_holds_the_lock_and_writes(root: str) -> None:
    with Archive(root, Mode.WRITE) as archive:
        edit(archive, "grade", b"A001/twin.exr", b"beside", 100)
        assert check_archive(root, data=True).faults == ()
        archive.history.seal_all()
        assert check_archive(root, data=True).faults == ()


def test_the_walk_leaves_nothing_open(root: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    walk([root, "--data"])
    gc.enable()
    assert len(os.listdir("/proc/self/fd")) == before


def test_progress_is_told_and_ends_at_all_of_it(root: str) -> None:
    told: list[tuple[int, int, str]] = []
    check_archive(root, data=True, progress=lambda *step: told.append(step))
    assert {"inode", "dirent", "content", "bytes"} <= {what for _, _, what in told}
    assert all(done <= total for done, total, _ in told)


def test_a_report_survives_json(root: str) -> None:
    os.unlink(sealed_file(root, CLIP_ID))
    report = check_archive(root)
    assert Report.of_facts(report.as_facts()) == report


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotAnArchive):
        check_archive(str(tmp_path))


def test_an_archive_of_another_format_is_refused(root: str) -> None:
    path = os.path.join(root, "archive.toml")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("format = 1", "format = 2"))
    with pytest.raises(WrongVersion):
        check_archive(root)


# Cut off at any moment


def test_bytes_on_their_way_are_a_note(root: str) -> None:
    with open(os.path.join(root, "staging", "999999"), "wb") as file:
        file.write(b"half")
    report = check_archive(root)
    assert report.faults == ()
    assert any("staging" in note for note in report.notes)


def test_a_blob_whose_record_is_sealed_and_whose_file_is_not_placed_yet_is_sound(root: str) -> None:
    with raw_records(root) as raw:
        blobs = {key: raw.value(b"blob", key) for key in raw.keys(b"blob")}
    number = next(int.from_bytes(key, "big") for key, value in blobs.items() if value[1] == CLIP_ID)
    os.rename(sealed_file(root, CLIP_ID), os.path.join(root, "staging", str(number)))
    assert check_archive(root, data=True).faults == ()


def test_an_add_that_never_came_to_its_names_is_a_note(root: str, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_bytes(FRAME[::-1])
    with Archive(root, Mode.INGEST) as archive:
        take_bytes(archive, scan([bytes(tmp_path / "more")], []), archive.history.view_of("main"), lambda n, p: None)
    report = check_archive(root, data=True)
    assert report.faults == ()
    assert any("contents that no file names" in note for note in report.notes)


def test_a_crash_between_an_edit_and_the_edit_that_replaced_it_is_a_note(root: str) -> None:
    inode, _ = point(root, "main", b"later.wav")
    with raw_records(root) as raw:
        value = raw.value(INODE, inode)
        raw.put_value(INODE, inode, Inode.of_value(value).changed(content=None, size=0, stored=0).as_value())
    report = check_archive(root)
    assert report.faults == ()
    assert any("drafts" in note for note in report.notes)


@pytest.mark.crash
def test_a_writer_that_was_killed_leaves_a_sound_archive(root: str) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from filmfs.archive import Archive, Mode\n"
        "from tests.service.test_check import edit\n"
        "archive = Archive(sys.argv[1], Mode.WRITE)\n"
        "for n in range(100000):\n"
        "    edit(archive, 'main', b'A001/clip.mov', b'x' * 5000, n)\n"
        "    if n % 3 == 0: archive.history.seal_all()\n"
        "    if n % 5 == 0: archive.history.commit(archive.history.table.get('main'), 'c', 'tester')\n"
    )
    for delay in (0.5, 0.8, 1.1):
        here = str(Path(__file__).parents[2])
        with subprocess.Popen([sys.executable, "-c", script, root, here], stderr=subprocess.PIPE) as writer:
            time.sleep(delay)
            check = check_archive(root, data=True)
            writer.kill()
            assert writer.stderr is not None
            assert writer.stderr.read() == b""
        assert check.faults == ()
        assert check_archive(root, data=True).faults == ()
