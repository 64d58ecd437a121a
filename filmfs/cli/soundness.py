"""`check`: proves an archive sound."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from filmfs.archive.opening import find_archive
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose, command, size
from filmfs.control import refresh
from filmfs.core.errors import Unsound

if TYPE_CHECKING:
    from filmfs.archive.check import Report


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    command(app, "check")(check)


def check(
    archive: ArchivePath,
    data: Annotated[bool, typer.Option("--data", help="Also read and hash every byte.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Prove that every reference resolves and every record, and with --data every byte, is what was stored."""
    from filmfs.archive.check import check_archive  # needed by no other command

    output = Output(as_json, quiet, verbose)
    root = find_archive(archive)
    refresh(root)
    with output.steps() as step:
        report = check_archive(root, data=data, progress=step)
    output.result(report.as_facts(), lambda: _lines(report, data=data))
    if not report.sound:
        raise Unsound(f"{len(report.faults)} faults in {archive}", told=as_json)


def _lines(report: "Report", *, data: bool) -> Iterator[str]:
    for fault in report.faults:
        yield f"FAULT ({fault.kind}): {fault.what}"
        if fault.path:
            yield f"    file: {fault.path}"
        for place in fault.places:
            yield f"    shows at {place}"
        if fault.more_places:
            yield f"    and at {fault.more_places} more places"
    for note in report.notes:
        yield f"note: {note}"
    age = report.copy_age_s
    yield "the database has no copy" if age is None else f"the database's copy is {age / 3600:.1f} hours old"
    counts = (
        f"{report.branches} branches, {report.commits} commits, {report.inodes} inodes, {report.contents} contents, "
        f"{report.blobs} blobs, {report.records} records"
    )
    bytes_said = f"; {size(report.bytes_verified)} read and hashed" if data else "; bytes not read (--data reads them)"
    yield ("sound: " if report.sound else "NOT sound: ") + counts + bytes_said
