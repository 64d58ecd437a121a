"""What the bytes of a coded picture say without decoding: whether others refer to it, from when on pictures are right
if decoding begins with it, and whether they can be its own.

H.264 and H.265 are NAL units, with a start code before each or its length. `nal_ref_idc` tells whether there may be
references to H.264's (ITU-T H.264, 7.4.1), its type in H.265 (ITU-T H.265, table 7-1: to even ones below 16 no other of
their sub-layer refers; those of higher ones may). MPEG-2 has a type of picture (ITU-T H.262, 6.3.9: nothing refers to a
B picture). In no unit two zero bytes are followed by another below 3 (H.264, 7.4.1; H.265, 7.4.2.2), so zeros where a
disk or a card lost something are no picture's.
"""

import re
from collections.abc import Iterator

_LOOKED_AT = 64 << 10  # parameter sets and messages before the picture are shorter
_CODE = re.compile(rb"\0\0\x01")  # without the zeros that may be before it
_IN_A_UNIT = re.compile(rb"(?<!\0)\0\0(?:[\x01\x02]|\0++[^\0])")  # zeros at its end are padding, as in AVC-Intra
_BETWEEN_CODES = re.compile(rb"(?<!\0)\0\0(?:\0++[^\0\x01]|\x02)")  # zeros may be before a code, and at the end
_ZEROS = re.compile(rb"\0++")
_MPEG2_PICTURE, _MPEG2_B = b"\0\0\1\0", 3
_WIDTH_AT = {"h264": 4, "hevc": 21}  # where extradata says the bytes of a length, less one, in two bits
_SLICES = {"h264": range(1, 6), "hevc": range(32)}
_IDR, _MESSAGE, _RECOVERY_POINT = 5, 6, 6  # kinds of H.264's units, and a kind of message (H.264, D.1)


def is_reference(codec: str, extradata: bytes | None, data: "bytes | memoryview") -> bool:
    """Whether other pictures may refer to that of a packet; they may where nothing is known.

    `codec` is FFmpeg's name of it; `extradata` tells whether units have a length or a start code before them.
    """
    head = bytes(data[:_LOOKED_AT])
    if codec == "mpeg2video":
        at = head.find(_MPEG2_PICTURE)
        return at < 0 or len(head) < at + 6 or head[at + 5] >> 3 & 7 != _MPEG2_B
    if codec not in _WIDTH_AT:
        return True
    for first in _firsts(head, _width(codec, extradata)):
        kind = _kind(codec, head[first])
        if kind in _SLICES[codec]:
            if codec == "h264":
                return bool(head[first] >> 5 & 3)
            return kind >= 16 or kind % 2 == 1 or _is_below_others(extradata, head[first + 1 : first + 2])
    return True


def recovers_after(codec: str, extradata: bytes | None, data: "bytes | memoryview") -> int:
    """How many references after the picture of a packet with which decoding can begin all is right: of most at once.

    H.264 may have a part of each picture anew (`recovery_frame_cnt`: H.264, D.2.8).
    """
    if codec != "h264":
        return 0
    head, count = bytes(data[:_LOOKED_AT]), 0
    for first in _firsts(head, _width(codec, extradata)):
        kind = _kind(codec, head[first])
        if kind == _IDR:
            return 0
        if kind == _MESSAGE and head[first + 1 : first + 2] == bytes((_RECOVERY_POINT,)):
            count = _number(head[first + 3 : first + 11])
    return count


def is_possible(codec: str, extradata: bytes | None, data: memoryview) -> bool:
    """Whether all bytes of a packet may be those of units; others than H.264's and H.265's are not looked at."""
    if codec not in _WIDTH_AT:
        return True
    if not (width := _width(codec, extradata)):
        return not _holds(_BETWEEN_CODES, bytes(data))
    for first, last in _units(data, width):
        is_slice = first < len(data) and _kind(codec, data[first]) in _SLICES[codec]
        if last > len(data) or (is_slice and _holds(_IN_A_UNIT, bytes(data[first:last]))):
            return False
    return True


def _holds(pattern: "re.Pattern[bytes]", data: bytes) -> bool:
    """Whether it is found, where two zeros are: they are rare, and found ten times as fast as by the pattern."""
    at = data.find(b"\0\0")
    while at >= 0:
        if pattern.match(data, at):
            return True
        zeros = _ZEROS.match(data, at)
        at = data.find(b"\0\0", zeros.end() if zeros else len(data))
    return False


def _is_below_others(extradata: bytes | None, header: bytes) -> bool:
    """Whether an H.265 picture may be of a sub-layer that is not the highest: numTemporalLayers of hvcC says that."""
    if not _width("hevc", extradata) or extradata is None:
        return False
    return not header or (header[0] & 7) < extradata[_WIDTH_AT["hevc"]] >> 3 & 7


def _kind(codec: str, header: int) -> int:
    return header & 31 if codec == "h264" else header >> 1 & 63


def _number(data: bytes) -> int:
    """An unsigned Exp-Golomb number (H.264, 9.1) of at most 31 bits."""
    bits = "".join(f"{byte:08b}" for byte in data)
    zeros = bits.find("1")
    return int(bits[zeros : 2 * zeros + 1], 2) - 1 if 0 <= zeros < 31 else 0


def _width(codec: str, extradata: bytes | None) -> int:
    """How many bytes say a unit's length; 0: there are start codes."""
    at = _WIDTH_AT[codec]
    if not extradata or len(extradata) <= at:
        return 0
    if codec == "hevc":  # whose first writers had version 0 (FFmpeg, hevc/parse.c)
        has_lengths = bool(extradata[0] or extradata[1] or extradata[2] > 1)
    else:
        has_lengths = extradata[0] == 1
    return (extradata[at] & 3) + 1 if has_lengths else 0


def _firsts(data: bytes, width: int) -> Iterator[int]:
    """Where units begin that have a byte at least."""
    if width:
        return (first for first, _ in _units(memoryview(data), width) if first < len(data))
    return (found.end() for found in _CODE.finditer(data) if found.end() < len(data))


def _units(data: memoryview, width: int) -> Iterator[tuple[int, int]]:
    """Where each unit begins that begins in the data, and where it should end."""
    at = 0
    while at + width < len(data):
        first = at + width
        at = first + int.from_bytes(data[at:first], "big")
        if at == first:
            return  # padding
        yield first, at
