"""Finds the rows where names and inodes do not agree, once versioning.check_rows has proved that some do not.

Both sides are looked up: what each inode says that it is called, and where each name leads.
"""

from filmfs.core.ids import FileId, LayerId
from filmfs.core.paths import shown
from filmfs.store.findings import Damaged, FaultKind, Findings, Meter, OfEntry, OfRow, Reading, silent
from filmfs.versioning.check import Points
from filmfs.versioning.check_walk import InodeRows, Name, RowsWalk, key_of_name
from filmfs.versioning.rows import Entry, Inode

_MANY_LINKS = 16


class LinksCheck:
    """A second walk over all inode and entry rows."""

    def __init__(self, reading: Reading, points: Points) -> None:
        reading.meter.start("names")
        self._add = reading.findings.add
        # What cannot be read was noted by the first walk.
        self._walk = RowsWalk(Reading(reading.transaction, Findings(), Meter(silent, 1)), points)
        self._many_links: tuple[Inode | None, frozenset[tuple[FileId, bytes]]] = None, frozenset()

    def run(self) -> None:
        """All of it."""
        for file, rows, names in self._walk.files():
            self._check_inode(file, rows)
            for name in names:
                self._check_name(file, name)

    def _check_inode(self, file: FileId, rows: InodeRows) -> None:
        for index, (layer, inode) in enumerate(rows):
            if isinstance(inode, Damaged):
                continue
            before = self._walk.inode_before(rows, index)
            was = before.links if isinstance(before, Inode) else ()
            links = () if inode is None else inode.links
            # What was proved where it was made is not looked up at every change of a list of thousands.
            proved = set(was) if len(was) > _MANY_LINKS else set()
            for parent, name in links:
                if (parent, name) not in proved:
                    self._check_has(file, layer, parent, name)
            if was != links:
                kept = {(parent, key_of_name(name)) for parent, name in links}
                for parent, name in was:
                    if (parent, key_of_name(name)) not in kept:
                        self._check_lost(file, layer, parent, name)

    def _check_has(self, file: FileId, layer: LayerId, parent: FileId, name: bytes) -> None:
        row = self._walk.entry_at(parent, key_of_name(name), layer)
        found = None if row is None else row[1]
        if found is None or (isinstance(found, Entry) and (found.file != file or found.name != name)):
            what = f"file {file} says that it is called {shown(name)!r}, and no such name leads to it"
            self._add(FaultKind.NAME, what, OfRow(file, layer))

    def _check_lost(self, file: FileId, layer: LayerId, parent: FileId, name: bytes) -> None:
        """A name that the inode lost in `layer` must not lead to it any more."""
        key = key_of_name(name)
        row = self._walk.entry_at(parent, key, layer)
        if row is not None and isinstance(row[1], Entry) and row[1].file == file:
            what = f"{shown(name)!r} leads to file {file}, which does not have that name"
            self._add(FaultKind.NAME, what, OfEntry(parent, key, row[0]))

    def _check_name(self, directory: FileId, name: Name) -> None:
        for index, (layer, entry) in enumerate(name.rows):
            if isinstance(entry, Damaged):
                continue
            if entry is not None:
                self._check_leads(directory, name.key, layer, entry)
            before = self._walk.entry_before(name.rows, index)
            if isinstance(before, Entry) and (entry is None or entry.file != before.file):
                child = self._walk.inode_at(before.file, layer)
                inode = None if child is None else child[1]
                if child is not None and isinstance(inode, Inode) and self._has_link(inode, directory, before.name):
                    what = f"file {before.file} says that it is called {shown(before.name)!r}, which it lost"
                    self._add(FaultKind.NAME, what, OfRow(before.file, child[0]))

    def _check_leads(self, directory: FileId, key: bytes, layer: LayerId, entry: Entry) -> None:
        child = self._walk.inode_at(entry.file, layer)
        inode = None if child is None else child[1]
        if isinstance(inode, Damaged):
            return
        if inode is None:
            what = f"{shown(entry.name)!r} leads to file {entry.file}, which does not exist"
        elif inode.kind is not entry.kind:
            what = f"{shown(entry.name)!r} is listed as a {entry.kind.name} and is a {inode.kind.name}"
        elif not self._has_link(inode, directory, entry.name):
            what = f"{shown(entry.name)!r} leads to file {entry.file}, which does not have that name"
        else:
            return
        self._add(FaultKind.NAME, what, OfEntry(directory, key, layer))

    def _has_link(self, inode: Inode, directory: FileId, name: bytes) -> bool:
        if len(inode.links) <= _MANY_LINKS:
            return (directory, name) in inode.links
        if self._many_links[0] is not inode:
            self._many_links = inode, frozenset(inode.links)
        return (directory, name) in self._many_links[1]
