"""Reading rows once, in any thread, so that they are in memory when the owner of the trees reads them.

Nothing is concluded from what is read here, so nothing is told of what is wrong with it.
"""

import contextlib
from collections.abc import Iterable

from filmfs.core.errors import FilmFSError
from filmfs.core.ids import FileId
from filmfs.core.paths import name_key
from filmfs.store.contents import CONTENT, DRAFT, draft_key
from filmfs.store.database import Database, Transaction
from filmfs.versioning.rows import DIRENT, INODE, Inode, directory_prefix, entry_prefix, inode_prefix
from filmfs.versioning.xattrs import XATTRS


def touch_files(database: Database, files: Iterable[FileId], names: Iterable[tuple[FileId, bytes]]) -> None:
    """Reads what the look at some inodes, and at some names in directories and what they lead to, will read."""
    with contextlib.suppress(FilmFSError), database.read() as transaction:
        touched = list(files)
        for directory, name in names:
            touched.append(directory)
            with contextlib.suppress(FilmFSError):
                touched += _children(transaction, entry_prefix(directory, name_key(name)))
        for file in touched:
            _touch_file(transaction, file)


def touch_entries(database: Database, directory: FileId, after: bytes, count: int) -> None:
    """The same for the next `count` entries of a directory after a name key, and their inodes."""
    with contextlib.suppress(FilmFSError), database.read() as transaction:
        prefix = directory_prefix(directory)
        start = prefix + after + b"\1" if after else prefix
        for _, (key, raw) in zip(range(count), transaction.scan(DIRENT, prefix, start), strict=False):
            value = transaction.value(DIRENT, key, raw)
            if value is not None:
                transaction.first(INODE, inode_prefix(value[0]))


def _children(transaction: Transaction, prefix: bytes) -> list[FileId]:
    values = [transaction.value(DIRENT, key, raw) for key, raw in transaction.scan(DIRENT, prefix)]
    return [FileId(value[0]) for value in values if value is not None]


def _touch_file(transaction: Transaction, file: FileId) -> None:
    for key, raw in transaction.scan(INODE, inode_prefix(file)):
        value = transaction.value(INODE, key, raw)
        if value is None:
            continue
        inode = Inode.of_value(value)
        if inode.xattrs:
            transaction.has(XATTRS, inode.xattrs)
        if isinstance(inode.content, bytes):
            transaction.has(CONTENT, inode.content)
        elif inode.content is not None:
            transaction.has(DRAFT, draft_key(inode.content))
    transaction.first(DIRENT, directory_prefix(file))
