"""Recipes: what a proxy is, as data. A proxy is known by its original's content and the recipe's identity.

Sizes are exact fractions of the original's, so that editors can scale back without a rest; the shape of its points
stays.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from filmfs.core.models import ProxyResolution

MADE_BY = 1
"""Counts what the makers make of the same recipe: other bytes, another number."""

_BT709, _UNSPECIFIED = 1, 2
_SD_LINES = 576
_ONLY_BT709 = ("dnxhd",)  # encoders that write into each picture that its matrix is BT.709's


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a rendition is made.

    `scale` is its size to the original's; where that has more than `lines_max` lines, it is halved until it has not.
    `picture` and `sound` are encoders by FFmpeg's names, `deep_sound` the one for sound of more than 16 bits. A group
    of pictures lasts `group_s` seconds; 0 where each picture stands by itself. `channels_max` None: all tracks and
    channels as the original has them; else one track of as many. Where the size is less than `least`, which is as small
    as the encoder goes, or its numbers mean what the encoder cannot say, pictures are coded as `instead` says.
    """

    name: str
    scale: Fraction
    suffix: str
    picture: str
    pixels: str
    sound: str
    deep_sound: str
    group_s: Fraction = Fraction(0)
    picture_options: tuple[tuple[str, str], ...] = ()
    sound_options: tuple[tuple[str, str], ...] = ()
    sound_bit_rate: int | None = None  # of a channel
    channels_max: int | None = None
    lines_max: int | None = None
    stills: tuple[str, ...] = ()  # what is made of its pictures besides: `poster`, `filmstrip`
    least: tuple[int, int] = (2, 2)
    instead: "Recipe | None" = None

    @property
    def identity(self) -> str:
        """All that the bytes depend on besides the original, as text."""
        said = (getattr(self, name) for name in self.__slots__ if name != "name")
        return f"proxy {MADE_BY} " + " ".join(map(str, said))

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The rendition's size for an original of this size: each side the nearest even number, the larger of two."""
        scale = self.scale
        while self.lines_max is not None and height * scale > self.lines_max:
            scale /= 2
        return even(width * scale), even(height * scale)

    def fit_for(self, width: int, height: int, matrix: int = _BT709) -> "Recipe":
        """The recipe that makes it of an original of this size, whose numbers have a matrix (ITU-T H.273)."""
        size = self.size(width, height)
        is_small = size[0] < self.least[0] or size[1] < self.least[1]
        is_bt709 = matrix == _BT709 or (matrix == _UNSPECIFIED and height > _SD_LINES)  # as players take it
        if self.instead is None or not (is_small or (self.picture in _ONLY_BT709 and not is_bt709)):
            return self
        other = self.instead
        return replace(self, picture=other.picture, pixels=other.pixels, picture_options=other.picture_options)

    def group(self, rate: Fraction) -> int:
        """How many frames a group of pictures has at a rate; 1 where each stands by itself."""
        return max(1, round(self.group_s * rate))


def even(length: Fraction) -> int:
    """The even number nearest to a length, the larger where there are two; 2 at least."""
    return max(2, int((length + 1) // 2) * 2)


# Without B-frames and changes of scene, so that every group is closed and as long as the others.
_WEB = (("preset", "ultrafast"), ("bf", "0"), ("sc_threshold", "0"))
_AAC = (("aac_coder", "fast"),)

THUMBNAIL = Recipe(
    "thumbnail",
    Fraction(1, 8),
    ".mp4",
    "libx264",
    "yuv420p",
    "aac",
    "aac",
    group_s=Fraction(1),
    picture_options=(*_WEB, ("crf", "25")),
    sound_options=_AAC,
    sound_bit_rate=64_000,
    channels_max=2,
    stills=("poster", "filmstrip"),
)
# The sound is the thumbnail's, so that it is encoded once.
PREVIEW = replace(THUMBNAIL, name="preview", scale=Fraction(1, 4), picture_options=(*_WEB, ("crf", "23")), stills=())
EDITORIAL_PRORES = Recipe(
    "editorial",
    Fraction(1, 2),
    ".mov",
    "prores_aw",
    "yuv422p10le",
    "pcm_s16le",
    "pcm_s24le",
    picture_options=(("profile", "0"),),
    lines_max=1080,
)
EDITORIAL_H264 = replace(EDITORIAL_PRORES, picture="libx264", pixels="yuv420p", picture_options=(*_WEB, ("crf", "20")))
EDITORIAL = replace(
    EDITORIAL_PRORES,
    picture="dnxhd",
    pixels="yuv422p",
    picture_options=(("profile", "dnxhr_lb"),),
    least=(256, 120),
    instead=EDITORIAL_PRORES,
)
RECIPES = {
    ProxyResolution.THUMBNAIL: THUMBNAIL,
    ProxyResolution.PREVIEW: PREVIEW,
    ProxyResolution.EDITORIAL: EDITORIAL,
}
