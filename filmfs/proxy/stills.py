"""Stills of a film: which of its pictures they show, how large, and the files of them.

A poster shows one picture, a filmstrip up to a hundred on one sheet, evenly spread over the film. Both are upright,
with points as wide as they are high.
"""

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction

from filmfs.core.errors import Corrupt
from filmfs.proxy.bitmaps import Bitmap, Matrix, jpeg, length, sheet, upright_size
from filmfs.proxy.checking import HEIGHT, WIDTH, signature
from filmfs.proxy.fitting import Fitter
from filmfs.proxy.originals import Picture
from filmfs.proxy.recipes import Recipe, even

COLUMNS, ROWS = 10, 10
_POSTER = Fraction(1, 4)  # of the original's size
_POSTER_LEAST = 270  # points of its shorter side, where the original has them
_POSTER_PLACES = tuple(Fraction(place, 10) for place in (1, 3, 5, 7, 9))
_DARK = 48  # of luma from 16 to 235
_SHAPES = (Fraction(1, 4), Fraction(4))  # what is said beyond is no shape of points that anybody made

Size = tuple[int, int]


class StillKind(StrEnum):
    """Stills by their names in recipes."""

    POSTER = "poster"
    FILMSTRIP = "filmstrip"


@dataclass(frozen=True, slots=True)
class Still:
    """A JPEG file: tiles of one size from left to right and top to bottom; those behind `frames` are black.

    `frames` numbers the film's pictures that it shows; there are none in a picture of sound.
    """

    kind: StillKind
    path: str
    size: Size
    frames: tuple[int, ...] = ()
    columns: int = 1
    rows: int = 1

    @property
    def tile(self) -> Size:
        """The size of each."""
        return self.size[0] // self.columns, self.size[1] // self.rows

    def place(self, number: int) -> Size:
        """Where a tile's upper left corner is."""
        row, column = divmod(number, self.columns)
        return column * self.tile[0], row * self.tile[1]


