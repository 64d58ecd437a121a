"""Proves a history: layers and branches lead to one another, the list of changes is complete, and every commit still
hashes to its CommitId. The rows themselves are versioning.check_rows' part.
"""

from collections.abc import Iterator

from blake3 import blake3

from filmfs.core.errors import FilmFSError
from filmfs.core.ids import BranchId, FileId, LayerId
from filmfs.core.paths import name_key
from filmfs.store.database import Snapshot, Transaction
from filmfs.store.findings import DAMAGED, FaultKind, OfBranch, OfEntry, OfLayer, OfRow, OfXattrs, Reading, Subject
from filmfs.store.records import canonical
from filmfs.versioning.buffers import Buffers
from filmfs.versioning.commits import commit_id
from filmfs.versioning.layers import BRANCH, LAYER, Branch, Layer
from filmfs.versioning.lineage import NEWEST, Lineage
from filmfs.versioning.rows import (
    CHANGES,
    DIRENT,
    INODE,
    Inode,
    Kind,
    change_key,
    inode_prefix,
    layer_of,
    layer_suffix,
    split_entry_key,
)
from filmfs.versioning.view import View
from filmfs.versioning.xattrs import XATTRS

_TABLES = {INODE[:1]: INODE, DIRENT[:1]: DIRENT}


class Points:
    """The layers and branches that could be read, and which layer sees which."""

    def __init__(self, layers: dict[LayerId, Layer], branches: dict[BranchId, Branch]) -> None:
        self.layers = layers
        self.branches = branches
        self.branch_of = {layer.id: layer.branch for layer in layers.values()}
        self._ancestors = {b.id: dict(b.lineage.segments[1:]) for b in branches.values()}

    def knows(self, layer: LayerId) -> bool:
        """Whether what `layer` sees can be told."""
        return layer in self.layers and self.layers[layer].branch in self.branches

    def sees(self, at: LayerId, layer: LayerId) -> bool:
        """Whether a row that `layer` wrote is visible in the layer `at`."""
        mine, other = self.branch_of[at], self.branch_of.get(layer)
        if other is None:
            return False
        if mine == other:
            return layer <= at
        return layer <= self._ancestors[mine].get(other, 0)

    def lineage_at(self, layer: LayerId) -> Lineage:
        """What `layer` sees."""
        branch = self.branches[self.layers[layer].branch]
        return Lineage(((branch.id, layer), *branch.lineage.segments[1:]))

    def alive(self) -> list[Branch]:
        """The branches that are not deleted."""
        return [branch for branch in self.branches.values() if not branch.deleted]


def newest_row(
    transaction: Transaction, points: Points, table: bytes, prefix: bytes, at: LayerId
) -> tuple[bytes, bytes] | None:
    """The row that begins with `prefix` and that the layer `at` sees: its key and raw record."""
    length = len(prefix) + 8
    row = transaction.first(table, prefix + layer_suffix(at))
    while row is not None and row[0].startswith(prefix):
        if len(row[0]) == length and points.sees(at, layer_of(row[0])):
            return row
        row = transaction.first(table, row[0] + b"\0")
    return None


def read_points(reading: Reading) -> Points:
    """Reads the layers and branches. What cannot be read is noted and left out."""
    layers: dict[LayerId, Layer] = {}
    branches: dict[BranchId, Branch] = {}
    for key, value in reading.rows(LAYER, lambda key: OfLayer(LayerId(int.from_bytes(key, "big")))):
        if value is not DAMAGED:
            try:
                layer = Layer.of_value(key, value)
                layers[layer.id] = layer
            except (TypeError, ValueError):
                reading.findings.add(FaultKind.LAYER, f"the record of layer {key.hex()} cannot be understood")
    for key, value in reading.rows(BRANCH, lambda key: OfBranch(BranchId(int.from_bytes(key, "big")))):
        if value is not DAMAGED:
            try:
                branch = Branch.of_value(key, value)
                branches[branch.id] = branch
            except (TypeError, ValueError):
                reading.findings.add(FaultKind.BRANCH, f"the record of branch {key.hex()} cannot be understood")
    return Points(layers, branches)


