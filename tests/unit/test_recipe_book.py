"""Recipes that an archive's settings add."""

import tomllib
from fractions import Fraction

import pytest

from filmfs.core.errors import Usage
from filmfs.proxy.book import BOOK, read_book
from filmfs.proxy.recipes import EDITORIAL_PRORES, PREVIEW


def test_a_recipe_is_like_another_but_for_what_is_said() -> None:
    text = (
        '[web]\nlike = "preview"\nscale = "1/3"\npicture_options = { crf = "28", preset = "veryfast" }\ngroup_s = 2\n'
    )
    web = read_book(tomllib.loads(text))["web"]
    assert (web.name, web.scale, web.group_s, web.suffix) == ("web", Fraction(1, 3), 2, PREVIEW.suffix)
    assert dict(web.picture_options) == {**dict(PREVIEW.picture_options), "crf": "28", "preset": "veryfast"}
    assert web.size(1920, 1080) == (640, 360)


def test_one_that_there_is_can_be_another() -> None:
    book = read_book({"editorial": {"like": "editorial-prores"}})
    assert book["editorial"] == EDITORIAL_PRORES
    assert {**book, "editorial": BOOK["editorial"]} == BOOK


def test_another_encoder_is_told_nothing_that_was_meant_for_the_first() -> None:
    book = read_book({"a": {"picture": "mjpeg"}, "b": {"picture": "mjpeg", "picture_options": {"q": "2"}}})
    assert (book["a"].picture_options, book["b"].picture_options) == ((), (("q", "2"),))
    assert book["a"].sound_options == PREVIEW.sound_options


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"Web": {}}, "small letters"),
        ({"poster": {}}, "small letters"),
        ({"web": "preview"}, "is a table"),
        ({"web": {"like": "nothing"}}, "there are thumbnail"),
        ({"web": {"crf": "20"}}, "unknown entry 'crf'"),
        ({"web": {"scale": "big"}}, "cannot have"),
        ({"web": {"scale": "2"}}, "scale from 0 to 1"),
        ({"web": {"scale": "1/0"}}, "cannot have"),
        ({"web": {"suffix": ".avi"}}, "suffixes"),
        ({"web": {"picture": 7}}, "cannot have"),
        ({"web": {"lines_max": -1}}, "cannot have"),
        ({"web": {"picture_options": "fast"}}, "cannot have"),
        ({"web": {"stills": ["smell"]}}, "stills"),
        ({"web": {"stills": True}}, "cannot have stills = True: it is a list of texts"),
        ({"web": {"group_s": True}}, "a fraction"),
        ({"web": {"channels_max": "two"}}, "a whole number"),
    ],
)
def test_nonsense_is_refused(tables: dict[str, object], said: str) -> None:
    with pytest.raises(Usage, match=said):
        read_book(tables)
