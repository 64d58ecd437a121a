"""Packets of some of a film's streams; what is between them is not read where the container says where they are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

_PASSED_OVER, _GIVEN = 48, 0  # AVDISCARD_ALL, AVDISCARD_DEFAULT (libavcodec/defs.h)


def demuxed(container: "InputContainer", *streams: "Stream") -> Iterator[Any]:
    """Packets of these streams in the order of the file, an empty one of each at the end. Raises av.FFmpegError.

    A reader of sound takes a hundredth of the bytes of a film so. PyAV before 18 reads them all.
    """
    wanted = {stream.index for stream in streams}
    every: Any = container.streams
    for stream in every:
        if hasattr(stream, "discard"):
            stream.discard = _GIVEN if stream.index in wanted else _PASSED_OVER
    return container.demux(*streams)
