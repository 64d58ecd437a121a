"""Composed files have the bytes that their map says, whatever that is."""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.extents import Extent, ExtentMap, Hole, Literal, MapBuilder
from filmfs.core.ids import BlobId, ContentId
from filmfs.store.blobs import Blobs
from filmfs.store.composing import Composer, compose, is_possible
from filmfs.store.erofs import BLOCK, DEVICES_MAX, divide
from tests.drive import wait_until

_DIRECTORY = tempfile.gettempdir()
_BLOBS = {BlobId(number): os.urandom(40 * BLOCK + 77 * number) for number in (1, 2, 3)}
_SIZES = {blob: len(data) for blob, data in _BLOBS.items()}

needs_kernel = pytest.mark.skipif(not is_possible("/var/tmp"), reason="the kernel composes no files, or not for us")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[BlobId, int]]:
    """The blobs, opened."""
    directory = tmp_path_factory.mktemp("blobs")
    opened = {}
    for blob, data in _BLOBS.items():
        (directory / str(blob)).write_bytes(data)
        opened[blob] = os.open(directory / str(blob), os.O_RDONLY)
    yield opened
    for descriptor in opened.values():
        os.close(descriptor)


@st.composite
def maps(draw: st.DrawFn) -> ExtentMap:
    """Maps of runs at even and odd places, holes and literals."""
    builder = MapBuilder(ExtentMap())
    for _ in range(draw(st.integers(1, 12))):
        blob = draw(st.sampled_from(sorted(_BLOBS)))
        start = draw(st.integers(0, 40)) * BLOCK + draw(st.sampled_from((0, 0, 0, 1, 700)))
        length = min(draw(st.integers(0, 20)) * BLOCK + draw(st.sampled_from((0, 0, 5))), _SIZES[blob] - start)
        offset = draw(st.integers(0, 300)) * BLOCK + draw(st.sampled_from((0, start % BLOCK, 9)))
        if draw(st.integers(0, 9)) == 0:
            builder.write(Extent(offset, 50, Literal(bytes(range(50)))))
        elif length > 0:
            builder.write(Extent(offset, length, blob, start))
    if draw(st.booleans()):
        builder.truncate(draw(st.integers(0, 400 * BLOCK)))
    return builder.value


def _read(extents: ExtentMap, offset: int, length: int) -> bytes:
    parts = []
    for piece in extents.pieces(offset, offset + length):
        if isinstance(piece, Hole):
            parts.append(bytes(piece.length))
        else:
            data = piece.source.data if isinstance(piece.source, Literal) else _BLOBS[piece.source]
            parts.append(data[piece.source_offset : piece.source_offset + piece.length])
    return b"".join(parts)


@needs_kernel
@given(extents=maps())
def test_a_composed_file_is_byte_for_byte_what_its_map_says(files: dict[BlobId, int], extents: ExtentMap) -> None:
    composed = compose(_DIRECTORY, extents, files, partial(_read, extents))
    if composed is not None:
        assert composed.read(0, extents.size + 1) == _read(extents, 0, extents.size)


@given(extents=maps())
def test_what_is_copied_is_bounded_and_whole_runs_are_never_refused(extents: ExtentMap) -> None:
    layout = divide(extents, _SIZES)
    even = all(
        not isinstance(e.source, Literal) and not (e.offset | e.source_offset | e.length) % BLOCK
        for e in extents.extents
    )
    if layout is None:
        assert not even or not extents.extents
    else:
        assert len(layout.copied) * layout.chunk <= 8 << 20
        assert len(layout.copied) <= 64


def test_blobs_that_are_too_many_or_too_short_make_no_file() -> None:
    runs = tuple(Extent(n * BLOCK, BLOCK, BlobId(n + 1)) for n in range(DEVICES_MAX + 1))
    assert divide(ExtentMap(len(runs) * BLOCK, runs), {BlobId(n + 1): BLOCK for n in range(len(runs))}) is None
    short = ExtentMap(2 * BLOCK, (Extent(0, 2 * BLOCK, BlobId(1)),))
    assert divide(short, {BlobId(1): 2 * BLOCK - 1}) is None
    assert divide(short, {BlobId(1): 2 * BLOCK}) is not None


