"""The places at which a process is killed: `MODULE:FUNCTION/MOMENT/COUNT`, at the COUNT-th pass.

A test goes through all of them, and fails for one that is never passed: the list says what is tried, no more.
"""

_STORE = "filmfs.store"
_VERSIONING = "filmfs.versioning"


def _around(target: str, count: int = 3) -> list[str]:
    return [f"{target}/before/{count}", f"{target}/after/{count}"]


MOUNTED = (
    # Bytes on their way, and their files
    f"{_STORE}.blobs:Blobs.create/after/4",
    *_around("os:fsync", 5),
    *_around(f"{_STORE}.blobs:Blobs.sync_staged"),
    *_around(f"{_STORE}.blobs:Blobs.sync_names"),
    # The cut, its transaction, and letting go
    *_around(f"{_VERSIONING}.buffers:Buffers.cut", 5),
    f"{_STORE}.database:Database.write/before/6",
    f"{_STORE}.database:Database.write/inside/5",
    f"{_STORE}.database:Database.write/inside/9",
    f"{_STORE}.database:Database.write/after/6",
    f"{_VERSIONING}.buffers:_write_row/after/40",
    f"{_VERSIONING}.numbers:Numbers.adopt/after/8",
    f"{_VERSIONING}.buffers:Buffers.settle/after/4",
    f"{_VERSIONING}.history:History.settle/after/6",
    # Hashing, and a staging file becomes a blob
    f"{_STORE}.sealing:seal/before/3",
    f"{_STORE}.sealing:_rewrite/after/1",
    f"{_STORE}.sealing:_leaves_of/after/2",
    f"{_STORE}.sealing:_clear_holes/after/2",
    f"{_STORE}.sealing:_finish_file/after/2",
    f"{_STORE}.sealing:_seal_file/after/1",
    f"{_VERSIONING}.drafts:Drafts.sealed/after/2",
    *_around(f"{_STORE}.sealing:record_seal"),
    *_around(f"{_STORE}.blobs:Blobs.place", 2),
    "os:chmod/after/3",
    "os:rename/after/3",
    *_around(f"{_STORE}.blobs:Blobs.discard"),
    # History
    *_around(f"{_VERSIONING}.history:History.commit", 1),
    *_around(f"{_VERSIONING}.history:History.create_branch", 1),
    f"{_VERSIONING}.history:History.find_names/after/1",
    f"{_VERSIONING}.history:History.take_names/after/1",
)

OPENING = (
    *_around("filmfs.archive.opening:Archive._recover", 1),
    "filmfs.archive.opening:Archive._recover_file/after/2",
    *_around(f"{_STORE}.blobs:Blobs.place", 1),
    *_around(f"{_VERSIONING}.history:History.forget_lost_drafts", 1),
)

ADDING = (
    *_around(f"{_STORE}.ingest:Ingest.take", 3),
    *_around(f"{_STORE}.ingest:Ingest.flush", 1),
    *_around(f"{_STORE}.ingest:Ingest._sync", 1),
    *_around(f"{_STORE}.disk:sync_filesystem", 1),
    f"{_STORE}.ingest:Ingest._record/after/7",
    f"{_STORE}.database:Database.write/inside/2",
    f"{_STORE}.database:Database.write/after/2",
    *_around(f"{_STORE}.blobs:Blobs.place", 5),
    f"{_STORE}.ingest:Ingest.forget_journal/after/1",
)

PUBLISHING = (
    *_around(f"{_VERSIONING}.publish:Publisher._show", 1),
    f"{_VERSIONING}.publish:Publisher._place/after/9",
)
