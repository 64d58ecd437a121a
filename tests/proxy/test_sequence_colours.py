"""What colours of image sequences become: light, densities, primaries, layers."""

import struct
from pathlib import Path

import av
import pytest

from filmfs.core.errors import BadMedia
from filmfs.media.openexr import Header
from filmfs.proxy.decoding import plan_spans
from filmfs.proxy.displaying import Display, Meaning
from filmfs.proxy.primaries import to_bt709
from filmfs.proxy.sequences import FramesDecoder, examine_frames
from filmfs.proxy.sources import FrameFiles
from tests.proxy.images import AP1, attribute, dpx_with, encoded, exr_with, in_folder, levels, pictures, proxies


@pytest.mark.parametrize("form", ["half", "float"])
def test_light_is_shown_as_srgb_and_cut_off_at_its_ends(form: str, tmp_path: Path) -> None:
    values = [0.0, 0.001, 0.02, 0.18, 0.5, 1.0, 1.5, 60000.0, -0.2]
    (tmp_path / "a.1.exr").write_bytes(encoded("exr", levels(values), {"format": form}))
    shown = _shown(in_folder(tmp_path))
    expected = [_srgb(value) for value in values]
    assert shown == pytest.approx(expected, abs=0.001)
    assert round(255 * shown[3]) == 118


