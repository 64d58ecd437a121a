"""A file whose handles may all go to one plain file, past us: what is known of it then, and what must be minded."""

from filmfs.core.errors import Unsupported
from filmfs.core.ids import BlobId, DraftId, FileId
from filmfs.store.composing import Composed
from filmfs.store.contents import Contents
from filmfs.versioning.history import History
from filmfs.versioning.view import View
from filmfs.vfs.drafting import Drafting
from filmfs.vfs.shown import ShownFile
from filmfs.vfs.through import Through


class StraightFile(ShownFile):
    """The part of an open file that knows of its plain file. Owned by the thread that owns the tree."""

    def __init__(self, history: History, contents: Contents, view: View, file: FileId) -> None:
        super().__init__(history, contents, view, file)
        self.modified = False  # holds something that its row does not say yet
        self.straight = False  # its handles go to one plain file, past us
        self.composed: Composed | None = None  # that plain file, if no blob is it
        self._drafting: Drafting | None = None  # while a writing session lasts
        self._through: Through | None = None  # while such a session goes past us

    @property
    def is_written_through(self) -> bool:
        """Whether it may change without our being told."""
        return self._through is not None

    @property
    def written_past_us(self) -> BlobId | None:
        """The staging file that its writers go to."""
        return self._through.blob if self._through is not None else None

    def open_straight(self) -> int:
        """The plain file that its handles go to, opened for reading; the descriptor is the caller's to close.

        Raises OSError, or what the blobs say.
        """
        if self.composed is not None:
            return self.composed.open()
        if self._through is not None:
            return self._through.duplicate()
        blob = self._map.whole_blob
        assert blob is not None
        return self._contents.blobs.open(blob)

    def shrinks_to(self, size: int) -> bool:
        """Whether a cut to `size` must wait for a flush of the shorter file.

        Otherwise a crash could leave a row that says more than the staging file has.
        """
        return self._through is not None and size < self._through.published

    def will_shrink(self, size: int) -> None:
        """Has the next flush say so: call `truncate` after it, or `will_not_shrink`."""
        assert self._through is not None
        self._through.will_shrink(size)
        self.modified = True

    def will_not_shrink(self) -> None:
        """Undoes `will_shrink`."""
        if self._through is not None:
            self._through.will_not_shrink()

    def closed_under_it(self) -> set[DraftId]:
        """Drafts of what it was, that lie in the staging file that is being written."""
        if self._drafting is None or self._through is None:
            return set()
        return {draft for draft in self._history.drafts.users(self._through.blob) if draft != self._drafting.draft}

    def _refuse_if_closed_under_it(self) -> None:
        if self.closed_under_it():
            raise Unsupported("what the file was when it was closed lies there")
