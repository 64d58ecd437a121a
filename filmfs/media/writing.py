"""Writing sample tables (ISO/IEC 14496-12, 8.6 and 8.7) and edits."""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby

from filmfs.media.boxes import boxes_of, find, write_box, write_full_box


def durations(runs: Sequence[tuple[int, int]]) -> bytes:
    """`stts`, of (samples, duration)."""
    return _runs(b"stts", 0, runs, "I")


def shifts(values: Sequence[int]) -> bytes:
    """`ctts`: how much later than decoded each sample is shown."""
    return _runs(b"ctts", int(min(values, default=0) < 0), grouped(values), "i")


def sync_samples(numbers: Sequence[int]) -> bytes:
    """`stss`, of numbers from 1 on."""
    return write_full_box(b"stss", 0, 0, struct.pack(">I", len(numbers)), big_endian(array("I", numbers)))


def chunk_contents(chunks: Iterable[tuple[int, int]]) -> bytes:
    """`stsc`, of each chunk's (samples, description)."""
    entries: list[int] = []
    number = 1
    for (samples, description), group in groupby(chunks):
        entries += (number, samples, description)
        number += len(list(group))
    return write_full_box(b"stsc", 0, 0, struct.pack(">I", len(entries) // 3), big_endian(array("I", entries)))


def sizes(values: Sequence[int]) -> bytes:
    """`stsz`, of samples that differ."""
    return write_full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(values)), big_endian(array("I", values)))


def one_size(size: int, count: int) -> bytes:
    """`stsz`, of samples that do not."""
    return write_full_box(b"stsz", 0, 0, struct.pack(">II", size, count))


def chunk_offsets(offsets: Sequence[int], *, large: bool) -> bytes:
    """`co64` or `stco`."""
    values = array("Q" if large else "I", offsets)
    return write_full_box(b"co64" if large else b"stco", 0, 0, struct.pack(">I", len(values)), big_endian(values))


def edits(listed: Iterable[tuple[int, int]]) -> bytes:
    """`edts` of (duration, media time) in the movie's and the track's units; those of no duration are left out."""
    kept = [edit for edit in listed if edit[0] > 0]
    is_large = any(duration >= 1 << 32 or time >= 1 << 31 for duration, time in kept)
    form = ">Qqi" if is_large else ">Iii"
    entries = b"".join(struct.pack(form, duration, time, 1 << 16) for duration, time in kept)
    return write_box(b"edts", write_full_box(b"elst", int(is_large), 0, struct.pack(">I", len(kept)), entries))


def shift_offsets(moov: bytes, by: int) -> bytes:
    """A moov with `by` added to the offset of every chunk in it."""
    shifted = bytearray(moov)
    (box,) = boxes_of(moov)
    for track in boxes_of(moov, box.body, box.end):
        stbl = find(moov, "mdia/minf/stbl", track.body, track.end) if track.kind == b"trak" else None
        for table in boxes_of(moov, stbl.body, stbl.end) if stbl is not None else ():
            if table.kind in (b"stco", b"co64"):
                code = "I" if table.kind == b"stco" else "Q"
                offsets = swapped(array(code, moov[table.body + 8 : table.end]))
                moved = array(code, [offset + by for offset in offsets])
                shifted[table.body + 8 : table.end] = big_endian(moved)
    return bytes(shifted)


def grouped(values: Iterable[int]) -> list[tuple[int, int]]:
    """(how many, value) of equal neighbours."""
    return [(len(list(group)), value) for value, group in groupby(values)]


def big_endian(values: "array[int]") -> bytes:
    """The bytes of an array, or of bytes read as one, the other way round where this machine is little-endian."""
    return swapped(values).tobytes()


def swapped(values: "array[int]") -> "array[int]":
    """An array of the machine's own from one of big-endian numbers, or back."""
    if sys.byteorder == "little":
        values = array(values.typecode, values)
        values.byteswap()
    return values


def _runs(kind: bytes, version: int, runs: Sequence[tuple[int, int]], code: str) -> bytes:
    counts, values = array("I", [count for count, _ in runs]), array(code, [value for _, value in runs])
    table = array("I", bytes(8 * len(runs)))
    table[0::2], table[1::2] = counts, array("I", values.tobytes())
    return write_full_box(kind, version, 0, struct.pack(">I", len(runs)), big_endian(table))
