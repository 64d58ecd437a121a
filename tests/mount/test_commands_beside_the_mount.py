"""The command line beside a mount acts through its daemon, and what it did is seen on the mount at once."""

import errno
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.drive import FILMFS, Drive, answer, wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_an_added_file_is_there_though_it_was_missed_before(mounted: Drive, tmp_path: Path) -> None:
    assert not (mounted.main / "a").exists()
    assert not (mounted.main / "card").exists()
    assert os.listdir(mounted.main) == []
    mounted.filmfs("add", put(tmp_path / "a", b"small"), put(tmp_path / "card" / "b", b"x" * 700_000).parent)
    assert (mounted.main / "a").read_bytes() == b"small"
    assert (mounted.main / "card" / "b").read_bytes() == b"x" * 700_000
    assert sorted(os.listdir(mounted.main)) == ["a", "card"]
    assert not (mounted.main / "card" / "c").exists()
    mounted.filmfs("add", "--to", "card", put(tmp_path / "c", b"one more"))
    assert (mounted.main / "card" / "c").read_bytes() == b"one more"


def test_directories_that_an_add_makes_for_its_destination_are_of_now(mounted: Drive, tmp_path: Path) -> None:
    mounted.filmfs("add", "--to", "shoot/day1", put(tmp_path / "a", b"x"))
    for made in (mounted.main / "shoot", mounted.main / "shoot" / "day1"):
        assert abs(made.stat().st_atime - time.time()) < 600
        assert abs(made.stat().st_mtime - time.time()) < 600


def test_a_replaced_file_shows_its_new_bytes_though_it_was_read_before(mounted: Drive, tmp_path: Path) -> None:
    source = put(tmp_path / "a", b"1" * 500_000)
    mounted.filmfs("add", source)
    shown = mounted.main / "a"
    assert shown.read_bytes() == b"1" * 500_000
    put(source, b"2" * 600_000)
    mounted.filmfs("add", source)
    assert shown.stat().st_size == 600_000
    assert shown.read_bytes() == b"2" * 600_000
    with open(shown, "rb") as reading:
        assert reading.read(10) == b"2" * 10
        put(source, b"3" * 400_000)
        mounted.filmfs("add", source)
        assert shown.read_bytes() == b"3" * 400_000
        reading.seek(0)
        assert reading.read() in (b"2" * 600_000, b"3" * 400_000)


def test_the_time_of_a_directory_tells_that_something_was_added(mounted: Drive, tmp_path: Path) -> None:
    before = mounted.main.stat().st_mtime_ns
    mounted.filmfs("add", put(tmp_path / "a", b"x"))
    assert mounted.main.stat().st_mtime_ns > before


