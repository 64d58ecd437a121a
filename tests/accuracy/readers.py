"""Programs of others that read films and clips. A clip is compared with its film in the same one."""

import hashlib
import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av

from filmfs.core.ranges import Counting, FrameRange

PATIENCE_S = 120.0
PACKET = 1023
"""Samples that a decoder of packets may give after the end."""


class Differs(AssertionError):
    """A clip is not its range of the film."""


class Unreadable(Exception):
    """A reader cannot read a file."""


class Hangs(Unreadable):
    """A reader does not come to an end."""


@dataclass(frozen=True, slots=True)
class Sound:
    """The samples of a track, or of one of its channels, from the first picture on."""

    data: bytes
    width: int
    rate: int
    exact: bool  # PCM; packets otherwise

    def part(self, frames: FrameRange, rate: Fraction) -> bytes:
        """Those of a range."""
        begins, ends = (round(frame * self.rate / rate) * self.width for frame in (frames.first, frames.end))
        return self.data[begins:ends]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader says of a file; None of what it does not tell."""

    pictures: list[str] | None = None
    sounds: list[Sound] | None = None
    timecode: str | None = None
    frames: int | None = None
    seconds: list[Fraction] | None = None  # of each track

    def must_be(self, frames: FrameRange, of: "Reading", counting: Counting) -> None:
        """Raises Differs where this is not that range of the film."""
        if self.pictures is not None:
            assert of.pictures is not None
            _same_pictures(self.pictures, of.pictures[frames.first : frames.end])
        if self.sounds is not None:
            assert of.sounds is not None
            parts = [part for part in (sound.part(frames, counting.rate) for sound in of.sounds) if part]
            if len(self.sounds) != len(parts):  # where the film's sound ended before, its clip has no track
                raise Differs(f"{len(self.sounds)} sounds for {len(parts)}")
            for number, (own, part) in enumerate(zip(self.sounds, parts, strict=True), 1):
                _same_sound(number, own, part)
        label = str(counting.label(counting.start + frames.first))
        if self.timecode is not None and self.timecode != label:
            raise Differs(f"time code {self.timecode} for {label}")
        if self.frames is not None and self.frames != frames.count:
            raise Differs(f"{self.frames} frames for {frames.count}")
        for seconds in self.seconds or ():
            if abs(seconds - frames.count / counting.rate) > Fraction(1, 1000):
                raise Differs(f"{float(seconds):.3f} s for {float(frames.count / counting.rate):.3f} s")


def _same_pictures(own: list[str], wanted: list[str]) -> None:
    if own == wanted:
        return
    wrong = [at for at, pair in enumerate(zip(own, wanted, strict=False)) if pair[0] != pair[1]]
    places = f", first at {wrong[0]}" if wrong else ""
    raise Differs(f"{len(own)} pictures for {len(wanted)}, {len(wrong)} of them others{places}")


def _same_sound(number: int, own: Sound, wanted: bytes) -> None:
    if own.exact and own.data == wanted:
        return
    after = len(own.data) - len(wanted)
    if not own.exact and own.data.startswith(wanted) and after <= PACKET * own.width:
        return
    same = next((at for at, pair in enumerate(zip(own.data, wanted, strict=False)) if pair[0] != pair[1]), None)
    where = "only the length" if same is None else f"from sample {same // own.width} on"
    raise Differs(
        f"sound {number} differs: {len(own.data) // own.width} samples for {len(wanted) // own.width}, {where}"
    )


class Reader(Protocol):
    """A way to read films."""

    name: str
    compares: str
    needs: tuple[str, ...]

    def version(self) -> str: ...

    def read(self, path: Path) -> Reading: ...


class PyAV:
    """FFmpeg's newer libraries, in this process."""

    name, needs = "PyAV", ()
    compares = "pictures, samples, time code"

    def version(self) -> str:
        major, minor, _ = av.library_versions["libavcodec"]
        return f"{av.__version__} (libavcodec {major}.{minor})"

    def read(self, path: Path) -> Reading:
        try:
            with av.open(str(path)) as container:
                said = [container.metadata, *(stream.metadata for stream in container.streams)]
                timecode = next((metadata["timecode"] for metadata in said if "timecode" in metadata), None)
                tracks = len(container.streams.audio)
                pictures, begins = [], None
                for frame in container.decode(video=0) if container.streams.video else ():
                    begins = frame.time if begins is None else begins
                    pictures.append(_picture(frame))
            sounds = [sound for track in range(tracks) for sound in _sounds(path, track, begins or 0.0)]
        except av.FFmpegError as error:
            raise Unreadable(str(error)) from error
        return Reading(pictures if begins is not None else None, sounds, timecode)


