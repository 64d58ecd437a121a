"""Damage to films: the places where a parser believes what it is told are hit most."""

import random
import struct

_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(data: bytes, chance: random.Random, *, is_mxf: bool = False) -> bytes:
    """The same with one to six wounds."""
    wounded, wounds = bytearray(data), _MXF_WOUNDS if is_mxf else _WOUNDS
    for _ in range(chance.randint(1, 6)):
        if not wounded:
            break
        wounds[chance.randrange(len(wounds))](wounded, chance)
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


def _label(data: bytearray, chance: random.Random) -> int:
    """Where one of the universal labels is; -1 for none."""
    found = [at for at in range(len(data) - 3) if data[at : at + 4] == b"\x06\x0e\x2b\x34"]
    return chance.choice(found) if found else -1


def _length(data: bytearray, chance: random.Random) -> None:
    """The BER length behind a label."""
    at = _label(data, chance)
    if 0 <= at <= len(data) - 26:
        width = chance.choice((0, 1, 3, 4, 8, 9, 0x7F))
        struct.pack_into(">BQ", data, at + 16, 0x80 | width, chance.choice((0, 1, 1 << 24, 1 << 63, (1 << 64) - 1)))


def _key(data: bytearray, chance: random.Random) -> None:
    """Something is said to be something else: a pack, a set, a piece of essence."""
    at = _label(data, chance)
    if 0 <= at <= len(data) - 16:
        data[at + chance.randrange(4, 16)] = chance.choice(
            (0, 1, 2, 3, 4, 5, 6, 0x0F, 0x11, 0x14, 0x15, 0x16, 0x3B, 0x53)
        )


def _item(data: bytearray, chance: random.Random) -> None:
    """The tag, the length or the value of an item of a local set."""
    tag = struct.pack(">H", chance.choice(_TAGS))
    at = data.find(tag, chance.randrange(max(len(data), 1)))
    if 0 <= at <= len(data) - 12:
        width = struct.unpack_from(">H", data, at + 2)[0]
        wound = chance.randrange(4)
        if wound == 0:
            struct.pack_into(">H", data, at, chance.choice(_TAGS))
        elif wound == 1:
            struct.pack_into(">H", data, at + 2, chance.choice((0, 1, width - 1 & 0xFFFF, 8, 0xFFFF)))
        else:
            number = chance.choice((0, 1, 2, 1 << 31, 1 << 32, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1))
            size = min(width, 8, len(data) - at - 4)
            data[at + 4 : at + 4 + size] = number.to_bytes(8, "big")[8 - size :]


def _offset(data: bytearray, chance: random.Random) -> None:
    """A number of 64 bits in a partition pack."""
    at = data.find(b"\x0d\x01\x02\x01\x01", chance.randrange(max(len(data), 1)))
    if 0 <= at <= len(data) - 110:
        place = at + chance.choice((12, 20, 28, 36, 44, 52, 64))
        struct.pack_into(">Q", data, place, chance.choice((0, 1, 17, 512, len(data), 1 << 32, 1 << 63, (1 << 64) - 1)))


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

_TAGS = (
    *(0x3C0A, 0x0201, 0x0202, 0x1001, 0x1101, 0x1102, 0x1201, 0x1501, 0x1502, 0x1503, 0x1901, 0x1902, 0x2701, 0x3001),
    *(0x3002, 0x3004, 0x3006, 0x3F01, 0x3F05, 0x3F06, 0x3F07, 0x3F08, 0x3F09, 0x3F0A, 0x3F0B, 0x3F0C, 0x3F0D, 0x4401),
    *(0x4403, 0x4701, 0x4801, 0x4803, 0x4804, 0x4B01, 0x4B02, 0x3201, 0x3202, 0x3203, 0x320C, 0x320E, 0x3D01, 0x3D03),
    *(0x3D07, 0x3D0A),
)
_MXF_WOUNDS = (_number, _length, _length, _key, _key, _item, _item, _item, _item, _offset, _byte, _cut, _hole, _repeat)
