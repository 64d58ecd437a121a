"""The sound of an original, decoded once and encoded for each rendition, to the sample.

A track begins where its first sample is heard and lasts as many samples as the original's; where samples are missing
between others (a packet that is lost or damaged), there is silence.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
from av.audio.codeccontext import AudioCodecContext
from av.codec.context import Flags

from filmfs.core.errors import BadMedia
from filmfs.proxy.encoding import REFUSALS, SoundPlan, refused
from filmfs.proxy.looking import packets_of
from filmfs.proxy.originals import Original, Sound, opened
from filmfs.proxy.packets import Coded, PacketWriter
from filmfs.proxy.reading import Opener, Reading

_CHUNK = 4096  # samples that are encoded at once where the encoder does not care
_PACKED = {1: "B", 2: "h", 4: "i"}
_GAP_S = Fraction(60)  # silence is made up in pieces of so much


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a track: the first sample's time in samples of the original's rate, how many, how many lost.

    `padding` is how many samples the encoder put before the first.
    """

    first: int
    samples: int
    lost: int
    padding: int


def encode_sounds(
    opener: Opener,
    original: Original,
    plans: Sequence[SoundPlan],
    files: Sequence[BinaryIO],
    advance: Callable[[int], None] = lambda seconds: None,
) -> list[Heard]:
    """Writes the packets of each plan to its file; `advance` is told now and then how many seconds of a track are done.

    Raises BadMedia when an encoder cannot be set up.
    """
    encoders = [_Encoder(plan, file) for plan, file in zip(plans, files, strict=True)]
    wanted = {track.stream: track for plan in plans for track in plan.tracks}
    tracks: dict[int, Track] = {}
    for number, track, piece in pieces(opener, wanted, original.zero):
        tracks[number] = track
        advance(track.count // wanted[number].rate)
        for encoder in encoders:
            encoder.hear(number, track.first, piece)
    for encoder in encoders:
        encoder.end()
    silent = Track(original.sounds[0], Fraction(0))
    return [
        Heard(track.first, track.count, track.lost, encoder.padding)
        for encoder in encoders
        for track in (tracks.get(encoder.first_track, silent),)
    ]


def pieces(opener: Opener, wanted: Mapping[int, Sound], zero: Fraction) -> Iterator[tuple[int, "Track", "Piece"]]:
    """All samples of tracks, in order: the track's number, the track so far, and what is added to it.

    Raises DiskFailure where they cannot be read; there is silence where the reading mends that.
    """
    tracks: dict[int, Track] = {}
    for number, frame in _decoded(Reading.of(opener), wanted):
        track = tracks.setdefault(number, Track(wanted[number], zero))
        for piece in track.placed(frame):
            yield number, track, piece


def _decoded(reading: Reading, wanted: Mapping[int, Sound]) -> Iterator[tuple[int, "av.AudioFrame"]]:
    with opened(reading) as container:
        streams = {number: container.streams.audio[number] for number in wanted}
        numbers = {stream.index: number for number, stream in streams.items()}
        for packet in packets_of(reading, container, *streams.values()):
            if reading.is_torn(packet):
                continue
            try:
                for frame in packet.decode():
                    if isinstance(frame, av.AudioFrame) and frame.samples:
                        yield numbers[packet.stream_index], frame
            except av.FFmpegError:
                continue


@dataclass(slots=True)
class Piece:
    """Samples of a track: a decoded frame's from `skipped` on, or (None) silence."""

    frame: "av.AudioFrame | None"
    skipped: int
    count: int


class Track:
    """A track of the original as it comes: which of its samples are where."""

    def __init__(self, sound: Sound, zero: Fraction) -> None:
        self._sound, self._zero = sound, zero
        self.first = 0
        self.count = 0
        self.lost = 0
        self._began = False

    def placed(self, frame: "av.AudioFrame") -> Iterator[Piece]:
        """What a frame adds, silence before it included."""
        rate = self._sound.rate
        expected = self.first + self.count
        at = expected
        if frame.pts is not None and frame.time_base:
            said = (frame.pts * frame.time_base - self._zero) * rate
            if not self._began or abs(said - expected) > max(Fraction(1), rate * frame.time_base) + 1:
                at = round(said)
        if not self._began:
            self.first, self._began, expected = at, True, at
        if at > expected:
            self.lost += at - expected
            yield from self._silence(at - expected)
        skipped = min(max(0, expected - at), frame.samples)
        if skipped < frame.samples:
            self.count += frame.samples - skipped
            yield Piece(frame, skipped, frame.samples - skipped)

    def _silence(self, count: int) -> Iterator[Piece]:
        step = int(_GAP_S * self._sound.rate)
        for done in range(0, count, step):
            length = min(step, count - done)
            self.count += length
            yield Piece(None, 0, length)


class _Encoder:
    """The encoder of one rendition's track."""

    def __init__(self, plan: SoundPlan, file: BinaryIO) -> None:
        try:
            context = av.CodecContext.create(plan.codec, "w")
            if not isinstance(context, AudioCodecContext):
                raise BadMedia(f"{plan.codec} is no encoder of sound")
            set_up_sound(context, plan)
            context.flags |= Flags.global_header
            context.open()
        except REFUSALS as error:
            raise refused(plan.codec, f"sound of {plan.rate} Hz {plan.layout}", plan.options, error) from None
        self._context, self._plan = context, plan
        self._writer = PacketWriter(file, bytes(context.extradata or b""))
        self._size = context.frame_size or _CHUNK
        self._packed = {"fltp": "flt", "s16": "s16", "s32": "s32"}[context.format.name]
        self._width = {"flt": 4, "s16": 2, "s32": 4}[self._packed]
        layout = plan.layout if len(plan.tracks) == 1 else "mono"
        self._channels = av.AudioLayout(layout).nb_channels
        self._forms = {
            track.stream: av.AudioResampler(format=self._packed, layout=layout, rate=plan.rate) for track in plan.tracks
        }
        self._parts = {track.stream: bytearray() for track in plan.tracks}
        self._starts: dict[int, int] = {}
        self._at: int | None = None
        self.padding = 0
        self.first_track = plan.tracks[0].stream
        self._began = 0
        self._last: Coded | None = None

    def hear(self, number: int, first: int, piece: Piece) -> None:
        """Takes samples of a track, which began at a sample."""
        if number not in self._parts:
            return
        if number not in self._starts:
            self._starts[number] = round(Fraction(first * self._plan.rate, self._plan.tracks[0].rate))
        self._parts[number] += self._samples(number, piece)
        if len(self._starts) == len(self._parts):
            self._align()
            self._encode(self._size)

    def end(self) -> None:
        """No more comes. Of a track of which nothing came there is a little silence, so that it is there."""
        if not self._starts:
            for number, part in self._parts.items():
                self._starts[number] = 0
                part.extend(bytes(self._size * self._channels * self._width))
        if self._starts:
            for track in self._parts:
                self._starts.setdefault(track, min(self._starts.values()))
            for number, form in self._forms.items():
                self._parts[number] += self._data(form.resample(None))
            self._align()
            longest = max(map(len, self._parts.values()))
            for part in self._parts.values():
                part.extend(bytes(longest - len(part)))
            self._encode(1)
        self._put(self._context.encode(None))
        if self._last is not None:
            self._writer.put(self._last)

    def _align(self) -> None:
        """Silence before the tracks that begin later than another."""
        if self._at is None:
            self._at = self._began = min(self._starts.values())
            for number, part in self._parts.items():
                part[:0] = bytes((self._starts[number] - self._at) * self._channels * self._width)

    def _samples(self, number: int, piece: Piece) -> bytes:
        if piece.frame is None:
            return bytes(
                round(piece.count * self._plan.rate / self._plan.tracks[0].rate) * self._channels * self._width
            )
        frame = piece.frame
        frame.pts = None
        data = self._data(self._forms[number].resample(frame))
        skipped = round(piece.skipped * self._plan.rate / self._plan.tracks[0].rate)
        return data[skipped * self._channels * self._width :]

    def _data(self, frames: list["av.AudioFrame"]) -> bytes:
        width = self._channels * self._width
        return b"".join(bytes(memoryview(frame.planes[0])[: frame.samples * width]) for frame in frames)

    def _encode(self, least: int) -> None:
        assert self._at is not None
        width = self._channels * self._width
        ready = min(map(len, self._parts.values())) // width
        done = 0
        while ready - done >= max(least, 1):
            count = min(self._size, ready - done)
            parts = [bytes(part[done * width : (done + count) * width]) for part in self._parts.values()]
            self._put(self._context.encode(self._frame(parts, count)))
            done, self._at = done + count, self._at + count
        for part in self._parts.values():
            del part[: done * width]

    def _frame(self, parts: list[bytes], count: int) -> "av.AudioFrame":
        assert self._at is not None
        if len(parts) > 1:
            parts = [_interleaved(parts, self._width)]
        frame = av.AudioFrame(format=self._packed, layout=self._plan.layout, samples=count)
        frame.planes[0].update(parts[0].ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.time_base, frame.pts = self._plan.rate, Fraction(1, self._plan.rate), self._at
        if self._packed != self._context.format.name:
            return self._planar(frame)
        return frame

    def _planar(self, frame: "av.AudioFrame") -> "av.AudioFrame":
        """The same in planes of a channel each."""
        channels = frame.layout.nb_channels
        made = av.AudioFrame(format=self._context.format.name, layout=frame.layout.name, samples=frame.samples)
        packed = array("f", bytes(memoryview(frame.planes[0])[: frame.samples * channels * 4]))
        for channel, plane in enumerate(made.planes):
            plane.update(packed[channel::channels].tobytes().ljust(plane.buffer_size, b"\0"))
        made.sample_rate, made.time_base, made.pts = frame.sample_rate, frame.time_base, frame.pts
        return made

    def _put(self, packets: Iterable["av.Packet[Any]"]) -> None:
        for packet in packets:
            assert packet.pts is not None
            if self._last is None:
                self.padding = self._began - packet.pts
            else:
                self._writer.put(self._last)
            self._last = Coded(packet.pts, packet.duration or 0, True, bytes(packet))


def set_up_sound(context: AudioCodecContext, plan: SoundPlan) -> None:
    """Sets an encoder that is not open yet."""
    formats = context.codec.audio_formats or []
    context.format = next((each.name for each in formats if each.name in ("fltp", "s16", "s32")), "s16")
    context.layout = plan.layout
    context.sample_rate = plan.rate
    context.time_base = Fraction(1, plan.rate)
    context.thread_count = 1
    if plan.bit_rate:
        context.bit_rate = plan.bit_rate
    context.options = dict(plan.options)


def _interleaved(parts: list[bytes], width: int) -> bytes:
    """Samples of several channels, one of each after another."""
    kind = {2: "h", 4: "i"}[width]
    made = array(kind, bytes(len(parts[0]) * len(parts)))
    for channel, part in enumerate(parts):
        made[channel :: len(parts)] = array(kind, part)
    return made.tobytes()
