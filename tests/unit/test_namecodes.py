"""Time code in file names: only where there is no doubt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.namecodes import find_label
from filmfs.core.smpte import Label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("scene_01-00-00-00.mov", "01:00:00:00"),
        ("take 3 01.02.03.04.mov", "01:02:03:04"),
        ("A_01_00_00_00.mp4", "01:00:00:00"),
        ("shot_12_01-00-00-00.mov", "01:00:00:00"),
        ("A001_01.00.00,10.mov", "01:00:00;10"),
        ("A_TC01000000.mov", "01:00:00:00"),
        ("tc_10203004_B.MOV", "10:20:30:04"),
        ("01-00-00-00.mov", "01:00:00:00"),
        ("01.00.00.00", "01:00:00:00"),
    ],
)
def test_a_name_says_a_time_code(name: str, label: str) -> None:
    assert str(find_label(name)) == label


@pytest.mark.parametrize(
    "name",
    [
        "scene.mov",
        "scene_01000000.mov",
        "2024-05-01-12-30-00.mov",
        "scene_2024-05-01-12.mov",
        "192.168.10.20.mov",
        "scene_25-00-00-00.mov",
        "scene_01-60-00-00.mov",
        "scene_01-00-00-00_graded.mov",
        "scene@01.00.00.00-01.00.30.00.mov",
        "01-00-00-00_TC01000000.mov",
        "ATC01000000.mov",
        "TC010000001.mov",
        "scene_01-00.00-00.mov",
    ],
)
def test_what_could_be_something_else_says_nothing(name: str) -> None:
    assert find_label(name) is None


@given(st.text("01245-._:;,TC ", max_size=30))
def test_any_name_is_a_label_or_none(name: str) -> None:
    assert isinstance(find_label(name), Label | None)
