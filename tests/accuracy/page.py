"""docs/accuracy.md: made of what came out (accuracy.json) and of what was written (accuracy.in.md).

`python -m tests.accuracy.page` makes it, and with `--run` tries everything before, which takes ten minutes.
"""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.accuracy.readers import READERS

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECORD = DOCS / "accuracy.json"
PAGE = DOCS / "accuracy.md"
EXACT = "exact"
WORDS = DOCS / "accuracy.in.md"
_HEAD = "<!-- Made by python -m tests.accuracy.page from accuracy.in.md and accuracy.json: change those. -->\n"


def page(found: dict[str, Any]) -> str:
    """The page of a record."""
    films = [cell for cell in found["cells"] if cell["reader"] and cell["clip"] != "folder"]
    parts = {
        "readers": _readers(found),
        "films": _films(films),
        "sequences": _folders([cell for cell in found["cells"] if cell["clip"] == "folder"]),
        "refused": _refused([cell for cell in found["cells"] if not cell["reader"]]),
    }
    words = WORDS.read_text(encoding="utf-8")
    return _HEAD + re.sub(r"^\{\{(\w+)\}\}$", lambda match: parts[match[1]], words, flags=re.MULTILINE)


def _readers(found: dict[str, Any]) -> str:
    compared = {reader.name: reader.compares for reader in READERS}
    lines = [f"| {name} | {version} | {compared[name]} |" for name, version in found["readers"].items()]
    when = f"Tried on {found['date']}: {len(found['cells'])} comparisons."
    return "\n".join(["| reader | version | compares |", "|---|---|---|", *lines, "", when])


def _films(cells: list[dict[str, str]]) -> str:
    notes: list[str] = []
    rows: dict[tuple[str, str, str], dict[str, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        rows[cell["film"], cell["made_by"], cell["clip"]][cell["reader"]].append(cell)
    names = [reader.name for reader in READERS]
    lines = [f"| film | written by | clip | {' | '.join(names)} | on a mount |", "|---" * (len(names) + 4) + "|"]
    for (film, made_by, clip), by_reader in rows.items():
        shown = [_cell(by_reader.get(name, []), notes) for name in names]
        mount = "the same" if _is_exact(by_reader.get("mount", [])) else "" if "mount" not in by_reader else "OTHER"
        lines.append(f"| {' | '.join([film, made_by, f'`{clip}`', *shown, mount])} |")
    return "\n".join([*lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, 1))])


def _cell(cells: list[dict[str, str]], notes: list[str]) -> str:
    if not cells:
        return ""
    exact = [cell for cell in cells if cell["outcome"] == EXACT]
    if len(exact) == len(cells):
        return f"exact, {len(exact)}/{len(cells)}"
    marks = []
    for why in dict.fromkeys(cell["outcome"] for cell in cells if cell["outcome"] != EXACT):
        text = why.partition(": ")[2] if not why.startswith("WRONG") else why
        if text not in notes:
            notes.append(text)
        marks.append(f"[{notes.index(text) + 1}]")
    missing = ", ".join(cell["range"] for cell in cells if cell["outcome"] != EXACT)
    if not exact:
        return f"no {' '.join(marks)}"
    return f"{len(exact)}/{len(cells)} {' '.join(marks)}, not: {missing}"


def _is_exact(cells: list[dict[str, str]]) -> bool:
    return bool(cells) and all(cell["outcome"] == EXACT for cell in cells)


def _folders(cells: list[dict[str, str]]) -> str:
    lines = [f"| {cell['film']} | {'the same' if cell['outcome'] == EXACT else cell['outcome']} |" for cell in cells]
    return "\n".join(["| images | names, bytes and inodes |", "|---|---|", *lines])


def _refused(cells: list[dict[str, str]]) -> str:
    lines = [f"| {cell['film']} | {cell['outcome'].partition(': ')[2]} |" for cell in cells]
    return "\n".join(["| what | why |", "|---|---|", *lines])


def main() -> int:
    """Makes the page; with --run of a new record."""
    code = 0
    if "--run" in sys.argv[1:]:
        environment = {**os.environ, "FILMFS_INTEROP": "all", "FILMFS_ACCURACY": str(RECORD)}
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/accuracy"], env=environment, check=False
        ).returncode
    PAGE.write_text(page(json.loads(RECORD.read_text(encoding="utf-8"))), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
