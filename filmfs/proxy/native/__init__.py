"""The optional C extensions that shrink planes of pictures, look their points up, and take OpenEXR's lines apart.

FFmpeg's libraries do the same at several times the cost. Where they are missing, or FILMFS_NATIVE=off says so,
`shrink_plane`, `look_up_plane`, `add_up` and `take_lines` are None.
"""

import importlib
import os
from typing import Any, Protocol


class ShrinkPlane(Protocol):
    """Means of blocks of points."""

    def __call__(
        self,
        source: Any,
        source_stride: int,
        source_bits: int,
        target: Any,
        target_stride: int,
        target_bits: int,
        width: int,
        height: int,
        across: int,
        down: int,
        place: int,
        /,
    ) -> None:
        """Fills `width` by `height` points of a target: each the mean of `across` by `down` points of the source.

        Factors are 1, 2 or 4, bits 8 to 12 and no more than the source's; strides are bytes. Chroma may lie in the left
        one of two columns of luma: `place` 1, it does before and after (`across` is 2 then, and of 12 bits `down` no
        more); 2, there is as much as luma before (2 or 4). Raises ValueError when a plane is smaller than that.
        """


class LookUpPlane(Protocol):
    """What a table has for each point."""

    def __call__(
        self, source: Any, source_stride: int, target: Any, target_stride: int, width: int, height: int, table: bytes, /
    ) -> None:
        """Fills `width` by `height` points of a target: each is the source's place in a table.

        Points and what is in the table are 16 bits in the machine's order; a point past the table's end is its last
        place. Strides are bytes. Raises ValueError when a plane is smaller than that.
        """


class AddUp(Protocol):
    """Bytes from their differences."""

    def __call__(self, data: Any, /) -> None:
        """In place: each byte becomes the sum of those up to it, less 128 for each before it."""


class TakeLines(Protocol):
    """One channel's halves of some lines."""

    def __call__(
        self,
        source: Any,
        row_bytes: int,
        offset: int,
        is_split: bool,
        target: Any,
        stride: int,
        width: int,
        first: int,
        rows: int,
        /,
    ) -> None:
        """Fills `rows` lines of a target, from `first` on, with the `width` halves that begin at `offset` of each line.

        `is_split`: the lower bytes of all lines come before all upper ones. Raises ValueError when source or target is
        smaller than that.
        """


def _load(module: str, name: str) -> Any:
    if os.environ.get("FILMFS_NATIVE") == "off":
        return None
    try:
        return getattr(importlib.import_module(f"filmfs.proxy.native.{module}"), name)
    except ImportError:
        return None


shrink_plane: ShrinkPlane | None = _load("_halving", "shrink_plane")
look_up_plane: LookUpPlane | None = _load("_looking_up", "look_up_plane")
add_up: AddUp | None = _load("_lines", "add_up")
take_lines: TakeLines | None = _load("_lines", "take_lines")
