"""A staging file that programs write past us, as it is seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.vfs.through import Through


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    root = str(tmp_path / "archive")
    Archive.create(root, author="tester")
    with Archive(root, Mode.WRITE) as archive:
        yield archive


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_few_bytes_written_over_within_one_tick_of_the_clock_are_seen(archive: Archive, size: int) -> None:
    blob, descriptor = archive.history.spares.take(writable=False)
    through = Through(archive.blobs, blob, descriptor, mtime=0, now=0)
    path = Path(archive.blobs.staging_path(blob))
    for byte in (b"a", b"b"):
        path.write_bytes(byte * size)
        os.utime(path, ns=(10**18, 10**18))
        seen = through.look()
        assert seen is not None
        assert archive.contents.read(seen.map, 0, size) == byte * size
        assert through.look() is None
    through.close()
