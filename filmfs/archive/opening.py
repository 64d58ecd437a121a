"""An archive on disk, and opening it.

ARCHIVE/archive.toml    format, id, name, settings
ARCHIVE/meta.lmdb/      all records
ARCHIVE/blobs/ab/cdef…  sealed blobs, named by the ContentId of their bytes
ARCHIVE/staging/N       bytes that are on their way
ARCHIVE/lock            held by the one process that changes names and history; says who that is
ARCHIVE/ingest.lock     shared by every `add` that is staging bytes
ARCHIVE/proxies.lock    held by the one process that works through the queue of proxies
ARCHIVE/work/           pieces of proxies that are being made
ARCHIVE/control.sock    where a mounted archive's daemon answers (see filmfs.control)
"""

import contextlib
import fcntl
import json
import os
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from filmfs.core.errors import Busy, Exists, NotAnArchive, ReadOnly, Usage, WrongVersion, from_os_error
from filmfs.core.ids import ROOT_FILE, BlobId, BranchId, FileId, LayerId
from filmfs.core.paths import shown
from filmfs.proxy.book import BOOK, Book, read_book
from filmfs.store.blobs import Blobs, read_record
from filmfs.store.contents import Contents
from filmfs.store.database import Database, counter_key
from filmfs.store.disk import sync_path
from filmfs.versioning.buffers import Cut, LayerBuffer, write_cut
from filmfs.versioning.history import Clock, History
from filmfs.versioning.layers import LayerTable, first_layer
from filmfs.versioning.rows import Inode, Kind

FORMAT = 1
SPOOL_PREFIX = ".publish-"
CLEAN = "clean"  # how a mount ended that lost nothing
_FORMAT_KEY = b"format"
_TRIES, _BETWEEN_TRIES_S = 20, 0.005


