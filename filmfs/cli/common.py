"""What all commands share: options, output, progress, and errors that become one sentence.

Bars are imported when one is drawn: they would be a third of the time that a command takes to start.
"""

import getpass
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from filmfs.core.errors import FilmFSError, Usage

ENVIRONMENT = "FILMFS_ARCHIVE"

ArchivePath = Annotated[str, typer.Argument(metavar="ARCHIVE", help=f"The archive (or set {ENVIRONMENT}).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


@dataclass(slots=True)
class Output:
    """Where a command's words go. Facts go to stdout, progress and remarks to stderr."""

    as_json: bool
    quiet: bool
    verbose: bool = False

    def __post_init__(self) -> None:
        level = logging.DEBUG if self.verbose else logging.WARNING
        logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

    def result(self, facts: dict[str, Any], lines: Callable[[], Iterator[str]]) -> None:
        """The outcome: one JSON object, or lines for a person."""
        with to_stdout():
            if self.as_json:
                sys.stdout.write(_json(facts) + "\n")
            elif not self.quiet:
                for line in lines():
                    sys.stdout.write(printable(line) + "\n")

    def remark(self, text: str) -> None:
        """Something a person should know, on stderr."""
        if not self.quiet:
            sys.stderr.write(printable(text) + "\n")

    @property
    def _is_watched(self) -> bool:
        """Whether a person sees what goes to stderr."""
        return not self.quiet and sys.stderr.isatty()

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with bytes, rate and time left, on a terminal only; call what it gives with the bytes just done."""
        if not self._is_watched:
            yield lambda done: None
            return
        from filmfs.cli import bars

        with bars.of_bytes(title, total) as advance:
            yield advance

    @contextmanager
    def films(self, count: int) -> Iterator["Films"]:
        """Bars for films that are worked through, on a terminal only."""
        if not self._is_watched:
            yield Films()
            return
        from filmfs.cli import bars

        with bars.of_films(count) as films:
            yield films

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Says on a terminal what is going on while there is nothing to count."""
        if not self._is_watched:
            yield
            return
        from filmfs.cli import bars

        with bars.spinner(what):
            yield

    @contextmanager
    def steps(self, title: str = "checking") -> Iterator[Callable[[int, int, str], None]]:
        """A bar for work in several parts; call what it gives with what is done, the total, and what it is."""
        if not self._is_watched:
            yield lambda done, total, what: None
            return
        from filmfs.cli import bars

        with bars.of_steps(title) as advance:
            yield advance


class Films:
    """What is told of films that are worked through; here to nobody."""

    def begin(self, job: Any, work: Any) -> None:
        """A film is begun, with so much to do (making.Work)."""

    def advance(self, count: int) -> None:
        """So much of it more is done."""

    def show(self, progress: Any) -> None:
        """How far another process is, if there is one."""

    def end(self, place: str) -> None:
        """It is over."""


@contextmanager
def to_stdout() -> Iterator[None]:
    """Around what is written to stdout: when nobody reads on, the command ends without a word."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise typer.Exit(141) from None


def _json(facts: dict[str, Any]) -> str:
    """One object; in ASCII where a path in it is not UTF-8 or the terminal cannot show all of it."""
    text = json.dumps(facts, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(facts)
    return text


def printable(text: str) -> str:
    """`text` without what a terminal would obey, and encodable whatever the names in it are."""
    shown = "".join(c if c.isprintable() or c == "\t" else repr(c)[1:-1] for c in text)
    return shown.encode(sys.stdout.encoding or "utf-8", errors="backslashreplace").decode(
        sys.stdout.encoding or "utf-8"
    )


def author() -> str:
    """Who is at the keyboard."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def confirm(question: str, *, yes: bool) -> None:
    """Asks before something that cannot be undone. Raises Usage when nobody can answer, Abort for no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{question} Nobody can answer here; say --yes, or --dry-run to see the plan only")
    typer.confirm(question, abort=True, err=True)


def size(count: int) -> str:
    """1234567 as `1.2 MB`."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{count} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def when(time: int) -> str:
    """Nanoseconds since 1970 as local time."""
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def is_archive(path: str) -> bool:
    """Whether there is an archive at `path`."""
    return os.path.isfile(os.path.join(path, "archive.toml"))


class ArchiveCommand(TyperCommand):
    """A command whose ARCHIVE may be left out when the environment names one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the archive from the environment in front, unless the first argument is one."""
        default = os.environ.get(ENVIRONMENT)
        takes_archive = any(parameter.name == "archive" for parameter in self.params)
        if default and takes_archive and not {"--help", "-h"} & set(args):
            given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
            first = given.get("archive")
            if not isinstance(first, str) or not is_archive(first):
                args = [default, *args]
        return super().parse_args(ctx, args)


def new_app(help_text: str, **options: Any) -> typer.Typer:
    """A family of commands."""
    return typer.Typer(help=help_text, add_completion=False, rich_markup_mode=None, **options)


def help_if_bare(ctx: typer.Context) -> None:
    """A family without a command says what there is; that is a usage error all the same."""
    if ctx.invoked_subcommand is None:
        sys.stderr.write(ctx.get_help() + "\n")
        raise typer.Exit(Usage.exit_code)


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds a command to a family."""
    return app.command(name, cls=ArchiveCommand)


def fail(error: FilmFSError, *, as_json: bool) -> int:
    """Tells an error in one sentence; gives the exit code."""
    if as_json and not error.told:
        facts = {"error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        sys.stdout.write(json.dumps(facts) + "\n")
    sys.stderr.write(f"filmfs: {printable(str(error))}\n")
    return error.exit_code