def test_blocks_that_their_numbers_cannot_tell_make_no_file() -> None:
    """Number 0xFFFFFFFF is a hole, and there are none past it."""
    last = (0xFFFFFFFF - 1) * BLOCK
    for start in (last, last + BLOCK, 1 << 44, 1 << 60):
        runs = (Extent(0, BLOCK, BlobId(1), start), Extent(BLOCK, BLOCK, BlobId(2)))
        layout = divide(ExtentMap(2 * BLOCK, runs), {BlobId(1): 1 << 62, BlobId(2): BLOCK})
        assert (layout is not None) == (start == last)


def test_a_very_large_file_has_a_small_table() -> None:
    """100 GB with an edit in the middle: few chunks, large ones."""
    size, middle = 100 * 10**9, 50 * 10**9 // BLOCK * BLOCK
    runs = (Extent(0, middle, BlobId(1)), Extent(middle, BLOCK, BlobId(2)))
    rest = Extent(middle + BLOCK, size - middle - BLOCK, BlobId(1), middle + BLOCK)
    layout = divide(ExtentMap(size, (*runs, rest)), {BlobId(1): size, BlobId(2): BLOCK})
    assert layout is not None
    assert layout.chunks * 8 + len(layout.copied) * layout.chunk < 8 << 20


def composer(directory: Path, files: dict[BlobId, int]) -> Composer:
    """One of these files."""
    return Composer(cast(Blobs, Lent(str(directory), files)), _read)


@dataclass
class Lent:
    """What a Composer asks of Blobs."""

    staging_directory: str
    files: dict[BlobId, int]

    @contextmanager
    def borrow(self, blobs: list[BlobId]) -> Iterator[list[int]]:
        yield [self.files[blob] for blob in blobs]


TWO = ExtentMap(2 * BLOCK, tuple(Extent(n * BLOCK, BLOCK, BlobId(n + 1)) for n in range(2)))
CONTENT = ContentId(b"c" * 32)


@needs_kernel
def test_a_disk_that_fails_once_is_asked_again(
    files: dict[BlobId, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composing = composer(tmp_path, files)
    for code in (errno.ENOSPC, errno.EIO, errno.EMFILE):
        with monkeypatch.context() as patch:
            patch.setattr("filmfs.store.composing.write_back", partial(_fail, code))
            work = composing.making(CONTENT, TWO)
            assert work is not None
            work()
        assert composing.find(CONTENT) is None  # what the disk has not is not shown
        assert not composing.works
    work = composing.making(CONTENT, TWO)
    assert work is not None
    work()
    found = composing.find(CONTENT)
    assert found is not None
    assert found.read(0, 3 * BLOCK) == _read(TWO, 0, 2 * BLOCK)
    assert composing.making(CONTENT, TWO) is None


def test_a_process_ends_that_still_holds_one() -> None:
    held = "import os; from filmfs.store.composing import Composed; held = Composed(os.open('/dev/null', os.O_RDONLY))"
    subprocess.run([sys.executable, "-c", held], check=True, timeout=30)


def test_a_kernel_that_has_none_is_asked_once(
    files: dict[BlobId, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composing = composer(tmp_path, files)
    monkeypatch.setattr("filmfs.store.composing.mount_image", partial(_fail, errno.ENODEV))
    composing.prove()
    assert not composing.works
    assert composing.making(CONTENT, TWO) is None


def _fail(code: int, *_: object) -> None:
    raise OSError(code, os.strerror(code))


@needs_kernel
def test_nothing_is_left_of_a_composed_file(files: dict[BlobId, int], tmp_path: Path) -> None:
    extents = TWO
    before = len(os.listdir("/proc/self/fd"))
    composed = compose(str(tmp_path), extents, files, partial(_read, extents))
    assert composed is not None
    assert os.listdir(tmp_path) == []
    descriptor = composed.open()
    del composed
    assert os.pread(descriptor, 3 * BLOCK, 0) == _read(extents, 0, 2 * BLOCK)
    os.close(descriptor)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) == before, "a thread closes it", seconds=5)