class PointsCheck:
    """Whether layers and branches lead to one another."""

    def __init__(self, reading: Reading, points: Points) -> None:
        self._add = reading.findings.add
        self._points = points

    def run(self) -> None:
        """All of it."""
        points = self._points
        if not points.alive():
            self._add(FaultKind.BRANCH, "the archive has no branch that can be read")
        names: dict[bytes, Branch] = {}
        for branch in points.branches.values():
            for what in self._faults_of_branch(branch):
                self._add(FaultKind.BRANCH, f"branch {branch.name!r}: {what}", OfBranch(branch.id))
            if not branch.deleted:
                other = names.setdefault(_name_key(branch.name), branch)
                if other is not branch:
                    what = f"branches {other.id} and {branch.id} are both called {branch.name!r}"
                    self._add(FaultKind.BRANCH, what, OfBranch(branch.id))
        unknown = {layer.branch for layer in points.layers.values()} - points.branches.keys()
        for missing in sorted(unknown):
            what = f"branch {missing} has layers and no record that can be read"
            self._add(FaultKind.BRANCH, what, OfBranch(missing))
        for layer in points.layers.values():
            for what in self._faults_of_layer(layer):
                self._add(FaultKind.LAYER, f"layer {layer.id}: {what}", OfLayer(layer.id))

    def _faults_of_branch(self, branch: Branch) -> Iterator[str]:
        opened = self._points.layers.get(branch.open)
        if opened is None:
            yield f"its open layer {branch.open} has no record that can be read"
        elif opened.frozen or opened.branch != branch.id:
            yield f"its open layer {branch.open} is a commit, or another branch's"
        elif len(opened.parents) != 1:
            yield "its open layer has no commit to start from"
        segments = branch.lineage.segments
        if not segments or segments[0] != (branch.id, NEWEST):
            yield "its lineage does not begin with itself"
        for of, last in segments[1:]:
            layer = self._points.layers.get(last)
            if of not in self._points.branches or layer is None:
                yield f"its lineage leads to branch {of} at layer {last}, which cannot be read"
            elif layer.branch != of or not layer.frozen:
                yield f"its lineage leads to layer {last}, which is no commit of branch {of}"

    def _faults_of_layer(self, layer: Layer) -> Iterator[str]:
        branch = self._points.branches.get(layer.branch)
        if not layer.frozen:
            if branch is not None and branch.open != layer.id:
                yield "it is open, and its branch writes to another one"
            if layer.commit is not None:
                yield "it is open and has a CommitId"
        if not layer.parents and layer.id != 1:
            yield "it has no parent"
        for parent in layer.parents:
            above = self._points.layers.get(parent)
            if above is None:
                yield f"its parent {parent} has no record that can be read"
            elif parent >= layer.id or not above.frozen:
                yield f"its parent {parent} is no commit before it"
            elif layer.commit is not None and above.commit is None:
                yield f"it has a CommitId and its parent {parent} has none"
        first = self._points.layers.get(layer.parents[0]) if layer.parents else None
        if first is not None and self._points.knows(layer.id) and self._points.knows(first.id):
            if first.branch == layer.branch:
                follows = layer.number == first.number + 1
            else:
                follows = layer.number == 1 and self._starts_at(layer, first)
            if not follows:
                yield f"it does not follow its parent {first.id}"

    def _starts_at(self, layer: Layer, point: Layer) -> bool:
        return self._points.branches[layer.branch].lineage.segments[1:] == self._points.lineage_at(point.id).segments


def check_changes(reading: Reading) -> None:
    """Whether the list of changes names every row, and nothing else."""
    changes = 0
    for key, _ in reading.rows(CHANGES, subject_of_change):
        changes += 1
        table = _TABLES.get(key[8:9])
        layer = LayerId(int.from_bytes(key[:8], "big"))
        if table is None or not reading.transaction.has(table, key[9:] + layer_suffix(layer)):
            what = f"layer {layer} is noted to have changed a row that is not there"
            reading.findings.add(FaultKind.CHANGE, what, subject_of_change(key))
    if changes == reading.transaction.count(INODE) + reading.transaction.count(DIRENT):
        return
    for table in (INODE, DIRENT):
        for key, _ in reading.transaction.scan(table):
            change = change_key(layer_of(key), table, key[:-8])
            if not reading.transaction.has(CHANGES, change):
                what = f"layer {layer_of(key)} changed a row and the list of its changes does not say so"
                reading.findings.add(FaultKind.CHANGE, what, subject_of_change(change))


