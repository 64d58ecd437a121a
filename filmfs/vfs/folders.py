"""Directories that are made of files when somebody looks them up: the clips of a cut list, the frames of a sequence.

What they hold is worked out in a thread, kept, and worked out anew when what it was worked out of has changed: at once
if that is a file that it is made of, after a pause that grows with the work if names in the tree changed.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from stat import S_IFDIR

from filmfs.archive.library import Trees
from filmfs.core.errors import FilmFSError, Stale
from filmfs.core.ids import ContentId, FileId
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.vfs.derived import Facts, Recipe
from filmfs.vfs.nodes import Attributes, NodeId, Space, virtual_id
from filmfs.vfs.work import Work

_CHILDREN = 1 << 17  # of all folders that are kept
_NODES = 4096
_PAUSE, _QUICK_S = 10, 0.2  # times as long as the work took, beyond what is quick enough to be done each time
_PAUSE_OF_PARTS_S = 0.5


@dataclass(frozen=True, slots=True)
class MadeChild:
    """A file of a folder that a recipe makes, of a file whose owner and times it has."""

    recipe: Recipe
    facts: Facts
    file: FileId
    inode: Inode


Child = Entry | MadeChild
Children = Mapping[bytes, Child]


@dataclass(frozen=True, slots=True)
class Held:
    """What a folder holds; `is_whole`: nothing of it waits for a file to be hashed.

    `movie` is all of it as one file, or the reason why there is none; `films` what the films of both are; `sequence`
    what the image sequence is whose proxies it holds.
    """

    children: Children
    movie: MadeChild | FilmFSError | None = None
    is_whole: bool = True
    films: Mapping[FileId, ContentId] = field(default_factory=dict)
    sequence: ContentId | None = None


@dataclass(frozen=True, slots=True)
class FolderKey:
    """Which folder: of which file or directory of a space, and what kind of folder."""

    space: Space
    file: FileId
    kind: str


@dataclass(frozen=True, slots=True)
class State:
    """What a folder was worked out of: the content of its file, and counts of changes of names and permissions.

    `proxies` is how many there were.
    """

    content: ContentId | None
    names: int
    permissions: int
    proxies: int = 0


@dataclass(frozen=True, slots=True)
class FolderAsked:
    """A folder that a name asks for: which, what it is worked out of, whose it is, and how.

    `is_around`: the name is that of a file in it, and not its own.
    """

    key: FolderKey
    state: State
    inode: Inode
    build: Callable[[Trees], Held]
    is_around: bool = False


@dataclass(frozen=True, slots=True)
class _Built:
    state: State
    at: float
    took_s: float
    outcome: Held | FilmFSError


@dataclass(frozen=True, slots=True)
class FolderNode:
    """A folder that was found: in which directory, and whose it is.

    `is_place`: whoever may make files in that directory may make some in it.
    """

    key: FolderKey
    parent: NodeId
    name: bytes
    inode: Inode
    is_place: bool = False


class Folders:
    """The made directories of a mount. Owned by one thread, but for what `making` gives."""

    def __init__(self) -> None:
        self._nodes: OrderedDict[NodeId, FolderNode] = OrderedDict()
        self._built: OrderedDict[FolderKey, _Built] = OrderedDict()
        self._children = 0
        self._lock = threading.Lock()

    def is_fresh(self, key: FolderKey, state: State) -> bool:
        """Whether what is known of a folder may be told."""
        built = self._known(key)
        if built is None or replace(built.state, names=state.names) != state:
            return False
        age_s = time.monotonic() - built.at
        if not _is_whole(built) and age_s > _PAUSE_OF_PARTS_S:
            return False
        return built.state == state or age_s < _PAUSE * (built.took_s - _QUICK_S)

    def is_whole(self, key: FolderKey) -> bool:
        """Whether nothing of a folder waits for a file to be hashed."""
        built = self._known(key)
        return built is None or _is_whole(built)

    def making(self, key: FolderKey, state: State, build: Callable[[], Held]) -> Work:
        """Work for another thread, after which a folder's children are known."""
        return Work((key, state), partial(self._build, key, state, build), is_on_durable=True)

    def _build(self, key: FolderKey, state: State, build: Callable[[], Held]) -> None:
        began = time.monotonic()
        outcome: Held | FilmFSError
        try:
            outcome = build()
        except FilmFSError as error:
            outcome = error
        ended = time.monotonic()
        with self._lock:
            self._let_go(key)
            self._built[key] = _Built(state, ended, ended - began, outcome)
            self._children += _weight(outcome)
            while self._children > _CHILDREN and len(self._built) > 1:
                self._let_go(next(iter(self._built)))

    def _let_go(self, key: FolderKey) -> None:
        built = self._built.pop(key, None)
        if built is not None:
            self._children -= _weight(built.outcome)

    def forget(self, key: FolderKey) -> None:
        """One of the files that it is made of is another now."""
        with self._lock:
            self._let_go(key)

    def drop(self, key: FolderKey, name: bytes) -> None:
        """One of its children is not there any more."""
        with self._lock:
            built = self._built.get(key)
            if built is not None and isinstance(built.outcome, Held) and name in built.outcome.children:
                left = {each: child for each, child in built.outcome.children.items() if each != name}
                self._built[key] = replace(built, outcome=replace(built.outcome, children=left))
                self._children -= 1

    def children(self, key: FolderKey) -> Children:
        """The children of a folder. Raises as `held`."""
        return self.held(key).children

    def held(self, key: FolderKey) -> Held:
        """What a folder holds. Raises why it cannot be, and Stale when it is not known."""
        built = self._known(key)
        if built is None:
            raise Stale("the folder is forgotten; look it up again")
        if isinstance(built.outcome, FilmFSError):
            raise built.outcome
        return built.outcome

    def _known(self, key: FolderKey) -> _Built | None:
        with self._lock:
            return self._built.get(key)

    # Nodes

    def find(self, found: FolderNode) -> Attributes:
        """The attributes of a folder that was found under a name."""
        key = found.key
        node = virtual_id(("\0folder", str(key.space), str(key.file), key.kind))
        while (other := self._nodes.get(node)) is not None and other.key != key:
            node = NodeId(node + 4)  # two of them have one hash; bits 0 and 1 stay
        self._nodes[node] = found
        self._nodes.move_to_end(node)
        while len(self._nodes) > _NODES:
            self._nodes.popitem(last=False)
        return _attributes(node, found)

    def at(self, node: NodeId) -> FolderNode | None:
        """What a number shows."""
        return self._nodes.get(node) if self._nodes else None

    def attributes(self, node: NodeId) -> Attributes | None:
        """What stat tells of it; None when the number is of something else."""
        found = self.at(node)
        return _attributes(node, found) if found is not None else None


def _weight(outcome: Held | FilmFSError) -> int:
    return 1 if isinstance(outcome, FilmFSError) else len(outcome.children) + 1


def _is_whole(built: _Built) -> bool:
    return isinstance(built.outcome, FilmFSError) or built.outcome.is_whole


def _attributes(node: NodeId, found: FolderNode) -> Attributes:
    inode = found.inode
    # Who may read the list may look inside; who may search the directory of a sequence finds its frames here too.
    mode = S_IFDIR | inode.mode & (0o7777 if found.is_place else 0o555)
    if inode.kind is not Kind.DIRECTORY:
        mode = S_IFDIR | inode.mode & 0o444 | (inode.mode & 0o444) >> 2
    times = inode.atime, inode.mtime, inode.ctime, inode.btime
    return Attributes(node, mode, 2, inode.uid, inode.gid, 0, 4096, 8, *times, stable=False)
