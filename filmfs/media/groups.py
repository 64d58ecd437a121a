"""Whether decoding can begin anew at a sample, whatever was decoded before it: asked of its first bytes.

Sample tables do not tell: what they call a sync sample may be a picture whose successors are counted, ordered and
referred to as if those before it had been there (open groups, ISO/IEC 14496-15, 4.3.4 and 8.4.3). An IDR picture begins
anew. NAL units are ITU-T H.264, table 7-1, and H.265, table 7-1; those of a sample have their length before them.
"""

from dataclasses import dataclass

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.media.boxes import Box, find
from filmfs.media.movie import Track

_ENTRY = 78  # bytes of a visual sample entry before the boxes in it (ISO/IEC 14496-12, 12.1.3)
_LOOKED_AT = 64 << 10  # parameter sets and messages before the picture are shorter


@dataclass(frozen=True, slots=True)
class _Coding:
    """How the NAL units of a codec say their type, which are of pictures, and which begin anew."""

    parameters: str  # the box
    width_at: int  # in it: the bytes of a length, less one, in two bits
    shift: int
    mask: int
    pictures: range
    anew: frozenset[int]

    def type_of(self, header: int) -> int:
        """The type, of the first byte of a unit."""
        return header >> self.shift & self.mask


_AVC = _Coding("avcC", 4, 0, 31, range(1, 6), frozenset({5}))
_HEVC = _Coding("hvcC", 21, 1, 63, range(32), frozenset({19, 20}))
_CODINGS = {b"avc1": _AVC, b"avc3": _AVC, b"hvc1": _HEVC, b"hev1": _HEVC}
_ALWAYS = {b"m2v1", b"mpg2", b"xdv", b"xd5", b"hdv"}  # MPEG-2 counts pictures within their group


def begins_anew(track: Track, index: int, source: ByteSource | None) -> bool:
    """Whether a sync sample of the track does. Raises BadMedia where nobody can tell."""
    entry = track.entries[0]
    if entry.kind in _ALWAYS or entry.kind[:3] in _ALWAYS:
        return True
    coding = _CODINGS.get(entry.kind)
    if coding is None or source is None:
        raise BadMedia("its pictures need one another, and nobody can tell where groups of them begin anew")
    data = source.read(track.table.offset_of(index), min(track.table.size_of(index), _LOOKED_AT))
    return _first_picture(data, coding, _width(track, entry, coding)) in coding.anew


def _width(track: Track, entry: Box, coding: _Coding) -> int:
    data = track.movie.data
    box = find(data, coding.parameters, entry.body + _ENTRY, entry.end)
    if box is None or box.length <= coding.width_at:
        raise BadMedia(f"the description of track {track.number} has no {coding.parameters}")
    return (data[box.body + coding.width_at] & 3) + 1


def _first_picture(data: bytes, coding: _Coding, width: int) -> int | None:
    """The type of the first unit that is a piece of a picture."""
    at = 0
    while at + width < len(data):
        kind = coding.type_of(data[at + width])
        if kind in coding.pictures:
            return kind
        at += width + int.from_bytes(data[at : at + width], "big")
    return None
