"""Whatever the daemon meets, those who use its drive are answered, and it says what is wrong."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from filmfs.core.errors import Busy
from filmfs.mount.native import hooks
from tests.crash.machine import Machine
from tests.crash.scene import FAULTY
from tests.crash.test_disk_errors import write_synced
from tests.drive import FILMFS, Drive, run_filmfs, wait_until

pytestmark = [pytest.mark.mount, pytest.mark.crash]


def heard(systemd: socket.socket) -> bytes:
    try:
        return systemd.recv(1000)
    except BlockingIOError:
        return b""


def test_a_loop_that_stands_still_is_told_and_systemd_hears_nothing_meanwhile(drive: Drive, tmp_path: Path) -> None:
    drive.program = FAULTY
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        drive.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
        assert systemd.recv(1000).startswith(b"READY=1")
        assert systemd.recv(1000) == b"WATCHDOG=1"
        assert drive.command("status")["stuck"] == []
        assert drive.process is not None
        drive.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "the event loop stands still" in drive.words(), "it is noticed")
        systemd.setblocking(False)
        while heard(systemd):
            pass
        time.sleep(0.3)
        assert heard(systemd) == b""
        wait_until(lambda: "runs again" in drive.words(), "it goes on")
        systemd.settimeout(20)
        assert systemd.recv(1000) == b"WATCHDOG=1"
    status = drive.command("status")
    assert (status["incidents"], status["stuck"]) == (1, [])
    assert "stands still" in status["last_incident"]
    assert "Current thread" in drive.words() or "Thread 0x" in drive.words()


def test_who_waits_for_a_daemon_that_dies_is_answered_at_once(drive: Drive) -> None:
    drive.program = FAULTY
    drive.start()
    write_synced(drive.main / "open", b"x" * 300_000)
    answers: list[int | None] = []

    def wait_for_the_daemon(number: int) -> None:
        try:
            write_synced(drive.main / f"{number}", b"y" * 9000)
        except OSError as error:
            answers.append(error.errno)

    waiting = [threading.Thread(target=wait_for_the_daemon, args=(number,)) for number in range(3)]
    assert drive.process is not None
    with open(drive.main / "open", "rb") as file:
        drive.process.send_signal(signal.SIGUSR1)  # it answers nobody from now on
        time.sleep(0.2)
        for thread in waiting:
            thread.start()
        time.sleep(0.2)
        drive.process.kill()
        for thread in waiting:
            thread.join(5)
        assert set(answers) <= {errno.ENOTCONN, errno.ECONNABORTED}
        assert len(answers) == 3
        for look in (lambda: os.statvfs(drive.main), lambda: os.listdir(drive.main), lambda: os.fsync(file.fileno())):
            with pytest.raises(OSError, match=r"not connected|Input/output"):
                look()


def waits_uninterruptibly(pid: int) -> bool:
    """Whether a thread of the process is where no signal reaches it."""
    states = (
        task.joinpath("stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
    )
    return "D" in states


def test_a_daemon_that_is_killed_while_it_waits_for_who_waits_for_it_lets_all_go(drive: Drive, tmp_path: Path) -> None:
    """Who makes a file holds its directory in the kernel; a command that changes names there has to wait for that."""
    drive.program = FAULTY
    drive.start(FILMFS_TEST_LATE_NAME="late")
    (drive.main / "card").mkdir()
    (tmp_path / "clip").write_bytes(b"x" * 9000)
    making = subprocess.Popen(["touch", drive.main / "card" / "late"], stderr=subprocess.PIPE)
    adding = subprocess.Popen(
        [*FILMFS, "add", drive.root, "--to", "card", tmp_path / "clip"], stderr=subprocess.DEVNULL
    )
    try:
        assert drive.process is not None
        wait_until(lambda: waits_uninterruptibly(drive.process.pid), "the daemon waits for the directory")
        drive.process.kill()
        assert b"not connected" in making.communicate(timeout=10)[1].lower() or making.returncode
        drive.process.wait(10)
        adding.wait(20)
    finally:
        subprocess.run(["umount", "-f", drive.mountpoint], check=False, capture_output=True)
    drive.clear()
    drive.assert_sound()


_LOOKS = "import os, sys\nn = 0\nwhile True:\n    os.path.exists(f'{sys.argv[1]}/{n}')\n    n += 1"


@pytest.mark.skipif(hooks is None, reason="pyfuse3 alone waits for a request that is gone")
def test_who_is_killed_while_it_asks_leaves_nobody_waiting(drive: Drive) -> None:
    """The kernel takes the request back between telling that there is one and its being read."""
    drive.start()
    for _ in range(30):
        asking = [subprocess.Popen([sys.executable, "-SEc", _LOOKS, drive.main]) for _ in range(3)]
        time.sleep(0.12)
        for one in asking:
            one.kill()
            one.wait()
        assert drive.command("status")["pid"]
    assert drive.process is not None
    descriptors = Path(f"/proc/{drive.process.pid}/fd")
    device = next(fd.name for fd in descriptors.iterdir() if os.readlink(fd) == "/dev/fuse")
    facts = Path(f"/proc/{drive.process.pid}/fdinfo/{device}").read_text()
    flags = next(line.split()[1] for line in facts.splitlines() if line.startswith("flags:"))
    assert int(flags, 8) & os.O_NONBLOCK
    drive.stop()


_GUARDED = """
import os, sys
from filmfs.mount.guardian import Guardian
from filmfs.mount.table import filmfs_mounts
guardian = Guardian()
guardian.watch(sys.argv[1], dict(filmfs_mounts())[sys.argv[1]])
if sys.argv[2] == "in good order":
    guardian.dismiss()
