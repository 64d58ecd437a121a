"""Files that the kernel reads and writes itself (passthrough): who sees what, and that nothing else changes by it."""

import contextlib
import errno
import fcntl
import mmap
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from filmfs.mount.native import hooks
from tests.drive import Drive, run, wait_until
from tests.mount.sealed import seal, sealed_file
from tests.mount.syscalls import fails

pytestmark = [pytest.mark.mount, pytest.mark.skipif(os.getuid() != 0, reason="passthrough needs root")]

MIB = 1 << 20


@pytest.fixture
def drive(passing: Drive) -> Drive:
    """A mount that hands plain files to the kernel."""
    return passing


def counts(drive: Drive) -> dict[str, int]:
    """Requests for bytes that the daemon got."""
    found: dict[str, Any] = drive.command("status")["requests"]
    return found


def test_a_whole_blob_is_read_and_a_new_file_written_without_the_daemon(drive: Drive) -> None:
    data = os.urandom(5 * MIB + 123)
    before = counts(drive)
    path = sealed_file(drive, "a.mov", data)
    assert path.read_bytes() == data
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[4 * MIB :] == data[4 * MIB :]
    after = counts(drive)
    assert (after["reads"], after["writes"]) == (before["reads"], before["writes"])


def test_a_new_file_is_sealed_where_it_was_written(drive: Drive) -> None:
    with (drive.main / "new.mov").open("wb") as file:
        file.write(os.urandom(3 * MIB))
        file.flush()
        staged = {entry.stat().st_ino for entry in os.scandir(Path(drive.root) / "staging")}
    drive.commit()
    seal(drive)
    sealed = {path.stat().st_ino for path in Path(drive.root).glob("blobs/*/*")}
    assert len(staged) == 1
    assert sealed == staged


