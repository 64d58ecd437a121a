"""What comes of proxies, and of the folders that they are in, when somebody removes, moves or makes something there.

They are made of what is beside them, but programs treat them as files: so that `rm`, `mv` and editors do not fail, a
proxy that is removed is hidden, one that is moved goes along, and a folder that is written to becomes a real one.
"""

from filmfs.core.errors import NotEmpty, ReadOnly
from filmfs.core.ids import FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import FOLDERS
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.tree import Tree
from filmfs.vfs.changing import ChangingTree
from filmfs.vfs.folders import FolderKey
from filmfs.vfs.nodes import Attributes, NodeId, Space, node_id, split_node
from filmfs.vfs.proxies import ProxyNode


class TreeWithProxies(ChangingTree):
    """The tree as programs treat it that know of no proxies. Owned by one thread."""

    def _noted(self, parent: NodeId, name: bytes) -> None:
        """Something happened under a name; where the kernel has its directory twice, it must look there again too."""
        real = self._offers.real(parent)
        if real != parent:
            self._opened.note_left(real, name)

    def _told_of(self, parent: NodeId, made: Attributes) -> Attributes:
        """What is told of something that was made in a directory, which the kernel may have twice."""
        return made if self._offers.folders.at(parent) is None else made._replace(stable=False)

    def _is_to_be_made(self, node: NodeId) -> bool:
        """Whether a directory is a folder of proxies that is not there."""
        folder = self._offers.folders.at(node)
        return folder is not None and folder.is_place and self._offers.real(node) == node

    def _refuse_made(self, tree: Tree, parent: NodeId, directory: FileId, name: bytes) -> None:
        """Raises ReadOnly for a name that no file has and that leads to what is made of one."""
        space, _ = split_node(self._offers.real(parent))
        is_name = self._offers.may_be(space, directory, name)
        if is_name and tree.find(directory, name) is None and self._offers.has(space, directory, name):
            raise ReadOnly(f"{shown(name)} is made of what is beside it, and cannot be moved or removed")

    def _place(self, parent: NodeId) -> tuple[Tree, Space, FileId]:
        """A directory that something is put into; a folder of proxies that is not there is made for it."""
        folder = self._offers.folders.at(parent)
        if folder is None or not self._is_to_be_made(parent):
            return self._writable(parent)
        above = node_id(folder.key.space, folder.key.file)
        inode = self._opened.inode(above)
        name = folder.key.kind.encode()
        tree, space, directory = self._writable(above)
        now = self.history.clock()
        own = Inode(Kind.DIRECTORY, inode.mode, inode.uid, inode.gid, 1, 0, now, now, now, now)
        file, _ = tree.make(directory, name, own)
        self.changes += 1
        self._opened.note_left(above, name)
        return tree, space, file

    def _hides(self, parent: NodeId, name: bytes) -> bool:
        """Whether a name was a proxy's, which is not shown any more."""
        parent = self._offers.real(parent)
        if self._offers.folders.at(parent) is None:
            tree, space, directory = self._writable(parent)
            if not self._offers.may_be(space, directory, name) or tree.find(directory, name) is not None:
                return False
            if self._offers.proxies.forget_left(space, directory, name):
                return True
        proxy = self._offers.proxy_at(parent, name)
        if proxy is None:
            return False
        self._noted(parent, name)
        tree, _, _ = self._writable(node_id(proxy.space, proxy.directory))
        node = self._opened.node(proxy.space, proxy.file)
        reference = self._offers.proxies.hide(tree, proxy)
        self._opened.put_inode(tree, node, self._opened.inode(node).changed(xattrs=reference))
        self._forget_in_folders(proxy, name)
        self.changes += 1
        return True

    def _forget_in_folders(self, proxy: ProxyNode, name: bytes) -> None:
        kind, folders = proxy.label.decode(), self._offers.folders
        if kind in FOLDERS:
            folders.drop(FolderKey(proxy.space, proxy.directory, kind), name)
            return
        for each in FOLDERS:
            folders.forget(FolderKey(proxy.space, proxy.directory, each))

    def _leaves_folder(self, tree: Tree, space: Space, directory: FileId, name: bytes) -> bool:
        """Whether a name was that of a folder of proxies of which nothing is left. Raises NotEmpty."""
        if tree.find(directory, name) is not None:
            return False
        if self._offers.is_place_with_some(space, directory, name):
            raise NotEmpty(f"{shown(name)} is not empty")
        return self._offers.proxies.forget_left(space, directory, name)

    def _goes_along(
        self, tree: Tree, space: Space, directory: FileId, name: bytes, to_space: Space, to: FileId
    ) -> bool:
        """Whether a name is a proxy's, which goes where its original goes: to move it by itself changes nothing."""
        proxies = self._offers.proxies
        if not proxies.is_name(name) or tree.find(directory, name) is not None:
            return False
        found = proxies.find(space, tree, directory, name)
        if found is None:
            return False
        proxies.forget_left(space, directory, name)
        proxies.arrive(to_space, to, name, found)
        return True
