"""Small films, made with PyAV for a test, and what is decoded of them."""

import hashlib
import math
from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

WIDTH, HEIGHT, SOUND_RATE = 256, 144, 48_000


@dataclass(frozen=True)
class Film:
    """What a film shall be: codecs by their names in FFmpeg, frames at a rate, a time code to begin with."""

    video: str = "prores_ks"
    pixels: str = "yuv422p10le"
    rate: Fraction = Fraction(24)
    frames: int = 48
    sound: str | None = "pcm_s24le"
    sounds: int = 1
    timecode: str | None = "01:00:00:00"
    video_options: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    format: str | None = None  # of the container, where the name does not say it
    size: tuple[int, int] = (WIDTH, HEIGHT)
    layout: str = "mono"
    metadata: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Makes it; the name says which container."""
        with av.open(str(path), "w", self.format, options=self.options) as container:
            container.metadata.update(self.metadata)
            picture = container.add_stream(self.video, rate=self.rate, options=self.video_options)
            picture.width, picture.height, picture.pix_fmt = *self.size, self.pixels
            picture.time_base = 1 / self.rate
            if self.timecode is not None:
                picture.metadata["timecode"] = self.timecode
            sounds = []
            for _ in range(self.sounds if self.sound else 0):
                # Noise that a decoder makes up differs with where it began.
                options = {"aac_pns": "0"} if self.sound == "aac" else {}
                sound = container.add_stream(self.sound, rate=SOUND_RATE, layout=self.layout, options=options)
                sounds.append(sound)
            heard = 0
            for number in range(self.frames):
                for packet in picture.encode(_frame(number, self.pixels, self.size)):
                    container.mux(packet)
                upto = round((number + 1) * SOUND_RATE / self.rate)
                for position, sound in enumerate(sounds):
                    for packet in sound.encode(_noise(sound, heard, upto, position)):
                        container.mux(packet)
                heard = upto
            for stream in (picture, *sounds):
                for packet in stream.encode(None):
                    container.mux(packet)
        return path


def _frame(number: int, pixels: str, size: tuple[int, int]) -> "av.VideoFrame":
    """A picture unlike every other: stripes that its number moves."""
    frame = av.VideoFrame(*size, pixels)
    deep = "10" in pixels
    for index, plane in enumerate(frame.planes):
        row = bytes((number * 5 + column * 3 + index * 40) % 200 + 20 for column in range(plane.width))
        if deep:
            row = b"".join((value * 4).to_bytes(2, "little") for value in row)
        row = row.ljust(plane.line_size, b"\0")
        rolled = [
            row[at:] + row[:at]
            for at in ((number * 7 + line) % 11 * (2 if deep else 1) for line in range(plane.height))
        ]
        plane.update(b"".join(rolled))
    frame.pts = number
    return frame


def _noise(stream: "av.AudioStream", start: int, end: int, position: int) -> "av.AudioFrame":
    name, layout = stream.codec_context.format.name, stream.codec_context.layout.name
    tone = [math.sin((n * (0.05 + position * 0.01)) + n * n * 1e-6) * 0.4 for n in range(start, end)]
    tone = [value for value in tone for _ in range(stream.codec_context.channels)]
    if name.startswith("flt"):
        data = array("f", tone).tobytes()
    elif name.startswith("s32"):
        data = array("i", [int(value * 0x7FFFFF00) & ~0xFF for value in tone]).tobytes()
    else:
        data = array("h", [int(value * 32000) for value in tone]).tobytes()
    frame = av.AudioFrame(format=name, layout=layout, samples=end - start)
    frame.sample_rate = SOUND_RATE
    frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
    frame.pts, frame.time_base = start, Fraction(1, SOUND_RATE)
    return frame


def pictures(path: Path) -> list[str]:
    """A hash of each decoded picture."""
    with av.open(str(path)) as container:
        return [_hash(frame) for frame in container.decode(video=0)]


def _hash(frame: "av.VideoFrame") -> str:
    digest = hashlib.blake2b(digest_size=16)
    for plane in frame.planes:
        data, width = memoryview(plane), plane.width * (2 if "10" in frame.format.name else 1)
        for row in range(plane.height):  # what pads a row is not the picture's
            digest.update(data[row * plane.line_size : row * plane.line_size + width])
    return digest.hexdigest()


def samples(path: Path, track: int = 0) -> bytes:
    """The decoded sound of a track, interleaved, as its decoder gives it."""
    with av.open(str(path)) as container:
        return b"".join(_sound(frame) for frame in container.decode(audio=track))


def _sound(frame: "av.AudioFrame") -> bytes:
    width = frame.format.bytes * (1 if frame.format.is_planar else len(frame.layout.channels))
    return bytes(frame.planes[0])[: frame.samples * width]


def timecode(path: Path) -> str | None:
    """The time code that FFmpeg reads in a file."""
    with av.open(str(path)) as container:
        said = [container.metadata, *(stream.metadata for stream in container.streams)]
        return next((metadata["timecode"] for metadata in said if "timecode" in metadata), None)


def sound_under_picture(path: Path, track: int = 0) -> bytes:
    """The decoded sound from the first picture on, each packet where its time says."""
    with av.open(str(path)) as container:
        begins = next(frame for frame in container.decode(video=0)).time
    placed = bytearray()
    with av.open(str(path)) as container:
        for frame in container.decode(audio=track):
            data = _sound(frame)
            at = round((frame.time - begins) * SOUND_RATE) * (len(data) // frame.samples)
            if at < 0:
                data, at = data[-at:], 0
            placed[len(placed) :] = bytes(max(0, at - len(placed)))
            placed[at : at + len(data)] = data
    return bytes(placed)
