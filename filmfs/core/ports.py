"""What the layers below ask of those above them."""

from typing import Protocol


class ByteSource(Protocol):
    """Bytes that can be read at any place, from any thread."""

    @property
    def size(self) -> int:
        """How many there are."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`; fewer only at the end. Raises what its disk says."""
