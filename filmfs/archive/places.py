"""Where damage shows: from a finding's subject to `BRANCH:path`.

Built only when there are findings. Each subject is followed up to the inode rows that need it, and from there to the
branches that see those rows as they are now; what only an old commit shows is named `main@42:path`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from filmfs.core.errors import Corrupt, FilmFSError
from filmfs.core.extents import ExtentMap, Literal
from filmfs.core.ids import ROOT_FILE, BlobId, ContentId, DraftId, FileId, LayerId
from filmfs.core.paths import shown
from filmfs.store.check import read_map
from filmfs.store.contents import CONTENT, DRAFT
from filmfs.store.database import Transaction
from filmfs.store.findings import Finding, OfBlob, OfBranch, OfContent, OfEntry, OfLayer, OfPage, OfRow, OfXattrs
from filmfs.versioning.check import Points, newest_row
from filmfs.versioning.check_walk import read_entry, read_inode
from filmfs.versioning.layers import Branch
from filmfs.versioning.rows import DIRENT, INODE, Entry, Inode, Kind, entry_prefix, inode_prefix, layer_of, layer_suffix

MOST_PLACES = 20
_DEEPEST = 4096


@dataclass(slots=True)
class Places:
    """Some places, and how many more there are."""

    named: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, place: str) -> None:
        """One more place."""
        if place in self.named:
            return
        if len(self.named) < MOST_PLACES:
            self.named.append(place)
        else:
            self.more += 1


class PlaceFinder:
    """Names the places of many findings in one walk over the tables."""

    def __init__(self, transaction: Transaction, points: Points) -> None:
        self._transaction = transaction
        self._points = points
        self._names: dict[FileId, list[OfEntry]] = defaultdict(list)

    def find(self, findings: list[Finding]) -> list[Places]:
        """The places of each finding, in order."""
        rows: dict[int, list[OfRow]] = {}
        self._from_rows(rows, self._from_contents(self._from_blobs(findings), findings), findings)
        wanted = {row.file for found in rows.values() for row in found}
        self._read_names(wanted)
        return [self._places(finding, rows.get(index, ())) for index, finding in enumerate(findings)]

    # From bytes to rows

    def _from_blobs(self, findings: list[Finding]) -> dict[ContentId | DraftId, set[int]]:
        """Contents and drafts that need a damaged blob or page, with the findings that they show."""
        blobs: dict[BlobId, list[tuple[int, OfBlob]]] = defaultdict(list)
        pages: dict[bytes, list[int]] = defaultdict(list)
        for index, finding in enumerate(findings):
            if isinstance(finding.subject, OfBlob):
                blobs[finding.subject.blob].append((index, finding.subject))
            elif isinstance(finding.subject, OfPage):
                pages[finding.subject.key].append(index)
        found: dict[ContentId | DraftId, set[int]] = defaultdict(set)
        if not blobs and not pages:
            return found
        for table in (CONTENT, DRAFT):
            for key, value in self._readable(table):
                ref = ContentId(key) if table == CONTENT else DraftId(int.from_bytes(key, "big"))
                extents = read_map(value)
                if extents is not None:
                    for index in _needing(extents, blobs):
                        found[ref].add(index)
                if pages and table == CONTENT and isinstance(value[2], list):
                    for page in value[2]:
                        found[ref].update(pages.get(page, ()))
        return found

    def _from_contents(
        self, found: dict[ContentId | DraftId, set[int]], findings: list[Finding]
    ) -> dict[ContentId | DraftId, set[int]]:
        for index, finding in enumerate(findings):
            if isinstance(finding.subject, OfContent):
                found[finding.subject.ref].add(index)
        return found

    def _from_rows(
        self, rows: dict[int, list[OfRow]], contents: dict[ContentId | DraftId, set[int]], findings: list[Finding]
    ) -> None:
        """Fills `rows`: for each finding the inode rows that it is about."""
        xattrs: dict[bytes, set[int]] = defaultdict(set)
        for index, finding in enumerate(findings):
            if isinstance(finding.subject, OfRow):
                rows.setdefault(index, []).append(finding.subject)
            elif isinstance(finding.subject, OfXattrs):
                xattrs[finding.subject.reference].add(index)
        if not contents and not xattrs:
            return
        for key, value in self._readable(INODE):
            inode = read_inode(value)
            if not isinstance(inode, Inode):
                continue
            about = xattrs.get(inode.xattrs, set())
            if inode.content is not None:
                about = about | contents.get(inode.content, set())
            for index in about:
                rows.setdefault(index, []).append(OfRow(FileId(int.from_bytes(key[:8], "big")), layer_of(key)))

    def _readable(self, table: bytes) -> Iterator[tuple[bytes, Any]]:
        for key, raw in self._transaction.scan(table):
            try:
                yield key, self._transaction.value(table, key, raw)
            except Corrupt:
                continue

    # From rows to places

    def _read_names(self, wanted: set[FileId]) -> None:
        """Finds the names that lead to the wanted inodes, and to every directory above them."""
        for key, value in self._readable(DIRENT):
            entry = read_entry(key[8:-9], value)
            if isinstance(entry, Entry) and (entry.kind is Kind.DIRECTORY or entry.file in wanted):
                name = OfEntry(FileId(int.from_bytes(key[:8], "big")), key[8:-9], layer_of(key))
                self._names[entry.file].append(name)

    def _places(self, finding: Finding, rows: Iterable[OfRow]) -> Places:
        places = Places()
        subject = finding.subject
        if isinstance(subject, OfBranch):
            branch = self._points.branches.get(subject.branch)
            places.add(f"{_label(branch)}:" if branch is not None else f"branch {subject.branch}:")
        elif isinstance(subject, OfLayer):
            places.add(f"{self._point(subject.layer)}:")
        elif isinstance(subject, OfEntry):
            for label, at in self._seen_from(DIRENT, entry_prefix(subject.directory, subject.key), subject.layer):
                above = next(iter(self._paths(subject.directory, at)), None)
                where = _unplaced(subject.directory) if above is None else above
                places.add(f"{label}:{shown(_joined(where, self._spelling(subject)))}")
        for row in rows:
            for label, at in self._seen_from(INODE, inode_prefix(row.file), row.layer):
                for path in self._paths(row.file, at) or [_unplaced(row.file)]:
                    places.add(f"{label}:{shown(path)}")
        return places

    def _seen_from(self, table: bytes, prefix: bytes, layer: LayerId) -> list[tuple[str, LayerId]]:
        """Where the row that `layer` wrote shows: branches as they are, else the commit that it is."""
        heads = [
            (branch.name, branch.open)
            for branch in sorted(self._points.alive(), key=lambda branch: branch.id)
            if self._points.knows(branch.open) and self._newest(table, prefix, branch.open) == layer
        ]
        if heads or not self._points.knows(layer):
            return heads
        return [(self._point(layer), layer)]

    def _point(self, layer: LayerId) -> str:
        """`main@42`; the branch's name alone for what it did not commit yet."""
        found = self._points.layers.get(layer)
        branch = None if found is None else self._points.branches.get(found.branch)
        if found is None or branch is None:
            opened = next((b for b in self._points.branches.values() if b.open == layer), None)
            return _label(opened) if opened is not None else self._point_by_child(layer)
        return f"{_label(branch)}@{found.number}" if found.frozen else _label(branch)

    def _point_by_child(self, layer: LayerId) -> str:
        """The name of a commit whose record is lost, told from the one after it."""
        for child in self._points.layers.values():
            branch = self._points.branches.get(child.branch)
            if layer in child.parents[:1] and branch is not None and child.number > 1:
                return f"{_label(branch)}@{child.number - 1}"
        return f"layer {layer}"

    def _newest(self, table: bytes, prefix: bytes, at: LayerId) -> LayerId | None:
        row = newest_row(self._transaction, self._points, table, prefix, at)
        return None if row is None else layer_of(row[0])

    def _paths(self, file: FileId, at: LayerId) -> list[bytes]:
        """Every path that leads to an inode in the layer `at`; by what the inode says if no name does."""
        names = self._visible_names(file, at)
        found = [path for parent, name in names if (path := self._path(parent, name, at)) is not None]
        return [b""] if file == ROOT_FILE else sorted(found)

    def _path(self, parent: FileId, name: bytes, at: LayerId) -> bytes | None:
        parts = [name]
        while parent != ROOT_FILE:
            above = self._visible_names(parent, at)
            if not above or len(parts) > _DEEPEST:
                return None
            parent, part = above[0]
            parts.append(part)
        return b"/".join(reversed(parts))

    def _visible_names(self, file: FileId, at: LayerId) -> list[tuple[FileId, bytes]]:
        found = []
        for name in self._names.get(file, ()):
            if self._newest(DIRENT, entry_prefix(name.directory, name.key), at) == name.layer:
                found.append((name.directory, self._spelling(name)))
        return found or self._own_names(file, at)

    def _own_names(self, file: FileId, at: LayerId) -> list[tuple[FileId, bytes]]:
        """What the inode says that it is called: for when its entry is what was lost."""
        layer = self._newest(INODE, inode_prefix(file), at)
        if layer is None:
            return []
        try:
            inode = read_inode(self._transaction.get(INODE, inode_prefix(file) + layer_suffix(layer)))
        except FilmFSError:
            return []
        return list(inode.links) if isinstance(inode, Inode) else []

    def _spelling(self, name: OfEntry) -> bytes:
        try:
            key = entry_prefix(name.directory, name.key) + layer_suffix(name.layer)
            entry = read_entry(name.key, self._transaction.get(DIRENT, key))
        except FilmFSError:
            return name.key
        return entry.name if isinstance(entry, Entry) else name.key


def _needing(extents: ExtentMap, blobs: dict[BlobId, list[tuple[int, OfBlob]]]) -> Iterator[int]:
    """The findings whose damaged bytes a map uses."""
    for extent in extents.extents:
        if not isinstance(extent.source, Literal):
            for index, damage in blobs.get(extent.source, ()):
                if extent.source_offset < damage.end and damage.start < extent.source_offset + extent.length:
                    yield index


def _label(branch: Branch) -> str:
    return f"{branch.name} (deleted)" if branch.deleted else branch.name


def _unplaced(file: FileId) -> bytes:
    return b"(file %d)" % file


def _joined(above: bytes, name: bytes) -> bytes:
    return above + b"/" + name if above else name