@pytest.mark.parametrize("form", ["half", "float"])
@pytest.mark.parametrize("colour", [(0.2, 0.4, 0.1), (0.18, 0.18, 0.18), (0.9, 0.05, 0.02), (0.01, 0.02, 0.03)])
def test_light_of_other_primaries_becomes_that_of_bt709(
    form: str, colour: tuple[float, float, float], tmp_path: Path
) -> None:
    red, green, blue = colour
    frame = av.VideoFrame(32, 32, "gbrpf32le")
    for plane, value in zip(frame.planes, (green, blue, red), strict=True):
        plane.update(struct.pack("<f", value) * (plane.buffer_size // 4))
    said = attribute("chromaticities", "chromaticities", struct.pack("<8f", *AP1))
    (tmp_path / "a.1.exr").write_bytes(exr_with(encoded("exr", frame, {"format": form}), said))
    source = in_folder(tmp_path)
    picture = examine_frames(source).picture
    assert picture is not None
    (span,) = plan_spans(picture, 1, 1)
    (shown,) = FramesDecoder(source, picture).pictures(span)
    made = [struct.unpack_from("<H", bytes(plane))[0] / 65535 for plane in shown.frame.planes]
    matrix = to_bt709(AP1)
    assert matrix is not None
    light = [sum(by * of for by, of in zip(row, colour, strict=True)) for row in matrix]
    assert [made[2], made[0], made[1]] == pytest.approx([_srgb(max(0.0, each)) for each in light], abs=0.002)


def test_what_is_no_number_is_black_and_infinity_white() -> None:
    halves = av.VideoFrame(32, 32, "gbrpf16le")
    for value, expected in ((0x7E00, 0.0), (0x7C00, 1.0), (0xFC00, 0.0), (0x0001, _srgb(2**-24)), (0x8000, 0.0)):
        for plane in halves.planes:
            plane.update(struct.pack("<H", value) * (plane.buffer_size // 2))
        made = Display().shown(halves, Meaning.LIGHT)
        assert struct.unpack_from("<H", bytes(made.planes[0]))[0] == pytest.approx(65535 * expected, abs=1)


def test_mid_grey_of_light_is_118_in_the_proxies_also_with_alpha(tmp_path: Path) -> None:
    for pixels in ("gbrpf32le", "gbrapf32le"):
        folder = tmp_path / pixels
        folder.mkdir()
        frame = levels([0.18] * 16, pixels, 288)
        (folder / "a.1.exr").write_bytes(encoded("exr", frame, {"format": "half"}))
        for rendition in proxies(in_folder(folder), folder).renditions:
            with av.open(rendition.path) as container:
                frame = next(container.decode(video=0))
                assert (frame.color_range, frame.colorspace, frame.color_trc) == (1, 1, 1)
                assert _middle(frame) == pytest.approx(16 + 118 * 219 / 255, abs=1.5)


@pytest.mark.parametrize(("pixels", "bits"), [("rgb24", 8), ("gbrp10le", 10), ("gbrp12le", 12), ("rgb48be", 16)])
@pytest.mark.parametrize("transfer", [1, 3])
def test_density_is_light_between_black_and_white_of_film(
    transfer: int, pixels: str, bits: int, tmp_path: Path
) -> None:
    codes = [0, 95, 200, 470, 600, 685, 1023]
    frame = levels([code / 1023 for code in codes]).reformat(format=pixels, src_color_range=2, dst_color_range=2)
    (tmp_path / "a.1.dpx").write_bytes(dpx_with(encoded("dpx", frame), transfer=transfer))
    most = (1 << bits) - 1
    expected = [_srgb(_of_density(round(code / 1023 * most) / most * 1023)) for code in codes]
    assert _shown(in_folder(tmp_path)) == pytest.approx(expected, abs=0.03 if bits == 8 else 0.006)
    assert expected[:2] == pytest.approx([0, 0], abs=0.03 if bits == 8 else 0.006)
    assert expected[5:] == pytest.approx([1, 1], abs=0.01)
    assert 0.45 < expected[3] < 0.48  # a grey card


@pytest.mark.parametrize("transfer", [0, 2, 4, 6])
def test_other_numbers_of_dpx_are_taken_as_they_are(transfer: int, tmp_path: Path) -> None:
    values = [0.0, 0.1, 0.5, 0.9, 1.0]
    frame = levels(values).reformat(format="gbrp10le", src_color_range=2, dst_color_range=2)
    (tmp_path / "a.1.dpx").write_bytes(dpx_with(encoded("dpx", frame), transfer=transfer))
    assert _shown(in_folder(tmp_path)) == pytest.approx(values, abs=0.002)


def test_the_first_layer_with_colours_is_shown(tmp_path: Path) -> None:
    data = encoded("exr", levels([0.18, 0.5]), {"format": "half", "compression": "none"})
    (tmp_path / "a.1.exr").write_bytes(exr_with(data, layer="left."))
    assert _shown(in_folder(tmp_path)) == pytest.approx([_srgb(0.18), _srgb(0.5)], abs=0.001)


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ([["A", "B", "G", "R", "left.B", "left.G", "left.R"]], (0, "")),
        ([["a.B", "a.G", "a.R", "B", "G", "R"]], (0, "")),
        ([["Z"], ["view.beauty.B", "view.beauty.G", "view.beauty.R"]], (1, "view.beauty")),
        ([["Y"], ["B", "G", "R"]], (1, "")),
        ([["Y", "Z"]], (0, "")),
        ([["R", "left.G", "right.B"]], None),
        ([], None),
    ],
)
def test_colours_are_found_in_the_first_layer_that_has_all(
    parts: list[list[str]], found: tuple[int, str] | None
) -> None:
    assert Header(tuple(map(tuple, parts)), 0, 0).find_colours() == found


def test_images_without_colours_are_refused_with_what_they_have(tmp_path: Path) -> None:
    data = encoded("exr", levels([0.18]), {"format": "half"})
    at = data.index(b"chlist\0") + 11
    data = data[:at] + data[at:].replace(b"B\0", b"U\0", 1).replace(b"G\0", b"V\0", 1).replace(b"R\0", b"Z\0", 1)
    (tmp_path / "a.1.exr").write_bytes(data)
    with pytest.raises(BadMedia, match="frame 1 has no colours, only U, V, Z"):
        examine_frames(in_folder(tmp_path))


def _shown(source: FrameFiles) -> list[float]:
    """The greys of a first picture that `levels` made."""
    frame = pictures(source)[0].frame.reformat(format="gbrp16le")
    row = struct.unpack_from(f"<{frame.width}H", bytes(frame.planes[0]))
    return [value / 65535 for value in row[16::32]]


def _middle(frame: "av.VideoFrame") -> int:
    plane = frame.planes[0]
    return bytes(plane)[plane.height // 2 * plane.line_size + plane.width // 2]


def _srgb(light: float) -> float:
    light = min(1.0, max(0.0, light))
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def _of_density(code: float) -> float:
    black = 10 ** ((95 - 685) * 0.002 / 0.6)
    return (10 ** ((code - 685) * 0.002 / 0.6) - black) / (1 - black)
