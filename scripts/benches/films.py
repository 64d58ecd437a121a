"""Long films made in seconds: the packets of a short one that FFmpeg encodes, again and again.

Their sample tables have true counts and their frames are evenly spaced; only the pictures come again.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.stream import Stream

RATE = 24
MINUTE = 60 * RATE
_LOOP_S = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """How a film is encoded, and of which suffix it is."""

    source: str
    video: tuple[str, ...]
    sound: str
    suffix: str = ".mov"


INTRA = Kind("testsrc2=s=64x36", ("prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le"), "pcm_s16le")
LONG_GOP = Kind("testsrc2=s=64x36", ("libx264", "-g", "24", "-bf", "3", "-pix_fmt", "yuv420p"), "aac", ".mp4")
LARGE = Kind(  # 140 KiB a frame
    "testsrc2=s=1024x576,noise=alls=10:allf=t", ("prores_ks", "-profile:v", "1", "-pix_fmt", "yuv422p10le"), "pcm_s16le"
)


@dataclass(frozen=True, slots=True)
class _Packet:
    data: bytes
    pts: int
    dts: int
    key: bool


def make_film(path: Path, kind: Kind, frames: int, *, timecode: str = "01:00:00:00", reel: str = "A001") -> Path:
    """A film of so many frames with sound, time code and reel; `path` has the kind's suffix."""
    short, long = (path.with_name(f".{word}-{path.name}") for word in ("short", "long"))
    _encode(short, kind)
    _repeat(short, long, frames)
    labels = ["-timecode", timecode, "-metadata:s:v", f"reel_name={reel}"]
    ffmpeg("-i", long, "-map", "0", "-c", "copy", *labels, path)
    short.unlink()
    long.unlink()
    return path


def ffmpeg(*arguments: str | Path) -> None:
    """Runs it."""
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments], check=True)


def _encode(path: Path, kind: Kind) -> None:
    sources = [f"{kind.source},fps={RATE}", "sine=r=48000"]
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    ffmpeg(*inputs, "-c:v", *kind.video, "-c:a", kind.sound, "-t", str(_LOOP_S), path)


def _repeat(short: Path, long: Path, frames: int) -> None:
    with av.open(str(short)) as source, av.open(str(long), "w") as target:
        pictures, sounds = source.streams.video[0], source.streams.audio[0]
        video, audio = target.add_stream_from_template(pictures), target.add_stream_from_template(sounds)
        own: dict[int, list[_Packet]] = {pictures.index: [], sounds.index: []}
        for packet in source.demux(pictures, sounds):
            if packet.pts is not None and packet.dts is not None:
                own[packet.stream.index].append(_Packet(bytes(packet), packet.pts, packet.dts, packet.is_keyframe))
        picture_base, sound_base = pictures.time_base or Fraction(1), sounds.time_base or Fraction(1)
        heard = _in_a_row(own[sounds.index])
        ends = next(heard)
        for number, shown in enumerate(_again(own[pictures.index], int(_LOOP_S / picture_base))):
            if number == frames:
                break
            target.mux_one(_made(shown, video, picture_base))
            while ends.dts * sound_base < Fraction(number + 1, RATE):
                target.mux_one(_made(ends, audio, sound_base))
                ends = next(heard)


def _again(packets: list[_Packet], length: int) -> Iterator[_Packet]:
    """Packets of a film of that length without end."""
    later = 0
    while True:
        for each in packets:
            yield _Packet(each.data, each.pts + later, each.dts + later, each.key)
        later += length


def _in_a_row(packets: list[_Packet]) -> Iterator[_Packet]:
    """Packets of sound, which all are as long as the first, one after another without end."""
    length = packets[1].dts - packets[0].dts
    whole = [each for each, after in pairwise(packets) if after.dts - each.dts == length]
    time = whole[0].dts
    while True:
        for each in whole:
            yield _Packet(each.data, time, time, key=True)
            time += length


def _made(packet: _Packet, stream: Stream, base: Fraction) -> "av.Packet[Stream]":
    made = av.Packet(packet.data)
    made.stream, made.time_base = stream, base
    made.pts, made.dts, made.is_keyframe = packet.pts, packet.dts, packet.key
    return made
