"""What a directory of a branch or a view offers besides its files: names that are found and not listed.

    scene@01.00.00.00-01.00.30.00.mov   a clip of the film beside it (`clips`)
    sh010@1011-1020/                    the frames of a range of an image sequence (`sequences`)
    cut.edl@clips/                      the clips of a cut list (`cuts`), and cut.edl@conform.mov all of it as a movie
    scene.preview.mp4, Proxy/           proxies (`proxies`), which are listed beside their originals

Finding one takes two steps: what `before_…` gives is done in another thread, then `find…` waits for no disk.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from filmfs.archive import Archive
from filmfs.archive.folders import Sidecars
from filmfs.core.errors import (
    BadMedia,
    BadName,
    BadTimecode,
    BeingWritten,
    FilmFSError,
    NotFound,
    NotHashed,
    Stale,
)
from filmfs.core.ids import FileId
from filmfs.core.paths import name_key, shown
from filmfs.cutlists.reading import is_list_name
from filmfs.proxy.names import FOLDERS, is_original_key
from filmfs.timecode.films import is_film_name
from filmfs.timecode.shelf import Source
from filmfs.versioning.buffers import Buffers
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View
from filmfs.vfs.clips import ClipRecipe, FilmRecipe, Found, clip_asked
from filmfs.vfs.cuts import CLIPS, MOVIE, CutFolder
from filmfs.vfs.derived import Derived
from filmfs.vfs.folders import Child, FolderAsked, FolderKey, FolderNode, Folders, Held, MadeChild, State
from filmfs.vfs.lists import Lists
from filmfs.vfs.nodes import Attributes, NodeId, Space, split_node
from filmfs.vfs.opened import Opened
from filmfs.vfs.proxies import LABEL, ProxyFiles, ProxyNode, ProxyRecipe
from filmfs.vfs.proxy_folders import ProxyFolders
from filmfs.vfs.requests import ProxyRequests
from filmfs.vfs.sequences import sequence_asked
from filmfs.vfs.shown import made_of
from filmfs.vfs.spaces import Spaces
from filmfs.vfs.work import Work

_OFFERED = re.compile(rb".+@(?:f?\d[\d.:;,]*[-+]f?\d.*|clips|conform\.mov)", re.DOTALL)

_MOVIE = MOVIE.encode()


def _respelled(name: bytes, children: Mapping[bytes, Child]) -> bytes:
    """The child's name that is the same as a name under any Unicode normalisation; the name if there is none."""
    if name in children or name.isascii():
        return name
    key = name_key(name)
    return next((each for each in children if not each.isascii() and name_key(each) == key), name)


