"""What a writer's journal promises of its directory after a crash, and whether that holds.

The writer works alone in its directory, one change after another, and a flush is a consistent cut. So the names that
are found must be those after one of its changes, none before the last that it was promised. A file's bytes may be newer
than its name, because what is written in place reaches the disk when it likes: each byte must be of that state or of
one that followed, and its size must be one that it had, or of the write that was under way.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.crash.witness import data

_BLOCK = 4096

Files = dict[str, tuple[int, bytes]]
"""What is found in a directory: for each path below it the inode, and the bytes."""


@dataclass(slots=True)
class State:
    """A writer's directory after one of its changes."""

    names: dict[str, int] = field(default_factory=dict)
    contents: dict[int, bytes] = field(default_factory=dict)

    def after(self, change: dict[str, Any]) -> "State":
        """The state that follows; bytes are shared."""
        names, contents = dict(self.names), dict(self.contents)
        match change["what"]:
            case "create":
                names[change["name"]], contents[change["inode"]] = change["inode"], b""
            case "write":
                before, at = contents[change["inode"]], change["at"]
                new = data(change["seed"], change["length"])
                contents[change["inode"]] = before[:at].ljust(at, b"\0") + new + before[at + len(new) :]
            case "truncate":
                contents[change["inode"]] = contents[change["inode"]][: change["size"]].ljust(change["size"], b"\0")
            case "rename":
                names[change["to"]] = names.pop(change["name"])
            case "link":
                names[change["to"]] = names[change["name"]]
            case "unlink":
                del names[change["name"]]
        return State(names, contents)


@dataclass(slots=True)
class Promises:
    """A journal, read: the states from the last promised one on, and those that are kept in history."""

    states: list[State]
    kept: dict[str, State]
    synced: int

    @classmethod
    def of(cls, lines: Iterable[str]) -> "Promises":
        """Reads a journal; a last line that was cut off does not count."""
        states, kept, first, synced = [State()], {}, 0, 0
        for facts in _facts(lines):
            if "do" in facts:
                states.append(states[-1].after(facts))
            elif "synced" in facts:
                synced = facts["synced"]
                states, first = states[synced - first :], synced
            elif "kept" in facts:
                kept[facts["point"]] = states[facts["kept"] - first]
        return cls(states, kept, synced)

    def breach(self, found: Files) -> str | None:
        """What of the promise is not held by the files that were found, if anything."""
        breaches = []
        for index, state in enumerate(self.states):
            if found.keys() == state.names.keys():
                wrong = _linked_wrongly(found, state) or _wrong_bytes(found, self.states[index:])
                if wrong is None:
                    return None
                breaches.append(wrong)
        if breaches:
            return breaches[0]
        wanted = [sorted(state.names) for state in (self.states[0], self.states[-1])]
        return f"the names are {sorted(found)}; promised were {wanted[0]}, and in the end there were {wanted[1]}"

    def breach_of_kept(self, point: str, found: Files) -> str | None:
        """The same of a point of history, which has one state exactly."""
        state = self.kept[point]
        expected = {name: state.contents[inode] for name, inode in state.names.items()}
        if {name: bytes_ for name, (_, bytes_) in found.items()} == expected:
            return None
        return f"{point} is not what it was: {sorted(found)}; expected {sorted(expected)}, or other bytes in them"


def _facts(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return


def _linked_wrongly(found: Files, state: State) -> str | None:
    pairs = {(found[name][0], inode) for name, inode in state.names.items()}
    if len(pairs) == len({inode for inode, _ in pairs}) == len({inode for _, inode in pairs}):
        return None
    return f"names do not share inodes as they did: {state.names}"


def _wrong_bytes(found: Files, states: list[State]) -> str | None:
    for name, inode in states[0].names.items():
        versions = [state.contents[inode] for state in states]
        wrong = _wrong_file(found[name][1], versions)
        if wrong is not None:
            return f"{name}: {wrong}"
    return None


def _wrong_file(found: bytes, versions: list[bytes]) -> str | None:
    if found in versions:
        return None
    sizes = {len(version) for version in versions}
    between = any(min(map(len, pair)) < len(found) < max(map(len, pair)) for pair in pairwise(versions))
    if len(found) not in sizes and not between:
        return f"it has {len(found)} bytes; {sorted(sizes)} would be right"
    for at in range(0, len(found), _BLOCK):
        block = found[at : at + _BLOCK]
        legal = [version[at : at + len(block)].ljust(len(block), b"\0") for version in versions]
        if block not in legal:
            for index, options in enumerate(zip(*legal, strict=True)):
                if block[index] not in options:
                    return f"the byte at {at + index} of {len(found)} is {block[index]} and was never"
    return None


def files_below(top: Path) -> Files:
    """What is found in a directory of a mount."""
    return {
        str(path.relative_to(top)): (path.stat().st_ino, path.read_bytes()) for path in top.rglob("*") if path.is_file()
    }
