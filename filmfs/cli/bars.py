"""Progress on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from filmfs.cli.common import Films


@contextmanager
def of_bytes(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with bytes, rate and time left; call what it gives with the bytes just done."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


class FilmBars(Films):
    """A bar of films, and one of the frames, or seconds, of the one that is worked on, with their rate."""

    def __init__(self, bar: Progress, count: int) -> None:
        self._bar = bar
        self._films = bar.add_task("films", total=count)
        self._frames = bar.add_task("", total=None, unit=None)
        self._ended = 0

    def begin(self, job: Any, work: Any) -> None:
        """See Films."""
        self._bar.reset(self._frames, total=work.total, description=job.place, unit=work.unit)

    def advance(self, count: int) -> None:
        """See Films."""
        self._bar.advance(self._frames, count)

    def show(self, progress: Any) -> None:
        """See Films."""
        if progress is not None:
            told = {"completed": progress.done, "total": progress.total, "unit": progress.unit}
            self._bar.update(self._frames, description="elsewhere", **told)

    def end(self, place: str) -> None:
        """See Films."""
        self._bar.advance(self._films, 1)


@contextmanager
def of_films(count: int) -> Iterator[FilmBars]:
    """Bars for films and their frames."""
    done = _Done()
    columns = (TextColumn("{task.description}"), BarColumn(), done, _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield FilmBars(bar, count)


class _Done(ProgressColumn):
    """How many of how many; nothing before that is known."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return Text(f"{task.completed:.0f}/{task.total:.0f}" if task.total is not None else "")


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """See rich."""
        return Text(task.fields["unit"].pace(task.speed) if task.speed and task.id else "")


@contextmanager
def of_steps(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar for work in several parts; call what it gives with what is done, the total, and what it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=what)


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """What is going on while there is nothing to count."""
    with Console(stderr=True).status(what):
        yield
