"""`add`: a camera card, a folder or a file becomes part of a branch.

Three steps: `scan` looks at what is there (no bytes are read), `take_bytes` streams them into the store, and the
publication makes every name appear at once (versioning.publish). A run that is cut off has shown nothing; the next one
finds the bytes that were stored. The source is only ever read.
"""

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from filmfs.archive.opening import Archive
from filmfs.core.errors import (
    BadName,
    Corrupt,
    DiskFailure,
    FilmFSError,
    NameTooLong,
    NoSpace,
    NotFound,
    ReadOnly,
    Usage,
)
from filmfs.core.paths import name_key, repaired_name, shown
from filmfs.store.ingest import Ingest, Taken, source_error
from filmfs.versioning.publish import NewFile
from filmfs.versioning.rows import Inode, Kind, nearest_time
from filmfs.versioning.view import View

# The archive's own disk: nothing more can be taken. A source's trouble is that source's alone.
_ARCHIVE_FAILED = (NoSpace, ReadOnly, DiskFailure, Corrupt)

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
    stat.S_IFCHR: Kind.CHARACTER_DEVICE,
    stat.S_IFBLK: Kind.BLOCK_DEVICE,
}
# What belongs to the machine that the source is on, not to the file.
_LOCAL_XATTRS = ("security.selinux", "security.ima", "security.evm", "system.")


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to add: where it is, where it goes, and what lstat said."""

    path: bytes
    parts: tuple[bytes, ...]
    stat: os.stat_result


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was left out, and why."""

    path: str
    reason: str
    kind: str = "DiskFailure"  # the class of core.errors


