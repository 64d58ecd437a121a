"""Keeps a log from growing by what is said again and again: each second, or at each read of a damaged file."""

import logging
import time
from collections import OrderedDict
from math import inf

_WINDOW_S = 60.0
_KNOWN = 1000


class Repeats(logging.Filter):
    """Lets a message through once a minute; the next time it says how often it was left out."""

    def __init__(self, window_s: float = _WINDOW_S) -> None:
        super().__init__()
        self._window_s = window_s
        self._said: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # told by who writes it
            return True
        key = record.name, text, repr(record.exc_info[1]) if record.exc_info else ""
        now = time.monotonic()
        since, left_out = self._said.pop(key, (-inf, 0))
        if now - since < self._window_s:
            self._said[key] = since, left_out + 1
            return False
        self._said[key] = now, 0
        if len(self._said) > _KNOWN:
            self._said.popitem(last=False)
        if left_out:
            record.msg, record.args = f"{text} (and {left_out} times more before)", None
        return True
