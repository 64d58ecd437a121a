"""Ranges of open files: copies inside the archive that move no bytes, holes, and room."""

import os

from filmfs.core.errors import ReadOnly, TooLarge, Unsupported
from filmfs.core.extents import Extent, Hole, Literal
from filmfs.store.contents import LITERAL_MAX
from filmfs.store.disk import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE
from filmfs.vfs.handles import FileHandle
from filmfs.vfs.openfiles import SIZE_MAX, OpenFile
from filmfs.vfs.writing import write_placed

_SMALL = 1 << 16  # a shorter copy is bytes: an extent would cost more than it saves


def write_at(file: OpenFile, offset: int, data: bytes) -> None:
    """Places and writes at once. Raises what the disk says; the file is then as it was."""
    left = memoryview(data)
    while left and (where := file.place(offset, left)) is not None:
        write_placed(where, left[: where.extent.length])
        file.placed(where)
        offset, left = where.extent.end, left[where.extent.length :]


def copy_range(source: FileHandle, offset: int, target: FileHandle, to: int, length: int) -> int:
    """Has `target` show bytes of `source`: copy_file_range(2), but rows instead of bytes. How many were copied.

    Raises Unsupported where bytes must be moved: into a file that is written past us, and from one that may change or
    that the disk lost bytes of.
    """
    read, written = source.shown, _writable(target)
    if read is None or read.is_being_written or read.is_torn or written.is_written_through:
        raise Unsupported("these bytes have to be moved")
    length = max(0, min(length, read.size - offset))
    if not length:
        return 0
    data = read.read_now(offset, length) if length <= _SMALL else None
    if data is not None:
        write_at(written, to, bytes(data))
        return length
    pieces: list[Extent | Hole] = []
    own: list[Extent] = []
    for piece in read.map.pieces(offset, offset + length):
        at = piece.offset - offset + to
        if isinstance(piece, Hole):
            pieces.append(Hole(at, piece.length))
        elif isinstance(piece.source, Literal) and piece.length > LITERAL_MAX:  # more than a row may hold
            own.append(Extent(at, piece.length, piece.source, piece.source_offset))
        else:
            pieces.append(Extent(at, piece.length, piece.source, piece.source_offset))
    written.splice(pieces, to + length, whole=read.content if offset == to and not own else None)
    for literal in own:
        assert isinstance(literal.source, Literal)
        data = literal.source.data[literal.source_offset : literal.source_offset + literal.length]
        write_at(written, literal.offset, data)
    return length


def seek(handle: FileHandle, offset: int, whence: int) -> int | None:
    """Where data or a hole begins at or after `offset` (SEEK_DATA, SEEK_HOLE); None: not before the end."""
    if handle.shown is None:
        found = handle.report and offset < len(handle.report)
        return (offset if whence == os.SEEK_DATA else len(handle.report)) if found else None
    extents = handle.shown.map
    if offset >= extents.size:
        return None
    for piece in extents.pieces(offset, extents.size):
        if isinstance(piece, Extent) == (whence == os.SEEK_DATA):
            return max(offset, piece.offset)
    return None if whence == os.SEEK_DATA else extents.size


def allocate(handle: FileHandle, offset: int, length: int, mode: int) -> None:
    """fallocate(2): room, holes and zeros. Raises TooLarge, and Unsupported for other modes."""
    file = _writable(handle)
    if not mode & KEEP_SIZE and offset + length > SIZE_MAX:
        raise TooLarge("a file cannot be that large")
    if mode & ~KEEP_SIZE == 0:
        file.allocate(offset, offset + length, keep_size=bool(mode & KEEP_SIZE))
    elif mode == PUNCH_HOLE:
        file.punch(offset, offset + length)
    elif mode & ~KEEP_SIZE == ZERO_RANGE:
        file.zero(offset, offset + length, keep_size=bool(mode & KEEP_SIZE))
    else:
        raise Unsupported("this way of changing a file's room is not known here")


def _writable(handle: FileHandle) -> OpenFile:
    if handle.file is None or not handle.writing:
        raise ReadOnly("the file is not open for writing")
    return handle.file
