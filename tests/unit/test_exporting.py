"""Files that are written out of an archive."""

import os
from pathlib import Path

import pytest

from filmfs.core.errors import Exists
from filmfs.store.exporting import write_file


def test_a_file_that_somebody_made_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    def fill(descriptor: int) -> None:
        os.write(descriptor, b"mine")
        (tmp_path / "clip.mov").write_text("theirs")

    with pytest.raises(Exists):
        write_file(str(tmp_path / "clip.mov"), 4, fill)
    assert (tmp_path / "clip.mov").read_text() == "theirs"
    assert os.listdir(tmp_path) == ["clip.mov"]
