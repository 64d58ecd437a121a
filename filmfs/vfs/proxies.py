"""Proxies as files of the tree: beside their originals, and in the folders where editors look for them.

    NAME.preview.mp4        beside NAME.mov, listed; NAME.mov.preview.mp4 where several files have that stem
    NAME.poster.jpg         a still of it, and NAME.filmstrip.jpg
    Proxy/NAME.mov          the editorial one, found and not listed; Proxies/NAME_Proxy.mov too

A file that is there wins. Only what is finished is shown.
"""

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from filmfs.archive import Archive
from filmfs.core.errors import BadName, NotFound
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId, FileId
from filmfs.proxy.names import FOLDERS, is_original_name, spellings, split_sibling, stem_of
from filmfs.store import derived as catalog
from filmfs.store.database import Transaction
from filmfs.timecode.shelf import Shelf, Source
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View
from filmfs.versioning.xattrs import XATTRS, get_xattrs, put_xattrs
from filmfs.vfs.clips import Found, as_attributes
from filmfs.vfs.derived import Derived, Facts, Made
from filmfs.vfs.nodes import Attributes, NodeId, Space

STILL_SUFFIX = ".jpg"
_EDITORIAL = "editorial"
LABEL = b"user.filmfs.proxy"
HIDDEN = b"user.filmfs.hidden"
"""An attribute of an original: labels of proxies that somebody removed in that branch, and folders where one was."""
_LEFT_S, _LEFT_MAX = 60.0, 1 << 16


@dataclass(frozen=True, slots=True)
class ProxyRecipe:
    """A proxy that is there: a content like any other, with what there is to tell of it."""

    content: ContentId
    told: tuple[tuple[bytes, bytes], ...]

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """What it needs."""
        return (self.content,)

    @property
    def identity(self) -> str:
        """All that the bytes depend on, as text."""
        return f"proxy {self.content.hex()}"

    @property
    def is_only(self) -> bool:
        """There are many."""
        return False

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """What it is made of."""
        return Made(maps[self.content], dict(self.told))


@dataclass(frozen=True, slots=True)
class Shown:
    """A proxy or a still of one, and the original that it is shown beside; `label` and `suffix` end its name."""

    label: str
    suffix: str
    recipe: ProxyRecipe
    facts: Facts
    file: FileId
    inode: Inode


@dataclass(frozen=True, slots=True)
class ProxyNode:
    """A proxy that somebody means: beside which file, in which directory, and under which label.

    The label is a folder's name for one that is meant by its name in there.
    """

    space: Space
    directory: FileId
    file: FileId
    label: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """A proxy that somebody asks for and that is not there: of which content, as which file, by which recipe."""

    content: ContentId
    entry: Entry
    recipe: str


