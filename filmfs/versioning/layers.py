"""Layers and branches: their records, and the table of them that an open archive holds in memory.

    layer    layer (8) → [branch, parents, state, number, time, author, message, labels, automatic, commit id]
    branch   branch (4) → [name, description, open layer, lineage, created, deleted]

A layer is open (writable, not a commit yet) or frozen (a commit, numbered within its branch from 1). Freezing one and
opening the next touches three records, whatever the branch holds.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from filmfs.core.errors import BadName, Corrupt, Exists, NotFound
from filmfs.core.ids import BranchId, CommitId, LayerId
from filmfs.core.paths import name_key, shown
from filmfs.store.database import Transaction
from filmfs.versioning.lineage import NEWEST, Lineage
from filmfs.versioning.rows import branch_key, layer_key

LAYER = b"layer"
BRANCH = b"branch"

Record = tuple[bytes, bytes, Any]
"""A table, a key and a value to be written."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer; once `frozen` it is the commit `number` of its branch. Times are nanoseconds since 1970."""

    id: LayerId
    branch: BranchId
    parents: tuple[LayerId, ...]
    frozen: bool = False
    number: int = 0
    time: int = 0
    author: str = ""
    message: str = ""
    labels: tuple[str, ...] = ()
    automatic: bool = False
    commit: CommitId | None = None

    def record(self) -> Record:
        """The stored form."""
        state = [self.branch, list(self.parents), int(self.frozen), self.number, self.time]
        words = [self.author, self.message, list(self.labels), int(self.automatic), self.commit]
        return LAYER, layer_key(self.id), state + words

    @classmethod
    def of_value(cls, key: bytes, value: list[Any]) -> "Layer":
        """The layer that record() stored."""
        branch, parents, frozen, number, time, author, message, labels, automatic, commit = value
        return cls(
            LayerId(int.from_bytes(key, "big")),
            BranchId(branch),
            tuple(LayerId(parent) for parent in parents),
            bool(frozen),
            number,
            time,
            author,
            message,
            tuple(labels),
            bool(automatic),
            commit and CommitId(commit),
        )


@dataclass(frozen=True, slots=True)
class Branch:
    """A name with an open layer and a lineage; `deleted` is when it went, or 0."""

    id: BranchId
    name: str
    description: str
    open: LayerId
    lineage: Lineage
    created: int
    deleted: int = 0

    def record(self) -> Record:
        """The stored form."""
        segments = [[branch, last] for branch, last in self.lineage.segments]
        return (
            BRANCH,
            branch_key(self.id),
            [self.name, self.description, self.open, segments, self.created, self.deleted],
        )

    @classmethod
    def of_value(cls, key: bytes, value: list[Any]) -> "Branch":
        """The branch that record() stored."""
        name, description, opened, segments, created, deleted = value
        lineage = Lineage(tuple((BranchId(branch), LayerId(last)) for branch, last in segments))
        return cls(BranchId(int.from_bytes(key, "big")), name, description, LayerId(opened), lineage, created, deleted)


