"""The versioned rows: inodes and directory entries, their keys and stored forms.

    inode    file_id (8) · newest-first layer (8) → [kind, mode, …], or None: gone from this layer on
    dirent   directory file_id (8) · name key · 0x00 · newest-first layer (8)
             → [file_id, kind, name as given or None], or None: gone from this layer on
    changes  layer (8) · kind (1: 'i' or 'd') · the row's key without the layer  → None

Newest-first is 2^64-1 less the layer, so that the first row of a key that a branch may see is the one it sees. All
numbers in keys are big-endian.
"""

from enum import IntEnum
from typing import Any, NamedTuple

from filmfs.core.ids import BranchId, FileId, LayerId
from filmfs.store.contents import ContentRef

INODE = b"inode"
DIRENT = b"dirent"
CHANGES = b"changes"

EDITED = 1
"""In `rdev` of a file: it was not only written once and whole, so it may be a database, a log, a project."""

_NEWEST_FIRST = (1 << 64) - 1
_TIMES = -(1 << 63), (1 << 64) - 1  # what a stored integer can be: 1677 to 2554


class Kind(IntEnum):
    """What an inode is; the values are stored."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3
    FIFO = 4
    SOCKET = 5
    CHARACTER_DEVICE = 6
    BLOCK_DEVICE = 7


class Inode(NamedTuple):
    """An inode as one layer left it.

    `mode` is the permission bits; `stored` is the size less its holes; `links` are its names: (directory, name as
    given). `nlink` of a directory is 2 and its sub-directories. Times are nanoseconds since 1970. `rdev` is the number
    of a device; of a file it is EDITED once it was changed in place.

    A tuple, because these are made by the ten thousand a second.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    nlink: int
    size: int
    atime: int
    mtime: int
    ctime: int
    btime: int
    rdev: int = 0
    xattrs: bytes = b""
    content: ContentRef = None
    target: bytes = b""
    stored: int = 0
    links: tuple[tuple[FileId, bytes], ...] = ()

    @property
    def device(self) -> int:
        """The number of a device; 0 for all else."""
        return 0 if self.kind is Kind.FILE else self.rdev

    def changed(self, **fields: Any) -> "Inode":
        """This inode with other values in some fields."""
        values = list(self)
        for name, value in fields.items():
            values[_PLACES[name]] = value
        return Inode._make(values)

    def as_value(self) -> list[Any]:
        """The stored form."""
        return [int(self.kind), *self[1:-1], [[parent, name] for parent, name in self.links]]

    @classmethod
    def of_value(cls, value: list[Any]) -> "Inode":
        """The inode that as_value() stored."""
        kind, *fields, links = value
        if len(fields) != len(cls._fields) - 2:
            raise TypeError(f"an inode has {len(cls._fields)} fields, not {len(value)}")
        if len(links) == 1:
            parent, name = links[0]
            names: tuple[tuple[FileId, bytes], ...] = ((parent, name),)
        else:
            names = tuple([(parent, name) for parent, name in links])
        return tuple.__new__(cls, (_KINDS[kind], *fields, names))


_PLACES = {name: place for place, name in enumerate(Inode._fields)}
_KINDS = {int(kind): kind for kind in Kind}


class Entry(NamedTuple):
    """A directory entry: the name as given leads to an inode."""

    file: FileId
    kind: Kind
    name: bytes

    def as_value(self, key: bytes) -> list[Any]:
        """The stored form under `key`."""
        return [self.file, int(self.kind), None if self.name == key else self.name]

    @classmethod
    def of_value(cls, key: bytes, value: list[Any]) -> "Entry":
        """The entry that as_value() stored."""
        file, kind, name = value
        return tuple.__new__(cls, (file, _KINDS[kind], key if name is None else name))


def nearest_time(time: int) -> int:
    """The time that can be stored and is nearest to `time`, as Linux does it for other file systems."""
    return max(_TIMES[0], min(time, _TIMES[1]))


def inode_prefix(file: FileId) -> bytes:
    """What all rows of an inode begin with."""
    return file.to_bytes(8, "big")


def directory_prefix(directory: FileId) -> bytes:
    """What all entries of a directory begin with."""
    return directory.to_bytes(8, "big")


def entry_prefix(directory: FileId, key: bytes) -> bytes:
    """What all rows of one name in a directory begin with."""
    return directory.to_bytes(8, "big") + key + b"\0"


def layer_suffix(layer: LayerId) -> bytes:
    """The end of a row's key: newest layers sort first."""
    return (_NEWEST_FIRST - layer).to_bytes(8, "big")


def layer_of(key: bytes) -> LayerId:
    """The layer that wrote the row under `key`."""
    return LayerId(_NEWEST_FIRST - int.from_bytes(key[-8:], "big"))


def change_key(layer: LayerId, table: bytes, prefix: bytes) -> bytes:
    """The key that notes that `layer` wrote a row with `prefix`."""
    return layer.to_bytes(8, "big") + table[:1] + prefix


def split_entry_key(prefix: bytes) -> tuple[FileId, bytes]:
    """The directory and name key of an entry's prefix."""
    return FileId(int.from_bytes(prefix[:8], "big")), prefix[8:-1]


def branch_key(branch: BranchId) -> bytes:
    """The key of a branch's record: its number, 4 bytes, big-endian."""
    return branch.to_bytes(4, "big")


def layer_key(layer: LayerId) -> bytes:
    """The key of a layer's record: its number, 8 bytes, big-endian."""
    return layer.to_bytes(8, "big")
