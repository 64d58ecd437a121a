"""ExtentMap against a bytearray, and the rules that every map keeps."""

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from filmfs.core.extents import Extent, ExtentMap, Hole, Literal, MapBuilder
from filmfs.core.ids import BlobId

# Every blob is endless, and its byte at an offset tells both: what was mapped can be told from any neighbour.
BLOBS = [BlobId(number) for number in (1, 2, 3)]
LIMIT = 96
FAR = 1 << 50


def bytes_of(source: BlobId | Literal, offset: int, length: int) -> bytes:
    if isinstance(source, Literal):
        return source.data[offset : offset + length]
    return bytes((source * 83 + at * 7) % 255 + 1 for at in range(offset, offset + length))


def rendered(extents: ExtentMap) -> bytes:
    """What the map says, read without `pieces`."""
    data = bytearray(extents.size)
    for e in extents.extents:
        data[e.offset : e.end] = bytes_of(e.source, e.source_offset, e.length)
    return bytes(data)


@dataclass(frozen=True)
class Write:
    extent: Extent

    def on_map(self, extents: ExtentMap) -> ExtentMap:
        return extents.written(self.extent)

    def on_builder(self, builder: MapBuilder) -> None:
        builder.write(self.extent)

    def on_bytes(self, data: bytearray) -> None:
        data.extend(bytes(max(0, self.extent.end - len(data))))
        e = self.extent
        data[e.offset : e.end] = bytes_of(e.source, e.source_offset, e.length)


@dataclass(frozen=True)
class Truncate:
    size: int

    def on_map(self, extents: ExtentMap) -> ExtentMap:
        return extents.truncated(self.size)

    def on_builder(self, builder: MapBuilder) -> None:
        builder.truncate(self.size)

    def on_bytes(self, data: bytearray) -> None:
        del data[self.size :]
        data.extend(bytes(self.size - len(data)))


@dataclass(frozen=True)
class Punch:
    start: int
    length: int

    def on_map(self, extents: ExtentMap) -> ExtentMap:
        return extents.punched(self.start, self.start + self.length)

    def on_bytes(self, data: bytearray) -> None:
        end = min(self.start + self.length, len(data))
        data[self.start : end] = bytes(max(0, end - self.start))


