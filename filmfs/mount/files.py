"""The handlers of pyfuse3 that open, read, write, cut and sync files.

What waits for a disk (a read that the page cache cannot answer, a large write, a flush) goes to a thread; nothing
shared is read before such a wait and changed after it, but for `placed`, which only adds what was written.
"""

import errno
import logging
import os
import struct
from collections.abc import Callable

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileHandleT,
    FileInfo,
    FileNameT,
    FlagT,
    InodeT,
    ModeT,
    RequestContext,
    SetattrFields,
)

from filmfs.core.errors import BeingMade, BeingWritten, Busy, Corrupt, FilmFSError, NotHashed, Stale
from filmfs.core.extents import ExtentMap
from filmfs.mount.caches import forget_at_once
from filmfs.mount.flushing import Flusher, copy_apart
from filmfs.mount.memory import Memory
from filmfs.mount.passing import Passing
from filmfs.mount.patience import Patience
from filmfs.mount.room import Room
from filmfs.mount.translate import answers_at_once, answers_fuse, entry, told
from filmfs.versioning.rows import Kind
from filmfs.vfs.changes import Changes
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import NodeId
from filmfs.vfs.ranges import allocate, copy_range, seek
from filmfs.vfs.work import Work
from filmfs.vfs.writing import write_placed

log = logging.getLogger("filmfs.mount")

_TRIES = 16
# While a name is looked up the kernel holds its directory: nobody waits for long.
_HASHED_S, _PATIENCE_S, _LOOK_AGAIN_S = 5.0, 2.0, 0.05
_LOOK_AGAIN_AT_LAST_S = 1.0
# Clients of Samba and NFS give up after half a minute.
_WAITS_S: dict[type[FilmFSError], float] = {BeingWritten: 1.0, BeingMade: 20.0}
_MAKERS = 4
_INLINE_WRITE = 1 << 17  # a smaller write is a copy into the page cache, cheaper than a thread


