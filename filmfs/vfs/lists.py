"""What directories list besides their files."""

from enum import StrEnum


class Lists(StrEnum):
    """How much of what is made of files is listed beside them; all of it is found by name."""

    NONE = "none"
    SIBLINGS = "siblings"  # proxies beside their originals
    ALL = "all"  # their folders too, and those of cut lists
