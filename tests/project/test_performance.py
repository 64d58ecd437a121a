"""docs/performance.md and the bench that it is made of."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
_BENCH = [sys.executable, str(TOP / "scripts" / "bench.py")]


def test_the_page_is_what_the_record_and_the_words_make(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    done = subprocess.run([*_BENCH, "--page", "--to", page], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert page.read_text() == (TOP / "docs" / "performance.md").read_text()


@pytest.mark.mount
def test_the_bench_measures_names_against_an_empty_file_system(tmp_path: Path) -> None:
    command = [*_BENCH, "--quick", "--rounds", "1", "--dir", tmp_path, "metadata"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)["metadata"]["figures"]
    assert {"stat, not known to the kernel", "create files of 1 KB"} <= {figure["what"] for figure in figures}
    assert all(figure["ratio"] > 0 for figure in figures)
