"""Films whose pictures show their own numbers, and what is seen and heard in a file.

A picture has eight columns; each is white over black for a one and black over white for a zero. That is still to be
read at an eighth of the size, after any codec, and whatever is done to levels.
"""

import math
import random
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av

from filmfs.media.quicktime import open_quicktime
from filmfs.store.containers import FileBytes

BITS = 8


@dataclass(frozen=True)
class Track:
    """A sound track: samples from `first` on."""

    codec: str = "pcm_s24le"
    layout: str = "mono"
    rate: int = 48_000
    first: int = 0
    samples: int | None = None  # None: as long as the picture


@dataclass(frozen=True)
class Numbered:
    """What a film shall be. `times` are those of its pictures, in `unit`; None: evenly."""

    suffix: str = ".mov"
    codec: str = "prores_aw"
    pixels: str = "yuv422p10le"
    rate: Fraction = Fraction(24)
    frames: int = 50
    size: tuple[int, int] = (640, 360)
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    tracks: tuple[Track, ...] = (Track(),)
    timecode: str | None = "01:00:00:00"
    reel: str | None = None
    shape: Fraction | None = None
    turned: int = 0
    times: tuple[int, ...] | None = None
    unit: Fraction | None = None
    colours: tuple[int, int, int] | None = None
    is_full: bool = False
    group: int = 12
    alpha: int | None = None
    fields: bool = False  # the second field shows the opposite
    first: int = 0  # the number of the first picture

    def write(self, path: Path) -> Path:
        """Makes it, under the name with its suffix."""
        path = path.with_suffix(self.suffix)
        unit = self.unit or 1 / self.rate
        times = self.times or tuple(range(self.frames))
        with av.open(str(path), "w", options=self.container) as container:
            stream = container.add_stream(self.codec, rate=self.rate, options=self.options)
            context = stream.codec_context
            stream.width, stream.height, stream.pix_fmt = *self.size, self.pixels
            context.time_base, context.gop_size = unit, self.group
            if self.shape is not None:
                context.sample_aspect_ratio = self.shape
            if self.colours is not None:
                context.color_primaries, context.color_trc, context.colorspace = self.colours
            context.color_range = 2 if self.is_full else 1
            if self.turned:
                stream.set_display_rotation(self.turned)
            if self.timecode is not None:
                stream.metadata["timecode"] = self.timecode
            if self.reel is not None:
                stream.metadata["reel_name"] = self.reel
            sounds = [_add_sound(container, track) for track in self.tracks]
            length = (times[-1] - times[0]) * unit + 1 / self.rate
            for number, time in enumerate(times):
                frame = self.picture(self.first + number)
                frame.pts, frame.time_base = time, unit
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
            for number, (track, sound) in enumerate(zip(self.tracks, sounds, strict=True)):
                count = round(length * track.rate) if track.samples is None else track.samples
                for heard in _noise(sound, track, count, seed=number):
                    container.mux(sound.encode(heard))
                container.mux(sound.encode(None))
        return path

    def picture(self, number: int) -> "av.VideoFrame":
        """A picture that shows a number."""
        data = self._rows(number)
        frame = av.VideoFrame(*self.size, "rgba" if self.alpha is not None else "gray")
        if self.alpha is not None:
            data = b"".join(bytes((value, value, value, self.alpha)) for value in data)
        frame.planes[0].update(_padded(data, frame.planes[0]))
        return frame.reformat(format=self.pixels, src_color_range=2, dst_color_range=2 if self.is_full else 1)

    def still(self, number: int, path: Path) -> None:
        """A picture that shows a number, as a file of its own (DPX)."""
        with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
            stream = container.add_stream("dpx", rate=24)
            stream.width, stream.height, stream.pix_fmt = *self.size, "rgb24"
            frame = self.picture(number).reformat(format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 24)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def _rows(self, number: int) -> bytes:
        width, height = self.size
        tops = [235 if number >> bit & 1 else 20 for bit in range(BITS)]
        upper = bytes(tops[column * BITS // width] for column in range(width))
        lower = bytes(255 - value for value in upper)
        rows = [upper] * (height // 2) + [lower] * (height - height // 2)
        if self.fields:
            rows = [row if line % 2 == 0 else bytes(255 - value for value in row) for line, row in enumerate(rows)]
        return b"".join(rows)


def _padded(data: bytes, plane: "av.video.plane.VideoPlane") -> bytes:
    row = len(data) // plane.height
    if row == plane.line_size:
        return data
    return b"".join(data[at : at + row].ljust(plane.line_size, b"\0") for at in range(0, len(data), row))


def _add_sound(container: "av.container.OutputContainer", track: Track) -> "av.AudioStream":
    # Noise that a decoder makes up differs with where it began.
    options = {"aac_pns": "0"} if track.codec == "aac" else {}
    return container.add_stream(track.codec, rate=track.rate, layout=track.layout, options=options)


@lru_cache
def _tone(count: int, seed: int) -> "array[float]":
    made, value, draw = array("f"), 0.0, random.Random(seed)
    for number in range(count):
        value = 0.7 * value + 0.3 * draw.uniform(-1, 1)
        made.append(0.4 * value + 0.3 * math.sin(number * 0.05 + number * number * 1e-7))
    return made


def _noise(stream: "av.AudioStream", track: Track, count: int, seed: int) -> "list[av.AudioFrame]":
    channels = stream.codec_context.layout.nb_channels
    tones = [_tone(count, seed * 16 + channel) for channel in range(channels)]
    packed = array("f", bytes(4 * count * channels))
    for channel, tone in enumerate(tones):
        packed[channel::channels] = tone
    form = av.AudioResampler(format=stream.codec_context.format.name, layout=track.layout, rate=track.rate)
    frame = av.AudioFrame(format="flt", layout=track.layout, samples=count)
    frame.planes[0].update(packed.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = track.rate, track.first, Fraction(1, track.rate)
    return form.resample(frame)


@dataclass(frozen=True)
class Seen:
    """What a file shows and sounds like: numbers of pictures and their times (s), sound tracks by their samples."""

    numbers: tuple[int, ...]
    times: tuple[Fraction, ...]
    rate: Fraction | None
    size: tuple[int, int]
    shape: Fraction | None
    turned: int
    colours: tuple[int, int, int]
    tracks: "tuple[Sounding, ...]"
    timecode: str | None
    reel: str | None


@dataclass(frozen=True)
class Sounding:
    """A decoded track: channels as floats, and the time of the first sample."""

    rate: int
    channels: int
    begins: Fraction
    samples: "tuple[array[float], ...]"


def seen(path: Path | str) -> Seen:
    """Decodes all of a file."""
    numbers, times = [], []
    with av.open(str(path)) as container:
        said = [container.metadata, *(stream.metadata for stream in container.streams)]
        timecode = next((each["timecode"] for each in said if "timecode" in each), None)
        reel = next((each["reel_name"] for each in said if "reel_name" in each), None)
        video = container.streams.video[0]
        turned, colours = 0, (0, 0, 0)
        for frame in container.decode(video):
            numbers.append(number_in(frame))
            times.append(frame.pts * Fraction(frame.time_base))
            turned = frame.rotation
            colours = int(frame.color_primaries), int(frame.color_trc), int(frame.colorspace)
        rate, size = video.average_rate, (video.width, video.height)
        shape, count = video.sample_aspect_ratio, len(container.streams.audio)
    tracks = tuple(sounding(path, number) for number in range(count))
    return Seen(tuple(numbers), tuple(times), rate, size, shape, turned, colours, tracks, timecode, reel)


def number_in(frame: "av.VideoFrame") -> int:
    """The number that a picture shows."""
    small = frame.reformat(BITS * 4, 8, "gray", interpolation="AREA")
    rows = bytes(small.planes[0])
    line = small.planes[0].line_size

    def level(row: int, bit: int) -> int:
        return sum(rows[(row + at) * line + bit * 4 + 1 + step] for at in (0, 1) for step in (0, 1))

    return sum((level(1, bit) > level(5, bit)) << bit for bit in range(BITS))


def sounding(path: Path | str, number: int = 0) -> Sounding:
    """Decodes a sound track; what an edit list leaves out at the end is not there."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        layout, rate = stream.layout, stream.sample_rate
        channels = [array("f") for _ in range(layout.nb_channels)]
        begins = None
        form = av.AudioResampler(format="fltp", layout=layout.name, rate=rate)
        for frame in container.decode(stream):
            if begins is None:
                begins = frame.pts * Fraction(frame.time_base)
            for made in form.resample(frame):
                for channel, plane in zip(channels, made.planes, strict=True):
                    channel.frombytes(bytes(plane)[: made.samples * 4])
    return Sounding(rate, layout.nb_channels, begins or Fraction(0), tuple(channels))


def declared(path: Path | str, number: int = 0) -> int:
    """How many samples the edit list of a QuickTime or MP4 file says that a sound track has."""
    with open(path, "rb") as file:
        edit = open_quicktime(FileBytes(file)).movie.sounds[number].edit
    return edit.end - edit.start


def lag(one: "array[float]", other: "array[float]", most: int = 40, at: int = 20_000, count: int = 600) -> int:
    """By how many samples `other` is later than `one`: where they are most alike."""
    piece = one[at : at + count]

    def likeness(shift: int) -> float:
        moved = other[at + shift : at + shift + count]
        return sum(a * b for a, b in zip(piece, moved, strict=False)) / (math.sqrt(sum(b * b for b in moved)) or 1)

    coarse = [*range(-most, most + 1), *(1024 * n + d for n in (-2, -1, 1, 2) for d in (-1, 0, 1))]
    return max(coarse, key=likeness)
