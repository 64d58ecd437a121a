"""Node numbers and attributes: how every door names and describes an entry of the visible tree.

    63 … 44   space: 0 virtual directories · 1 … MAX_BRANCH a branch · above that a read-only view (see Spaces)
    43 … 40   turn: 0, or counts the nodes that one file got because readers went on with what they had opened
    39 …  0   the file_id in that space; in space 0 bits 43 … 0 are a hash of the virtual path

A number leads back to its node without any table, so NFS handles resolve after a restart and forget is nothing. What
stat tells as st_ino has turn 0.
"""

from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK
from typing import NamedTuple, NewType

from blake3 import blake3

from filmfs.core.ids import FILE_ID_BITS, MAX_BRANCH, MAX_FILE_ID, FileId
from filmfs.versioning.rows import Inode, Kind

NodeId = NewType("NodeId", int)
Space = NewType("Space", int)

VIRTUAL = Space(0)
ROOT = NodeId(1)
TURNS = 16
TURN_MASK = (TURNS - 1) << FILE_ID_BITS
_SPACE_SHIFT = 44
_VIEWS = MAX_BRANCH + 1

_TYPE_BITS = {
    Kind.FILE: S_IFREG,
    Kind.DIRECTORY: S_IFDIR,
    Kind.SYMLINK: S_IFLNK,
    Kind.FIFO: S_IFIFO,
    Kind.SOCKET: S_IFSOCK,
    Kind.CHARACTER_DEVICE: S_IFCHR,
    Kind.BLOCK_DEVICE: S_IFBLK,
}


def node_id(space: Space, file: FileId, turn: int = 0) -> NodeId:
    """The number of a file in a space."""
    return NodeId(space << _SPACE_SHIFT | turn << FILE_ID_BITS | file)


def split_node(node: NodeId) -> tuple[Space, FileId]:
    """The space and file of a number."""
    return Space(node >> _SPACE_SHIFT), FileId(node & MAX_FILE_ID)


def turn_of(node: NodeId) -> int:
    """The turn of a number."""
    return (node & TURN_MASK) >> FILE_ID_BITS


def virtual_id(path: tuple[str, ...]) -> NodeId:
    """The number of a virtual directory or file: stable, for it is made of its path."""
    if not path:
        return ROOT
    digest = int.from_bytes(blake3("/".join(path).encode(errors="surrogateescape")).digest(8), "big")
    return NodeId((digest & ((1 << _SPACE_SHIFT) - 1)) | 2)


class Attributes(NamedTuple):
    """What stat tells. `mode` has the type bits; times are nanoseconds.

    `stable`: changes only through this door. `live`: changes without its knowing, until the file is closed.
    """

    node: NodeId
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    blocks: int
    atime: int
    mtime: int
    ctime: int
    btime: int
    stable: bool = True
    live: bool = False


def attributes_of(node: NodeId, inode: Inode, *, stable: bool = True, live: bool = False) -> Attributes:
    """The attributes of an inode."""
    kind, mode, uid, gid, nlink, size, atime, mtime, ctime, btime, rdev, _, _, _, stored, _ = inode
    blocks = (stored + 511) >> 9
    if kind is Kind.DIRECTORY:
        size, blocks = 4096, 8
    elif kind is Kind.FILE:
        rdev = 0
    bits = _TYPE_BITS[kind] | mode
    made = (node, bits, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, btime, stable, live)
    return tuple.__new__(Attributes, made)


def unread(node: NodeId, kind: Kind) -> Attributes:
    """What a listing tells of an inode that cannot be read: that it is there."""
    return Attributes(node, _TYPE_BITS[kind], 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, stable=False)


class ViewNumbers:
    """Gives read-only views a space each: the same one for as long as the mount lives, and nearly always after."""

    def __init__(self) -> None:
        self._spaces: dict[tuple[str, int], Space] = {}
        self._views: dict[Space, tuple[str, int]] = {}

    def space(self, door: str, number: int) -> Space:
        """The space of what `door` (history, snapshot, plain …) shows under `number` (a layer, a branch)."""
        view = (door, number)
        if view not in self._spaces:
            digest = int.from_bytes(blake3(f"{door}:{number}".encode()).digest(8), "big")
            space = Space(_VIEWS + digest % _VIEWS)
            while space in self._views:
                space = Space(_VIEWS + (space + 1 - _VIEWS) % _VIEWS)
            self._spaces[view], self._views[space] = space, view
        return self._spaces[view]

    def spaces(self) -> list[Space]:
        """All spaces that were given."""
        return list(self._views)

    def view(self, space: Space) -> tuple[str, int] | None:
        """What a space shows, if it was given one since the mount."""
        return self._views.get(space)
