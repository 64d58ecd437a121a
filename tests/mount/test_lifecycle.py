"""A mount comes, answers, and goes without losing anything, however it is asked to."""

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmfs.archive.opening import lock_holder
from tests.drive import FILMFS, Drive, answer, run_filmfs, wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Drive]:
    """An archive that nobody has mounted yet."""
    drive = Drive(tmp_path)
    try:
        yield drive
    finally:
        drive.stop()
        drive.clear()


def has_ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


def is_mounted(path: Path) -> bool:
    return f" {path} " in Path("/proc/self/mountinfo").read_text()


def test_mount_returns_when_the_mount_answers_and_umount_wait_when_all_is_on_disk(idle: Drive) -> None:
    done = run_filmfs("mount", idle.root, idle.mountpoint)
    assert done.returncode == 0, done.stderr
    assert os.listdir(idle.mountpoint) == ["main"]
    holder = lock_holder(idle.root)
    assert holder is not None
    (idle.main / "a").write_bytes(b"x" * 3_000_000)
    done = run_filmfs("umount", "--wait", idle.mountpoint)
    assert done.returncode == 0, done.stderr
    assert lock_holder(idle.root) is None
    assert has_ended(holder.pid)
    assert not is_mounted(idle.mountpoint)
    assert os.listdir(Path(idle.root) / "staging") == []
    assert idle.facts("ls", "main:")["entries"][0]["size"] == 3_000_000
    idle.assert_sound()


def test_a_large_log_is_set_aside_by_the_next_mount(idle: Drive) -> None:
    log = Path(idle.root, "daemon.log")
    with open(log, "wb") as file:
        file.truncate((16 << 20) + 1)
    assert run_filmfs("mount", idle.root, idle.mountpoint).returncode == 0
    assert run_filmfs("umount", "--wait", idle.mountpoint).returncode == 0
    assert log.stat().st_size < 1 << 20
    assert log.with_name("daemon.log.1").stat().st_size == (16 << 20) + 1
    assert run_filmfs("check", idle.root).returncode == 0


def test_the_kernel_s_table_names_the_archive(mounted: Drive) -> None:
    line = next(
        line for line in Path("/proc/self/mountinfo").read_text().split("\n") if str(mounted.mountpoint) in line
    )
    assert " fuse.filmfs filmfs-archive " in line
    assert "default_permissions" in line


