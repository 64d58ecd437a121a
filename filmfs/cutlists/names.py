"""The names of an edit list's clips: in its order, and such that every system can have them.

001_A001C003.mov    the first event, of A001C003.mov
002_V2_logo.mov     on the second track of the picture
003_A1-2_wild.wav   sound alone, of channels 1 and 2
"""

import os.path
import re
import unicodedata
from collections.abc import Sequence

from filmfs.core.paths import NAME_MAX
from filmfs.cutlists.model import Event

_ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')  # on Windows, and so on SMB
_SUFFIX_MAX = 16


def clip_names(events: Sequence[Event], files: Sequence[str | None]) -> tuple[str | None, ...]:
    """For each event the name of its clip, None where it has no file. `files` are the names of what they are of."""
    width = max(3, len(str(len(events))))
    return tuple(
        clip_name(f"{number:0{width}d}", event, file) if file is not None else None
        for number, (event, file) in enumerate(zip(events, files, strict=True), 1)
    )


def clip_name(ordinal: str, event: Event, file: str) -> str:
    """The name of an event's clip of a file. No such name is one of Windows' devices: it begins with a number."""
    stem, suffix = os.path.splitext(safe(os.path.basename(file)))
    head = "_".join(part for part in (ordinal, _mark(event)) if part)
    suffix = suffix if len(suffix.encode()) <= _SUFFIX_MAX else ""
    room = NAME_MAX - len(f"{head}_{suffix}".encode())
    stem = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{head}_{stem or 'clip'}{suffix}"


def safe(name: str) -> str:
    """A name without what Windows refuses, composed (NFC)."""
    return _ILLEGAL.sub("_", unicodedata.normalize("NFC", name)).rstrip(" .")


def _mark(event: Event) -> str:
    """Where the clip goes, unless that is the picture's first track."""
    if event.picture:
        return f"V{event.tracks.layer}" if event.tracks.layer > 1 else ""
    return f"A{_runs(event.sounds)}" if event.sounds else ""


def _runs(channels: Sequence[int]) -> str:
    """`1-4`, `1+3`."""
    runs: list[list[int]] = []
    for channel in channels:
        if runs and channel == runs[-1][-1] + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return "+".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:8])
