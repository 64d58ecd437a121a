"""Every command of the README runs as written, on paths of the test's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.footage import Film
from tests.support import tree_of_files

TOP = Path(__file__).resolve().parents[2]


def _blocks(page: str) -> list[str]:
    text = (TOP / page).read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.mark.mount
def test_the_readme_works_as_written(tmp_path: Path) -> None:
    card = tree_of_files(tmp_path / "card" / "A001")
    home = tmp_path / "home"
    home.mkdir()
    commands = [block for block in _blocks("README.md") if "filmfs " in block and "scripts/" not in block]
    assert len(commands) == 3
    script = "set -eux\n" + "".join(commands)
    for written, here in ((".venv/bin/filmfs", "filmfs"), ("/tank", str(tmp_path)), ("/media/card/A001", str(card))):
        script = script.replace(written, here)
    environment = {**os.environ, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    try:
        done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    finally:
        subprocess.run(["fusermount3", "-uzq", home / "film"], check=False)
    assert done.returncode == 0, done.stderr
    assert "sound: 2 branches" in done.stdout


def test_the_commands_about_proxies_work_as_written(tmp_path: Path) -> None:
    block = "".join(_blocks("docs/proxies.md"))
    (tmp_path / "A001").mkdir()
    Film(size=(640, 360)).write(tmp_path / "A001" / "scene.mov")
    done = _run(f"filmfs init {tmp_path}/film\nfilmfs add {tmp_path}/film {tmp_path}/A001\n{block}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "scene.mov: thumbnail 80×46" in done.stdout
    assert "preview: 160×90 h264" in done.stdout


def _run(script: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """What a page's commands say, with paths of the test's own."""
    script = "set -eux\n" + script.replace(".venv/bin/filmfs", "filmfs").replace("/tank", str(tmp_path))
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120)


def test_the_commands_about_clips_work_as_written(tmp_path: Path) -> None:
    block = "".join(_blocks("docs/clips.md"))
    (tmp_path / "A001").mkdir()
    (tmp_path / "cuts").mkdir()
    edl = "001  scene V C 01:00:00:00 01:00:01:00 10:00:00:00 10:00:01:00\n* FROM CLIP NAME: scene.mov\n"
    (tmp_path / "cuts" / "reel1.edl").write_text(edl)
    for name in ("scene.mov", "scene.mxf"):
        Film().write(tmp_path / "A001" / name)
    done = _run(
        f"filmfs init {tmp_path}/film\nfilmfs add {tmp_path}/film {tmp_path}/A001 {tmp_path}/cuts\n{block}", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "48 frames at 24" in done.stdout
    assert (tmp_path / "scene@01.00.00.00-01.00.01.00+0-8.mov").exists()
    assert (tmp_path / "scene.mov").exists()
    assert (tmp_path / "reel1.mov").exists()
    assert (tmp_path / "reel1" / "scene_S000.mov").exists()


def test_every_command_that_the_documentation_names_is_there() -> None:
    named = set()
    for page in ("README.md", "docs/operating.md", "docs/clips.md"):
        text = (TOP / page).read_text(encoding="utf-8")
        named |= set(re.findall(r"filmfs ((?:branch )?[a-z]+) ", text)) | set(re.findall(r"`filmfs ([a-z]+)`", text))
    named -= {"in", "archive", "and", "branch"}
    assert {"init", "add", "mount", "umount", "check", "commit", "branch create"} <= named
    for command in sorted(named):
        asked = [sys.executable, "-m", "filmfs", *command.split(), "--help"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"filmfs {command}: {done.stderr}"
