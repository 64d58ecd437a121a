"""Frames of image sequences, as files."""

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from filmfs.core.sequences import find_sequences
from filmfs.media.openexr import read_header
from filmfs.proxy.decoding import Shown, plan_spans
from filmfs.proxy.executors import Executor, InThisProcess
from filmfs.proxy.making import Making, make
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, THUMBNAIL
from filmfs.proxy.sequences import FramesDecoder, examine_frames
from filmfs.proxy.sources import FrameFiles, OnDisk, frame_files
from tests.proxy.numbered import Numbered

AP1 = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
"""Chromaticities of ACEScg (SMPTE ST 2065-1's white)."""


@dataclass(frozen=True)
class Frames:
    """A kind of image; its pictures show their numbers."""

    suffix: str
    codec: str
    pixels: str
    options: dict[str, str] = field(default_factory=dict)
    size: tuple[int, int] = (512, 288)
    alpha: int | None = None

    def write(self, folder: Path, count: int, first: int = 1001) -> None:
        """Frames `first` and on, of which the first one shows 0."""
        folder.mkdir(exist_ok=True)
        for number in range(count):
            self.path(folder, first + number).write_bytes(self.data(number))

    def path(self, folder: Path, number: int) -> Path:
        """The file of a frame."""
        return folder / f"shot.{number:04}{self.suffix}"

    def data(self, number: int) -> bytes:
        """The file of a picture that shows a number."""
        film = Numbered(codec=self.codec, pixels=self.pixels, size=self.size, alpha=self.alpha, is_full=True)
        return encoded(self.codec, film.picture(number), self.options)


def encoded(codec: str, frame: "av.VideoFrame", options: dict[str, str] | None = None) -> bytes:
    """An image as a file."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base, context.framerate, context.options = Fraction(1, 24), Fraction(24), options or {}
    context.color_range = 2
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


def in_folder(folder: Path, rate: Fraction | None = None) -> FrameFiles:
    """The only sequence of a folder."""
    (sequence,) = find_sequences(path.name for path in folder.iterdir())
    return frame_files(sequence, lambda name: OnDisk(str(folder / name)), rate)


def levels(values: list[float], pixels: str = "gbrpf32le", height: int = 32) -> "av.VideoFrame":
    """A picture of floats, each a column of 32 points of one grey."""
    made = av.VideoFrame(32 * len(values), height, pixels)
    row = b"".join(struct.pack("<f", value) * 32 for value in values)
    for plane in made.planes:
        plane.update(row.ljust(plane.line_size, b"\0") * height)
    return made


def exr_with(data: bytes, attributes: bytes = b"", layer: str = "") -> bytes:
    """An EXR file with more in its header, and its channels in a layer."""
    header = read_header(data)
    assert header is not None
    old_end, at = header.end, data.index(b"channels\0chlist\0") + 16
    (size,) = struct.unpack_from("<i", data, at)
    channels = data[at + 4 : at + 4 + size]
    named = b"".join(layer.encode() + channels[start : start + 18] for start in range(0, size - 1, 18)) + b"\0"
    head = data[:at] + struct.pack("<i", len(named)) + named + data[at + 4 + size : old_end - 1] + attributes + b"\0"
    moved, offsets, first = len(head) - old_end, [], len(data)
    while old_end + 8 * len(offsets) < first:
        offsets += struct.unpack_from("<Q", data, old_end + 8 * len(offsets))
        first = min(first, offsets[-1])
    return head + struct.pack(f"<{len(offsets)}Q", *(each + moved for each in offsets)) + data[first:]


def attribute(name: str, kind: str, value: bytes) -> bytes:
    """One for an EXR file's header."""
    return f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value


def dpx_with(data: bytes, *, transfer: int = 2, label: int = 0xFFFFFFFF, rate: float | None = None) -> bytes:
    """A DPX file that says how its numbers are meant, its time code, and its rate."""
    order = ">" if data[:4] == b"SDPX" else "<"
    (begins,) = struct.unpack_from(f"{order}I", data, 4)
    head = bytearray(data[:begins].ljust(2048, b"\xff"))
    struct.pack_into(f"{order}I", head, 4, len(head))
    head[801] = transfer
    struct.pack_into(f"{order}I", head, 1920, label)
    if rate is not None:
        struct.pack_into(f"{order}f", head, 1940, rate)
    return bytes(head) + data[begins:]


def proxies(source: FrameFiles, folder: Path, executor: Executor | None = None) -> Making:
    """All of a sequence's proxies."""
    work = folder / "work"
    work.mkdir(exist_ok=True)
    original = examine_frames(source)
    return make("sequence", source, original, (THUMBNAIL, PREVIEW, EDITORIAL), executor or InThisProcess(), str(work))


def pictures(source: FrameFiles) -> list[Shown]:
    """All of a sequence."""
    picture = examine_frames(source).picture
    assert picture is not None
    (span,) = plan_spans(picture, 1000, 1)
    return list(FramesDecoder(source, picture).pictures(span))
