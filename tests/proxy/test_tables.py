"""Points looked up by filmfs itself: to the number what FFmpeg's filters make of them."""

import random
from typing import Any

import av
import pytest

from filmfs.proxy import tables
from filmfs.proxy.fitting import Chain
from filmfs.proxy.native import look_up_plane
from filmfs.proxy.tables import can_look_up, filters_of, looked_up

pytestmark = pytest.mark.skipif(look_up_plane is None, reason="there is no extension")

FORMULA = "st(0,val*val/MOST);mod(ld(0)+7*val,MOST+1)"


def noise(width: int, height: int, pixels: str) -> "av.VideoFrame":
    frame, chance = av.VideoFrame(width, height, pixels), random.Random(1)
    most = (1 << frame.format.components[0].bits) - 1
    for plane in frame.planes:
        values = (chance.choice((chance.randint(0, most), 0, most)) for _ in range(plane.buffer_size // 2))
        plane.update(b"".join(value.to_bytes(2, "little") for value in values))
    frame.color_range = 2
    return frame


def points(frame: "av.VideoFrame") -> list[bytes]:
    return [
        b"".join(
            bytes(plane)[at : at + 2 * plane.width] for at in range(0, plane.line_size * plane.height, plane.line_size)
        )
        for plane in frame.planes
    ]


@pytest.mark.parametrize("pixels", ["gbrp16le", "gbrp12le", "gbrp10le", "gray16le", "gray10le", "gbrpf16le"])
@pytest.mark.parametrize("size", [(64, 32), (333, 7)])
def test_they_are_what_lutyuv_makes(pixels: str, size: tuple[int, int]) -> None:
    frame = noise(*size, pixels)
    formula = FORMULA.replace("MOST", str((1 << frame.format.components[0].bits) - 1))
    assert can_look_up(frame)
    made = looked_up(frame, formula)
    (other,) = Chain(frame, filters_of(frame, formula)).through(frame)
    assert made.format.name == other.format.name
    assert points(made) == points(other)


@pytest.mark.parametrize("pixels", ["rgb48le", "gbrp", "yuv444p16le", "gbrp16be", "rgb24", "gray", "gbrpf32le"])
def test_other_pictures_are_left_to_ffmpeg(pixels: str) -> None:
    assert not can_look_up(av.VideoFrame(64, 32, pixels))


def test_alpha_is_left_out() -> None:
    assert looked_up(noise(32, 16, "gbrap16le"), "val").format.name == "gbrp16le"


@pytest.mark.parametrize(
    "said",
    [
        (bytes(64), 16, bytearray(64), 16, 8, 5, bytes(2048)),  # one row too many
        (bytes(64), 16, bytearray(62), 16, 8, 4, bytes(2048)),
        (bytes(64), 14, bytearray(64), 16, 8, 4, bytes(2048)),  # rows overlap
        (bytes(64), 16, bytearray(64), 16, 8, 4, b""),
        (bytes(64), 16, bytearray(64), 16, 8, 4, bytes(2047)),
        (bytes(64), 16, bytearray(64), 16, 8, 4, bytes(1 << 18)),
        (bytes(64), 16, bytearray(64), 16, 0, 4, bytes(2048)),
        (bytes(64), 16, bytearray(64), 16, 8, -1, bytes(2048)),
        (bytes(64), -16, bytearray(64), 16, 8, 4, bytes(2048)),
        (bytes(64), 1 << 62, bytearray(64), 16, 8, 4, bytes(2048)),
    ],
)
def test_planes_that_are_smaller_than_said_are_refused(said: Any) -> None:
    assert look_up_plane is not None
    with pytest.raises(ValueError, match="not as large as it is said"):
        look_up_plane(*said)


def test_a_point_past_the_table_is_its_last_place() -> None:
    assert look_up_plane is not None
    target = bytearray(6)
    numbers = [0, 3, 60_000]
    look_up_plane(
        b"".join(n.to_bytes(2, "little") for n in numbers), 6, target, 6, 3, 1, bytes((9, 0, 8, 0, 7, 0, 6, 0))
    )
    assert list(target) == [9, 0, 6, 0, 6, 0]


def test_a_table_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = noise(32, 16, "gbrp10le")
    looked_up(frame, "val")
    monkeypatch.setattr(tables, "Chain", None)
    looked_up(frame, "val")
