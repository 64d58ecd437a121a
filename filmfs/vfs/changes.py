"""What is changed of a file's attributes in one go."""

from dataclasses import dataclass
from stat import S_ISGID, S_ISUID, S_IXGRP


@dataclass(frozen=True, slots=True)
class Changes:
    """What setattr changes; None is as it was. Times are nanoseconds since 1970.

    `demotes`: takes set-user-ID, and set-group-ID where the group may execute, from what is no directory.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime: int | None = None
    mtime: int | None = None
    demotes: bool = False


def demoted(mode: int) -> int:
    """`mode` without set-user-ID, and without set-group-ID where the group may execute."""
    return mode & ~S_ISUID & ~(S_ISGID if mode & S_IXGRP else 0)
