"""Made files that are text: a recipe that is its own bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from blake3 import blake3

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId
from filmfs.timecode.shelf import Shelf
from filmfs.vfs.derived import Made


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """A text."""

    data: bytes

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """It needs nothing."""
        return ()

    @property
    def identity(self) -> str:
        """The text, by its hash."""
        return f"text {blake3(self.data).hexdigest()}"

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """The text."""
        return Made(ExtentMap.of_bytes(self.data))
