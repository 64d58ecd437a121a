"""Directories that are open for reading: what they list, by position.

A position counts what was listed before it and leads to the same name for as long as the directory is open. Of what was
given only the names are kept: ten megabytes for a million files.
"""

from collections.abc import Callable, Iterator

from filmfs.versioning.listing import Listing
from filmfs.versioning.rows import Entry
from filmfs.vfs.nodes import NodeId

Listed = tuple[bytes, NodeId | Entry | None]
"""A name in a directory, and the node or the entry of the same space that it leads to; None when it is gone."""

BLOCK = 512


Beside = Callable[[Iterator[bytes], Callable[[bytes], Entry | None]], Iterator[tuple[bytes, NodeId]]]
"""Gives what is shown beside a directory's files, by their name keys and what finds the entry of one."""


class DirectoryListing:
    """`.` and `..` and what is virtual (`fixed`), then the entries of a directory, then what is shown beside them."""

    def __init__(
        self, fixed: list[tuple[bytes, NodeId]], entries: Listing | None = None, beside: Beside | None = None
    ) -> None:
        self._fixed = fixed
        self._entries = entries
        self._beside = beside
        self._shown: list[tuple[bytes, NodeId]] | None = None  # beside the entries, once all were listed
        self._blocks: list[bytes] = []  # the name keys of each block, joined by zeros
        self._last = b""
        self._goes_on = True
        self._at = -1
        self._changes = -1  # when the block was read
        self._block: list[tuple[bytes, Entry | None]] = []

    def since(self, position: int) -> Iterator[Listed]:
        """What stands at a position and at those that follow. To be used before anything else is done."""
        yield from self._fixed[position:]
        position, entries = max(0, position - len(self._fixed)), self._entries
        begins = position
        while entries is not None:
            number, index = divmod(position, BLOCK)
            # Who comes back with a position of another opening (an NFS server does) has not been here yet.
            while len(self._blocks) < number and self._turn_to(len(self._blocks)):
                pass
            if number != self._at and not self._turn_to(number):
                break
            changed = self._changes != entries.changes()
            for key, then in self._block[index:]:
                # A name that went would be remembered by whoever is told of it, while its inode lives on.
                entry = entries.at(key) if changed else then
                yield (key, None) if entry is None else (entry.name, entry)
            position = (number + 1) * BLOCK
        if entries is not None and self._beside is not None:
            yield from self._all_beside(entries, self._beside)[max(0, begins - self._count()) :]

    def _count(self) -> int:
        """How many entries there are, once all were listed."""
        return (len(self._blocks) - 1) * BLOCK + self._blocks[-1].count(b"\0") + 1 if self._blocks else 0

    def _all_beside(self, entries: Listing, beside: Beside) -> list[tuple[bytes, NodeId]]:
        if self._shown is None:
            keys = (key for block in self._blocks for key in block.split(b"\0"))
            self._shown = list(beside(keys, entries.at))
        return self._shown

    def following(self, position: int) -> tuple[bytes, int] | None:
        """Which entries are read next for a position: so many after a name key. None when they are at hand."""
        number = max(0, position - len(self._fixed)) // BLOCK
        if self._entries is None or number == self._at:
            return None
        return (self._blocks[number - 1].rpartition(b"\0")[2] if 0 < number <= len(self._blocks) else b""), BLOCK

    def _turn_to(self, number: int) -> bool:
        """Has a block at hand; False when there is none, and the one that was stays."""
        if self._entries is None or number > len(self._blocks):
            return False
        changes = self._entries.changes()
        if number < len(self._blocks):
            keys = self._blocks[number].split(b"\0")
            self._block = [(key, self._entries.at(key)) for key in keys]
        else:
            block = self._next_block(self._entries) if self._goes_on else []
            if not block:
                return False
            self._block = block
            self._last = block[-1][0]
            self._goes_on = len(block) == BLOCK  # after a shorter one no position could be reckoned
            self._blocks.append(b"\0".join(key for key, _ in block))
        self._at = number
        self._changes = changes
        return True

    def _next_block(self, entries: Listing) -> list[tuple[bytes, Entry | None]]:
        """Blocks are full but for the last one, so that a position can be reckoned."""
        block: list[tuple[bytes, Entry | None]] = []
        last = self._last
        while len(block) < BLOCK and (more := entries.after(last, BLOCK - len(block))):
            block += more
            last = more[-1][0]
        return block
