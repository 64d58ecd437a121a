"""The tree that every door shows, as it is looked at: names, attributes, links, listings.

A node is of the virtual part of the tree, of a branch or of a read-only view; here it is decided which one tells. The
FileSystem is this tree, and what changes it; it is what doors call.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from stat import S_ISDIR
from typing import Any, cast

from filmfs.archive import Archive
from filmfs.core.errors import BadMedia, BadTimecode, Corrupt, FilmFSError, NotADirectory, NotFound, Stale, Usage
from filmfs.core.ids import MAX_BRANCH, ROOT_FILE, BranchId, FileId
from filmfs.core.paths import shown
from filmfs.versioning.history import History
from filmfs.versioning.listing import Listing
from filmfs.versioning.rows import Entry, Kind
from filmfs.versioning.tree import Tree
from filmfs.versioning.view import View
from filmfs.versioning.xattrs import Attributes as Kept
from filmfs.versioning.xattrs import get_xattrs
from filmfs.vfs import xattrs
from filmfs.vfs.clips import FILM_ATTRIBUTES, FilmRecipe
from filmfs.vfs.handles import DirectoryHandle, Handles
from filmfs.vfs.listings import BLOCK, DirectoryListing
from filmfs.vfs.lists import Lists
from filmfs.vfs.namespace import FILMFS, PLAIN, SNAPSHOTS, Folder, Namespace, as_bytes, as_text
from filmfs.vfs.nodes import ROOT, VIRTUAL, Attributes, NodeId, Space, attributes_of, node_id, split_node, unread
from filmfs.vfs.offers import Offers
from filmfs.vfs.opened import Opened
from filmfs.vfs.spaces import Spaces
from filmfs.vfs.virtual import VirtualNodes
from filmfs.vfs.work import Work

log = logging.getLogger("filmfs.vfs")

_DAY_NS = 24 * 3600 * 10**9


class VisibleTree:
    """All that is looked at without changing it. Owned by one thread."""

    def __init__(
        self,
        archive: Archive,
        *,
        readonly: bool,
        access_times: bool,
        handles: int,
        lists: Lists,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.archive = archive
        self.history: History = archive.history
        self.readonly = readonly
        self.namespace = Namespace(self.history, status)
        self._access_times = access_times and not readonly
        self._virtual = VirtualNodes(self.namespace, self.history.clock(), readonly=readonly)
        self._spaces = Spaces(self.history, self.namespace.views, follows=readonly)
        self._opened = Opened(self.history, archive.contents, self._spaces)
        self._handles = Handles()
        self._lists = lists
        makes_proxies = archive.settings.proxies_on_read and not readonly
        self._offers = Offers(archive, self._spaces, self._opened, handles, makes_proxies=makes_proxies)

    # Nodes

    def lookup(self, parent: NodeId, name: bytes) -> tuple[Attributes, bool]:
        """The node called `name`, and whether that is its name as given. Raises NotFound, BadName's kinds."""
        if name == b".":
            return self.attributes(parent), True
        if name == b"..":
            return self.attributes(self._parent(parent)), True
        real = self._offers.real(parent)
        if real != parent:
            found, is_as_given = self.lookup(real, name)
            return found._replace(stable=False), is_as_given  # the kernel has this directory twice
        space, file = split_node(parent)
        folder = self._offers.folders.at(parent)
        if folder is not None:
            child = self._offers.find_in(folder, name)
            return (child if isinstance(child, Attributes) else self.attributes(child)), True
        if space == VIRTUAL:
            target = self.namespace.find(self._virtual.folder(parent).path, as_text(name))
            if target is None:
                raise NotFound(f"there is no {shown(name)!r} here")
            return self.attributes(self._virtual.node_of(target)), True
        view = self._spaces.view(space)
        entry = view.find(file, name)
        if entry is None:
            if name == SNAPSHOTS.encode() and file == ROOT_FILE and isinstance(view, Tree):
                branch = self.history.table.branches[view.branch]
                return self.attributes(self._virtual.node_of(self.namespace.branch_snapshots(branch))), True
            if view.inode(file) is None:
                raise Stale("the directory is gone")
            offered = self._offers.find(space, file, name, parent) if self._has_offers(space) else None
            if offered is not None:
                return offered, True
            raise NotFound(f"there is no {shown(name)!r} here")
        return self._attributes(self._opened.node(space, entry.file), space, entry.file, view), entry.name == name

    def before_lookup(self, parent: NodeId, name: bytes, *, patient: bool = True) -> Work | None:
        """Work for another thread, after which `lookup` waits for no disk; None when there is none to do.

        Raises NotHashed, after which one may ask again, for what is made of a file that was written a moment ago; for
        a folder of which only a part can be shown, if one is `patient`.
        """
        parent = self._offers.real(parent)
        folder = self._offers.folders.at(parent)
        if folder is not None:
            return self._offers.before_children(folder, name, patient=patient)
        space, file = split_node(parent)
        return self._offers.before_find(space, file, name, patient=patient) if self._has_offers(space) else None

    def may_be_made(self, parent: NodeId, name: bytes) -> bool:
        """Whether a name may lead to what is made when it is looked up: ask `before_lookup` then."""
        if self._offers.folders.at(parent) is not None:
            return True
        space, file = split_node(parent)
        return space != VIRTUAL and self._offers.may_be(space, file, name)

    def before_listing(self, node: NodeId, *, patient: bool = True) -> Work | None:
        """The same for `read_directory` from the beginning."""
        folder = self._offers.folders.at(self._offers.real(node))
        return self._offers.before_children(folder, patient=patient) if folder is not None else None

    def _has_offers(self, space: Space) -> bool:
        return space != VIRTUAL and self._spaces.door(space) != PLAIN

    def attributes(self, node: NodeId) -> Attributes:
        """What stat tells. Raises Stale."""
        space, file = split_node(node)
        if space == VIRTUAL:
            real = self._offers.real(node)
            if real != node:  # somebody still holds the folder that was found before it was made
                return self.attributes(real)._replace(node=node, stable=False)
            made = self._offers.derived.attributes(node) or self._offers.attributes_of_folder(node)
            return made or self._virtual.attributes(node)
        return self._attributes(node, space, file, self._spaces.view(space))

    def is_stable(self, node: NodeId) -> bool:
        """Whether what is in a directory changes only through itself, or never."""
        space, _ = split_node(node)
        return space != VIRTUAL and self._spaces.is_stable(space)

    def has_fixed_bytes(self, node: NodeId) -> bool:
        """Whether what the kernel keeps of a file's bytes is right for as long as it is not told otherwise."""
        return self._offers.derived.at(node) is not None or self.is_stable(node)

    def read_link(self, node: NodeId) -> bytes:
        """The target of a symlink."""
        space, file = split_node(node)
        if space == VIRTUAL:
            raise Usage("not a symbolic link")
        inode = self._spaces.view(space).get_inode(file)
        if inode.kind is not Kind.SYMLINK:
            raise Usage("not a symbolic link")
        self.accessed(node)
        return inode.target

    def accessed(self, node: NodeId) -> bool:
        """Notes that a node was read, by the rule of relatime; whether its access time is another now.

        History never changes by it, and no row is written for it.
        """
        space, file = split_node(node)
        if not self._access_times or not 0 < space <= MAX_BRANCH:
            return False
        now, found = self.history.clock(), self.attributes(node)
        if not found.nlink or max(found.mtime, found.ctime) < found.atime > now - _DAY_NS:
            return False
        tree = self._spaces.view(space)
        assert isinstance(tree, Tree)
        tree.note_access(file, now)
        return True

    def name_of(self, node: NodeId) -> str:
        """A file for people: BRANCH:path, or its number where it has none."""
        space, file = split_node(node)
        with contextlib.suppress(FilmFSError):
            view = self._spaces.view(space)
            path = view.path_of(file)
            branch = self.history.table.branches.get(BranchId(space))
            if path is not None:
                return f"{branch.name}:{shown(path)}" if branch is not None else shown(path)
        return f"file {file}"

    def branch_names(self) -> set[str]:
        """The names at the mount's root."""
        return {branch.name for branch in self.history.table.alive()}

    def statvfs(self) -> os.statvfs_result:
        """The disk under the archive."""
        return os.statvfs(self.archive.root)

    def _attributes(self, node: NodeId, space: Space, file: FileId, view: View) -> Attributes:
        opened = self._opened.at(node)
        stable = self._spaces.is_stable(space)
        if opened is not None:
            return attributes_of(node, opened.inode(), stable=stable, live=opened.is_written_through or opened.retired)
        return attributes_of(node, view.inode(file) or self._opened.inode(node), stable=stable)

    def _parent(self, node: NodeId) -> NodeId:
        space, file = split_node(node)
        folder = self._offers.folders.at(node)
        if folder is not None:
            return folder.parent
        if space == VIRTUAL:
            return self._virtual.parent(node)
        if file == ROOT_FILE:
            door = self._spaces.door(space)
            return self._virtual.node_of(Folder((FILMFS, door))) if door is not None else ROOT
        links = self._spaces.view(space).get_inode(file).links
        return node_id(space, links[0][0]) if links else ROOT

    # Directories

    def open_directory(self, node: NodeId) -> int:
        """Opens a directory for reading; gives its handle."""
        asked, node = node, self._offers.real(node)
        if not S_ISDIR(self.attributes(node).mode):
            raise NotADirectory("not a directory")
        return self._handles.add(DirectoryHandle(node, is_twice=node != asked))

    def close_directory(self, handle: int) -> None:
        """The last of a directory's handle."""
        self._handles.remove(handle)

    def read_directory(self, handle: int, start: int) -> Iterator[tuple[bytes, Attributes, int]]:
        """What the directory lists from position `start`, each with the position after it; 0 lists anew.

        `.` and `..` come first. To be used before anything else is done.
        """
        found = self._handles.directory(handle)
        if start == 0 or found.listing is None:
            real = self._offers.real(found.node)
            found.node, found.is_twice = real, found.is_twice or real != found.node
            found.listing = self._listing(found.node)
            self.accessed(found.node)
        space = split_node(found.node)[0]
        view = None if space == VIRTUAL else self._spaces.view(space)
        plain, stable, first = self._opened.is_plain, self._spaces.is_stable(space), node_id(space, FileId(0))
        for position, (name, entry) in enumerate(found.listing.since(start), start + 1):
            attributes = None
            try:
                if type(entry) is not Entry or view is None:
                    attributes = None if entry is None else self.attributes(cast(NodeId, entry))
                elif plain and (inode := view.inode(entry.file)) is not None:
                    attributes = attributes_of(NodeId(first | entry.file), inode, stable=stable)
                else:
                    attributes = self._attributes(self._opened.node(space, entry.file), space, entry.file, view)
            except Corrupt as error:  # who copies a directory must learn that there is something that cannot be read
                log.error("%r is listed, but: %s", shown(name), error)
                if type(entry) is Entry:
                    attributes = unread(self._opened.node(space, entry.file), entry.kind)
            except FilmFSError:  # it went away meanwhile
                pass
            if attributes is not None:
                yield name, attributes._replace(stable=False) if found.is_twice else attributes, position

    def following(self, handle: int, start: int) -> tuple[FileId, bytes, int] | None:
        """What `read_directory` will read of the database: so many entries of a directory after a name key."""
        found = self._handles.directory(handle)
        space, file = split_node(found.node)
        if space == VIRTUAL:
            return None
        listing = None if start == 0 else found.listing
        following = (b"", BLOCK) if listing is None else listing.following(start)
        return None if following is None else (file, *following)

    def _listing(self, node: NodeId) -> DirectoryListing:
        space, file = split_node(node)
        own = [(b".", node), (b"..", self._parent(node))]
        folder = self._offers.folders.at(node)
        if folder is not None:
            return DirectoryListing(own + list(self._offers.children(folder)))
        if space == VIRTUAL:
            listed = self.namespace.entries(self._virtual.folder(node).path)
            return DirectoryListing(own + [(as_bytes(name), self._virtual.node_of(target)) for name, target in listed])
        view = self._spaces.view(space)
        lists = self._lists if self._has_offers(space) else Lists.NONE
        beside = partial(self._offers.beside, space, file, node, lists) if lists is not Lists.NONE else None
        return DirectoryListing(own, Listing(view, file), beside)

    # Extended attributes

    def before_get_xattr(self, node: NodeId, name: bytes, *, patient: bool = True) -> Work | None:
        """Work for another thread, after which `get_xattr` waits for no disk; None when there is none to do.

        Raises NotHashed, after which one may ask again, for a film that was written a moment ago.
        """
        recipe = self._film_recipe(node) if name in FILM_ATTRIBUTES else None
        return self._offers.derived.before_find(recipe) if recipe is not None else None

    def _film_recipe(self, node: NodeId) -> FilmRecipe | None:
        space = split_node(node)[0]
        return None if space == VIRTUAL else self._offers.film_recipe(space, self._opened.inode(node))

    def get_xattr(self, node: NodeId, name: bytes) -> bytes:
        """The attribute's value. Raises NoAttribute."""
        recipe = self._film_recipe(node) if name in FILM_ATTRIBUTES else None
        if recipe is not None:
            with contextlib.suppress(BadMedia, BadTimecode):
                if (told := self._offers.derived.told(recipe).get(name)) is not None:
                    return told
        value = self._xattrs(node).get(name)
        if value is None:
            raise xattrs.missing(name)
        return value

    def list_xattrs(self, node: NodeId) -> list[bytes]:
        """The names of the user's attributes."""
        return xattrs.listed(self._xattrs(node))

    def _xattrs(self, node: NodeId) -> Kept:
        node = self._offers.real(node)
        folder, made = self._offers.folders.at(node), self._offers.derived.at(node)
        if folder is not None:
            source = self.name_of(node_id(folder.key.space, folder.key.file))
            return {**xattrs.OF_VIRTUAL, b"user.filmfs.source": source.encode()}
        if made is not None:
            source = self.name_of(node_id(*made.key[:2]))
            return {**xattrs.OF_VIRTUAL, **made.attributes, b"user.filmfs.source": source.encode()}
        if split_node(node)[0] == VIRTUAL:
            self._virtual.attributes(node)
            return xattrs.OF_VIRTUAL
        inode = self._opened.inode(node)
        return xattrs.with_own(get_xattrs(self.history.database, self.history.buffers, inode.xattrs), inode)
