"""What every test may ask for, and how hard property tests look.

HYPOTHESIS_PROFILE=deep looks for longer; FILMFS_TEST_DATA names the test footage when it is not at ../shared/data.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from filmfs.archive import Archive, Mode
from tests.support import Ticks

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile("ci", deadline=None, max_examples=60, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile("deep", deadline=None, max_examples=1000, suppress_health_check=_SLOW_IS_FINE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Mount tests need FUSE: without it they are skipped, and where CI must have it they fail."""
    if item.get_closest_marker("mount") is None or _fuse_is_usable():
        return
    if os.environ.get("CI") == "true":
        pytest.fail("no /dev/fuse here, and CI=true asks for mount tests", pytrace=False)
    pytest.skip("no /dev/fuse here")


def _fuse_is_usable() -> bool:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@pytest.fixture
def clock() -> Ticks:
    """A clock that moves a second on every look."""
    return Ticks()


@pytest.fixture
def root(tmp_path: Path, clock: Ticks) -> str:
    """A new archive that nobody has open."""
    root = str(tmp_path / "archive")
    Archive.create(root, author="tester", clock=clock)
    return root


@pytest.fixture
def archive(root: str, clock: Ticks) -> Iterator[Archive]:
    """A new archive, open for changes."""
    with Archive(root, Mode.WRITE, clock=clock) as archive:
        yield archive


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The shared footage, cut lists and frames."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("FILMFS_TEST_DATA", beside))
    if not path.is_dir():
        pytest.skip(f"the test footage is not at {path}; FILMFS_TEST_DATA can say where it is")
    return path
