"""What lies beside a film and says when it begins: Sony's NonRealTimeMeta and Avid log exchange files.

    C0001M01.XML    <LtcChangeTable tcFps="30" halfStep="true"> <LtcChange frameCount="0" value="52023422" …/>
                    value: frames, seconds, minutes, hours in BCD with the flags of SMPTE ST 12-1 (0x40 of the frames is
                    drop-frame); halfStep: each label is two frames, and the field mark says the second of them
    day1.ale        Heading (FPS, tab, 24), Column (names, tabs between), Data (rows)

Sony documents neither the table nor its value: CommandPost #3154 has both beside what DaVinci Resolve shows. Columns
of ALE files have many names; those read are in `_STARTS`, `_REELS` and `_NAMES`. XML comes from anywhere, so document
types and entities are refused, and so are files larger than any of these are.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from xml.parsers import expat

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.said import Said, label_of_bcd, label_of_pair
from filmfs.core.smpte import exact_rate, read_label

SIDECAR_MAX = 16 << 20
_XML_MAX, _ROWS_MAX = 2 << 20, 100_000
_ROOT, _TABLE, _CHANGE = "NonRealTimeMeta", "LtcChangeTable", "LtcChange"
_STARTS = ("start", "tc start", "start tc", "src start tc", "source start tc", "source tc start", "timecode start")
_REELS = ("tape", "reel", "tape name", "reel name", "tape id", "source tape")
_NAMES = ("source file", "source file name", "filename", "file name", "name", "clip name", "clip")


def read_sony_xml(data: bytes) -> Said | None:
    """The first label of a NonRealTimeMeta document; None where it is none, or has none. Raises BadMedia."""
    if len(data) > _XML_MAX:
        raise BadMedia(f"the XML has {len(data)} bytes")
    table = _LtcTable()
    parser = expat.ParserCreate()
    parser.StartElementHandler = table.start
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise BadMedia(f"the XML cannot be read: {error}") from error
    return table.said if table.is_sony else None


def _refuse(*_: object) -> int:
    raise BadMedia("the XML has a document type or entities")


class _LtcTable:
    """Looks for the table's first change."""

    def __init__(self) -> None:
        self.is_sony = False
        self.said: Said | None = None
        self._root_seen = False
        self._rate: Fraction | None = None
        self._is_half_step = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = element.rpartition(":")[2]
        if not self._root_seen:
            self._root_seen, self.is_sony = True, name == _ROOT
        elif name == _TABLE:
            text = attributes.get("tcFps", "")
            self._rate = Fraction(int(text)) if re.fullmatch(r"[1-9]\d?", text, re.ASCII) else None
            self._is_half_step = attributes.get("halfStep") == "true"
        elif name == _CHANGE and self.said is None and attributes.get("frameCount") == "0" and self._rate is not None:
            self.said = self._said(attributes.get("value", ""))

    def _said(self, value: str) -> Said | None:
        assert self._rate is not None
        if not re.fullmatch(r"[0-9A-Fa-f]{8}", value, re.ASCII):
            return _said_by(value, self._rate)  # some bodies write it as a label
        frames, seconds, minutes, hours = bytes.fromhex(value)
        label = label_of_bcd(frames, seconds, minutes, hours)
        if label is None or not self._is_half_step:
            return None if label is None else Said(label, self._rate)
        return Said(label_of_pair(label, seconds, hours, int(self._rate)), self._rate * 2)


def read_ale(data: bytes) -> dict[str, Said]:
    """The start of each clip of an Avid log exchange file, by its names; those that two rows claim are left out.

    Raises BadMedia when it is none.
    """
    if len(data) > SIDECAR_MAX:
        raise BadMedia(f"the ALE has {len(data)} bytes")
    lines = iter(_lines(data))
    rate = _heading_rate(lines)
    columns = [name.strip().casefold() for name in next(lines, "").split("\t")]
    if not any(line.strip().casefold() == "data" for line in lines):
        raise BadMedia("the ALE has no Data")
    found: dict[str, Said] = {}
    twice: set[str] = set()
    for number, line in enumerate(filter(None, lines)):
        if number == _ROWS_MAX:
            raise BadMedia("the ALE has more rows than any has clips")
        row = dict(zip(columns, (value.strip() for value in line.split("\t")), strict=False))
        said = _said_by(_first(row, _STARTS), _rate(_first(row, ("fps", "frame rate"))) or rate, _first(row, _REELS))
        for name in {row[column] for column in _NAMES if row.get(column)} if said is not None else ():
            assert said is not None
            if found.setdefault(name, said) != said:
                twice.add(name)
    return {name: said for name, said in found.items() if name not in twice}


def find_clip(clips: dict[str, Said], name: str) -> Said | None:
    """The clip that a file is, by its whole name or without its suffix; None where two are of that name."""
    stem = name.rpartition(".")[0] or name
    for wanted in (name, stem):
        if wanted in clips:
            return clips[wanted]
    folded = {name.casefold(), stem.casefold()}
    alike = {said for each, said in clips.items() if each.casefold() in folded}
    return alike.pop() if len(alike) == 1 else None


def _lines(data: bytes) -> list[str]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    return re.split(r"\r\n|\r|\n", text)


def _heading_rate(lines: Iterator[str]) -> Fraction | None:
    """Reads up to the line `Column`; the FPS of the heading."""
    rate = None
    if next(lines, "").strip().casefold() != "heading":
        raise BadMedia("the file is no ALE: it does not begin with Heading")
    for line in lines:
        key, _, value = line.partition("\t")
        if key.strip().casefold() == "column":
            return rate
        if key.strip().casefold() == "fps":
            rate = _rate(value)
    raise BadMedia("the ALE has no Column")


def _first(row: dict[str, str], columns: tuple[str, ...]) -> str:
    return next((row[column] for column in columns if row.get(column)), "")


def _rate(text: str) -> Fraction | None:
    found = re.match(r"\s*(\d{1,4}(?:\.\d{1,6})?)", text, re.ASCII)
    try:
        return exact_rate(found[1]) if found is not None else None
    except BadTimecode:
        return None


def _said_by(text: str, rate: Fraction | None, reel: str = "") -> Said | None:
    try:
        label = read_label(text)
    except BadTimecode:
        return None
    return Said(label, rate, reel or None)
