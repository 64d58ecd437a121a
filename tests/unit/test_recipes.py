"""Recipes of proxies: sizes and identities."""

from dataclasses import replace
from fractions import Fraction

import pytest

from filmfs.core.models import ProxyResolution
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, RECIPES, THUMBNAIL, even


@pytest.mark.parametrize(
    ("size", "thumbnail", "preview", "editorial"),
    [
        ((1920, 1080), (240, 136), (480, 270), (960, 540)),
        ((3840, 2160), (480, 270), (960, 540), (1920, 1080)),
        ((4096, 2160), (512, 270), (1024, 540), (2048, 1080)),
        ((8192, 4320), (1024, 540), (2048, 1080), (2048, 1080)),
        ((1440, 1080), (180, 136), (360, 270), (720, 540)),
        ((720, 576), (90, 72), (180, 144), (360, 288)),
        ((1080, 1920), (136, 240), (270, 480), (540, 960)),
        ((4448, 3096), (556, 388), (1112, 774), (1112, 774)),
        ((5, 3), (2, 2), (2, 2), (2, 2)),
    ],
)
def test_sizes_are_the_nearest_even_numbers_to_exact_fractions(
    size: tuple[int, int], thumbnail: tuple[int, int], preview: tuple[int, int], editorial: tuple[int, int]
) -> None:
    assert THUMBNAIL.size(*size) == thumbnail
    assert PREVIEW.size(*size) == preview
    assert EDITORIAL.size(*size) == editorial


def test_even_numbers_are_no_farther_than_one() -> None:
    for eighths in range(16, 4000):
        length = Fraction(eighths, 8)
        assert even(length) % 2 == 0
        assert abs(even(length) - length) <= 1


def test_each_size_has_a_recipe_and_all_that_changes_bytes_changes_its_identity() -> None:
    assert [RECIPES[each].name for each in ProxyResolution] == ["thumbnail", "preview", "editorial"]
    assert len({recipe.identity for recipe in RECIPES.values()}) == 3
    assert replace(PREVIEW, group_s=Fraction(2)).identity != PREVIEW.identity
    assert replace(PREVIEW, name="mine").identity == PREVIEW.identity


def test_groups_last_as_many_seconds_whatever_the_rate() -> None:
    rates = (Fraction(24000, 1001), Fraction(25), Fraction(60000, 1001))
    assert [PREVIEW.group(rate) for rate in rates] == [24, 25, 60]
    assert EDITORIAL.group(Fraction(25)) == 1


@pytest.mark.parametrize(
    ("size", "matrix", "picture"),
    [
        ((1920, 1080), 1, "dnxhd"),
        ((1920, 1080), 2, "dnxhd"),  # not said: as players take it
        ((720, 576), 2, "prores_aw"),
        ((720, 576), 5, "prores_aw"),
        ((1920, 1080), 6, "prores_aw"),
        ((3840, 2160), 9, "prores_aw"),
        ((320, 180), 1, "prores_aw"),  # too small
    ],
)
def test_what_an_encoder_cannot_say_is_coded_by_another(size: tuple[int, int], matrix: int, picture: str) -> None:
    assert EDITORIAL.fit_for(*size, matrix).picture == picture
    assert THUMBNAIL.fit_for(*size, matrix) == THUMBNAIL


def test_another_encoder_makes_the_same_size() -> None:
    recipe = replace(EDITORIAL, lines_max=140, channels_max=2)
    fit = recipe.fit_for(640, 360)
    assert (fit.picture, fit.size(640, 360), fit.channels_max) == ("prores_aw", (160, 90), 2)
