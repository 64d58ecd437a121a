"""`branch`, `commit`, `log`: history from the command line."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.archive.commands import branch_facts, commit_facts
from filmfs.cli.common import (
    ArchivePath,
    DryRun,
    Json,
    Output,
    Quiet,
    Verbose,
    Yes,
    author,
    command,
    confirm,
    help_if_bare,
    new_app,
    when,
)
from filmfs.control import call, refresh
from filmfs.versioning.layers import Layer

family = new_app("Make, list, rename and delete branches.")

BranchName = Annotated[str, typer.Argument(metavar="NAME", help="The branch.")]


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    app.add_typer(family, name="branch")
    command(app, "commit")(commit)
    command(app, "log")(log)


@family.callback(invoke_without_command=True)
def _family(ctx: typer.Context) -> None:
    help_if_bare(ctx)


@command(family, "create")
def create(
    archive: ArchivePath,
    name: BranchName,
    source: Annotated[
        str | None, typer.Option("--from", metavar="BRANCH|COMMIT|TIME", help="Where it starts; main as it is now.")
    ] = None,
    description: Annotated[str, typer.Option("--description", "-d", help="What the branch is for.")] = "",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make a branch: a writable copy of everything that costs nothing."""
    output = Output(as_json, quiet, verbose)
    arguments = {"name": name, "author": author(), "source": source, "description": description}
    facts = call(archive, "branch-create", arguments)
    output.result(facts, lambda: iter([f"{facts['name']} starts from {facts['head']}"]))
    _say_open(output, facts)


@command(family, "list")
def list_branches(archive: ArchivePath, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """List the branches."""
    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        branches = [branch_facts(opened, branch) for branch in opened.history.table.alive()]

    def lines() -> Iterator[str]:
        width = max(len(branch["name"]) for branch in branches)
        for branch in branches:
            changed = "  (changed since)" if branch["changed"] else ""
            about = f"  {branch['description']}" if branch["description"] else ""
            yield f"{branch['name']:<{width}}  {branch['head']}{changed}{about}"

    output.result({"branches": branches}, lines)


@command(family, "rename")
def rename(
    archive: ArchivePath,
    name: BranchName,
    to: Annotated[str, typer.Argument(metavar="NEW_NAME", help="Its new name.")],
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Give a branch another name."""
    facts = call(archive, "branch-rename", {"name": name, "to": to})
    Output(as_json, quiet, verbose).result(facts, lambda: iter([f"{name} is called {facts['name']} now"]))


@command(family, "delete")
def delete(
    archive: ArchivePath,
    name: BranchName,
    force: Annotated[bool, typer.Option("--force", help="Also while files of it are open.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Delete a branch. What other branches have of it stays."""
    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        facts = branch_facts(opened, opened.history.table.get(name))
    changed = ", with changes that are in no commit" if facts["changed"] else ""
    if dry_run:
        output.result({"would_delete": facts}, lambda: iter([f"would delete {name} ({facts['head']}{changed})"]))
        return
    confirm(f"Delete the branch {name} ({facts['head']}{changed})?", yes=yes)
    done = call(archive, "branch-delete", {"name": name, "force": force})
    output.result(done, lambda: iter([f"{name} is deleted"]))


def commit(
    archive: ArchivePath,
    branch: Annotated[str, typer.Argument(metavar="BRANCH", help="Which branch.")] = "main",
    message: Annotated[str, typer.Option("--message", "-m", help="What was done.")] = "",
    label: Annotated[list[str] | None, typer.Option("--label", help="A name for this commit; may be repeated.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Keep a branch as it is now, for ever. Files open for writing are kept as of their last close."""
    output = Output(as_json, quiet, verbose)
    arguments = {"branch": branch, "message": message, "author": author(), "labels": list(label or [])}
    facts = call(archive, "commit", arguments)
    said = f"{facts['commit']}" if facts["new"] else f"nothing changed since {facts['commit']}"
    output.result(facts, lambda: iter([said]))
    _say_open(output, facts)


def log(
    archive: ArchivePath,
    branch: Annotated[str, typer.Argument(metavar="BRANCH", help="Which branch, or main@42.")] = "main",
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.", min=1)] = 1000,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Show a branch's commits, newest first."""
    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        table = opened.history.table
        commits: list[dict[str, Any]] = []
        commit: Layer | None = opened.history.resolve(branch)
        while commit is not None and len(commits) < limit:
            commits.append(commit_facts(opened, commit))
            commit = table.layer(commit.parents[0]) if commit.parents else None

    def lines() -> Iterator[str]:
        for facts in commits:
            identity = facts["id"][:12] if facts["id"] else "(being hashed)"
            labels = "".join(f" [{label}]" for label in facts["labels"])
            yield (
                f"{facts['commit']:<12} {when(facts['time'])}  {identity:<14} "
                f"{facts['author']}: {facts['message'] or '-'}{labels}"
            )

    output.result({"branch": branch, "commits": commits}, lines)


def _say_open(output: Output, facts: dict[str, Any]) -> None:
    for path in facts["open_for_writing"]:
        output.remark(f"{path} is open for writing; it was taken as of its last close")
