"""What goes past Python: files that the kernel reads and writes itself, and reads that the extension answers.

The decisions are the file system's (which open file is one plain file) and the kernel's (whether it has passthrough);
here they meet. Without the extension nothing of this happens, and nothing else changes.
"""

import errno
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from math import inf

from filmfs.core.extents import Literal
from filmfs.mount.native import hooks
from filmfs.store.contents import Contents
from filmfs.store.disk import has_leases
from filmfs.vfs.derived import DerivedFile
from filmfs.vfs.handles import FileHandle
from filmfs.vfs.nodes import TURN_MASK, NodeId
from filmfs.vfs.openfiles import STRAIGHT_MIN, OpenFile

log = logging.getLogger("filmfs.mount")

_STREAK, _STREAK_S, _PROCESSES = 16, 1.0, 256
_SERVERS = {"smbd", "nfsd", "ganesha.nfsd"}
_KNOWN_S, _HERE_S = 60.0, 600.0  # a process keeps its name for so long; a server that was here comes again within
_PASSING_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}
Shown = OpenFile | DerivedFile
_SOURCES = 64  # a file of more blobs is read through Python: each would hold a descriptor


class Streaks:
    """Processes that write one small file after another: a plain file each would cost them more than it saves."""

    def __init__(self) -> None:
        self._streaks: OrderedDict[int, tuple[int, float]] = OrderedDict()

    def closed(self, process: int, size: int) -> None:
        """The process closed a new file."""
        length, _ = self._streaks.pop(process, (0, 0.0))
        if size < STRAIGHT_MIN:
            self._streaks[process] = length + 1, time.monotonic()
            if len(self._streaks) > _PROCESSES:
                self._streaks.popitem(last=False)

    def has(self, process: int) -> bool:
        """Whether the next file is likely to be small too."""
        length, since = self._streaks.get(process, (0, 0.0))
        return length >= _STREAK and time.monotonic() - since < _STREAK_S


class Servers:
    """Notices processes that serve the mount to other machines.

    They open what they looked up before by a handle or a descriptor (/proc/self/fd), and not by its name again: to them
    the kernel does not repeat a look-up when a file must get another node because somebody reads it past us.
    """

    def __init__(self) -> None:
        self._met: OrderedDict[int, tuple[bool, float]] = OrderedDict()
        self._last = -inf

    def meet(self, process: int) -> None:
        """A process opens something."""
        now = time.monotonic()
        serves, since = self._met.get(process, (False, -inf))
        if now - since > _KNOWN_S:
            serves = _name_of(process).partition("[")[0] in _SERVERS  # smbd[192.168.1.7]
            self._met[process] = serves, now
            if len(self._met) > _PROCESSES:
                self._met.popitem(last=False)
        if serves:
            self._last = now

    @property
    def are_here(self) -> bool:
        """Whether one used the mount lately."""
        return time.monotonic() - self._last < _HERE_S


def _name_of(process: int) -> str:
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as name:
            return name.read().strip()
    except OSError:
        return ""


