"""The time code and the rate in an image's header: DPX (SMPTE ST 268-1) and OpenEXR ("OpenEXR File Layout").

    DPX    in the order of bytes that its magic number shows; at 4 where the picture begins (before that there may be no
           more header), at 801 what its numbers mean (transfer characteristic of the first element), at 1724 and 1940
           the frame rate (film, television), at 1920 the time code
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
from filmfs.media.openexr import MAGIC, attribute_at

IMAGES = (".dpx", ".exr")
_DPX_ORDERS = {b"SDPX": ">", b"XPDS": "<"}
_DPX_RATE_OF_FILM, _DPX_TIMECODE, _DPX_RATE_OF_TELEVISION, DPX_HEADER = 1724, 1920, 1940, 2048
_UNDEFINED = 0xFFFFFFFF
_DPX_TRANSFER, _DPX_DENSITIES = 801, (b"\x01", b"\x03")  # printing density, logarithmic
_EXR_HEADER_MAX, _EXR_ATTRIBUTES_MAX = 1 << 20, 10_000


def read_image_time(source: ByteSource, name: str) -> Said | None:
    """What an image's header says of its time; None where it says nothing, or is of another kind."""
    return _said(*_read(source, name))


def read_image_rate(source: ByteSource, name: str) -> Fraction | None:
    """Frames a second, as an image's header says them."""
    return _read(source, name)[1]


def is_density(data: bytes) -> bool:
    """Whether a DPX file says that its numbers are printing densities."""
    return data[:4] in _DPX_ORDERS and data[_DPX_TRANSFER : _DPX_TRANSFER + 1] in _DPX_DENSITIES


def _read(source: ByteSource, name: str) -> tuple[int, Fraction | None]:
    suffix = name[name.rfind(".") :].lower()
    if suffix == ".dpx":
        return _dpx(source.read(0, min(DPX_HEADER, source.size)))
    if suffix == ".exr":
        return _exr(source.read(0, min(_EXR_HEADER_MAX, source.size)))
    return _UNDEFINED, None


def _dpx(data: bytes) -> tuple[int, Fraction | None]:
    order = _DPX_ORDERS.get(data[:4])
    if order is None or len(data) < DPX_HEADER:
        return _UNDEFINED, None
    (picture,) = struct.unpack_from(f"{order}I", data, 4)
    data = data[:picture].ljust(DPX_HEADER, b"\xff")
    rates = (_dpx_rate(data, at, order) for at in (_DPX_RATE_OF_TELEVISION, _DPX_RATE_OF_FILM))
    (code,) = struct.unpack_from(f"{order}I", data, _DPX_TIMECODE)
    return code, next((rate for rate in rates if rate is not None), None)


def _dpx_rate(data: bytes, at: int, order: str) -> Fraction | None:
    value = struct.unpack_from(f"{order}f", data, at)[0]
    try:
        return exact_rate(value)
    except BadTimecode:
        return None


def _exr(data: bytes) -> tuple[int, Fraction | None]:
    at, code, rate = 8, _UNDEFINED, None
    for _ in range(_EXR_ATTRIBUTES_MAX if data.startswith(MAGIC) else 0):
        attribute = attribute_at(data, at)
        if attribute is None:
            break
        name, kind, start, at = attribute
        if (name, kind, at - start) == (b"timeCode", b"timecode", 8):
            (code,) = struct.unpack_from("<I", data, start)
        elif (name, kind, at - start) == (b"framesPerSecond", b"rational", 8):
            rate = _exr_rate(*struct.unpack_from("<iI", data, start))
    return code, rate


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
