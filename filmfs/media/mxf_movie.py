"""An MXF film as a QuickTime movie: a `moov` whose sample tables point into the values of the MXF file.

    mvhd | trak: each picture a chunk of one sample | trak: the sound of each frame a chunk, for every sound element

The movie's bytes exist in memory only; clips are made of it as of any other. What comes before the first frame that is
shown, and the delay that frames need to be put in order, are hidden by the edit lists.
"""

import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.media import writing
from filmfs.media.boxes import write_box, write_full_box
from filmfs.media.movie import SOUND, VIDEO, Movie
from filmfs.media.mxf import Mxf
from filmfs.media.mxf_essence import Element
from filmfs.media.mxf_header import TRACK_NUMBER, Set
from filmfs.media.mxf_pictures import HEAD, looks_of, picture_entry
from filmfs.media.quicktime import QuickTime

_FTYP = write_box(b"ftyp", b"qt  ", struct.pack(">I", 0x20050300), b"qt  ")
_UNITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
_ENABLED_IN_MOVIE = 7
_FINER = 1000  # of a whole rate: units of a frame
_RATE, _CHANNELS, _BITS, _BLOCK, _COMPRESSION = 0x3D03, 0x3D07, 0x3D01, 0x3D0A, 0x3D06
_UNCOMPRESSED = bytes.fromhex("040202"), (b"\x01", b"\x7f")
_PCM = {1: b"raw ", 2: b"sowt", 3: b"in24", 4: b"in32"}
_AES3_OF_D10 = 0x06, 0x10  # ST 386: kinds of item and element
_REORDER_MAX = 128


@dataclass(frozen=True, slots=True)
class _Sound:
    """A sound element as QuickTime describes it."""

    element: Element
    rate: int
    channels: int
    width: int  # of a sample of one channel, in bytes

    @property
    def block(self) -> int:
        """Bytes of a sample of all channels."""
        return self.channels * self.width


def movie_of(film: Mxf, frames: FrameRange | None = None) -> QuickTime:
    """The movie. Raises BadMedia for pictures or sound that QuickTime has no name for.

    Its samples of the frames that are given, and of those they need, have nothing behind them that is not theirs.
    """
    scale, tick = film.rate.numerator, film.rate.denominator
    if tick == 1:
        scale, tick = scale * _FINER, tick * _FINER
    sounds = [_sound(film, each) for each in film.essence.sounds]
    length = film.frames * tick
    contents: dict[tuple[bytes, int], bytes] = {}
    tracks = [_picture_track(film, _exact(film, frames), scale, tick)]
    tracks += [_sound_track(film, each, number, length, contents) for number, each in enumerate(sounds, 2)]
    header = write_full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, scale, min(length, 0xFFFFFFFF), 1 << 16, 1 << 8),
        _UNITY,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    opened = QuickTime(film.size, _FTYP, Movie(write_box(b"moov", header, *tracks)), None)
    return opened.labelled(film.counting.start, drop=film.counting.drop, reel=film.reel)


def _exact(film: Mxf, frames: FrameRange | None) -> Element:
    """The pictures, those of the range and what they need without what only takes up room."""
    pictures = film.essence.pictures
    assert pictures is not None
    if frames is None:
        return pictures
    keys, first = film.essence.index.keys, film.first + frames.first
    start = first
    if keys is not None:
        before = bisect_right(keys, max(first - _REORDER_MAX, 0))
        start = keys[before - 1] if before else 0
    reorder = _REORDER_MAX if film.essence.index.temporal is not None else 0
    return pictures.trimmed(film.source, start, first + frames.count + reorder)


# Tracks


def _track(number: int, kind: bytes, length: int, looks: tuple[int, int], edits: bytes, media: bytes) -> bytes:
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


def _media(kind: bytes, scale: int, length: int, tables: Sequence[bytes]) -> bytes:
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


def _described(entry: bytes) -> bytes:
    return write_full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry)


def _picture_track(film: Mxf, pictures: Element, scale: int, tick: int) -> bytes:
    track = film.package.picture
    descriptor = film.package.described(track) if track is not None else None
    if descriptor is None:
        raise BadMedia("the file does not describe its pictures")
    looks = looks_of(descriptor, film.rate)
    count = len(pictures.offsets)
    frame = film.source.read(pictures.offsets[0], min(HEAD, pictures.sizes[0]))
    tables = [
        _described(picture_entry(looks, frame, is_intra=film.is_intra)),
        writing.durations([(count, tick)]),
        _chunks_of_one(1),
        writing.sizes(pictures.sizes),
        _chunk_offsets(pictures.offsets),
    ]
    delay, late = 0, film.essence.index.temporal
    if late is not None:
        delay, shifts = _shifts(late, count)
        tables.append(writing.shifts([shift * tick for shift in shifts]))
    if film.essence.index.keys is not None:
        tables.append(writing.sync_samples([key + 1 for key in film.essence.index.keys]))
    length = film.frames * tick
    edits = writing.edits([(length, (film.first + delay) * tick)])
    return _track(1, VIDEO, length, (looks.width, looks.height), edits, _media(VIDEO, scale, count * tick, tables))