class Mode(Enum):
    """What an archive is opened for."""

    READ = "look, and change nothing"
    INGEST = "bring bytes in, beside whoever holds the lock"
    WRITE = "change names and history"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `archive.toml` says. Times are seconds; 0 turns automatic commits off.

    `proxies` are the sizes that are made of each film that comes in; `proxies_on_read`: a mount makes a proxy when
    somebody asks for its name; `proxy_processes` is how many processes a mount's daemon makes them with (0: all cores);
    `recipes` are those of proxies, by the names under which they are asked for.
    """

    id: str
    name: str
    auto_commit_s: int = 60
    proxies: tuple[str, ...] = ()
    proxies_on_read: bool = True
    proxy_processes: int = 0
    recipes: Book = field(default_factory=lambda: BOOK)


_DEFAULTS = Settings("", "")
_KINDS: dict[str, type] = {
    "id": str,
    "name": str,
    "auto_commit_s": int,
    "proxies": tuple,
    "proxies_on_read": bool,
    "proxy_processes": int,
    "recipes": dict,
}


def find_archive(path: str) -> str:
    """`path` as an absolute path, if an archive is there. Raises NotAnArchive with the way out."""
    root = os.path.abspath(path)
    if os.path.isfile(os.path.join(root, "archive.toml")):
        return root
    if not os.path.exists(root):
        raise NotAnArchive(f"{path} does not exist; make an archive there with: filmfs init {path}")
    raise NotAnArchive(f"{path} is not a filmfs archive (it has no archive.toml); make one with: filmfs init DIRECTORY")


class Archive:
    """An open archive. Use it in a `with` block; one thread owns its history and trees."""

    def __init__(self, root: str, mode: Mode, *, clock: Clock = time.time_ns, role: str = "command") -> None:
        """Opens the archive at `root`.

        Mode.WRITE takes the archive's lock, finishes what a crash cut off, and says in `dropped` what it threw away.
        Raises NotAnArchive, WrongVersion, Busy, Corrupt.
        """
        self.root = find_archive(root)
        self.settings = read_settings(self.root)
        self._changes: list[tuple[BranchId, FileId, bytes | None]] = []
        self.busy_checks: list[Callable[[BranchId], bool]] = []
        self._lock = _take_lock(self.root, role) if mode is Mode.WRITE else None
        with contextlib.ExitStack() as undoing:
            undoing.callback(self._unlock)
            self.database = Database(os.path.join(self.root, "meta.lmdb"), readonly=mode is Mode.READ)
            undoing.callback(self.database.close)
            self._check_format()
            self.blobs = Blobs(self.root, self.database)
            self.contents = Contents(self.database, self.blobs)
            self.history = History(self.database, self.blobs, self.contents, clock)
            self.dropped = list(self._recover()) if mode is Mode.WRITE else []
            undoing.pop_all()

    @classmethod
    def create(cls, root: str, *, name: str | None = None, author: str, clock: Clock = time.time_ns) -> Settings:
        """Makes an empty archive with the branch `main` at `root`, which must be missing or an empty directory."""
        root = os.path.abspath(root)
        if os.path.exists(os.path.join(root, "archive.toml")):
            raise Exists(f"{root} is an archive already")
        try:
            os.makedirs(root, exist_ok=True)
            if os.listdir(root):
                raise Exists(f"{root} is not empty; an archive needs a directory of its own")
            for directory in ("meta.lmdb", "staging", "blobs"):
                os.mkdir(os.path.join(root, directory), 0o700)
            for byte in range(256):
                os.mkdir(os.path.join(root, "blobs", f"{byte:02x}"), 0o700)
        except OSError as error:
            raise from_os_error(error, f"making an archive at {root}") from error
        called = name or os.path.basename(root) or "archive"
        settings = Settings(str(uuid.uuid4()), shown(called.encode(errors="surrogateescape")))
        _make_database(os.path.join(root, "meta.lmdb"), author, clock())
        for directory in ("meta.lmdb", "blobs"):
            sync_path(os.path.join(root, directory))
        _write_settings(root, settings)
        return settings

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes everything. What was not flushed is lost."""
        self.history.spares.close()
        self.blobs.close()
        self.database.close()
        self._unlock()

    def refuse_if_busy(self, branch: BranchId) -> None:
        """Raises Busy when a door has files of the branch open."""
        for is_busy in self.busy_checks:
            if is_busy(branch):
                raise Busy("files of the branch are open; close them first, or use --force")

    def note_change(self, branch: BranchId, file: FileId, name: bytes | None = None) -> None:
        """Notes that a command changed an inode, or the entry `name` of a directory: doors may have cached it."""
        self._changes.append((branch, file, name))

    def take_changes(self) -> list[tuple[BranchId, FileId, bytes | None]]:
        """What was noted since the last call."""
        taken, self._changes = self._changes, []
        return taken

    def note_role(self, **facts: Any) -> None:
        """Writes into the lock who holds it (a mount says where)."""
        if self._lock is not None:
            _write_holder(self._lock, facts)

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_format(self) -> None:
        with self.database.read() as transaction:
            found = transaction.get(b"meta", _FORMAT_KEY)
        if found != FORMAT:
            raise WrongVersion(f"{self.root} has format {found}; this filmfs reads format {FORMAT}; use a newer filmfs")

    def _recover(self) -> Iterator[str]:
        """Finishes renames that a crash cut off, and clears staging of what no record speaks of."""
        with open(os.path.join(self.root, "ingest.lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
            else:
                alone = True
            for name, blob in self.blobs.staged_files():
                yield from self._recover_file(name, blob, alone)
            for name in os.listdir(self.root):
                if name.startswith(SPOOL_PREFIX) and alone:
                    os.unlink(os.path.join(self.root, name))
        for blob in self.history.forget_lost_drafts():
            yield f"staging/{blob}: an edit that a newer one had replaced"

    def _recover_file(self, name: str, blob: BlobId | None, alone: bool) -> Iterator[str]:
        with self.database.read() as transaction:
            record = None if blob is None else read_record(transaction, blob)
        if blob is not None and record is not None:
            if record.content is not None:
                self.blobs.place(blob, record.content)
            elif not self.history.drafts.is_staged(blob):
                self.history.buffers.discard(blob)
                yield f"staging/{name}: bytes that a later edit had replaced"
            return
        if not alone:
            return
        path = os.path.join(self.blobs.staging_directory, name)
        size = os.path.getsize(path)
        os.unlink(path)
        if size:
            yield f"staging/{name}: {size} bytes that were never acknowledged"


@contextmanager
def ingesting(root: str) -> Iterator[None]:
    """While this lasts, no process takes what an `add` has staged for leftovers."""
    with open(os.path.join(root, "ingest.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an archive's lock."""

    pid: int
    role: str
    mountpoint: str | None


def lock_holder(root: str) -> Holder | None:
    """Who holds the lock of the archive at `root`, if anybody does."""
    path = os.path.join(root, "lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_holder(descriptor)
        return None
    finally:
        os.close(descriptor)


def end_of(root: str, pid: int) -> str | None:
    """How the process `pid`, which had the archive mounted, says that it ended: CLEAN, or what was lost and why.

    None when it did not say, or another has the lock since.
    """
    try:
        with open(os.path.join(root, "lock"), "rb") as file:
            facts = json.loads(file.read(4096) or b"{}")
    except (OSError, ValueError):
        return None
    return str(facts["ended"]) if facts.get("pid") == pid and "ended" in facts else None


def _read_holder(descriptor: int) -> Holder:
    try:
        facts = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:
        facts = {}
    return Holder(facts.get("pid", 0), facts.get("role", "command"), facts.get("mountpoint"))


def _take_lock(root: str, role: str) -> int:
    try:
        descriptor = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (30, 13):
            raise ReadOnly(f"{root} cannot be written to: {error.strerror}") from error
        raise from_os_error(error, f"opening {root}") from error
    for _ in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_BETWEEN_TRIES_S)  # it may be somebody who only looks who holds it
        else:
            _write_holder(descriptor, {"role": role})
            return descriptor
    holder = _read_holder(descriptor)
    os.close(descriptor)
    raise Busy(_who(root, holder))


def _who(root: str, holder: Holder) -> str:
    if holder.mountpoint:
        return f"{root} is mounted at {holder.mountpoint} (process {holder.pid}); unmount it first"
    return f"{root} is in use by process {holder.pid} ({holder.role}); try again when it is done"


def _write_holder(descriptor: int, facts: dict[str, Any]) -> None:
    data = json.dumps({"pid": os.getpid(), **facts}).encode()
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, data, 0)


def read_settings(root: str) -> Settings:
    """What the archive's `archive.toml` says. Raises NotAnArchive or WrongVersion."""
    path = os.path.join(root, "archive.toml")
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NotAnArchive(f"{path} cannot be read: {error}") from error
    if values.get("format") != FORMAT:
        found = values.get("format")
        raise WrongVersion(f"{path} says format {found!r}; this filmfs reads format {FORMAT}; use a newer filmfs")
    known = {"format", *Settings.__slots__}
    unknown = sorted(set(values) - known)
    if unknown:
        raise NotAnArchive(f"{path}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if isinstance(values.get("proxies"), list):
        values["proxies"] = tuple(values["proxies"])
    for key, kind in _KINDS.items():
        value = values.get(key, getattr(_DEFAULTS, key) or None if kind is str else getattr(_DEFAULTS, key))
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise NotAnArchive(f"{path}: the setting {key!r} is missing or has a value that it cannot have")
    try:
        values["recipes"] = book = read_book(values.get("recipes", {}))
    except Usage as error:
        raise NotAnArchive(f"{path}: {error}") from error
    if not set(values.get("proxies", ())) <= set(book):
        raise NotAnArchive(f"{path}: the setting 'proxies' is a list of sizes, of {', '.join(book)}")
    return Settings(**{key: value for key, value in values.items() if key != "format"})


def _write_settings(root: str, settings: Settings) -> None:
    """Last in making an archive: a directory without it is no archive."""
    text = (
        f"# A filmfs archive. Its bytes are whole files under blobs/, named by their ContentId.\n"
        f"format = {FORMAT}\n"
        f"id = {_toml_string(settings.id)}\n"
        f"name = {_toml_string(settings.name)}\n"
        f"# Commit a branch by itself when it was quiet for so many seconds; 0 never does.\n"
        f"auto_commit_s = {settings.auto_commit_s}\n"
        f'# Sizes of proxies that are made of each film that comes in, such as ["thumbnail", "preview"].\n'
        f"proxies = []\n"
    )
    temporary = os.path.join(root, ".archive.toml")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(root, "archive.toml"))
    sync_path(root)
    with contextlib.suppress(OSError):
        sync_path(os.path.dirname(root))


def _toml_string(text: str) -> str:
    """JSON's escapes are TOML's too, but for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _make_database(path: str, author: str, now: int) -> None:
    branch, layer = first_layer(now)
    table = LayerTable({layer.id: layer}, {branch.id: branch})
    buffer = LayerBuffer(branch.id, layer.id)
    buffer.inodes[ROOT_FILE] = Inode(Kind.DIRECTORY, 0o755, os.getuid(), os.getgid(), 2, 0, now, now, now, now)
    commit = replace(layer, frozen=True, time=now, author=author, message="archive made")
    _, records = table.freeze(branch, LayerId(2), commit)
    database = Database(path, create=True)
    with database.write() as transaction:
        transaction.put(b"meta", _FORMAT_KEY, FORMAT)
        transaction.put(b"meta", counter_key("file"), ROOT_FILE + 1)
        write_cut(transaction, Cut([buffer], {(t, k): v for t, k, v in records}, set(), set(), []))
    database.close()
