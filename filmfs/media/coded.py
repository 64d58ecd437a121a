"""Whether pictures of MPEG-2 (ISO/IEC 13818-2) and AVC (ISO/IEC 14496-10) say that they need others.

An index table may say that every frame stands by itself where that is not so. A few frames are looked at before it is
believed; what is no picture of these kinds, or hides its type, is.
"""

import re

LOOKED_AT = 8192
"""Bytes of a frame in which its first slice begins, but for odd ones."""
_START = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_PICTURE = 0x00  # start codes of MPEG-2
_SLICE, _SLICE_OF_KEY = 1, 5  # kinds of units of AVC
_INTRA_CODED = 1  # picture_coding_type
_INTRA_SLICES = (2, 4, 7, 9)  # slice_type: I and SI


def is_coded(frame: bytes) -> bool:
    """Whether a frame begins like one of MPEG-2 or AVC: with a start code."""
    return frame[:3] in (b"\0\0\0", b"\0\0\1")


def needs_others(frame: bytes) -> bool:
    """Whether the frame that begins so is predicted from others."""
    if frame[:4] in (b"\0\0\1\xb3", b"\0\0\1\xb8", b"\0\0\1\0"):
        return _mpeg2_type(frame) not in (None, _INTRA_CODED)
    if is_coded(frame):
        return _avc_slice_type(frame) not in (None, *_INTRA_SLICES)
    return False


def _mpeg2_type(frame: bytes) -> int | None:
    """picture_coding_type (6.2.3)."""
    for found in _START.finditer(frame):
        if found[1][0] == _PICTURE and found.end() + 2 <= len(frame):
            return frame[found.end() + 1] >> 3 & 7
    return None


def _avc_slice_type(frame: bytes) -> int | None:
    """slice_type of the first slice (7.3.3), which stands behind first_mb_in_slice."""
    for found in _START.finditer(frame):
        if found[1][0] & 0x1F in (_SLICE, _SLICE_OF_KEY):
            bits = int.from_bytes(frame[found.end() : found.end() + 8].ljust(8, b"\0"), "big")
            _, rest = _number(bits, 64)
            return _number(bits, rest)[0]
    return None


def _number(bits: int, rest: int) -> tuple[int, int]:
    """An unsigned Exp-Golomb number (9.1) in the lowest `rest` bits, and how many bits are left behind it."""
    zeros = rest - (bits & (1 << rest) - 1).bit_length()
    length = min(2 * zeros + 1, rest)
    return (bits >> rest - length & (1 << length) - 1) - 1, rest - length
