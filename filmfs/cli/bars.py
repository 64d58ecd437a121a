"""Progress on a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def of_bytes(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with bytes, rate and time left; call what it gives with the bytes just done."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def of_frames(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with frames and their rate; call what it gives with the frames just done."""
    rate = TextColumn("{task.completed}/{task.total} frames, {task.speed:.0f} fps")
    columns = (TextColumn("{task.description}"), BarColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)


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
