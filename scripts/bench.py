"""Speed as ratios to other work done in the same run.

    scripts/bench [--dir DIR] [--rounds N] [--quick] [--record] [NAME...]

Prints one JSON object: for each bench its figures, facts, and the machine; and on the way a line a figure to stderr.
With --record the object goes into docs/performance.json as well, and docs/performance.md is made of that; --page only
makes the page, and --take FILE records an object that an earlier run printed.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches import adding, clipping, edited, lengthy, lists, names, page, proxying, waiting, whole
from benches.frame import Client, Outcome, machine, rounded
from benches.places import Place

BENCHES: dict[str, Callable[[Place], Outcome]] = {
    "ingest": adding.ingest,
    "small_files": adding.small_files,
    "read_whole": whole.read_whole,
    "write_new": whole.write_new,
    "copy_inside": whole.copy_inside,
    "extents": edited.extents,
    "cow": edited.cow,
    "metadata": names.metadata,
    "listing": names.listing,
    "find": names.find,
    "loop": waiting.loop,
    "clip_index": clipping.clip_index,
    "clip_open": clipping.clip_open,
    "clip_long": lengthy.clip_long,
    "cut_list": lists.cut_list,
    "proxies": proxying.proxies,
    "proxies_beside": proxying.proxies_beside,
}
GROUPS = {"clips": ["clip_index", "clip_open", "clip_long", "cut_list"]}
"""Names for several of them."""


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description="Speed as ratios to other work done in the same run.")
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHES, *GROUPS, []], metavar="NAME", help=", ".join([*BENCHES, *GROUPS])
    )
    parser.add_argument("--dir", type=Path, help="where to work; the disk there is what is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work, not how fast is it")
    parser.add_argument("--record", action="store_true", help="into docs/performance.json and .md")
    parser.add_argument("--page", action="store_true", help="only make docs/performance.md of what is recorded")
    parser.add_argument("--to", type=Path, default=page.PAGE, help=argparse.SUPPRESS)
    parser.add_argument("--take", type=Path, help="record what an earlier run printed")
    chosen = parser.parse_args()
    if chosen.page:
        chosen.to.write_text(page.page())
        return
    if chosen.take:
        page.record(json.loads(chosen.take.read_text()))
        return
    outcomes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=chosen.dir, prefix="filmfs-bench-") as directory:
        place = Place(Path(directory), Client(Path(directory)), chosen.rounds, chosen.quick)
        for chosen_name in chosen.names or BENCHES:
            for name in GROUPS.get(chosen_name, [chosen_name]):
                outcomes[name] = _run(BENCHES[name], place)
    if chosen.record:
        page.record(outcomes)
    json.dump(outcomes, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _run(bench: Callable[[Place], Outcome], place: Place) -> dict[str, Any]:
    found: dict[str, Any] = {
        "about": (bench.__doc__ or "").strip(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "quick": place.quick,
    }
    outcome = bench(place)
    for figure in outcome.figures:
        print(figure, file=sys.stderr)
    return found | {"figures": [figure.as_json() for figure in outcome.figures], "facts": rounded(outcome.facts)}


if __name__ == "__main__":
    main()
