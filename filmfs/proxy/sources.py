"""How a worker in another process opens an original: a value that can be sent there."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol


class Source(Protocol):
    """An original, wherever it is. A plain value."""

    def open(self) -> str | BinaryIO:
        """What PyAV can open; a file is the caller's to close."""


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file, or an address that FFmpeg reads (http://…)."""

    path: str

    def open(self) -> str:
        """See Source."""
        return self.path
