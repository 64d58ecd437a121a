"""The time code of Sony's real-time metadata track (`rtmd`) in XAVC files, which have no time code track.

Each sample begins with a header of 28 bytes (its first two say so) that has the label at byte 13: hours, minutes,
seconds, a drop-frame flag and frames, a byte each and no BCD. Sony does not document it; FFmpeg
(`mov_read_rtmd_track`) and MediaInfo (`File_Mxf`, IsRtmd) read it there. At 30000/1001 and its multiples cameras write
the flag as 0 and count drop-frame all the same (palmier-pro #361, tried with DaVinci Resolve; MediaInfoLib #2656):
there it is drop-frame unless the label does not exist in that counting.

The same files may hold the XML that cameras also write beside them (`sidecars`), in a `meta` of the file or the movie.
"""

from dataclasses import replace
from fractions import Fraction

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.ports import ByteSource
from filmfs.core.said import Said
from filmfs.core.smpte import Label, can_drop
from filmfs.media.boxes import boxes_in_file, find
from filmfs.media.movie import Movie, Track, rate_of
from filmfs.media.sidecars import SIDECAR_MAX

_KIND = b"rtmd"
_AT, _END = 13, 18
_HEADER = b"\0\x1c"


def read_rtmd(movie: Movie, source: ByteSource) -> Said | None:
    """What the first sample of the movie's rtmd track says; None where there is none, or it says no label."""
    try:
        track = next((track for track in movie.tracks if any(entry.kind == _KIND for entry in track.entries)), None)
        return _read(track, source) if track is not None else None
    except BadMedia:
        return None


def embedded_xml(movie: Movie, source: ByteSource) -> bytes | None:
    """The XML document in a film's `meta`, if there is one."""
    try:
        inside = find(movie.data, "meta", movie.box.body, movie.box.end)
        found = None if inside is None else _xml(movie.data[inside.body : inside.end])
        for box in boxes_in_file(source) if found is None else ():
            if box.kind == b"meta" and box.length <= SIDECAR_MAX:
                found = found or _xml(source.read(box.body, box.length))
    except BadMedia:
        return None
    return found


def _xml(meta: bytes) -> bytes | None:
    """The text of a `meta`'s `xml `; both begin with a version and flags (ISO/IEC 14496-12, 8.11)."""
    box = find(meta, "xml ", 4)
    return meta[box.body + 4 : box.end].rstrip(b"\0") if box is not None else None


def _read(track: Track, source: ByteSource) -> Said | None:
    if not track.table.count or track.table.size_of(0) < _END:
        return None
    data = source.read(track.table.offset_of(0), _END)
    if len(data) < _END or not data.startswith(_HEADER):
        return None
    hours, minutes, seconds, flag, frames = data[_AT:_END]
    rate = rate_of(track)
    label = Label(hours, minutes, seconds, frames, True if flag else None)
    return _said(replace(label, drop=True) if can_drop(rate) else label, rate) or _said(label, rate)


def _said(label: Label, rate: Fraction) -> Said | None:
    said = Said(label, rate)
    try:
        said.start(rate)
    except BadTimecode:
        return None
    return said
