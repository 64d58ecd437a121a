"""Words for people."""

import pytest

from filmfs.core.words import counted, runs


def test_things_are_counted_as_people_do() -> None:
    assert [counted(number, "frame") for number in (0, 1, 2, 12_345)] == [
        "0 frames",
        "1 frame",
        "2 frames",
        "12,345 frames",
    ]


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([], ""),
        ([7], "7"),
        ([7, 8], "7–8"),
        ([0, 2, 3, 4, 9], "0, 2–4, 9"),
        (range(0, 20, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18"),
        (range(0, 22, 2), "0, 2, 4, 6, 8, 10, 12, 14, 16, 18, …"),
    ],
)
def test_numbers_that_follow_each_other_are_one_run(numbers: list[int], told: str) -> None:
    assert runs(numbers) == told
