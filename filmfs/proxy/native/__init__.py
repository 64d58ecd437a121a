"""The optional C extension that shrinks planes of pictures; libswscale does the same, at several times the cost.

Where it is missing, or FILMFS_NATIVE=off says so, `shrink_plane` is None.
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


def _load() -> ShrinkPlane | None:
    if os.environ.get("FILMFS_NATIVE") == "off":
        return None
    try:
        shrink: ShrinkPlane = importlib.import_module("filmfs.proxy.native._halving").shrink_plane
    except ImportError:
        return None
    return shrink


shrink_plane = _load()
