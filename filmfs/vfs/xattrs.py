"""Extended attributes as the tree shows them: the user's own, and filmfs's under `user.filmfs.`.

filmfs's are found by name only and not listed: tools that copy all attributes would try to set them.
"""

from filmfs.core.errors import AttributeTooLarge, FilmFSError, NoAttribute, Refused, Unsupported
from filmfs.core.paths import shown
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.xattrs import VALUE_MAX, Attributes

CAPABILITY = b"security.capability"
OWN = b"user.filmfs."
"""Begins the names of filmfs's."""
_KEPT = (b"user.", b"trusted.", b"security.")
_NAMES_MAX = 1 << 16  # more the kernel would not list
OF_VIRTUAL: Attributes = {b"user.filmfs.virtual": b"1"}


def with_own(kept: Attributes, inode: Inode) -> Attributes:
    """The attributes that are kept for an inode, and those that tell what it is."""
    if inode.kind is Kind.FILE and isinstance(inode.content, bytes):
        return {**kept, b"user.filmfs.content": inode.content.hex().encode()}
    return kept


def listed(attributes: Attributes) -> list[bytes]:
    """The names that are listed."""
    return sorted(name for name in attributes if not name.startswith(OWN))


def missing(name: bytes) -> FilmFSError:
    """What to say of an attribute that a file does not have.

    Of those that no file ever has *unsupported*: `ls -l` asks for two of them, and after that answer once and no more.
    """
    if name.startswith(b"system.") or name == b"security.selinux":
        return Unsupported(f"attributes such as {shown(name)} are not kept")
    return NoAttribute(f"there is no attribute {shown(name)}")


def with_set(kept: Attributes, name: bytes, value: bytes) -> Attributes:
    """The attributes with one more or another value. Raises Refused, Unsupported or AttributeTooLarge."""
    _refuse_own(name)
    if not name.startswith(_KEPT):
        raise Unsupported(f"attributes such as {shown(name)} are not kept")
    if len(value) > VALUE_MAX:
        raise AttributeTooLarge(f"an attribute's value can have {VALUE_MAX} bytes")
    changed = {**kept, name: value}
    if sum(len(each) + 1 for each in changed) > _NAMES_MAX:
        raise AttributeTooLarge(f"the names of a file's attributes can have {_NAMES_MAX} bytes together")
    return changed


def without(kept: Attributes, name: bytes) -> Attributes:
    """The attributes less one. Raises Refused or NoAttribute."""
    _refuse_own(name)
    if name not in kept:
        raise NoAttribute(f"there is no attribute {shown(name)}")
    return {key: value for key, value in kept.items() if key != name}


def _refuse_own(name: bytes) -> None:
    if name.startswith(OWN):
        raise Refused("attributes under user.filmfs. are filmfs's own")
