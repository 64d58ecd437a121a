"""`check`: proves an archive sound, and names each fault by branch and path.

LMDB has no checksums and reads a damaged page as if it were whole, which can end the process. So the walk is a process
of its own: `python -m filmfs.archive.check ROOT [--data]` writes JSON lines, progress first and the report last, and
`check_archive` reads them; a walk that died is a fault like any other. Nothing is locked and nothing is changed: all
records are read in one view, beside whoever writes. What is proved is in store.check, versioning.check and
versioning.check_rows.
"""

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from filmfs.archive.copies import age_of_copy
from filmfs.archive.opening import FORMAT, find_archive, read_settings
from filmfs.archive.places import PlaceFinder, Places
from filmfs.core.errors import FilmFSError
from filmfs.store.blobs import Blobs
from filmfs.store.check import StoreCheck, Work, listed_files
from filmfs.store.check_bytes import BytesCheck
from filmfs.store.check_derived import check_derived
from filmfs.store.database import TABLES, Database, Snapshot, counter_key
from filmfs.store.findings import Damaged, FaultKind, Finding, Findings, Meter, Progress, Reading, silent
from filmfs.versioning.check import Points, PointsCheck, check_changes, check_commits, check_xattrs, read_points
from filmfs.versioning.check_links import LinksCheck
from filmfs.versioning.check_rows import RowsCheck

