"""OpenEXR pictures that filmfs inflates itself: to the bit those of FFmpeg, and damage is told."""

import random
import struct
import zlib
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from av.video.codeccontext import VideoCodecContext
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadMedia
from filmfs.media.openexr import find_lines, read_header
from filmfs.proxy import inflating
from filmfs.proxy.decoding import plan_spans
from filmfs.proxy.native import add_up, take_lines
from filmfs.proxy.sequences import FramesDecoder, examine_frames
from tests.proxy.images import Frames, attribute, exr_with, in_folder
from tests.proxy.numbered import number_in

pytestmark = pytest.mark.skipif(take_lines is None, reason="there is no extension")

UNSIGNED, HALF, FLOAT = 0, 1, 2
NONE, ZIPS, ZIP = 0, 2, 3
SIZES = {UNSIGNED: 4, HALF: 2, FLOAT: 4}
ROWS = {NONE: 1, ZIPS: 1, ZIP: 16}
COLOURS = (("B", HALF), ("G", HALF), ("R", HALF))


@dataclass(frozen=True)
class Image:
    """What a file is to hold; its channels in the order of the file."""

    width: int = 50
    height: int = 37
    compression: int = ZIP
    channels: tuple[tuple[str, int], ...] = COLOURS
    noise: float = 0.1  # of its numbers
    order: str = "up"
    origin: tuple[int, int] = (0, 0)

    def data(self) -> bytes:
        """The file."""
        chance = random.Random(1)
        listed = b"".join(f"{name}\0".encode() + struct.pack("<4i", kind, 0, 1, 1) for name, kind in self.channels)
        left, top = self.origin
        window = struct.pack("<4i", left, top, left + self.width - 1, top + self.height - 1)
        header = b"\x76\x2f\x31\x01\2\0\0\0" + b"".join(
            (
                attribute("channels", "chlist", listed + b"\0"),
                attribute("compression", "compression", bytes((self.compression,))),
                attribute("dataWindow", "box2i", window),
                attribute("displayWindow", "box2i", window),
                attribute("lineOrder", "lineOrder", b"\0" if self.order == "up" else b"\1"),
                attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
                attribute("screenWindowCenter", "v2f", bytes(8)),
                attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
                b"\0",
            )
        )
        row = sum(SIZES[kind] for _, kind in self.channels) * self.width
        chunks = []
        for first in range(0, self.height, ROWS[self.compression]):
            size = row * min(ROWS[self.compression], self.height - first)
            raw = bytes(chance.randrange(256) if chance.random() < self.noise else 60 for _ in range(size))
            packed = zlib.compress(_differences(raw)) if self.compression else raw
            kept = packed if len(packed) < size else raw
            chunks.append((first, struct.pack("<2i", first + top, len(kept)) + kept))
        written = chunks if self.order == "up" else chunks[::-1]
        places = dict(
            zip(
                (first for first, _ in written),
                accumulate((len(chunk) for _, chunk in written), initial=len(header) + 8 * len(chunks)),
                strict=False,
            )
        )
        table = b"".join(struct.pack("<Q", places[first]) for first, _ in chunks)
        return header + table + b"".join(chunk for _, chunk in written)


def _differences(raw: bytes) -> bytes:
    split = raw[0::2] + raw[1::2]
    return split[:1] + bytes((one - before + 128) & 255 for before, one in pairwise(split))


def ours(data: bytes, layer: str = "") -> "av.VideoFrame | None":
    header = read_header(data)
    assert header is not None
    lines = find_lines(data, header, layer)
    return None if lines is None or lines.offsets is None else inflating.picture(data, lines)


def ffmpegs(data: bytes, layer: str = "") -> "av.VideoFrame":
    context = av.CodecContext.create("exr", "r")
    assert isinstance(context, VideoCodecContext)
    context.options = {"layer": layer} if layer else {}
    (frame,) = context.decode(av.Packet(data)) or context.decode(None)
    return frame


def numbers(frame: "av.VideoFrame") -> list[bytes]:
    return [
        b"".join(bytes(plane)[y * plane.line_size :][: 2 * plane.width] for y in range(plane.height))
        for plane in frame.planes[:3]
    ]