def _picture(frame: "av.VideoFrame") -> str:
    digest = hashlib.blake2b(digest_size=16)
    for number, plane in enumerate(frame.planes):
        # What pads a row is not the picture's.
        deep = max(part.bits for part in frame.format.components) > 8
        packed = 2 if frame.format.name in ("uyvy422", "yuyv422") else 1
        width = plane.width * (2 if deep else 1) * (packed if number == 0 else 1)
        if width == plane.line_size:
            digest.update(plane)
            continue
        data = memoryview(plane)
        for row in range(plane.height):
            digest.update(data[row * plane.line_size : row * plane.line_size + width])
    return digest.hexdigest()


def _sounds(path: Path, track: int, begins: float) -> list[Sound]:
    """The channels of a track: PCM as it follows, packets where their times say."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        exact, rate = stream.codec_context.name.startswith("pcm_"), stream.codec_context.sample_rate
        planes: list[bytearray] = []
        width = 0
        for frame in container.decode(audio=track):
            width = frame.format.bytes * (1 if frame.format.is_planar else len(frame.layout.channels))
            planes = planes or [bytearray() for _ in frame.planes]
            for placed, plane in zip(planes, frame.planes, strict=True):
                data = memoryview(plane)[: frame.samples * width]
                at = len(placed) if exact else round((frame.time - begins) * rate) * width
                if at < 0:
                    data, at = data[-at:], 0
                placed[len(placed) :] = bytes(max(0, at - len(placed)))
                placed[at : at + len(data)] = data
    return [Sound(bytes(placed), width, rate, exact) for placed in planes]


class FFmpeg:
    """The programs ffmpeg and ffprobe."""

    name, needs = "FFmpeg", ("ffmpeg", "ffprobe")
    compares = "pictures, samples, time code"

    def version(self) -> str:
        return _run(["ffmpeg", "-version"]).split()[2]

    def read(self, path: Path) -> Reading:
        entries = (
            "stream=codec_type,codec_name,channels,sample_rate,start_time:stream_tags=timecode:format_tags=timecode"
        )
        said = _probed(path, entries)
        tags = [said.get("format", {}).get("tags", {}), *(stream.get("tags", {}) for stream in said["streams"])]
        timecode = next((each["timecode"] for each in tags if "timecode" in each), None)
        video = [stream for stream in said["streams"] if stream["codec_type"] == "video"]
        audio = [stream for stream in said["streams"] if stream["codec_type"] == "audio"]
        with tempfile.TemporaryDirectory() as directory:
            command: list[Any] = ["ffmpeg", "-v", "fatal", "-nostdin", "-i", path]
            if video:
                command += ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", f"{directory}/v"]
            for track, stream in enumerate(audio):
                kind = "s32le" if _is_pcm(stream) else "f32le"
                command += ["-map", f"0:a:{track}", "-c:a", f"pcm_{kind}", "-f", kind, f"{directory}/{track}"]
            _run(command)
            pictures = _md5s(Path(directory, "v").read_text()) if video else None
            begins = Fraction(video[0].get("start_time", 0)) if video else Fraction(0)
            sounds = [
                _heard(Path(directory, str(track)).read_bytes(), stream, _times(path, track, stream, begins))
                for track, stream in enumerate(audio)
            ]
        return Reading(pictures, sounds, timecode)


def _md5s(said: str) -> list[str]:
    return [line.rpartition(",")[2].strip() for line in said.splitlines() if not line.startswith("#")]


def _probed(path: Path, entries: str, *more: str) -> Any:
    return json.loads(_run(["ffprobe", "-v", "error", *more, "-show_entries", entries, "-of", "json", path]))


def _times(path: Path, track: int, stream: dict[str, Any], begins: Fraction) -> list[tuple[int, int]]:
    """At which sample each packet begins, and how many it has; none of PCM, which follows itself."""
    if _is_pcm(stream):
        return []
    rate = int(stream["sample_rate"])
    frames = _probed(path, "frame=pts_time,nb_samples", "-select_streams", f"a:{track}")["frames"]
    return [(round((Fraction(frame["pts_time"]) - begins) * rate), frame["nb_samples"]) for frame in frames]


def _heard(data: bytes, stream: dict[str, Any], times: list[tuple[int, int]]) -> Sound:
    """The samples at their times; FFmpeg's program gives them one after the other."""
    width, placed, given = 4 * stream["channels"], bytearray(), 0
    for at, count in times:
        part = data[given * width : (given + count) * width][max(0, -at) * width :]
        start = max(0, at) * width
        placed[len(placed) :] = bytes(max(0, start - len(placed)))
        placed[start : start + len(part)] = part
        given += count
    return Sound(bytes(placed) if times else data, width, int(stream["sample_rate"]), _is_pcm(stream))


