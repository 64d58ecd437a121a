"""The films of the exactness table: what films.toml says, and the files that are made of it.

A film is made so that a boundary of time code lies in its middle: 01:00:00 of the film as such, and others of its
variants. Films without a time code track have the label in their name, where filmfs reads it.
"""

import os
import re
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from filmfs.core.smpte import Label, frames_per_day, label_of
from tests.footage import Film

DATA = Path(__file__).with_name("films.toml")
TOOLS = {"ffmpeg": ["ffmpeg"], "gstreamer": ["gst-launch-1.0"], "mlt": ["melt"]}
MUXERS = {"pyav": "PyAV", "ffmpeg": "FFmpeg", "gstreamer": "GStreamer", "mlt": "MLT", "file": "", "sparse": "PyAV"}
BOUNDARIES = {
    "across a ten-minute boundary": Label(1, 0, 0, 0),
    "across a minute boundary": Label(0, 1, 0, 0),
    "across midnight": Label(0, 0, 0, 0),
}
BASE = "across a ten-minute boundary"


@dataclass(frozen=True, slots=True)
class Known:
    """What a reader cannot do with a film or its clips, and why: it is tried, and must fail."""

    reader: str
    why: str
    clips: tuple[str, ...] = ()  # suffixes; none says all
    ranges: tuple[str, ...] = ()

    def covers(self, reader: str, suffix: str, asked: str) -> bool:
        """Whether this is about such a comparison."""
        return (
            self.reader == reader
            and (not self.clips or suffix in self.clips)
            and (not self.ranges or asked in self.ranges)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A film of the table. The keys are told in films.toml."""

    name: str
    file: str
    muxer: str
    rate: Fraction = Fraction(25)
    frames: int = 75
    drop: bool = False
    timecode: str = "track"
    clips: tuple[str, ...] = ()
    make: dict[str, Any] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    path: str = ""
    ranges: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    known: tuple[Known, ...] = ()
    replace: tuple[tuple[str, str], ...] = ()
    heavy: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The containers that it is cut to."""
        return self.clips or (Path(self.file).suffix,)

    @property
    def needs(self) -> tuple[str, ...]:
        """Programs that it takes to make it."""
        return tuple(TOOLS.get(self.muxer, ()))

    @property
    def made_by(self) -> str:
        """Who wrote the file."""
        return MUXERS[self.muxer] or "as it came"

    def start(self, boundary: str) -> int:
        """The number of its first frame, where that boundary shall lie in its middle."""
        label = BOUNDARIES[boundary]
        if self.drop and label.minutes % 10:
            label = Label(label.hours, label.minutes, label.seconds, round(self.rate) // 15)
        number = label.number(self.rate, drop=self.drop) - self.frames // 2
        return number % frames_per_day(self.rate, drop=self.drop)

    def why_not(self, reader: str, suffix: str, asked: str) -> str | None:
        """Why a reader cannot show such a clip; None where it must."""
        return next((known.why for known in self.known if known.covers(reader, suffix, asked)), None)

    def never(self, reader: str, suffix: str) -> bool:
        """Whether a reader shows no clip at all of that kind."""
        return any(known.covers(reader, suffix, "") for known in self.known)

    def write(self, directory: Path, boundary: str, footage: Callable[[], Path]) -> Path:
        """Makes it, or gives what was made."""
        start = self.start(boundary)
        label = label_of(start, self.rate, drop=self.drop)
        stem, suffix = os.path.splitext(self.file)
        stem += f"_{label.text('-')}" if self.timecode == "name" else f"_{start}"
        path = directory / (stem + suffix)
        if not path.exists():
            unfinished = directory / f"unfinished{suffix}"
            self._write(unfinished, str(label), start, footage)
            for before, after in self.replace:
                data, old = unfinished.read_bytes(), bytes.fromhex(before)
                assert old in data, f"{self.name} has no {before}"
                unfinished.write_bytes(data.replace(old, bytes.fromhex(after)))
            unfinished.rename(path)
        return path

    def _write(self, path: Path, label: str, start: int, footage: Callable[[], Path]) -> None:
        path.unlink(missing_ok=True)
        if self.muxer == "file":
            path.symlink_to(footage() / self.path)
        elif self.muxer == "pyav":
            self._film(label if self.timecode == "track" else None).write(path)
        elif self.muxer == "sparse":
            write_sparse(path, self.rate, self.frames, label)
        else:
            words = {"output": path, "timecode": label, "first": start, "frames": self.frames, "last": self.frames - 1}
            words["samples"] = round(start * 48_000 / self.rate)
            command = [_filled(word, words) for word in self.command]
            done = subprocess.run(
                [*TOOLS[self.muxer], *command], capture_output=True, text=True, timeout=200, check=False
            )
            assert done.returncode == 0, done.stderr

    def _film(self, timecode: str | None) -> Film:
        size = tuple(self.make.get("size", (Film.size)))
        make = {**self.make, "size": size, "rate": self.rate, "frames": self.frames, "timecode": timecode}
        return Film(**make)


def _filled(word: str, words: dict[str, object]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(words[found[1]]), word)


@dataclass(frozen=True, slots=True)
class Refused:
    """A film of which no clip is made, or not as that kind of file, and what filmfs says about it."""

    says: str
    suffix: str
    row: Row


@dataclass(frozen=True, slots=True)
class Sequence:
    """Images that are numbered from 1001 on."""

    name: str
    files: str
    command: tuple[str, ...]

    def never(self, reader: str, suffix: str) -> bool:
        """Whether a reader shows no clip at all of that kind."""
        return any(known.covers(reader, suffix, "") for known in self.known)

    def write(self, directory: Path) -> list[Path]:
        """Makes them."""
        command = [_filled(word, {"output": directory / self.files}) for word in self.command]
        done = subprocess.run(["ffmpeg", *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return sorted(directory.iterdir())


@dataclass(frozen=True, slots=True)
class Table:
    """Everything that films.toml says."""

    films: tuple[Row, ...]
    refused: tuple[Refused, ...]
    sequences: tuple[Sequence, ...]


def load() -> Table:
    """films.toml, read. Raises TypeError for keys that do not exist."""
    said = tomllib.loads(DATA.read_text(encoding="utf-8"))
    return Table(
        tuple(map(_row, said["film"])),
        tuple(Refused(each.pop("says"), each.pop("as", ""), _row(each)) for each in said["refused"]),
        tuple(Sequence(**{**each, "command": tuple(each["command"])}) for each in said["sequence"]),
    )


def _row(keys: dict[str, Any]) -> Row:
    lists = ("clips", "command", "ranges", "readers")
    keys |= {key: tuple(keys[key]) for key in lists if key in keys}
    keys["rate"] = Fraction(keys.get("rate", "25"))
    keys["known"] = tuple(
        Known(**{key: tuple(value) if isinstance(value, list) else value for key, value in each.items()})
        for each in keys.get("known", ())
    )
    keys["replace"] = tuple(map(tuple, keys.get("replace", ())))
    return Row(**keys)


class Sparse:
    """A file that takes no room for zeros, for a muxer to write into."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._size = 0

    def write(self, data: bytes) -> int:
        if data.count(0) == len(data):
            self._file.seek(len(data), os.SEEK_CUR)
        else:
            self._file.write(data)
        self._size = max(self._size, self._file.tell())
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence) if whence != os.SEEK_END else self._file.seek(self._size + offset)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.truncate(self._size)
        self._file.close()


def write_sparse(path: Path, rate: Fraction, frames: int, timecode: str) -> None:
    """A film of raw 4:2:2 in 1920×1080 that is nearly all zeros, and whose every picture begins in its own way."""
    file, size = Sparse(path), 1920 * 1080 * 2
    with av.open(file, "w", "mov") as container:
        stream = container.add_stream("rawvideo", rate=rate)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 1920, 1080, "uyvy422", 1 / rate
        stream.metadata["timecode"] = timecode
        for number in range(frames):
            packet = av.Packet(number.to_bytes(4, "little").ljust(size, b"\0"))
            packet.stream, packet.pts, packet.dts, packet.duration = stream, number, number, 1
            packet.time_base, packet.is_keyframe = 1 / rate, True
            container.mux(packet)
    file.close()
