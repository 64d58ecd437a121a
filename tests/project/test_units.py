"""The systemd units."""

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"


def test_the_unit_passes_systemd_analyze(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = (UNITS / "filmfs@.service").read_text(encoding="utf-8")
    # The one thing that cannot be right before filmfs is installed is where its command is.
    (tmp_path / "filmfs@.service").write_text(unit.replace("/usr/bin/filmfs", "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        [analyze, "verify", str(tmp_path / "filmfs@.service")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""


def test_the_unit_is_ready_by_notification_and_stops_synchronously() -> None:
    unit = (UNITS / "filmfs@.service").read_text(encoding="utf-8")
    lines = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    assert lines["Type"] == "notify"
    assert "umount --wait" in lines["ExecStop"]
    assert "Restart" in lines
    hiding = {"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ReadWritePaths", "DynamicUser"}
    assert not hiding & lines.keys(), "an option that makes a mount namespace hides the mount from everybody else"
