"""How QuickTime names the pictures of an MXF file: the code and the boxes of their sample description.

The kind is told by what a frame begins with, and its variety by the coding label (ST 381-1 MPEG-2, ST 2019-4 VC-3,
RDD 44 ProRes, ST 381-3 and RP 2027 AVC, ST 383 DV, ST 422 JPEG 2000). Codes are those that
Avid, Apple, Sony and Panasonic gave.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from filmfs.core.errors import BadMedia
from filmfs.core.smpte import nominal
from filmfs.media.boxes import write_box
from filmfs.media.mxf_header import Set

HEAD = 64
"""Bytes of a frame that tell its kind."""
_STORED_WIDTH, _STORED_HEIGHT, _SAMPLED_WIDTH, _SAMPLED_HEIGHT, _LAYOUT = 0x3203, 0x3202, 0x3205, 0x3204, 0x320C
_ASPECT, _CODING, _ACROSS, _DOWN, _BLACK = 0x320E, 0x3201, 0x3302, 0x3308, 0x3304
_PRIMARIES, _TRANSFER, _EQUATIONS = 0x3219, 0x3210, 0x321A
_FIELDS = (1, 2, 3)  # layouts: separate, single, mixed; 0 is progressive, 4 progressive in segments
_SEPARATE = 1
_BOTTOM_FIRST = (480, 486, 512)  # lines of 525-line pictures
_PRORES = {1: b"apco", 2: b"apcs", 3: b"apcn", 4: b"apch", 5: b"ap4h", 6: b"ap4x"}
_IMX = {1: b"mx5p", 2: b"mx5n", 3: b"mx4p", 4: b"mx4n", 5: b"mx3p", 6: b"mx3n"}
_DNXHR = range(1270, 1280)
# Of (lines, interlaced, nominal rate); AVC-Intra by class first.
_XDCAM = {
    (720, False, 24): b"xd54",
    (720, False, 25): b"xd55",
    (720, False, 60): b"xd59",
    (720, False, 50): b"xd5a",
    (1080, True, 30): b"xd5b",
    (1080, True, 25): b"xd5c",
    (1080, False, 24): b"xd5d",
    (1080, False, 25): b"xd5e",
    (1080, False, 30): b"xd5f",
}
_AVC_INTRA = {
    (720, False, 25): b"q",
    (720, False, 50): b"q",
    (720, False, 24): b"p",
    (720, False, 30): b"p",
    (720, False, 60): b"p",
    (1080, False, 25): b"2",
    (1080, False, 50): b"2",
    (1080, False, 24): b"3",
    (1080, False, 30): b"3",
    (1080, False, 60): b"3",
    (1080, True, 25): b"5",
    (1080, True, 30): b"6",
}
_AVC_CLASSES = {2: b"ai5", 3: b"ai1"}
# Numbers of ISO/IEC 23091-2 by the fourteenth byte of a label.
_COLOURS = (
    (_PRIMARIES, {1: 6, 2: 5, 3: 1, 4: 9}),
    (_TRANSFER, {2: 1, 10: 16, 11: 18}),
    (_EQUATIONS, {1: 6, 2: 1, 6: 9}),
)


@dataclass(frozen=True, slots=True)
class Looks:
    """What the descriptor of the pictures says."""

    width: int
    height: int
    is_interlaced: bool
    aspect: Fraction | None
    coding: bytes
    rate: Fraction
    descriptor: Set

    @property
    def format(self) -> tuple[int, bool, int]:
        """Lines, whether they are of two fields, and the nominal rate."""
        return self.height, self.is_interlaced, nominal(self.rate)


def looks_of(descriptor: Set, rate: Fraction) -> Looks:
    """What there is to know before a frame is looked at. Raises BadMedia."""
    layout = descriptor.number(_LAYOUT)
    width = descriptor.number(_SAMPLED_WIDTH) or descriptor.number(_STORED_WIDTH)
    height = descriptor.number(_SAMPLED_HEIGHT) or descriptor.number(_STORED_HEIGHT)
    height *= 2 if layout == _SEPARATE else 1
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise BadMedia(f"the file says that its pictures have {width} × {height} pixels")
    coding = (descriptor.value(_CODING) or b"").ljust(16, b"\0")
    return Looks(width, height, layout in _FIELDS, descriptor.rational(_ASPECT), coding, rate, descriptor)


def picture_entry(looks: Looks, frame: bytes, *, is_intra: bool) -> bytes:
    """The sample description of pictures that begin as `frame` does. Raises BadMedia where QuickTime has none."""
    for is_kind, describe in _KINDS:
        if is_kind(frame):
            code, *own = describe(looks, frame, is_intra)
            return _entry(looks, code, *own)
    raise BadMedia("QuickTime has no name for pictures of this kind: ask for a clip of the kind of the film (.mxf)")


def _entry(looks: Looks, code: bytes, *own: bytes) -> bytes:
    depth = 32 if code in (b"ap4h", b"ap4x") else 24
    points = (looks.width, looks.height, 72 << 16, 72 << 16)
    head = struct.pack(">6xH16xHHIIIH32sHh", 1, *points, 0, 1, b"", depth, -1)
    return write_box(code, head, *own, _fields(looks), _colours(looks), _pixels(looks))


def _fields(looks: Looks) -> bytes:
    order = 14 if looks.height in _BOTTOM_FIRST else 9
    return write_box(b"fiel", bytes((2, order) if looks.is_interlaced else (1, 0)))


def _colours(looks: Looks) -> bytes:
    labels = [((looks.descriptor.value(tag) or b"").ljust(16, b"\0")[13], numbers) for tag, numbers in _COLOURS]
    if not all(label in numbers for label, numbers in labels):
        return b""
    return write_box(b"colr", b"nclc", struct.pack(">3H", *(numbers[label] for label, numbers in labels)))


def _pixels(looks: Looks) -> bytes:
    if looks.aspect is None:
        return b""
    shape = (looks.aspect * looks.height / looks.width).limit_denominator(1000)
    return write_box(b"pasp", struct.pack(">II", shape.numerator, shape.denominator)) if 0 < shape < 1000 else b""


def _avid(looks: Looks, frame: bytes, _is_intra: bool) -> tuple[bytes, ...]:
    """VC-3 (ST 2019-1): the compression id and fields stand in the frame's header."""
    (compression,) = struct.unpack_from(">I", frame, 0x28)
    full = looks.descriptor.value(_BLACK) is not None and not looks.descriptor.number(_BLACK)
    levels = write_box(b"ACLR", b"ACLR0001", struct.pack(">II", 2 if full else 1, 0))
    if compression in _DNXHR:
        return b"AVdh", levels, write_box(b"ADHR", b"0001", struct.pack(">5I", compression, 0, 1, 0, 0))
    is_interlaced = bool(frame[5] & 2)
    lines = looks.height // 2 if is_interlaced else looks.height
    kind = 4 if is_interlaced else 5 if looks.height == 1080 else 6
    size = struct.pack(">6I", compression, looks.width, lines, 2 if is_interlaced else 1, 0, kind)
    return (
        b"AVdn",
        levels,
        write_box(b"APRG", b"APRG0001", struct.pack(">II", 1, 0)),
        write_box(b"ARES", b"ARES0001", size, bytes(80)),
    )


