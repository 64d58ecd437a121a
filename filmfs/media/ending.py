"""Files that end too early, as copies and transfers do that were cut off: told by what their outermost structure says.

    Matroska, WebM   Segment's size (RFC 8794, 6; RFC 9559, 4.5), unless it is unknown, as in what is still recorded
    AVI, AIFF        the size of each RIFF chunk, or of FORM
    QuickTime, MP4   the size of each box (ISO/IEC 14496-12, 4.2)
    FLV              each tag has its size after it too (FLV 10.1, annex E.3)
    MPEG-2 TS        packets of 188 bytes, of 192 in M2TS (ISO/IEC 13818-1, 2.4.3.2)

Where nothing says how long a file is, nothing is known of it; one that ends between two packets is whole then.
"""

from collections.abc import Callable

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.media.boxes import FIRST_BOXES, MANY, boxes_in_file

_HEAD = 64
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_SYNC, _PACKETS = 0x47, ((188, 0), (192, 4))  # bytes of a packet, and where in it the sync byte is
_TAG_HEAD, _TAGS = 11, (8, 9, 18)
_BOXES = {*FIRST_BOXES, b"moof", b"mfra", b"meta", b"sidx", b"ssix", b"styp", b"emsg", b"uuid", b"pnot", b"udta"}
_UNKNOWN = 0xFFFFFFFF  # and 0: of a size that whoever wrote it did not know


def cut_off(source: ByteSource) -> str:
    """How a film or sound file lacks its end, in words; empty if it does not, or nobody can tell.

    Raises what its disk says.
    """
    head = source.read(0, min(_HEAD, source.size))
    missing = _missing_of(head)(source, head)
    if missing is None:
        return "the file ends in the middle of a packet: it was cut off"
    return f"the file ends {missing:,} bytes too early: it was cut off" if missing else ""


_Missing = Callable[[ByteSource, bytes], int | None]
"""How many bytes a file lacks; None: some."""


def _missing_of(head: bytes) -> _Missing:
    if head.startswith(_EBML):
        return _of_matroska
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return _of_riff
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _of_form
    if head[:4] == b"FLV\1":
        return _of_flv
    if head[4:8] in FIRST_BOXES:
        return _of_boxes
    return _of_packets


def _of_matroska(source: ByteSource, _: bytes) -> int:
    at = 0
    for _each in range(3):  # EBML's header, perhaps a Void, the Segment
        head = source.read(at, min(12, source.size - at))
        named = _length_of(head, 0)
        length = _length_of(head, named)
        if not named or not length:
            return 0
        size = int.from_bytes(head[named : named + length], "big") & ((1 << 7 * length) - 1)
        end = at + named + length + size
        if head.startswith(_SEGMENT):
            is_known = size != (1 << 7 * length) - 1
            return max(0, end - source.size) if is_known else 0
        at = end
    return 0


def _length_of(head: bytes, at: int) -> int:
    """Bytes of a number of EBML's, which its first one tells; 0: it is none."""
    return 9 - head[at].bit_length() if at < len(head) and head[at] else 0


def _of_riff(source: ByteSource, _: bytes) -> int:
    at = 0
    for _each in range(MANY):  # of more than a gigabyte there are several
        head = source.read(at, min(8, source.size - at))
        size = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or size in (0, _UNKNOWN):
            return 0
        if at + 8 + size > source.size:
            return at + 8 + size - source.size
        at += 8 + size + size % 2
    return 0


def _of_form(source: ByteSource, head: bytes) -> int:
    size = int.from_bytes(head[4:8], "big")
    return max(0, 8 + size - source.size) if size not in (0, _UNKNOWN) else 0


def _of_flv(source: ByteSource, head: bytes) -> int | None:
    first = int.from_bytes(head[5:9], "big") + 4
    size = _tag_at(source, first)
    if size is None or source.read(first + size, 4) != size.to_bytes(4, "big"):
        return 0  # some programs write other numbers there
    length = int.from_bytes(source.read(source.size - 4, 4), "big")
    return 0 if length and _tag_at(source, source.size - 4 - length) == length else None


def _tag_at(source: ByteSource, at: int) -> int | None:
    """Bytes of the tag at a place, if it is one."""
    head = source.read(at, _TAG_HEAD) if 0 <= at < source.size else b""
    return int.from_bytes(head[1:4], "big") + _TAG_HEAD if len(head) == _TAG_HEAD and head[0] & 31 in _TAGS else None


def _of_boxes(source: ByteSource, _: bytes) -> int:
    try:
        last = max(boxes_in_file(source), key=lambda box: box.start, default=None)
    except BadMedia:
        return 0
    if last is None or last.kind not in _BOXES:
        return 0  # what programs put after a film is no box
    head = source.read(last.start, min(16, source.size - last.start))
    size = int.from_bytes(head[:4], "big")
    if size == 1:
        size = int.from_bytes(head[8:16], "big")
    return max(0, last.start + size - source.size)


def _of_packets(source: ByteSource, head: bytes) -> int | None:
    for length, sync in _PACKETS:
        at = range(sync, 2 * length + sync + 1, length)
        if source.size > at[-1] and all(source.read(each, 1) == bytes((_SYNC,)) for each in at):
            rest = source.size % length
            return None if any(source.read(source.size - rest, rest)) else 0
    return 0
