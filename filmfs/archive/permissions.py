"""Who may read what is made of files elsewhere in the tree: nobody who could not read those where they lie.

A kernel checks the directories that a path goes through. What a cut list leads to is reached without going through
them, so their permissions count in the mode of what is made: a class of users (owner, group, others) reads it if it may
read the film and search each directory above it. Where classes of a directory and of a film are not the same people,
all that could be meant must be allowed.
"""

from collections.abc import Iterable, Sequence

from filmfs.versioning.rows import Inode

_OWNER, _GROUP, _OTHERS = 0o100, 0o010, 0o001


def reachable(film: Inode, directories: Sequence[Inode]) -> int:
    """The bits of a film's mode that allow reading, as far as the directories above it can be searched."""
    return sum(
        searching << 2
        for searching in (_OWNER, _GROUP, _OTHERS)
        if film.mode & searching << 2 and all(_may_search(each, film, searching) for each in directories)
    )


def _may_search(directory: Inode, film: Inode, as_class: int) -> bool:
    if as_class == _OWNER and directory.uid == film.uid:
        return bool(directory.mode & _OWNER)
    if as_class == _GROUP and directory.gid == film.gid:
        return bool(directory.mode & _GROUP)
    return directory.mode & (_GROUP | _OTHERS) == _GROUP | _OTHERS


def common(owner: Inode, films: Iterable[tuple[Inode, int]]) -> int:
    """The same bits for what is made of several films and belongs to `owner`; films come with what `reachable` says."""
    allowed = owner.mode & 0o444
    for film, readable in films:
        everybody = readable == 0o444
        if not everybody and not (film.uid == owner.uid and readable & 0o400):
            allowed &= ~0o400
        if not everybody and not (film.gid == owner.gid and readable & 0o040):
            allowed &= ~0o040
        if not everybody:
            allowed &= ~0o004
    return allowed