@dataclass(slots=True)
class Scan:
    """What an `add` will do: its sources, parents before children, and what it had to leave out or rename."""

    sources: list[Source] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    renamed: list[tuple[str, str]] = field(default_factory=list)
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Taking:
    """The outcome of reading the sources."""

    new: list[NewFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    read_bytes: int = 0
    stored_bytes: int = 0
    known_files: int = 0  # not read: stored by a run that was cut off, or in the branch with the same size and time
    cloned_files: int = 0


_Links = dict[bytes, Taken]  # of hard-linked sources: what their bytes were when they were read

Progress = Callable[[int, bytes], None]
"""Called with bytes done and the path that they are of."""


def scan(paths: list[bytes], to: list[bytes], *, fix_names: bool = False, skip: bytes = b"") -> Scan:
    """Walks the sources. `DIR` arrives as DIR, `DIR/` as its contents. Raises NotFound for a path that is missing."""
    result = Scan()
    taken: _Taken = {}
    now = time.time_ns()
    for depth in range(len(to)):
        made = os.stat_result(
            (stat.S_IFDIR | 0o755, 0, 0, 2, os.getuid(), os.getgid(), 0, *[now // 10**9] * 3),
            {"st_atime_ns": now, "st_mtime_ns": now, "st_ctime_ns": now},
        )
        result.sources.append(Source(b"", tuple(to[: depth + 1]), made))
    for path in paths:
        try:
            found = os.lstat(path.rstrip(b"/") or b"/")
        except OSError as error:
            raise NotFound(f"{shown(path)} cannot be added: {error.strerror}") from error
        base = tuple(to)
        if stat.S_ISDIR(found.st_mode) and os.path.basename(path) in (b"", b".", b".."):
            if _is_skipped(result, path, skip):
                continue
            _scan_directory(result, path, base, fix_names, skip, taken)
        else:
            name = os.path.basename(path.rstrip(b"/"))
            _scan_entry(result, path.rstrip(b"/"), name, found, base, fix_names, skip, taken)
    return result


_Siblings = dict[bytes, tuple[bytes, bool]]
"""Key → the name that has it, and whether that is a directory."""

_Taken = dict[tuple[bytes, ...], _Siblings]


def _scan_directory(
    result: Scan, path: bytes, parts: tuple[bytes, ...], fix_names: bool, skip: bytes, taken: _Taken
) -> None:
    pending = [(path, parts)]
    while pending:
        directory, below = pending.pop()
        try:
            with os.scandir(directory) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            result.problems.append(Problem(shown(directory), error.strerror or str(error)))
            continue
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError as error:
                result.problems.append(Problem(shown(entry.path), error.strerror or str(error)))
                continue
            inner = _note(result, entry.path, entry.name, found, below, fix_names, skip, taken)
            if inner is not None and stat.S_ISDIR(found.st_mode):
                pending.append((entry.path, inner))


def _scan_entry(
    result: Scan,
    path: bytes,
    name: bytes,
    found: os.stat_result,
    parts: tuple[bytes, ...],
    fix_names: bool,
    skip: bytes,
    taken: _Taken,
) -> None:
    inner = _note(result, path, name, found, parts, fix_names, skip, taken)
    if inner is not None and stat.S_ISDIR(found.st_mode):
        _scan_directory(result, path, inner, fix_names, skip, taken)


def _note(
    result: Scan,
    path: bytes,
    name: bytes,
    found: os.stat_result,
    parts: tuple[bytes, ...],
    fix_names: bool,
    skip: bytes,
    taken: _Taken,
) -> tuple[bytes, ...] | None:
    """Adds one source to the scan, unless its name cannot be kept; where it goes."""
    is_directory = stat.S_ISDIR(found.st_mode)
    if is_directory and _is_skipped(result, path, skip):
        return None
    siblings = taken.setdefault(parts, {})
    try:
        key = name_key(name)
        _refuse_twin(name, is_directory, siblings.get(key))
    except BadName as error:
        if not fix_names:
            way_out = "" if isinstance(error, NameTooLong) else " (--fix-names renames it)"
            result.problems.append(Problem(shown(path), f"{error}{way_out}", type(error).__name__))
            return None
        fixed = _free_name(name, siblings)
        result.renamed.append((shown(path), shown(fixed)))
        name, key = fixed, name_key(fixed)
    siblings[key] = name, is_directory
    inner = (*parts, name)
    result.sources.append(Source(path, inner, found))
    if stat.S_ISREG(found.st_mode):
        result.files += 1
        result.bytes += found.st_size
    return inner


def _is_skipped(result: Scan, path: bytes, skip: bytes) -> bool:
    if not skip or os.path.realpath(path) != skip:
        return False
    result.problems.append(Problem(shown(path), "it is the archive itself", "Loop"))
    return True


def _refuse_twin(name: bytes, is_directory: bool, twin: tuple[bytes, bool] | None) -> None:
    """Two directories of one name become one; anything else of the same name would hide the other."""
    if twin is None or (is_directory and twin == (name, True)):
        return
    if twin[0] != name:
        raise BadName(f"its name is the same as {shown(twin[0])!r} under Unicode normalisation")
    raise BadName("something else that is added has the same name")


def _free_name(name: bytes, siblings: _Siblings) -> bytes:
    fixed = repaired_name(name)
    whole, (stem, dot, ending) = fixed, fixed.rpartition(b".")
    number = 2
    while name_key(fixed) in siblings:
        fixed = repaired_name(b"%s~%d.%s" % (stem, number, ending) if dot and stem else b"%s~%d" % (whole, number))
        number += 1
    return fixed


def take_bytes(archive: Archive, found: Scan, existing: View, progress: Progress) -> Taking:
    """Streams every file of a scan into the store; what cannot be read is a Problem. Durable when it returns."""
    result = Taking(problems=list(found.problems))
    ingest = Ingest(archive.database, archive.blobs)
    links: _Links = {}
    lost: set[tuple[bytes, ...]] = set()
    known = _Known(existing)
    for source in found.sources:
        if source.parts[:-1] in lost:
            lost.add(source.parts)
            continue
        try:
            result.new.append(_take(source, ingest, links, known, result, progress))
        except FilmFSError as error:
            if isinstance(error, _ARCHIVE_FAILED):
                raise
            result.problems.append(Problem(shown(source.path), str(error), type(error).__name__))
            lost.add(source.parts)
    ingest.flush()
    result.stored_bytes = ingest.stored_bytes
    return result


def _take(
    source: Source, ingest: Ingest, links: _Links, known: "_Known", result: Taking, progress: Progress
) -> NewFile:
    found = source.stat
    kind = _KINDS[stat.S_IFMT(found.st_mode)]
    group = b"%d:%d" % (found.st_dev, found.st_ino) if kind is Kind.FILE and found.st_nlink > 1 else b""
    try:
        target = os.readlink(source.path) if kind is Kind.SYMLINK else b""
        xattrs = _read_xattrs(source.path) if source.path else {}
    except OSError as error:
        raise source_error(error, source.path) from error
    taken = _take_content(source, group, ingest, links, known, result, progress) if kind is Kind.FILE else None
    inode = Inode(
        kind,
        stat.S_IMODE(found.st_mode),
        *_owner(found),
        1,
        taken.size if taken is not None else len(target),
        nearest_time(found.st_atime_ns),
        nearest_time(found.st_mtime_ns),
        nearest_time(found.st_ctime_ns),
        nearest_time(found.st_mtime_ns),
        rdev=found.st_rdev if kind in (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE) else 0,
        content=taken.content if taken is not None and taken.size else None,
        target=target,
        stored=taken.stored if taken is not None else 0,
    )
    return NewFile(source.parts, inode, xattrs, group)


def _take_content(
    source: Source,
    group: bytes,
    ingest: Ingest,
    links: _Links,
    known: "_Known",
    result: Taking,
    progress: Progress,
) -> Taken:
    taken = links.get(group)
    if taken is None:
        taken = known.find(source)
        if taken is not None:
            progress(taken.size, source.path)
        else:
            taken = ingest.take(source.path, lambda done: progress(done, source.path))
        result.known_files += int(taken.reused)
        result.cloned_files += int(taken.cloned)
        result.read_bytes += 0 if taken.reused else taken.size
        if group:
            links[group] = taken
    return taken


def _owner(found: os.stat_result) -> tuple[int, int]:
    """Who owns what is added: as at the source for root, who can restore it; else the one who adds it, as with cp."""
    if os.geteuid() == 0:
        return found.st_uid, found.st_gid
    return os.geteuid(), found.st_gid if found.st_gid in {os.getegid(), *os.getgroups()} else os.getegid()


def _read_xattrs(path: bytes) -> dict[bytes, bytes]:
    names = os.listxattr(path, follow_symlinks=False)
    kept = [name for name in names if not name.startswith(_LOCAL_XATTRS)]
    return {name.encode(): os.getxattr(path, name, follow_symlinks=False) for name in kept}


class _Known:
    """Files that the branch holds already: the same place, size and time need no second reading."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._directories: dict[tuple[bytes, ...], Any] = {(): 1}

    def find(self, source: Source) -> Taken | None:
        """The bytes of the file at the source's place, if it has the source's size and mtime."""
        directory = self._directory(source.parts[:-1])
        if directory is None:
            return None
        entry = self._view.find(directory, source.parts[-1])
        inode = self._view.inode(entry.file) if entry is not None else None
        if inode is None or inode.kind is not Kind.FILE or isinstance(inode.content, int):
            return None
        same = (inode.size, inode.mtime) == (source.stat.st_size, nearest_time(source.stat.st_mtime_ns))
        return Taken(inode.content, inode.size, inode.stored, reused=True) if same and inode.content else None

    def _directory(self, parts: tuple[bytes, ...]) -> Any:
        if parts not in self._directories:
            parent = self._directory(parts[:-1])
            entry = self._view.find(parent, parts[-1]) if parent is not None else None
            is_directory = entry is not None and entry.kind is Kind.DIRECTORY
            self._directories[parts] = entry.file if entry is not None and is_directory else None
        return self._directories[parts]


def forget_progress(archive: Archive) -> None:
    """What was taken is named in a branch now: the notes for an interrupted run can go."""
    Ingest(archive.database, archive.blobs).forget_journal()


def check_destination(to: str) -> list[bytes]:
    """The names of `--to DIR`. Raises BadName or Usage."""
    raw = to.encode("utf-8", errors="surrogateescape")
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    for part in parts:
        if part == b"..":
            raise Usage("--to is a directory below the branch's root; '..' leads out of it")
        name_key(part)
    return parts