class LayerTable:
    """All layers and branches of an open archive. Changes give the records to be written; the caller writes them."""

    def __init__(self, layers: dict[LayerId, Layer], branches: dict[BranchId, Branch]) -> None:
        self.layers: dict[LayerId, Layer] = {}
        self.branches = branches
        self.branch_of: dict[LayerId, BranchId] = {}
        self.newest = LayerId(0)
        self.unnamed: set[LayerId] = set()  # commits without a CommitId
        self._commits: dict[BranchId, list[Layer]] = {}  # each branch's own, by number
        for _, layer in sorted(layers.items()):
            self._keep(layer)
        self._by_name = {_key(branch.name): branch.id for branch in branches.values() if not branch.deleted}

    @classmethod
    def load(cls, transaction: Transaction) -> "LayerTable":
        """Reads the tables. Raises Corrupt."""
        layers = (Layer.of_value(key, transaction.value(LAYER, key, raw)) for key, raw in transaction.scan(LAYER))
        branches = (Branch.of_value(key, transaction.value(BRANCH, key, raw)) for key, raw in transaction.scan(BRANCH))
        return cls({layer.id: layer for layer in layers}, {branch.id: branch for branch in branches})

    def take_over(self, other: "LayerTable") -> None:
        """Becomes what `other` is; views that were made of this one see it."""
        self.layers, self.branches, self._by_name = other.layers, other.branches, other._by_name
        self.newest, self.unnamed, self._commits = other.newest, other.unnamed, other._commits
        self.branch_of.clear()
        self.branch_of.update(other.branch_of)

    def alive(self) -> list[Branch]:
        """The branches that are not deleted, by name."""
        return sorted((b for b in self.branches.values() if not b.deleted), key=lambda branch: branch.name)

    def find(self, name: str) -> Branch | None:
        """The living branch called `name`, under any Unicode normalisation."""
        found = self._by_name.get(_key(name))
        return None if found is None else self.branches[found]

    def get(self, name: str) -> Branch:
        """The living branch called `name`. Raises NotFound with the names that there are."""
        branch = self.find(name)
        if branch is None:
            names = ", ".join(b.name for b in self.alive()[:8])
            raise NotFound(f"there is no branch called {name!r}; there are: {names}")
        return branch

    def layer(self, layer: LayerId) -> Layer:
        """The layer. Raises Corrupt when it has no record."""
        found = self.layers.get(layer)
        if found is None:
            raise Corrupt(f"the record of layer {layer} is missing")
        return found

    def head(self, branch: Branch) -> Layer:
        """The newest commit that `branch` sees: the parent of its open layer."""
        return self.layer(self.layer(branch.open).parents[0])

    def commits(self, branch: Branch) -> Iterator[Layer]:
        """The commits that `branch` sees along its first parents, newest first."""
        layer: Layer | None = self.head(branch)
        while layer is not None:
            yield layer
            layer = self.layer(layer.parents[0]) if layer.parents else None

    def own_commits(self, branch: Branch) -> Sequence[Layer]:
        """The commits that were made on `branch` itself, by number."""
        return self._commits.get(branch.id, [])

    def find_numbered(self, branch: Branch, number: int) -> Layer | None:
        """The commit `number` of `branch`."""
        own = self.own_commits(branch)
        index = bisect_left(own, number, key=lambda commit: commit.number)
        return own[index] if index < len(own) and own[index].number == number else None

    def find_at(self, branch: Branch, when: int) -> Layer | None:
        """The newest commit that `branch` saw at `when`; what it saw before it was made is its ancestors'."""
        for of, last in branch.lineage.segments:
            own = self._commits.get(of, [])
            visible = bisect_right(own, last, key=lambda commit: commit.id)
            index = bisect_right(own, when, hi=visible, key=lambda commit: commit.time)
            if index:
                return own[index - 1]
        return None

    def lineage_at(self, layer: Layer) -> Lineage:
        """What the commit `layer` sees."""
        return self.branches[layer.branch].lineage.at(layer.branch, layer.id)

    def freeze(self, branch: Branch, following: LayerId, commit: Layer) -> tuple[Branch, list[Record]]:
        """Makes the open layer of `branch` the commit described by `commit`, and opens `following`."""
        opened = Layer(following, branch.id, (commit.id,), number=commit.number + 1)
        branch = replace(branch, open=following)
        self._keep(commit)
        self._keep(opened)
        self.branches[branch.id] = branch
        return branch, [commit.record(), opened.record(), branch.record()]

    def add_branch(self, branch: Branch, opened: Layer) -> list[Record]:
        """Adds a branch with its open layer. Raises Exists when the name is taken."""
        if self.find(branch.name) is not None:
            raise Exists(f"there is a branch called {branch.name!r} already")
        self._keep(opened)
        self.branches[branch.id] = branch
        self._by_name[_key(branch.name)] = branch.id
        return [opened.record(), branch.record()]

    def replace_branch(self, branch: Branch) -> list[Record]:
        """Another name, description or end of a branch. Raises Exists when the new name is another branch's."""
        before = self.branches[branch.id]
        holder = self.find(branch.name)
        if not branch.deleted and holder is not None and holder.id != branch.id:
            raise Exists(f"there is a branch called {branch.name!r} already")
        self._by_name.pop(_key(before.name), None)
        if not branch.deleted:
            self._by_name[_key(branch.name)] = branch.id
        self.branches[branch.id] = branch
        return [branch.record()]

    def name_commit(self, layer: LayerId, commit: CommitId) -> list[Record]:
        """Gives a frozen layer its CommitId."""
        named = replace(self.layers[layer], commit=commit)
        self._keep(named)
        return [named.record()]

    def _keep(self, layer: Layer) -> None:
        before = self.layers.get(layer.id)
        self.layers[layer.id] = layer
        self.branch_of[layer.id] = layer.branch
        self.newest = max(self.newest, layer.id)
        if not layer.frozen:
            return
        own = self._commits.setdefault(layer.branch, [])
        if before is not None and before.frozen:
            own[bisect_left(own, layer.id, key=lambda commit: commit.id)] = layer
        else:
            own.append(layer)
        if layer.commit is None:
            self.unnamed.add(layer.id)
        else:
            self.unnamed.discard(layer.id)


def _key(name: str) -> bytes:
    raw = name.encode("utf-8", errors="surrogateescape")
    try:
        return name_key(raw)
    except BadName:
        return raw


def describe(branch: Branch, layer: Layer) -> str:
    """`main@42`, for a person."""
    return f"{shown(branch.name.encode(errors='surrogateescape'))}@{layer.number}"


def first_layer(now: int) -> tuple[Branch, Layer]:
    """The branch and open layer that an empty archive starts with."""
    branch = Branch(BranchId(1), "main", "", LayerId(1), Lineage(((BranchId(1), NEWEST),)), now)
    return branch, Layer(LayerId(1), BranchId(1), (), number=1)
