"""Bytes out of an archive: a file by its ExtentMap, read anywhere, or written as a plain file.

The kernel copies from blob to file by itself where it can (`copy_file_range`), which on file systems with shared blocks
copies nothing.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from filmfs.core.errors import Corrupt, Exists, from_os_error
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal
from filmfs.store.contents import Contents
from filmfs.store.disk import start_writeback, sync_path

PIECE = 8 << 20
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}  # from file systems without O_TMPFILE


class Stored:
    """A file's bytes as a ByteSource."""

    def __init__(self, contents: Contents, extents: ExtentMap) -> None:
        self._contents = contents
        self.extents = extents

    @property
    def size(self) -> int:
        """How many there are."""
        return self.extents.size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the end. Raises Corrupt, DiskFailure."""
        return self._contents.read(self.extents, offset, length)


def export(contents: Contents, extents: ExtentMap, path: str, advance: Callable[[int], None]) -> None:
    """Writes a file that was not there; it appears under its name when it is whole and durable.

    `advance` is told of bytes just written. Raises Exists, NoSpace and its kind, or what reading does.
    """

    def fill(descriptor: int) -> None:
        for piece in extents.pieces(0, extents.size):
            _write(contents, piece, descriptor, advance)

    write_file(path, extents.size, fill)


def write_file(path: str, size: int, fill: Callable[[int], None]) -> None:
    """Writes a file of `size` zeros that was not there and that `fill` fills, by its descriptor.

    It appears under its name when it is whole and durable. Raises Exists, NoSpace and its kind, or what `fill` does.
    """
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.lexists(path):
        raise Exists(f"{path} is there already")
    try:
        descriptor, part = _begin(directory)
        try:
            try:
                os.ftruncate(descriptor, size)
                fill(descriptor)
                os.fsync(descriptor)
                _appear(descriptor, part, path)
                os.fsync(descriptor)  # btrfs logs nothing of a file while that has no name
            finally:
                os.close(descriptor)
        finally:
            if part is not None:
                with suppress(OSError):
                    os.unlink(part)
        sync_path(directory)
    except FileExistsError:
        raise Exists(f"{path} is there already") from None
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error


def _begin(directory: str) -> tuple[int, str | None]:
    """A file without a name, of which nothing is left if this process dies; a hidden one where there are none such."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666), None
    except OSError as error:
        if error.errno not in _NO_NAMELESS:
            raise
    part = os.path.join(directory, f".{token_hex(8)}.part")  # others may write the same file
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), part


def _appear(descriptor: int, part: str | None, path: str) -> None:
    """Gives a file its name, which nobody else may have taken meanwhile. Raises FileExistsError, OSError."""
    if part is None:
        # os.link follows symbolic links only where a directory is given, which an absolute path has no use for.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)
        return
    try:
        os.link(part, path)
    except PermissionError:  # a file system without hard links
        os.rename(part, path)


def _write(contents: Contents, piece: Extent | Hole, target: int, advance: Callable[[int], None]) -> None:
    if isinstance(piece, Hole):
        advance(piece.length)
        return
    if isinstance(piece.source, Literal):
        data = piece.source.data[piece.source_offset : piece.source_offset + piece.length]
        write_all(target, data, piece.offset)
        advance(piece.length)
        return
    with contents.blobs.borrow([piece.source]) as (source,):
        done = 0
        while done < piece.length:
            length = min(PIECE, piece.length - done)
            copied = copy_bytes(source, target, length, piece.source_offset + done, piece.offset + done)
            if not copied:
                raise Corrupt(f"the file of blob {piece.source} is shorter than its record says")
            done += copied
            advance(copied)


def copy_bytes(source: int, target: int, length: int, offset: int, to: int) -> int:
    """Copies up to `length` bytes from `offset` of one file to another; how many it were."""
    try:
        copied = os.copy_file_range(source, target, length, offset, to)
    except OSError:  # another file system, or one that cannot
        data = os.pread(source, length, offset)
        write_all(target, data, to)
        copied = len(data)
    start_writeback(target, to, copied)
    return copied


def write_all(target: int, data: bytes, offset: int) -> None:
    """Writes all of `data` at an offset."""
    rest = memoryview(data)
    while rest:
        done = os.pwrite(target, rest, offset)
        rest, offset = rest[done:], offset + done
