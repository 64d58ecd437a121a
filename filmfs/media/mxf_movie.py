"""An MXF film as a QuickTime movie: a `moov` whose sample tables point into the values of the MXF file.

    mvhd | trak: each picture a chunk of one sample | trak: the sound of each frame a chunk, for every sound element

The movie's bytes exist in memory only; clips are made of it as of any other. What comes before the first frame that is
shown, and the delay that frames need to be put in order, are hidden by the edit lists.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.media import writing
from filmfs.media.foreign import FTYP, PCM, chunks_alike, described, media_box, movie_of_tracks, pcm_entry, track_box
from filmfs.media.movie import SOUND, VIDEO
from filmfs.media.mxf import Mxf
from filmfs.media.mxf_essence import Element
from filmfs.media.mxf_header import TRACK_NUMBER, Set
from filmfs.media.mxf_pictures import HEAD, looks_of, picture_entry
from filmfs.media.quicktime import QuickTime

_FINER = 1000  # of a whole rate: units of a frame
_RATE, _CHANNELS, _BITS, _BLOCK, _COMPRESSION = 0x3D03, 0x3D07, 0x3D01, 0x3D0A, 0x3D06
_UNCOMPRESSED = bytes.fromhex("040202"), (b"\x01", b"\x7f")
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
    opened = QuickTime(film.size, FTYP, movie_of_tracks(tracks, scale, length), None)
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


def _picture_track(film: Mxf, pictures: Element, scale: int, tick: int) -> bytes:
    track = film.package.picture
    descriptor = film.package.described(track) if track is not None else None
    if descriptor is None:
        raise BadMedia("the file does not describe its pictures")
    looks = looks_of(descriptor, film.rate)
    count = len(pictures.offsets)
    frame = film.source.read(pictures.offsets[0], min(HEAD, pictures.sizes[0]))
    tables = [
        described(picture_entry(looks, frame, is_intra=film.is_intra)),
        writing.durations([(count, tick)]),
        chunks_alike(1),
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
    return track_box(
        1, VIDEO, length, (looks.width, looks.height), edits, media_box(VIDEO, scale, count * tick, tables)
    )


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
        found = chunks_alike(sizes[0] // block) if min(sizes) == max(sizes) else _chunks_of_many(sizes, block)
        contents[sizes.tobytes(), block] = found
    tables = [
        described(pcm_entry(sound.rate, sound.channels, sound.width)),
        writing.durations([(total, 1)]),
        found,
        writing.one_size(block, total),
        _chunk_offsets(sound.element.offsets),
    ]
    edits = writing.edits([(length, before)])
    return track_box(number, SOUND, length, (0, 0), edits, media_box(SOUND, sound.rate, total, tables))


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
    if block // channels not in PCM:
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