def test_readers_keep_what_they_opened_and_the_next_see_what_was_written(drive: Drive) -> None:
    old = os.urandom(2 * MIB)
    path = sealed_file(drive, "cut.mov", old)
    number = path.stat().st_ino
    with path.open("rb") as reader, mmap.mmap(reader.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        with path.open("r+b") as writer:
            writer.seek(MIB)
            writer.write(b"new bytes")
            writer.flush()
            assert path.read_bytes()[MIB : MIB + 9] == b"new bytes"
            assert os.pread(reader.fileno(), 9, MIB) == old[MIB : MIB + 9]
        assert mapped[MIB : MIB + 9] == old[MIB : MIB + 9]
        assert os.fstat(reader.fileno()).st_ino == number
        with path.open("rb") as second:
            assert second.read() == old[:MIB] + b"new bytes" + old[MIB + 9 :]
        assert reader.read() == old
    assert path.stat().st_ino == number
    assert path.read_bytes()[:MIB] == old[:MIB]


@pytest.mark.parametrize("how", ["truncating open", "truncate by name", "append"])
def test_every_way_of_writing_leaves_readers_alone(drive: Drive, how: str) -> None:
    old = os.urandom(2 * MIB)
    path = sealed_file(drive, "f", old)
    os.link(path, drive.main / "other name")
    with path.open("rb") as reader:
        if how == "truncating open":
            path.write_bytes(b"x" * 1000)
        elif how == "truncate by name":
            os.truncate(path, 1000)
        else:
            with path.open("ab") as writer:
                writer.write(b"tail")
        expected = {"truncating open": b"x" * 1000, "truncate by name": old[:1000], "append": old + b"tail"}[how]
        assert path.read_bytes() == expected
        wait_until(lambda: (drive.main / "other name").stat().st_size == len(expected), "the other name")
        assert (drive.main / "other name").read_bytes() == expected
        assert (drive.main / "other name").stat().st_ino == path.stat().st_ino
        assert reader.read() == old
        assert os.fstat(reader.fileno()).st_size == len(old)


def test_a_file_that_many_readers_hold_can_be_written_again_and_again(drive: Drive) -> None:
    path = drive.main / "f"
    path.write_bytes(bytes(2 * MIB))
    readers = []
    for version in range(1, 41):
        readers.append(path.open("rb"))
        path.write_bytes(bytes([version]) * 2 * MIB)
        assert path.read_bytes()[-100:] == bytes([version]) * 100
    for reader in readers:
        assert reader.read(1)[0] in (readers.index(reader), 40)
        reader.close()
    with path.open("r+b") as writer:
        writer.write(b"end")
    assert path.read_bytes()[:3] == b"end"


def test_readers_of_a_file_that_is_being_written_see_it_grow(drive: Drive) -> None:
    path = drive.main / "growing.log"
    with path.open("wb") as writer, path.open("rb") as reader:
        for line in (b"one\n", b"two\n", b"three\n" * 100_000):
            writer.write(line)
            writer.flush()
            assert reader.read() == line
            assert path.stat().st_size == writer.tell()
    assert path.read_bytes() == b"one\ntwo\n" + b"three\n" * 100_000


def test_a_commit_in_the_middle_of_writing_has_the_last_close(drive: Drive) -> None:
    first = os.urandom(2 * MIB)
    path = sealed_file(drive, "f", first)
    with path.open("wb") as writer:
        writer.write(b"half")
        writer.flush()
        point = drive.commit(message="while it is written")
        writer.write(b" done" * MIB)
    assert point["open_for_writing"] == ["f"]
    assert path.read_bytes() == b"half" + b" done" * MIB
    assert len(drive.filmfs("cat", f"{point['commit']}:f", "--json")) > len(first)
    number = point["commit"].partition("@")[2]
    assert (drive.mountpoint / ".filmfs" / "history" / "main" / number / "f").read_bytes() == first


def test_a_file_that_is_cut_while_it_is_written_is_what_was_left(drive: Drive) -> None:
    with (drive.main / "f").open("wb") as writer:
        writer.write(b"a" * MIB)
        os.fsync(writer.fileno())
        writer.truncate(1000)
        writer.seek(5000)
        writer.write(b"b")
    data = (drive.main / "f").read_bytes()
    assert data == b"a" * 1000 + bytes(4000) + b"b"
    drive.restart()
    assert (drive.main / "f").read_bytes() == data


def test_a_cut_is_durable_before_the_bytes_go(drive: Drive) -> None:
    writer = os.open(drive.main / "f", os.O_WRONLY | os.O_CREAT)
    assert os.write(writer, b"a" * 3 * MIB) == 3 * MIB
    os.fsync(writer)
    os.ftruncate(writer, MIB)
    drive.kill()
    with contextlib.suppress(OSError):
        os.close(writer)
    drive.start()
    assert (drive.main / "f").read_bytes() == b"a" * MIB


def test_times_follow_what_is_written_and_what_is_set(drive: Drive) -> None:
    path = drive.main / "f"
    with path.open("wb") as writer:
        created = path.stat().st_mtime_ns
        writer.write(b"x" * MIB)
        writer.flush()
        assert path.stat().st_mtime_ns >= created
        os.utime(writer.fileno(), ns=(1_000_000_000, 2_000_000_000))
        assert path.stat().st_mtime_ns == 2_000_000_000
    assert path.stat().st_mtime_ns == 2_000_000_000
    with path.open("ab") as writer:
        writer.write(b"y")
    assert path.stat().st_mtime_ns > created


def test_a_mapping_that_outlives_its_file_is_a_writer(drive: Drive) -> None:
    path = drive.main / "f"
    with path.open("wb") as creator:
        creator.write(bytes(2 * MIB))
        creator.flush()
        with path.open("r+b") as mapper:
            mapped = mmap.mmap(mapper.fileno(), 2 * MIB)
    mapped[:5] = b"after"
    assert path.read_bytes()[:5] == b"after"
    drive.commit(message="while it is mapped")
    mapped[MIB : MIB + 4] = b"more"
    with path.open("r+b") as writer:
        writer.seek(100)
        writer.write(b"beside it")
    mapped.flush()
    mapped.close()
    data = path.read_bytes()
    assert (data[:5], data[100:109], data[MIB : MIB + 4]) == (b"after", b"beside it", b"more")
    drive.commit(message="done")
    seal(drive)
    assert path.read_bytes() == data


def test_what_was_synced_through_a_mapping_survives_a_kill(drive: Drive) -> None:
    file = os.open(drive.main / "f", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, 2 * MIB)
    os.fsync(file)
    mapped = mmap.mmap(file, 2 * MIB)
    mapped[MIB : MIB + 5] = b"bytes"
    mapped.flush()
    drive.kill()
    mapped.close()
    with contextlib.suppress(OSError):
        os.close(file)
    drive.start()
    assert (drive.main / "f").read_bytes()[MIB : MIB + 5] == b"bytes"


def test_names_of_our_own_requests_cannot_be_asked_for(drive: Drive) -> None:
    path = drive.main / "f"
    path.write_bytes(b"x")
    for asked in (b"\1copy 1 0 2 0 1", b"\1allocate 1 0 100 0", b"\1"):
        with fails(errno.ENODATA):
            os.getxattr(path, asked)


def test_a_stat_never_shows_a_turn(drive: Drive) -> None:
    path = sealed_file(drive, "f", bytes(2 * MIB))
    number = path.stat().st_ino
    with path.open("rb"), path.open("r+b"):
        assert path.stat().st_ino == number
        assert [entry.inode() for entry in os.scandir(drive.main) if entry.name == "f"] == [number]
        assert (drive.main / ".." / "main" / "f").stat().st_ino == number


def test_many_opens_of_every_kind_at_once_never_fail(drive: Drive) -> None:
    path = sealed_file(drive, "f", bytes(2 * MIB))
    errors: list[OSError] = []

    def use(mode: str) -> None:
        try:
            for _ in range(60):
                with path.open(mode) as file:
                    if mode == "rb":
                        assert len(file.read(MIB)) == MIB
                    else:
                        file.write(b"x" * 10)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(mode,)) for mode in ("rb", "rb", "r+b", "ab")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_database_is_read_as_it_is_while_another_writes_to_it(drive: Drive) -> None:
    path = drive.main / "project.db"
    with closing(sqlite3.connect(path)) as making:
        making.execute("pragma journal_mode=wal")
        making.execute("create table clip (name text, frames int)")
        making.execute("create index by_name on clip (name)")
        for number in range(20):
            making.executemany("insert into clip values (?, ?)", [(f"{number}-{i:>200}", 0) for i in range(400)])
            making.commit()
    seal(drive)
    assert path.stat().st_size > 2 * MIB
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(path)) as writer,
    ):
        for number in range(1, 6):
            assert reader.execute("select sum(frames) from clip").fetchone() == ((number - 1) * 8000,)
            writer.execute("update clip set frames = ?", [number])
            writer.commit()
            writer.execute("pragma wal_checkpoint(truncate)")
            assert reader.execute("pragma integrity_check").fetchone() == ("ok",)