_META_MAGIC = (0xBEEFC0DE).to_bytes(4, "little")
_META_AT = 16  # after the page's header
_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
_WAY_OUT = (
    "stop using the archive, keep a copy of meta.lmdb, and put the last good copy of it (meta.copy) back; "
    "the bytes under blobs/ are whole files and are not touched by this"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong: `what` for a person, `places` where it shows, `path` of the damaged file on disk."""

    kind: str
    what: str
    places: tuple[str, ...] = ()
    more_places: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. An archive without faults is sound; notes are harmless."""

    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    records: int = 0
    inodes: int = 0
    contents: int = 0
    blobs: int = 0
    bytes_verified: int = 0
    branches: int = 0
    commits: int = 0
    copy_age_s: int | None = None  # of the copy of the database

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def as_facts(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {"sound": self.sound, **asdict(self)}

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> "Report":
        """The report that as_facts() was made of."""
        faults = tuple(Fault(**{**fault, "places": tuple(fault["places"])}) for fault in facts["faults"])
        rest = {name: value for name, value in facts.items() if name not in ("sound", "faults", "notes")}
        return cls(faults, tuple(facts["notes"]), **rest)


def check_archive(root: str, *, data: bool = False, progress: Progress = silent) -> Report:
    """Proves the archive at `root`; `data` also re-hashes every byte.

    Damage is in the report and never raised. Raises NotAnArchive, WrongVersion, or what stopped the walk itself.
    """
    root = find_archive(root)
    read_settings(root)
    damage = _look_at_database(os.path.join(root, "meta.lmdb", "data.mdb"))
    if damage is not None:
        return Report((damage,))
    command = [sys.executable, "-P", "-m", "filmfs.archive.check", root, *(["--data"] if data else [])]
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as walk:
            assert walk.stdout is not None
            try:
                report, doing = _listen(walk.stdout, progress)
            except BaseException:
                walk.kill()
                raise
        if report is not None:
            return report
        return _report_of_death(walk.returncode, doing, errors)


def _look_at_database(path: str) -> Fault | None:
    """What is wrong with the database file at first sight."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 17)
    except OSError as error:
        return _damaged_database(f"cannot be read: {error.strerror}", path)
    size = len(head)
    pages = [at for at in (4096, 8192, 16384, 32768, 65536) if head[at + _META_AT : at + _META_AT + 4] == _META_MAGIC]
    if head[_META_AT : _META_AT + 4] != _META_MAGIC or not pages or size < 2 * pages[0]:
        return _damaged_database("does not begin as an LMDB file does", path)
    return None


def _damaged_database(how: str, path: str = "") -> Fault:
    return Fault(FaultKind.DATABASE, f"the metadata database {how}; {_WAY_OUT}", path=path)


def _listen(lines: BinaryIO | Any, progress: Progress) -> tuple[Report | None, str]:
    """The report, if one came, and what the walk was at when it last told."""
    doing = ""
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            break  # cut off in the middle of a line
        if "report" in message:
            return Report.of_facts(message["report"]), doing
        done, total, doing = message["progress"]
        progress(done, total, doing)
    return None, doing


def _report_of_death(code: int, doing: str, errors: BinaryIO | Any) -> Report:
    """What it means that the walk ended without a report."""
    at = f" while reading {doing}" if doing else ""
    if code < 0 and -code in _CRASHES:
        name = signal.Signals(-code).name
        return Report((_damaged_database(f"is damaged: reading it ended in {name}{at}"),))
    if code < 0:
        what = f"the check was ended by {signal.Signals(-code).name}{at}; nothing is proved, run it again"
        return Report((Fault(FaultKind.UNFINISHED, what),))
    errors.seek(0)
    last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
    raise FilmFSError(f"the check could not be carried out{at}: {last or f'it ended with {code}'}")


# The walk: from here on in a process of its own


@dataclass(slots=True)
class _Walk:
    """One check of one archive."""

    root: str
    findings: Findings = field(default_factory=Findings)
    counts: dict[str, int] = field(default_factory=dict)
    points: Points = field(default_factory=lambda: Points({}, {}))

    def run(self, *, data: bool, progress: Progress) -> Report:
        """The whole check."""
        places: list[Places] = []
        try:
            with (
                closing(Database(os.path.join(self.root, "meta.lmdb"), readonly=True)) as database,
                closing(Blobs(self.root, database)) as blobs,
            ):
                places = self._look_at_everything(database, blobs, data=data, progress=progress)
        except FilmFSError as error:
            self.findings.add(FaultKind.DATABASE, f"the walk ended early: {error}; {_WAY_OUT}")
        age = age_of_copy(self.root)
        faults, notes = tuple(self._faults(places)), tuple(self.findings.notes)
        return Report(faults, notes, **self.counts, copy_age_s=None if age is None else int(age))

    def _look_at_everything(self, database: Database, blobs: Blobs, *, data: bool, progress: Progress) -> list[Places]:
        listed = listed_files(blobs)
        with database.snapshot() as snapshot:
            work = self._walk_records(snapshot, database, blobs, listed, progress)
        if data:
            # Not in the view of the walk: a view that is held for hours keeps the database from reusing pages.
            bytes_check = BytesCheck(database, blobs, self.findings, Meter(progress, work.bytes))
            bytes_check.run(work)
            self.counts["bytes_verified"] = bytes_check.verified
        if not self.findings.found:
            return []
        progress(0, 1, "places")
        with database.read() as transaction:
            return PlaceFinder(transaction, self.points).find(self.findings.found)

    def _walk_records(
        self, snapshot: Snapshot, database: Database, blobs: Blobs, listed: set[bytes], progress: Progress
    ) -> Work:
        transaction = snapshot.current()
        meter = Meter(progress, sum(transaction.count(table) for table in TABLES))
        reading = Reading(transaction, self.findings, meter)
        self.points = read_points(reading)
        PointsCheck(reading, self.points).run()
        rows = RowsCheck(reading, self.points)
        rows.run()
        if rows.links_in_doubt:
            LinksCheck(reading, self.points).run()
        check_derived(reading, rows.referenced)
        store = StoreCheck(reading, database, blobs, rows.referenced)
        store.run(listed)
        check_xattrs(reading)
        check_changes(reading)
        for _ in reading.rows(b"journal"):
            pass
        meta = dict(reading.rows(b"meta"))
        self._check_meta(meta, file=rows.highest, blob=store.highest_blob, draft=store.highest_draft)
        what = "{} notes of an add that was cut off, for the next one to go on from"
        self.findings.note(transaction.count(b"journal"), what)
        self.counts = {
            "records": reading.records,
            "inodes": rows.files,
            "contents": store.contents,
            "blobs": store.blobs,
            "branches": len(self.points.alive()),
            "commits": check_commits(reading, self.points),
        }
        return store.work

    def _check_meta(self, meta: dict[bytes, Any], **highest: int) -> None:
        found = meta.get(b"format")
        if found != FORMAT and not isinstance(found, Damaged):
            self.findings.add(FaultKind.FORMAT, f"the database says format {found!r}; archive.toml says {FORMAT}")
        for name, used in highest.items():
            following = meta.get(counter_key(name)) or 0
            if used and not isinstance(following, Damaged) and following <= used:
                what = f"the next {name} would have number {following}; {used} is in use"
                self.findings.add(FaultKind.COUNTER, what)

    def _faults(self, places: list[Places]) -> Iterator[Fault]:
        for index, finding in enumerate(self.findings.found):
            yield _fault(finding, places[index] if index < len(places) else Places())
        for kind, count in self.findings.left_out.items():
            yield Fault(kind, f"{count} more faults of the kind '{kind}'")


def _fault(finding: Finding, places: Places) -> Fault:
    return Fault(finding.kind, finding.what, tuple(places.named), places.more, finding.path)


def _say(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """The walk as a program."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the map of the database is far larger than any core dump may be
    gc.disable()  # rows are many, small and in no circles
    root, *options = arguments
    report = _Walk(root).run(
        data="--data" in options, progress=lambda done, total, what: _say(progress=[done, total, what])
    )
    _say(report=report.as_facts())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
