"""From a space (the upper part of a node's number) to the tree that it shows."""

from filmfs.core.errors import Stale
from filmfs.core.ids import MAX_BRANCH, BranchId
from filmfs.versioning.history import History
from filmfs.versioning.view import View
from filmfs.vfs.namespace import HISTORY, PLAIN
from filmfs.vfs.nodes import Space, ViewNumbers


class Spaces:
    """The trees of one mounted archive."""

    def __init__(self, history: History, views: ViewNumbers, *, follows: bool = False) -> None:
        """`follows`: branches show what another process writes."""
        self._history = history
        self._views = views
        self._follows = follows

    def view(self, space: Space) -> View:
        """The tree of a branch (writable), or a view. Raises Stale when it is gone."""
        tree = self._history.find_tree(space)
        if tree is not None:
            return tree
        if space <= MAX_BRANCH:
            branch = self._history.table.branches.get(BranchId(space))
            if branch is None or branch.deleted:
                raise Stale("the branch is gone")
            return self._history.tree(branch)
        shown_as = self._views.view(space)
        if shown_as is None:
            raise Stale("the view is gone")
        door, number = shown_as
        return self.view(Space(number)) if door == PLAIN else self._history.cached_view(number)

    def all(self) -> list[Space]:
        """The living branches' spaces, and those that views were given."""
        return [*(Space(branch.id) for branch in self._history.table.alive()), *self._views.spaces()]

    def home(self, space: Space) -> Space:
        """The space whose open files a space shows: the plain view of a branch shows the branch's."""
        if space <= MAX_BRANCH:
            return space
        shown_as = self._views.view(space)
        return Space(shown_as[1]) if shown_as is not None and shown_as[0] == PLAIN else space

    def is_stable(self, space: Space) -> bool:
        """Whether what it shows changes only through its own nodes, or never."""
        return not self._follows if space <= MAX_BRANCH else self.home(space) == space

    def door(self, space: Space) -> str | None:
        """The directory of `.filmfs/` that a view's root is in, if it is in one."""
        shown_as = self._views.view(space)
        return shown_as[0] if shown_as is not None and shown_as[0] in (PLAIN, HISTORY) else None