def _is_pcm(stream: dict[str, Any]) -> bool:
    return bool(stream["codec_name"].startswith("pcm_"))


class MediaInfo:
    """The program mediainfo, which decodes nothing."""

    name, needs = "MediaInfo", ("mediainfo",)
    compares = "number of frames, duration of each track to the millisecond, time code"

    def version(self) -> str:
        return _run(["mediainfo", "--Version"]).split("v")[-1].strip()

    def read(self, path: Path) -> Reading:
        tracks = json.loads(_run(["mediainfo", "--Output=JSON", path]))["media"]["track"]
        video = next((track for track in tracks if track["@type"] == "Video"), None)
        labels = (track.get("TimeCode_FirstFrame") for track in tracks if track["@type"] == "Other")
        heard = [track for track in tracks if track["@type"] == "Audio" and track["Format"] == "PCM"]
        seconds = [Fraction(track["Duration"]) for track in (video, *heard) if track and "Duration" in track]
        frames = int(video["FrameCount"]) if video else None
        return Reading(None, None, next((label for label in labels if label), None), frames, seconds)


class GStreamer:
    """gst-launch-1.0 with the decoders that it picks itself, without converting colours."""

    name, needs = "GStreamer", ("gst-launch-1.0",)
    compares = "pictures"

    def version(self) -> str:
        return _run(["gst-launch-1.0", "--version"]).split()[2]

    def read(self, path: Path) -> Reading:
        # decodebin 1.22 stands still now and then (in a third of the runs, of some films) where nobody takes the sound.
        with av.open(str(path)) as container:
            heard = len(container.streams.audio) * [
                "d.",
                "!",
                "audio/x-raw",
                "!",
                "fakesink",
                "async=false",
                "sync=false",
            ]
        shown = ["filesrc", f"location={path}", "!", *["decodebin", "name=d", "!", "video/x-raw", "!", "checksumsink"]]
        for patience_s in (4, 4, 8, 8):
            try:
                said = _run(["gst-launch-1.0", "-q", *shown, *heard], patience_s)
                break
            except Hangs as error:
                hangs = error
        else:
            raise hangs
        return Reading(re.findall(r"^\d+:\d\d:\d\d\.\d{9} ([0-9a-f]{40})$", said, re.MULTILINE))


READERS: tuple[Reader, ...] = (PyAV(), FFmpeg(), GStreamer(), MediaInfo())


def _run(command: Sequence[object], patience_s: float = PATIENCE_S) -> str:
    try:
        done = subprocess.run(
            [*map(str, command)],
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Hangs(f"{command[0]} did not end within {patience_s:.0f} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Unreadable(f"{command[0]}: {lines[0] if lines else done.returncode}")
    return done.stdout
