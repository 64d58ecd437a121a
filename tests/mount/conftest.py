"""Mounts for tests: one that a module shares, and one of a test's own."""

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.drive import PATIENCE_S, Drive, watched

_numbers = count()


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """No test waits for ever on a mount that does not answer."""
    with watched(PATIENCE_S + float(os.environ.get("FILMFS_LIKE_LOCAL_S", "0"))):
        yield


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    """A mount that the tests of a module share; sound when they are done."""
    with Drive(tmp_path_factory.mktemp("drive")).soundly() as drive:
        yield drive


@pytest.fixture
def work(drive: Drive, request: pytest.FixtureRequest) -> Path:
    """An empty directory in `main`, of one test."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)[:120]
    path = drive.main / f"{name}.{next(_numbers)}"
    path.mkdir()
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Drive]:
    """A mount of the test's own; sound when it is done."""
    drive = Drive(tmp_path)
    drive.start()
    try:
        yield drive
    finally:
        drive.stop()
    drive.assert_sound()
    drive.assert_calm()


@pytest.fixture
def passing(tmp_path: Path) -> Iterator[Drive]:
    """One that hands plain files to the kernel, if that has passthrough."""
    drive = Drive(tmp_path)
    drive.start()
    try:
        if not drive.command("status")["passthrough"]:
            pytest.skip("this kernel has no FUSE passthrough")
        yield drive
        drive.assert_calm()
    finally:
        drive.stop()
    drive.assert_sound()
