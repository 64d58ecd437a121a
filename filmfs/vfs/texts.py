"""Made files that are text: a recipe that is its own bytes."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId
from filmfs.timecode.shelf import Shelf
from filmfs.vfs.derived import Facts, Made


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """A text, packed as long as nobody reads it."""

    packed: bytes
    facts: Facts
    identity: str

    @classmethod
    def of(cls, data: bytes) -> "TextRecipe":
        """The recipe of a text."""
        return cls(zlib.compress(data, 1), Facts(len(data), {}), f"text {blake3(data).hexdigest()}")

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """It needs nothing."""
        return ()

    @property
    def is_only(self) -> bool:
        """A list has one report."""
        return True

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """The text."""
        return Made(ExtentMap.of_bytes(zlib.decompress(self.packed)))

    def __hash__(self) -> int:
        return hash(self.identity)
