"""Packets of many workers as one file: pictures one span after another, sound beside them, time code, reel, colours.

Nothing is encoded here. The file is written whole under a name of its own; who asked for it moves it.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia, Corrupt, from_os_error
from filmfs.proxy.edits import Heard, delay_sounds
from filmfs.proxy.encoding import REFUSALS, PicturePlan, SoundPlan, set_up_picture
from filmfs.proxy.originals import Labels
from filmfs.proxy.packets import Coded, PacketReader
from filmfs.proxy.sounding import set_up_sound

_MOVIE_TIMESCALE_LEAST = 1000
_MOVIE_TIMESCALE_MAX = (1 << 31) - 1
_FORMATS = {".mp4": "mp4", ".m4a": "mp4", ".mov": "mov"}


@dataclass(frozen=True, slots=True)
class SoundPart:
    """A sound track's packets in a file; the encoder put `padding` samples before the first."""

    plan: SoundPlan
    file: str
    padding: int = 0


def join(
    target: str,
    suffix: str,
    picture: PicturePlan | None,
    spans: Sequence[str],
    sounds: Sequence[SoundPart],
    labels: Labels,
) -> None:
    """Writes the rendition's file to `target`, of the paths of packets.

    Raises Corrupt when what workers made does not belong together, NoSpace and its kind.
    """
    extents: list[_Extent] = []
    with ExitStack() as closing:
        try:
            container = closing.enter_context(
                av.open(target, "w", format=_FORMATS[suffix], options=_options(suffix, picture, sounds))
            )
            heads: list[Iterator[tuple[Fraction, int, Coded]]] = []
            streams: list[Any] = []
            if picture is not None:
                stream = _picture_stream(container, picture, labels)
                streams.append(stream)
                heads.append(_in_time(_spans(spans, closing, stream), picture.unit, 0))
            for number, part in enumerate(sounds, len(streams)):
                plan = part.plan
                heard = container.add_stream(plan.codec, rate=plan.rate)
                assert isinstance(heard, AudioStream)
                set_up_sound(heard.codec_context, plan)
                streams.append(heard)
                reader = PacketReader(closing.enter_context(open(part.file, "rb")))
                extents.append(_Extent(part.padding))
                heads.append(_in_time(extents[-1].following(reader), Fraction(1, plan.rate), number))
            container.start_encoding()
            units = [stream.codec_context.time_base for stream in streams]
            for _, number, coded in heapq.merge(*heads, key=lambda each: each[:2]):
                container.mux(_packet(coded, streams[number], units[number]))
        except REFUSALS as error:
            raise _as_ours(error, target) from None
    late = [
        extent.as_heard(track, part.plan.rate)
        for track, (part, extent) in enumerate(zip(sounds, extents, strict=True))
        if extent.is_late
    ]
    if late:
        delay_sounds(target, late)


class _Extent:
    """Where the packets of a sound track begin and end, of which an encoder put `padding` samples before the first."""

    def __init__(self, padding: int) -> None:
        self._padding = padding
        self._begins = self._ends = 0
        self._has_begun = False

    def following(self, packets: Iterable[Coded]) -> Iterator[Coded]:
        """The packets, looked at."""
        for packet in packets:
            if not self._has_begun:
                self._begins, self._has_begun = packet.time, True
            self._ends = packet.time + packet.duration
            yield packet

    @property
    def is_late(self) -> bool:
        """Whether padding would be heard."""
        return self._padding > 0 and self._begins > -self._padding

    def as_heard(self, track: int, rate: int) -> Heard:
        """What the edit list shall say."""
        first = self._begins + self._padding
        return Heard(track, Fraction(first, rate), self._padding, self._ends - first, rate)


def _options(suffix: str, picture: PicturePlan | None, sounds: Sequence[SoundPart]) -> dict[str, str]:
    options = {} if suffix == ".mov" else {"movflags": "faststart"}  # players begin before they have all of it
    scale = lcm(*(part.plan.rate for part in sounds), *([picture.unit.denominator] if picture is not None else []))
    if scale <= _MOVIE_TIMESCALE_MAX:  # so that the edit list is exact
        options["movie_timescale"] = str(scale * max(1, -(-_MOVIE_TIMESCALE_LEAST // scale)))
    return options


def _picture_stream(container: OutputContainer, plan: PicturePlan, labels: Labels) -> VideoStream:
    stream = container.add_stream(plan.recipe.picture, rate=plan.rate, options=dict(plan.recipe.picture_options))
    assert isinstance(stream, VideoStream)
    set_up_picture(stream.codec_context, plan)
    if plan.turned is not None:
        stream.set_display_matrix(plan.turned)
    _label(stream, labels)
    return stream


def _label(stream: VideoStream, labels: Labels) -> None:
    if labels.timecode:
        stream.metadata["timecode"] = labels.timecode
    if labels.reel:
        stream.metadata["reel_name"] = labels.reel


def _spans(paths: Sequence[str], closing: ExitStack, stream: VideoStream) -> Iterator[Coded]:
    for path in paths:
        with open(path, "rb") as file:
            reader = PacketReader(file)
            if reader.extradata != bytes(stream.codec_context.extradata or b""):
                raise Corrupt("the encoders of two workers are not the same; their pictures cannot be put together")
            yield from reader


def _in_time(packets: Iterable[Coded], unit: Fraction, number: int) -> Iterator[tuple[Fraction, int, Coded]]:
    return ((packet.time * unit, number, packet) for packet in packets)


def _packet(coded: Coded, stream: Any, unit: Fraction) -> "av.Packet[Any]":
    packet = av.Packet(coded.data)
    packet.stream, packet.time_base = stream, unit
    packet.pts = packet.dts = coded.time
    packet.duration, packet.is_keyframe = coded.duration, coded.is_key
    return packet


def _as_ours(error: Exception, target: str) -> Exception:
    if isinstance(error, OSError) and error.errno:
        return from_os_error(OSError(error.errno, error.strerror), f"writing {target}")
    return BadMedia(f"the proxy cannot be written: {getattr(error, 'strerror', None) or error}")