images = st.builds(
    Image,
    st.integers(1, 70),
    st.integers(1, 40),
    st.sampled_from([NONE, ZIPS, ZIP]),
    st.sampled_from(
        [
            COLOURS,
            (("A", HALF), *COLOURS),
            (*COLOURS, ("Z", FLOAT)),
            (("B", HALF), ("G", HALF), ("ID", UNSIGNED), ("R", HALF)),
        ]
    ),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from(["up", "down"]),
)


@given(images)
def test_they_are_what_ffmpeg_makes(image: Image) -> None:
    data = image.data()
    made, other = ours(data), ffmpegs(data)
    assert made is not None
    assert (made.width, made.height) == (other.width, other.height) == (image.width, image.height)
    assert numbers(made) == numbers(other)


@pytest.mark.parametrize("compression", ["none", "zip1", "zip16"])
@pytest.mark.parametrize("alpha", [None, 200])
def test_files_that_ffmpeg_wrote_are_taken(compression: str, alpha: int | None) -> None:
    pixels = "gbrpf32le" if alpha is None else "gbrapf32le"
    options = {"compression": compression, "format": "half"}
    data = Frames(".exr", "exr", pixels, options, (333, 189), alpha).data(5)
    made = ours(data)
    assert made is not None
    assert numbers(made) == numbers(ffmpegs(data))


def test_where_the_window_is_and_what_alpha_is_does_not_matter() -> None:  # FFmpeg shows black, and nothing
    made = [ours(image.data()) for image in (Image(), Image(origin=(7, 100)), Image(origin=(-3, -50)))]
    assert made[0] is not None
    assert all(frame is not None and numbers(frame) == numbers(made[0]) for frame in made)
    colours = [ours(Image(channels=(("A", kind), *COLOURS), noise=0).data()) for kind in (HALF, FLOAT, UNSIGNED)]
    assert colours[0] is not None
    assert all(frame is not None and numbers(frame) == numbers(colours[0]) for frame in colours)


def test_a_layer_is_found_by_its_name() -> None:
    data = exr_with(Image().data(), layer="left.")
    made = ours(data, "left")
    assert made is not None
    assert numbers(made) == numbers(ffmpegs(data, "left"))
    assert ours(data) is None


@pytest.mark.parametrize("compression", ["rle", "float", "tiles", "window", "sampled", "float alone"])
def test_other_kinds_are_left_to_ffmpeg(compression: str) -> None:
    kinds = {
        "rle": Frames(".exr", "exr", "gbrpf32le", {"compression": "rle", "format": "half"}).data(1),
        "float": Frames(".exr", "exr", "gbrpf32le", {"compression": "zip16", "format": "float"}).data(1),
        "tiles": b"\x76\x2f\x31\x01\2\2\0\0" + Image().data()[8:],
        "window": Image().data().replace(struct.pack("<4i", 0, 0, 49, 36), struct.pack("<4i", 0, 0, 59, 36), 1),
        "sampled": Image().data().replace(struct.pack("<4i", HALF, 0, 1, 1), struct.pack("<4i", HALF, 0, 2, 1), 1),
        "float alone": Image(channels=(("B", HALF), ("G", HALF), ("R", FLOAT))).data(),
    }
    assert ours(kinds[compression]) is None


@pytest.mark.parametrize(
    ("said", "shape"),
    [(1.0, 1), (2.0, 2), (1.5, Fraction(3, 2)), (0.9, Fraction(9, 10)), (0.0, None), (-1.0, None), (1e9, None)],
)
def test_the_shape_of_a_pixel_is_that_of_the_header(said: float, shape: Fraction | None) -> None:
    name = b"pixelAspectRatio\0float\0\4\0\0\0"
    data = Image().data().replace(name + struct.pack("<f", 1), name + struct.pack("<f", said))
    header = read_header(data)
    assert header is not None
    lines = find_lines(data, header)
    assert lines is not None
    assert lines.shape == shape


