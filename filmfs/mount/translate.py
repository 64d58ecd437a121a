"""Between pyfuse3's terms and filmfs's: errors to errno, attributes to stat."""

import errno
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence
from stat import S_ISDIR
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pyfuse3

from filmfs.core.errors import FilmFSError, LostBytes, from_os_error
from filmfs.core.paths import is_only_spelling
from filmfs.mount.eager import EAGER
from filmfs.mount.memory import Memory
from filmfs.vfs.nodes import Attributes

log = logging.getLogger("filmfs.mount")

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S", bound="HasMemory")

# What every client meets all the time is no news.
_USUAL = {
    errno.ENOENT,
    errno.ENODATA,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EROFS,
    errno.ESTALE,
    errno.EXDEV,
    errno.EOPNOTSUPP,
    errno.EACCES,
    errno.EPERM,
    errno.EILSEQ,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EINVAL,
    errno.EFBIG,
    errno.ENXIO,
}

BLOCK_SIZE = 1 << 20
"""What stat tells as the best size to read or write."""
_STABLE_S = 300
"""How long the kernel may keep what changes only through this mount; other doors' changes are announced to it."""
_DIRECTORY_S = 1
"""The same for other directories, whose permissions the kernel needs in every path that goes through them."""


def answers_fuse(handler: Callable[_P, Coroutine[Any, Any, _R]]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """A handler whose errors become errno. pyfuse3 answers only FUSEError; anything else would end the mount."""

    @functools.wraps(handler)
    async def answering(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        EAGER.waiting += 1
        try:
            return await handler(*args, **kwargs)
        except Exception as error:
            raise errno_of(error, handler.__name__) from None
        finally:
            EAGER.waiting -= 1

    return answering


class HasMemory(Protocol):
    """Whose handlers answer from memory."""

    @property
    def memory(self) -> Memory:
        """What of the database is in memory."""


def answers_at_once(
    *looks: int | tuple[int, int],
) -> Callable[[Callable[Concatenate[_S, _P], _R]], Callable[Concatenate[_S, _P], Coroutine[Any, Any, _R]]]:
    """The same for a handler that waits for nothing.

    `looks` are the places of its arguments that are nodes, or pairs of a directory's node and a name: what it is going
    to look at. While not all of the database is in memory, that is read in a thread before.
    """
    nodes = tuple(look for look in looks if isinstance(look, int))
    names = tuple(look for look in looks if not isinstance(look, int))

    def wrap(handler: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], Coroutine[Any, Any, _R]]:
        @functools.wraps(handler)
        async def answering(self: _S, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
            if looks and self.memory.is_cold:
                given: Sequence[Any] = args
                EAGER.waiting += 1
                try:
                    await self.memory.touch([given[at] for at in nodes], [(given[at], given[by]) for at, by in names])
                finally:
                    EAGER.waiting -= 1
            try:
                return handler(self, *args, **kwargs)
            except Exception as error:
                raise errno_of(error, handler.__name__) from None

        return answering

    return wrap


def errno_of(error: Exception, handler: str) -> pyfuse3.FUSEError:
    """What a handler's error is answered with; the log is told of what nobody expects."""
    if isinstance(error, pyfuse3.FUSEError):
        return error
    if isinstance(error, FilmFSError):
        if error.errno not in _USUAL and not isinstance(error, LostBytes):  # of which the flush told
            log.error("%s: %s", handler, error)
        return pyfuse3.FUSEError(error.errno)
    if isinstance(error, OSError):
        known = from_os_error(error, handler)
        log.error("%s", known)
        return pyfuse3.FUSEError(known.errno)
    log.error("%s failed; answered with EIO", handler, exc_info=error)
    return pyfuse3.FUSEError(errno.EIO)


Told = tuple[Attributes | None, int, int]
"""Attributes, and for how many seconds the kernel may keep a name and its attributes; none: there is no such name."""

NO_ENTRY: Told = (None, _STABLE_S, 0)
"""Tells the kernel to remember that there is no such name."""


def told(attributes: Attributes, name: bytes = b"", *, exact: bool = True) -> Told:
    """What the kernel is told of what was found as `name`.

    It may keep a name only if it has no second spelling (`exact`: this is not it): what happens to a file under one
    goes unseen by what was kept under the other.
    """
    if not attributes.stable:
        return attributes, 0, _DIRECTORY_S if S_ISDIR(attributes.mode) else 0
    kept = 0 if attributes.live else _STABLE_S
    return attributes, _STABLE_S if exact and is_only_spelling(name) else 0, kept


def entry(what: Told) -> pyfuse3.EntryAttributes:
    """The same as pyfuse3 has it."""
    attributes, entry_s, attributes_s = what
    found = pyfuse3.EntryAttributes()
    found.entry_timeout = entry_s
    if attributes is None:
        found.st_ino = pyfuse3.InodeT(0)
        return found
    node, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, _, _, _ = attributes
    found.st_ino = pyfuse3.InodeT(node)
    found.attr_timeout = attributes_s
    found.st_mode = pyfuse3.ModeT(mode)
    found.st_nlink = nlink
    found.st_uid = uid
    found.st_gid = gid
    found.st_rdev = rdev
    found.st_size = size
    found.st_blksize = BLOCK_SIZE
    found.st_blocks = blocks
    found.st_atime_ns = atime
    found.st_mtime_ns = mtime
    found.st_ctime_ns = ctime
    return found
