"""Nodes of the virtual part of the tree: their numbers, attributes and bytes."""

import os

from filmfs.core.errors import IsADirectory, NotADirectory, ReadOnly, Stale
from filmfs.vfs.namespace import Folder, Namespace, Report, Target, TreeRoot
from filmfs.vfs.nodes import ROOT, Attributes, NodeId, node_id, virtual_id


class VirtualNodes:
    """Virtual directories and files that were met since the mount, by number."""

    def __init__(self, namespace: Namespace, started: int, *, readonly: bool) -> None:
        self._namespace = namespace
        self._started = started
        self._readonly = readonly
        self._met: dict[NodeId, Folder | Report] = {ROOT: Folder(())}

    def folder(self, node: NodeId) -> Folder:
        """The directory. Raises Stale or NotADirectory."""
        found = self._met.get(node)
        if found is None:
            raise Stale("the virtual directory is gone")
        if isinstance(found, Report):
            raise NotADirectory("not a directory")
        return found

    def node_of(self, target: Target) -> NodeId:
        """The number of what the namespace found."""
        if isinstance(target, TreeRoot):
            return node_id(target.space, target.file)
        node = virtual_id(target.path)
        self._met.setdefault(node, target)
        return node

    def parent(self, node: NodeId) -> NodeId:
        """The directory above a directory."""
        return self.node_of(Folder(self._namespace.parent(self.folder(node).path)))

    def attributes(self, node: NodeId) -> Attributes:
        """What stat tells. Raises Stale."""
        found = self._met.get(node)
        if found is None:
            raise Stale("the virtual file is gone")
        uid, gid = os.getuid(), os.getgid()
        now = max(self._started, self._namespace.changed())
        if isinstance(found, Report):
            size = len(found.make())
            return Attributes(node, 0o100444, 1, uid, gid, 0, size, 8, now, now, now, now, stable=False)
        mode = 0o040755 if node == ROOT and not self._readonly else 0o040555
        return Attributes(node, mode, 2, uid, gid, 0, 4096, 8, now, now, now, now, stable=False)

    def read(self, node: NodeId, *, writing: bool) -> bytes:
        """All bytes of a virtual file, as they are now. Raises IsADirectory or ReadOnly."""
        found = self._met.get(node)
        if not isinstance(found, Report):
            raise IsADirectory("a directory cannot be opened as a file")
        if writing:
            raise ReadOnly("virtual files are read-only")
        return found.make()
