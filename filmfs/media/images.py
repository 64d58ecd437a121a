"""The time code in an image's header: DPX (SMPTE ST 268-1) and OpenEXR ("OpenEXR File Layout").

    DPX    in the order of bytes that its magic number shows; at 4 where the picture begins (before that there may be no
           more header), at 1724 and 1940 the frame rate (film, television), at 1920 the time code
    EXR    magic, version, then attributes: name, type, size, value. timeCode (type timecode: 32 bits as for television
           of 60 fields, 32 of user data), framesPerSecond (type rational)

Both keep the label as SMPTE ST 12-1 has it: past 30 frames a second it is of two of them, and past 60 of none.
"""

import struct
from fractions import Fraction

from filmfs.core.errors import BadTimecode
from filmfs.core.ports import ByteSource
from filmfs.core.said import Said, label_of_bcd, label_of_pair
from filmfs.core.smpte import KNOWN_RATES, exact_rate, nominal

IMAGES = (".dpx", ".exr")
_DPX_ORDERS = {b"SDPX": ">", b"XPDS": "<"}
_DPX_RATE_OF_FILM, _DPX_TIMECODE, _DPX_RATE_OF_TELEVISION, _DPX_HEADER = 1724, 1920, 1940, 2048
_UNDEFINED = 0xFFFFFFFF
_EXR = b"\x76\x2f\x31\x01"
_EXR_HEADER_MAX, _EXR_ATTRIBUTES_MAX, _EXR_NAME_MAX = 1 << 20, 10_000, 256


def read_image_time(source: ByteSource, name: str) -> Said | None:
    """What an image's header says of its time; None where it says nothing, or is of another kind."""
    suffix = name[name.rfind(".") :].lower()
    if suffix == ".dpx":
        return _dpx(source.read(0, min(_DPX_HEADER, source.size)))
    if suffix == ".exr":
        return _exr(source.read(0, min(_EXR_HEADER_MAX, source.size)))
    return None


def _dpx(data: bytes) -> Said | None:
    order = _DPX_ORDERS.get(data[:4])
    if order is None or len(data) < _DPX_HEADER:
        return None
    (picture,) = struct.unpack_from(f"{order}I", data, 4)
    data = data[:picture].ljust(_DPX_HEADER, b"\xff")
    rates = (_dpx_rate(data, at, order) for at in (_DPX_RATE_OF_TELEVISION, _DPX_RATE_OF_FILM))
    (code,) = struct.unpack_from(f"{order}I", data, _DPX_TIMECODE)
    return _said(code, next((rate for rate in rates if rate is not None), None))


def _dpx_rate(data: bytes, at: int, order: str) -> Fraction | None:
    value = struct.unpack_from(f"{order}f", data, at)[0]
    try:
        return exact_rate(value)
    except BadTimecode:
        return None


def _exr(data: bytes) -> Said | None:
    if not data.startswith(_EXR):
        return None
    at, code, rate = 8, _UNDEFINED, None
    for _ in range(_EXR_ATTRIBUTES_MAX):
        attribute = _exr_attribute(data, at)
        if attribute is None:
            break
        name, kind, start, at = attribute
        if (name, kind, at - start) == (b"timeCode", b"timecode", 8):
            (code,) = struct.unpack_from("<I", data, start)
        elif (name, kind, at - start) == (b"framesPerSecond", b"rational", 8):
            rate = _exr_rate(*struct.unpack_from("<iI", data, start))
    return _said(code, rate)


def _exr_attribute(data: bytes, at: int) -> tuple[bytes, bytes, int, int] | None:
    """(name, type, where the value begins, where it ends); None at the end of the header."""
    name_end = data.find(b"\0", at, at + _EXR_NAME_MAX)
    kind_end = data.find(b"\0", name_end + 1, name_end + 1 + _EXR_NAME_MAX) if name_end > at else -1
    start = kind_end + 5
    if kind_end < 0 or start > len(data):
        return None
    (size,) = struct.unpack_from("<i", data, kind_end + 1)
    if size < 0 or start + size > len(data):
        return None
    return data[at:name_end], data[name_end + 1 : kind_end], start, start + size


def _exr_rate(numerator: int, denominator: int) -> Fraction | None:
    if numerator <= 0 or not denominator:
        return None
    rate = Fraction(numerator, denominator)
    try:
        return rate if rate in KNOWN_RATES else exact_rate(f"{numerator}/{denominator}")
    except BadTimecode:
        return None


def _said(code: int, rate: Fraction | None) -> Said | None:
    """Of the label in 32 bits: hours, minutes, seconds, frames from the highest byte on."""
    if code == _UNDEFINED:
        return None
    hours, minutes, seconds, frames = code.to_bytes(4, "big")
    label = label_of_bcd(frames, seconds, minutes, hours)
    base = nominal(rate) if rate is not None else 1
    if label is None or base > 60:
        return None
    return Said(label_of_pair(label, seconds, hours, base // 2) if base > 30 else label, rate)
