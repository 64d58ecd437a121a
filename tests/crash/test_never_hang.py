"""Whatever the daemon meets, those who use its drive are answered, and it says what is wrong."""

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.crash.scene import FAULTY
from tests.drive import Drive, wait_until

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
