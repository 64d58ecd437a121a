"""A time code in a file's name.

    scene_01-00-00-00.mov  take 3 01.00.00.00.mov  A_01_00_00_00.mov     the end of the name: four fields, one separator
    A001_01.00.00,00.mov                                                 `,` or `;` before the frames: drop-frame
    A_TC01000000.mov  tc_01000000_A.mov                                  eight digits after TC, anywhere

Nothing else is one: eight digits alone are a date more often, and so are fields that other numbers stand before in the
same way (2024-05-01-12-30-00). A name with two of them says nothing.
"""

import re

from filmfs.core.smpte import Label

_FIELDS = re.compile(r"(?<!\d)(\d\d)([-._:])([0-5]\d)\2([0-5]\d)(?:\2|([;,]))(\d\d)\Z", re.ASCII)
_MARKED = re.compile(r"(?<![A-Za-z0-9])TC[_-]?(\d\d)([0-5]\d)([0-5]\d)(\d\d)(?!\d)", re.ASCII | re.IGNORECASE)
_ANY = re.compile(r"\d\d([-._:;,])\d\d\1\d\d[-._:;,]\d\d", re.ASCII)
_NUMBER_BEFORE = re.compile(r"\d[-._:]\Z", re.ASCII)
_SUFFIX = re.compile(r"\.(?=[A-Za-z0-9]*[A-Za-z])[A-Za-z0-9]{1,8}\Z", re.ASCII)
_HOURS = 24


def find_label(name: str) -> Label | None:
    """The time code that a file's name says, if it says one beyond doubt."""
    stem = _SUFFIX.sub("", name)
    marked = list(_MARKED.finditer(stem))
    fields = list(_ANY.finditer(stem))
    if len(marked) + len(fields) != 1:
        return None
    if marked:
        hours, minutes, seconds, frames = map(int, marked[0].groups())
        return Label(hours, minutes, seconds, frames) if hours < _HOURS else None
    found = _FIELDS.search(stem)
    if found is None or int(found[1]) >= _HOURS:
        return None
    before = stem[: found.start()]
    if _NUMBER_BEFORE.search(before) and before.endswith(found[2]):
        return None
    return Label(int(found[1]), int(found[3]), int(found[4]), int(found[6]), True if found[5] else None)
