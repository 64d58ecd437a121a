"""An archive with everything in it, and ways to damage it: for the tests of `check`."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from filmfs.archive import Archive, Mode
from filmfs.archive.adding import scan, take_bytes
from filmfs.archive.check import Report
from filmfs.archive.commands import run_and_flush
from filmfs.core.extents import Extent
from filmfs.core.ids import LEAF_SIZE, identify
from filmfs.store import records
from filmfs.store.database import TABLES
from filmfs.versioning.rows import DIRENT, INODE, Inode, entry_prefix, inode_prefix, layer_of
from tests.support import keep_draft, stage, tree_of

CLIP = random.Random(1).randbytes(3 * LEAF_SIZE + 100)
FRAME = random.Random(2).randbytes(20_000)
LATER = random.Random(3).randbytes(9_000)
LONG = 35 * LEAF_SIZE  # enough for pages of leaf hashes
CLIP_ID, _ = identify([CLIP])


def make_sources(source: Path) -> None:
    """Files of every sort."""
    card = source / "A001"
    card.mkdir(parents=True)
    (source / "B" / "empty").mkdir(parents=True)
    (card / "clip.mov").write_bytes(CLIP)
    (card / "note.txt").write_text("a few words")
    (card / "twin.exr").write_bytes(FRAME)
    os.link(card / "twin.exr", source / "B" / "other-twin.exr")
    (card / "nothing").touch()
    with open(source / "B" / "long.mxf", "wb") as file:
        file.write(b"header")
        file.truncate(LONG)
    os.symlink("A001/clip.mov", source / "link")
    os.mkfifo(source / "pipe")
    os.setxattr(card / "note.txt", "user.reel", b"A001")
    (source / "old.txt").write_text("only in the first commits")


def add(archive: Archive, source: Path, message: str) -> None:
    """What `filmfs add` does."""
    taking = take_bytes(
        archive, scan([str(source).encode() + b"/"], []), archive.history.view_of("main"), lambda n, p: None
    )
    assert taking.problems == []
    spool = os.path.join(archive.root, ".publish-test")
    with open(spool, "wb") as file:
        records.write_frames(file, [new.as_value() for new in taking.new])
    run_and_flush(archive, "publish", {"branch": "main", "spool": spool, "message": message, "author": "tester"})
    os.unlink(spool)


def edit(archive: Archive, branch: str, path: bytes, data: bytes, offset: int) -> None:
    """What a mount does when a file is written to in the middle: a draft of several extents."""
    tree = tree_of(archive, branch)
    file = tree.resolve(path.split(b"/"))
    base = tree.get_inode(file).content
    blob = stage(archive.history, archive, data)
    archive.history.drafts.begin_writing(blob)
    extents = archive.contents.map_of(base).written(Extent(offset, len(data), blob))
    draft = keep_draft(archive, tree, file, extents, base if isinstance(base, bytes) else None)
    archive.history.drafts.end_writing(blob)
    archive.history.drafts.closed(draft)
    archive.history.flush()


class Raw:
    """The records of an archive, without filmfs between."""

    def __init__(self, root: str) -> None:
        self._env = lmdb.open(os.path.join(root, "meta.lmdb"), map_size=1 << 30, max_dbs=len(TABLES))
        self._tables = {name: self._env.open_db(name) for name in TABLES}

    def get(self, table: bytes, key: bytes) -> bytes:
        with self._env.begin() as transaction:
            return bytes(transaction.get(key, db=self._tables[table]))

    def value(self, table: bytes, key: bytes) -> Any:
        return records.unpack(table, key, self.get(table, key))

    def keys(self, table: bytes) -> list[bytes]:
        with self._env.begin() as transaction:
            return list(transaction.cursor(db=self._tables[table]).iternext(values=False))

    def put(self, table: bytes, key: bytes, raw: bytes) -> None:
        with self._env.begin(write=True) as transaction:
            transaction.put(key, raw, db=self._tables[table])

    def put_value(self, table: bytes, key: bytes, value: Any) -> None:
        self.put(table, key, records.pack(table, key, value))

    def delete(self, table: bytes, key: bytes) -> None:
        with self._env.begin(write=True) as transaction:
            assert transaction.delete(key, db=self._tables[table])

    def flip(self, table: bytes, key: bytes) -> None:
        raw = bytearray(self.get(table, key))
        raw[len(raw) // 2] ^= 4
        self.put(table, key, bytes(raw))


@contextmanager
def raw_records(root: str) -> Iterator[Raw]:
    raw = Raw(root)
    yield raw
    raw._env.close()


def point(root: str, at: str, path: bytes) -> tuple[bytes, bytes]:
    """The keys of the inode row and the entry row that `at` shows under `path`."""
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of(at)
        parts = path.split(b"/")
        parent, file = view.resolve(parts[:-1]), view.resolve(parts)
        branch_of = archive.history.table.branch_of
    found = []
    with raw_records(root) as raw:
        for table, prefix in ((INODE, inode_prefix(file)), (DIRENT, entry_prefix(parent, parts[-1]))):
            rows = [key for key in raw.keys(table) if key.startswith(prefix)]
            found.append(next(key for key in rows if view.lineage.sees(branch_of[layer_of(key)], layer_of(key))))
    return found[0], found[1]


def inode_of(root: str, at: str, path: bytes) -> Inode:
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of(at)
        return view.get_inode(view.resolve(path.split(b"/")))


def content_key(root: str, at: str, path: bytes) -> bytes:
    content = inode_of(root, at, path).content
    assert isinstance(content, bytes)
    return content


def sealed_file(root: str, content: bytes) -> str:
    return os.path.join(root, "blobs", content.hex()[:2], content.hex()[2:])


def kinds(report: Report) -> set[str]:
    return {fault.kind for fault in report.faults}


def places(report: Report) -> set[str]:
    return {place for fault in report.faults for place in fault.places}