def test_a_mount_in_use_is_not_unmounted_but_lazily(mounted: Drive) -> None:
    with open(mounted.main / "a", "wb") as file:
        done = answer("umount", "--wait", mounted.mountpoint)
        assert done.returncode == 8
        assert "in use" in done.stderr
        assert done.stderr.count("\n") == 1
        file.write(b"goes on")
    assert (mounted.main / "a").read_bytes() == b"goes on"
    with open(mounted.main / "b", "wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        done = answer("umount", "--lazy", mounted.mountpoint)
        assert done.returncode == 0, done.stderr
        assert not is_mounted(mounted.mountpoint)
        file.write(b"y" * 100_000)
    assert mounted.process is not None
    mounted.process.wait(30)
    mounted.stop()
    mounted.start()
    assert (mounted.main / "b").read_bytes() == b"x" * 100_000 + b"y" * 100_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_and_loses_nothing(mounted: Drive, number: signal.Signals) -> None:
    assert mounted.process is not None
    (mounted.main / "a").write_bytes(b"x" * 500_000)
    (mounted.main / "b").write_text("just now")
    mounted.process.send_signal(number)
    assert mounted.process.wait(30) == 0
    assert not is_mounted(mounted.mountpoint)
    assert os.listdir(mounted.mountpoint) == []
    assert not (Path(mounted.root) / "control.sock").exists()
    mounted.stop()
    mounted.start()
    assert (mounted.main / "a").read_bytes() == b"x" * 500_000
    assert (mounted.main / "b").read_text() == "just now"


def test_a_signal_unmounts_though_files_are_open(mounted: Drive) -> None:
    assert mounted.process is not None
    file = open(mounted.main / "a", "wb", buffering=0)  # noqa: SIM115
    file.write(b"x" * 200_000)
    mounted.process.send_signal(signal.SIGTERM)
    assert mounted.process.wait(30) == 0
    assert not is_mounted(mounted.mountpoint)
    with contextlib.suppress(OSError):  # the kernel may still write to a plain file that nobody reads any more …
        file.write(b"too late")
    with fails(errno.ENOTCONN, errno.ECONNABORTED, errno.EIO):
        os.fsync(file.fileno())  # … but nobody is told that it is kept
    with fails(errno.ENOTCONN, errno.ECONNABORTED, errno.EIO):
        file.close()
    mounted.stop()
    mounted.start()
    assert (mounted.main / "a").read_bytes() == b"x" * 200_000


def test_sighup_ends_nothing(mounted: Drive) -> None:
    assert mounted.process is not None
    mounted.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert mounted.main.is_dir()


def test_fusermount_unmounts_as_well(mounted: Drive) -> None:
    (mounted.main / "a").write_text("x")
    subprocess.run(["fusermount3", "-u", mounted.mountpoint], check=True, timeout=30)
    assert mounted.process is not None
    assert mounted.process.wait(30) == 0
    mounted.stop()


def test_an_open_unlinked_file_is_gone_after_a_remount(mounted: Drive) -> None:
    with open(mounted.main / "a", "wb") as file:
        file.write(b"x" * 1_000_000)
        file.flush()
        (mounted.main / "a").unlink()
        os.fsync(file.fileno())
        mounted.kill()
        try:
            file.close()
        except OSError:
            pass
    mounted.start()
    assert os.listdir(mounted.main) == []
    assert mounted.size_on_disk() == 0


def test_after_kill_9_the_dead_mount_is_named_with_the_way_out(idle: Drive) -> None:
    idle.start()
    assert idle.process is not None
    idle.process.kill()
    idle.process.wait(30)
    done = answer("mount", idle.root, idle.mountpoint)
    assert done.returncode == 8
    assert "fusermount3 -uz" in done.stderr
    idle.kill()
    idle.start()
    idle.stop()


def test_a_read_only_mount_refuses_every_change(idle: Drive) -> None:
    idle.start()
    (idle.main / "a").write_text("x")
    idle.restart("-o", "ro")
    for change in (
        lambda: (idle.main / "b").touch(),
        lambda: (idle.main / "a").write_text("y"),
        lambda: os.chmod(idle.main / "a", 0o600),
        lambda: (idle.mountpoint / "branch").mkdir(),
        lambda: os.rename(idle.main, idle.mountpoint / "other"),
    ):
        with fails(errno.EROFS):
            change()
    assert (idle.main / "a").read_text() == "x"
    idle.stop()
    idle.assert_sound()


def test_an_archive_is_mounted_once(mounted: Drive, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for foreground in ((), ("--foreground",)):
        done = answer("mount", mounted.root, other, *foreground)
        assert done.returncode == 8
        assert str(mounted.mountpoint) in done.stderr
        assert done.stderr.count("\n") == 1
    second = Drive(tmp_path / "second")
    done = answer("mount", second.root, mounted.mountpoint)
    assert done.returncode == 8
    assert "mounted" in done.stderr


def test_who_only_looks_does_not_keep_others_from_mounting(idle: Drive) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            lock_holder(idle.root)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(3):
            idle.start()
            idle.stop()
    finally:
        stop.set()
        for looker in lookers:
            looker.join()


@pytest.mark.parametrize(
    ("mountpoint", "code", "word"),
    [("missing", 3, "mkdir"), ("file", 5, "not a directory"), ("full", 5, "empty"), ("archive/x", 2, "each other")],
)
def test_a_place_that_cannot_be_mounted_on_is_named(idle: Drive, mountpoint: str, code: int, word: str) -> None:
    here = idle.mountpoint.parent
    (here / "file").touch()
    (here / "full").mkdir()
    (here / "full" / "something").touch()
    (here / "archive" / "x").mkdir()
    for foreground in ((), ("--foreground",)):
        done = answer("mount", idle.root, here / mountpoint, *foreground)
        assert done.returncode == code, done.stderr
        assert word in done.stderr
        assert done.stderr.count("\n") == 1


def test_mount_options_are_checked(idle: Drive) -> None:
    done = answer("mount", idle.root, idle.mountpoint, "-o", "nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr


def test_a_mount_is_unmounted_by_any_path_that_leads_to_it(mounted: Drive, tmp_path: Path) -> None:
    (tmp_path / "to the mount").symlink_to(mounted.mountpoint)
    (tmp_path / "way").symlink_to(mounted.mountpoint.parent)
    done = answer("umount", "--wait", tmp_path / "to the mount")
    assert done.returncode == 0, done.stderr
    mounted.restart()
    done = answer("umount", "--wait", tmp_path / "way" / mounted.mountpoint.name)
    assert done.returncode == 0, done.stderr


def test_what_is_no_mount_is_not_unmounted(tmp_path: Path) -> None:
    done = answer("umount", tmp_path)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1


def test_systemd_is_told_ready_only_once_the_mount_answers(idle: Drive, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        command = [*FILMFS, "mount", "--foreground", idle.root, idle.mountpoint]
        process = subprocess.Popen(command, env=os.environ | {"NOTIFY_SOCKET": address}, stderr=subprocess.PIPE)
        idle.process = process
        try:
            listener.settimeout(30)
            said = listener.recv(4096)
            assert b"READY=1" in said
            assert os.listdir(idle.mountpoint) == ["main"]
            process.terminate()
            words = [said]
            while b"STOPPING=1" not in words[-1]:
                words.append(listener.recv(4096))
            process.communicate(timeout=30)
            assert process.returncode == 0
        finally:
            idle.stop()


def test_a_failed_mount_says_no_ready(idle: Drive, tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        done = answer("mount", "--foreground", idle.root, tmp_path / "missing", NOTIFY_SOCKET=address)
        assert done.returncode == 3
        assert select.select([listener], [], [], 0)[0] == []


def test_a_quiet_branch_commits_itself(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    settings = Path(drive.root) / "archive.toml"
    settings.write_text(settings.read_text().replace("auto_commit_s = 60", "auto_commit_s = 1"))
    drive.start()
    try:
        (drive.main / "a").write_text("x")

        def has_committed() -> bool:
            return len(drive.facts("log")["commits"]) == 2

        wait_until(has_committed, "the automatic commit")
        time.sleep(2.5)
        commits = drive.facts("log")["commits"]
        assert [commit["automatic"] for commit in commits] == [True, False]
    finally:
        drive.stop()
    drive.assert_sound()


def test_status_tells_mounted_from_not(idle: Drive) -> None:
    assert idle.facts("status")["mountpoint"] is None
    idle.start()
    assert idle.facts("status")["mountpoint"] == str(idle.mountpoint)
    idle.stop()
    assert idle.facts("status")["mountpoint"] is None


def test_a_long_path_to_the_archive_is_no_hindrance(tmp_path: Path) -> None:
    deep = tmp_path / ("long " * 20) / ("name" * 30)
    drive = Drive(deep)
    drive.start()
    try:
        (drive.main / "a").write_text("x")
        assert drive.filmfs("ls", "main:") == "a\n"
        assert answer("info", drive.main / "a").returncode == 0
        done = answer("umount", "--wait", drive.mountpoint)
        assert done.returncode == 0, done.stderr
    finally:
        drive.stop()