class Passing:
    """The extension's side of one mount. Owned by the event loop's thread."""

    def __init__(self, contents: Contents) -> None:
        self._blobs = contents.blobs
        self._composer = contents.composer
        self._backings: dict[Shown, int] = {}
        self._served: dict[Shown, set[NodeId]] = {}
        self._streaks = Streaks()
        self.servers = Servers()
        self._works = hooks is not None
        self._writes = False
        if hooks is not None:
            self._writes = has_leases(self._blobs.staging_directory)
            hooks.want(True, TURN_MASK)

    @property
    def works(self) -> bool:
        """Whether the kernel can read and write plain files itself."""
        return self._works and hooks is not None and hooks.is_negotiated()

    @property
    def composes(self) -> bool:
        """Whether it can read files of several blobs itself."""
        return self.works and self._composer.works

    def look_ahead(self) -> None:
        """Finds out what is not known yet; in any thread, once the mount is there."""
        if self.works:
            self._composer.prove()

    @property
    def passes_reads(self) -> bool:
        """Whether it may read them: who opens such a file for writing has to look it up again."""
        return self.works and not self.servers.are_here

    def passes_writes(self, process: int) -> bool:
        """Whether it may, and should, write a new file of a process itself."""
        return self._writes and self.works and not self._streaks.has(process)

    @property
    def demotes(self) -> bool:
        """Whether it is ours to take set-user-ID and its kind from what is written, cut or given away."""
        return hooks is not None and hooks.demotes()

    def must_demote(self, number: int) -> bool:
        """Whether somebody who may not keep those bits wrote by a handle since the last call."""
        return hooks is not None and hooks.take_demotion(number)

    def counts(self) -> dict[str, int]:
        """Requests that came for bytes, for those who measure."""
        return hooks.counts() if hooks is not None else {}

    def opened(self, number: int, handle: FileHandle) -> None:
        """A handle is about to be given to the kernel. Raises OSError when that refuses a file (see `refused`)."""
        file = handle.shown
        if hooks is None or file is None or not hooks.is_attached():
            return
        if file.straight:
            if file not in self._backings:
                self._backings[file] = self._register(file)
            hooks.pass_through(number, self._backings[file])
        elif not handle.writing and not file.is_being_written and file.is_settled:
            self._serve(handle.node, file)

    def closed(self, handle: FileHandle) -> None:
        """The handle is gone."""
        file = handle.shown
        if hooks is None or file is None:
            return
        if handle.writing:
            self._streaks.closed(handle.process, file.size)
        if file.handles:
            return
        self._unserve(file)
        backing = self._backings.pop(file, None)
        if backing is not None:
            hooks.close_backing(backing)

    def refused(self, error: OSError, handle: FileHandle) -> None:
        """The kernel would not have a file: it goes through the daemon, and so do all if there is no hope."""
        if handle.shown is not None and handle.shown.composed is not None:
            self._composer.give_up(error)
        elif error.errno not in _PASSING_ERRORS:
            log.warning("files cannot be handed to the kernel (%s); the daemon reads and writes all of them", error)
            self._works = False

    def log_failures(self, name_of: Callable[[NodeId], str]) -> None:
        """Says which reads failed past Python."""
        for node, code in hooks.take_failures() if hooks is not None else ():
            log.error("read: a blob of %s cannot be read: %s", name_of(NodeId(node)), os.strerror(code))

    def stop(self) -> None:
        """Nothing is answered past Python any more."""
        if hooks is not None:
            hooks.stop()

    def _register(self, file: Shown) -> int:
        assert hooks is not None
        descriptor = file.open_straight()
        try:
            return hooks.open_backing(descriptor)
        finally:
            os.close(descriptor)

    def _serve(self, node: NodeId, file: Shown) -> None:
        assert hooks is not None
        if node in self._served.get(file, ()):
            return
        extents = file.map
        blobs = sorted(extents.blobs())
        if len(blobs) > _SOURCES:
            return
        sources: list[int | bytes] = []
        index: dict[object, int] = {}
        runs = []
        with self._blobs.borrow(blobs) as descriptors:
            for blob, descriptor in zip(blobs, descriptors, strict=True):
                index[blob] = len(sources)
                sources.append(descriptor)
            for extent in extents.extents:
                source = extent.source
                if isinstance(source, Literal):
                    at = len(sources)
                    sources.append(source.data)
                else:
                    at = index[source]
                runs.append((extent.offset, extent.length, at, extent.source_offset))
            try:
                hooks.serve(node, extents.size, sources, runs)
            except OSError:  # no descriptor left: Python borrows them read by read
                return
        self._served.setdefault(file, set()).add(node)
        file.on_change = partial(self._unserve, file)

    def _unserve(self, file: Shown) -> None:
        assert hooks is not None
        for node in self._served.pop(file, ()):
            hooks.unserve(node)
