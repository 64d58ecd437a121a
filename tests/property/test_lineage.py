"""What each branch and commit sees, against a model of dicts that are copied at every branch and commit."""

import copy
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filmfs.archive import Archive, Mode
from filmfs.core.errors import FilmFSError
from filmfs.core.ids import ROOT_FILE, BranchId, FileId, LayerId
from filmfs.versioning.layers import Branch
from filmfs.versioning.lineage import NEWEST, Lineage
from filmfs.versioning.rows import Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from tests.support import NOW, Ticks, an_inode, reopened, throwaway_root

NAMES = [b"a", b"b", b"c", b"d"]

State = dict[bytes, tuple[FileId, Kind, int]]


@dataclass
class Model:
    """What every branch and every commit should show."""

    branches: dict[str, State] = field(default_factory=lambda: {"main": {}})
    commits: dict[LayerId, State] = field(default_factory=dict)


@dataclass
class World:
    """An archive driven beside its model. `durable` is the model as of the last flush."""

    archive: Archive
    model: Model = field(default_factory=Model)
    durable: Model = field(default_factory=Model)
    tick: int = 0

    def pick(self, number: int) -> tuple[str, Branch, Tree, State]:
        name = sorted(self.model.branches)[number % len(self.model.branches)]
        branch = self.archive.history.table.get(name)
        return name, branch, self.archive.history.tree(branch), self.model.branches[name]

    def put(self, of: int, place: int, name: int) -> None:
        """Makes a file, or changes the one that is there."""
        _, _, tree, state = self.pick(of)
        parent, prefix = self.directory(tree, state, place)
        path = prefix + NAMES[name]
        self.tick += 1
        if path in state:
            file, kind, _ = state[path]
            tree.put_inode(file, tree.get_inode(file).changed(mode=self.tick))
        else:
            file, _ = tree.make(parent, NAMES[name], an_inode(mode=self.tick))
            kind = Kind.FILE
        state[path] = (file, kind, self.tick)

    def mkdir(self, of: int, place: int, name: int) -> None:
        _, _, tree, state = self.pick(of)
        parent, prefix = self.directory(tree, state, place)
        path = prefix + NAMES[name]
        if path in state:
            return
        self.tick += 1
        file, _ = tree.make(parent, NAMES[name], an_inode(Kind.DIRECTORY, mode=self.tick))
        state[path] = (file, Kind.DIRECTORY, self.tick)

    def remove(self, of: int, place: int, name: int) -> None:
        _, _, tree, state = self.pick(of)
        parent, prefix = self.directory(tree, state, place)
        path = prefix + NAMES[name]
        if path not in state or any(other.startswith(path + b"/") for other in state):
            return
        if state.pop(path)[1] is Kind.DIRECTORY:
            tree.rmdir(parent, NAMES[name], NOW)
        else:
            tree.unlink(parent, NAMES[name], NOW)

    def rename(self, of: int, place: int, name: int, to_place: int, to_name: int) -> None:
        """Over what is there; what POSIX refuses changes nothing."""
        _, _, tree, state = self.pick(of)
        parent, prefix = self.directory(tree, state, place)
        to, to_prefix = self.directory(tree, state, to_place)
        old, new = prefix + NAMES[name], to_prefix + NAMES[to_name]
        try:
            tree.rename(parent, NAMES[name], to, NAMES[to_name], NOW)
        except FilmFSError:
            return
        if old != new:
            moved = {path: state.pop(path) for path in list(state) if path == old or path.startswith(old + b"/")}
            state.update({new + path[len(old) :]: value for path, value in moved.items()})

    def commit(self, of: int) -> None:
        _, branch, _, state = self.pick(of)
        commit, _, new = self.archive.history.commit(branch, "a commit", "tester")
        if new:
            self.model.commits[commit.id] = dict(state)
        else:
            assert self.model.commits.get(commit.id, state) == state

    def branch(self, of: int) -> None:
        """From a branch as it is, committed or not."""
        source, _, _, state = self.pick(of)
        name = f"branch{len(self.archive.history.table.branches)}"
        self.archive.history.create_branch(name, "tester", source=source)
        self.model.branches[name] = dict(state)

    def branch_from_commit(self, number: int) -> None:
        if not self.model.commits:
            return
        layer = sorted(self.model.commits)[number % len(self.model.commits)]
        table = self.archive.history.table
        owner = table.branches[table.layers[layer].branch]
        if owner.deleted:
            return
        name = f"branch{len(table.branches)}"
        point = f"{owner.name}@{table.layers[layer].number}"
        self.archive.history.create_branch(name, "tester", source=point)
        self.model.branches[name] = dict(self.model.commits[layer])

    def delete_branch(self, of: int) -> None:
        if len(self.model.branches) > 1:
            name, branch, _, _ = self.pick(of)
            self.archive.history.delete_branch(branch)
            del self.model.branches[name]

    def flush(self) -> None:
        self.archive.history.flush()
        self.durable = copy.deepcopy(self.model)

    def fail_to_flush(self) -> None:
        """A cut that could not be written is put back."""
        history = self.archive.history
        history.buffers.put_back(history.cut())

    def reopen(self) -> None:
        self.flush()
        self.archive = reopened(self.archive)

    def crash(self) -> None:
        """What was not flushed is lost, and nothing else."""
        self.archive = reopened(self.archive)
        self.model = copy.deepcopy(self.durable)

    def directory(self, tree: Tree, state: State, place: int) -> tuple[FileId, bytes]:
        """The root, or one of the directories that there are."""
        places = [b"", *sorted(path for path, (_, kind, _) in state.items() if kind is Kind.DIRECTORY)]
        path = places[place % len(places)]
        return (tree.resolve(path.split(b"/")), path + b"/") if path else (ROOT_FILE, b"")

    def assert_as_modelled(self) -> None:
        history = self.archive.history
        assert {branch.name for branch in history.table.alive()} == set(self.model.branches)
        for name, state in self.model.branches.items():
            assert state_of(history.view_of(name)) == state
        for layer, state in self.model.commits.items():
            assert state_of(history.view(history.table.layer(layer))) == state


