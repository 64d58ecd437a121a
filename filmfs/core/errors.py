"""Every way filmfs can say no, and what each door answers for it.

    FilmFSError
    ├── Usage            the request itself makes no sense
    ├── BadTimecode      a label, rate or range that does not exist, or not in this file
    ├── BadMedia         a film file that is damaged, or that filmfs cannot cut exactly
    ├── BadCutList       a cut list that cannot be read, or says what cannot be
    ├── NotFound, Exists, NotADirectory, IsADirectory, NotEmpty
    ├── BadName, NameNotUtf8, NameTooLong
    ├── ReadOnly, Refused, CrossBranch, Loop, TooManyLinks, TooLarge, Unsupported
    ├── NoAttribute, AttributeTooLarge
    ├── Busy, TooManyOpen, Stale
    │   └── NotHashed    its bytes have no name yet, so that nothing can be made of them
    │       ├── BeingWritten
    │       └── BeingMade
    ├── NoSpace, DiskFailure
    │   └── LostBytes    the disk lost bytes of a file: it must be written again, or removed
    ├── Corrupt          bytes or records are not what was stored
    ├── SourceChanged    a source moved under the reader
    ├── SourceUnreadable a source's own disk or card failed
    ├── LeftOut          a part of the sources could not be taken
    ├── Unsound          `check` found faults
    └── NotAnArchive, WrongVersion

The class carries its outcomes: `errno` for the mount, `http_status` for HTTP, `exit_code` for the command line.
Exit codes 10 to 33 are left to verification, where ASC MHL's tools define them.
"""

import errno as _e


class FilmFSError(Exception):
    """The root: something unforeseen; every subclass says what. `told`: the facts of it are out already."""

    errno = _e.EIO
    http_status = 500
    exit_code = 1

    def __init__(self, *words: object, told: bool = False) -> None:
        super().__init__(*words)
        self.told = told


class Usage(FilmFSError):
    """The request itself makes no sense."""

    errno, http_status, exit_code = _e.EINVAL, 400, 2


class BadTimecode(FilmFSError):
    """A time code, frame rate or range that does not exist, or not in this file."""

    errno, http_status, exit_code = _e.ENOENT, 404, 2


class BadMedia(FilmFSError):
    """A film file that is damaged, no film file, or one that cannot be cut exactly."""

    errno, http_status, exit_code = _e.ENOENT, 422, 2


class BadCutList(FilmFSError):
    """A cut list (EDL, timeline) that cannot be read, or that says what cannot be."""

    errno, http_status, exit_code = _e.ENOENT, 422, 2


class NotFound(FilmFSError):
    """Nothing has that name."""

    errno, http_status, exit_code = _e.ENOENT, 404, 3


class Exists(FilmFSError):
    """The name is taken."""

    errno, http_status, exit_code = _e.EEXIST, 409, 4


class NotADirectory(FilmFSError):
    """A directory was needed here."""

    errno, http_status, exit_code = _e.ENOTDIR, 409, 5


class IsADirectory(FilmFSError):
    """A directory cannot be used as a file."""

    errno, http_status, exit_code = _e.EISDIR, 409, 5


class NotEmpty(FilmFSError):
    """The directory still holds entries."""

    errno, http_status, exit_code = _e.ENOTEMPTY, 409, 5


class BadName(FilmFSError):
    """The name cannot be used in this place."""

    errno, http_status, exit_code = _e.EACCES, 400, 6


class NameNotUtf8(BadName):
    """The name is not valid UTF-8."""

    errno, http_status, exit_code = _e.EILSEQ, 400, 6


class NameTooLong(BadName):
    """The name is longer than 255 bytes."""

    errno, http_status, exit_code = _e.ENAMETOOLONG, 400, 6


class ReadOnly(FilmFSError):
    """This part of the archive, or this mount, is read-only."""

    errno, http_status, exit_code = _e.EROFS, 403, 7


class Refused(FilmFSError):
    """Possible, but not allowed here."""

    errno, http_status, exit_code = _e.EPERM, 403, 7


class CrossBranch(FilmFSError):
    """Two branches cannot share this."""

    errno, http_status, exit_code = _e.EXDEV, 409, 7


