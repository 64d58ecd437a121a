"""Damage to films: the places where a parser believes what it is told are hit most."""

import random
import struct

_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The same with one to six wounds."""
    wounded = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        if not wounded:
            break
        _WOUNDS[chance.randrange(len(_WOUNDS))](wounded, chance)
    return bytes(wounded)


def _number(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(0, max(len(data) - 4, 1))
    struct.pack_into(">I", data, at, chance.choice(_NUMBERS)) if len(data) >= 4 else None


def _box_size(data: bytearray, chance: random.Random) -> None:
    """The size before a four-character code."""
    at = data.find(
        bytes(chance.choice((b"tra", b"stb", b"sts", b"stt", b"mdi", b"min", b"stc", b"ctt", b"els", b"moo")))
    )
    if at >= 4:
        struct.pack_into(">I", data, at - 4, chance.choice((*_NUMBERS, len(data), at)))


def _large_size(data: bytearray, chance: random.Random) -> None:
    at = data.find(chance.choice((b"moov", b"trak", b"stbl", b"mdia")))
    if at >= 4 and at + 12 < len(data):
        struct.pack_into(">I", data, at - 4, 1)
        struct.pack_into(">Q", data, at + 4, chance.choice((0, 15, 16, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)))


def _byte(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] = chance.randrange(256)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _hole(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.randint(1, 64)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.randint(1, 256)]


_WOUNDS = (_number, _number, _number, _box_size, _box_size, _large_size, _byte, _cut, _hole, _repeat)
