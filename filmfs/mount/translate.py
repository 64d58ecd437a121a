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

_BLOCK = 1 << 20
_STABLE_S = 300.0
"""How long the kernel may keep what changes only through this mount; other doors' changes are announced to it."""
_DIRECTORY_S = 1.0
"""The same for other directories, whose permissions the kernel needs in every path that goes through them."""


def answers_fuse(handler: Callable[_P, Coroutine[Any, Any, _R]]) -> Callable[_P, Coroutine[Any, Any, _R]]:
    """A handler whose errors become errno. pyfuse3 answers only FUSEError; anything else would end the mount."""

    @functools.wraps(handler)
    async def answering(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        EAGER.waiting += 1
        try:
            return await handler(*args, **kwargs)
        except Exception as error:
            raise _errno_of(error, handler.__name__) from None
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
                raise _errno_of(error, handler.__name__) from None

        return answering

    return wrap


def _errno_of(error: Exception, handler: str) -> pyfuse3.FUSEError:
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


def entry(attributes: Attributes, name: bytes = b"", *, exact: bool = True) -> pyfuse3.EntryAttributes:
    """The kernel's form of attributes, for what was found as `name`.

    The kernel may keep a name only if it has no second spelling (`exact`: this is not it): what happens to a file under
    one goes unseen by what was kept under the other.
    """
    node, mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, _, stable, live = attributes
    found = pyfuse3.EntryAttributes()
    found.st_ino = pyfuse3.InodeT(node)
    found.attr_timeout = _STABLE_S if stable and not live else _DIRECTORY_S if S_ISDIR(mode) else 0.0
    found.entry_timeout = _STABLE_S if stable and exact and is_only_spelling(name) else 0.0
    found.st_mode = pyfuse3.ModeT(mode)
    found.st_nlink = nlink
    found.st_uid = uid
    found.st_gid = gid
    found.st_rdev = rdev
    found.st_size = size
    found.st_blksize = _BLOCK
    found.st_blocks = blocks
    found.st_atime_ns = atime
    found.st_mtime_ns = mtime
    found.st_ctime_ns = ctime
    return found


def no_entry() -> pyfuse3.EntryAttributes:
    """Tells the kernel to remember that there is no such name."""
    found = pyfuse3.EntryAttributes()
    found.st_ino = pyfuse3.InodeT(0)
    found.entry_timeout = _STABLE_S
    return found