def subject_of_change(key: bytes) -> Subject | None:
    """The row that a key of `changes` speaks of; None where a damaged one speaks of none."""
    layer, kind, prefix = LayerId(int.from_bytes(key[:8], "big")), key[8:9], key[9:]
    if kind == INODE[:1]:
        if len(prefix) != len(inode_prefix(FileId(0))):
            return None
        return OfRow(FileId(int.from_bytes(prefix, "big")), layer)
    return OfEntry(*split_entry_key(prefix), layer) if kind == DIRENT[:1] else None


def check_xattrs(reading: Reading) -> None:
    """Whether every set of attributes is the one that its key names."""
    for key, value in reading.rows(XATTRS, OfXattrs):
        if value is not DAMAGED and blake3(canonical(value)).digest(16) != key:
            what = f"the attributes {key.hex()} are not what their key says"
            reading.findings.add(FaultKind.XATTRS, what, OfXattrs(key))


def check_commits(reading: Reading, points: Points) -> int:
    """Computes every CommitId again; how many commits there are. What it needs and cannot read is a finding already."""
    commits = [layer for layer in points.layers.values() if layer.frozen]
    reading.meter.start("commits")
    before: tuple[LayerId, View] | None = None
    for layer in sorted(commits, key=lambda layer: layer.id):
        parents = [points.layers[parent].commit for parent in layer.parents if parent in points.layers]
        known = [parent for parent in parents if parent is not None]
        if layer.commit is None or len(known) < len(layer.parents) or not points.knows(layer.id):
            continue
        view = _still_view(reading, points, layer.id)
        try:
            if not layer.parents:
                base = None
            elif before is not None and before[0] == layer.parents[0]:
                base = before[1]
            else:
                base = _still_view(reading, points, layer.parents[0])
            changes = (key for key, _ in reading.transaction.scan(CHANGES, layer.id.to_bytes(8, "big")))
            found = commit_id(layer, known, changes, view, base)
        except (FilmFSError, KeyError, TypeError, ValueError):
            continue
        before = layer.id, view
        reading.meter.step()
        if found != layer.commit:
            what = f"commit {layer.commit.hex()} does not hold what it held when it was named"
            reading.findings.add(FaultKind.COMMIT, what, OfLayer(layer.id))
    return len(commits)


def _still_view(reading: Reading, points: Points, layer: LayerId) -> View:
    return _StillView(Snapshot(reading.transaction), points, layer)


class _StillView(View):
    """A view of what does not change any more: directories and their paths are looked up once."""

    def __init__(self, snapshot: Snapshot, points: Points, layer: LayerId) -> None:
        super().__init__(snapshot, Buffers(), points.branch_of, points.lineage_at(layer))
        self._points = points
        self._layer = layer
        self._directories: dict[FileId, Inode] = {}
        self._paths: dict[FileId, bytes | None] = {}

    def inode(self, file: FileId) -> Inode | None:
        found = self._directories.get(file) or super().inode(file)
        if found is not None and found.kind is Kind.DIRECTORY:
            self._directories[file] = found
        return found

    def _newest(self, table: bytes, prefix: bytes) -> list[object] | None:
        transaction = self._database.current()
        row = newest_row(transaction, self._points, table, prefix, self._layer)
        value: list[object] | None = None if row is None else transaction.value(table, *row)
        return value

    def path_of(self, file: FileId) -> bytes | None:
        if file not in self._paths:
            path = super().path_of(file)
            if file not in self._directories:
                return path
            self._paths[file] = path
        return self._paths[file]


def _name_key(name: str) -> bytes:
    raw = name.encode("utf-8", errors="surrogateescape")
    try:
        return name_key(raw)
    except FilmFSError:
        return raw