class FileOperations(pyfuse3.Operations):
    """What is done to a file's bytes."""

    def __init__(
        self, filesystem: FileSystem, flusher: Flusher, disk: trio.CapacityLimiter, memory: Memory, passing: Passing
    ) -> None:
        super().__init__()
        self.memory = memory
        self._passing = passing
        self._fs = filesystem
        self._flusher = flusher
        self._disk = disk
        self._makers = trio.CapacityLimiter(_MAKERS)
        self._being_made: dict[Work, trio.Event] = {}
        self._patience = Patience()
        self._room = Room(filesystem.statvfs)

    @answers_fuse
    async def create(
        self, parent_inode: InodeT, name: FileNameT, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        if self.memory.is_cold:
            await self.memory.touch([], [(NodeId(parent_inode), name)])
        if self._is_passed_on(flags, ctx):
            await self.first(self._fs.history.spares.making())
        made = self._fs.make(NodeId(parent_inode), name, Kind.FILE, mode, ctx.uid, ctx.gid)
        self.forget_moved()
        handle = self._open(made.node, flags & ~os.O_TRUNC, ctx)
        return FileInfo(fh=FileHandleT(handle), keep_cache=True), entry(told(made, name))

    @answers_fuse
    async def open(self, inode: InodeT, flags: FlagT, ctx: RequestContext) -> FileInfo:
        node = NodeId(inode)
        self._passing.servers.meet(ctx.pid)
        if self.memory.is_cold:
            await self.memory.touch([node], [])
        for _ in range(3):
            await self.first(self._fs.before_open(node, straight=self._may_read_past_us(node, flags)))
        if self._is_passed_on(flags, ctx):
            await self.first(self._fs.history.spares.making())
        if flags & os.O_ACCMODE != os.O_RDONLY and flags & (os.O_APPEND | os.O_TRUNC) != os.O_APPEND:
            await self._keep_closed(node)
        waited = bool(flags & os.O_TRUNC) and await self._flush_before_cut(node, 0)
        try:
            handle = self._open(node, flags, ctx)
        except FilmFSError as error:
            self._is_as_before(node, error, waited=waited)
            raise
        if self._fs.file(handle).accessed:
            # The kernel asks for attributes again after reads that it sends, not after those that it answers itself.
            forget_at_once([], [node])
        file, is_report = self._fs.file(handle).file, self._fs.file(handle).shown is None
        if file is not None and file.is_written_through and flags & os.O_ACCMODE == os.O_RDWR:
            await self._flusher.write_back()  # what is mapped now and msynced must have a row
        if file is not None and file.is_turned_back:
            self._forget_left(node)
            keep = False
        else:
            # A branch's and a commit's bytes change only through this mount, so the kernel's pages stay right.
            keep = not is_report and self._fs.has_fixed_bytes(node)
        return FileInfo(fh=FileHandleT(handle), keep_cache=keep, direct_io=is_report)

    def _open(self, node: NodeId, flags: int, ctx: RequestContext, *, may_pass: bool = True) -> int:
        """A handle, and the way that its bytes go."""
        access = flags & os.O_ACCMODE
        if access == os.O_RDONLY:
            straight = may_pass and self._may_read_past_us(node, flags)
        elif access == os.O_WRONLY:
            straight = may_pass and self._fs.is_stable(node) and self._is_passed_on(flags, ctx)
        elif access == os.O_RDWR:
            # It could be mapped, and what msync makes durable is then a staging file that no row may speak of yet.
            straight = False
        writing, truncate = access != os.O_RDONLY, bool(flags & os.O_TRUNC)
        handle = self._fs.open(
            node,
            writing=writing,
            truncate=truncate,
            append=bool(flags & os.O_APPEND),
            straight=straight,
            direct=bool(flags & os.O_DIRECT),
            is_access=not flags & os.O_NOATIME,
            uid=ctx.uid,
            process=ctx.pid,
        )
        try:
            self._passing.opened(handle, self._fs.file(handle))
        except OSError as error:
            self._passing.refused(error, self._fs.file(handle))
            self._fs.close(handle)
            return self._open(node, flags, ctx, may_pass=False)
        return handle

    def _may_read_past_us(self, node: NodeId, flags: int) -> bool:
        return flags & os.O_ACCMODE == os.O_RDONLY and self._fs.has_fixed_bytes(node) and self._passing.passes_reads

    def _is_passed_on(self, flags: int, ctx: RequestContext) -> bool:
        """Whether what a process is going to write to a new file may go past us."""
        # Who reads here and writes here copies, and a copy is rows, which a plain file cannot be. To whoever asks that
        # each write be durable the kernel alone would answer before the row is.
        writes = flags & os.O_ACCMODE == os.O_WRONLY and not flags & (os.O_SYNC | os.O_DSYNC)
        return writes and self._passing.passes_writes(ctx.pid) and not self._fs.is_reading(ctx.pid)

    async def first(self, work: Callable[[], None] | None) -> None:
        """Does what would wait for a disk in a thread."""
        if work is not None:
            await trio.to_thread.run_sync(work, limiter=self._disk)

    async def have_made(self, work: Callable[..., Work | None]) -> None:
        """Does what `work(patient=…)` gives in threads until there is no more; what is not hashed yet is waited for."""
        began, pause_s = trio.current_time(), _LOOK_AGAIN_S
        while True:
            waited_s = trio.current_time() - began
            try:
                next_work = work(patient=waited_s < _PATIENCE_S)
            except NotHashed as error:
                if waited_s > _WAITS_S.get(type(error), _HASHED_S):
                    raise
                self._flusher.hurry()
                await trio.sleep(pause_s)
                pause_s = min(1.5 * pause_s, _LOOK_AGAIN_AT_LAST_S)
                continue
            if next_work is None:
                return
            with trio.move_on_after(_HASHED_S - waited_s):
                await self._made(next_work).wait()
                continue
            raise Busy("it takes longer to make than a look-up may; try again in a moment")

    def _made(self, work: Work) -> trio.Event:
        """Does work in a thread, once for all who ask for it, and goes on when nobody waits for it any more."""
        done = self._being_made.get(work)
        if done is None:
            done = self._being_made[work] = trio.Event()
            trio.lowlevel.spawn_system_task(self._make, work, done)
        return done

    async def _make(self, work: Work, done: trio.Event) -> None:
        try:
            if work.is_on_durable:
                await self._flusher.write_back()
            await trio.to_thread.run_sync(work, limiter=self._makers, abandon_on_cancel=True)
        except FilmFSError as error:  # whoever looks again is told what is wrong
            log.error("something could not be made: %s", error)
        except Exception:
            log.exception("something could not be made")
        finally:
            del self._being_made[work]
            done.set()

    async def _keep_closed(self, node: NodeId) -> None:
        """Has what a file was at earlier closes be safe from who will write over it."""
        for _ in range(_TRIES):
            copying = self._fs.copying_closed(node)
            if copying is not None:
                await copy_apart(copying, self._disk)
            elif self._fs.is_copy_durable(node):
                return
            await self._flusher.write_back()
        raise Busy("what the file was when it was closed cannot be kept apart")

    async def _flush_before_cut(self, node: NodeId, size: int) -> bool:
        """Has what must be durable before a file is cut be so; whether that was anything."""
        if not self._fs.must_flush_before(node, size):
            return False
        try:
            await self._flusher.write_back()
            self._fs.refuse_if_lost(node)
        except BaseException:
            self._fs.stays_uncut(node)
            raise
        return True

    def _is_as_before(self, node: NodeId, error: FilmFSError, *, waited: bool) -> None:
        """A file could not be opened or changed, after what `_flush_before_cut` did."""
        if waited:
            self._fs.stays_uncut(node)
        if isinstance(error, Stale):
            self._forget_left(node)

    def forget_moved(self) -> None:
        """Names that lead elsewhere by what was just done, besides those that the kernel knows of."""
        left = self._fs.take_left()
        forget_at_once(left, {parent for parent, _ in left})

    def _forget_left(self, node: NodeId) -> None:
        """Other names of a file that got another node must be looked up again too, and what is known of the old one."""
        forget_at_once(self._fs.take_left(), [node])

    def _demote(self, node: NodeId) -> None:
        if self._fs.demote(node):
            forget_at_once([], [node])

    @answers_fuse
    async def read(self, fh: FileHandleT, off: int, size: int) -> bytes:
        handle = self._fs.reading(fh)
        file = handle.shown
        if file is None:
            return handle.report[off : off + size]
        try:
            data = file.read_now(off, size)
        except Corrupt:
            data = None  # looked at again below
        if data is None:
            extents = file.map
            try:
                data = await self._read_in_thread(extents, off, size)
            except Corrupt:
                # Sealed meanwhile? Then the map that was read may have led to a staging file that is gone.
                self._fs.catch_up()
                if file.map == extents:
                    raise
                data = await self._read_in_thread(file.map, off, size)
        return data  # type: ignore[return-value] # any buffer will do

    @answers_fuse
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        file = self._fs.file(fh).file
        if file is None:
            raise pyfuse3.FUSEError(errno.EROFS)
        if self._passing.must_demote(fh):
            self._demote(self._fs.file(fh).node)
        # Meanwhile, here and below: the kernel holds other writes of this inode back; the handle keeps the file open.
        await self.first(file.before_write(off + len(buf)))
        left = memoryview(buf)
        while left and (where := file.place(off, left)) is not None:
            part = left[: where.extent.length]
            if len(part) < _INLINE_WRITE and self._patience.is_disk_quick:
                took_s = write_placed(where, part)
            else:
                took_s = await trio.to_thread.run_sync(write_placed, where, part, limiter=self._disk)
            self._patience.note(took_s)
            file.placed(where)
            off, left = where.extent.end, left[len(part) :]
        self._fs.changes += 1
        return len(buf)

    # No flush: the kernel is told once that there is none (ENOSYS), which spares a request at every close. Errors of
    # writing are told by write and fsync, and locks are the kernel's own.

    @answers_at_once()
    def release(self, fh: FileHandleT) -> None:
        self.let_go(fh)

    def let_go(self, handle: int) -> None:
        """The last of an open file's handle."""
        closed = self._fs.file(handle)
        self._fs.close(handle)
        self._passing.closed(closed)

    @answers_fuse
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        await self._flusher.write_back()
        self._fs.refuse_if_not_durable(self._fs.file(fh))

    @answers_fuse
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        changes = Changes(
            mode=attr.st_mode & 0o7777 if fields.update_mode else None,
            uid=attr.st_uid if fields.update_uid else None,
            gid=attr.st_gid if fields.update_gid else None,
            size=attr.st_size if fields.update_size else None,
            atime=attr.st_atime_ns if fields.update_atime else None,
            mtime=attr.st_mtime_ns if fields.update_mtime else None,
            demotes=self._passing.demotes
            and (fields.update_uid or fields.update_gid or bool(fields.update_size and ctx.uid)),
        )
        if changes == Changes() and self._passing.demotes:  # chown(2) of neither
            owner = self._fs.attributes(NodeId(inode)).uid
            changes = Changes(demotes=ctx.uid in (0, owner))
        if self.memory.is_cold:
            await self.memory.touch([NodeId(inode)], [])
        if changes.size is not None:
            await self._keep_closed(NodeId(inode))
        waited = changes.size is not None and await self._flush_before_cut(NodeId(inode), changes.size)
        try:
            found = self._fs.change(NodeId(inode), changes)
        except FilmFSError as error:
            self._is_as_before(NodeId(inode), error, waited=waited)
            raise
        forget_at_once([], self._fs.others(NodeId(inode)))
        return entry(told(found))

    @answers_fuse
    async def fsyncdir(self, fh: FileHandleT, datasync: bool) -> None:
        await self._flusher.write_back()

    def unknown_to_pyfuse3(self, asked: list[bytes], uid: int) -> bytes:
        """Requests that the extension brings in as an attribute's name; the answer is the reply's body."""
        what, *numbers = asked
        given = [int(number) for number in numbers]
        if what == b"copy":
            source, offset, target, to, length = given
            copied = copy_range(self._fs.file(source), offset, self._fs.file(target), to, length)
            self._fs.changes += 1
            if self._passing.demotes and uid:
                self._demote(self._fs.file(target).node)
            return struct.pack("=II", copied, 0)
        if what == b"seek":
            found = seek(self._fs.file(given[0]), *given[1:])
            if found is None:
                raise pyfuse3.FUSEError(errno.ENXIO)
            return struct.pack("=Q", found)
        handle, offset, length, mode = given
        allocate(self._fs.file(handle), offset, length, mode)
        self._fs.changes += 1
        if self._passing.demotes and uid:
            self._demote(self._fs.file(handle).node)
        return b""

    async def _read_in_thread(self, extents: ExtentMap, offset: int, size: int) -> bytes:
        read = self._fs.archive.contents.read
        return await trio.to_thread.run_sync(read, extents, offset, size, limiter=self._disk)
