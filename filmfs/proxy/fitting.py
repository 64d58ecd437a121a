"""Pictures of an original at the sizes of its proxies: deinterlaced, over black, in the colours of BT.709's range.

The largest is made of the original's, each smaller one of the one before. Levels become limited, as players expect;
primaries, transfer and matrix stay what they are, but those of PQ and HLG, which are mapped (`tonemapping`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from filmfs.proxy.halving import Chroma, chroma_of, halved
from filmfs.proxy.native import shrink_plane
from filmfs.proxy.originals import Colours, Picture
from filmfs.proxy.tonemapping import is_high, lut_file

_LIMITED, _FULL = 1, 2
_RGB, _BT709, _UNSPECIFIED = 0, 1, 2
_BT601 = 5  # libswscale's
_FEWER = "yuv422p", "yuv420p"  # points of chroma than of luma
_SCALER_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # H.273 → libswscale's


@dataclass(frozen=True, slots=True)
class Size:
    """A size of pictures, and their format."""

    width: int
    height: int
    pixels: str


def shown_colours(picture: Picture) -> Colours:
    """What the numbers of all proxies of an original mean."""
    colours = replace(picture.colours, is_full=False)
    if is_high(colours.transfer):
        return Colours(_BT709, _BT709, _BT709)
    if colours.matrix == _RGB:
        matrix = Colours(_BT709, _BT709, _BT709)
        return matrix if colours.primaries == colours.transfer == _UNSPECIFIED else replace(colours, matrix=_BT709)
    return colours


class Fitter:
    """Makes each picture of a span fit every size. For one span, in order.

    `reference` is what the last ones were made of.
    """

    reference: "av.VideoFrame"

    def __init__(self, picture: Picture, sizes: Sequence[Size], stills: Sequence[tuple[int, int]] = ()) -> None:
        """`sizes` from the largest to the smallest; `stills` are those of pictures that `still` will be asked for."""
        self._sizes = sizes
        every = [(size.width, size.height) for size in sizes] + list(stills)
        self._largest = max(width for width, _ in every), max(height for _, height in every)
        self._colours = shown_colours(picture)
        self._source = picture
        self._is_interlaced = picture.is_interlaced
        self._is_high = is_high(picture.colours.transfer)
        self._chain: Chain | None = None
        self._scalers = [VideoReformatter() for _ in sizes]
        self._tiny = VideoReformatter()
        self._jpeg = VideoReformatter()
        self._kind, self._chroma = "", Chroma.MIDDLE

    @property
    def needs_neighbours(self) -> bool:
        """Whether a picture is made of those beside it too."""
        return self._is_interlaced

    def fitted(self, frames: Iterator["av.VideoFrame"]) -> Iterator[list["av.VideoFrame"]]:
        """A picture of each size for each frame."""
        for frame in self._prepared(frames):
            self.reference = frame
            yield list(self._sized(frame))

    def small(self, width: int, height: int) -> "av.VideoFrame":
        """The reference at a very small size, with the same colours."""
        return self._scaled(self._tiny, self.reference, Size(width, height, "yuv444p"), is_own=True)

    def still(self, width: int, height: int) -> "av.VideoFrame":
        """The reference at a size, in the levels of JPEG files: full range, the matrix of BT.601."""
        frame = self.reference
        is_full = frame.color_range == _FULL or frame.format.name.startswith("yuvj") or frame.format.is_rgb
        return self._jpeg.reformat(
            frame,
            width,
            height,
            "yuvj420p",
            src_colorspace=None if frame.format.is_rgb else self._matrix,
            dst_colorspace=_BT601,
            interpolation=Interpolation.AREA,
            src_color_range=_FULL if is_full else _LIMITED,
            dst_color_range=_FULL,
        )

    def _sized(self, frame: "av.VideoFrame") -> Iterator["av.VideoFrame"]:
        is_own = True
        for size, scaler in zip(self._sizes, self._scalers, strict=True):
            frame = self._scaled(scaler, frame, size, is_own=is_own)
            is_own = False
            yield frame

    def _scaled(self, scaler: VideoReformatter, frame: "av.VideoFrame", size: Size, *, is_own: bool) -> "av.VideoFrame":
        """A picture at a size; `is_own`: with the original's range, and not a rendition's."""
        is_full = is_own and (frame.color_range == _FULL or frame.format.name.startswith("yuvj"))
        chroma = self._where(frame, is_own=is_own)
        if not is_full and not frame.format.is_rgb:  # levels and matrix stay: libswscale is twice as fast if not told
            made = halved(frame, size.width, size.height, size.pixels, chroma)
            if made is None and chroma is Chroma.ELSEWHERE and size.pixels.startswith(_FEWER):
                made = self._put_left(scaler, frame, size)
            if made is not None:
                return made
            return scaler.reformat(frame, size.width, size.height, size.pixels, interpolation=Interpolation.AREA)
        if frame.format.is_rgb:
            return self._of_colours(scaler, frame, size)
        return self._converted(scaler, frame, size)

    def _of_colours(self, scaler: VideoReformatter, frame: "av.VideoFrame", size: Size) -> "av.VideoFrame":
        """Of RGB: halved before it becomes luma and chroma, and of these fewer afterwards, where they are to lie."""
        have, wanted = (max(each.bits for each in it.components) for it in (frame.format, av.VideoFormat(size.pixels)))
        if wanted <= have and (frame.width, frame.height) != (size.width, size.height):
            frame = halved(frame, size.width, size.height, frame.format.name) or frame
        if shrink_plane is not None and size.pixels.startswith(_FEWER):
            whole = replace(size, pixels=_whole(max(have, wanted)))
            made = halved(self._converted(scaler, frame, whole), size.width, size.height, size.pixels, Chroma.LEFT)
            if made is not None:
                return made
        return self._converted(scaler, frame, size)

    def _converted(self, scaler: VideoReformatter, frame: "av.VideoFrame", size: Size) -> "av.VideoFrame":
        """A picture of full range, or RGB, by libswscale."""
        matrix = self._matrix
        return scaler.reformat(
            frame,
            size.width,
            size.height,
            size.pixels,
            src_colorspace=None if frame.format.is_rgb else matrix,
            dst_colorspace=matrix,
            interpolation=Interpolation.AREA,
            src_color_range=_FULL,
            dst_color_range=_LIMITED,
        )

    def _put_left(self, scaler: VideoReformatter, frame: "av.VideoFrame", size: Size) -> "av.VideoFrame | None":
        """Chroma that lies in other rows than is common, where players look for it."""
        whole = _whole(frame.format.components[0].bits)
        made = scaler.reformat(frame, size.width, size.height, whole, interpolation=Interpolation.AREA)
        return halved(made, size.width, size.height, size.pixels, Chroma.LEFT)

    def _where(self, frame: "av.VideoFrame", *, is_own: bool) -> Chroma:
        """Where chroma lies in a picture of the original's, or in those made of the last one."""
        if is_own and self._kind != frame.format.name:
            self._kind, self._chroma = frame.format.name, chroma_of(frame)
        if self._chroma is Chroma.ELSEWHERE and not is_own:
            return Chroma.LEFT
        return self._chroma

    @property
    def _matrix(self) -> int:
        return _SCALER_MATRICES.get(self._colours.matrix, _BT709)

    def _prepared(self, frames: Iterator["av.VideoFrame"]) -> Iterator["av.VideoFrame"]:
        """Frames after the filters that they need; as many, in the same order."""
        for frame in frames:
            steps = self._steps(frame)
            if not steps and self._chain is None:
                yield frame
                continue
            if self._chain is None or not self._chain.takes(frame):
                if self._chain is not None:
                    yield from self._chain.rest()
                self._chain = Chain(frame, steps)
            yield from self._chain.through(frame)
        if self._chain is not None:
            yield from self._chain.rest()
            self._chain = None

    def _steps(self, frame: "av.VideoFrame") -> list[tuple[str, str]]:
        steps = []
        if self._is_interlaced:
            steps.append(("bwdif", "mode=send_frame:parity=auto:deint=all"))
        if any(component.is_alpha for component in frame.format.components):
            steps += [("format", "gbrap" if frame.format.components[0].bits <= 8 else "gbrap12")]
            steps += [("premultiply", "inplace=1"), ("format", "gbrp|gbrp12")]
        if self._is_high:
            width, height = self._largest
            steps += [("scale", f"{width}:{height}:flags=area"), ("format", "gbrp10")]
            steps += [("lut3d", f"file={lut_file(self._source.colours)}:interp=tetrahedral")]
        return steps


