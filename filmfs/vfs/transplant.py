"""Moving a file or a directory from one branch to another: rows are written, bytes stay where they are."""

from collections.abc import Callable

from filmfs.core.errors import CrossBranch, Exists, IsADirectory, NotADirectory
from filmfs.core.ids import FileId
from filmfs.core.paths import shown
from filmfs.versioning.history import History
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.tree import Tree

Inodes = list[tuple[FileId, Inode]]
_Found = tuple[bytes, Entry, Inode]


def transplant(
    history: History,
    tree: Tree,
    parent: FileId,
    name: bytes,
    to_tree: Tree,
    to: FileId,
    new_name: bytes,
    *,
    replace: bool,
    is_written: Callable[[FileId], bool],
) -> tuple[Inodes, Inodes]:
    """Moves `name` to another branch; gives the inodes that left the first and those that lost their name in the other.

    Raises CrossBranch for what is being written, has other names or lost bytes (`mv` then copies); and what rename
    raises.
    """
    entry = tree.get(parent, name)
    below = list(tree.walk(entry.file)) if entry.kind is Kind.DIRECTORY else []
    top = tree.get_inode(entry.file)
    for inode, file in [(top, entry.file), *((inode, found.file) for _, found, inode in below)]:
        if is_written(file):
            raise CrossBranch(f"{shown(name)} is being written; it can move to another branch when it is closed")
        if history.drafts.is_lost(inode.content) or not history.drafts.is_known(inode.content):
            raise CrossBranch(f"the disk lost bytes of {shown(name)}; it can only be copied to another branch")
        if inode.kind is not Kind.DIRECTORY and inode.nlink > 1:
            raise CrossBranch(f"{shown(name)} holds a file with several names, which two branches cannot share")
    now = history.clock()
    lost = _make_room(to_tree, to, new_name, top.kind, now, replace=replace)
    directories: dict[bytes, FileId] = {b"": _copy(history, to_tree, to, new_name, entry.file, top)}
    for path, found, inode in below:
        above, _, last = path.rpartition(b"/")
        made = _copy(history, to_tree, directories[above], last, found.file, inode)
        if inode.kind is Kind.DIRECTORY:
            directories[path] = made
    for path, (_, _, inode) in zip(directories, [(b"", entry, top), *_directories(below)], strict=True):
        to_tree.put_inode(directories[path], to_tree.get_inode(directories[path]).changed(mtime=inode.mtime, ctime=now))
    _remove(tree, parent, name, entry.file, below, now)
    return [(entry.file, top), *((found.file, inode) for _, found, inode in below)], lost


def _directories(below: list[_Found]) -> list[_Found]:
    return [item for item in below if item[2].kind is Kind.DIRECTORY]


def _make_room(to_tree: Tree, to: FileId, name: bytes, kind: Kind, now: int, *, replace: bool) -> Inodes:
    target = to_tree.find(to, name)
    if target is None:
        return []
    if not replace:
        raise Exists(f"{shown(name)!r} exists already")
    if target.kind is Kind.DIRECTORY:
        if kind is not Kind.DIRECTORY:
            raise IsADirectory(f"{shown(name)!r} is a directory")
        return [to_tree.rmdir(to, name, now)]
    if kind is Kind.DIRECTORY:
        raise NotADirectory(f"{shown(name)!r} is not a directory")
    return [to_tree.unlink(to, name, now)]


def _copy(history: History, to_tree: Tree, parent: FileId, name: bytes, file: FileId, inode: Inode) -> FileId:
    """Adds the inode under a number of its own; a draft learns of its second owner."""
    made, _ = to_tree.make(parent, name, inode)
    to_tree.put_inode(made, to_tree.get_inode(made).changed(mode=inode.mode, gid=inode.gid))
    if isinstance(inode.content, int):
        history.drafts.add_owner(inode.content, made)
    return made


def _remove(tree: Tree, parent: FileId, name: bytes, file: FileId, below: list[_Found], now: int) -> None:
    for path, entry, _ in reversed(below):
        directory = entry_parent(tree, entry.file)
        if entry.kind is Kind.DIRECTORY:
            tree.rmdir(directory, path.rpartition(b"/")[2], now)
        else:
            tree.unlink(directory, path.rpartition(b"/")[2], now)
    if tree.get_inode(file).kind is Kind.DIRECTORY:
        tree.rmdir(parent, name, now)
    else:
        tree.unlink(parent, name, now)


def entry_parent(tree: Tree, file: FileId) -> FileId:
    """The directory of an inode with one name."""
    return tree.get_inode(file).links[0][0]
