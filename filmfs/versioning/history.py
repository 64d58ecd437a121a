"""One archive's history while it is open: branches, commits, and making changes durable.

`History` is owned by one thread. Flushing is three steps so that the middle one may run elsewhere: `cut` takes what
changed, `write` makes it durable, `settle` lets go of it. Freezing a layer (a commit, a branch) is a cut of nothing: it
touches three records in memory and waits for nobody.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from filmfs.core.errors import Busy, Exists, FilmFSError, Refused
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import MAX_BRANCH, BlobId, BranchId, CommitId, DraftId, FileId, LayerId
from filmfs.core.paths import check_branch_name
from filmfs.store.blobs import Blobs
from filmfs.store.contents import Contents, find_map, get_leaves
from filmfs.store.database import Database, Transaction
from filmfs.store.sealing import Seal, SealedBlob, seal
from filmfs.store.staging import Spares
from filmfs.versioning.buffers import Buffers, Cut, write_cut
from filmfs.versioning.commits import compute_names, has_few_changes, unnamed
from filmfs.versioning.drafts import Drafts, Sealable
from filmfs.versioning.layers import Branch, Layer, LayerTable
from filmfs.versioning.lost import (
    NO_LOSS,
    DurableRows,
    Loss,
    forget_unneeded,
    is_referred,
    lessened,
    lost_bytes,
    lost_files,
    put_back,
)
from filmfs.versioning.numbers import Numbers
from filmfs.versioning.points import resolve
from filmfs.versioning.rows import CHANGES
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View

Clock = Callable[[], int]
"""Nanoseconds since 1970."""


class FreezeListener(Protocol):
    """Who has files open: it puts them into a layer as of their last close before that layer freezes."""

    def freezing(self, branch: BranchId) -> list[bytes]:
        """Called while the layer is open; gives the paths that are open for writing."""

    def frozen(self, branch: BranchId) -> None:
        """Called when the next layer is open."""

    def shows(self, draft: DraftId) -> bool:
        """Whether an open file is, or may be again, what that draft is made of."""


class History:
    """Branches and commits of one open archive."""

    def __init__(self, database: Database, blobs: Blobs, contents: Contents, clock: Clock) -> None:
        """Reads the tables. Raises Corrupt."""
        self.database = database
        self.contents = contents
        self.clock = clock
        self.buffers = Buffers()
        self.drafts = Drafts(self.buffers)
        self.spares = Spares(blobs, self.new_blob)
        self._blobs = blobs
        self._trees: dict[BranchId, Tree] = {}
        self._views: dict[LayerId, View] = {}
        self._files = Numbers(database, "file")
        self._blob_numbers = Numbers(database, "blob")
        self._draft_numbers = Numbers(database, "draft")
        self._counters = self._files, self._blob_numbers, self._draft_numbers
        self._listeners: list[FreezeListener] = []
        self._unplaced: list[SealedBlob] = []
        with database.read() as transaction:
            self.table = LayerTable.load(transaction)
            self.drafts.load(transaction)

    def read_table(self) -> LayerTable:
        """The table of layers and branches as it is durable now. May run in any thread."""
        with self.database.read() as transaction:
            return LayerTable.load(transaction)

    def catch_up(self, table: LayerTable | None = None) -> None:
        """For readers beside another process: shows what that wrote, with its table if that was read again."""
        if table is not None:
            self.table.take_over(table)
            self._trees = {of: tree for of, tree in self._trees.items() if not table.branches[of].deleted}
        self.drafts = Drafts(self.buffers)  # the other's may change: each is looked up when it is needed
        self.database.refresh()
        self.buffers.epoch += 1
        self.buffers.entry_changes += 1

    def forget_lost_drafts(self) -> list[BlobId]:
        """Drops drafts that no row refers to: a crash came between an edit and the edit that replaced it."""
        lost: list[BlobId] = []
        with self.database.read() as transaction:
            for number, owners in self.drafts.owners():
                if not any(is_referred(transaction, owner, number) for owner in owners):
                    lost += self.drafts.forget(number)
        self.flush()
        return lost

    def listen(self, listener: FreezeListener) -> None:
        """Adds somebody who must be told of freezing."""
        self._listeners.append(listener)

    # What there is

    def tree(self, branch: Branch) -> Tree:
        """The writable tree of a branch."""
        tree = self._trees.get(branch.id)
        if tree is None:
            tree = self._trees[branch.id] = Tree(
                self.database,
                self.buffers,
                self.table.branch_of,
                branch.lineage,
                lambda of: self.table.branches[of].open,
                lambda: FileId(self._files.next()),
            )
        return tree

    def find_tree(self, branch: int) -> Tree | None:
        """The tree of a living branch, if it was asked for before."""
        return self._trees.get(branch)  # type: ignore[call-overload, no-any-return]

    def view(self, commit: Layer) -> View:
        """The tree of a commit."""
        return View(self.database, self.buffers, self.table.branch_of, self.table.lineage_at(commit))

    def cached_view(self, layer: int) -> View:
        """The tree of the commit with that layer number; kept, since a commit never changes. Raises Corrupt."""
        view = self._views.get(LayerId(layer))
        if view is None:
            view = self._views[LayerId(layer)] = self.view(self.table.layer(LayerId(layer)))
        return view

    def view_of(self, point: str) -> View:
        """The tree of a branch or a commit, as `resolve` reads it."""
        branch = self.table.find(point)
        return self.tree(branch) if branch is not None else self.view(self.resolve(point))

    def resolve(self, point: str) -> Layer:
        """The commit that a point names; see `points.resolve`."""
        return resolve(self.table, point)

    def has_changes(self, branch: Branch) -> bool:
        """Whether anything was changed since the last commit."""
        if self.buffers.has_changes(branch.id, branch.open):
            return True
        prefix = branch.open.to_bytes(8, "big")
        return next(self.database.current().scan(CHANGES, prefix), None) is not None

    # Changing it

    def new_blob(self) -> BlobId:
        """A number for a new staging file."""
        return BlobId(self._blob_numbers.next())

    def new_draft(self) -> DraftId:
        """A number for a new draft."""
        return DraftId(self._draft_numbers.next())

    def new_file(self) -> FileId:
        """A number for a new inode."""
        return FileId(self._files.next())

    def commit(
        self, branch: Branch, message: str, author: str, *, automatic: bool = False, labels: tuple[str, ...] = ()
    ) -> tuple[Layer, list[bytes], bool]:
        """Freezes the open layer, if it holds any change.

        Gives the newest commit, the paths that were open for writing (the commit has them as of their last close), and
        whether there was anything to commit.
        """
        being_written = [path for listener in self._listeners for path in listener.freezing(branch.id)]
        branch = self.table.branches[branch.id]  # the caller's may be of before another commit
        new = self.has_changes(branch)
        if new:
            opened = self.table.layer(branch.open)
            now = max(self.clock(), self.table.head(branch).time + 1) if opened.parents else self.clock()
            frozen = replace(
                opened, frozen=True, time=now, author=author, message=message, labels=labels, automatic=automatic
            )
            _, records = self.table.freeze(branch, self._next_layer(), frozen)
            self.buffers.record(*records)
            self.buffers.epoch += 1
        for listener in self._listeners:
            listener.frozen(branch.id)
        return self.table.head(self.table.branches[branch.id]), being_written, new

    def create_branch(
        self, name: str, author: str, *, source: str | None = None, description: str = ""
    ) -> tuple[Branch, list[bytes]]:
        """A new branch from a branch as it is now, or from a commit.

        Gives it, and the paths that were open for writing in the source. Raises Exists, BadName, NotFound or Usage.
        """
        check_branch_name(name)
        if self.table.find(name) is not None:
            raise Exists(f"there is a branch called {name!r} already")
        origin = self.table.find(source or self.default.name)
        being_written: list[bytes] = []
        if origin is None:
            point = self.resolve(source or "")
        else:
            message = f"branched into {name}"
            point, being_written, _ = self.commit(origin, message, author, automatic=True)
        number = BranchId(max(self.table.branches) + 1)
        if number > MAX_BRANCH:
            raise Refused(f"an archive can hold {MAX_BRANCH} branches")
        opened = Layer(self._next_layer(), number, (point.id,), number=1)
        lineage = self.table.lineage_at(point).child(number)
        branch = Branch(number, name, description, opened.id, lineage, self.clock())
        self.buffers.record(*self.table.add_branch(branch, opened))
        return branch, being_written

    @property
    def default(self) -> Branch:
        """The branch that new ones start from: `main`, or the oldest that is left."""
        return self.table.find("main") or min(self.table.alive(), key=lambda branch: branch.id)

    def rename_branch(self, branch: Branch, name: str) -> Branch:
        """Gives a branch another name. Raises Exists or BadName."""
        renamed = replace(self.table.branches[branch.id], name=check_branch_name(name))
        self.buffers.record(*self.table.replace_branch(renamed))
        return renamed

    def delete_branch(self, branch: Branch) -> None:
        """Takes a branch away. What other branches see of it stays. Raises Refused for the last one."""
        if len(self.table.alive()) == 1:
            raise Refused(f"{branch.name} is the only branch; an archive needs one")
        gone = replace(self.table.branches[branch.id], deleted=self.clock())
        self.buffers.record(*self.table.replace_branch(gone))
        self._trees.pop(branch.id, None)

    def _next_layer(self) -> LayerId:
        return LayerId(self.table.newest + 1)

    # Making it durable

    def cut(self) -> Cut:
        """Takes all that is not durable."""
        cut = self.buffers.cut()
        cut.standing = self.drafts.begin_flush()
        return cut

    def write(self, cut: Cut) -> Loss:
        """Makes a cut durable. May run in any thread, one at a time. Raises what the disk says.

        But for files that the disk lost bytes of: what was left out is for `settle` and `tidy`.
        """
        lost, loss = self._blobs.sync_staged(cut.unsynced), NO_LOSS
        # The names too: of what was written to, and of what hashing put together.
        if cut.unsynced or any(outcome.blobs for outcome in cut.seals):
            self._blobs.sync_names()
        if lost:
            with self.database.read() as transaction:
                cut, loss = lessened(cut, lost, DurableRows(transaction, self.table), self.new_draft)
        if cut:
            with self.database.write() as transaction:
                write_cut(transaction, cut)
                blocks = self._refill(transaction)
            self._adopt(blocks)
        return loss

    def take_numbers(self) -> None:
        """Takes numbers ahead, so that nothing that is made later waits for the disk because of one."""
        self._adopt(self.database.transact(self._refill))

    def _refill(self, transaction: Transaction) -> list[range]:
        return [numbers.refill(transaction) for numbers in self._counters]

    def _adopt(self, blocks: list[range]) -> None:
        for numbers, block in zip(self._counters, blocks, strict=True):
            numbers.adopt(block)

    def settle(self, cut: Cut, loss: Loss = NO_LOSS) -> None:
        """Lets go of the buffers of what is durable, and has what was left out wait."""
        self.buffers.settle(cut)
        self.drafts.end_flush()
        put_back(loss, self.buffers, self.drafts, self.table.branches)
        if self.drafts.in_doubt():
            forget_unneeded(self.drafts, self.buffers, self.database.current(), self._is_shown)

    def _is_shown(self, draft: DraftId) -> bool:
        return any(listener.shows(draft) for listener in self._listeners)

    def lost_files(self) -> dict[DraftId, str]:
        """The files that cannot be made durable, as of the last flush: BRANCH:path, by their drafts."""
        return lost_files(self.drafts, ((branch.name, self.tree(branch)) for branch in self.table.alive()))

    def tidy(self, cut: Cut, loss: Loss = NO_LOSS) -> None:
        """Gives the files of what is settled their place, and removes those that nothing needs.

        May run in any thread, one at a time.
        """
        self._unplaced += [sealed for outcome in cut.seals for sealed in outcome.blobs]
        self._unplaced = [sealed for sealed in self._unplaced if not self._place(sealed)]
        for blob in cut.discards - loss.kept:
            with suppress(FilmFSError):  # left over, and removed by the next opening
                self._blobs.discard(blob)

    @property
    def is_untidy(self) -> bool:
        """Whether files did not get their place yet."""
        return bool(self._unplaced)

    def _place(self, sealed: SealedBlob) -> bool:
        """Whether the blob has its place. If not, its bytes are found where they are, and it is tried again."""
        try:
            self._blobs.place(sealed.blob, sealed.content)
        except FilmFSError:
            return False
        return True

    def failed(self, cut: Cut) -> bool:
        """Keeps a cut that could not be written; whether writing it again may help at once."""
        self.buffers.put_back(cut)
        return self.database.mend()

    def flush(self) -> None:
        """All steps at once: for a caller without an event loop. Raises what the disk says, LostBytes last."""
        cut = self.cut()
        try:
            loss = self.write(cut)
        except BaseException:
            if not self.failed(cut):
                raise
            return self.flush()
        self.settle(cut, loss)
        self.tidy(cut, loss)
        if files := self.lost_files():
            raise lost_bytes(files.values())
        return None

    # What follows when there is time

    def seal(self, sealable: Sealable) -> Seal:
        """Hashes a draft. May run in any thread; give the outcome to `drafts.sealed`."""
        base = ExtentMap(), b""
        if sealable.base is not None:
            with self.database.read() as transaction:
                base = find_map(transaction, sealable.base) or ExtentMap(), get_leaves(transaction, sealable.base)
        staged, shared, torn = sealable.staged, sealable.shared, sealable.torn
        return seal(sealable.id, sealable.draft, staged, shared, torn, base, self.contents, self.new_blob)

    def seal_all(self) -> int:
        """Seals every draft that may be sealed and names the commits that this completes; how many drafts."""
        self.flush()
        count, busy = 0, []
        while ready := self.drafts.sealable():
            for sealable in ready:
                try:
                    self.drafts.sealed(self.seal(sealable))
                    count += 1
                except Busy:
                    busy.append(sealable.id)
            self.flush()
        for draft in busy:
            self.drafts.unsealed(draft)
        self.name_commits()
        self.flush()
        return count

    def name_commits(self) -> int:
        """Gives a CommitId to every commit that can have one; how many. See `compute_names`."""
        return self.take_names(self.find_names())

    def find_names(self) -> dict[LayerId, CommitId]:
        """See `compute_names`, over what is durable now. May run in any thread."""
        with self.database.snapshot() as snapshot:
            return compute_names(self.table, snapshot)

    def take_names(self, names: dict[LayerId, CommitId]) -> int:
        """Takes what `compute_names` found to the next cut."""
        for layer, commit in names.items():
            self.buffers.record(*self.table.name_commit(layer, commit))
        return len(names)

    def unnamed(self) -> list[Layer]:
        """Commits that have no CommitId yet, oldest first."""
        return unnamed(self.table)

    def is_naming_quick(self, commits: list[Layer], changes: int) -> bool:
        """Whether those commits hold no more than so many changes. May run in any thread."""
        with self.database.read() as transaction:
            return has_few_changes(transaction, commits, changes)
