"""Files on their way from one machine to another: named by what is in them, and checked on arrival."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from filmfs.core.errors import Corrupt

_PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class Parcel:
    """A file that is to arrive: its name in the folder, its size, and the BLAKE3 of its bytes."""

    name: str
    size: int
    digest: bytes


def wrap(folder: str, names: Iterable[str]) -> tuple[Parcel, ...]:
    """What files of a folder must be where they arrive."""
    return tuple(_wrapped(Path(folder, name)) for name in names)


def receive(folder: str, parcel: Parcel, read: Callable[[int, int], bytes]) -> None:
    """Writes a file into a folder, of what `read(offset, length)` gives; it has its name only when it is whole.

    Raises Corrupt when it is not what was sent, and leaves nothing then.
    """
    if parcel.name != os.path.basename(parcel.name) or parcel.name.startswith(".") or not parcel.name:
        raise Corrupt(f"a worker sent a file with the name {parcel.name!r}")
    part = os.path.join(folder, parcel.name + ".part")
    try:
        with open(part, "wb") as file:
            _copy(parcel, read, file.write)
        os.rename(part, os.path.join(folder, parcel.name))
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _copy(parcel: Parcel, read: Callable[[int, int], bytes], write: Callable[[bytes], object]) -> None:
    hashed, at = blake3(), 0
    while at < parcel.size:
        data = read(at, min(_PIECE, parcel.size - at))
        if not data or len(data) > parcel.size - at:
            raise Corrupt(f"{parcel.name} arrived with another length than it was sent with")
        hashed.update(data)
        write(data)
        at += len(data)
    if hashed.digest() != parcel.digest:
        raise Corrupt(f"{parcel.name} arrived with other bytes than it was sent with")


def _wrapped(path: Path) -> Parcel:
    # Not mapped into memory: Dask would take that for the worker's own and end it.
    hashed, size = blake3(), 0
    with open(path, "rb") as file:
        while data := file.read(_PIECE):
            hashed.update(data)
            size += len(data)
    return Parcel(path.name, size, hashed.digest())
