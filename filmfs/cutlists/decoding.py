"""The text of a cut list: bytes of any of the ways that editing systems write them."""

import codecs
import re

from filmfs.core.errors import BadCutList

SIZE_MAX = 10 << 20
LINE_MAX, LINES_MAX = 8192, 500_000
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")


def text_of(data: bytes | str) -> str:
    """The text: UTF-8, UTF-16 or, what is neither, Windows' Latin. Raises BadCutList past 10 MiB."""
    if len(data) > SIZE_MAX:
        raise BadCutList(f"the cut list is larger than {SIZE_MAX >> 20} MiB")
    return data.removeprefix("\ufeff") if isinstance(data, str) else decoded(data)


def lines_of(text: str) -> list[str]:
    """Its lines, however they end. Raises BadCutList for a length that no editing system writes."""
    lines = _LINE_END.split(text)
    if len(lines) > LINES_MAX:
        raise BadCutList(f"the cut list has more than {LINES_MAX:,} lines")
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_MAX:
            raise BadCutList(f"line {number} has more than {LINE_MAX} characters: this is no cut list")
    return lines


def decoded(data: bytes) -> str:
    """Bytes as text, whatever they are."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    if data[1:2] == b"\0" or data[:1] == b"\0":  # a list begins with a letter or a digit, half of it in UTF-16
        return data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be", errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
