"""The copy of the database that is kept beside it: ARCHIVE/meta.copy/data.mdb, made anew each day by a mount.

LMDB has no checksums of its own, and one damaged page can hide many records. The copy is compact, is read through and
proved as `check` proves rows before it takes the place of the one before, and lies in a file of its own. It is made by
`python -m filmfs.archive.copies ROOT`, a process of its own, because reading a damaged database can end the process.
How to go back to it is in docs/operating.md.
"""

import contextlib
import os
import shutil
import sys
import time

from filmfs.core.errors import Corrupt, FilmFSError, NoSpace
from filmfs.store.database import TABLES, Database
from filmfs.store.disk import sync_path
from filmfs.store.findings import Findings, Meter, Reading, silent
from filmfs.versioning.check import PointsCheck, check_changes, check_xattrs, read_points
from filmfs.versioning.check_rows import RowsCheck

DIRECTORY = "meta.copy"
DAY_S = 86_400.0
_ROOM = 1 << 28  # bytes that must stay free when the copy is made


def age_of_copy(root: str) -> float | None:
    """How many seconds ago the copy was made; None when there is none."""
    try:
        return max(0.0, time.time() - os.stat(os.path.join(root, DIRECTORY, "data.mdb")).st_mtime)
    except OSError:
        return None


def is_copy_due(root: str, every_s: float = DAY_S) -> bool:
    """Whether the copy is missing, or too old."""
    age = age_of_copy(root)
    return age is None or age >= every_s


def make_copy(root: str) -> None:
    """Makes the copy anew. Raises Corrupt when the database is damaged, NoSpace; the copy before then stays."""
    directory = os.path.join(root, DIRECTORY)
    new = os.path.join(directory, "new")
    shutil.rmtree(new, ignore_errors=True)
    os.makedirs(new, mode=0o700)
    try:
        with contextlib.closing(Database(os.path.join(root, "meta.lmdb"), readonly=True)) as database:
            disk = os.statvfs(root)
            if database.size() + _ROOM > disk.f_bavail * disk.f_frsize:
                raise NoSpace(f"there is no room for a copy of the database ({database.size()} bytes)")
            database.copy_to(new)
        prove(new)
        file = os.path.join(new, "data.mdb")
        sync_path(file)
        os.rename(file, os.path.join(directory, "data.mdb"))
        sync_path(directory)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def prove(path: str) -> None:
    """Reads every record of a database, and proves its history and rows. Raises Corrupt."""
    findings = Findings()
    with contextlib.closing(Database(path, readonly=True)) as database, database.read() as transaction:
        reading = Reading(transaction, findings, Meter(silent, sum(transaction.count(table) for table in TABLES)))
        points = read_points(reading)
        PointsCheck(reading, points).run()
        RowsCheck(reading, points).run()
        check_xattrs(reading)
        check_changes(reading)
        for table in (b"meta", b"content", b"leaves", b"draft", b"blob", b"journal"):
            for _ in reading.rows(table):
                pass
    if findings.found:
        raise Corrupt(f"{len(findings.found)} faults, as: {findings.found[0].what}")


def main(root: str) -> int:
    """Makes the copy; the last line on stderr says why not."""
    os.nice(10)
    try:
        make_copy(root)
    except (FilmFSError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