@dataclass(frozen=True, slots=True)
class StillsPlan:
    """Pictures of a film by number: of `candidates` one becomes the poster, `tiles` the filmstrip.

    The sizes are those of what is shown, after the display matrix `turned`.
    """

    poster: Size
    candidates: tuple[int, ...]
    tile: Size
    tiles: tuple[int, ...]
    turned: Matrix | None

    @property
    def sizes(self) -> tuple[Size, Size]:
        """The poster's and a tile's, before they are turned."""
        return upright_size(*self.poster, self.turned), upright_size(*self.tile, self.turned)

    def within(self, first: int, end: int) -> "StillsPlan":
        """What there is to do of it in pictures first up to end."""

        def inside(numbers: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(number for number in numbers if first <= number < end)

        return replace(self, candidates=inside(self.candidates), tiles=inside(self.tiles))


def plan_stills(
    picture: Picture, recipe: Recipe, times: Sequence[tuple[int, int]], unit: Fraction
) -> StillsPlan | None:
    """The stills of a recipe, if it has some; (time, duration) of each picture, in units of so many seconds."""
    if not recipe.stills:
        return None
    low, high = _SHAPES
    shape = picture.shape if picture.shape is not None and low <= picture.shape <= high else Fraction(1)
    width, height = round(picture.width * shape), picture.height
    candidates = pictures_at(times, _POSTER_PLACES) if StillKind.POSTER in recipe.stills else ()
    tiles: tuple[int, ...] = ()
    if StillKind.FILMSTRIP in recipe.stills:
        seconds = int((times[-1][0] + times[-1][1] - times[0][0]) * unit)
        count = min(COLUMNS * ROWS, max(1, seconds))
        tiles = pictures_at(times, (Fraction(2 * number + 1, 2 * count) for number in range(count)))
    turned = picture.turned
    return StillsPlan(
        upright_size(*poster_size(width, height), turned),
        candidates,
        upright_size(*recipe.size(width, height), turned),
        tiles,
        turned,
    )


def pictures_at(times: Sequence[tuple[int, int]], places: Iterable[Fraction]) -> tuple[int, ...]:
    """The pictures that are shown at parts (0 to 1) of the film's length, each once."""
    starts = [time for time, _ in times]
    whole = times[-1][0] + times[-1][1] - starts[0]
    return tuple(dict.fromkeys(max(0, bisect_right(starts, starts[0] + place * whole) - 1) for place in places))


def poster_size(width: int, height: int) -> Size:
    """A quarter of the original's; of a small original a half or all of it."""
    scale = _POSTER
    while scale < 1 and min(width, height) * scale < _POSTER_LEAST:
        scale *= 2
    return even(width * scale), even(height * scale)


def choose_poster(lights: Mapping[int, int], damaged: Iterable[int] = ()) -> int:
    """The earliest picture that is not dark, of those that are whole if there are any; of dark ones the lightest.

    `lights` are the pictures' by number, as `light` says.
    """
    whole = {number: light for number, light in lights.items() if number not in set(damaged)} or lights
    return min(whole, key=lambda number: (-min(whole[number], _DARK), number))


def light(luma: Sequence[int]) -> int:
    """How light the lightest tenth of a picture is, at least: luma of 16 to 235."""
    return sorted(luma)[len(luma) * 9 // 10]


def grid(tiles: int) -> Size:
    """Columns and rows for so many tiles."""
    columns = min(COLUMNS, tiles)
    return columns, -(-tiles // columns)


class StillsKeeper:
    """Keeps what the stills of a film show of a span in two files: candidates for the poster, and tiles.

    They are bitmaps in order, with nothing between them. `lights` are those of the candidates.
    """

    def __init__(self, plan: StillsPlan, folder: str, name: str) -> None:
        self._plan = plan
        self.names = f"{name}-poster", f"{name}-tiles"
        self._candidates, self._tiles = (open(os.path.join(folder, each), "wb") for each in self.names)  # noqa: SIM115
        self.lights: dict[int, int] = {}

    def __enter__(self) -> "StillsKeeper":
        return self

    def __exit__(self, *_: object) -> None:
        self._candidates.close()
        self._tiles.close()

    def see(self, number: int, fitter: Fitter) -> None:
        """Keeps a picture, which is the fitter's last, if a still may show it."""
        poster, tile = self._plan.sizes
        if number in self._plan.candidates:
            self._candidates.write(self._bitmap(fitter, poster))
            self.lights[number] = light(signature(fitter.small(WIDTH, HEIGHT)))
        if number in self._plan.tiles:
            self._tiles.write(self._bitmap(fitter, tile))

    def _bitmap(self, fitter: Fitter, size: Size) -> bytes:
        return Bitmap.of_frame(fitter.still(*size)).upright(self._plan.turned).to_bytes()


def finished_stills(plan: StillsPlan, poster: int | None, paths: Iterable[str]) -> tuple[Still, ...]:
    """What a plan says of its files: the poster, which shows a picture, and the filmstrip; as far as there are any."""
    files, made = iter(paths), []
    if poster is not None:
        made.append(Still(StillKind.POSTER, next(files), plan.poster, (poster,)))
    if plan.tiles:
        columns, rows = grid(len(plan.tiles))
        size = plan.tile[0] * columns, plan.tile[1] * rows
        made.append(Still(StillKind.FILMSTRIP, next(files), size, plan.tiles, columns, rows))
    return tuple(made)


def poster_file(plan: StillsPlan, paths: Iterable[str], number: int) -> bytes:
    """The JPEG of a candidate, of the files in which all of them are kept, one after another. Raises Corrupt."""
    for candidate, bitmap in zip(plan.candidates, _kept(paths, plan.poster), strict=False):
        if candidate == number:
            return jpeg(bitmap)
    raise Corrupt("what a worker kept of a picture is not there")


def filmstrip_file(plan: StillsPlan, paths: Iterable[str]) -> bytes:
    """The JPEG of the filmstrip, of the files in which all tiles are kept, one after another. Raises Corrupt."""
    tiles = list(_kept(paths, plan.tile))
    if len(tiles) != len(plan.tiles):
        raise Corrupt(f"workers kept {len(tiles)} pictures of a filmstrip, and not {len(plan.tiles)}")
    return jpeg(sheet(tiles, *grid(len(tiles))))


def _kept(paths: Iterable[str], size: Size) -> Iterator[Bitmap]:
    """Bitmaps of files that have nothing else in them."""
    for path in paths:
        with open(path, "rb") as file:
            while data := file.read(length(*size)):
                yield Bitmap.of_bytes(*size, data)
