"""Edit lists of sound that begins later than its movie and comes in packets.

FFmpeg's muxer delays such a track by its first packet, so what an encoder puts before the first sample (its priming)
would be heard. The list is made anew where it is: nothing for so long, then the sound without its priming
(QuickTime File Format, edit list atoms).
"""

from dataclasses import dataclass
from fractions import Fraction
from struct import pack_into, unpack_from

from filmfs.core.errors import BadMedia
from filmfs.media.boxes import boxes_in_file
from filmfs.media.movie import Movie
from filmfs.store.containers import FileBytes

_ENTRIES = {0: (">I", ">i", 12), 1: (">Q", ">q", 20)}  # duration, time in the media, bytes of an entry


@dataclass(frozen=True, slots=True)
class Heard:
    """A sound track by its place among the movie's: when it begins (s), and samples that are skipped and heard."""

    track: int
    begins: Fraction
    skipped: int
    samples: int
    rate: int


def delay_sounds(path: str, tracks: list[Heard]) -> None:
    """Makes the edit lists say so. Raises BadMedia when a track has no list of two entries."""
    with open(path, "r+b") as file:
        moov = next(box for box in boxes_in_file(FileBytes(file)) if box.kind == b"moov")
        file.seek(moov.start)
        movie = Movie(file.read(moov.end - moov.start))
        data = bytearray(movie.data)
        for each in tracks:
            elst = movie.sounds[each.track].find("edts/elst")
            if elst is None or unpack_from(">I", data, elst.body + 4) != (2,):
                raise BadMedia("its sound begins late, and has no edit list that could say so")
            duration, time, width = _ENTRIES[data[elst.body]]
            first, second = elst.body + 8, elst.body + 8 + width
            pack_into(duration, data, first, round(each.begins * movie.timescale))
            pack_into(duration, data, second, round(Fraction(each.samples * movie.timescale, each.rate)))
            pack_into(time, data, second + (width - 4) // 2, each.skipped)
        file.seek(moov.start)
        file.write(data)
