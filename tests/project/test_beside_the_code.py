"""What lies beside the code: systemd's units, and the footage that tests and the demo make."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_passes_systemd_s_own_verification(tmp_path: Path) -> None:
    unit = (TOP / "systemd" / "filmfs@.service").read_text()
    # Verification looks for the programs, and this is a source tree: any that is here will do.
    here = re.sub(r"(?m)^(Exec\w+=[-+@:!]*)(/usr/bin/(?:filmfs|fusermount3|install))\b", r"\1/bin/true", unit)
    here = here.replace("User=filmfs", "User=root").replace("Group=filmfs", "Group=root")
    assert "/bin/true mount" in here
    (tmp_path / "filmfs@.service").write_text(here)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / "filmfs@film.service")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()}")
    # What is not of this unit (the machine's own) is none of its business.
    words = [line for line in done.stderr.split("\n") if "filmfs" in line]
    assert words == []
    assert done.returncode == 0, done.stderr


def test_the_unit_stops_synchronously_and_says_ready() -> None:
    unit = (TOP / "systemd" / "filmfs@.service").read_text()
    assert "\nType=notify\n" in unit
    assert re.search(r"\nExecStop=\S+ umount --wait ", unit)
    assert re.search(r"\nExecStart=\S+ mount --foreground ", unit)


def test_the_unit_hides_its_mount_from_nobody() -> None:
    """Options that make a mount namespace would."""
    unit = (TOP / "systemd" / "filmfs@.service").read_text()
    hiding = ("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ReadWritePaths", "DynamicUser")
    assert [option for option in hiding if f"\n{option}=" in unit] == []


def test_the_footage_that_is_made_is_real(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TOP / "scripts" / "footage.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    movies = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(movies) >= 2
    assert all(path.stat().st_size > 10_000 for path in movies)
