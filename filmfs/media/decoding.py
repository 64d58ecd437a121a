"""Pictures and samples of a film by their numbers, decoded with FFmpeg (PyAV).

A picture is found by its time: frame k is the one within half a frame of the first one's time plus k / rate. Decoding
begins at a key picture that is shown no later than the one that is wanted, so that it is never made of pictures that
were not decoded. Samples are placed by their time from the first picture on.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from typing import BinaryIO

import av

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.smpte import exact_rate
from filmfs.media.compositing import RGB
from filmfs.media.demuxing import demuxed

_KEPT_BYTES = 256 << 20  # decoded pictures that are kept, for who goes backwards
_AHEAD = 50  # frames that are rather decoded than sought
_BACK_S = Fraction(1, 2)  # how much earlier it is sought when a key picture was too late
_BEFORE_S = Fraction(1, 5)  # of sound that is decoded before what is wanted

Opener = Callable[[], BinaryIO]
"""Opens a film anew, for reading, as a seekable file."""


class _Film:
    """An open film."""

    def __init__(self, opener: Opener) -> None:
        self._file = opener()
        try:
            self._container = av.open(self._file, "r")
        except av.FFmpegError as error:
            self._file.close()
            raise BadMedia(f"FFmpeg cannot read the film: {error}") from None

    def close(self) -> None:
        """Lets the file go."""
        self._container.close()
        self._file.close()


class Pictures(_Film):
    """The pictures of a film. One thread at a time; `close` it."""

    def __init__(self, opener: Opener) -> None:
        super().__init__(opener)
        if not self._container.streams.video:
            self.close()
            raise BadMedia("the film has no picture")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._kept: dict[int, av.VideoFrame] = {}
        try:
            self.rate = exact_rate(Fraction(self._stream.average_rate or self._stream.base_rate or 0))
        except BadTimecode:
            self.close()
            raise BadMedia("the film's pictures have no steady pace") from None
        self._zero: Fraction | None = None
        self._coming = self._decoded(None)
        first = next(self._coming, None)
        if first is None:
            self.close()
            raise BadMedia("no picture of the film can be decoded")
        self._zero = _time(first)
        matrix = RGB if first.format.is_rgb else first.colorspace
        self._colours = first.color_primaries, first.color_trc, matrix
        self._next = 0
        self._keep(first)

    @property
    def begins(self) -> Fraction:
        """The time of the first picture in the film's own."""
        assert self._zero is not None
        return self._zero

    @property
    def shape(self) -> Fraction:
        """The width of a point, in heights."""
        return Fraction(self._stream.sample_aspect_ratio or 1)

    @property
    def colours(self) -> tuple[int, int, int]:
        """Primaries, transfer and matrix of the first picture, as ITU-T H.273 numbers them.

        Some films say them in the pictures alone.
        """
        return self._colours

    def picture(self, number: int) -> av.VideoFrame:
        """A picture by its number from 0 on. Raises BadMedia when there is none."""
        if number not in self._kept:
            if not self._next <= number < self._next + _AHEAD:
                self._seek(number)
            for frame in self._coming:
                self._keep(frame)
                if self._next > number:
                    break
        if number not in self._kept:
            raise BadMedia(f"the film has no frame {number}")
        return self._kept[number]

    def _keep(self, frame: av.VideoFrame) -> None:
        number = round((_time(frame) - self.begins) * self.rate)
        room = max(2, _KEPT_BYTES // max(1, sum(plane.buffer_size for plane in frame.planes)))
        while len(self._kept) >= room:
            del self._kept[next(iter(self._kept))]
        self._kept[number] = frame
        self._next = number + 1

    def _seek(self, number: int) -> None:
        """Goes on at the last key picture that is shown no later than a picture."""
        wanted = self.begins + number / self.rate
        at = wanted
        while True:
            self._coming = self._decoded(at)
            first = next(self._coming, None)
            if first is not None and _time(first) <= wanted + 1 / self.rate / 2:
                break
            if at <= self.begins - 1:
                raise BadMedia(f"the film has no frame {number}")
            at -= _BACK_S
        self._keep(first)

    def _decoded(self, after_seek: Fraction | None) -> Iterator[av.VideoFrame]:
        """Pictures in the order they are shown, from the key picture at or before a time on, none before it."""
        assert self._stream.time_base is not None
        begins = None
        try:
            if after_seek is not None:
                self._container.seek(int(after_seek // self._stream.time_base), stream=self._stream)
            for packet in demuxed(self._container, self._stream):
                if begins is None and packet.pts is not None:
                    begins = packet.pts
                for frame in packet.decode():
                    if frame.pts is not None and (after_seek is None or begins is None or frame.pts >= begins):
                        yield frame
        except av.FFmpegError as error:
            raise BadMedia(f"FFmpeg cannot decode the film: {error}") from None


def _time(frame: av.VideoFrame | av.AudioFrame) -> Fraction:
    assert frame.pts is not None
    assert frame.time_base is not None
    return frame.pts * frame.time_base


class Samples(_Film):
    """The sound of one track of a film, as 32-bit samples of all channels one after another; `close` it."""

    def __init__(self, opener: Opener, track: int) -> None:
        super().__init__(opener)
        if track >= len(self._container.streams.audio):
            count = len(self._container.streams.audio)
            self.close()
            raise BadMedia(f"the film has {count} sound tracks, and {track + 1} was wanted")
        self._stream = self._container.streams.audio[track]
        self.rate = self._stream.rate
        self.layout = self._stream.layout.name
        self.width = 4 * self._stream.layout.nb_channels

    def read(self, begins: Fraction, count: int) -> bytes:
        """`count` samples from a time of the film on; where there are none, zeros."""
        first = round(begins * self.rate)
        heard = bytearray(count * self.width)
        for at, data in self._decoded(begins):
            low, high = max(at, first), min(at + len(data) // self.width, first + count)
            if low < high:
                heard[(low - first) * self.width : (high - first) * self.width] = data[
                    (low - at) * self.width : (high - at) * self.width
                ]
            if at >= first + count:
                break
        return bytes(heard)

    def _decoded(self, begins: Fraction) -> Iterator[tuple[int, bytes]]:
        """(position, samples) of what is decoded from somewhere before a time on."""
        assert self._stream.time_base is not None
        form = av.AudioResampler(format="s32", layout=self.layout, rate=self.rate)
        try:
            with suppress(av.PermissionError):
                self._container.seek(
                    int(max(begins - _BEFORE_S, Fraction(0)) // self._stream.time_base), stream=self._stream
                )
            for packet in demuxed(self._container, self._stream):
                for frame in packet.decode():
                    if frame.pts is None:
                        continue
                    at = round(_time(frame) * self.rate)
                    for made in form.resample(frame):
                        yield at, bytes(made.planes[0])[: made.samples * self.width]
                        at += made.samples
        except av.FFmpegError as error:
            raise BadMedia(f"FFmpeg cannot decode the film's sound: {error}") from None


def resampled(data: bytes, layout: str, rate: int, to: int, count: int) -> bytes:
    """Samples of one rate at another, `count` of them."""
    channels = av.AudioLayout(layout).nb_channels
    if rate != to:
        frame = av.AudioFrame(format="s32", layout=layout, samples=len(data) // 4 // channels)
        frame.sample_rate = rate
        frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
        form = av.AudioResampler(format="s32", layout=layout, rate=to)
        made = [*form.resample(frame), *form.resample(None)]
        data = b"".join(bytes(each.planes[0])[: each.samples * 4 * channels] for each in made)
    return data[: count * 4 * channels].ljust(count * 4 * channels, b"\0")
