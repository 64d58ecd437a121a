"""ContentId: one formula at every size."""

import itertools
import random

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.ids import (
    EMPTY_CONTENT,
    LEAF_BYTES,
    LEAF_SIZE,
    ZERO_LEAF,
    LeafHasher,
    content_id,
    identify,
    leaf_count,
)

SIZES = [0, 1, LEAF_SIZE - 1, LEAF_SIZE, LEAF_SIZE + 1, 3 * LEAF_SIZE + LEAF_SIZE // 2]


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_a_content_id_is_the_hash_of_the_length_and_of_each_leafs_hash(size: int) -> None:
    data = some_bytes(size)
    leaves = [blake3(data[at : at + 1048576]).digest() for at in range(0, size, 1048576)]
    expected = blake3(size.to_bytes(8, "little") + b"".join(leaves)).digest()

    assert identify([data]) == (expected, b"".join(leaves))


@pytest.mark.parametrize("size", SIZES)
def test_a_content_has_a_leaf_for_every_mebibyte_that_it_begins(size: int) -> None:
    _, leaves = identify([some_bytes(size)])

    assert len(leaves) == leaf_count(size) * LEAF_BYTES


@given(st.sampled_from(SIZES), st.lists(st.integers(0, SIZES[-1]), max_size=8))
def test_pieces_of_any_split_give_the_same_id(size: int, cuts: list[int]) -> None:
    data = some_bytes(size)
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]

    assert identify(data[a:b] for a, b in itertools.pairwise(edges)) == identify([data])


def test_a_hasher_takes_any_buffer_and_counts_what_it_took() -> None:
    hasher = LeafHasher()
    for piece in (b"ab", bytearray(b"cd"), memoryview(b"ef")):
        hasher.update(piece)

    assert hasher.length == 6
    assert hasher.finish() == identify([b"abcdef"])


def test_finishing_a_hasher_does_not_end_it() -> None:
    hasher = LeafHasher()
    hasher.update(b"first")
    assert hasher.finish() == identify([b"first"])
    hasher.update(b" second")

    assert hasher.finish() == identify([b"first second"])


def test_content_of_another_length_has_another_id_even_with_the_same_leaves() -> None:
    assert content_id(1, b"") != content_id(0, b"")


def test_the_named_constants_are_what_their_bytes_hash_to() -> None:
    assert identify([]) == (EMPTY_CONTENT, b"")
    assert identify([bytes(LEAF_SIZE)])[1] == ZERO_LEAF
