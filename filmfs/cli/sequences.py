"""`clip` of a directory: a range of an image sequence as a directory of its frames."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from filmfs.archive import Archive
from filmfs.archive.sequences import KeptSequence, kept_sequence
from filmfs.cli.common import Output, size
from filmfs.core.errors import BadTimecode, Exists
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import FileId
from filmfs.core.ranges import with_handles
from filmfs.core.sequences import split_sequence
from filmfs.core.smpte import shown_rate
from filmfs.core.words import counted
from filmfs.store.exporting import export
from filmfs.versioning.rows import Entry
from filmfs.versioning.view import View


class SequenceClip:
    """A directory of an archive as an image sequence, for the command line."""

    def __init__(self, archive: Archive, view: View, directory: FileId, place: str) -> None:
        """Raises BadTimecode when there is no sequence in it, or several."""
        self._archive = archive
        self._view = view
        self._place = place
        self._name = place.rstrip("/").rpartition("/")[2].rpartition(":")[2]
        self._kept = kept_sequence(lambda: nullcontext(view), archive.contents, directory, self._name)

    def tell(self, output: Output) -> None:
        """Says which frames there are."""
        facts = {"place": self._place, **_facts(self._kept)}
        output.result(facts, lambda: _lines(facts))

    def write(self, time_range: str, handles: int, directory: str | None, output: Output) -> None:
        """Writes the frames of a range into a new directory; without one only says what they are."""
        split = split_sequence(f"{self._name}@{time_range}")
        if split is None:
            raise BadTimecode(f"{time_range!r} is no range of a sequence; 1011-1020 is one, or a range of time code")
        asked = with_handles(split[1], handles)
        frames = self._kept.frames(asked)
        wanted = len(self._kept.frames(replace(asked, head=0, tail=0))) + asked.head + asked.tail
        maps = [self._map_of(frame) for frame in frames]
        name = f"{self._name}@{time_range}" + (f"+{handles}" if asked != split[1] else "")
        facts: dict[str, Any] = {
            "place": self._place,
            "clip": name,
            "first": frames[0].name.decode(errors="replace"),
            "last": frames[-1].name.decode(errors="replace"),
            "count": len(frames),
            "handles_cut": len(frames) < wanted,
            "size": sum(extents.size for extents in maps),
        }
        if directory is None:
            told = f"{name}: {facts['first']} to {facts['last']}"
            output.result(facts, lambda: iter([told, _total(facts)]))
            return
        target = os.path.join(directory, name) if os.path.isdir(directory) else directory
        if os.path.lexists(target):
            raise Exists(f"{target} is there already")
        os.makedirs(target)
        with output.progress(f"writing {target}", facts["size"]) as advance:
            for frame, extents in zip(frames, maps, strict=True):
                export(self._archive.contents, extents, os.path.join(target, os.fsdecode(frame.name)), advance)
        output.result({**facts, "output": target}, lambda: iter([f"{target}: {_total(facts)}"]))

    def _map_of(self, frame: Entry) -> ExtentMap:
        return self._archive.contents.map_of(self._view.get_inode(frame.file).content)


def _total(facts: dict[str, Any]) -> str:
    cut = ", handles cut at the sequence's ends" if facts["handles_cut"] else ""
    return f"{counted(facts['count'], 'frame')}, {size(facts['size'])}{cut}"


def _facts(kept: KeptSequence) -> dict[str, Any]:
    sequence, counting = kept.sequence, kept.counting
    facts: dict[str, Any] = {
        "sequence": sequence.pattern,
        "first": sequence.numbers[0],
        "last": sequence.numbers[-1],
        "frames": len(sequence.numbers),
        "gaps": [list(gap) for gap in sequence.gaps],
        "start": None,
    }
    if counting is not None:
        facts |= {"start": str(counting.label(counting.start)), "rate": shown_rate(counting.rate)}
    return facts


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    start = f", from {facts['start']} on at {facts['rate']}" if facts["start"] is not None else ", without time code"
    yield f"{facts['sequence']}: {facts['first']} to {facts['last']}, {counted(facts['frames'], 'frame')}{start}"
    for first, last in facts["gaps"]:
        yield f"missing: {first}" + (f" to {last}" if last != first else "")
