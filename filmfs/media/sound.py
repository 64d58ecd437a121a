"""Sound in movies: which samples are uncompressed, and how long a frame of them is.

QuickTime File Format, "Sound Sample Descriptions" (versions 0, 1 and 2); ISO/IEC 23003-5 for `ipcm` and `fpcm`.
"""

from dataclasses import dataclass
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.media.boxes import Box, find, shown
from filmfs.media.movie import Track

_BYTES = {b"raw ": 1, b"twos": 2, b"sowt": 2, b"in24": 3, b"in32": 4, b"fl32": 4, b"fl64": 8, b"ulaw": 1, b"alaw": 1}
_BY_DEPTH = {b"raw ", b"twos", b"sowt", b"lpcm", b"NONE"}
_ISO = {b"ipcm", b"fpcm"}
_LPCM_FLOAT, _LPCM_SIGNED = 1, 4
_IN_GROUPS = {b"ima4", b"MAC3", b"MAC6", b"agsm"}  # a packet is several samples of the table
_SILENT_IN_ZEROS = {b"twos", b"sowt", b"in24", b"in32", b"fl32", b"fl64", b"lpcm", b"ipcm", b"fpcm"}
_DEPTH_MAX, _CHANNELS_MAX = 64, 1024


def frame_bytes(track: Track) -> int:
    """Bytes of one sample of all channels of uncompressed sound; 0 where it comes in packets. Raises BadMedia."""
    widths = {_frame_bytes(track, entry) for entry in track.entries}
    if len(widths) != 1:
        raise BadMedia(f"sound track {track.number} changes its kind of samples")
    return widths.pop()


def channels_of(track: Track) -> int:
    """How many channels it has."""
    return _facts(track, track.entries[0])[1] if track.entries else 0


@dataclass(frozen=True, slots=True)
class Form:
    """What uncompressed samples are; two tracks of one form can be joined."""

    kind: bytes
    rate: int
    channels: int
    width: int  # bytes of a sample of all channels
    order: int  # what the description says of the order of bytes and of signs

    def __str__(self) -> str:
        bits = self.width * 8 // max(self.channels, 1)
        return (
            f"{self.channels} channel{'s' * (self.channels != 1)} of {bits} bits, {self.rate} Hz ({shown(self.kind)})"
        )

    @property
    def is_silent_in_zeros(self) -> bool:
        """Whether zeros are silence."""
        is_signed = self.kind != b"lpcm" or bool(self.order & (_LPCM_FLOAT | _LPCM_SIGNED))
        return self.kind in _SILENT_IN_ZEROS and is_signed


def form_of(track: Track) -> Form | None:
    """The form of a track's sound; None where it comes in packets. Raises BadMedia."""
    width = frame_bytes(track)
    if not width:
        return None
    if len(track.entries) != 1:
        raise BadMedia(f"sound track {track.number} has several descriptions")
    (entry,), data = track.entries, track.movie.data
    version, channels, _ = _facts(track, entry)
    order = 0
    if entry.kind in _ISO:
        box = find(data, "pcmC", entry.body + 28, entry.end)
        order = data[box.body + 4] if box is not None and box.length >= 6 else 0
    elif version == 2:
        (order,) = unpack_from(">I", data, entry.body + 52)
    elif version == 1:
        box = find(data, "wave/enda", entry.body + 44, entry.end)
        order = int.from_bytes(data[box.body : box.body + 2], "big") if box is not None else 0
    return Form(entry.kind, track.timescale, channels, width, order)


def _frame_bytes(track: Track, entry: Box) -> int:
    kind = entry.kind
    if kind in _IN_GROUPS:
        raise BadMedia(f"sound of the kind {shown(kind)} cannot be cut exactly")
    version, channels, depth = _facts(track, entry)
    if kind in _ISO:
        pcmc = find(track.movie.data, "pcmC", entry.body + 28, entry.end)
        depth = track.movie.data[pcmc.body + 5] if pcmc is not None and pcmc.length >= 6 else depth
        width = depth // 8 * channels
    elif version == 2 and kind == b"lpcm":
        width = int(unpack_from(">I", track.movie.data, entry.body + 56)[0])
    elif kind in _BY_DEPTH:
        width = -(-depth // 8) * channels
    elif kind in _BYTES:
        width = _BYTES[kind] * channels
    else:
        return 0
    if not 0 < width <= _DEPTH_MAX // 8 * _CHANNELS_MAX:
        raise BadMedia(f"sound track {track.number} has frames of {width} bytes")
    return width


def _facts(track: Track, entry: Box) -> tuple[int, int, int]:
    """(version, channels, bits) of a sound sample description."""
    data = track.movie.data
    if entry.length < 28:
        raise BadMedia(f"the description of sound track {track.number} is cut off")
    version, _, _, channels, depth = unpack_from(">HHIHH", data, entry.body + 8)
    if version == 2:
        if entry.length < 64:
            raise BadMedia(f"the description of sound track {track.number} is cut off")
        channels, _, depth = unpack_from(">III", data, entry.body + 40)
    return version, channels, depth
