"""Light of any primaries as light of BT.709's: a matrix for R, G and B, by the chromaticities that a file says.

RGB to XYZ by SMPTE RP 177; another white than D65 is adapted by Bradford's matrix (ICC.1:2010, annex E), as whoever
grades would see it.
"""

from math import isfinite

Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]
Chromaticities = tuple[float, ...]
"""x and y of red, green, blue and white."""

BT709: Chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
_SAME = 0.0006  # some write fewer digits
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_LEAST = 1e-6
_MOST = 4.0  # of a matrix between primaries that anybody uses


def to_bt709(said: Chromaticities) -> Matrix | None:
    """What light of such primaries is to be multiplied with; None where that is nothing, or they make no sense."""
    if len(said) != 8 or not all(isfinite(each) and abs(each) <= 2 for each in said):
        return None
    if all(abs(one - other) <= _SAME for one, other in zip(said, BT709, strict=True)):
        return None
    own, target = _to_xyz(said), _to_xyz(BT709)
    adapted = _adaptation(_white(said), _white(BT709)) if own is not None else None
    if own is None or target is None or adapted is None:
        return None
    inverse = _inverse(target)
    made = _times(inverse, _times(adapted, own)) if inverse is not None else None
    return made if made is not None and all(abs(each) <= _MOST for row in made for each in row) else None


def _white(said: Chromaticities) -> Row:
    x, y = said[6:]
    return x / y, 1.0, (1 - x - y) / y


def _to_xyz(said: Chromaticities) -> Matrix | None:
    if abs(said[7]) < _LEAST:
        return None
    columns = [(said[at], said[at + 1], 1 - said[at] - said[at + 1]) for at in (0, 2, 4)]
    primaries: Matrix = tuple(zip(*columns, strict=True))  # type: ignore[assignment]
    inverse = _inverse(primaries)
    if inverse is None:
        return None
    scale = _apply(inverse, _white(said))
    return tuple(tuple(each * by for each, by in zip(row, scale, strict=True)) for row in primaries)  # type: ignore[return-value]


def _adaptation(white: Row, target: Row) -> Matrix | None:
    inverse = _inverse(_BRADFORD)
    one, other = _apply(_BRADFORD, white), _apply(_BRADFORD, target)
    if inverse is None or any(abs(each) < _LEAST for each in one):
        return None
    ratios = [to / of for of, to in zip(one, other, strict=True)]
    scaled = tuple(tuple(ratio * each for each in row) for ratio, row in zip(ratios, _BRADFORD, strict=True))
    return _times(inverse, scaled)  # type: ignore[arg-type]


def _apply(matrix: Matrix, vector: Row) -> Row:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)  # type: ignore[return-value]


def _times(one: Matrix, other: Matrix) -> Matrix:
    columns = list(zip(*other, strict=True))
    return tuple(tuple(sum(a * b for a, b in zip(row, column, strict=True)) for column in columns) for row in one)  # type: ignore[return-value]


def _inverse(matrix: Matrix) -> Matrix | None:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < _LEAST:
        return None
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple(tuple(each / determinant for each in row) for row in rows)  # type: ignore[return-value]
