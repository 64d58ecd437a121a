"""Files that are made of other files when somebody looks them up: clips, and what else a name can ask for.

Such a file is an ExtentMap over the bytes of its sources, so it costs no room, and who has it open reads what those
were when it was looked up, whatever becomes of them. What is made is a function of its recipe.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from stat import S_IFREG
from typing import Protocol

from blake3 import blake3

from filmfs.core.errors import BadMedia, BadTimecode, Corrupt, FilmFSError, ReadOnly, Stale, Usage
from filmfs.core.extents import ExtentMap, Literal
from filmfs.core.ids import ContentId, FileId
from filmfs.store.composing import Composed
from filmfs.store.contents import Contents
from filmfs.timecode.shelf import Shelf
from filmfs.versioning.rows import Inode
from filmfs.vfs.nodes import Attributes, NodeId, Space, virtual_id
from filmfs.vfs.openfiles import STRAIGHT_MIN
from filmfs.vfs.work import Work

_NODES = 1 << 16
_OUTCOMES = 1 << 14
_MAPS_MIN = 8  # between the making and the opening of a file others are made
_OWN_BYTES = 64 << 20  # literals of the maps that are kept
_READABLE = 0o444


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was made: its bytes, and the attributes that tell what they are."""

    map: ExtentMap
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)


class Recipe(Protocol):
    """How a file is made. Equal recipes make equal bytes."""

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """What it needs."""

    @property
    def identity(self) -> str:
        """All that the bytes depend on, as text."""

    @property
    def is_only(self) -> bool:
        """Whether a list has one of its kind at a time."""

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """Makes it, in any thread. Raises BadTimecode or BadMedia with the reason, or what the disk says."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file that was made, without what it is made of."""

    size: int
    attributes: Mapping[bytes, bytes]


MapOf = Callable[[ContentId], ExtentMap]
"""What a content is made of, also one that is not in the database yet. To be asked by the owner."""


@dataclass(slots=True)
class DerivedNode:
    """A file that was found: how it is made, how long it is, and whose it is (as the source was when it was found)."""

    recipe: Recipe
    key: tuple[Space, FileId, str]
    size: int
    attributes: Mapping[bytes, bytes]
    inode: Inode


class DerivedFile:
    """One that is open. Owned by the thread that owns the tree; its bytes never change."""

    is_being_written = False
    is_settled = True
    is_written_through = False
    is_torn = False
    content = None

    def __init__(self, contents: Contents, extents: ExtentMap, mtime: int) -> None:
        self.handles = 0
        self.map = extents
        self.mtime = mtime
        self.straight = False
        self.composed: Composed | None = None
        self.on_change: Callable[[], None] | None = None
        self._contents = contents

    @property
    def size(self) -> int:
        """The length."""
        return self.map.size

    def read_now(self, offset: int, length: int) -> bytes | bytearray | None:
        """The bytes, if no disk has to be waited for."""
        return self._contents.read_cached(self.map, offset, length)

    def open_straight(self) -> int:
        """The plain file that its handles go to, opened for reading; the descriptor is the caller's to close."""
        assert self.composed is not None
        return self.composed.open()


