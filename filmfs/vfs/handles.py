"""Handles: numbers that a door was given for what it opened."""

from collections import Counter
from dataclasses import dataclass

from filmfs.core.errors import Stale
from filmfs.vfs.derived import DerivedFile
from filmfs.vfs.listings import DirectoryListing
from filmfs.vfs.nodes import NodeId
from filmfs.vfs.openfiles import OpenFile


@dataclass(slots=True)
class FileHandle:
    """A file that was opened, by which process: `derived` is one that is made of others, `report` holds the bytes of
    another virtual one.

    `is_access`: reading shows in its access time; `accessed`: opening it did; `read_at`: its mtime when it last did.
    """

    node: NodeId
    file: OpenFile | None
    writing: bool = False
    process: int = 0
    report: bytes = b""
    is_access: bool = True
    accessed: bool = False
    read_at: int | None = None
    derived: DerivedFile | None = None

    @property
    def shown(self) -> OpenFile | DerivedFile | None:
        """What its bytes are read of, unless they are a report's."""
        return self.file if self.file is not None else self.derived


@dataclass(slots=True)
class DirectoryHandle:
    """A directory that was opened; its listing is made when reading starts from the beginning.

    `is_twice`: the kernel has it as another one too.
    """

    node: NodeId
    is_twice: bool = False
    listing: DirectoryListing | None = None


class Handles:
    """All handles of a mount. A number is never given twice."""

    def __init__(self) -> None:
        self._held: dict[int, FileHandle | DirectoryHandle] = {}
        self._next = 1
        self._reading: Counter[int] = Counter()

    def add(self, handle: FileHandle | DirectoryHandle) -> int:
        """Gives a handle its number."""
        number = self._next
        self._next += 1
        self._held[number] = handle
        if isinstance(handle, FileHandle) and not handle.writing:
            self._reading[handle.process] += 1
        return number

    def is_reading(self, process: int) -> bool:
        """Whether a process has files open for reading."""
        return process in self._reading

    def file(self, number: int) -> FileHandle:
        """The open file. Raises Stale."""
        found = self._held.get(number)
        if not isinstance(found, FileHandle):
            raise Stale("the file is not open")
        return found

    def directory(self, number: int) -> DirectoryHandle:
        """The open directory. Raises Stale."""
        found = self._held.get(number)
        if not isinstance(found, DirectoryHandle):
            raise Stale("the directory is not open")
        return found

    def remove(self, number: int) -> FileHandle | DirectoryHandle | None:
        """Lets go of a handle; gives what it was."""
        handle = self._held.pop(number, None)
        if isinstance(handle, FileHandle) and not handle.writing:
            self._reading[handle.process] -= 1
            if not self._reading[handle.process]:
                del self._reading[handle.process]
        return handle
