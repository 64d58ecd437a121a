"""docs/performance.md: made of what was recorded (performance.json) and of what was written (performance.in.md).

A line `{{NAME}}` in the latter becomes the figures of the bench NAME.
"""

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECORD = DOCS / "performance.json"
WORDS = DOCS / "performance.in.md"
PAGE = DOCS / "performance.md"
_OURS = "filmfs"
_HEAD = "<!-- Made by scripts/bench --page from performance.in.md and performance.json: change those. -->\n"


def page() -> str:
    """The page as it should be."""
    recorded = json.loads(RECORD.read_text())
    return _HEAD + re.sub(
        r"^\{\{(\w+)\}\}$", lambda match: _part(recorded.get(match[1])), WORDS.read_text(), flags=re.MULTILINE
    )


def record(outcomes: dict[str, Any]) -> None:
    """Puts new outcomes in the place of older ones, and makes the page anew."""
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    RECORD.write_text(json.dumps(dict(sorted({**recorded, **outcomes}.items())), indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page())


def _part(outcome: Any) -> str:
    if outcome is None:
        return "Not measured yet."
    who = _who(outcome["figures"])
    lines = ["| | " + " | ".join([*who, "ratio", "target"]) + " |", "|---" * (len(who) + 3) + "|"]
    lines += [_row(figure, who) for figure in outcome["figures"]]
    facts = "; ".join(f"{name.replace('_', ' ')}: {_fact(name, value)}" for name, value in outcome["facts"].items())
    machine = outcome["machine"]
    where = f"{machine['cpus']} × {machine['cpu']}, {machine['memory_gib']} GiB, Linux {machine['kernel']}"
    size = " in small sizes (`--quick`)" if outcome.get("quick") else ""
    told = f"Taken{size} on {outcome['date']}, {where}, load {machine['load']} at the start."
    return "\n".join([*lines, "", (facts[0].upper() + facts[1:] + ". " if facts else "") + told])


def _who(figures: list[Any]) -> list[str]:
    seen = dict.fromkeys(name for figure in figures for name in figure["best"])
    return [*[name for name in seen if name != _OURS], _OURS]


def _row(figure: Any, who: list[str]) -> str:
    cells = [f"{_number(figure['best'][name])} {figure['unit']}" if name in figure["best"] else "" for name in who]
    ratio = ""
    if figure.get("ratio") is not None:
        ratio = f"{_number(figure['ratio'])} × {figure['against']}"
        if figure.get("median_ratio") and figure["rounds"] > 1:
            ratio += f" (median {_number(figure['median_ratio'])})"
    if any(sum(spent) for spent in figure["cpu_s"].values()) and figure["unit"] == "s":
        ratio += f"{'; ' if ratio else ''}processor time {_number(sum(figure['cpu_s'][_OURS]))} s"
    target = ""
    if figure.get("target"):
        target = f"{figure['target']}: {'met' if figure['met'] else '**not met**'}"
    return "| " + " | ".join([figure["what"], *cells, ratio, target]) + " |"


def _fact(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_fact(name, each)}" for key, each in value.items())
    if isinstance(value, int) and "bytes" in name and value >= 1 << 20:
        return f"{value / (1 << 20):,.0f} MiB"
    return _number(value)


def _number(value: float) -> str:
    if isinstance(value, int) or value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"
