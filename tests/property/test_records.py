"""Records: what is packed comes back, and anything else is refused."""

import io
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import assume, given
from hypothesis import strategies as st

from filmfs.core.errors import Corrupt
from filmfs.store.database import TABLES
from filmfs.store.records import RECORD_VERSION, canonical, pack, read_frames, unpack, write_frames

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | texts | st.binary(max_size=24)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(texts | st.binary(max_size=8) | st.integers(0, 99), inner)
    ),
    max_leaves=12,
)
tables = st.sampled_from(TABLES)
keys = st.binary(min_size=1, max_size=40)


@given(tables, keys, values)
def test_what_was_packed_comes_back(table: bytes, key: bytes, value: Any) -> None:
    assert unpack(table, key, pack(table, key, value)) == value


@given(tables, keys, values)
def test_every_flipped_bit_is_refused(table: bytes, key: bytes, value: Any) -> None:
    raw = pack(table, key, value)
    for position in range(len(raw)):
        for bit in range(8):
            damaged = bytearray(raw)
            damaged[position] ^= 1 << bit
            with pytest.raises(Corrupt):
                unpack(table, key, bytes(damaged))


@given(tables, keys, values, st.data())
def test_every_changed_byte_is_refused(table: bytes, key: bytes, value: Any, data: st.DataObject) -> None:
    raw = pack(table, key, value)
    for position in range(len(raw)):
        damaged = bytearray(raw)
        damaged[position] ^= data.draw(st.integers(1, 255))
        with pytest.raises(Corrupt):
            unpack(table, key, bytes(damaged))


@given(tables, keys, values)
def test_every_truncation_is_refused(table: bytes, key: bytes, value: Any) -> None:
    raw = pack(table, key, value)
    for length in range(len(raw)):
        with pytest.raises(Corrupt):
            unpack(table, key, raw[:length])


@given(tables, keys, values, st.binary(min_size=1, max_size=8))
def test_every_extension_is_refused(table: bytes, key: bytes, value: Any, more: bytes) -> None:
    raw = pack(table, key, value)
    for extended in (raw + more, more + raw):
        with pytest.raises(Corrupt):
            unpack(table, key, extended)


@given(tables, keys, keys, values)
def test_a_record_is_refused_under_another_key(table: bytes, key: bytes, other: bytes, value: Any) -> None:
    assume(key != other)
    with pytest.raises(Corrupt):
        unpack(table, other, pack(table, key, value))


@given(tables, tables, keys, values)
def test_a_record_is_refused_in_another_table(table: bytes, other: bytes, key: bytes, value: Any) -> None:
    assume(table != other)
    with pytest.raises(Corrupt, match=other.decode()):
        unpack(other, key, pack(table, key, value))


@given(keys, st.binary(max_size=40))
def test_foreign_bytes_under_a_right_checksum_are_still_refused_as_corrupt_or_are_a_value(
    key: bytes, payload: bytes
) -> None:
    body = bytes([RECORD_VERSION]) + payload
    raw = body + blake3(b"blob\0" + key + body).digest(8)
    try:
        value = unpack(b"blob", key, raw)
    except Corrupt:
        return
    assert canonical(value) is not None


def test_a_record_of_another_version_says_so() -> None:
    body = b"\x02\xc0"
    with pytest.raises(Corrupt, match="version 2"):
        unpack(b"blob", b"key", body + blake3(b"blob\0key" + body).digest(8))


@given(st.lists(values, max_size=6))
def test_frames_come_back_one_by_one(frames: list[Any]) -> None:
    file = io.BytesIO()
    write_frames(file, frames)
    file.seek(0)

    assert list(read_frames(file)) == frames


def test_frames_that_are_not_ours_are_refused() -> None:
    with pytest.raises(Corrupt):
        list(read_frames(io.BytesIO(b"\xc1\xc1\xc1")))