def _shifts(temporal: Sequence[int], count: int) -> tuple[int, list[int]]:
    """How many frames later than stored each is shown, none less than 0, and how many were added to have it so."""
    shown = list(range(count))
    for number, further in enumerate(islice(temporal, count)):
        if 0 <= number + further < count:
            shown[number + further] = number
    delay = max(stored - number for stored, number in enumerate(shown))
    return delay, [number - stored + delay for stored, number in enumerate(shown)]


def _sound_track(film: Mxf, sound: _Sound, number: int, length: int, contents: dict[tuple[bytes, int], bytes]) -> bytes:
    sizes, block = sound.element.sizes, sound.block
    if any(size % block or not size for size in set(sizes)):
        raise BadMedia(f"the sound of some frames is no whole number of samples of {block} bytes")
    total = sum(sizes) // block
    if total >= 1 << 32:
        raise BadMedia("the film's sound has more samples than a QuickTime file can count")
    before = sum(sizes[: film.first]) // block
    found = contents.get((sizes.tobytes(), block))
    if found is None:
        found = _chunks_of_one(sizes[0] // block) if min(sizes) == max(sizes) else _chunks_of_many(sizes, block)
        contents[sizes.tobytes(), block] = found
    tables = [
        _described(_sound_entry(sound)),
        writing.durations([(total, 1)]),
        found,
        writing.one_size(block, total),
        _chunk_offsets(sound.element.offsets),
    ]
    edits = writing.edits([(length, before)])
    return _track(number, SOUND, length, (0, 0), edits, _media(SOUND, sound.rate, total, tables))


def _chunks_of_one(samples: int) -> bytes:
    return write_full_box(b"stsc", 0, 0, struct.pack(">4I", 1, 1, samples, 1))


def _chunks_of_many(sizes: "array[int]", block: int) -> bytes:
    return writing.chunk_contents((size // block, 1) for size in sizes)


def _chunk_offsets(offsets: "array[int]") -> bytes:
    return writing.chunk_offsets(offsets, large=bool(offsets) and max(offsets) >= 1 << 32)


# Sound


def _sound(film: Mxf, element: Element) -> _Sound:
    """What the descriptor of an element says. Raises BadMedia for sound that is not plain samples."""
    if (element.key[12], element.key[14]) == _AES3_OF_D10:
        raise BadMedia("the sound is AES3 with its own framing (D-10), which QuickTime has no name for: ask for .mxf")
    descriptor = _descriptor(film, element)
    rate = descriptor.rational(_RATE)
    compression = descriptor.value(_COMPRESSION) or b""
    if any(compression) and (compression[8:11] != _UNCOMPRESSED[0] or compression[11:12] not in _UNCOMPRESSED[1]):
        raise BadMedia("the sound is compressed, and QuickTime may have no name for it: ask for .mxf")
    channels, bits = descriptor.number(_CHANNELS), descriptor.number(_BITS)
    width = -(-bits // 8)
    block = descriptor.number(_BLOCK) or width * channels
    if rate is None or rate.denominator != 1 or not 0 < channels <= 64 or block % channels:
        raise BadMedia("the file does not say how its sound is sampled")
    if block // channels not in _PCM:
        raise BadMedia(f"the sound has samples of {block // channels} bytes")
    return _Sound(element, int(rate), channels, block // channels)


def _descriptor(film: Mxf, element: Element) -> Set:
    tracks = [track for track in film.package.tracks if track.is_sound]
    numbered = [track for track in tracks if track.set.number(TRACK_NUMBER) == element.number]
    place = film.essence.sounds.index(element)
    chosen = numbered[0] if numbered else tracks[place] if place < len(tracks) else None
    descriptor = film.package.described(chosen) if chosen is not None else None
    if descriptor is None:
        raise BadMedia("the file does not describe its sound")
    return descriptor


def _sound_entry(sound: _Sound) -> bytes:
    """Of version 0 for 8 and 16 bits; of version 1, little-endian by `enda`, for more (QuickTime File Format)."""
    code, is_plain = _PCM[sound.width], sound.width <= 2
    bits = 8 * sound.width if is_plain else 16
    head = struct.pack(
        ">6xHHHIHHHHI", 1, 0 if is_plain else 1, 0, 0, sound.channels, bits, 0, 0, min(sound.rate, 0xFFFF) << 16
    )
    if is_plain:
        return write_box(code, head)
    packets = struct.pack(">4I", 1, sound.width, sound.block, 2)
    kind = write_box(b"frma", code), write_box(b"enda", b"\0\1"), struct.pack(">II", 8, 0)
    return write_box(code, head, packets, write_box(b"wave", *kind))
