"""Films inside files: plain files, ZIP and TAR with stored members, as bytes that can be read at any place.

A member that is stored as it is lies in one piece, and is read where it lies. One that is compressed or encrypted has
no bytes to point at, and is refused. Members are found by their path without a slash before it, else by their name if
no other member has it.
"""

import os
import struct
import tarfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO

from filmfs.core.errors import BadMedia, NotFound, Usage, from_os_error

_LOCAL_HEADER = 30
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_TAR, _TAR_AT = b"ustar", 257
_ENCRYPTED = 0x1
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    ValueError,
    OverflowError,
    EOFError,
    struct.error,
)


class FileBytes:
    """An open binary file as a ByteSource. Nobody else may seek in it meanwhile.

    `descriptor` is the kernel's own number of it, if all of its bytes are there; `start` is where in that they begin.
    """

    start = 0

    def __init__(self, file: BinaryIO, descriptor: int | None = None) -> None:
        """Raises Usage for a file of text, and one in which nobody can seek."""
        if not file.seekable() or not isinstance(file.read(0), bytes):
            raise Usage("the file is not open in binary, or has no places to read at")
        self.file, self.descriptor = file, descriptor
        self._lock = threading.Lock()
        self.size = file.seek(0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the end. Raises DiskFailure and its kind."""
        pieces, wanted = [], min(length, self.size - offset)
        try:
            with self._lock:
                self.file.seek(offset)
                while wanted > 0 and (piece := self.file.read(wanted)):
                    pieces.append(piece)
                    wanted -= len(piece)
        except OSError as error:
            raise from_os_error(error, "reading the file") from error
        return b"".join(pieces)


class Member:
    """`size` bytes of another source, from `start` on."""

    def __init__(self, source: FileBytes, start: int, size: int) -> None:
        self._source, self.descriptor, self.start, self.size = source, source.descriptor, start, size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the end."""
        return self._source.read(self.start + offset, max(min(length, self.size - offset), 0))


def is_container(source: FileBytes) -> bool:
    """Whether a file is a ZIP or a TAR, by how it begins."""
    start = source.read(0, _TAR_AT + len(_TAR))
    return start.startswith(_ZIPS) or start[_TAR_AT:] == _TAR


def find_member(source: FileBytes, path: str) -> tuple[Member, str]:
    """A member of a ZIP or TAR, and its path in it. Raises NotFound, BadMedia."""
    is_zip = source.read(0, 4) in _ZIPS
    try:
        return (_in_zip if is_zip else _in_tar)(source, path)
    except _DAMAGED as error:
        raise BadMedia(f"the {'ZIP' if is_zip else 'TAR'} cannot be read: {error}") from error


def _in_zip(source: FileBytes, path: str) -> tuple[Member, str]:
    with zipfile.ZipFile(source.file) as opened:
        info = opened.getinfo(_member_called(path, [each.filename for each in opened.infolist() if not each.is_dir()]))
    if info.flag_bits & _ENCRYPTED:
        raise BadMedia(f"{info.filename} is encrypted in the ZIP")
    if info.compress_type != zipfile.ZIP_STORED:
        raise BadMedia(f"{info.filename} is compressed in the ZIP; store it as it is (zip -0) to read parts of it")
    header = source.read(info.header_offset, _LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or not header.startswith(_ZIPS[0]):
        raise BadMedia(f"the ZIP has no {info.filename} where it says")
    name, extra = struct.unpack("<26xHH", header)
    return _inside(source, info.header_offset + _LOCAL_HEADER + name + extra, info.file_size, info.filename)


def _in_tar(source: FileBytes, path: str) -> tuple[Member, str]:
    source.file.seek(0)
    with tarfile.open(fileobj=source.file, mode="r:") as opened:
        members = {each.name: each for each in opened.getmembers() if each.isreg()}
    found = members[_member_called(path, list(members))]
    if found.issparse():
        raise BadMedia(f"{found.name} is stored with holes in the TAR")
    return _inside(source, found.offset_data, found.size, found.name)


def _inside(source: FileBytes, start: int, size: int, name: str) -> tuple[Member, str]:
    if not 0 <= start <= start + size <= source.size:
        raise BadMedia(f"{name} goes past the end of what it is in")
    return Member(source, start, size), name


def _member_called(path: str, names: list[str]) -> str:
    wanted = PurePosixPath(path.lstrip("/"))
    tests: tuple[Callable[[PurePosixPath], bool], ...] = (
        lambda each: each == wanted,
        lambda each: each.name == wanted.name,
    )
    for test in tests:
        found = {name for name in names if test(PurePosixPath(name))}
        if len(found) == 1:
            return found.pop()
        if found:
            raise NotFound(f"{path} could be any of {', '.join(sorted(found)[:5])}")
    raise NotFound(f"there is no {path} in it")
