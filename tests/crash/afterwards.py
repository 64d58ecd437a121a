"""What a disk may hold after a power cut, made of the journal of `tests.crash.forgetful`.

What was synced is there. Of what was not:

- bytes: each page of 4 KiB has any of its versions since it was synced, and now and then each sector of 512 bytes one
  of its own (a torn page); the size is one of those that the file had;
- names: any of the changes may be missing, but none is there without those of the same names before it and without its
  directory; a rename is one step, as on every journaling file system; the sync of a file is not one of its name.
"""

import pickle
import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = 1
PAGE = 4096
SECTOR = 512

Change = tuple[Any, ...]


def read_journal(path: Path) -> list[Change]:
    """All that was noted."""
    changes = []
    with open(path, "rb") as file:
        try:
            while True:
                changes.append(pickle.load(file))
        except EOFError:
            return changes


@dataclass(slots=True)
class _File:
    synced: bytes = b""
    pending: list[Change] = field(default_factory=list)

    def latest(self) -> bytes:
        return next(reversed([*self.versions()]))

    def versions(self) -> Iterator[bytes]:
        """As it was synced, and after each change since."""
        data = bytearray(self.synced)
        yield bytes(data)
        for change in self.pending:
            _apply(data, change)
            yield bytes(data)


@dataclass(slots=True)
class _Naming:
    change: Change
    keys: set[tuple[int, bytes]]
    needs: list["_Naming"]
    durable: bool = False


class Disk:
    """The disk while changes are made; `after_power_cut` at any moment."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._kinds: dict[int, int] = {ROOT: stat.S_IFDIR}
        self._namings: list[_Naming] = []
        self._last: dict[tuple[int, bytes], _Naming] = {}
        self._placed: dict[int, _Naming] = {}
        self._names: dict[tuple[int, bytes], int] = {}

    def note(self, change: Change) -> None:
        """The next change."""
        match change:
            case ("write" | "truncate", node, *_):
                self._files[node].pending.append(change)
            case ("sync", node) if self._kinds[node] == stat.S_IFDIR:
                for naming in self._namings:
                    if not naming.durable and any(directory == node for directory, _ in naming.keys):
                        _make_durable(naming)
            case ("sync", node):
                self._sync_file(node)
            case ("lost", node):
                if node in self._files:
                    self._files[node].pending.clear()
            case ("syncfs",):
                for naming in self._namings:
                    naming.durable = True
                for node in self._files:
                    self._sync_file(node)
            case _:
                self._note_naming(change)

    def _sync_file(self, node: int) -> None:
        file = self._files[node]
        if file.pending:
            file.synced = file.latest()
            file.pending.clear()

    def _note_naming(self, change: Change) -> None:
        keys = {(change[1], change[2])}
        match change:
            case ("make", directory, name, node, kind):
                self._kinds[node] = kind
                self._files.setdefault(node, _File())
            case ("link", directory, name, node):
                pass
            case ("unlink", directory, name):
                node = self._names.pop((directory, name))
            case ("rename", directory, name, to, new):
                keys.add((to, new))
                node = self._names.pop((directory, name))
                directory, name = to, new
        needs = [self._last[key] for key in keys if key in self._last]
        needs += [self._placed[directory] for directory, _ in keys if directory in self._placed]
        naming = _Naming(change, keys, needs)
        self._namings.append(naming)
        self._last.update(dict.fromkeys(keys, naming))
        if change[0] != "unlink":
            self._names[directory, name] = node
            self._placed.setdefault(node, naming)

    def after_power_cut(self, chance: random.Random, kept: float) -> dict[str, bytes | None]:
        """Paths and bytes of files, None for directories. About the part `kept` of what was not synced is there."""
        there = [naming for naming in self._namings if naming.durable or chance.random() < kept]
        wanted: set[int] = set()
        for naming in there:
            _gather(naming, wanted)
        names: dict[int, dict[bytes, int]] = {}
        for naming in self._namings:
            if id(naming) in wanted:
                _carry_out(naming.change, names)
        return dict(self._below(ROOT, "", names, chance, kept))

    def now(self, path: str) -> bytes:
        """The file at `path` as it was seen before the power cut."""
        node = ROOT
        for part in path.encode().split(b"/"):
            node = self._names[node, part]
        return self._files[node].latest()

    def _below(
        self, directory: int, path: str, names: dict[int, dict[bytes, int]], chance: random.Random, kept: float
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, node in names.get(directory, {}).items():
            inner = f"{path}{name.decode()}"
            if self._kinds[node] == stat.S_IFDIR:
                yield inner, None
                yield from self._below(node, f"{inner}/", names, chance, kept)
            elif self._kinds[node] == stat.S_IFREG:
                yield inner, _surviving(self._files[node], chance, kept)


def _make_durable(naming: _Naming) -> None:
    naming.durable = True
    for need in naming.needs:
        if not need.durable:
            _make_durable(need)


def _gather(naming: _Naming, wanted: set[int]) -> None:
    pending = [naming]
    while pending:
        naming = pending.pop()
        if id(naming) not in wanted:
            wanted.add(id(naming))
            pending += naming.needs


def _carry_out(change: Change, names: dict[int, dict[bytes, int]]) -> None:
    here = names.setdefault(change[1], {})
    match change:
        case ("make" | "link", _, name, node, *_):
            here[name] = node
        case ("unlink", _, name):
            del here[name]
        case ("rename", _, name, to, new):
            names.setdefault(to, {})[new] = here.pop(name)


def _surviving(file: _File, chance: random.Random, kept: float) -> bytes:
    if not file.pending or kept <= 0:
        return file.synced
    if kept >= 1:
        return file.latest()
    versions = [*file.versions()]

    def pick() -> bytes:
        return chance.choice(versions) if chance.random() < kept else versions[0]

    result = bytearray(len(pick()))
    for page in sorted(_touched(file)):
        unit = SECTOR if chance.random() < 0.1 else PAGE
        for at in range(page, min(page + PAGE, len(result)), unit):
            end = min(at + unit, len(result))
            result[at:end] = pick()[at:end].ljust(end - at, b"\0")
    untouched = [page for page in range(0, len(result), PAGE) if page not in _touched(file)]
    for page in untouched:
        end = min(page + PAGE, len(result))
        result[page:end] = versions[0][page:end].ljust(end - page, b"\0")
    return bytes(result)


def _touched(file: _File) -> set[int]:
    pages: set[int] = set()
    size = len(file.synced)
    for change in file.pending:
        start, end = (change[2], change[2] + len(change[3])) if change[0] == "write" else sorted((size, change[2]))
        size = max(size, end) if change[0] == "write" else change[2]
        pages.update(range(start // PAGE * PAGE, end, PAGE))
    return pages


def _apply(data: bytearray, change: Change) -> None:
    if change[0] == "truncate":
        del data[change[2] :]
        data.extend(bytes(change[2] - len(data)))
    else:
        _, _, at, new = change
        data.extend(bytes(max(0, at - len(data))))
        data[at : at + len(new)] = new


def write_out(state: dict[str, bytes | None], top: Path) -> None:
    """Makes the files of a state below `top`."""
    for path, data in state.items():
        if data is None:
            (top / path).mkdir(parents=True)
        else:
            (top / path).write_bytes(data)
