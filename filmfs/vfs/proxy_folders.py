"""Directories of proxies that are not there: those in which editors look for them, and what is beside a sequence.

    Proxy/NAME.mov, Proxies/NAME_Proxy.mov   editorial proxies of all that is in a directory; in a real directory of
                                             that name too, for names that no file in it has
    sh010.preview.mp4                        beside the directory sh010 of an image sequence

Whoever makes a file in one that is not there makes the directory.
"""

from collections.abc import Iterator
from functools import partial

from filmfs.archive import Archive
from filmfs.archive.footage import footage_at
from filmfs.archive.library import Trees
from filmfs.core.errors import BadMedia, BadTimecode, NotFound
from filmfs.core.ids import ContentId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import FOLDERS, is_original_name, stem_of
from filmfs.store.database import Transaction
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View
from filmfs.vfs.folders import FolderAsked, FolderKey, Held, MadeChild, State
from filmfs.vfs.nodes import NodeId, Space, node_id
from filmfs.vfs.proxies import ProxyFiles, Shown, is_original

_PLACES = {name.encode() for name in FOLDERS}
_SEQUENCE = "proxies of a sequence"


def is_place(name: bytes) -> bool:
    """Whether a name is that of a folder in which editors look for proxies."""
    return name in _PLACES


class ProxyFolders:
    """Those of a mount. Owned by the thread that owns the tree, but for what builds them."""

    def __init__(self, archive: Archive, proxies: ProxyFiles) -> None:
        self._database, self._contents = archive.database, archive.contents
        self._proxies = proxies

    def asked(self, space: Space, view: View, directory: FileId, name: str, permissions: int) -> FolderAsked | None:
        """What a name in a directory asks for."""
        count = self._proxies.count()
        if not count:
            return None
        state = State(None, view.entry_changes, permissions, count)
        if name in FOLDERS:
            build = partial(self._editorial, directory=directory, kind=name)
            return FolderAsked(FolderKey(space, directory, name), state, view.get_inode(directory), build)
        sequence = self._proxies.sequence_asked(view, directory, name)
        if sequence is not None:
            build = partial(self._of_sequence, directory=sequence)
            return FolderAsked(
                FolderKey(space, sequence, _SEQUENCE), state, view.get_inode(sequence), build, is_around=True
            )
        place = self.real_place(view, directory)
        if place is None or not is_original_name(name):
            return None
        above, kind = place
        build = partial(self._editorial, directory=above, kind=kind)
        return FolderAsked(FolderKey(space, above, kind), state, view.get_inode(above), build, is_around=True)

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
            for name, proxy in self._editorial_in(transaction, view, above, kind):
                if view.find(directory, name) is None:
                    yield name, self._proxies.attributes_through(space, proxy, above).node

    def real(self, view: View, key: FolderKey) -> NodeId | None:
        """The directory that is there by now in a folder's place."""
        entry = view.find(key.file, key.kind.encode()) if key.kind in FOLDERS else None
        return node_id(key.space, entry.file) if entry is not None and entry.kind is Kind.DIRECTORY else None

    def _editorial(self, trees: Trees, directory: FileId, kind: str) -> Held:
        with trees() as view, self._database.read() as transaction:
            found = self._editorial_in(transaction, view, directory, kind)
            return Held({name: _as_child(proxy) for name, proxy in found})

    def _editorial_in(
        self, transaction: Transaction, view: View, directory: FileId, kind: str
    ) -> Iterator[tuple[bytes, Shown]]:
        for entry in filter(is_original, view.entries(directory)):
            stem = FOLDERS[kind].format(stem_of(entry.name.decode(errors="surrogateescape")))
            for proxy in self._proxies.editorial_of(transaction, view, entry):
                yield f"{stem}{proxy.suffix}".encode(errors="surrogateescape"), proxy

    def _of_sequence(self, trees: Trees, directory: FileId) -> Held:
        """Raises NotFound where there is no sequence."""
        with trees() as view, self._database.read() as transaction:
            inode = view.get_inode(directory)
            name = shown(inode.links[0][1]) if inode.links else ""
            try:
                footage = next(footage_at(view, self._contents, directory, name))
            except (StopIteration, BadMedia, BadTimecode):
                raise NotFound(f"{name} is no image sequence") from None
            if not footage.frames:
                raise NotFound(f"{name} is no image sequence")
            children = {
                f"{name}.{proxy.label}{proxy.suffix}".encode(errors="surrogateescape"): _as_child(proxy)
                for proxy in self._proxies.all_of(transaction, footage.content, directory, inode)
            }
            entries = {entry.file: view.get_inode(entry.file).content for entry in view.entries(directory)}
        return Held(children, films={file: ContentId(c) for file, c in entries.items() if isinstance(c, bytes)})


def _as_child(proxy: Shown) -> MadeChild:
    return MadeChild(proxy.recipe, proxy.facts, proxy.file, proxy.inode)
