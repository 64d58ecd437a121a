"""What the exactness table is tried with, and the record of what came out.

FILMFS_INTEROP=all tries every range with every reader, and fails where one is missing; else PyAV alone tries a few
ranges of each film. Long and large films are tried where FILMFS_ACCURACY=FILE wants a record of what came out.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.films import Row, load
from tests.accuracy.readers import READERS, Reader, Reading
from tests.drive import watched
from tests.mount.conftest import PATIENCE_S

EVERYTHING = os.environ.get("FILMFS_INTEROP") == "all"
RECORD = os.environ.get("FILMFS_ACCURACY")
_came_out: list[dict[str, Any]] = []
_KEY = ("film", "clip", "range", "reader")


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """No test waits for ever on a mount that does not answer."""
    with watched(PATIENCE_S * 3):
        yield


@pytest.fixture(scope="session")
def footage(request: pytest.FixtureRequest) -> Callable[[], Path]:
    """Where the test footage is; asked only for a film that is of it."""
    return lambda: request.getfixturevalue("test_data")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, footage: Callable[[], Path]) -> Callable[[Row, str], Path]:
    """The film of a row, in the variant of a boundary; made when it is asked for the first time."""
    top = tmp_path_factory.mktemp("films")

    def make(row: Row, boundary: str) -> Path:
        need(*row.needs)
        directory = top / row.file
        directory.mkdir(exist_ok=True)
        return row.write(directory, boundary, footage)

    return make


class Readings:
    """What readers said of films and clips. They read at once, and each test waits for its own."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=3)
        self._kept: dict[tuple[str, Path], Future[Reading]] = {}

    def begin(self, readers: Iterable[Reader], path: Path) -> None:
        """Lets them read a file."""
        for reader in readers:
            if (reader.name, path) not in self._kept:
                self._kept[reader.name, path] = self._pool.submit(reader.read, path)

    def of(self, reader: Reader, path: Path) -> Reading:
        """What one of them says of a file. Raises Unreadable."""
        self.begin([reader], path)
        return self._kept[reader.name, path].result()

    def forget(self, path: Path) -> None:
        """Nobody reads that file any longer, and what was said of it is gone."""
        for key in [key for key in self._kept if key[1] == path]:
            wait([self._kept.pop(key)])


@pytest.fixture(scope="session")
def readings() -> Iterator[Readings]:
    readings = Readings()
    yield readings
    readings._pool.shutdown()


def need(*tools: str) -> None:
    """Skips where a program is missing; fails where all must be there."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and EVERYTHING:
        pytest.fail(f"{', '.join(missing)} should be installed", pytrace=False)
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed; scripts/test --interop installs it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Keeps how each test that tells what it compares (the property `cell`) came out."""
    report = yield
    cell = dict(item.user_properties).get("cell")
    if cell is not None and call.when == "call" and not report.skipped:
        why = None if call.excinfo is None else str(call.excinfo.value).splitlines()[0]
        _came_out.append({**cell, "outcome": cell.get("outcome", "exact") if why is None else f"WRONG: {why}"})
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Puts what came out in the place of older outcomes, if somebody wants it recorded."""
    if not RECORD or not _came_out:
        return
    path, table = Path(RECORD), load()
    before = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.exists() else []
    names = {row.name for row in (*table.films, *(each.row for each in table.refused), *table.sequences)}
    cells = {tuple(cell[key] for key in _KEY): cell for cell in (*before, *_came_out) if cell["film"] in names}
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "readers": {
            reader.name: reader.version() for reader in READERS if all(shutil.which(tool) for tool in reader.needs)
        },
    }
    lines = ",\n".join(json.dumps(cell, ensure_ascii=False) for cell in cells.values())
    head = json.dumps(found, indent=1, ensure_ascii=False).removesuffix("\n}")
    path.write_text(f'{head},\n "cells": [\n{lines}\n]}}\n', encoding="utf-8")
