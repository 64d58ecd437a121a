"""How a record is written: a version, msgpack, and a checksum over key and payload.

    byte 0         RECORD_VERSION
    bytes 1 … n-9  msgpack of plain values (None, bool, int, str, bytes, list, dict)
    last 8 bytes   the first 8 bytes of BLAKE3 over table name, NUL, key and all bytes before

The key is under the checksum, so a record that LMDB hands out for another key is refused like a flipped bit.
"""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgpack
from blake3 import blake3

from filmfs.core.errors import Corrupt

RECORD_VERSION = 1
_CHECKSUM = 8
_HEAD = bytes([RECORD_VERSION])
_PACKER = msgpack.Packer(use_bin_type=True)  # for all threads: it packs a value without giving the interpreter away
_HEAD_OF_NONE = _HEAD + b"\xc0"


def pack(table: bytes, key: bytes, value: Any) -> bytes:
    """The stored form of `value` under `key` of `table`."""
    body = _HEAD_OF_NONE if value is None else _HEAD + canonical(value)
    return body + blake3(table + b"\0" + key + body).digest(_CHECKSUM)


def unpack(table: bytes, key: bytes, raw: bytes) -> Any:
    """The value that pack() stored. Raises Corrupt when any byte of it, or its key, is not what was written."""
    body = raw[:-_CHECKSUM]
    if not body or blake3(table + b"\0" + key + body).digest(_CHECKSUM) != raw[-_CHECKSUM:]:
        raise Corrupt(f"a record of the table {table.decode()} is damaged (key {key.hex()})")
    if body[0] != RECORD_VERSION:
        raise Corrupt(f"a record of the table {table.decode()} has version {body[0]}, not {RECORD_VERSION}")
    try:
        return msgpack.unpackb(body[1:], strict_map_key=False)
    except (ValueError, msgpack.UnpackException, msgpack.ExtraData) as error:
        raise Corrupt(f"a record of the table {table.decode()} cannot be read ({error})") from error


def canonical(value: Any) -> bytes:
    """One byte string for a value of lists, ints, bytes, str and None: what an id may be computed over."""
    packed: bytes = _PACKER.pack(value)
    return packed


def write_frames(file: BinaryIO, values: Iterable[Any]) -> None:
    """Writes plain values one after another, for `read_frames`."""
    for value in values:
        file.write(canonical(value))


def read_frames(file: BinaryIO) -> Iterator[Any]:
    """The values that write_frames() wrote. Raises Corrupt."""
    try:
        yield from msgpack.Unpacker(file, raw=False, strict_map_key=False, max_buffer_size=1 << 30)
    except (ValueError, msgpack.UnpackException) as error:
        raise Corrupt(f"a list of new files cannot be read ({error})") from error
