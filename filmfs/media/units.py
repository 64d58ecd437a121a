"""What the bytes of a coded picture say without decoding: whether others refer to it, and whether they can be its own.

H.264 and H.265 are NAL units, with a start code before each or its length. `nal_ref_idc` tells whether there may be
references to H.264's (ITU-T H.264, 7.4.1), its type in H.265 (ITU-T H.265, table 7-1: to even ones below 16 no other of
their sub-layer refers). MPEG-2 has a type of picture (ITU-T H.262, 6.3.9: nothing refers to a B picture). In no unit
two zero bytes are followed by another below 3 (H.264, 7.4.1; H.265, 7.4.2.2), so zeros where a disk or a card lost
something are no picture's.
"""

import re
from collections.abc import Callable, Iterator

_LOOKED_AT = 64 << 10  # parameter sets and messages before the picture are shorter
_CODE = re.compile(rb"\0\0\x01")  # without the zeros that may be before it
_IN_A_UNIT = re.compile(rb"\0\0[\0\x01\x02]")
_BETWEEN_CODES = re.compile(rb"\0\0(?:\0+[^\0\x01]|\x02)")  # zeros may be before a code, and at the end
_MPEG2_PICTURE, _MPEG2_B = b"\0\0\1\0", 3
_WIDTH_AT = {"h264": 4, "hevc": 21}  # where extradata says the bytes of a length, less one, in two bits


def is_reference(codec: str, extradata: bytes | None, data: "bytes | memoryview") -> bool:
    """Whether other pictures may refer to that of a packet; they may where nothing is known.

    `codec` is FFmpeg's name of it; `extradata` tells whether units have a length or a start code before them.
    """
    head = bytes(data[:_LOOKED_AT])
    if codec == "mpeg2video":
        at = head.find(_MPEG2_PICTURE)
        return at < 0 or len(head) < at + 6 or head[at + 5] >> 3 & 7 != _MPEG2_B
    said: dict[str, Callable[[int], bool | None]] = {"h264": _of_avc, "hevc": _of_hevc}
    if codec not in said:
        return True
    answers = (said[codec](head[first]) for first in _firsts(head, _width(codec, extradata)))
    return next((is_one for is_one in answers if is_one is not None), True)


def is_possible(codec: str, extradata: bytes | None, data: memoryview) -> bool:
    """Whether all bytes of a packet may be those of units; others than H.264's and H.265's are not looked at."""
    if codec not in _WIDTH_AT:
        return True
    if not (width := _width(codec, extradata)):
        return not _BETWEEN_CODES.search(data)
    return all(last <= len(data) and not _IN_A_UNIT.search(data[first:last]) for first, last in _units(data, width))


def _of_avc(header: int) -> bool | None:
    return bool(header >> 5 & 3) if 1 <= header & 31 <= 5 else None


def _of_hevc(header: int) -> bool | None:
    kind = header >> 1 & 63
    return (kind >= 16 or kind % 2 == 1) if kind < 32 else None


def _width(codec: str, extradata: bytes | None) -> int:
    """How many bytes say a unit's length; 0: there are start codes."""
    at = _WIDTH_AT[codec]
    return (extradata[at] & 3) + 1 if extradata and extradata[0] == 1 and len(extradata) > at else 0


def _firsts(data: bytes, width: int) -> Iterator[int]:
    """Where units begin."""
    if width:
        return (first for first, _ in _units(memoryview(data), width))
    return (found.end() for found in _CODE.finditer(data) if found.end() < len(data))


def _units(data: memoryview, width: int) -> Iterator[tuple[int, int]]:
    """Where each unit begins that begins in the data, and where it should end."""
    at = 0
    while at + width < len(data):
        first = at + width
        at = first + int.from_bytes(data[at:first], "big")
        yield first, at