def _prores(looks: Looks, _frame: bytes, _is_intra: bool) -> tuple[bytes, ...]:
    return (_PRORES.get(looks.coding[14], b"apch"),)


def _mpeg2(looks: Looks, _frame: bytes, _is_intra: bool) -> tuple[bytes, ...]:
    if looks.coding[8:15] == bytes.fromhex("04010202010201"):
        return (_IMX.get(looks.coding[15], b"m2v1"),)
    is_422 = looks.descriptor.number(_ACROSS) == 2 and looks.descriptor.number(_DOWN) == 1
    return (_XDCAM.get(looks.format, b"m2v1") if is_422 and looks.width in (1280, 1920) else b"m2v1",)


def _avc(looks: Looks, _frame: bytes, is_intra: bool) -> tuple[bytes, ...]:
    """Codes of those that hold start codes instead of lengths, which `avc1` would need."""
    if not is_intra:
        return (b"avlg",)
    kind, form = _AVC_CLASSES.get(looks.coding[14] >> 4), _AVC_INTRA.get(looks.format)
    return (kind + form if kind and form and looks.coding[13] == 0x32 else b"aivx",)


def _dv(looks: Looks, frame: bytes, _is_intra: bool) -> tuple[bytes, ...]:
    """DV of 25, 50 and 100 megabits (ST 370, ST 383); the first block says whether it has 50 fields a second."""
    is_50 = bool(frame[3] & 0x80)
    if looks.height >= 720:
        return ((b"dvh5" if is_50 else b"dvh6") if looks.height > 720 else (b"dvhq" if is_50 else b"dvhp"),)
    if looks.descriptor.number(_ACROSS) == 2 and looks.descriptor.number(_DOWN) == 1:
        return (b"dv5p" if is_50 else b"dv5n",)
    return ((b"dvpp" if looks.descriptor.number(_ACROSS) == 4 else b"dvcp") if is_50 else b"dvc ",)


def _starts(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda frame: frame.startswith(marks)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[Looks, bytes, bool], tuple[bytes, ...]]], ...] = (
    (lambda frame: frame[:3] == b"\0\0\x02" and len(frame) >= 0x2C and frame[3] in (0x80, 0x81, 0x82, 0x8C), _avid),
    (lambda frame: frame[4:8] == b"icpf", _prores),
    (_starts(b"\0\0\1\xb3", b"\0\0\1\xb8", b"\0\0\1\0"), _mpeg2),
    (_starts(b"\0\0\0\1", b"\0\0\1\x09", b"\0\0\1\x67", b"\0\0\1\x27"), _avc),
    (_starts(b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "), lambda _looks, _frame, _is_intra: (b"mjp2",)),
    (lambda frame: frame[:3] == b"\x1f\x07\0" and len(frame) > 3, _dv),
    (_starts(b"\xff\xd8\xff"), lambda _looks, _frame, _is_intra: (b"jpeg",)),
)
