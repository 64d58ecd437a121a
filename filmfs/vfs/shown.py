"""A file as a view shows it: its row, and what that says it is made of."""

from collections.abc import Callable

from filmfs.core.extents import ExtentMap
from filmfs.core.ids import FileId
from filmfs.store.contents import ContentRef, Contents
from filmfs.versioning.history import History
from filmfs.versioning.rows import Inode
from filmfs.versioning.view import View


class ShownFile:
    """What an open file is while nobody writes to it. Owned by the thread that owns the tree."""

    def __init__(self, history: History, contents: Contents, view: View, file: FileId) -> None:
        inode = view.get_inode(file)
        self.file = file
        self.view = view
        self.orphan: Inode | None = None
        self.moved = False  # to another branch: an orphan that nothing but its handles leads to
        self.on_change: Callable[[], None] | None = None  # called once, before its bytes become others
        self.retired = False  # its handles keep what they opened; the file has gone on under another node
        self._history = history
        self._contents = contents
        self._last = inode
        self._map = self._load(inode.content)  # what it is made of, unless that is written through us now
        self._source: ContentRef = inode.content
        self._vanished = False  # its row did, and nobody said so

    @property
    def is_settled(self) -> bool:
        """Whether the blobs that hold it can only change through us."""
        return not isinstance(self._source, int) or self._history.drafts.map_of(self._source) is not None

    @property
    def map(self) -> ExtentMap:
        """What it is made of now."""
        return self._map

    @property
    def is_torn(self) -> bool:
        """Whether it is made of a staging file that the disk may have otherwise."""
        return self._history.drafts.are_torn(self.map.blobs())

    def retire(self) -> None:
        """Its handles keep what they opened, whatever becomes of the file."""
        self.retired = True

    def reload(self) -> None:
        """Shows what the row says now."""
        self._tell_change()
        content = self.view.get_inode(self.file).content
        self._map = self._load(content)
        self._source = content

    def _tell_change(self) -> None:
        tell, self.on_change = self.on_change, None
        if tell is not None:
            tell()

    def _row(self) -> Inode | None:
        """The file's row; None once its last name is gone, whoever took it."""
        if self.orphan is None:
            inode = self.view.inode(self.file)
            if inode is None:
                # Whoever took it did so past the doors, or the disk shows an old database: no bytes go for it.
                self.orphan, self._vanished = self._last.changed(nlink=0), True
            else:
                self._last = inode
            return inode
        self._last = self.orphan
        return None

    def _load(self, content: ContentRef) -> ExtentMap:
        return made_of(self._history, self._contents, content)


def made_of(history: History, contents: Contents, content: ContentRef) -> ExtentMap:
    """What a row's bytes are made of, durable or not."""
    if isinstance(content, int):
        found = history.drafts.map_of(content)
        if found is not None:
            return found
    if isinstance(content, bytes):
        found = history.buffers.pending_map(content)
        if found is not None:
            return found
    return contents.map_of(content, history.database.current())
