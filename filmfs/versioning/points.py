"""How people name a commit: `main`, `main@42`, `main@2026-11-22T10:00:00`, the beginning of a CommitId, a time."""

import re
from datetime import UTC, datetime

from filmfs.core.errors import NotFound, Usage
from filmfs.versioning.layers import Branch, Layer, LayerTable


def resolve(table: LayerTable, point: str) -> Layer:
    """The commit that `main`, `main@42`, `main@TIME`, a CommitId's beginning or a TIME (on main) names.

    A branch names its newest commit. Raises NotFound or Usage.
    """
    branch = table.find(point)
    if branch is not None:
        return table.head(branch)
    name, _, at = point.rpartition("@")
    if name and at.isdecimal():
        return _numbered(table, table.get(name), int(at))
    when = _parse_time(at if name else point)
    if when is not None:
        return at_time(table, table.get(name or "main"), when)
    if re.fullmatch(r"[0-9a-f]{4,64}", point):
        return _by_commit_id(table, point)
    if name:
        raise Usage(f"{point!r} names no commit; write BRANCH@NUMBER or BRANCH@2026-11-22T10:00:00")
    table.get(point)
    raise AssertionError("unreachable")


def at_time(table: LayerTable, branch: Branch, when: int) -> Layer:
    """The newest commit that `branch` saw at `when`, nanoseconds since 1970. Raises NotFound when it had none yet."""
    commit = table.find_at(branch, when)
    if commit is None:
        raise NotFound(f"{branch.name} had no commit at that time")
    return commit


def _numbered(table: LayerTable, branch: Branch, number: int) -> Layer:
    commit = table.find_numbered(branch, number)
    if commit is None:
        raise NotFound(f"{branch.name} has no commit {number}; its newest is {table.head(branch).number}")
    return commit


def _by_commit_id(table: LayerTable, start: str) -> Layer:
    found = [layer for layer in table.layers.values() if layer.commit and layer.commit.hex().startswith(start)]
    if len(found) > 1:
        raise Usage(f"{len(found)} commits begin with {start}; write more of the id")
    if not found:
        raise NotFound(f"there is no commit {start}, and no branch of that name")
    return found[0]


def _parse_time(text: str) -> int | None:
    """Nanoseconds since 1970 of an ISO 8601 time; local unless it names a zone. A date alone is its end."""
    try:
        moment = datetime.fromisoformat(text.replace(".", ":") if text.count(".") == 2 else text)
    except ValueError:
        return None
    if len(text) == 10:
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    try:
        return int(moment.timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError):  # the first and the last year that a calendar has, in some time zones
        return int(moment.replace(tzinfo=UTC).timestamp() * 1_000_000) * 1000