def test_a_file_that_was_just_written_is_known_to_every_command(mounted: Drive, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    put(mounted.main / "d" / "a", data)
    assert mounted.filmfs("ls", "main:d") == "a\n"
    there = subprocess.run([*FILMFS, "cat", mounted.root, "main:d/a"], capture_output=True, timeout=60, check=True)
    assert there.stdout == data
    assert mounted.facts("du", "main:")["bytes"] == len(data)
    facts = mounted.facts("info", "main:d/a")
    assert facts["size"] == len(data)
    assert facts["file_id"] == (mounted.main / "d" / "a").stat().st_ino & ((1 << 44) - 1)


def test_info_takes_a_path_inside_the_mount(mounted: Drive) -> None:
    put(mounted.main / "d" / "a", b"1")
    mounted.commit()
    (mounted.main / "d" / "a").write_bytes(b"22")
    os.symlink("a", mounted.main / "d" / "soft")
    for place, size in {"main/d/a": 2, ".filmfs/history/main/2/d/a": 1, ".filmfs/plain/main/d/a": 2}.items():
        done = answer("info", mounted.mountpoint / place)
        assert done.returncode == 0, done.stderr
        assert f"size:      {size}\n" in done.stdout
        again = answer("info", mounted.mountpoint / place, FILMFS_ARCHIVE=mounted.root)
        assert again.stdout == done.stdout
    assert "symlink" in answer("info", mounted.main / "d" / "soft").stdout
    assert answer("info", mounted.mountpoint / ".filmfs" / "status.json").returncode == 2


def test_branch_commands_are_seen_at_once(mounted: Drive) -> None:
    put(mounted.main / "a", b"1")
    assert not (mounted.mountpoint / "grade").exists()
    mounted.filmfs("branch create", "grade")
    assert (mounted.mountpoint / "grade" / "a").read_bytes() == b"1"
    mounted.filmfs("branch rename", "grade", "final")
    assert not (mounted.mountpoint / "grade").exists()
    assert (mounted.mountpoint / "final" / "a").read_bytes() == b"1"
    mounted.filmfs("branch delete", "final", "--yes")
    assert not (mounted.mountpoint / "final").exists()
    assert os.listdir(mounted.mountpoint) == ["main"]


def test_a_branch_can_start_from_a_commit_and_from_a_time(mounted: Drive) -> None:
    put(mounted.main / "a", b"1")
    facts = mounted.commit()
    put(mounted.main / "a", b"2")
    mounted.commit()
    mounted.filmfs("branch create", "one", "--from", "main@2")
    mounted.filmfs("branch create", "two", "--from", "main")
    assert (mounted.mountpoint / "one" / "a").read_bytes() == b"1"
    assert (mounted.mountpoint / "two" / "a").read_bytes() == b"2"
    assert facts["commit"] == "main@2"


def test_deleting_a_branch_with_open_files_needs_force(mounted: Drive) -> None:
    branch = mounted.branch("grade")
    with open(branch / "a", "wb") as file:
        file.write(b"x" * 500_000)
        file.flush()
        done = answer("branch", "delete", mounted.root, "grade", "--yes")
        assert done.returncode == 8
        assert "--force" in done.stderr
        mounted.filmfs("branch delete", "grade", "--yes", "--force")
        assert not branch.exists()
        with fails(errno.ESTALE, errno.EIO, errno.ENOENT):
            os.open(branch / "a", os.O_RDONLY)
    assert os.listdir(mounted.main) == []


def test_commits_from_the_command_line_keep_what_is_on_the_mount(mounted: Drive) -> None:
    put(mounted.main / "a", b"1")
    facts = mounted.facts("commit", "-m", "one")
    assert facts["new"] is True
    again = mounted.facts("commit", "-m", "nothing new")
    assert (again["new"], again["commit"]) == (False, facts["commit"])
    assert [commit["message"] for commit in mounted.facts("log")["commits"]] == ["one", "archive made"]


def test_adding_over_a_file_that_is_being_written_loses_neither_the_mount_nor_the_archive(
    mounted: Drive, tmp_path: Path
) -> None:
    source = put(tmp_path / "a", b"added" * 1000)
    with open(mounted.main / "a", "wb") as writing:
        writing.write(b"w" * 10_000)
        writing.flush()
        mounted.filmfs("add", source)
        assert (mounted.main / "a").read_bytes() == b"added" * 1000
        writing.write(b"more")
    assert (mounted.main / "a").read_bytes() == b"added" * 1000


def test_files_can_be_written_while_others_are_added(mounted: Drive, tmp_path: Path) -> None:
    for number in range(400):
        put(tmp_path / "card" / f"{number % 7}" / f"{number}.exr", b"%d" % number * 700)
    stop = threading.Event()
    failures: list[Exception] = []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set():
                put(mounted.main / "own" / f"{number % 30}", b"%d" % number * 500)
                assert (mounted.main / "own" / f"{number % 30}").read_bytes() == b"%d" % number * 500
                number += 1
        except Exception as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    mounted.filmfs("add", tmp_path / "card")
    stop.set()
    writer.join()
    assert failures == []
    for number in range(400):
        assert (mounted.main / "card" / f"{number % 7}" / f"{number}.exr").read_bytes() == b"%d" % number * 700


def test_unmounting_while_files_are_added_shows_all_of_them_or_none(mounted: Drive, tmp_path: Path) -> None:
    for number in range(3000):
        put(tmp_path / "card" / f"{number % 50}" / f"{number}", b"%d" % number)
    assert mounted.process is not None
    adding = subprocess.Popen([*FILMFS, "add", mounted.root, tmp_path / "card"], stderr=subprocess.PIPE)
    wait_until(lambda: list(Path(mounted.root).glob(".publish-*")) or adding.poll() is not None, "the names are sent")
    mounted.process.send_signal(signal.SIGTERM)
    adding.communicate(timeout=60)
    mounted.process.wait(60)
    mounted.stop()
    mounted.assert_sound()
    mounted.start()
    there = sum(len(names) for _, _, names in os.walk(mounted.main))
    assert there in ((3000,) if adding.returncode == 0 else (0, 3000))
    mounted.filmfs("add", tmp_path / "card")
    assert sum(len(names) for _, _, names in os.walk(mounted.main)) == 3000


def test_a_client_that_talks_nonsense_is_nobody_else_s_trouble(mounted: Drive) -> None:
    for words in (
        b"\n",
        b"nonsense\n",
        b"{}\n",
        b'{"command": "commit", "arguments": {"x": 1}}\n',
        b"[" * 100_000,
        b"",
    ):
        with socket.socket(socket.AF_UNIX) as client:
            here = os.open(mounted.root, os.O_PATH)
            client.connect(f"/proc/self/fd/{here}/control.sock")
            os.close(here)
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            client.settimeout(20)
            client.recv(1000)
    assert mounted.command("status")["mountpoint"] == str(mounted.mountpoint)