def _whole(bits: int) -> str:
    """Pixels with as much chroma as luma, in so many bits or more."""
    return "yuv444p" if bits <= 8 else "yuv444p10le" if bits <= 10 else "yuv444p12le"


class Chain:
    """Filters that pictures of one kind go through."""

    def __init__(self, frame: "av.VideoFrame", steps: list[tuple[str, str]]) -> None:
        self._kind = _kind(frame)
        self._graph = Graph()
        self._pending = 0
        arguments = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000"
            f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
        )
        last = self._source = self._graph.add("buffer", arguments)
        for name, arguments in steps:
            node = self._graph.add(name, arguments)
            last.link_to(node)
            last = node
        last.link_to(self._graph.add("buffersink"))
        self._graph.configure()
        self._number = 0

    def takes(self, frame: "av.VideoFrame") -> bool:
        """Whether a picture is of the kind that they were set up for."""
        return _kind(frame) == self._kind

    def through(self, frame: "av.VideoFrame") -> Iterator["av.VideoFrame"]:
        """What comes out for one that goes in; perhaps later."""
        pts, base = frame.pts, frame.time_base
        frame.pts, frame.time_base = self._number, Fraction(1, 1000)
        self._number += 1
        self._source.push(frame)
        frame.pts = pts
        if base is not None:  # an image alone has none
            frame.time_base = base
        yield from self._out()

    def rest(self) -> Iterator["av.VideoFrame"]:
        """What is still inside."""
        self._source.push(None)
        yield from self._out()

    def _out(self) -> Iterator["av.VideoFrame"]:
        while True:
            try:
                made = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(made, av.VideoFrame)
            yield made


def _kind(frame: "av.VideoFrame") -> tuple[int, int, str, int, int]:
    return frame.width, frame.height, frame.format.name, int(frame.colorspace), int(frame.color_range)