def _table(data: bytes) -> int:
    header = read_header(data)
    assert header is not None
    return header.end


@pytest.mark.parametrize("value", [0, 1, 1 << 40, (1 << 64) - 1])
def test_a_table_that_points_elsewhere_is_not_followed(value: int) -> None:
    data = bytearray(Image().data())
    struct.pack_into("<Q", data, _table(bytes(data)), value)
    assert ours(bytes(data)) is None


def test_a_chunk_that_is_there_twice_is_not_taken_for_another() -> None:
    data = bytearray(Image().data())
    at = _table(bytes(data))
    data[at : at + 8] = data[at + 8 : at + 16]
    assert ours(bytes(data)) is None


@given(st.data())
def test_whatever_is_in_a_file_the_answer_is_a_picture_or_what_is_wrong(chance: st.DataObject) -> None:
    data = bytearray(Image(20, 20).data())
    for _ in range(chance.draw(st.integers(1, 4))):
        data[chance.draw(st.integers(8, len(data) - 1))] = chance.draw(st.integers(0, 255))
    cut = bytes(data[: chance.draw(st.integers(8, len(data)))])
    header = read_header(cut)
    if header is None:
        return
    lines = find_lines(cut, header)
    if lines is None or lines.offsets is None:
        return
    try:
        picture = inflating.picture(cut, lines)
    except BadMedia:
        return
    assert picture.width == lines.width


@pytest.mark.parametrize("form", ["half", "float"])
@pytest.mark.parametrize("compression", ["zip1", "zip16"])
def test_a_frame_with_a_damaged_chunk_is_a_damaged_picture(compression: str, form: str, tmp_path: Path) -> None:
    frames = Frames(".exr", "exr", "gbrpf32le", {"compression": compression, "format": form})
    frames.write(tmp_path, 3)
    path = frames.path(tmp_path, 1002)
    data = bytearray(path.read_bytes())
    data[-100] ^= 0x55
    path.write_bytes(data)
    source = in_folder(tmp_path)
    picture = examine_frames(source).picture
    assert picture is not None
    (span,) = plan_spans(picture, 1000, 1)
    shown = FramesDecoder(source, picture).pictures(span)
    assert [(number_in(each.frame), each.is_damaged) for each in shown] == [(0, False), (0, True), (2, False)]


@given(st.binary(max_size=100))
def test_sums_are_those_of_all_bytes_before(data: bytes) -> None:
    assert add_up is not None
    made = bytearray(data)
    add_up(made)
    assert list(made) == [(each - 128 * at) & 255 for at, each in enumerate(accumulate(data))]


@pytest.mark.parametrize(
    "said",
    [
        (bytes(31), 16, 0, True, bytearray(32), 16, 8, 0, 2),  # the source is too short
        (bytes(32), 16, 2, True, bytearray(32), 16, 8, 0, 2),
        (bytes(32), 16, -2, True, bytearray(32), 16, 8, 0, 2),
        (bytes(32), 16, 1, True, bytearray(32), 16, 7, 0, 2),
        (bytes(30), 15, 0, True, bytearray(32), 16, 7, 0, 2),
        (bytes(32), 16, 0, True, bytearray(31), 16, 8, 0, 2),  # the target is
        (bytes(32), 16, 0, True, bytearray(32), 16, 8, 1, 2),
        (bytes(32), 16, 0, True, bytearray(32), 16, 8, -1, 2),
        (bytes(32), 16, 0, True, bytearray(32), 14, 8, 0, 2),
        (bytes(32), 16, 0, True, bytearray(32), 16, 0, 0, 2),
        (bytes(32), 16, 0, True, bytearray(32), 16, 8, 0, 0),
        (bytes(32), 1 << 62, 0, True, bytearray(32), 16, 8, 0, 2),
        (bytes(32), 16, 0, True, bytearray(32), 1 << 62, 8, 0, 2),
    ],
)
def test_lines_that_are_fewer_than_said_are_refused(said: Any) -> None:
    assert take_lines is not None
    with pytest.raises(ValueError, match="not as many or as long"):
        take_lines(*said)
