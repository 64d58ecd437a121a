"""Proxies of a file, made in a test's folder."""

from pathlib import Path

from filmfs.proxy.executors import Executor, InThisProcess
from filmfs.proxy.making import Making, make
from filmfs.proxy.originals import examine
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, THUMBNAIL, Recipe
from filmfs.proxy.sources import OnDisk

ALL = (THUMBNAIL, PREVIEW, EDITORIAL)


def proxies(path: Path, folder: Path, recipes: tuple[Recipe, ...] = ALL, executor: Executor | None = None) -> Making:
    """All of a file's proxies, in `folder`/work."""
    source = OnDisk(str(path))
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return make("original", source, examine(source.open), recipes, executor or InThisProcess(), str(work))
