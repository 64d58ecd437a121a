"""Sound files: WAV and Broadcast Wave (EBU Tech 3285), also past 4 GiB (RF64, EBU Tech 3306; BW64, ITU-R BS.2088), and
cuts of them.

    RIFF size WAVE | fmt , bext, iXML … | JUNK | data: the samples of the range, where they lie

Where a recorder says when it began (`bext` TimeReference: samples since midnight), a cut says when it begins. Sound has
no frames of its own: `iXML` tells of how many a second the production has, or whoever asks must.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Counting, FrameRange
from filmfs.core.smpte import can_drop, exact_rate
from filmfs.media.clipping import BLOCK, Clip, Run

_LARGE = {b"RF64", b"BW64"}
_UNKNOWN = range(0x7FFFF000, 1 << 32)  # lengths that those write who do not know it yet
_CHUNKS_MAX, _CHUNK_MAX = 1000, 16 << 20
_TIME_REFERENCE = 338  # in bext
_DROPPED = {b"JUNK", b"FLLR", b"PAD ", b"ds64", b"data", b"fact", b"cue ", b"LIST", b"smpl", b"levl", b"peak", b"PEAK"}
_PACKED = {0x0002, 0x0011, 0x0031, 0x0050, 0x0055, 0x0161}  # ADPCM, GSM, MPEG …: their blocks cannot be cut anywhere


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    body: int
    length: int


@dataclass(frozen=True)
class Wave:
    """A sound file: its format, where its samples lie, and the chunks that are kept."""

    form: bytes  # the body of `fmt `
    data: Run
    chunks: tuple[tuple[bytes, bytes], ...]  # in order, without `fmt ` and those that speak of what is cut
    missing: int = 0  # samples that the file ends before

    @cached_property
    def sample_rate(self) -> int:
        """Samples of each channel in a second."""
        return int(struct.unpack_from("<I", self.form, 4)[0])

    @cached_property
    def channels(self) -> int:
        """How many channels it has."""
        return int(struct.unpack_from("<H", self.form, 2)[0])

    @cached_property
    def width(self) -> int:
        """Bytes of a sample of all channels."""
        return int(struct.unpack_from("<H", self.form, 12)[0])

    @property
    def samples(self) -> int:
        """How many samples each channel has."""
        return self.data.length // self.width

    @cached_property
    def reference(self) -> int | None:
        """Samples from midnight to the first one; None where no recorder says."""
        bext = self._chunk(b"bext")
        if bext is None or len(bext) < _TIME_REFERENCE + 8:
            return None
        return int(struct.unpack_from("<Q", bext, _TIME_REFERENCE)[0])

    @cached_property
    def rate(self) -> Fraction | None:
        """Frames a second of the production, as iXML says."""
        found = re.search(rb"<TIMECODE_RATE>\s*([0-9./]{1,16})\s*</TIMECODE_RATE>", self._chunk(b"iXML") or b"")
        try:
            return exact_rate(found[1].decode()) if found is not None else None
        except BadTimecode:
            return None

    @cached_property
    def drop(self) -> bool:
        """Whether iXML says that labels are dropped."""
        return re.search(rb"<TIMECODE_FLAG>\s*DF\s*</TIMECODE_FLAG>", self._chunk(b"iXML") or b"") is not None

    def counting(self, rate: Fraction | None = None, *, drop: bool = False) -> Counting:
        """How its frames are counted, at a rate that is asked for or its own. Raises BadTimecode when there is none."""
        frames_a_second = self.rate if rate is None else rate
        if frames_a_second is None:
            raise BadTimecode("the sound file does not say how many frames a second have; add it, such as ~25")
        reference = self.reference or 0
        drops = can_drop(frames_a_second) and (self.drop or drop)
        first = -(-reference * frames_a_second // self.sample_rate)
        while self._at(first, frames_a_second) < 0:
            first += 1
        last = (reference + self.samples) * frames_a_second // self.sample_rate
        while self._at(last, frames_a_second) > self.samples:
            last -= 1
        if last <= first:
            raise BadTimecode("the sound file is shorter than a frame")
        return Counting(int(first), int(last - first), frames_a_second, drops)

    def plan(self, frames: FrameRange, counting: Counting) -> Clip:
        """The cut of a range: from sample round(f × sample rate / rate) since midnight on, so that neighbours tile."""
        begins = self._at(counting.start + frames.first, counting.rate)
        ends = self._at(counting.start + frames.end, counting.rate)
        length = (ends - begins) * self.width
        chunks = [(b"fmt ", self.form), *((kind, self._moved(kind, body, begins)) for kind, body in self.chunks)]
        head = b"".join(_written(kind, body) for kind, body in chunks)
        data = Run(self.data.offset + begins * self.width, length)
        # RIFF, ds64 or the room for it, and data have headers; JUNK has the samples keep their place in a block.
        start = 12 + 36 + len(head) + 8
        junk = (data.offset - start - 8) % BLOCK
        junk += junk % 2  # chunks begin at even places
        size = start + junk + 8 + length + length % 2 - 8
        is_large = size >= 1 << 32
        begin = struct.pack("<4sI4s", b"RF64" if is_large else b"RIFF", 0xFFFFFFFF if is_large else size, b"WAVE")
        sizes = struct.pack("<QQQI", size, length, ends - begins, 0)
        begin += _written(b"ds64", sizes) if is_large else _written(b"JUNK", bytes(28))
        begin += (
            head + _written(b"JUNK", bytes(junk)) + struct.pack("<4sI", b"data", 0xFFFFFFFF if is_large else length)
        )
        pieces: tuple[bytes | Run, ...] = (begin, data) if not length % 2 else (begin, data, b"\0")
        return Clip(pieces, size + 8)

    def _at(self, frame: int, rate: Fraction) -> int:
        """The sample at which a frame, counted from midnight, begins."""
        return round(frame * self.sample_rate / rate) - (self.reference or 0)

    def _chunk(self, kind: bytes) -> bytes | None:
        return next((body for each, body in self.chunks if each == kind), None)

    def _moved(self, kind: bytes, body: bytes, by: int) -> bytes:
        if self.reference is None:
            return body
        reference = (self.reference + by) % (86_400 * self.sample_rate)
        if kind == b"bext":
            return body[:_TIME_REFERENCE] + struct.pack("<Q", reference) + body[_TIME_REFERENCE + 8 :]
        if kind == b"iXML":
            for name in (b"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_%s", b"BWF_TIME_REFERENCE_%s"):
                for suffixes, value in (((b"LO", b"LOW"), reference & 0xFFFFFFFF), ((b"HI", b"HIGH"), reference >> 32)):
                    for suffix in suffixes:
                        body = re.sub(rb"(<%s>)\s*\d+\s*(</)" % (name % suffix), rb"\g<1>%d\g<2>" % value, body)
        return body


def open_wave(source: ByteSource) -> Wave:
    """Reads what a sound file says of itself. Raises BadMedia when it is none, is damaged or cannot be cut."""
    form, data, kept, promised = b"", None, [], 0
    for chunk in _chunks(source):
        if chunk.kind == b"data":
            if data is None:
                data = Run(chunk.body, min(chunk.length, source.size - chunk.body))
                promised = data.length if chunk.length in _UNKNOWN else chunk.length
        elif chunk.kind == b"fmt " and not form:
            form = _body(source, chunk)
        elif chunk.kind not in _DROPPED:
            kept.append((chunk.kind, _body(source, chunk)))
    if len(form) < 16 or data is None:
        raise BadMedia("the file has no samples, or does not say what they are")
    wave = Wave(form, data, tuple(kept))
    (code,) = struct.unpack_from("<H", form)
    if code in _PACKED or not wave.width or not wave.sample_rate:
        raise BadMedia(f"sound of the kind 0x{code:04x} cannot be cut exactly")
    missing = promised // wave.width - wave.samples
    return Wave(form, Run(data.offset, wave.samples * wave.width), wave.chunks, missing)


def _chunks(source: ByteSource) -> Iterator[_Chunk]:
    start = source.read(0, 12)
    if len(start) < 12 or start[8:] != b"WAVE" or start[:4] not in {b"RIFF", *_LARGE}:
        raise BadMedia("the file is no WAV")
    at, large = 12, 0
    for _ in range(_CHUNKS_MAX):
        header = source.read(at, 8)
        if len(header) < 8:
            return
        kind, length = struct.unpack("<4sI", header)
        if kind == b"ds64" and start[:4] in _LARGE:
            (large,) = struct.unpack_from("<8xQ", source.read(at + 8, 24).ljust(24, b"\0"))
        if kind == b"data" and length == 0xFFFFFFFF:
            length = large or source.size - at - 8
        yield _Chunk(kind, at + 8, length)
        at += 8 + length + length % 2
    raise BadMedia("the file has more chunks than any sound needs")


def _body(source: ByteSource, chunk: _Chunk) -> bytes:
    if chunk.length > _CHUNK_MAX:
        raise BadMedia(f"the chunk {chunk.kind!r} has {chunk.length} bytes")
    body = source.read(chunk.body, chunk.length)
    if len(body) < chunk.length:
        raise BadMedia(f"the chunk {chunk.kind!r} is cut off")
    return body


def _written(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)