class Loop(FilmFSError):
    """A directory cannot be moved into itself."""

    errno, http_status, exit_code = _e.EINVAL, 409, 7


class TooManyLinks(FilmFSError):
    """The inode has as many names as it can have."""

    errno, http_status, exit_code = _e.EMLINK, 409, 7


class TooLarge(FilmFSError):
    """Past the largest size of a file."""

    errno, http_status, exit_code = _e.EFBIG, 413, 7


class Unsupported(FilmFSError):
    """filmfs does not offer this."""

    errno, http_status, exit_code = _e.EOPNOTSUPP, 501, 7


class NoAttribute(FilmFSError):
    """There is no extended attribute of that name."""

    errno, http_status, exit_code = _e.ENODATA, 404, 3


class AttributeTooLarge(FilmFSError):
    """An extended attribute's value is past 64 KiB."""

    errno, http_status, exit_code = _e.ENOSPC, 413, 7


class Busy(FilmFSError):
    """Somebody uses it; close it, or wait."""

    errno, http_status, exit_code = _e.EBUSY, 423, 8


class NotHashed(Busy):
    """A file was written a moment ago, or still is: what is made of it must wait until it is known by its hash."""


class BeingWritten(NotHashed):
    """The same while somebody has it open for writing, or had it so a moment ago."""


class BeingMade(NotHashed):
    """A proxy is being made, which takes as long as the film is."""


class TooManyOpen(Busy):
    """No more files can be open at once."""

    errno = _e.ENFILE


class Stale(FilmFSError):
    """It was there and is gone."""

    errno, http_status, exit_code = _e.ESTALE, 410, 3


class NoSpace(FilmFSError):
    """The disk under the archive is full."""

    errno, http_status, exit_code = _e.ENOSPC, 507, 40


class DiskFailure(FilmFSError):
    """The disk under the archive failed."""

    errno, http_status, exit_code = _e.EIO, 500, 42


class LostBytes(DiskFailure):
    """The disk lost bytes of a file, and only writing it again or removing it helps."""


class Corrupt(FilmFSError):
    """Bytes or records are not what was stored."""

    errno, http_status, exit_code = _e.EIO, 500, 43


class SourceChanged(FilmFSError):
    """A source was written to while it was read."""

    errno, http_status, exit_code = _e.EAGAIN, 409, 44


class SourceUnreadable(FilmFSError):
    """A source's own disk or card cannot be read."""

    errno, http_status, exit_code = _e.EIO, 500, 49


class LeftOut(FilmFSError):
    """Some of what was asked for could not be taken; the rest is done."""

    errno, http_status, exit_code = _e.EIO, 422, 48


class Unsound(FilmFSError):
    """`check` found faults."""

    errno, http_status, exit_code = _e.EIO, 500, 45


class NotAnArchive(FilmFSError):
    """There is no filmfs archive at that place."""

    errno, http_status, exit_code = _e.ENOENT, 404, 46


class WrongVersion(FilmFSError):
    """The archive was written by a filmfs that this one does not understand."""

    errno, http_status, exit_code = _e.EPROTO, 500, 47


def from_os_error(error: OSError, doing: str) -> FilmFSError:
    """The member of the table for `error`, met while `doing` (words for a person).

    A full disk and a read-only one have classes of their own; the rest is a failing disk. Access refused to the
    person who asked is `Refused`.
    """
    reason = error.strerror or str(error)
    name = error.filename
    where = f" ({name.decode(errors='replace') if isinstance(name, bytes) else name})" if name else ""
    kind: type[FilmFSError] = _BY_ERRNO.get(error.errno or 0, DiskFailure)
    return kind(f"{doing}: {reason}{where}")


_BY_ERRNO: dict[int, type[FilmFSError]] = {
    _e.ENOSPC: NoSpace,
    _e.EDQUOT: NoSpace,
    _e.EROFS: ReadOnly,
    _e.EACCES: Refused,
    _e.EPERM: Refused,
    _e.ENOENT: NotFound,
    _e.ENOTDIR: NotADirectory,
    _e.EISDIR: IsADirectory,
    _e.EEXIST: Exists,
    _e.EFBIG: TooLarge,
    _e.EMFILE: TooManyOpen,
    _e.ENFILE: TooManyOpen,
}
