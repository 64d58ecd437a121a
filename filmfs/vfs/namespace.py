"""The virtual part of the tree: the mount's root, `.filmfs/` and `.snapshots/`.

    /                               branches, listed; `.filmfs` and `.snapshots` are found but not listed
    /.snapshots/@GMT-…/             every branch as it was at that time
    /BRANCH/.snapshots/@GMT-…/      that branch as it was
    /.filmfs/history/BRANCH/42_…/   every commit
    /.filmfs/plain/BRANCH/          the branch, read-only, without anything virtual
    /.filmfs/status.json, metrics   what the daemon says of itself

A virtual directory is its path, a tuple of names; what it holds is worked out when it is asked for.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from filmfs.core.ids import ROOT_FILE, FileId, LayerId
from filmfs.core.paths import name_key
from filmfs.versioning.history import History
from filmfs.versioning.layers import Branch, Layer
from filmfs.vfs.nodes import Space, ViewNumbers

Path = tuple[str, ...]

FILMFS = ".filmfs"
SNAPSHOTS = ".snapshots"
HISTORY = "history"
PLAIN = "plain"
SNAPSHOT = "snapshot"
_AT_BRANCH = "\0branch"  # no name on the mount: begins the path of a branch's own .snapshots


@dataclass(frozen=True, slots=True)
class Folder:
    """A virtual directory."""

    path: Path


@dataclass(frozen=True, slots=True)
class Report:
    """A virtual file that is written anew each time it is opened."""

    path: Path
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class TreeRoot:
    """The root of a branch or of a read-only view."""

    space: Space
    file: FileId = ROOT_FILE


Target = Folder | Report | TreeRoot


class Namespace:
    """Finds and lists what virtual directories hold."""

    def __init__(self, history: History, status: Callable[[], dict[str, Any]]) -> None:
        self._history = history
        self._status = status
        self.views = ViewNumbers()

    def find(self, path: Path, name: str) -> Target | None:
        """What `name` is in the virtual directory `path`."""
        if not path:
            return self._find_at_root(name)
        if path[0] == FILMFS:
            return self._find_in_filmfs(path, name)
        if path[0] == _AT_BRANCH:
            branch = self._history.table.branches.get(int(path[1]))  # type: ignore[call-overload]
            commit = None if branch is None else self._snapshot_of(branch, name)
            return None if commit is None else self._view(f"{SNAPSHOT}.branch", commit.id)
        if path == (SNAPSHOTS,):
            return Folder((SNAPSHOTS, name)) if _parse_gmt(name) is not None and self._any_snapshot(name) else None
        if path[0] == SNAPSHOTS and len(path) == 2:
            branch = self._history.table.find(name)
            commit = None if branch is None else self._snapshot_of(branch, path[1], exact=False)
            return None if commit is None else self._view(SNAPSHOT, commit.id)
        return None

    def entries(self, path: Path) -> list[tuple[str, Target]]:
        """What the virtual directory `path` lists."""
        table = self._history.table
        names: list[str] = []
        if not path or path == (FILMFS, HISTORY) or path == (FILMFS, PLAIN):
            names = [branch.name for branch in table.alive()]
        elif path == (FILMFS,):
            names = [HISTORY, PLAIN, "metrics", "status.json"]
        elif path[:2] == (FILMFS, HISTORY) and len(path) == 3:
            branch = table.find(path[2])
            names = [] if branch is None else [_history_name(commit) for commit in table.own_commits(branch)]
        elif path[0] == _AT_BRANCH:
            branch = table.branches.get(int(path[1]))  # type: ignore[call-overload]
            names = [] if branch is None else sorted({_gmt(commit) for commit in table.commits(branch)})
        elif path == (SNAPSHOTS,):
            commits = (commit for branch in table.alive() for commit in table.own_commits(branch))
            names = sorted({_gmt(commit) for commit in commits})
        elif path[0] == SNAPSHOTS and len(path) == 2:
            names = [branch.name for branch in table.alive()]
        found = ((name, self.find(path, name)) for name in names)
        return [(name, target) for name, target in found if target is not None]

    def parent(self, path: Path) -> Path:
        """The virtual directory above."""
        return () if path[:1] == (_AT_BRANCH,) else path[:-1]

    def branch_snapshots(self, branch: Branch) -> Folder:
        """The hidden `.snapshots` in a branch's root."""
        return Folder((_AT_BRANCH, str(branch.id), SNAPSHOTS))

    def is_folder(self, path: Path) -> bool:
        """Whether the virtual directory is (still) there."""
        if not path or path[0] == _AT_BRANCH:
            return True
        return isinstance(self.find(path[:-1], path[-1]), Folder)

    def changed(self) -> int:
        """When the newest branch or commit was made, for the times of virtual directories."""
        return max(self._history.table.head(branch).time for branch in self._history.table.alive())

    def _find_at_root(self, name: str) -> Target | None:
        if name in (FILMFS, SNAPSHOTS):
            return Folder((name,))
        branch = self._history.table.find(name)
        return None if branch is None else TreeRoot(Space(branch.id))

    def _find_in_filmfs(self, path: Path, name: str) -> Target | None:
        if path == (FILMFS,):
            if name in (HISTORY, PLAIN):
                return Folder((*path, name))
            report = {"status.json": self._status_json, "metrics": self._metrics}.get(name)
            return None if report is None else Report((*path, name), report)
        branch = self._history.table.find(path[2] if len(path) == 3 else name)
        if branch is None:
            return None
        if path == (FILMFS, PLAIN):
            return TreeRoot(self.views.space(PLAIN, branch.id))
        if path == (FILMFS, HISTORY):
            return Folder((*path, branch.name))
        number = re.fullmatch(r"(\d+)(?:_.*)?", name)
        if len(path) != 3 or number is None:
            return None
        commit = self._history.table.find_numbered(branch, int(number[1]))
        return None if commit is None else self._view(HISTORY, commit.id)

    def _view(self, door: str, layer: LayerId) -> TreeRoot:
        return TreeRoot(self.views.space(door, layer))

    def _snapshot_of(self, branch: Branch, name: str, *, exact: bool = True) -> Layer | None:
        when = _parse_gmt(name)
        if when is None:
            return None
        commit = self._history.table.find_at(branch, when)
        return commit if commit is None or not exact or _gmt(commit) == name else None

    def _any_snapshot(self, name: str) -> bool:
        return any(self._snapshot_of(branch, name, exact=False) for branch in self._history.table.alive())

    def _status_json(self) -> bytes:
        return json.dumps(self._status(), indent=2, default=str).encode() + b"\n"

    def _metrics(self) -> bytes:
        """The numbers of the status, in the OpenMetrics text format."""
        lines = []
        for name, value in self._status().items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                lines += [f"# TYPE filmfs_{name} gauge", f"filmfs_{name} {value}"]
        return ("\n".join(lines) + "\n# EOF\n").encode()


def _history_name(commit: Layer) -> str:
    stamp = _utc(commit.time).strftime("%Y-%m-%dT%H.%M.%S")
    return f"{commit.number}_{stamp}" + (f"_{commit.commit.hex()[:4]}" if commit.commit else "")


def _gmt(commit: Layer) -> str:
    return _utc(commit.time).strftime("@GMT-%Y.%m.%d-%H.%M.%S")


def _parse_gmt(name: str) -> int | None:
    """The last nanosecond of the second that a snapshot's name gives."""
    try:
        moment = datetime.strptime(name, "@GMT-%Y.%m.%d-%H.%M.%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1_000_000_000 + 999_999_999


def _utc(time: int) -> datetime:
    return datetime.fromtimestamp(time // 1_000_000_000, UTC)


def as_text(name: bytes) -> str:
    """A name in a virtual directory as text. Raises NameNotUtf8 and its kind."""
    name_key(name)
    return name.decode()


def as_bytes(name: str) -> bytes:
    """The same as doors have it."""
    return name.encode(errors="surrogateescape")