class Derived:
    """The files of a mount that are made of others. Owned by one thread, but for what `making` gives."""

    def __init__(self, contents: Contents, map_of: MapOf) -> None:
        self.shelf = Shelf(contents)
        self._contents = contents
        self._map_of = map_of
        self._nodes: OrderedDict[NodeId, DerivedNode] = OrderedDict()
        self._open: dict[NodeId, DerivedFile] = {}
        self._outcomes: OrderedDict[Recipe, Facts | FilmFSError] = OrderedDict()
        self._maps: OrderedDict[Recipe, ExtentMap] = OrderedDict()
        self._own_bytes = 0
        self._only: dict[tuple[Space, FileId, str], NodeId] = {}
        self._lock = threading.Lock()

    # Finding

    def before_find(self, recipe: Recipe) -> Work | None:
        """Work for another thread, after which `find` knows; None when there is none to do."""
        with self._lock:
            if recipe in self._outcomes:
                return None
        return self._making(recipe)

    def find(self, recipe: Recipe, space: Space, file: FileId, inode: Inode) -> Attributes:
        """The attributes of what a recipe makes of a file of a space. Raises what making it did."""
        return self.show(recipe, self._outcome(recipe), space, file, inode)

    def show(
        self, recipe: Recipe, facts: Facts, space: Space, file: FileId, inode: Inode, through: FileId | None = None
    ) -> Attributes:
        """The same where the facts are known.

        What is found `through` a list has another mode than what is found beside its source, and so is another node.
        """
        key = space, file, recipe.identity if through is None else f"{recipe.identity} through {through}"
        node = self._number(key)
        self._nodes[node] = found = DerivedNode(recipe, key, facts.size, facts.attributes, inode)
        self._nodes.move_to_end(node)
        while len(self._nodes) > _NODES + len(self._open):
            oldest, old = self._nodes.popitem(last=False)
            if oldest in self._open:
                self._nodes[oldest] = old
        if through is not None and recipe.is_only:
            self._drop_other(node, (space, through, type(recipe).__name__))
        return _attributes(node, found)

    def _drop_other(self, node: NodeId, place: tuple[Space, FileId, str]) -> None:
        """What a list's report or movie was before it changed is let go of, unless somebody has it open."""
        other = self._only.get(place)
        if other is not None and other != node and other not in self._open:
            self._nodes.pop(other, None)
        self._only[place] = node

    def told(self, recipe: Recipe) -> Mapping[bytes, bytes]:
        """What the extended attributes of what a recipe makes tell. Raises what making it did."""
        return self._outcome(recipe).attributes

    def _outcome(self, recipe: Recipe) -> Facts:
        with self._lock:
            outcome = self._outcomes.get(recipe)
            if outcome is not None:
                self._outcomes.move_to_end(recipe)
        if outcome is None:
            raise Stale("what was made is forgotten; look it up again")
        if isinstance(outcome, FilmFSError):
            if not _is_final(outcome):
                self._forget(recipe)
            raise outcome
        return outcome

    def at(self, node: NodeId) -> DerivedNode | None:
        """What a number shows."""
        return self._nodes.get(node) if self._nodes else None

    def attributes(self, node: NodeId) -> Attributes | None:
        """What stat tells of it; None when the number is of something else."""
        found = self.at(node)
        return _attributes(node, found) if found is not None else None

    def _number(self, key: tuple[Space, FileId, str]) -> NodeId:
        space, file, identity = key
        node = virtual_id(("\0derived", str(space), str(file), identity))
        while (other := self._nodes.get(node)) is not None and other.key != key:
            node = NodeId(node + 4)  # two of them have one hash; bits 0 and 1 stay
        return node

    # Opening

    def before_open(self, node: NodeId, *, straight: bool) -> Callable[[], None] | None:
        """Work for another thread, after which `open` waits for no disk; None when there is none to do.

        `straight`: it will be asked for as a plain file. Call it again after that work.
        """
        found = self.at(node)
        if found is None or node in self._open:
            return None
        extents = self._kept(found.recipe)
        if extents is None:
            return self._making(found.recipe)
        blobs = extents.blobs()
        if not self._contents.blobs.are_open(sorted(blobs)[:1]):
            return partial(self._have_at_hand, extents)
        if straight and found.size >= STRAIGHT_MIN:
            return self._contents.composer.making(_content_of(found.recipe), extents)
        return None

    def open(self, node: NodeId, *, writing: bool, straight: bool, direct: bool) -> DerivedFile:
        """The file for one more handle. Raises ReadOnly, Stale, and Usage for O_DIRECT while others read it without."""
        found = self._nodes.get(node)
        if found is None:
            raise Stale("the file is forgotten; look it up again")
        if writing:
            raise ReadOnly("the file is made of others, and cannot be written")
        opened = self._open.get(node)
        if opened is None:
            extents = self._kept(found.recipe)
            if extents is None:
                raise Stale("what was made is forgotten; look it up again")
            opened = self._open[node] = DerivedFile(self._contents, extents, found.inode.mtime)
            if straight and not direct and opened.size >= STRAIGHT_MIN:
                opened.composed = self._contents.composer.find(_content_of(found.recipe))
                opened.straight = opened.composed is not None
        elif direct and opened.straight:
            raise Usage("the file cannot be read with O_DIRECT while others read it without")
        return opened

    def close(self, node: NodeId, opened: DerivedFile) -> None:
        """One handle less."""
        opened.handles -= 1
        if not opened.handles and self._open.get(node) is opened:
            del self._open[node]

    # Making

    def _making(self, recipe: Recipe) -> Work:
        maps: dict[ContentId, ExtentMap] = {}
        with suppress(Corrupt):  # making it will tell
            maps = {content: self._map_of(content) for content in set(recipe.contents)}
        return Work(recipe, partial(self._make, recipe, maps))

    def make_now(self, recipe: Recipe, maps: Mapping[ContentId, ExtentMap]) -> Facts:
        """Makes what a recipe says, in any thread, unless that was done; `maps` tell what it needs. Raises why not."""
        with self._lock:
            known = self._outcomes.get(recipe)
        outcome = known if known is not None and _is_final(known) else self._make(recipe, maps)
        if isinstance(outcome, FilmFSError):
            raise outcome
        return outcome

    def _make(self, recipe: Recipe, maps: Mapping[ContentId, ExtentMap]) -> Facts | FilmFSError:
        try:
            made = recipe.make(self.shelf, maps)
        except FilmFSError as error:
            self._keep(recipe, error)
            return error
        facts = Facts(made.map.size, made.attributes)
        self._keep(recipe, facts)
        with self._lock:
            if recipe not in self._maps:
                self._own_bytes += _own_bytes(made.map)
            self._maps[recipe] = made.map
            self._maps.move_to_end(recipe)
            while self._own_bytes > _OWN_BYTES and len(self._maps) > _MAPS_MIN:
                _, extents = self._maps.popitem(last=False)
                self._own_bytes -= _own_bytes(extents)
        return facts

    def _keep(self, recipe: Recipe, outcome: Facts | FilmFSError) -> None:
        with self._lock:
            self._outcomes[recipe] = outcome
            self._outcomes.move_to_end(recipe)
            while len(self._outcomes) > _OUTCOMES:
                self._outcomes.popitem(last=False)

    def _forget(self, recipe: Recipe) -> None:
        with self._lock:
            self._outcomes.pop(recipe, None)

    def _kept(self, recipe: Recipe) -> ExtentMap | None:
        with self._lock:
            extents = self._maps.get(recipe)
            if extents is not None:
                self._maps.move_to_end(recipe)
            return extents

    def _have_at_hand(self, extents: ExtentMap) -> None:
        with suppress(FilmFSError), self._contents.blobs.borrow(sorted(extents.blobs())[:1]):
            pass


def _is_final(outcome: Facts | FilmFSError) -> bool:
    """Whether the same would come of making it again: what a disk could not read it may read the next time."""
    return isinstance(outcome, Facts | BadMedia | BadTimecode)


def _content_of(recipe: Recipe) -> ContentId:
    """Names the bytes of a recipe, as a ContentId names those of a file."""
    return ContentId(blake3(recipe.identity.encode(), derive_key_context="filmfs 2026 derived file").digest())


def _own_bytes(extents: ExtentMap) -> int:
    return sum(extent.length for extent in extents.extents if isinstance(extent.source, Literal)) + 4096


def _attributes(node: NodeId, found: DerivedNode) -> Attributes:
    inode = found.inode
    times = inode.atime, inode.mtime, inode.ctime, inode.btime
    mode = S_IFREG | inode.mode & _READABLE
    # As many blocks as if it were stored: of a file with fewer `cp` would look for holes, and move bytes.
    blocks = (found.size + 511) >> 9
    return Attributes(node, mode, 1, inode.uid, inode.gid, 0, found.size, blocks, *times, stable=False)
