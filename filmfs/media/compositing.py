"""Pictures made to fit a frame, and two made into one, with FFmpeg's filters (PyAV)."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter import Graph

from filmfs.core.errors import BadMedia

RGB, BT709, UNSPECIFIED = 0, 1, 2
_MATRICES = {
    BT709: "bt709",
    4: "fcc",
    5: "bt470",
    6: "smpte170m",
    7: "smpte240m",
    9: "bt2020",
}  # as FFmpeg's filters say
_LIMITED, _FULL = 1, 2  # FFmpeg's numbers of ranges
_FULL_BY_NAME = "yuvj"  # formats that are full by their name
DISSOLVE = "dissolve"
WIPES = {  # SMPTE 258M: which points show the new picture when it has so much (`{0}`) of the frame
    1: "lt(X,W*{0})",  # a vertical edge goes from left to right
    2: "lt(Y,H*{0})",  # a horizontal edge goes down
    101: "gte(X,W*(1-{0}))",  # the same backwards
    102: "gte(Y,H*(1-{0}))",
}


@dataclass(frozen=True, slots=True)
class Canvas:
    """The size and kind of all pictures of a movie; their points are square.

    `matrix` is how colours are made of their numbers (ITU-T H.273, 8.3). What a picture does not say, or its movie does
    not, is no reason to change numbers.
    """

    width: int
    height: int
    pixels: str
    matrix: int = UNSPECIFIED

    def black(self) -> av.VideoFrame:
        """A black picture."""
        frame = av.VideoFrame(self.width, self.height, "rgb24")
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        black = frame.reformat(format=self.pixels)
        black.colorspace, black.color_range = self.matrix, _LIMITED
        return black

    def fitted(self, frame: av.VideoFrame, shape: Fraction) -> av.VideoFrame:
        """The whole picture, of points of this shape, as large as it can be; what is left of the frame is black."""
        size, wanted = (frame.width, frame.height), (self.width, self.height)
        chain = []
        if not frame.format.is_rgb and (_same(frame.colorspace, self.matrix) or frame.colorspace not in _MATRICES):
            frame.colorspace = self.matrix
        elif self.matrix in _MATRICES:
            chain.append(("scale", f"out_color_matrix={_MATRICES[self.matrix]}:flags=accurate_rnd"))
        if not frame.format.is_rgb and (frame.color_range == _FULL or frame.format.name.startswith(_FULL_BY_NAME)):
            chain.append(("scale", "in_range=full:out_range=limited:flags=accurate_rnd"))
        if not chain and (*size, frame.format.name) == (*wanted, self.pixels) and shape == 1:
            return frame
        if size != wanted or shape != 1:
            width, height = _inside(frame.width * shape, Fraction(frame.height), *wanted)
            chain += [("scale", f"{width}:{height}:flags=lanczos"), ("setsar", "1")]
            chain += [("pad", f"{self.width}:{self.height}:(ow-iw)/2:(oh-ih)/2:black")]
        made = _through(chain, self.pixels, frame)
        made.colorspace, made.color_range = self.matrix, _LIMITED
        return made

    def mixed(self, old: av.VideoFrame, new: av.VideoFrame, kind: str | int, share: Fraction) -> av.VideoFrame:
        """A picture of two, in which the new one has a share. Raises BadMedia for a kind that is not known."""
        refuse_unknown(kind)
        if isinstance(kind, str):
            return _through([("blend", f"all_mode=normal:all_opacity={float(share):.6f}")], self.pixels, new, old)
        where = WIPES[kind].format(f"{float(share):.6f}")
        return _through([("blend", f"all_expr='if({where},A,B)'")], self.pixels, new, old)


def refuse_unknown(kind: str | int) -> None:
    """Raises BadMedia for a transition that is none of these."""
    if kind != DISSOLVE and kind not in WIPES:
        known = ", ".join(f"{number:03d}" for number in sorted(WIPES))
        raise BadMedia(f"the transition {kind} is not known; dissolves are, and the wipes {known}")


def _same(matrix: int, other: int) -> bool:
    """Whether two matrices are one: those of PAL and NTSC have two numbers."""
    return matrix == other or {matrix, other} <= {5, 6}


def _inside(width: Fraction, height: Fraction, wide: int, high: int) -> tuple[int, int]:
    """The largest size of this shape inside a frame, in even numbers."""
    factor = min(wide / width, high / height)
    return tuple(min(round(side * factor / 2) * 2, most) for side, most in ((width, wide), (height, high)))  # type: ignore[return-value]


def _through(chain: list[tuple[str, str]], pixels: str, *frames: av.VideoFrame) -> av.VideoFrame:
    """What filters make of a picture, or the first of them of two."""
    graph = Graph()
    sources = [
        graph.add(
            "buffer",
            f"video_size={each.width}x{each.height}:pix_fmt={each.format.name}:time_base=1/1000"
            f":colorspace={int(each.colorspace)}:range={int(each.color_range)}",
        )
        for each in frames
    ]
    last = sources[0]
    for number, (name, arguments) in enumerate([*chain, ("format", pixels)]):
        node = graph.add(name, arguments)
        last.link_to(node)
        if number == 0 and len(sources) > 1:
            sources[1].link_to(node, 0, 1)
        last = node
    last.link_to(graph.add("buffersink"))
    graph.configure()
    for source, frame in zip(sources, frames, strict=True):
        pts, frame.pts = frame.pts, 0
        source.push(frame)
        frame.pts = pts
        source.push(None)
    made = graph.vpull()
    assert isinstance(made, av.VideoFrame)
    return made
