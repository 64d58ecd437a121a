"""A film as Sony's cameras write it: a metadata track `rtmd` instead of time code."""

import struct
from fractions import Fraction

from filmfs.media import writing
from filmfs.media.boxes import boxes_of, find, write_box, write_full_box

_UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def rtmd_sample(label: tuple[int, int, int, int], *, flag: int = 0) -> bytes:
    """A sample: 28 bytes of header, with the label at byte 13, and a tag after it."""
    hours, minutes, seconds, frames = label
    header = b"\0\x1c\x01\0" + bytes(9) + bytes((hours, minutes, seconds, flag, frames)) + bytes(10)
    return header + struct.pack(">HHI", 0xE304, 4, 0)


def with_rtmd(film: bytes, rate: Fraction, sample: bytes) -> bytes:
    """A movie whose moov is its last box, with an rtmd track of one sample."""
    *rest, moov = boxes_of(film)
    assert moov.kind == b"moov"
    assert rest
    tkhd = write_full_box(b"tkhd", 0, 3, struct.pack(">5I", 0, 0, 99, 0, 0), bytes(16), _UNITY, bytes(8))

    def box(offset: int) -> bytes:
        tables = write_box(
            b"stbl",
            write_full_box(b"stsd", 0, 0, struct.pack(">I", 1), write_box(b"rtmd", bytes(6), b"\0\1")),
            writing.durations([(1, rate.denominator)]),
            writing.chunk_contents([(1, 1)]),
            writing.one_size(len(sample), 1),
            writing.chunk_offsets([offset], large=False),
        )
        where = write_box(b"dinf", write_full_box(b"dref", 0, 0, struct.pack(">I", 1), write_full_box(b"url ", 0, 1)))
        media = write_box(
            b"mdia",
            write_full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, rate.numerator, rate.denominator, 0x55C4, 0)),
            write_full_box(b"hdlr", 0, 0, bytes(4), b"meta", bytes(12), b"Timed Metadata Media Handler\0"),
            write_box(b"minf", write_full_box(b"nmhd", 0, 0), where, tables),
        )
        return write_box(b"trak", tkhd, media)

    def whole(offset: int) -> bytes:
        return film[: moov.start] + write_box(b"moov", film[moov.body : moov.end], box(offset))

    mdat = write_box(b"mdat", sample)
    made = whole(len(whole(0)) + 8)
    assert find(made, "moov/trak") is not None
    return made + mdat
