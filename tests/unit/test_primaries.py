"""Light of other primaries: the matrices that others publish."""

import math
import random

import pytest

from filmfs.proxy.primaries import BT709, to_bt709
from tests.proxy.images import AP1

_D60 = (0.32168, 0.33767)
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, *_D60)
P3_D65 = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.3290)


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        (AP0, ((2.5217, -1.1340, -0.3876), (-0.2765, 1.3727, -0.0963), (-0.0154, -0.1530, 1.1684))),
        (AP1, ((1.7051, -0.6218, -0.0833), (-0.1303, 1.1408, -0.0105), (-0.0240, -0.1290, 1.1530))),
        (P3_D65, ((1.2249, -0.2247, 0.0), (-0.0421, 1.0421, 0.0), (-0.0196, -0.0786, 1.0983))),
    ],
)
def test_they_are_the_published_matrices(said: tuple[float, ...], rows: tuple[tuple[float, ...], ...]) -> None:
    made = to_bt709(said)
    assert made is not None
    for mine, published in zip(made, rows, strict=True):
        assert mine == pytest.approx(published, abs=0.002)
        assert sum(mine) == pytest.approx(1, abs=1e-6)  # white stays white


def test_xyz_is_light_of_some_primaries_too() -> None:
    made = to_bt709((1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3))
    assert made is not None
    assert [sum(row) for row in made] == pytest.approx([1, 1, 1], abs=1e-6)
    assert made[0][0] > 3


@pytest.mark.parametrize(
    "said",
    [
        (),
        BT709,
        (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329001),
        (0.0,) * 8,
        (0.3,) * 8,
        (math.nan,) * 8,
        (math.inf, *BT709[1:]),
        (*BT709[:7], 0.0),
        (1e30,) * 8,
    ],
)
def test_what_is_the_same_or_makes_no_sense_is_left_as_it_is(said: tuple[float, ...]) -> None:
    assert to_bt709(said) is None


def test_whatever_is_said_has_an_answer() -> None:
    chance = random.Random(5)
    for _ in range(2000):
        made = to_bt709(tuple(chance.choice((chance.uniform(-3, 3), 0.0, 0.3, 1.0)) for _ in range(8)))
        assert made is None or all(math.isfinite(each) for row in made for each in row)
