"""Names and places: what a name may be, when two are the same, and how `BRANCH:PATH` is read.

Names are kept as given. Two names are the same when their Unicode normalisations are (as on APFS), so look-ups go by
`name_key`. Comparison is case-sensitive.
"""

import re
import unicodedata
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.errors import BadName, NameNotUtf8, NameTooLong, Usage

NAME_MAX = 255
_PLAIN_NAME = re.compile(rb"[0-9A-Za-z][\x20-\x2e\x30-\x7e]{0,254}").fullmatch  # nearly every name is such a one
_KEY_PLAIN_MAX = 400  # LMDB keys end at 511 bytes; NFC can make a name longer than it was


def name_key(name: bytes) -> bytes:
    """What `name` is looked up by: its NFC form, or the start of that and its hash when it is very long.

    Raises NameNotUtf8, NameTooLong (over 255 bytes as given) or BadName (empty, `.`, `..`, with `/` or NUL).
    """
    if _PLAIN_NAME(name) is not None:
        return name
    if len(name) > NAME_MAX:
        raise NameTooLong(f"the name {shown(name)!r} is longer than {NAME_MAX} bytes")
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise BadName(f"{shown(name)!r} cannot be a name")
    if name.isascii():
        return name
    try:
        key = unicodedata.normalize("NFC", name.decode()).encode()
    except UnicodeDecodeError:
        raise NameNotUtf8(f"the name {shown(name)!r} is not valid UTF-8") from None
    if len(key) > _KEY_PLAIN_MAX:
        return key[: _KEY_PLAIN_MAX - 32] + blake3(key).hexdigest(16).encode()
    return key


def spellings(name: bytes) -> set[bytes]:
    """A name as given, composed (NFC) and taken apart (NFD)."""
    if name.isascii():
        return {name}
    text = name.decode("utf-8", errors="surrogateescape")
    forms = (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    return {form.encode("utf-8", errors="surrogateescape") for form in forms}


def is_only_spelling(name: bytes) -> bool:
    """Whether no composing or taking apart of its characters gives another spelling of a name."""
    return name.isascii() or len(spellings(name)) == 1


def shown(name: bytes) -> str:
    """`name` for a person: bytes that are not UTF-8 as \\xNN."""
    return name.decode("utf-8", errors="backslashreplace")


def repaired_name(name: bytes) -> bytes:
    """A valid name close to `name`: bytes that are not UTF-8 become %NN, and a name too long ends in its hash."""
    try:
        name.decode()
    except UnicodeDecodeError:
        name = name.decode("utf-8", errors="surrogateescape").translate(_ESCAPES).encode()
    if len(name) > NAME_MAX:
        stem = name[: NAME_MAX - 9].decode(errors="ignore").encode()
        name = stem + b"~" + blake3(name).hexdigest(4).encode()
    return name


_ESCAPES = {0xDC00 + byte: f"%{byte:02X}" for byte in range(128, 256)}

# Junk that clients of a network drive make at its root; none of it may become a branch.
_ROOT_JUNK = {"system volume information", "thumbs.db", "desktop.ini", "icon\r", "lost+found", "autorun.inf"}


def check_branch_name(name: str) -> str:
    """`name`, if a branch may be called that. Raises BadName with the reason."""
    raw = name.encode("utf-8", errors="surrogateescape")
    name_key(raw)
    if name[0] in ".$":
        raise BadName(f"a branch cannot be called {name!r}: names that start with '.' or '$' are kept for clients")
    if ":" in name or _POINT_AFTER_AT.search(name):
        raise BadName(f"a branch cannot be called {name!r}: it would read as a place, such as main@42:A001")
    if name.lower() in _ROOT_JUNK or any(ord(c) < 32 for c in name):
        raise BadName(f"a branch cannot be called {name!r}")
    return name


_POINT_AFTER_AT = re.compile(r"@\d+$|@\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in an archive: a point of history (`main`, `main@42`) and a path inside it ('' is the root)."""

    point: str
    path: bytes

    @property
    def parts(self) -> list[bytes]:
        """The path's names; `.` and empty ones are left out. Raises BadName on `..`."""
        parts = [part for part in self.path.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise BadName(f"{shown(self.path)!r}: '..' is not followed here; write the path from the branch's root")
        return parts

    def __str__(self) -> str:
        return f"{self.point}:{shown(self.path)}"


def parse_place(text: str) -> Place:
    """Reads `BRANCH:PATH` (`BRANCH` alone is its root; BRANCH may be `main@42`, or `main@TIME` with colons in it).

    Raises Usage when there is no branch in it.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        raise Usage(f"{text!r} is not a place in an archive; write BRANCH:PATH, such as main:A001/clip.mov")
    path = (match["path"] or "").encode("utf-8", errors="surrogateescape")
    return Place(match["point"], path)


_PLACE = re.compile(
    r"(?P<point>[^:/]+?(?:@(?:\d{4}-\d\d-\d\d(?:[T ]\d\d[:.]\d\d(?:[:.]\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|\d+))?)"
    r"(?::(?P<path>.*))?",
    re.DOTALL,
)
