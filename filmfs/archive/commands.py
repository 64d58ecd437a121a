"""What changes an archive, as a table: name → a function of an open archive and plain arguments that gives plain facts.

The command line runs these on an archive that it opened, and a mounted archive's daemon runs the same ones for it. Each
is a generator, so that an event loop can breathe between its steps; what it returns is what `--json` prints. The caller
flushes after the last step and before it says that anything was done.
"""

import os
from collections.abc import Callable, Generator
from typing import Any

from filmfs.archive.opening import SPOOL_PREFIX, Archive
from filmfs.core.errors import Usage
from filmfs.core.paths import shown
from filmfs.store.records import read_frames
from filmfs.versioning.layers import Branch, Layer
from filmfs.versioning.publish import NewFile, Publisher

_QUICK_NAMES = 1000  # changes that a branch or a commit may wait for; what is left is named by the next mount

Facts = dict[str, Any]
Steps = Generator[None, None, Facts]


def run(archive: Archive, name: str, arguments: Facts) -> Steps:
    """The steps of the command `name`. Raises Usage when there is none, or its arguments are others."""
    command = COMMANDS.get(name)
    if command is None:
        raise Usage(f"there is no command {name!r}")
    try:
        return command(archive, **arguments)
    except TypeError as error:
        raise Usage(f"{name}: {error}") from error


def run_and_flush(archive: Archive, name: str, arguments: Facts) -> Facts:
    """Runs a command to its end, makes it durable, and names commits if that is quick: for callers without a loop."""
    steps = run(archive, name, arguments)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        history = archive.history
        history.flush()
        if name == "publish" or history.is_naming_quick(history.unnamed(), _QUICK_NAMES):
            history.name_commits()
            history.flush()
        facts: Facts = end.value
        return facts


def branch_facts(archive: Archive, branch: Branch) -> Facts:
    """What `branch list` says of a branch."""
    table = archive.history.table
    head = table.head(branch)
    return {
        "name": branch.name,
        "id": branch.id,
        "description": branch.description,
        "created": branch.created,
        "head": commit_name(archive, head),
        "changed": archive.history.has_changes(branch),
    }


def commit_name(archive: Archive, commit: Layer) -> str:
    """`main@42`."""
    return f"{archive.history.table.branches[commit.branch].name}@{commit.number}"


def commit_facts(archive: Archive, commit: Layer) -> Facts:
    """What `log` says of a commit."""
    return {
        "commit": commit_name(archive, commit),
        "id": commit.commit.hex() if commit.commit else None,
        "time": commit.time,
        "author": commit.author,
        "message": commit.message,
        "labels": list(commit.labels),
        "automatic": commit.automatic,
        "parents": [commit_name(archive, archive.history.table.layer(parent)) for parent in commit.parents],
    }


def _nothing() -> Generator[None, None, None]:
    yield from ()


def _create_branch(
    archive: Archive, *, name: str, author: str, source: str | None = None, description: str = ""
) -> Steps:
    yield from _nothing()
    branch, writing = archive.history.create_branch(name, author, source=source, description=description)
    return {**branch_facts(archive, branch), "open_for_writing": [shown(path) for path in writing]}


def _rename_branch(archive: Archive, *, name: str, to: str) -> Steps:
    yield from _nothing()
    branch = archive.history.table.get(name)
    archive.refuse_if_busy(branch.id)
    return branch_facts(archive, archive.history.rename_branch(branch, to))


def _delete_branch(archive: Archive, *, name: str, force: bool = False) -> Steps:
    yield from _nothing()
    branch = archive.history.table.get(name)
    if not force:
        archive.refuse_if_busy(branch.id)
    archive.history.delete_branch(branch)
    return {"deleted": name, "id": branch.id}


def _commit(archive: Archive, *, branch: str, message: str, author: str, labels: list[str] | None = None) -> Steps:
    yield from _nothing()
    history = archive.history
    commit, writing, new = history.commit(history.table.get(branch), message, author, labels=tuple(labels or ()))
    facts = commit_facts(archive, commit)
    return {**facts, "new": new, "open_for_writing": [shown(path) for path in writing]}


def _publish(archive: Archive, *, branch: str, spool: str, message: str, author: str) -> Steps:
    """Makes the files in the spool appear; the changes before and after are commits of their own."""
    if os.path.dirname(spool) != archive.root or not os.path.basename(spool).startswith(SPOOL_PREFIX):
        raise Usage(f"{spool} is not a list of new files of this archive")
    with open(spool, "rb") as frames:
        new = [NewFile.of_value(value) for value in read_frames(frames)]
    history = archive.history
    target = history.table.get(branch)
    history.commit(target, f"before: {message}", author, automatic=True)
    target = history.table.get(branch)
    publisher = Publisher(history.tree(target), history.buffers, history.clock())
    yield from publisher.steps(new)
    for file, name in publisher.shown:
        archive.note_change(target.id, file, name)
    commit, _, _ = history.commit(target, message, author)
    done = publisher.result
    counts = {"added": done.added, "replaced": done.replaced, "unchanged": done.unchanged}
    return {**counts, "commit": commit_name(archive, commit)}


def _flush(archive: Archive) -> Steps:
    yield from _nothing()
    return {}


COMMANDS: dict[str, Callable[..., Steps]] = {
    "branch-create": _create_branch,
    "branch-rename": _rename_branch,
    "branch-delete": _delete_branch,
    "commit": _commit,
    "publish": _publish,
    "flush": _flush,
}
