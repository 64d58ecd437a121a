"""What a door changes of a file besides its name and its bytes: modes, owners, times, lengths, extended attributes."""

from collections.abc import Callable

from filmfs.core.errors import ReadOnly
from filmfs.core.ids import MAX_BRANCH, FileId
from filmfs.versioning.rows import Kind, nearest_time
from filmfs.versioning.tree import Tree
from filmfs.versioning.xattrs import Attributes as Kept
from filmfs.versioning.xattrs import get_xattrs, put_xattrs
from filmfs.vfs import xattrs
from filmfs.vfs.changes import Changes, demoted
from filmfs.vfs.nodes import Attributes, NodeId, Space, split_node
from filmfs.vfs.visible import VisibleTree


class ChangingTree(VisibleTree):
    """The tree, and what changes a file in it. Owned by one thread."""

    changes = 0  # counts what users did, for automatic commits

    def change(self, node: NodeId, changes: Changes) -> Attributes:
        """chmod, chown, truncate and utimes in one. Raises ReadOnly, IsADirectory, TooLarge."""
        asked, node = node, self._offers.real(node)
        tree, space, file = self._writable(node)
        if changes.size is not None:
            self._opened.truncate(space, file, changes.size)
        opened = self._opened.find(space, file)
        if opened is not None:
            opened.publish()
        fields: dict[str, int] = {
            key: nearest_time(value) if key.endswith("time") else value
            for key in ("mode", "uid", "gid", "atime", "mtime")
            if (value := getattr(changes, key)) is not None
        }
        inode = self._opened.inode(node)
        if changes.demotes and changes.mode is None and inode.kind is not Kind.DIRECTORY:
            fields["mode"] = demoted(inode.mode)
        inode = inode.changed(ctime=self.history.clock(), **fields)
        self._opened.put_inode(tree, node, inode)
        if fields.keys() & {"mode", "uid", "gid"}:
            self._offers.permissions_changed()
        if opened is not None and "mtime" in fields:
            opened.set_mtime(fields["mtime"])
        self.changes += 1
        return self.attributes(asked)

    def demote(self, node: NodeId) -> bool:
        """Takes set-user-ID and its kind from a file that somebody writes to who may not keep them; if it had them."""
        inode = self._opened.inode(node)
        if demoted(inode.mode) == inode.mode or inode.kind is Kind.DIRECTORY:
            return False
        self.change(node, Changes(demotes=True))
        return True

    # Extended attributes

    def set_xattr(self, node: NodeId, name: bytes, value: bytes) -> None:
        """Sets an attribute. Raises ReadOnly, Refused for filmfs's own, AttributeTooLarge."""
        self._change_xattrs(node, lambda kept: xattrs.with_set(kept, name, value))

    def remove_xattr(self, node: NodeId, name: bytes) -> None:
        """Removes an attribute. Raises NoAttribute, ReadOnly, Refused for filmfs's own."""
        self._change_xattrs(node, lambda kept: xattrs.without(kept, name))

    # Inside

    def _writable(self, node: NodeId) -> tuple[Tree, Space, FileId]:
        space, file = split_node(self._offers.real(node))
        if self.readonly:
            raise ReadOnly("this mount is read-only")
        if not 0 < space <= MAX_BRANCH:
            raise ReadOnly("history and virtual files are read-only")
        view = self._spaces.view(space)
        assert isinstance(view, Tree)
        return view, space, file

    def _drop_privileges(self, node: NodeId, uid: int) -> None:
        """An emptied file runs as nobody else; its capability the kernel takes at every change but this one."""
        if uid:
            self.demote(node)
        inode = self._opened.inode(node)
        if inode.xattrs and xattrs.CAPABILITY in self._xattrs(node):
            self._change_xattrs(node, lambda kept: xattrs.without(kept, xattrs.CAPABILITY))

    def _change_xattrs(self, node: NodeId, change: Callable[[Kept], Kept]) -> None:
        node = self._offers.real(node)
        tree, _, _ = self._writable(node)
        inode = self._opened.inode(node)
        kept = get_xattrs(self.history.database, self.history.buffers, inode.xattrs)
        reference = put_xattrs(self.history.buffers, change(kept))
        self._opened.put_inode(tree, node, inode.changed(xattrs=reference, ctime=self.history.clock()))
        self.changes += 1
