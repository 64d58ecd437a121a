"""What goes wrong below is answered with an error and a line in the log; the mount and all other files go on."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pyfuse3
import pytest
import trio

from filmfs.archive.check import check_archive
from filmfs.core.ids import MAX_FILE_ID
from filmfs.mount.translate import answers_fuse
from tests.drive import PATIENCE_S, Drive, run_filmfs, wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

MIB = 1 << 20


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Drive]:
    """A mount of an archive that the test damages: what `check` says of it is the test's business."""
    drive = Drive(tmp_path)
    drive.start()
    try:
        yield drive
    finally:
        drive.stop()


def sealed(drive: Drive, name: str, data: bytes) -> Path:
    """A file in `main`; gives the blob under it."""
    (drive.main / name).write_bytes(data)
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "the file is hashed")
    drive.restart()
    return Path(drive.facts("info", f"main:{name}")["blob"])


def read_errors(path: Path) -> int | None:
    try:
        path.read_bytes()
    except OSError as error:
        return error.errno
    return None


@pytest.mark.parametrize("harm", ["removed", "short"])
def test_a_blob_that_is_missing_or_short_is_eio_and_a_line_in_the_log(damaged: Drive, harm: str) -> None:
    blob = sealed(damaged, "harmed", os.urandom(MIB))
    (damaged.main / "other").write_bytes(b"y" * MIB)
    if harm == "removed":
        blob.unlink()
    else:
        os.chmod(blob, 0o600)
        os.truncate(blob, 1000)
    assert read_errors(damaged.main / "harmed") == errno.EIO
    wait_until(lambda: "blob" in damaged.words(), "a line in the log")
    assert (damaged.main / "other").read_bytes() == b"y" * MIB
    (damaged.main / "new").write_text("goes on")
    assert [fault.places for fault in check_archive(damaged.root).faults] == [("main:harmed",)]
    (damaged.main / "harmed").write_bytes(b"replaced")
    assert (damaged.main / "harmed").read_bytes() == b"replaced"
    damaged.assert_calm()


@pytest.mark.parametrize("error", [ValueError("unforeseen"), MemoryError("unforeseen"), AssertionError("unforeseen")])
def test_whatever_a_handler_raises_becomes_eio_and_a_line_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    @answers_fuse
    async def handler() -> None:
        raise error

    with pytest.raises(pyfuse3.FUSEError) as answered:
        trio.run(handler)
    assert answered.value.errno == errno.EIO
    assert "unforeseen" in caplog.text


def test_a_record_that_is_damaged_is_eio_and_the_mount_stays(damaged: Drive) -> None:
    for number in range(200):
        (damaged.main / f"{number}").write_bytes(b"x" * 5000)
    damaged.stop()
    data = Path(damaged.root) / "meta.lmdb" / "data.mdb"
    raw = bytearray(data.read_bytes())
    key = (1).to_bytes(8, "big") + b"150\0"  # the name's key, in every page that has it
    at = raw.find(key)
    while at >= 0:
        raw[at + len(key) + 8 + 3] ^= 0xFF  # past the layer, inside the record
        at = raw.find(key, at + 1)
    data.write_bytes(raw)
    damaged.start()
    assert read_errors(damaged.main / "150") == errno.EIO
    assert "damaged" in damaged.words()
    assert (damaged.main / "1").read_bytes() == b"x" * 5000
    (damaged.main / "new").write_text("goes on")
    assert (damaged.main / "new").read_text() == "goes on"


@pytest.mark.parametrize("native", ["on", "off"])
def test_a_file_whose_record_is_damaged_is_listed_and_eio_to_who_looks_at_it(damaged: Drive, native: str) -> None:
    """Who copies a directory must not believe that it has everything."""
    for number in range(10):
        (damaged.main / f"{number}").write_bytes(b"x")
    file = os.stat(damaged.main / "5").st_ino & MAX_FILE_ID
    damaged.stop()
    with lmdb.open(str(Path(damaged.root) / "meta.lmdb"), max_dbs=20, map_size=1 << 30) as database:
        table = database.open_db(b"inode", create=False)
        with database.begin(db=table, write=True) as transaction, transaction.cursor() as cursor:
            assert cursor.set_range(file.to_bytes(8, "big"))
            key, raw = cursor.item()
            assert transaction.put(key, raw[:20] + bytes([raw[20] ^ 0xFF]) + raw[21:])
    damaged.start(FILMFS_NATIVE=native)
    wait_until(lambda: damaged.command("status")["database_in_memory"], "the database is in memory")
    assert sorted(os.listdir(damaged.main)) == [f"{number}" for number in range(10)]
    with fails(errno.EIO):
        os.stat(damaged.main / "5")
    listed = subprocess.run(["ls", "-l", damaged.main], check=False, capture_output=True, text=True)
    assert listed.returncode != 0
    assert "Input/output error" in listed.stderr
    assert os.stat(damaged.main / "6").st_size == 1
    assert "'5' is listed" in damaged.words()


