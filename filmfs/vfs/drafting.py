"""What a branch's row says of a file that is being written, from the first change until the last writer closed.

A few bytes are a content at once. More are a draft, the same one whatever is written meanwhile, which may be hashed
when the file was closed. What the row said before is kept: a commit takes each file as of its last close.

Where the bytes are is known to `writing` or `through`; when the row is put is the open file's to say.
"""

from dataclasses import dataclass, field

from filmfs.core.extents import ExtentMap, Literal
from filmfs.core.ids import BlobId, ContentId, DraftId, FileId, identify_leaf
from filmfs.store.contents import CONTENT, LITERAL_MAX, ContentRef, pack_extents
from filmfs.versioning.history import History
from filmfs.versioning.rows import Inode
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View


@dataclass(slots=True)
class Drafting:
    """The row of one writing session. `copied`: a content whose bytes the file took over whole, and its map."""

    history: History
    tree: Tree
    file: FileId
    before: Inode
    draft: DraftId | None = None
    copied: tuple[ContentId, ExtentMap] | None = None
    relies: frozenset[BlobId] = field(init=False)

    def __post_init__(self) -> None:
        self.relies = self.history.drafts.relied_on(self.before.content)

    def content_of(self, extents: ExtentMap) -> ContentRef:
        """What the row is to say of these bytes; what that refers to is in the next cut."""
        if self.copied is not None and self.copied[1] == extents:
            self.forget_draft()
            return self.copied[0]
        if extents.size <= LITERAL_MAX and not self.history.drafts.are_torn(extents.blobs()):
            self.forget_draft()
            return self._literal(extents)
        if self.draft is None:
            self.draft = self.history.new_draft()
        layer = self.history.table.branches[self.tree.branch].open
        base = self.before.content
        base_content = base if isinstance(base, bytes) else None
        self.history.drafts.keep(self.draft, extents, self.file, layer, base_content, self.relies)
        return self.draft

    def forget_draft(self) -> None:
        """No row says it any more: what it says of a staging file need not be so from now on."""
        if self.draft is not None:
            drop_draft(self.history, self.tree, self.draft)
            self.draft = None

    def refers_to(self, draft: DraftId) -> bool:
        """Whether the file is, or was at its last close, that draft."""
        return draft in (self.draft, self.before.content)

    def as_of_last_close(self, inode: Inode) -> Inode:
        """The inode with the bytes of the last close."""
        before = self.before
        return inode.changed(content=before.content, size=before.size, stored=before.stored, mtime=before.mtime)

    def note_close(self, inode: Inode) -> None:
        """The last writer closed, and what the row says now is to be kept; more may be written."""
        if self.draft is not None:
            self.history.drafts.closed(self.draft)  # to be hashed when the session ends
        if self.before.content != inode.content:
            drop_draft(self.history, self.tree, self.before.content)
        self.before, self.draft = inode, None

    def adopt(self, draft: DraftId, content: ContentId) -> None:
        """A draft that the file may have been was sealed."""
        if isinstance(self.before.content, int) and self.before.content == draft:
            self.before = self.before.changed(content=content)

    def end(self, content: ContentRef, *, named: bool) -> None:
        """The last writer closed and the row says `content`, or went with the file's last name."""
        draft, before = self.draft, self.before.content
        if draft is not None and named and content == draft:
            self.history.drafts.closed(draft)
        elif draft is not None:
            drop_draft(self.history, self.tree, draft)
        if before is not None and before != content:
            drop_draft(self.history, self.tree, before)

    def _literal(self, extents: ExtentMap) -> ContentId | None:
        if not extents.size:
            return None
        data = _only_literal(extents)
        if data is None:
            data = self.history.contents.read(extents, 0, extents.size)
            extents = ExtentMap.of_bytes(data)
        content, leaves = identify_leaf(data)
        self.history.buffers.record((CONTENT, content, [extents.size, pack_extents(extents), leaves]))
        return content


def drop_draft(history: History, view: View, content: ContentRef) -> None:
    """A branch's row that said `content` says something else now: a draft that no other refers to goes."""
    if isinstance(content, int) and isinstance(view, Tree):
        history.drafts.drop(content, history.table.branches[view.branch].open)


def _only_literal(extents: ExtentMap) -> bytes | None:
    """The bytes of a map that is one literal and nothing else."""
    first = extents.extents[0] if extents.extents else None
    if first is None or not isinstance(first.source, Literal):
        return None
    return first.source.data if len(first.source.data) == first.length == extents.size else None
