"""The recipes that there are, by the names that people say, and those that an archive's settings add.

[recipes.web]                  NAME.web.mp4 beside each film
like = "preview"               all that is not said here is as in that one, options of the same encoder too
scale = "1/3"
picture_options = { crf = "28" }

[recipes.editorial]            in the place of the one that there is
like = "editorial-prores"
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

from filmfs.core.errors import Usage
from filmfs.proxy.recipes import EDITORIAL, EDITORIAL_H264, EDITORIAL_PRORES, PREVIEW, THUMBNAIL, Recipe

Book = Mapping[str, Recipe]
"""Recipes by the names under which they are asked for; several may make what is shown under one name."""

BOOK: Book = {
    "thumbnail": THUMBNAIL,
    "preview": PREVIEW,
    "editorial": EDITORIAL,
    "editorial-prores": EDITORIAL_PRORES,
    "editorial-h264": EDITORIAL_H264,
}
STANDARD = ("thumbnail", "preview", "editorial")
"""What is made if nobody says what."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_SUFFIXES = (".mp4", ".mov")
_STILLS = ("poster", "filmstrip")
_FRACTIONS = ("scale", "group_s")
_TABLES = ("picture_options", "sound_options")
_TEXTS = ("suffix", "picture", "pixels", "sound", "deep_sound")
_NUMBERS = ("sound_bit_rate", "channels_max", "lines_max")


def read_book(tables: Mapping[str, Any]) -> Book:
    """The book with the recipes that settings add. Raises Usage with what is wrong."""
    book = dict(BOOK)
    for name, table in tables.items():
        if not _NAME.fullmatch(name) or name in _STILLS:
            raise Usage(f"a recipe cannot be called {name!r}: small letters, digits and - are its name's")
        if not isinstance(table, dict):
            raise Usage(f"the recipe {name!r} is a table, [recipes.{name}]")
        like = table.get("like", name if name in BOOK else "preview")
        if like not in BOOK:
            raise Usage(f"the recipe {name!r} is like {like!r}, and there are {', '.join(BOOK)}")
        book[name] = _recipe(name, BOOK[like], table)
    return book


def _recipe(name: str, like: Recipe, table: Mapping[str, Any]) -> Recipe:
    known = {each.name for each in fields(Recipe)} - {"name", "instead", "least"} | {"like"}
    unknown = sorted(set(table) - known)
    if unknown:
        raise Usage(f"the recipe {name!r} has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}")
    said = {key: _value(name, key, value) for key, value in table.items() if key != "like"}
    for options in _TABLES:
        encoder = options.removesuffix("_options")
        if said.get(encoder, getattr(like, encoder)) != getattr(like, encoder):
            said.setdefault(options, ())  # another one knows others
        elif options in said:
            said[options] = tuple({**dict(getattr(like, options)), **dict(said[options])}.items())
    recipe = replace(like, name=name, **said)
    if recipe.picture != like.picture:
        recipe = replace(recipe, least=(2, 2), instead=None)
    if recipe.suffix not in _SUFFIXES or not 0 < recipe.scale <= 1 or recipe.group_s < 0:
        raise Usage(f"the recipe {name!r} has a scale from 0 to 1 and one of the suffixes {', '.join(_SUFFIXES)}")
    if not set(recipe.stills) <= set(_STILLS):
        raise Usage(f"the recipe {name!r} has stills of {', '.join(_STILLS)}")
    return recipe


def _value(recipe: str, key: str, value: Any) -> Any:
    """An entry as a recipe has it. Raises Usage."""
    with suppress(ValueError, ZeroDivisionError):
        if key in _FRACTIONS and isinstance(value, str | int | float) and not isinstance(value, bool):
            return Fraction(str(value))
        if key in _TABLES and isinstance(value, dict):
            return tuple((str(name), str(each)) for name, each in value.items())
        if key in _NUMBERS and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if key in _TEXTS and isinstance(value, str):
            return value
        if key == "stills" and isinstance(value, list):
            return tuple(map(str, value))
    kinds = {_FRACTIONS: 'a fraction, such as "1/3"', _TABLES: "a table of options", _NUMBERS: "a whole number"}
    what = next((what for keys, what in kinds.items() if key in keys), "a text" if key in _TEXTS else "a list of texts")
    raise Usage(f"the recipe {recipe!r} cannot have {key} = {value!r}: it is {what}")
