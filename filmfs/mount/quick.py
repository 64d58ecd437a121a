"""Looking up, stat, listing and closing: what is told of them, and the short way to tell it.

A pyfuse3 handler is a coroutine in a task that asked trio for a request and that is given objects for its arguments;
that is most of what a look-up costs. With the extension these requests are answered while they are read
(native/quick.c), by one call of `Answerer`, as long as nothing has to be waited for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from filmfs.core.errors import NotFound, NotHashed
from filmfs.mount.eager import EAGER
from filmfs.mount.memory import Memory
from filmfs.mount.native import hooks
from filmfs.mount.translate import BLOCK_SIZE, NO_ENTRY, Told, errno_of, told
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import NodeId

# Opcodes of include/uapi/linux/fuse.h
LOOKUP = 1
GETATTR = 3
RELEASE = 18
READDIRPLUS = 44
_NAMES = {LOOKUP: "lookup", GETATTR: "getattr", RELEASE: "release", READDIRPLUS: "readdir"}  # of pyfuse3's handlers


def look_up(filesystem: FileSystem, parent: NodeId, name: bytes) -> Told:
    """The node called `name`; none if the kernel may remember that there is none. Raises NotFound, BadName's kinds."""
    try:
        attributes, exact = filesystem.lookup(parent, name)
    except NotFound:
        # Names at the mount's root come and go behind the kernel's back, other spellings without its knowing, and what
        # is made of a file with it.
        if name.isascii() and not filesystem.may_be_made(parent, name) and filesystem.is_stable(parent):
            return NO_ENTRY
        raise
    return told(attributes, name, exact=exact)


def listed(filesystem: FileSystem, handle: int, start: int) -> Iterator[tuple[bytes, Told, int]]:
    """Names of an open directory from a position on, each with the position after it."""
    for name, attributes, position in filesystem.read_directory(handle, start):
        yield name, told(attributes, name), position


class Answerer:
    """Answers what is asked of a mount whose database is in memory. Owned by the event loop's thread."""

    def __init__(self, filesystem: FileSystem, memory: Memory, let_go: Callable[[int], None]) -> None:
        """`let_go` closes a handle."""
        self._fs = filesystem
        self._memory = memory
        self._let_go = let_go

    def answer(self, opcode: int, number: int, what: Any = None) -> Any:
        """LOOKUP of a node and a name, and GETATTR of a node: Told. READDIRPLUS of a handle and a position: `listed`.

        RELEASE of a handle: (). An error is its errno. None: pyfuse3 shall see to it.
        """
        if self._memory.is_cold:
            return None
        try:
            if opcode == LOOKUP and self._must_be_made(NodeId(number), what):
                return None
            if opcode == LOOKUP:
                return look_up(self._fs, NodeId(number), what)
            if opcode == GETATTR:
                return told(self._fs.attributes(NodeId(number)))
            if opcode == READDIRPLUS:
                return listed(self._fs, number, what)
            self._let_go(number)
        except Exception as error:
            return errno_of(error, _NAMES[opcode]).errno
        return ()

    def _must_be_made(self, parent: NodeId, name: bytes) -> bool:
        """Whether a name leads to what has to be made first, or waited for."""
        try:
            return self._fs.may_be_made(parent, name) and self._fs.before_lookup(parent, name) is not None
        except NotHashed:
            return True

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Answers while the block runs, if there is the extension."""
        if hooks is not None:
            hooks.answer_with(self.answer, EAGER, BLOCK_SIZE)
        try:
            yield
        finally:
            if hooks is not None:
                hooks.answer_with(None, EAGER, BLOCK_SIZE)
