"""The mount that a module's tools share, and when tests of a tool are skipped."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.drive import watched
from tests.mount.conftest import drive, mounted, work

__all__ = ["drive", "mounted", "work"]

PATIENCE_S = 200.0


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """No test waits for ever on a mount that does not answer."""
    with watched(PATIENCE_S * float(os.environ.get("FILMFS_INTEROP_SCALE", "1"))):
        yield


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test says what it drives the mount with: @pytest.mark.needs("fio"). Where CI must have it, it fails without."""
    for marker in item.iter_markers("needs"):
        missing = [tool for tool in marker.args if shutil.which(tool) is None]
        if missing and os.environ.get("FILMFS_INTEROP") == "all":
            pytest.fail(f"{', '.join(missing)} should be installed", pytrace=False)
        if missing:
            pytest.skip(f"{', '.join(missing)} is not installed; scripts/test --interop installs it")
