"""Directories of proxies that are not there: those in which editors look for them, and what is beside a sequence.

    Proxy/NAME.mov, Proxies/NAME_Proxy.mov   editorial proxies of all that is in a directory; in a real directory of
                                             that name too, for names that no file in it has (found at once)
    sh010.preview.mp4                        beside the directory sh010 of an image sequence

Whoever makes a file in one that is not there makes the directory.
"""

import os
from collections.abc import Iterable, Iterator
from functools import partial

from filmfs.archive import Archive
from filmfs.archive.footage import Footage, Unusable, sequence_at
from filmfs.archive.library import Trees
from filmfs.core.errors import NotFound
from filmfs.core.ids import ContentId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import FOLDERS, is_sound_name, stem_of
from filmfs.store.database import Transaction
from filmfs.versioning.rows import Entry, Kind
from filmfs.versioning.view import View
from filmfs.vfs.folders import FolderAsked, FolderKey, Held, MadeChild, State
from filmfs.vfs.nodes import Attributes, NodeId, Space, node_id
from filmfs.vfs.proxies import ProxyFiles, Shown, is_original, originals

_SEQUENCE = "proxies of a sequence"


class ProxyFolders:
    """Those of a mount. Owned by the thread that owns the tree, but for what builds them."""

    def __init__(self, archive: Archive, proxies: ProxyFiles, *, makes: bool) -> None:
        """`makes`: names of proxies that are not there yet mean something too."""
        self._database = archive.database
        self._proxies, self._makes = proxies, makes

    def asked(self, space: Space, view: View, directory: FileId, name: str, permissions: int) -> FolderAsked | None:
        """What a name in a directory asks for."""
        count = self._proxies.count()
        state = State(None, view.entry_changes, permissions, count)
        if not count and (name in FOLDERS or not self._makes):
            return None
        if name in FOLDERS:
            build = partial(self._editorial, directory=directory, kind=name)
            return FolderAsked(FolderKey(space, directory, name), state, view.get_inode(directory), build)
        sequence = self._proxies.sequence_asked(view, directory, name)
        if sequence is not None:
            build = partial(self._of_sequence, directory=sequence)
            return FolderAsked(
                FolderKey(space, sequence, _SEQUENCE), state, view.get_inode(sequence), build, is_around=True
            )
        return None

    def find_in_real(self, space: Space, view: View, directory: FileId, name: bytes) -> Attributes | None:
        """The proxy that a name means in a directory that is a real `Proxy` or `Proxies`."""
        place = self.real_place(view, directory)
        stem, suffix = os.path.splitext(name.decode(errors="surrogateescape"))
        before, after = FOLDERS[place[1]].split("{}") if place is not None else ("", "")
        if place is None or not (stem.startswith(before) and stem.endswith(after)):
            return None
        of = stem[len(before) : len(stem) - len(after)]
        with self._database.read() as transaction:
            for entry in _films_alone(originals(view, place[0], of)):
                for proxy in self._proxies.editorial_of(transaction, view, entry, place[1]):
                    if proxy.suffix == suffix:
                        return self._proxies.attributes_through(space, proxy, place[0])
        return None

    def real_place(self, view: View, directory: FileId) -> tuple[FileId, str] | None:
        """Of which directory a real one is the `Proxy` or `Proxies`, and which of both; None if it is neither."""
        inode = view.inode(directory)
        if inode is None or not inode.links:
            return None
        above, name = inode.links[0]
        kind = name.decode(errors="surrogateescape")
        return (above, kind) if kind in FOLDERS else None

    def inside(self, space: Space, view: View, directory: FileId) -> Iterator[tuple[bytes, NodeId]]:
        """The names and nodes of proxies that belong into a directory as it is a real `Proxy` or `Proxies`."""
        place = self.real_place(view, directory)
        if place is None:
            return
        above, kind = place
        with self._database.read() as transaction:
            for name, (_, proxy) in self._editorial_in(transaction, view, above, kind).items():
                if view.find(directory, name) is None:
                    yield name, self._proxies.attributes_through(space, proxy, above).node

    def real(self, view: View, key: FolderKey) -> NodeId | None:
        """The directory that is there by now in a folder's place."""
        entry = view.find(key.file, key.kind.encode()) if key.kind in FOLDERS else None
        return node_id(key.space, entry.file) if entry is not None and entry.kind is Kind.DIRECTORY else None

    def _editorial(self, trees: Trees, directory: FileId, kind: str) -> Held:
        with trees() as view, self._database.read() as transaction:
            found = self._editorial_in(transaction, view, directory, kind)
            contents = {entry.file: proxy.inode.content for entry, proxy in found.values()}
            films = {file: ContentId(content) for file, content in contents.items() if isinstance(content, bytes)}
        return Held({name: _as_child(proxy) for name, (_, proxy) in found.items()}, films=films)

    def _editorial_in(
        self, transaction: Transaction, view: View, directory: FileId, kind: str
    ) -> dict[bytes, tuple[Entry, Shown]]:
        """Names in a folder; of several originals that would have one name the first."""
        found: dict[bytes, tuple[Entry, Shown]] = {}
        for entry in _films_alone(filter(is_original, view.entries(directory))):
            stem = FOLDERS[kind].format(stem_of(entry.name.decode(errors="surrogateescape")))
            for proxy in self._proxies.editorial_of(transaction, view, entry, kind):
                found.setdefault(f"{stem}{proxy.suffix}".encode(errors="surrogateescape"), (entry, proxy))
        return found

    def has_some(self, view: View, entries: Iterable[Entry], kind: str) -> bool:
        """Whether one of a directory's originals has a proxy in a folder of it."""
        with self._database.read() as transaction:
            return any(True for entry in entries for _ in self._proxies.editorial_of(transaction, view, entry, kind))

    def _of_sequence(self, trees: Trees, directory: FileId) -> Held:
        """Raises NotFound where there is no sequence."""
        with trees() as view, self._database.read() as transaction:
            inode = view.get_inode(directory)
            name = shown(inode.links[0][1]) if inode.links else ""
            footage = sequence_at(view, directory, name)
            if isinstance(footage, Unusable) and footage.is_waiting:
                return Held({}, is_whole=False)
            if not isinstance(footage, Footage):
                raise NotFound(f"{name} is no image sequence")
            children = {
                f"{name}.{proxy.label}{proxy.suffix}".encode(errors="surrogateescape"): _as_child(proxy)
                for proxy in self._proxies.all_of(transaction, footage.content, directory, inode)
            }
            entries = {entry.file: view.get_inode(entry.file).content for entry in view.entries(directory)}
        films = {file: ContentId(c) for file, c in entries.items() if isinstance(c, bytes)}
        return Held(children, films=films, sequence=footage.content)


def _films_alone(entries: Iterable[Entry]) -> list[Entry]:
    """Without sound files that are called like a film, in whose name nothing else is found."""
    by_name = {entry.name.decode(errors="surrogateescape"): entry for entry in entries}
    films = {stem_of(name) for name in by_name if not is_sound_name(name)}
    return [by_name[name] for name in sorted(by_name) if not (is_sound_name(name) and stem_of(name) in films)]


def _as_child(proxy: Shown) -> MadeChild:
    return MadeChild(proxy.recipe, proxy.facts, proxy.file, proxy.inode)