class Offers:
    """The offers of a mount. Owned by the thread that owns the tree."""

    def __init__(
        self, archive: Archive, spaces: Spaces, opened: Opened, handles: int, *, makes_proxies: bool = False
    ) -> None:
        """`handles` frames are added to both sides of each clip of a cut list.

        With `makes_proxies` a proxy that somebody asks for goes into the queue.
        """
        self._history, self._contents = archive.history, archive.contents
        self._spaces = spaces
        self._opened = opened
        self.derived = Derived(archive.contents, partial(made_of, self._history, archive.contents))
        self.folders = Folders()
        self.proxies = ProxyFiles(archive, self.derived)
        self.proxy_folders = ProxyFolders(archive, self.proxies, makes=makes_proxies)
        self._handles = handles
        self._permissions = 0
        self.requests = ProxyRequests(archive, spaces, self.proxies, is_on=makes_proxies)
        self._sidecars_known: dict[Space, tuple[int, Sidecars]] = {}

    def may_be(self, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name may ask for what is made of a file: quickly, since every name that is missing is asked."""
        if (b"@" in name and _OFFERED.fullmatch(name) is not None) or self.proxies.is_name(name):
            return True
        return is_original_key(name) and self.proxy_folders.real_place(self._spaces.view(space), directory) is not None

    def permissions_changed(self) -> None:
        """Somebody's right to read something, or to go through a directory, is another now."""
        self._permissions += 1

    # In a directory of a branch or a view

    def before_find(self, space: Space, directory: FileId, name: bytes, *, patient: bool) -> Work | None:
        """Work for another thread, after which `find` knows; None when there is none to do.

        Raises NotHashed, after which one may ask again, for what is made of a file that was written a moment ago; of
        a folder if one is `patient`, which holds less until all of its films are hashed.
        """
        try:
            view = self._spaces.view(space)
            if not self.may_be(space, directory, name) or view.find(directory, name) is not None:
                return None
            self.requests.raise_if_being_made(space, directory, name)
            folder = self._folder_asked(space, view, directory, name)
            if folder is not None:
                # Every path into the folder comes through here: its children are looked at when they are asked for.
                is_file = name.endswith(_MOVIE) or folder.is_around
                if is_file and self.folders.is_fresh(folder.key, folder.state) and self._are_others(folder.key, view):
                    self.folders.forget(folder.key)
                work = self._before_children(folder, view, patient=patient)
                if work is not None or not folder.is_around:
                    return work
                return self.requests.before_sequence(space, view, directory, self.folders.held(folder.key), name)
            asked = self._clip_asked(space, view, directory, name)
            if asked is None:
                return self.requests.before(space, view, directory, name)
        except (NotFound, BadMedia, BadTimecode, Stale, BadName):  # `find` will tell
            return None
        recipe, _ = asked
        return self.derived.before_find(recipe)

    def find(self, space: Space, directory: FileId, name: bytes, parent: NodeId) -> Attributes | None:
        """What a name that no file of the directory has leads to; None if nothing. Raises the reason why not."""
        if not self.may_be(space, directory, name):
            return None
        view = self._spaces.view(space)
        folder = self._folder_asked(space, view, directory, name)
        if folder is not None:
            held = self.folders.held(folder.key)
            if name.endswith(_MOVIE):
                return self._movie(space, held)
            if folder.is_around:
                child = held.children.get(name)
                return self._shown(space, child, child.file) if isinstance(child, MadeChild) else None
            if folder.key.kind in FOLDERS and not held.children and not self.proxies.was_left(space, directory, name):
                return None
            return self.folders.find(self._folder_node(folder, parent, name))
        proxy = self.proxies.find(space, view, directory, name)
        proxy = proxy or self.proxy_folders.find_in_real(space, view, directory, name)
        if proxy is not None:
            return proxy
        asked = self._clip_asked(space, view, directory, name)
        if asked is None:
            return None
        recipe, source = asked
        return self.derived.find(recipe, space, source.file, source.inode)

    def has(self, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name that no file has may lead to something."""
        try:
            view = self._spaces.view(space)
            return self.may_be(space, directory, name) and (
                self._folder_asked(space, view, directory, name) is not None
                or self.proxies.find(space, view, directory, name) is not None
                or self.proxy_folders.find_in_real(space, view, directory, name) is not None
                or self._clip_asked(space, view, directory, name) is not None
            )
        except FilmFSError:
            return False

    def beside(
        self,
        space: Space,
        directory: FileId,
        node: NodeId,
        lists: Lists,
        keys: Iterator[bytes],
        at: Callable[[bytes], Entry | None],
    ) -> Iterator[tuple[bytes, NodeId]]:
        """What is listed after the files of a directory, whose name keys these are."""
        if lists is not Lists.ALL and not self.proxies.count():
            return  # and no name is looked at
        view, originals = self._spaces.view(space), []
        for key in keys:
            if is_original_key(key) and (entry := at(key)) is not None:
                originals.append(entry)
            elif lists is Lists.ALL and is_list_name(key.decode(errors="surrogateescape")):
                yield from self._listed(space, view, directory, key + CLIPS.encode(), node)
        if lists is Lists.ALL:
            yield from self.proxy_folders.inside(space, view, directory)
        has_editorial = False
        for name, proxy in self.proxies.beside(space, view, directory, originals):
            has_editorial |= self.proxies.is_editorial(name)
            yield name, proxy
        for folder in FOLDERS if has_editorial and lists is Lists.ALL else ():
            if self.proxy_folders.has_some(view, originals, folder):
                yield from self._listed(space, view, directory, folder.encode(), node)

    def _listed(
        self, space: Space, view: View, directory: FileId, name: bytes, parent: NodeId
    ) -> Iterator[tuple[bytes, NodeId]]:
        """A folder's name and node, whatever is in it, unless a file has that name."""
        with suppress(FilmFSError):
            asked = self._folder_asked(space, view, directory, name)
            if asked is not None and view.find(directory, name) is None:
                yield name, self.folders.find(self._folder_node(asked, parent, name)).node

    def _folder_node(self, asked: FolderAsked, parent: NodeId, name: bytes) -> FolderNode:
        return FolderNode(asked.key, parent, name, asked.inode, asked.key.kind in FOLDERS)

    def real(self, node: NodeId) -> NodeId:
        """The directory that somebody made in a folder's place, if the node is of such a folder; else the node."""
        folder = self.folders.at(node)
        if folder is None or not folder.is_place:
            return node
        return self.proxy_folders.real(self._spaces.view(folder.key.space), folder.key) or node

    def is_place_with_some(self, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name that no file has is that of a folder of proxies in which there are some."""
        asked = self._folder_asked(space, self._spaces.view(space), directory, name)
        return asked is not None and asked.key.kind in FOLDERS and bool(self.folders.children(asked.key))

    def proxy_at(self, parent: NodeId, name: bytes) -> ProxyNode | None:
        """The proxy that a name leads to which no file has. Raises NotFound and its kind."""
        folder = self.folders.at(parent)
        if folder is not None:
            found, label = self.find_in(folder, name), folder.key.kind.encode()
            return self._as_proxy(folder.key.space, folder.key.file, found, label)
        space, directory = split_node(parent)
        view = self._spaces.view(space)
        beside = self.proxies.find(space, view, directory, name)
        if beside is not None:
            return self._as_proxy(space, directory, beside, None)
        place = self.proxy_folders.real_place(view, directory)
        inside = self.proxy_folders.find_in_real(space, view, directory, name) if place is not None else None
        return self._as_proxy(space, place[0], inside, place[1].encode()) if place is not None else None

    def _as_proxy(
        self, space: Space, directory: FileId, found: Attributes | NodeId | None, label: bytes | None
    ) -> ProxyNode | None:
        made = self.derived.at(found.node) if isinstance(found, Attributes) else None
        if made is None or not isinstance(made.recipe, ProxyRecipe):
            return None
        return ProxyNode(space, directory, made.key[1], label or made.attributes[LABEL])

    def attributes_of_folder(self, node: NodeId) -> Attributes | None:
        """What stat tells of a folder as it is now; None when the number is of something else."""
        folder = self.folders.at(node)
        if folder is None or not folder.is_place:
            return self.folders.attributes(node)
        inode = self._spaces.view(folder.key.space).inode(folder.key.file)
        if inode is None:
            raise Stale("the directory is gone")
        return self.folders.find(replace(folder, inode=inode))

    def _clip_asked(self, space: Space, view: View, directory: FileId, name: bytes) -> tuple[ClipRecipe, Found] | None:
        written, proxy = partial(self._is_written, space), partial(self.proxies.as_source, view, directory)
        return clip_asked(view, self._sidecars(space, view), written, proxy, directory, name)

    def _is_written(self, space: Space, file: FileId) -> bool:
        """Whether somebody writes to a file, or its last writer's close did not come yet."""
        opened = self._opened.find(space, file)
        return opened is not None and (opened.writers > 0 or opened.is_being_written)

    def _sidecars(self, space: Space, view: View) -> Sidecars:
        """The sidecars of a space's films, looked for anew when names changed."""
        known = self._sidecars_known.get(space)
        if known is None or known[0] != view.entry_changes:
            known = self._sidecars_known[space] = view.entry_changes, Sidecars(view)
        return known[1]

    # Folders

    def _folder_asked(self, space: Space, view: View, directory: FileId, name: bytes) -> FolderAsked | None:
        text = name.decode(errors="surrogateescape")
        for suffix in (CLIPS, MOVIE):
            if text.endswith(suffix) and is_list_name(text.removesuffix(suffix)):
                entry = view.find(directory, name.removesuffix(suffix.encode()))
                return None if entry is None else self._list_asked(space, view, entry)
        proxies = self.proxy_folders.asked(space, view, directory, text, self._permissions)
        if proxies is not None:
            return proxies
        asked = sequence_asked(view, directory, text)
        if asked is None:
            return None
        inode = view.get_inode(asked.directory)
        key = FolderKey(space, asked.directory, f"{asked.stem} {asked.asked!r}")
        return FolderAsked(
            key, State(None, view.entry_changes, self._permissions), inode, partial(asked.build, self._contents)
        )

    def _list_asked(self, space: Space, view: View, entry: Entry) -> FolderAsked:
        inode, name = view.get_inode(entry.file), entry.name.decode(errors="surrogateescape")
        if inode.kind is not Kind.FILE:
            raise NotFound(f"{shown(entry.name)} is a {inode.kind.name.lower()}, not a cut list")
        if self._is_written(space, entry.file):
            raise BeingWritten(f"{shown(entry.name)} is being written")
        if isinstance(inode.content, int):
            raise NotHashed(f"{shown(entry.name)} is being hashed; try again in a moment")
        cuts = CutFolder(self._contents, self.derived, self._handles)
        build = partial(cuts.build, name=name, file=entry.file, inode=inode)
        return FolderAsked(
            FolderKey(space, entry.file, CLIPS),
            State(inode.content, view.entry_changes, self._permissions),
            inode,
            build,
        )

    def _before_children(self, folder: FolderAsked, view: View, *, patient: bool) -> Work | None:
        if self.folders.is_fresh(folder.key, folder.state):
            if patient and not self.folders.is_whole(folder.key):
                raise NotHashed("films of the list are being hashed")
            return None
        lineage, branch_of = view.lineage, dict(self._history.table.branch_of)
        database, build = self._history.database, folder.build

        @contextmanager
        def trees() -> Iterator[View]:
            with database.snapshot() as snapshot:
                yield View(snapshot, Buffers(), branch_of, lineage)

        return self.folders.making(folder.key, folder.state, partial(build, trees))

    def _movie(self, space: Space, held: Held) -> Attributes:
        if isinstance(held.movie, FilmFSError):
            raise NotFound(f"there is no conformed movie: {held.movie}")
        if held.movie is None:
            raise NotFound("that is no cut list")
        return self._shown(space, held.movie, held.movie.file)

    def _shown(self, space: Space, child: MadeChild, through: FileId) -> Attributes:
        return self.derived.show(child.recipe, child.facts, space, child.file, child.inode, through)

    # Inside such a folder

    def before_children(self, folder: FolderNode, name: bytes | None = None, *, patient: bool) -> Work | None:
        """Work for another thread, after which a folder's children, or one of them, are known; None if there is none.

        Raises NotHashed as `before_find` does.
        """
        space = folder.key.space
        try:
            view = self._spaces.view(space)
            asked = self._folder_of(folder, view)
            if asked is None:
                return None
            if self.folders.is_fresh(asked.key, asked.state) and self._are_others(asked.key, view, name):
                self.folders.forget(asked.key)
            return self._before_children(asked, view, patient=patient)
        except (NotFound, BadMedia, BadTimecode, Stale, BadName):  # `find_in` or `children` will tell
            pass
        return None

    def find_in(self, folder: FolderNode, name: bytes) -> Attributes | NodeId:
        """A folder's child: its attributes if it is made, the node of a file. Raises NotFound, or why it cannot be."""
        return self._child(folder.key, name)

    def _child(self, key: FolderKey, name: bytes) -> Attributes | NodeId:
        children = self.folders.children(key)
        child = children.get(name) or children.get(_respelled(name, children))
        if child is None:
            raise NotFound(f"there is no {shown(name)!r} here")
        if isinstance(child, MadeChild):
            return self._shown(key.space, child, key.file)
        return self._opened.node(key.space, child.file)

    def children(self, folder: FolderNode) -> Iterator[tuple[bytes, NodeId]]:
        """What a folder lists, and its nodes."""
        for name in self.folders.children(folder.key):
            try:
                found = self.find_in(folder, name)
            except FilmFSError:  # it went away meanwhile
                continue
            yield name, found.node if isinstance(found, Attributes) else found

    def _folder_of(self, folder: FolderNode, view: View) -> FolderAsked | None:
        """A folder as it would be found now."""
        return self._folder_asked(folder.key.space, view, split_node(folder.parent)[1], folder.name)

    def _are_others(self, key: FolderKey, view: View, name: bytes | None = None) -> bool:
        """Whether a film that a folder's children, or one of them, are made of is another now."""
        held = self.folders.held(key)
        child = held.children.get(_respelled(name, held.children)) if name is not None else None
        files = held.films if name is None else [child.file] if isinstance(child, MadeChild) else []
        for file in files:
            inode = view.inode(file)
            if file in held.films and (inode is None or inode.content != held.films[file]):
                return True
        return False

    # What films say

    def film_recipe(self, space: Space, inode: Inode) -> FilmRecipe | None:
        """What tells of the film that a file is, if its name says that it is one. Raises NotHashed while it is new."""
        if inode.kind is not Kind.FILE or inode.content is None or not inode.links:
            return None
        directory, name = inode.links[0][0], inode.links[0][1].decode(errors="surrogateescape")
        if not is_film_name(name):
            return None
        if isinstance(inode.content, int):
            raise NotHashed(f"{name} is being hashed; try again in a moment")
        beside = self._sidecars(space, self._spaces.view(space)).of(directory, name)
        return FilmRecipe(Source(inode.content, name, beside))
