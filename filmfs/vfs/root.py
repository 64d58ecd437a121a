"""The mount's root, where branches are made and renamed like directories.

What is there is looked up in the namespace, like all that is virtual; branches are removed with the command line only.
"""

from typing import NoReturn

from filmfs.archive import Archive
from filmfs.core.errors import BadName, ReadOnly, Refused, Unsupported
from filmfs.core.ids import ROOT_FILE
from filmfs.core.paths import shown
from filmfs.versioning.rows import Kind
from filmfs.vfs.namespace import as_text
from filmfs.vfs.nodes import ROOT, NodeId, Space, node_id


class MountRoot:
    """What changes at the root, and is refused in every other virtual directory."""

    def __init__(self, archive: Archive, *, readonly: bool) -> None:
        self._archive = archive
        self._history = archive.history
        self._readonly = readonly

    def make(self, parent: NodeId, name: bytes, kind: Kind, author: str) -> NodeId:
        """Makes a branch; gives the directory that it is. Raises ReadOnly, BadName or Exists."""
        if parent != ROOT:
            raise ReadOnly("nothing can be made here")
        if self._readonly:
            raise ReadOnly("this mount is read-only")
        text = as_text(name)
        if kind is not Kind.DIRECTORY:
            raise BadName("only branches live at the root of the mount; make files inside one of them")
        branch, _ = self._history.create_branch(text, author)
        return node_id(Space(branch.id), ROOT_FILE)

    def rename(self, name: bytes, new_name: bytes, *, exchange: bool) -> None:
        """Gives a branch another name. Raises ReadOnly, Unsupported, Busy, Exists or BadName."""
        if self._readonly:
            raise ReadOnly("this mount is read-only")
        branch = self._history.table.find(as_text(name))
        if branch is None:
            raise ReadOnly("only branches can be renamed here")
        if exchange:
            raise Unsupported("branches cannot be exchanged")
        self._archive.refuse_if_busy(branch.id)
        self._history.rename_branch(branch, as_text(new_name))

    def refuse_removal(self, parent: NodeId, name: bytes) -> NoReturn:
        """Raises Refused for a branch, or ReadOnly."""
        if parent == ROOT and self._history.table.find(as_text(name)) is not None:
            raise Refused(f"{shown(name)} is a branch; remove it with: filmfs branch delete")
        raise ReadOnly("nothing can be removed here")
