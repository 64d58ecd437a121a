"""The optional C extensions that shrink planes of pictures and look their points up in tables.

FFmpeg's libraries do the same at several times the cost. Where they are missing, or FILMFS_NATIVE=off says so,
`shrink_plane` and `look_up_plane` are None.
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
        /,
    ) -> None:
        """Fills `width` by `height` points of a target: each the mean of `across` by `down` points of the source.

        Factors are 1, 2 or 4, bits 8 to 12 and no more than the source's; strides are bytes. Raises ValueError when a
        plane is smaller than that.
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


def _load(module: str, name: str) -> Any:
    if os.environ.get("FILMFS_NATIVE") == "off":
        return None
    try:
        return getattr(importlib.import_module(f"filmfs.proxy.native.{module}"), name)
    except ImportError:
        return None


shrink_plane: ShrinkPlane | None = _load("_halving", "shrink_plane")
look_up_plane: LookUpPlane | None = _load("_looking_up", "look_up_plane")
