"""Images of scene light (OpenEXR) and of printing density (DPX, Cineon) as displays show them: tables, by formula.

Light is taken as it is, exposure 0; that of other primaries than BT.709's, where the file says so (ACES), becomes that
of these (`primaries`). What is below 0 or above 1 is cut off, and the rest coded as sRGB (IEC 61966-2-1: 12.92·L up to
0.0031308, else 1.055·L^(1/2.4) − 0.055). No curve makes room for highlights, so that 0.18 is 118 of 255 in every proxy,
as in a viewer that is set to sRGB.

Density becomes light first, as Kodak's "Conversion of 10-bit Log Film Data to 8-bit Linear or Video Data" (1995) has
it: L = (10^((code − 685)·0.002/0.6) − black)/(1 − black); code is of 10 bits, `black` the power at code 95.

Light over a background is already multiplied with its alpha in an OpenEXR file: over black it stays what it is. Half
floats are 16 bits, so a table of all 65,536 is far faster than FFmpeg's scaler (3 ms instead of 70 for 2048 × 1556).
"""

from enum import Enum

import av
from av.video.reformatter import VideoReformatter

from filmfs.proxy.fitting import Chain
from filmfs.proxy.primaries import Matrix
from filmfs.proxy.tables import can_look_up, filters_of, looked_up

Filter = tuple[str, str]
"""One of FFmpeg's, and what it is told."""

_FULL = 2
_FLOATS = {"gbrpf32le": "gbrp16le", "gbrapf32le": "gbrp16le", "grayf32le": "gray16le"}
# In FFmpeg's expressions: `val` is the number in the picture, ld(0) what st(0, …) kept, MOST stands for the largest
# number (FFmpeg's own `maxval` is 255 and as many zeros as there are bits more).
_OF_HALF = (
    "st(1,floor(val/1024));st(2,mod(val,1024)/1024);"  # sign and exponent; fraction
    "if(gte(ld(1),32),0,if(eq(ld(1),31),not(ld(2)),if(ld(1),(1+ld(2))*pow(2,ld(1)-15),ld(2)*pow(2,-14))))"
)
_OF_INTEGER = "val/MOST"
_BLACK = "pow(10,(95-685)*0.002/0.6)"
_OF_DENSITY = f"(pow(10,(val/MOST*1023-685)*0.002/0.6)-{_BLACK})/(1-{_BLACK})"
_SRGB = "0.5+MOST*clip(if(lte(ld(0),0.0031308),12.92*ld(0),1.055*pow(ld(0),1/2.4)-0.055),0,1)"


class Meaning(Enum):
    """What the numbers of an image stand for."""

    CODED = "as a display takes them"
    LIGHT = "scene light"
    DENSITY = "printing density"


class Display:
    """Makes pictures for displays of BT.709: R, G and B from 0 to the largest number. One after another."""

    def __init__(self) -> None:
        self._chain: Chain | None = None
        self._steps: list[Filter] = []
        self._scaler = VideoReformatter()

    def shown(self, frame: "av.VideoFrame", meaning: Meaning, matrix: Matrix | None = None) -> "av.VideoFrame":
        """A picture as it is shown, light multiplied with a matrix before; one that is coded stays."""
        if meaning is Meaning.CODED:
            return frame
        light = _OF_DENSITY
        if meaning is Meaning.LIGHT:
            light = _OF_INTEGER if frame.format.name in _FLOATS else _OF_HALF
        if frame.format.name in _FLOATS:
            form = _FLOATS[frame.format.name]
            frame = self._scaler.reformat(frame, format=form, src_color_range=_FULL, dst_color_range=_FULL)
        elif not frame.format.is_rgb and len(frame.planes) > 1:
            frame = self._scaler.reformat(frame, format="gbrp16le", dst_color_range=_FULL)
        frame.color_range = _FULL
        most = (1 << frame.format.components[0].bits) - 1
        waiting: list[Filter] = []
        for stage in _stages(light, matrix if len(frame.planes) >= 3 else None, most):
            if not isinstance(stage, str):
                waiting.append(stage)
            elif can_look_up(frame):
                frame, waiting = looked_up(self._through(frame, waiting), stage), []
            else:
                waiting += filters_of(frame, stage)
        frame = self._through(frame, waiting)
        frame.color_range = _FULL
        return frame

    def _through(self, frame: "av.VideoFrame", steps: list[Filter]) -> "av.VideoFrame":
        if not steps:
            return frame
        if self._chain is None or self._steps != steps or not self._chain.takes(frame):
            self._chain, self._steps = Chain(frame, steps), steps
        (made,) = self._chain.through(frame)
        return made


def _stages(light: str, matrix: Matrix | None, most: int) -> list[str | Filter]:
    """Formulas and filters from numbers to those that are shown.

    With a matrix there is light in between: a half of it, so that what is up to 2 counts, then a quarter, then coded.
    """
    if matrix is None:
        return [f"st(0,{light});{_SRGB}".replace("MOST", str(most))]
    halved = f"st(0,{light});0.5+MOST*clip(ld(0)/2,0,1)"
    coded = f"st(0,4*val/MOST);{_SRGB}"
    rows = zip("rgb", matrix, strict=True)
    mixed = ":".join(f"{to}{of}={by / 2:.9f}" for to, row in rows for of, by in zip("rgb", row, strict=True))
    return [halved.replace("MOST", str(most)), ("colorchannelmixer", mixed), coded.replace("MOST", str(most))]