def test_a_write_that_the_disk_refuses_is_told_to_the_writer(damaged: Drive) -> None:
    staging = Path(damaged.root) / "staging"
    (damaged.main / "a").write_bytes(b"as it was")
    staging.rename(staging.with_name("away"))
    with fails(errno.ENOENT, errno.EIO), open(damaged.main / "a", "r+b") as file:
        file.write(b"x" * 200_000)
    staging.with_name("away").rename(staging)
    assert (damaged.main / "a").read_bytes() == b"as it was"
    (damaged.main / "a").write_bytes(b"y" * 200_000)
    assert (damaged.main / "a").read_bytes() == b"y" * 200_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    where = tmp_path / "disk"
    where.mkdir()
    if os.getuid() != 0:
        pytest.skip("only root can make a small disk")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", where], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_disk_is_enospc_and_all_goes_on_when_there_is_room_again(small_disk: Path) -> None:
    drive = Drive(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * MIB))
    drive.start()
    try:
        (drive.main / "kept").write_bytes(b"k" * 300_000)
        os.sync()
        with fails(errno.ENOSPC), open(drive.main / "large", "wb") as file:
            for _ in range(40):
                file.write(os.urandom(MIB))
                file.flush()
                os.fsync(file.fileno())
        assert (drive.main / "kept").read_bytes() == b"k" * 300_000
        ballast.unlink()
        (drive.main / "large").unlink()
        wait_until(lambda: drive.command("status")["last_flush_error"] is None, "there is room again")
        with open(drive.main / "after", "wb") as file:
            file.write(b"a" * 300_000)
            os.fsync(file.fileno())
        drive.restart()
        assert (drive.main / "after").read_bytes() == b"a" * 300_000
        assert (drive.main / "kept").read_bytes() == b"k" * 300_000
    finally:
        drive.stop()
    drive.assert_sound()
    drive.assert_calm()


def test_errors_are_told_by_fsync_and_not_only_to_the_log(small_disk: Path) -> None:
    drive = Drive(small_disk)
    drive.start()
    try:
        fill = small_disk / "fill"
        with fails(errno.ENOSPC), open(fill, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        told = []
        for number in range(300):
            try:
                descriptor = os.open(drive.main / f"{number}", os.O_CREAT | os.O_WRONLY)
                try:
                    os.write(descriptor, os.urandom(4000))
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                told.append(error.errno)
                break
        assert told == [errno.ENOSPC]
        fill.unlink()
        wait_until(lambda: drive.command("status")["last_flush_error"] is None, "there is room again")
    finally:
        drive.stop()
    drive.assert_sound()


def test_a_drive_that_holds_what_cannot_be_written_is_not_unmounted(small_disk: Path) -> None:
    drive = Drive(small_disk)
    drive.start()
    try:
        (drive.main / "first").write_bytes(b"a")
        drive.command("flush")
        fill = small_disk / "fill"
        with fails(errno.ENOSPC), open(fill, "wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        written = {}
        for number in range(600):
            written[f"{number}"] = os.urandom(4000)
            with open(os.open(drive.main / f"{number}", os.O_RDWR | os.O_CREAT), "wb") as file:  # kept in memory
                file.write(written[f"{number}"])
        refused = run_filmfs("umount", "--wait", drive.mountpoint)
        assert refused.returncode == 40, refused
        assert "stays mounted" in refused.stderr
        assert os.path.ismount(drive.mountpoint)
        fill.unlink()
        assert run_filmfs("umount", "--wait", drive.mountpoint).returncode == 0
        drive.process.wait(PATIENCE_S)  # type: ignore[union-attr]
        drive.restart()
        assert {name: (drive.main / name).read_bytes() for name in written} == written
        assert len(written) == 600
    finally:
        drive.stop()
    drive.assert_sound()
