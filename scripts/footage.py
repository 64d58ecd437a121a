"""Real test movies, made in seconds: ProRes 422 and H.264 with timecode, reel and sound.

Every picture differs from every other and carries its own number in a strip of black and white squares, so that
`read_picture_number` can tell which picture a player really got. Encoding is by FFmpeg's libraries through PyAV.

    python scripts/footage.py DIR     makes one movie of each kind in DIR
"""

from __future__ import annotations

import argparse
import math
import os
import struct
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.video.plane import VideoPlane

SOUND_RATE = 48_000
TONE_HZ = 440
NUMBER_BITS = 16
BAR_COUNT = 8


@dataclass(frozen=True, slots=True)
class Codec:
    """How one kind of movie is encoded; `bits` is the depth of a sample in `pixel_format`."""

    video: str
    pixel_format: str
    bits: int
    audio: str
    options: dict[str, str] = field(default_factory=dict)


PRORES_422 = Codec(video="prores", pixel_format="yuv422p10le", bits=10, audio="pcm_s16le")
H264 = Codec(
    video="libx264",
    pixel_format="yuv420p",
    bits=8,
    audio="aac",
    options={"preset": "ultrafast", "crf": "23", "g": "12"},
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a movie says of itself when it is opened."""

    video: str
    audio: str | None
    frames: int
    timecode: str | None
    reel: str | None


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Where one compressed picture lies in its file."""

    offset: int
    length: int


def make_prores(
    path: str,
    frames: int = 48,
    size: tuple[int, int] = (1280, 720),
    rate: Fraction = Fraction(24),
    timecode: str = "01:00:00:00",
    reel: str = "A001",
) -> None:
    """ProRes 422, 10 bit, with 16-bit PCM: every picture stands alone."""
    _make(path, PRORES_422, frames, size, rate, timecode, reel)


def make_h264(
    path: str,
    frames: int = 48,
    size: tuple[int, int] = (1280, 720),
    rate: Fraction = Fraction(24),
    timecode: str = "01:00:00:00",
    reel: str = "A001",
) -> None:
    """H.264 with AAC, as .mov or .mp4 by the name's ending; MP4 has no place for the reel."""
    _make(path, H264, frames, size, rate, timecode, reel)


def read_facts(path: str) -> Facts:
    with av.open(path) as movie:
        video = movie.streams.video[0]
        tracks = [stream.metadata for stream in movie.streams]
        return Facts(
            video=video.codec_context.name,
            audio=movie.streams.audio[0].codec_context.name if movie.streams.audio else None,
            frames=video.frames,
            timecode=next((track["timecode"] for track in tracks if "timecode" in track), None),
            reel=next((track["reel_name"] for track in tracks if "reel_name" in track), None),
        )


def read_picture_number(frame: av.VideoFrame) -> int:
    """The number burnt into a picture that this module made."""
    luma = frame.reformat(format="gray").planes[0]
    row = bytes(luma)[luma.line_size * (luma.height - _strip_height(luma.height) // 2) :]
    square = luma.width // NUMBER_BITS
    number = 0
    for bit in range(NUMBER_BITS):
        number = number * 2 + (row[bit * square + square // 2] > 127)
    return number


def picture_ranges(path: str) -> list[ByteRange]:
    """Where each picture of the first video track lies, in stored order."""
    with av.open(path) as movie:
        return [
            ByteRange(packet.pos, packet.size)
            for packet in movie.demux(video=0)
            if packet.pos is not None and packet.size > 0
        ]


def _make(
    path: str, codec: Codec, frames: int, size: tuple[int, int], rate: Fraction, timecode: str, reel: str
) -> None:
    if not 0 < frames <= 2**NUMBER_BITS:
        raise ValueError(f"a movie here has 1 to {2**NUMBER_BITS} pictures, not {frames}")
    with av.open(path, "w") as movie:
        video = movie.add_stream(codec.video, rate=rate, options=dict(codec.options))
        assert isinstance(video, av.VideoStream)
        video.width, video.height = size
        video.pix_fmt = codec.pixel_format
        # FFmpeg makes the tmcd track, and its reel, from these two of the video track.
        video.metadata["timecode"] = timecode
        video.metadata["reel_name"] = reel
        audio = movie.add_stream(codec.audio, rate=SOUND_RATE)
        assert isinstance(audio, av.AudioStream)
        audio.layout = "stereo"

        tone = _one_second_of_tone()
        for number in range(frames):
            movie.mux(video.encode(_picture(number, size, rate, codec)))
            movie.mux(audio.encode(_sound(number, rate, tone)))
        movie.mux(video.encode(None))
        movie.mux(audio.encode(None))


def _picture(number: int, size: tuple[int, int], rate: Fraction, codec: Codec) -> av.VideoFrame:
    """Grey bars that move a little each picture, over the strip that spells `number`."""
    frame = av.VideoFrame(*size, codec.pixel_format)
    frame.pts, frame.time_base = number, 1 / rate
    luma, *chroma = frame.planes
    strip = _strip_height(luma.height)
    _fill(luma, [(_bars(number, luma.width), luma.height - strip), (_squares(number, luma.width), strip)], codec.bits)
    for plane in chroma:
        _fill(plane, [([128] * plane.width, plane.height)], codec.bits)
    return frame


def _bars(number: int, width: int) -> list[int]:
    bar = max(1, width // BAR_COUNT)
    return [40 + 20 * ((x + 4 * number) // bar % BAR_COUNT) for x in range(width)]


def _squares(number: int, width: int) -> list[int]:
    square = width // NUMBER_BITS
    bits = [number >> (NUMBER_BITS - 1 - place) & 1 for place in range(NUMBER_BITS)]
    return [235 if bits[min(x // square, NUMBER_BITS - 1)] else 16 for x in range(width)]


def _strip_height(height: int) -> int:
    return max(16, height // 10)


def _fill(plane: VideoPlane, bands: list[tuple[list[int], int]], bits: int) -> None:
    """Writes bands of equal rows from the top down, 8-bit values scaled to the plane's depth."""
    rows = []
    for values, height in bands:
        row = bytes(values) if bits == 8 else struct.pack(f"<{len(values)}H", *(v << (bits - 8) for v in values))
        rows.append(row.ljust(plane.line_size, b"\0") * height)
    plane.update(b"".join(rows))


def _one_second_of_tone() -> bytes:
    """A whole number of waves, so that the second can be repeated without a click; interleaved stereo."""
    waves = (round(8000 * math.sin(2 * math.pi * TONE_HZ * n / SOUND_RATE)) for n in range(SOUND_RATE))
    return b"".join(struct.pack("<hh", wave, wave) for wave in waves)


def _sound(number: int, rate: Fraction, tone: bytes) -> av.AudioFrame:
    """The sound under one picture: rates such as 30000/1001 take turns at 1601 and 1602 samples."""
    start, end = (math.floor(n * SOUND_RATE / rate) for n in (number, number + 1))
    frame = av.AudioFrame(format="s16", layout="stereo", samples=end - start)
    frame.sample_rate = SOUND_RATE
    frame.pts, frame.time_base = start, Fraction(1, SOUND_RATE)
    first = start % SOUND_RATE * 4
    span = (tone + tone)[first : first + (end - start) * 4]
    frame.planes[0].update(span.ljust(frame.planes[0].buffer_size, b"\0"))
    return frame


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes small test movies with timecode, reel and sound.")
    parser.add_argument("directory", metavar="DIR")
    directory = parser.parse_args().directory
    os.makedirs(directory, exist_ok=True)
    for make, name in [(make_prores, "A001C001.mov"), (make_h264, "A001C002.mov"), (make_h264, "A001C003.mp4")]:
        path = os.path.join(directory, name)
        make(path)
        print(path, read_facts(path))


if __name__ == "__main__":
    main()