os._exit(0)
"""


def test_a_guardian_ends_the_mount_of_who_dies_and_no_other(drive: Drive) -> None:
    """A mount's device is another mount's as soon as it is gone."""
    drive.start()
    command = [sys.executable, "-c", _GUARDED, os.path.realpath(drive.mountpoint)]
    subprocess.run([*command, "in good order"], check=True)
    time.sleep(0.5)
    (drive.main / "a").write_bytes(b"x")
    subprocess.run([*command, "dies"], check=True)
    assert drive.process is not None
    drive.process.wait(20)
    drive.clear()
    drive.assert_sound()


_NAMES_COME_AND_GO = """
import os, sys
number = 0
try:
    while True:
        name, number = f"{sys.argv[1]}{number % 50}", number + 1
        open(name, "w").close()
        os.rename(name, name + "x")
        os.unlink(name + "x")
except OSError as error:
    sys.exit(error.errno)
"""


@pytest.mark.parametrize("round", range(3))
def test_who_uses_names_of_two_spellings_is_let_go_when_the_daemon_is_killed(drive: Drive, round: int) -> None:
    """After each change the kernel is told to forget the other spelling, and may make the daemon wait."""
    drive.start()
    (drive.main / "d").mkdir()
    names = [str(drive.main / "d" / f"é{number}_") for number in range(4)]
    users = [subprocess.Popen([sys.executable, "-c", _NAMES_COME_AND_GO, name]) for name in names]
    try:
        time.sleep(0.7 + round / 10)
        assert drive.process is not None
        drive.process.kill()
        assert {user.wait(10) for user in users} <= {errno.ENOTCONN, errno.ECONNABORTED}
        drive.process.wait(10)
    finally:
        subprocess.run(["umount", "-f", drive.mountpoint], check=False, capture_output=True)


def test_who_asks_how_a_mount_is_doing_that_hangs_is_told_that_it_hangs(drive: Drive) -> None:
    drive.start()
    assert drive.process is not None
    drive.process.send_signal(signal.SIGSTOP)
    try:
        done = run_filmfs("status", drive.root)
        assert done.returncode == Busy.exit_code
        assert "does not answer" in done.stderr
    finally:
        drive.process.send_signal(signal.SIGCONT)


def test_other_files_are_answered_while_the_disk_takes_its_time(machine: Machine) -> None:
    drive = machine.drive.start(FILMFS_TEST_FAST="1")
    (drive.main / "a").write_bytes(b"a" * 9000)
    machine.fail({"do": "fsync", "delay": 6.0, "times": 1})
    syncing = threading.Thread(target=write_synced, args=(drive.main / "b", b"b" * 9000))
    syncing.start()
    time.sleep(0.3)
    slowest = 0.0
    for number in range(20):
        started = time.monotonic()
        (drive.main / f"{number}").touch()
        assert (drive.main / "a").stat().st_size == 9000
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 2
    wait_until(lambda: drive.command("status")["incidents"], "the watchdog sees that a thread waits")
    assert "thread" in drive.command("status")["last_incident"]
    syncing.join()


def test_umount_wait_says_when_what_was_written_last_is_lost(machine: Machine) -> None:
    drive = machine.drive.start()
    (drive.main / "a").write_bytes(b"a" * 9000)
    assert run_filmfs("umount", "--wait", drive.mountpoint).returncode == 0
    drive.stop()
    drive.start()
    assert (drive.main / "a").read_bytes() == b"a" * 9000
    (drive.main / "b").touch()
    machine.fail({"do": "fsync", "errno": errno.EIO})
    (drive.main / "b").write_bytes(b"b" * 900)
    done = run_filmfs("umount", "--lazy", "--wait", drive.mountpoint)
    assert done.returncode == 42, done
    assert "may be lost" in done.stderr
    assert drive.process is not None
    assert drive.process.wait(10) == 42
    assert "what was written last is lost" in drive.words()
    machine.fail()
    drive.start()
    assert "b" not in os.listdir(drive.main) or (drive.main / "b").stat().st_size == 0
    drive.stop()
    drive.assert_sound()


def test_what_could_not_be_written_at_the_end_is_tried_again(machine: Machine) -> None:
    drive = machine.drive.start()
    (drive.main / "small").touch()
    machine.fail({"do": "fsync", "path": "data.mdb", "errno": errno.EIO, "times": 1})
    (drive.main / "small").write_bytes(b"b" * 900)
    done = run_filmfs("umount", "--lazy", "--wait", drive.mountpoint)
    assert done.returncode == 0, done
    drive.stop()
    drive.start()
    assert (drive.main / "small").read_bytes() == b"b" * 900


def test_a_mount_keeps_a_copy_of_its_database(drive: Drive) -> None:
    drive.program = FAULTY
    drive.start(FILMFS_TEST_COPY="1")
    copy = Path(drive.root, "meta.copy", "data.mdb")
    wait_until(copy.exists, "the copy is made")
    assert drive.facts("check")["copy_age_s"] < 60
    assert "the database's copy is 0.0 hours old" in drive.filmfs("check")
    drive.stop()
    drive.assert_sound()
    drive.assert_calm()
