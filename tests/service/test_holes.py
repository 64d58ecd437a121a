"""A staging file may hold more than the draft over it says: what was cut off, or what a crash left behind."""

import os

from filmfs.archive import Archive
from filmfs.core.extents import Extent, ExtentMap
from tests.support import an_inode, keep_draft, main_of, stage


def test_a_blob_holds_zeros_where_its_content_has_holes(archive: Archive) -> None:
    history = archive.history
    _, tree = main_of(archive)
    file, _ = tree.make(1, b"x.mov", an_inode())  # type: ignore[arg-type]
    data = os.urandom(3 << 20)
    blob = stage(history, archive, data)
    history.drafts.begin_writing(blob)
    extents = ExtentMap(2 << 20, (Extent(0, 100_000, blob), Extent(1_500_000, 100_000, blob, 1_500_000)))
    draft = keep_draft(archive, tree, file, extents)
    history.drafts.end_writing(blob)
    history.drafts.closed(draft)
    history.seal_all()

    expected = bytearray(2 << 20)
    for start in (0, 1_500_000):
        expected[start : start + 100_000] = data[start : start + 100_000]
    content = tree.get_inode(file).content
    assert isinstance(content, bytes)
    kept = archive.contents.map_of(content)
    assert archive.contents.read(kept, 0, kept.size) == expected
    with open(archive.blobs.path_of(blob), "rb") as sealed:
        assert sealed.read() == expected