class ProxyFiles:
    """The proxies of a mount. Owned by the thread that owns the tree, but for what says otherwise."""

    def __init__(self, archive: Archive, derived: Derived) -> None:
        self._database, self._buffers = archive.database, archive.history.buffers
        self._contents = archive.contents
        self._derived = derived
        self._book = archive.settings.recipes
        self._keys = {name: catalog.recipe_key(recipe.identity) for name, recipe in self._book.items()}
        self._labels: dict[str, list[str]] = {}  # what ends a proxy's or a still's name: which recipes make such
        for name, recipe in self._book.items():
            for label in (recipe.name, *recipe.stills):
                self._labels.setdefault(label, []).append(name)
        labels = "|".join(map(re.escape, self._labels))
        self._names = re.compile(rf".+\.(?:{labels})\.\w+|{'|'.join(FOLDERS)}".encode(), re.DOTALL)
        self._left: OrderedDict[tuple[Space, FileId, bytes], tuple[float, Attributes | None]] = OrderedDict()

    def is_name(self, name: bytes) -> bool:
        """Whether a name may be a proxy's, or that of a folder of them: quickly."""
        return self._names.fullmatch(name) is not None

    def is_proxy(self, content: ContentId) -> bool:
        """Whether a content is a proxy's."""
        with self._database.read() as transaction:
            return catalog.original_of(transaction, content) is not None

    def count(self) -> int:
        """Another number than before once there are more, or others; 0 if there are none."""
        with self._database.read() as transaction:
            made = transaction.count(catalog.DERIVED)
            return made + transaction.count(catalog.RENDITIONS) if made else 0

    def is_editorial(self, name: bytes) -> bool:
        """Whether a proxy of that name is one that editors look for."""
        split = split_sibling(name.decode(errors="surrogateescape"), self._labels)
        return split is not None and split[1] == _EDITORIAL

    def find(self, space: Space, view: View, directory: FileId, name: bytes) -> Attributes | None:
        """The proxy that a name in a directory means, if there is one. Raises NotFound when it can be several."""
        found = self._find(view, directory, name.decode(errors="surrogateescape"))
        return self._attributes(space, found) if found is not None else self._find_left(space, directory, name)

    def as_source(self, view: View, directory: FileId, name: str) -> Found | None:
        """The same as what a clip can be made of."""
        found = self._find(view, directory, name)
        return None if found is None else Found(found.file, found.inode, Source(found.recipe.content, name))

    def _find(self, view: View, directory: FileId, name: str) -> Shown | None:
        split = split_sibling(name, self._labels)
        if split is None:
            return None
        of, label, suffix = split
        entries = list(originals(view, directory, of))
        with self._database.read() as transaction:
            if len(entries) > 1:
                entries = [each for each in entries if self._is_its_own(transaction, view, each)]
            found = [
                shown
                for entry in entries
                for shown in self._shown(transaction, view, entry, self._labels[label])
                if (shown.label, shown.suffix) == (label, suffix)
            ]
        if found and len(entries) > 1:
            raise NotFound(f"{of} can be several files: write which, as in {of}.mov.{label}{suffix}")
        return found[0] if found else None

    def _is_its_own(self, transaction: Transaction, view: View, entry: Entry) -> bool:
        """Whether a file is known to be no proxy's copy."""
        inode = view.inode(entry.file)
        content = inode.content if inode is not None else None
        return isinstance(content, bytes) and catalog.original_of(transaction, ContentId(content)) is None

    def wanted(self, view: View, directory: FileId, name: bytes) -> Wanted | None:
        """What has to be made for a name to lead to a proxy; None when it would be nobody's, or is there."""
        split = split_sibling(name.decode(errors="surrogateescape"), self._labels)
        found = list(originals(view, directory, split[0])) if split is not None else []
        inode = view.inode(found[0].file) if len(found) == 1 else None
        if inode is None or inode.kind is not Kind.FILE or not isinstance(inode.content, bytes):
            return None
        content = ContentId(inode.content)
        recipe = self.wanted_of(content, name)
        return Wanted(content, found[0], recipe) if recipe is not None else None

    def wanted_of(self, content: ContentId, name: bytes) -> str | None:
        """The recipe by which has to be made what a name says of a content; None as above."""
        split = split_sibling(name.decode(errors="surrogateescape"), self._labels)
        if split is None:
            return None
        _, label, suffix = split
        name_of = self._labels[label][0]
        recipe = self._book[name_of]
        if suffix != (recipe.suffix if label == recipe.name else STILL_SUFFIX):
            return None
        with self._database.read() as transaction:
            made = catalog.find_made_or_adopted(transaction, content, self._keys[name_of], recipe.name)
            is_proxy = catalog.original_of(transaction, content) is not None
        return name_of if made is None and not is_proxy else None

    # What programs do that know of no such files

    def hide(self, view: View, proxy: "ProxyNode") -> bytes:
        """The attributes of an original, as a reference, with which its proxy is not shown any more."""
        inode = view.get_inode(proxy.file)
        for folder in FOLDERS if proxy.label == _EDITORIAL.encode() else {proxy.label.decode()} & FOLDERS.keys():
            self._keep((proxy.space, proxy.directory, folder.encode()), None)
        kept = get_xattrs(self._database, self._buffers, inode.xattrs)
        hidden = {*kept.get(HIDDEN, b"").split(), proxy.label}
        return put_xattrs(self._buffers, {**kept, HIDDEN: b" ".join(sorted(hidden))})

    def leave(self, space: Space, view: View, directory: FileId, name: bytes) -> None:
        """An original loses a name: for a while the proxies beside it can be removed or moved as if they were there.

        Whoever removes or moves all that a directory listed comes to them when the original is gone.
        """
        entry = view.find(directory, name)
        if entry is None or not is_original(entry):
            return
        for called, proxy in self._beside(view, directory, [entry]):
            self._keep_left(space, directory, called, proxy)
            for folder in FOLDERS if proxy.label == _EDITORIAL else ():
                self._keep((space, directory, folder.encode()), None)

    def arrive(self, space: Space, directory: FileId, name: bytes, attributes: Attributes) -> None:
        """A proxy was moved, whose original may follow: for a while it is found where it should be."""
        found = self._derived.at(attributes.node)
        if found is not None:
            recipe = found.recipe
            assert isinstance(recipe, ProxyRecipe)
            shown = Shown("", "", recipe, Facts(found.size, found.attributes), found.key[1], found.inode)
            self._keep_left(space, directory, name, shown)

    def _keep_left(self, space: Space, directory: FileId, name: bytes, shown: Shown) -> None:
        """Under a number of its own: of two names of one number `mv` says that they are the same file."""
        self._keep((space, directory, name), self.attributes_through(space, shown, directory))

    def _keep(self, key: tuple[Space, FileId, bytes], attributes: Attributes | None) -> None:
        self._left[key] = time.monotonic() + _LEFT_S, attributes
        while len(self._left) > _LEFT_MAX:
            self._left.popitem(last=False)

    def forget_left(self, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name is that of a proxy whose original went; from now on it is gone too."""
        return self._left.pop((space, directory, name), (0.0, None))[0] > time.monotonic()

    def was_left(self, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name is that of a proxy, or of a folder of them, which was there until a moment ago."""
        return self._left.get((space, directory, name), (0.0, None))[0] > time.monotonic()

    def _find_left(self, space: Space, directory: FileId, name: bytes) -> Attributes | None:
        until, attributes = self._left.get((space, directory, name), (0.0, None))
        return attributes if until > time.monotonic() else None

    def beside(
        self, space: Space, view: View, directory: FileId, originals: Iterable[Entry]
    ) -> Iterator[tuple[bytes, NodeId]]:
        """The names and nodes of all proxies that belong beside files of a directory."""
        for called, proxy in self._beside(view, directory, originals):
            yield called, self._attributes(space, proxy).node

    def _beside(self, view: View, directory: FileId, originals: Iterable[Entry]) -> Iterator[tuple[bytes, Shown]]:
        with self._database.read() as transaction:
            if not transaction.count(catalog.DERIVED):
                return
            names = {entry.name.decode(errors="surrogateescape"): entry for entry in originals}
            shown = [
                (name, proxy)
                for name, entry in names.items()
                for proxy in self._shown(transaction, view, entry, self._book)
            ]
            stems = Counter(map(stem_of, names))
            for name, entry in names.items():
                if stems[stem_of(name)] > 1 and not self._is_its_own(transaction, view, entry):
                    stems[stem_of(name)] -= 1
        for name, proxy in shown:
            of = stem_of(name) if stems[stem_of(name)] == 1 else name
            called = f"{of}.{proxy.label}{proxy.suffix}".encode(errors="surrogateescape")
            if view.find(directory, called) is None:
                yield called, proxy

    def sequence_asked(self, view: View, directory: FileId, name: str) -> FileId | None:
        """The directory whose image sequence a proxy of that name would be of; None when it is no such name."""
        split = split_sibling(name, self._labels)
        entry = view.find(directory, split[0].encode(errors="surrogateescape")) if split is not None else None
        return entry.file if entry is not None and entry.kind is Kind.DIRECTORY else None

    def editorial_of(self, transaction: Transaction, view: View, entry: Entry, kind: str) -> Iterator[Shown]:
        """The proxy of a file that editors look for, unless somebody removed it from that folder. In any thread."""
        for proxy in self._shown(transaction, view, entry, self._labels[_EDITORIAL]):
            if kind.encode() not in self._hidden(transaction, proxy.inode):
                yield proxy

    def all_of(self, transaction: Transaction, content: ContentId, file: FileId, inode: Inode) -> Iterator[Shown]:
        """The proxies of a content, which are shown for a file or a directory. In any thread."""
        return self._made_of(transaction, content, file, inode, self._book)

    def _hidden(self, transaction: Transaction, inode: Inode) -> list[bytes]:
        """What of them somebody removed. In any thread."""
        if not inode.xattrs:
            return []
        pairs = self._buffers.pending_record(XATTRS, inode.xattrs) or transaction.get(XATTRS, inode.xattrs) or ()
        kept: dict[bytes, bytes] = dict(pairs)  # type: ignore[arg-type]
        return kept.get(HIDDEN, b"").split()

    def _shown(self, transaction: Transaction, view: View, entry: Entry, recipes: Iterable[str]) -> Iterator[Shown]:
        """What recipes made of a file."""
        inode = view.inode(entry.file)
        if inode is None or inode.kind is not Kind.FILE or not isinstance(inode.content, bytes):
            return
        yield from self._made_of(transaction, ContentId(inode.content), entry.file, inode, recipes)

    def _made_of(
        self, transaction: Transaction, content: ContentId, file: FileId, inode: Inode, recipes: Iterable[str]
    ) -> Iterator[Shown]:
        """What recipes made of a content, for a file or a directory that has it; of several of one label the first."""
        labels: set[str] = set()
        for name in recipes:
            recipe = self._book[name]
            made = catalog.find_made_or_adopted(transaction, content, self._keys[name], recipe.name)
            if made is None:
                continue
            hidden = self._hidden(transaction, inode)
            for each in made.files:
                label = recipe.name if each is made.film else each.kind
                if label not in labels and label.encode() not in hidden:
                    labels.add(label)
                    told = _of_film(made, label) if each is made.film else _of_still(made, label)
                    proxy = ProxyRecipe(each.content, tuple(told.items()))
                    yield Shown(label, each.suffix, proxy, Facts(each.size, told), file, inode)

    def attributes_through(self, space: Space, shown: Shown, directory: FileId) -> Attributes:
        """A proxy's attributes where it is found as one of what a directory has."""
        return self._derived.show(shown.recipe, shown.facts, space, shown.file, shown.inode, directory)

    def _attributes(self, space: Space, shown: Shown) -> Attributes:
        return self._derived.show(shown.recipe, shown.facts, space, shown.file, shown.inode)


def is_original(entry: Entry) -> bool:
    """Whether an entry may be one that proxies are made of, by its name."""
    return entry.kind is Kind.FILE and is_original_name(entry.name.decode(errors="surrogateescape"))


def originals(view: View, directory: FileId, of: str) -> Iterator[Entry]:
    """The files that a proxy's name can mean: `x.mov` itself, else all that are called x with a film's suffix."""
    find = partial(view.find, directory)
    if is_original_name(of) and (entry := find(of.encode(errors="surrogateescape"))) is not None:
        yield entry
        return
    for suffix in spellings():
        with suppress(BadName):  # too long
            if (entry := find((of + suffix).encode(errors="surrogateescape"))) is not None:
                yield entry


def _of_still(made: catalog.Derived, label: str) -> Mapping[bytes, bytes]:
    still = made.facts["stills"][label]
    told = {"proxy": label, "columns": still["columns"], "tile": "{}x{}".format(*still["tile"])}
    return as_attributes({name: str(value) for name, value in told.items()})


def _of_film(made: catalog.Derived, label: str) -> Mapping[bytes, bytes]:
    facts = made.facts
    told = {"proxy": label, "accuracy": "exact", "frames": str(facts["frames"])}
    for name, key in (("timecode.start", "timecode"), ("timecode.rate", "rate"), ("reel", "reel")):
        if facts.get(key):
            told[name] = str(facts[key])
    return as_attributes(told)