def test_a_file_that_was_changed_in_place_has_one_version_and_one_set_of_locks(drive: Drive) -> None:
    path = sealed_file(drive, "edited", bytes(2 * MIB))
    with path.open("r+b") as writer:
        writer.write(os.urandom(MIB + MIB // 2))
    seal(drive)
    drive.restart()
    with path.open("rb") as reader, path.open("r+b") as writer:
        fcntl.flock(reader, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with fails(errno.EAGAIN):
            fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.write(b"second")
        writer.flush()
        assert reader.read(6) == b"second"
    path.write_bytes(bytes(2 * MIB))
    seal(drive)
    before = counts(drive)["reads"]
    assert path.read_bytes() == bytes(2 * MIB)
    assert counts(drive)["reads"] == before


def test_what_is_changed_of_a_file_by_an_old_handle_shows_by_name(drive: Drive) -> None:
    path = sealed_file(drive, "f", bytes(2 * MIB))
    with path.open("rb") as reader, path.open("r+b") as writer:
        writer.write(b"new")
        path.stat()
        os.fchmod(reader.fileno(), 0o600)
        os.utime(reader.fileno(), (5, 5))
        assert (path.stat().st_mode & 0o777, path.stat().st_mtime) == (0o600, 5)
        os.link(path, drive.main / "second")
        assert os.fstat(reader.fileno()).st_nlink == 2
        path.chmod(0o640)
        assert os.fstat(reader.fileno()).st_mode & 0o777 == 0o640


_SERVE = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
os.listdir(sys.argv[2])
print("here", flush=True)
sys.stdin.readline()
path = os.open(os.path.join(sys.argv[2], "clip.mov"), os.O_PATH)
descriptor = os.open(f"/proc/self/fd/{path}", os.O_RDWR)
os.pwrite(descriptor, b"new", 0)
"""


@pytest.mark.parametrize("name", ["smbd", "nfsd"])
def test_a_server_may_write_by_descriptor_what_others_read(drive: Drive, name: str) -> None:
    path = sealed_file(drive, "clip.mov", b"old" * MIB)
    command = [sys.executable, "-c", _SERVE, name, drive.main]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"here\n"
        with path.open("rb") as reader:
            assert reader.read(3) == b"old"
            server.communicate(b"\n", timeout=20)
            assert server.returncode == 0
    assert path.read_bytes()[:6] == b"newold"


def test_without_the_extension_everything_is_the_same(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.start(FILMFS_NATIVE="off")
    try:
        assert drive.command("status")["passthrough"] is False
        data = os.urandom(3 * MIB)
        path = sealed_file(drive, "a", data)
        run("cp", path, drive.main / "b")
        with path.open("rb") as reader, path.open("r+b") as writer:
            writer.write(b"new")
            writer.flush()
            assert reader.read(3) == b"new"
        assert (drive.main / "b").read_bytes() == data
    finally:
        drive.stop()
    drive.assert_sound()


def test_the_extension_is_built_here() -> None:
    assert hooks is not None or os.environ.get("FILMFS_NATIVE") == "off"


@pytest.mark.parametrize("is_unlinked", [False, True])
@pytest.mark.parametrize("size", [0, 1000, 9000])
def test_a_crash_right_after_a_file_was_cut_leaves_a_sound_archive(drive: Drive, size: int, is_unlinked: bool) -> None:
    writer = os.open(drive.main / "a", os.O_CREAT | os.O_WRONLY)
    os.write(writer, b"a" * 50_000)
    os.fsync(writer)
    if is_unlinked:
        (drive.main / "a").unlink()
    os.ftruncate(writer, size)
    drive.kill()
    with contextlib.suppress(OSError):
        os.close(writer)
    drive.assert_sound()
    drive.start()
    assert is_unlinked or (drive.main / "a").read_bytes() == b"a" * size
