"""Both scripts on a fresh clone: they must set up everything themselves."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What git tracks, as a newcomer gets it, at a path with a space."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("this is not a git checkout")
    top = tmp_path_factory.mktemp("fresh") / "film fs"
    for name in filter(None, listing.stdout.split("\0")):
        if (TOP / name).exists():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, top / name)
    yield top
    shutil.rmtree(top.parent, ignore_errors=True)


def _environment() -> dict[str, str]:
    """Without the virtual environment that these tests run in."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    inside = str(TOP / ".venv")
    kept["PATH"] = ":".join(part for part in kept["PATH"].split(":") if not part.startswith(inside))
    return kept


@pytest.mark.mount
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_ends_green_on_a_fresh_clone(clone: Path, test_data: Path) -> None:
    command = [str(clone / "scripts" / "demo"), "--once", str(test_data / "footage")]
    done = subprocess.run(
        command, cwd="/", env=_environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "✗" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_test_script_runs_on_a_fresh_clone(clone: Path) -> None:
    command = [str(clone / "scripts" / "test"), "tests/unit"]
    done = subprocess.run(
        command, cwd="/", env=_environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "passed" in done.stdout