def extents_up_to(limit: int) -> st.SearchStrategy[Extent]:
    lengths = st.integers(1, limit // 3)
    of_blob = st.builds(Extent, st.integers(0, limit), lengths, st.sampled_from(BLOBS), st.integers(0, limit))
    # Where offsets agree, as in a staging file written in place, neighbours can be joined.
    in_place = st.builds(lambda at, n, blob: Extent(at, n, blob, at), st.integers(0, limit), lengths, st.just(BLOBS[0]))
    literal = st.builds(
        lambda at, data: Extent(at, len(data), Literal(data)), st.integers(0, limit), st.binary(min_size=1, max_size=24)
    )
    return of_blob | in_place | literal


writes = st.builds(Write, extents_up_to(LIMIT))
truncates = st.builds(Truncate, st.integers(0, LIMIT))
punches = st.builds(Punch, st.integers(0, LIMIT), st.integers(0, LIMIT))
edits = st.lists(writes | writes | truncates | punches, max_size=24)


def assert_orderly(extents: ExtentMap) -> None:
    """Ordered, disjoint, inside the size, nothing empty, neighbours joined where they can be."""
    position = 0
    for index, extent in enumerate(extents.extents):
        assert extent.length > 0
        assert extent.offset >= position
        position = extent.end
        assert index == 0 or not extent.continues(extents.extents[index - 1])
    assert position <= extents.size


def after(changes: list[Write | Truncate | Punch]) -> tuple[ExtentMap, bytes]:
    extents, data = ExtentMap(), bytearray()
    for change in changes:
        extents = change.on_map(extents)
        change.on_bytes(data)
    return extents, bytes(data)


@given(edits)
def test_reads_back_what_a_bytearray_would(changes: list[Write | Truncate | Punch]) -> None:
    extents, data = ExtentMap(), bytearray()
    for change in changes:
        extents = change.on_map(extents)
        change.on_bytes(data)

        assert extents.size == len(data)
        assert rendered(extents) == data
        assert_orderly(extents)


@given(edits)
def test_a_change_leaves_the_map_that_it_began_with_as_it_was(changes: list[Write | Truncate | Punch]) -> None:
    before, data = after(changes)
    before.written(Extent(1, 5, BLOBS[2]))
    before.punched(0, 3)
    before.truncated(2)

    assert rendered(before) == data


@given(edits, st.integers(0, LIMIT + 40), st.integers(0, LIMIT + 40))
@example([Write(Extent(0, 2, BLOBS[0]))], 1, 0)
def test_pieces_cover_every_range_exactly(changes: list[Write | Truncate | Punch], start: int, length: int) -> None:
    extents, data = after(changes)
    pieces = list(extents.pieces(start, start + length))

    position = start
    for piece in pieces:
        assert piece.offset == position
        assert piece.length > 0
        position += piece.length
    assert position == max(start, min(start + length, extents.size))
    read = b"".join(
        bytes(piece.length) if isinstance(piece, Hole) else bytes_of(piece.source, piece.source_offset, piece.length)
        for piece in pieces
    )
    assert read == data[start : start + length]


@given(edits)
def test_what_is_stored_is_the_size_less_the_holes(changes: list[Write | Truncate | Punch]) -> None:
    extents, _ = after(changes)
    holes = sum(piece.length for piece in extents.pieces(0, extents.size) if isinstance(piece, Hole))

    assert extents.stored == extents.size - holes
    assert extents.blobs() == {e.source for e in extents.extents if not isinstance(e.source, Literal)}


@given(edits, st.lists(writes | truncates, max_size=24))
def test_a_builder_makes_the_map_that_the_value_makes(
    start: list[Write | Truncate | Punch], changes: list[Write | Truncate]
) -> None:
    extents, _ = after(start)
    builder = MapBuilder(extents)
    assert builder.value == extents
    for change in changes:
        extents = change.on_map(extents)
        change.on_builder(builder)

        assert builder.value == extents
        assert builder.size == extents.size


@given(edits, st.integers(0, LIMIT), st.integers(1, LIMIT))
def test_a_builder_finds_the_extents_that_cover_a_range_without_a_hole(
    changes: list[Write | Truncate | Punch], offset: int, length: int
) -> None:
    extents, _ = after(changes)
    within = [e for e in extents.extents if e.offset < offset + length and offset < e.end]
    covered = sum(min(e.end, offset + length) - max(e.offset, offset) for e in within)

    assert MapBuilder(extents).covering(offset, length) == (within if covered == length else [])


@given(st.lists(st.tuples(st.integers(0, FAR), st.integers(1, FAR)), max_size=12), st.integers(0, FAR))
@example([(FAR, FAR), (0, 1)], 1)
def test_huge_sparse_maps_keep_the_rules(runs: list[tuple[int, int]], size: int) -> None:
    extents = ExtentMap()
    for index, (offset, length) in enumerate(runs):
        extents = extents.written(Extent(offset, length, BLOBS[index % 3], offset))
        assert_orderly(extents)
    cut = extents.truncated(size)

    assert_orderly(cut)
    assert cut.size == size
    assert sum(piece.length for piece in cut.pieces(0, size)) == size


@given(edits, st.integers(0, LIMIT), st.integers(0, LIMIT))
def test_growing_again_after_shrinking_shows_zeros(
    changes: list[Write | Truncate | Punch], small: int, large: int
) -> None:
    extents, data = after([*changes, Truncate(small), Truncate(small + large)])

    assert rendered(extents) == data
    assert rendered(extents)[small:] == bytes(large)


def in_order(extents: ExtentMap, write: Callable[[int], Extent], count: int) -> ExtentMap:
    for index in range(count):
        extents = extents.written(write(index))
    return extents


def test_a_file_written_in_order_to_one_blob_is_one_extent() -> None:
    extents = in_order(ExtentMap(), lambda index: Extent(index * 10, 10, BLOBS[0], index * 10), 100)

    assert extents == ExtentMap.of_blob(BLOBS[0], 1000)
    assert extents.whole_blob == BLOBS[0]


def test_a_map_is_one_whole_blob_only_when_it_is_all_of_it_from_its_beginning() -> None:
    assert ExtentMap(10, (Extent(0, 10, BLOBS[0], 5),)).whole_blob is None
    assert ExtentMap(11, (Extent(0, 10, BLOBS[0]),)).whole_blob is None
    assert ExtentMap.of_bytes(b"literal").whole_blob is None
    assert ExtentMap().whole_blob is None


def test_an_empty_file_has_no_extents_however_it_is_kept() -> None:
    assert ExtentMap.of_blob(BLOBS[0], 0) == ExtentMap.of_bytes(b"") == ExtentMap()
