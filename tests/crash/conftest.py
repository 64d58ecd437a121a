"""Drives that are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.machine import Machine
from tests.drive import Drive, watched


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """No test waits for ever on a mount that does not answer."""
    with watched(240):
        yield


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """An archive that is not mounted yet; nothing of it stays mounted."""
    drive = Drive(tmp_path)
    try:
        yield drive
    finally:
        drive.kill()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    try:
        yield machine
    finally:
        machine.remove()
