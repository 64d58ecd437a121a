"""Movies that are written for files of other kinds: boxes of tracks whose samples lie in an MXF or a sound file.

Such a movie's bytes exist in memory only; clips are made of it as of any other.
"""

import struct
from collections.abc import Sequence

from filmfs.media.boxes import write_box, write_full_box
from filmfs.media.movie import SOUND, VIDEO, Movie

FTYP = write_box(b"ftyp", b"qt  ", struct.pack(">I", 0x20050300), b"qt  ")
PCM = {1: b"raw ", 2: b"sowt", 3: b"in24", 4: b"in32"}
"""Kinds of uncompressed samples by their bytes."""
_UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_ENABLED_IN_MOVIE = 7


def movie_of_tracks(tracks: Sequence[bytes], scale: int, length: int) -> Movie:
    """A movie of tracks, `length` in units of `scale`."""
    header = write_full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, scale, min(length, 0xFFFFFFFF), 1 << 16, 1 << 8),
        _UNITY,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    return Movie(write_box(b"moov", header, *tracks))


def track_box(number: int, kind: bytes, length: int, looks: tuple[int, int], edits: bytes, media: bytes) -> bytes:
    """A track; `looks` are the width and height of its pictures, `length` is in the movie's units."""
    width, height = looks
    alternate, volume = (1, 0x100) if kind == SOUND else (0, 0)
    head = write_full_box(
        b"tkhd",
        0,
        _ENABLED_IN_MOVIE,
        struct.pack(">5I8xHHHH", 0, 0, number, 0, min(length, 0xFFFFFFFF), 0, alternate, volume, 0),
        _UNITY,
        struct.pack(">II", width << 16, height << 16),
    )
    return write_box(b"trak", head, edits, media)


def media_box(kind: bytes, scale: int, length: int, tables: Sequence[bytes]) -> bytes:
    """What a track's samples are: of pictures or sound, `length` in units of `scale`, by their tables."""
    header = (
        write_full_box(b"vmhd", 0, 1, struct.pack(">4H", 0x40, 0x8000, 0x8000, 0x8000))
        if kind == VIDEO
        else write_full_box(b"smhd", 0, 0, bytes(4))
    )
    where = write_box(b"dinf", write_full_box(b"dref", 0, 0, struct.pack(">I", 1), write_full_box(b"url ", 0, 1)))
    times = struct.pack(">QQIQHH", 0, 0, scale, length, 0x7FFF, 0)
    return write_box(
        b"mdia",
        write_full_box(b"mdhd", 1, 0, times),
        _handler(b"mhlr", kind),
        write_box(b"minf", header, _handler(b"dhlr", b"url "), where, write_box(b"stbl", *tables)),
    )


def _handler(component: bytes, kind: bytes) -> bytes:
    name = {VIDEO: b"VideoHandler", SOUND: b"SoundHandler"}.get(kind, b"DataHandler")
    return write_full_box(b"hdlr", 0, 0, component, kind, bytes(12), bytes((len(name),)), name)


def described(entry: bytes) -> bytes:
    """`stsd` of one description."""
    return write_full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry)


def chunks_alike(samples: int) -> bytes:
    """`stsc` of chunks that have so many samples each."""
    return write_full_box(b"stsc", 0, 0, struct.pack(">4I", 1, 1, samples, 1))


def pcm_entry(rate: int, channels: int, width: int, code: bytes | None = None) -> bytes:
    """The description of uncompressed little-endian sound, `width` bytes a sample of one channel.

    Of version 0 for 8 and 16 bits; of version 1, little-endian by `enda`, for more (QuickTime File Format).
    """
    code, is_plain = code or PCM[width], width <= 2
    bits = 8 * width if is_plain else 16
    head = struct.pack(">6xHHHIHHHHI", 1, 0 if is_plain else 1, 0, 0, channels, bits, 0, 0, min(rate, 0xFFFF) << 16)
    if is_plain:
        return write_box(code, head)
    packets = struct.pack(">4I", 1, width, width * channels, 2)
    kind = write_box(b"frma", code), write_box(b"enda", b"\0\1"), struct.pack(">II", 8, 0)
    return write_box(code, head, packets, write_box(b"wave", *kind))