def state_of(view: View) -> State:
    return {path: (entry.file, inode.kind, inode.mode) for path, entry, inode in view.walk()}


few = st.integers(0, 3)
places = st.integers(0, 5)
puts = st.tuples(st.just("put"), few, places, few)
steps = st.one_of(
    puts,
    puts,
    st.tuples(st.just("mkdir"), few, places, few),
    st.tuples(st.just("remove"), few, places, few),
    st.tuples(st.just("remove"), few, places, few),
    st.tuples(st.just("rename"), few, places, few, places, few),
    st.tuples(st.just("commit"), few),
    st.tuples(st.just("branch"), few),
    st.tuples(st.just("branch_from_commit"), st.integers(0, 9)),
    st.tuples(st.sampled_from(["flush", "flush", "reopen", "crash", "fail_to_flush"])),
    st.tuples(st.just("delete_branch"), few),
)

# What is removed on a branch, which is committed and changed again before anything was flushed.
REMOVED_BEFORE_THE_FIRST_FLUSH = [
    ("put", 0, 0, 0),
    ("branch", 0),
    ("remove", 0, 0, 0),
    ("commit", 0),
    ("put", 0, 0, 1),
    ("flush",),
]


@given(st.lists(steps, max_size=40))
@example(REMOVED_BEFORE_THE_FIRST_FLUSH)
def test_every_branch_and_commit_shows_what_a_copied_dict_would(taken: list[tuple[object, ...]]) -> None:
    with throwaway_root() as root:
        world = World(Archive(root, Mode.WRITE, clock=Ticks()))
        try:
            for name, *arguments in taken:
                getattr(world, str(name))(*arguments)
            world.assert_as_modelled()
            world.reopen()
            world.assert_as_modelled()
        finally:
            world.archive.close()


def test_a_lineage_sees_its_own_layers_and_its_ancestors_up_to_the_fork() -> None:
    lineage = Lineage(((BranchId(3), NEWEST), (BranchId(2), LayerId(7)), (BranchId(1), LayerId(4))))

    assert lineage.sees(BranchId(3), LayerId(99))
    assert lineage.sees(BranchId(2), LayerId(7))
    assert not lineage.sees(BranchId(2), LayerId(8))
    assert not lineage.sees(BranchId(1), LayerId(5))
    assert not lineage.sees(BranchId(4), LayerId(1))


def test_a_lineage_at_an_ancestors_commit_begins_there() -> None:
    lineage = Lineage(((BranchId(3), NEWEST), (BranchId(2), LayerId(7)), (BranchId(1), LayerId(4))))

    assert lineage.at(BranchId(2), LayerId(6)).segments == ((2, 6), (1, 4))
    with pytest.raises(ValueError, match="not in this lineage"):
        lineage.at(BranchId(2), LayerId(8))
