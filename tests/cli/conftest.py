"""An archive that the command line is tried on."""

from pathlib import Path

import pytest

from tests.drive import Drive


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """An archive with a few files, which the tests of a module only read. It is not mounted."""
    directory = tmp_path_factory.mktemp("shelf")
    drive = Drive(directory)
    card = directory / "card"
    (card / "A001").mkdir(parents=True)
    (card / "A001" / "a.mov").write_bytes(b"0123456789" * 100_000)
    (card / "A001" / "été.txt").write_text("summer")
    (card / "soft").symlink_to("A001/a.mov")
    drive.filmfs("add", f"{card}/")
    return drive


@pytest.fixture
def empty(tmp_path: Path) -> Drive:
    """An empty archive of the test's own. It is not mounted."""
    return Drive(tmp_path)
