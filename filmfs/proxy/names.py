"""Names of films and sound files that proxies are made of, and of proxies beside them.

NAME.thumbnail.mp4  NAME.preview.mp4  NAME.editorial.mov    beside NAME.mov
Proxy/NAME.mov           where DaVinci Resolve looks for an editorial proxy
Proxies/NAME_Proxy.mov   where Premiere does
"""

import os
from collections.abc import Container, Iterator

_FILMS = {
    *(".mov", ".mp4", ".m4v", ".qt", ".3gp", ".mxf", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"),
    *(".dv", ".vob", ".wmv", ".asf", ".flv", ".m2v", ".h264", ".264", ".h265", ".265", ".hevc"),
    *(".r3d", ".braw", ".ari", ".crm", ".nev"),
}
_SOUNDS = {".wav", ".bwf", ".rf64", ".aif", ".aiff", ".flac", ".mp3", ".m4a", ".aac", ".ogg"}
_KEYS = {suffix.encode() for suffix in _FILMS | _SOUNDS}


_MAKERS = {
    ".r3d": "RED's R3D",
    ".braw": "Blackmagic RAW",
    ".ari": "ARRIRAW",
    ".crm": "Canon's Cinema RAW",
    ".nev": "Nikon's N-RAW",
}


def maker_of(name: str) -> str | None:
    """What a file of that name is that nobody but its maker decodes."""
    return _MAKERS.get(os.path.splitext(name)[1].lower())


def is_original_name(name: str) -> bool:
    """Whether a file of that name may be a film or sound."""
    return os.path.splitext(name)[1].lower() in _FILMS | _SOUNDS


def is_sound_name(name: str) -> bool:
    """Whether a file of that name is sound without pictures."""
    return os.path.splitext(name)[1].lower() in _SOUNDS


def is_original_key(name: bytes) -> bool:
    """The same for a name in bytes, of which there may be many."""
    return name[name.rfind(b".") :].lower() in _KEYS


FOLDERS = {"Proxy": "{}", "Proxies": "{}_Proxy"}
"""Directories in which editors look for editorial proxies, and what these are called there (without suffix)."""


def spellings() -> Iterator[str]:
    """The suffixes that an original may have, as people write them."""
    for suffix in sorted(_FILMS | _SOUNDS):
        yield from sorted({suffix, suffix.upper(), "." + suffix[1:].capitalize()})


def split_sibling(name: str, recipes: Container[str]) -> tuple[str, str, str] | None:
    """What a proxy's name beside its original says: that one's name or stem, the recipe's, and the suffix."""
    stem, suffix = os.path.splitext(name)
    of, _, recipe = stem.rpartition(".")
    return (of, recipe, suffix) if of and suffix and recipe in recipes else None


def stem_of(name: str) -> str:
    """An original's name without its suffix."""
    return os.path.splitext(name)[0]
