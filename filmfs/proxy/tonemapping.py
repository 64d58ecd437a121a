"""PQ and HLG pictures for displays of BT.709: a table of colours, made by formula.

A colour becomes light as a display of 1000 cd/m² shows it (PQ: ST 2084; HLG: BT.2100, its OOTF with gamma 1.2). Where
the largest of R, G and B is brighter than what is left of the display can show, all three are made darker by the curve
of BT.2390, annex 5 (EETF, black at zero), from 1000 to 203 cd/m²: that is HDR's reference white (BT.2408), which
becomes white. Then the primaries of BT.2020 become those of BT.709 (BT.2087), what lies outside is cut off, and the
light is coded for a display with gamma 2.4 (BT.1886).
"""

import os
import tempfile
from functools import lru_cache
from itertools import product

from filmfs.proxy.originals import Colours

PQ, HLG = 16, 18  # ITU-T H.273
_BT2020 = 9
_POINTS = 33
_PEAK, _WHITE = 1000.0, 203.0  # cd/m²
_GAMMA = 2.4

Light = tuple[float, float, float]


def is_high(transfer: int) -> bool:
    """Whether pictures of such a transfer have a high dynamic range."""
    return transfer in (PQ, HLG)


def mapped(colour: Light, transfer: int, primaries: int = _BT2020) -> Light:
    """A colour of 0 to 1, as coded, as it is coded for BT.709."""
    light = _hlg(colour) if transfer == HLG else tuple(_from_pq(value) for value in colour)
    most = max(light)
    factor = _darkened(most) / most / _WHITE if most > 0 else 0.0
    red, green, blue = (value * factor for value in light)
    if primaries == _BT2020:
        red, green, blue = (
            1.6605 * red - 0.5876 * green - 0.0728 * blue,
            -0.1246 * red + 1.1329 * green - 0.0083 * blue,
            -0.0182 * red - 0.1006 * green + 1.1187 * blue,
        )
    return tuple(min(1.0, max(0.0, value)) ** (1 / _GAMMA) for value in (red, green, blue))


@lru_cache
def lut_file(colours: Colours) -> str:
    """The path of a table for such pictures, as FFmpeg reads it (.cube); it lasts as long as the process."""
    steps = [number / (_POINTS - 1) for number in range(_POINTS)]
    lines = [f"LUT_3D_SIZE {_POINTS}"]
    for blue, green, red in product(steps, steps, steps):
        lines.append("{:.6f} {:.6f} {:.6f}".format(*mapped((red, green, blue), colours.transfer, colours.primaries)))
    file = tempfile.NamedTemporaryFile("w", suffix=".cube", prefix="filmfs-")  # noqa: SIM115
    file.write("\n".join(lines) + "\n")
    file.flush()
    _kept.append(file)
    return os.fspath(file.name)


_kept: list[object] = []  # a temporary file goes when nobody refers to it


def _from_pq(value: float) -> float:
    """ST 2084's EOTF: cd/m²."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = value ** (1 / m2)
    return 10_000.0 * float((max(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1))


def _to_pq(light: float) -> float:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (max(light, 0.0) / 10_000.0) ** m1
    return float(((c1 + c2 * power) / (1 + c3 * power)) ** m2)


def _hlg(colour: Light) -> Light:
    """BT.2100's inverse OETF and OOTF for a display of 1000 cd/m²."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073

    def scene(value: float) -> float:
        return value * value / 3 if value <= 0.5 else (2.718281828459045 ** ((value - c) / a) + b) / 12

    red, green, blue = map(scene, colour)
    luminance = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    factor = _PEAK * luminance**0.2 if luminance > 0 else 0.0
    return red * factor, green * factor, blue * factor


def _darkened(light: float) -> float:
    """BT.2390's EETF from the source's peak to HDR's reference white; cd/m²."""
    top, target = _to_pq(_PEAK), _to_pq(_WHITE) / _to_pq(_PEAK)
    value = min(1.0, _to_pq(light) / top)
    knee = 1.5 * target - 0.5
    if value > knee:
        t = (value - knee) / (1 - knee)
        value = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    return min(_WHITE, _from_pq(value * top))
