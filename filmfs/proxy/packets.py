"""Encoded pictures or sound as bytes: what one worker makes and another puts into a file.

    "filmfs packets 1\\n", extradata's length (u32) and bytes, then for each packet:
    time (i64), duration (i64), 1 if decoding can begin with it (u8), length (u32), bytes

All numbers are little-endian; times are in the units of the stream that they are for.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from filmfs.core.errors import Corrupt

_MAGIC = b"filmfs packets 1\n"
_LENGTH = struct.Struct("<I")
_HEAD = struct.Struct("<qqBI")
_MOST = 1 << 30


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet."""

    time: int
    duration: int
    is_key: bool
    data: bytes


class PacketWriter:
    """Writes packets to a file."""

    def __init__(self, file: BinaryIO, extradata: bytes) -> None:
        self._file = file
        file.write(_MAGIC + _LENGTH.pack(len(extradata)) + extradata)

    def put(self, packet: Coded) -> None:
        """Adds one."""
        self._file.write(_HEAD.pack(packet.time, packet.duration, packet.is_key, len(packet.data)))
        self._file.write(packet.data)


class PacketReader:
    """Packets of a file, one after another. Raises Corrupt when it is no such file or is cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        if self._read(len(_MAGIC)) != _MAGIC:
            raise Corrupt("what a worker made is no file of packets")
        self.extradata = self._read(self._length())

    def __iter__(self) -> Iterator[Coded]:
        while head := self._file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise Corrupt("what a worker made was cut off")
            time, duration, is_key, length = _HEAD.unpack(head)
            yield Coded(time, duration, bool(is_key), self._read(length))

    def _length(self) -> int:
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        return int(length)

    def _read(self, length: int) -> bytes:
        data = self._file.read(length) if length <= _MOST else b""
        if len(data) < length:
            raise Corrupt("what a worker made was cut off")
        return data
