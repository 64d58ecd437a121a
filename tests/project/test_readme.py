"""Every command of the README runs as written, on paths of the test's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_every_command_that_the_documentation_names_is_there() -> None:
    named = set()
    for page in ("README.md", "docs/operating.md"):
        text = (TOP / page).read_text(encoding="utf-8")
        named |= set(re.findall(r"filmfs ((?:branch )?[a-z]+) ", text)) | set(re.findall(r"`filmfs ([a-z]+)`", text))
    named -= {"in", "archive", "and", "branch"}
    assert {"init", "add", "mount", "umount", "check", "commit", "branch create"} <= named
    for command in sorted(named):
        asked = [sys.executable, "-m", "filmfs", *command.split(), "--help"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"filmfs {command}: {done.stderr}"
