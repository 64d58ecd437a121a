"""The process that keeps an archive mounted: doors, write-back, control socket, signals, a clean end.

`run` is the whole life: open, mount, say READY once the mount answers, serve until the mount goes (fusermount3 -u) or a
signal comes, flush, close. systemd is told by one datagram each (sd_notify).
"""

import contextlib
import faulthandler
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import trio

from filmfs import __version__
from filmfs.archive import Archive, Mode
from filmfs.archive.commands import run as run_command
from filmfs.archive.copies import DAY_S, is_copy_due
from filmfs.archive.opening import CLEAN
from filmfs.control import LINE_MAX, SOCKET, encode, failure, short_path
from filmfs.core.errors import FilmFSError, LostBytes
from filmfs.mount.flushing import Flusher
from filmfs.mount.following import follow
from filmfs.mount.guardian import Guardian
from filmfs.mount.options import OWN, check_mountpoint, check_options, handles_of, lists_of
from filmfs.mount.proxying import ProxyMaker
from filmfs.mount.session import Session
from filmfs.mount.table import filmfs_mounts, read_far_ahead
from filmfs.mount.watchdog import Watchdog
from filmfs.vfs.filesystem import FileSystem

log = logging.getLogger("filmfs.daemon")

_DISK_THREADS = 16
_GARBAGE = 20_000  # rows in buffers are many small objects, and none of them is part of a circle
_SWITCH_S = 0.0005  # how long the event loop may have to wait for a thread that computes
_ANSWER_S = 10.0  # a client that does not read its answer for so long goes without
_COPY_S = DAY_S
_LOOK_AT_COPY_S = 300.0
_LOOK_AFTER_S = 60.0
_WRITE_AT_END_S = 20.0
_SEAL_AT_END_S = 2.0  # what is not hashed by then is hashed by the next mount


def run(root: str, mountpoint: str, options: Iterable[str], on_ready: Callable[[], None]) -> None:
    """Mounts the archive and serves it until it is unmounted. Calls `on_ready` once the mount answers."""
    chosen = check_options(options)
    guardian = Guardian()
    with Archive(root, Mode.READ if "ro" in chosen else Mode.WRITE, role="mount") as archive:
        mountpoint = check_mountpoint(mountpoint, archive.root)
        archive.note_role(role="mount", mountpoint=mountpoint)
        for line in archive.dropped:
            log.warning("dropped %s", line)
        if "ro" not in chosen:
            archive.history.take_numbers()
        _tune_the_interpreter()
        try:
            trio.run(partial(Daemon(archive, mountpoint, chosen, guardian).run, on_ready))
        except BaseException as error:
            archive.note_role(role="mount", mountpoint=mountpoint, ended=str(error) or type(error).__name__)
            raise
        archive.note_role(role="mount", mountpoint=mountpoint, ended=CLEAN)


def _tune_the_interpreter() -> None:
    """For a process that lives long and answers in microseconds while a thread of it writes back."""
    faulthandler.enable()  # a crash in C says where
    gc.collect()
    gc.freeze()  # modules and settings need not be looked through again
    gc.set_threshold(_GARBAGE, 20, 50)
    sys.setswitchinterval(_SWITCH_S)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # files that are open here hold descriptors


class Daemon:
    """One mounted archive."""

    def __init__(self, archive: Archive, mountpoint: str, options: set[str], guardian: Guardian) -> None:
        self._archive = archive
        self._guardian = guardian
        self._mountpoint = mountpoint
        self._real_mountpoint = os.path.realpath(mountpoint)  # now, while to look there asks nobody
        self._options = options
        self._started = time.time()
        self._disk = trio.CapacityLimiter(_DISK_THREADS)
        access_times = "noatime" not in options
        self._fs = FileSystem(
            archive,
            readonly="ro" in options,
            access_times=access_times,
            handles=handles_of(options),
            lists=lists_of(options),
            status=self.status,
        )
        self._flusher = Flusher(self._fs, self._disk)
        self._proxies = None if self._fs.readonly else ProxyMaker(self._fs, self._disk)
        self._watchdog = Watchdog(notify)
        self._session = Session(self._fs, self._flusher, self._disk)

    def status(self) -> dict[str, Any]:
        """What `.filmfs/status.json` and `filmfs status` say."""
        return {
            "pid": os.getpid(),
            "version": __version__,
            "archive": self._archive.root,
            "name": self._archive.settings.name,
            "mountpoint": self._mountpoint,
            "started": int(self._started),
            "uptime_s": int(time.time() - self._started),
            "readonly": self._fs.readonly,
            "unsealed_files": len(self._fs.history.drafts),
            "database_in_memory": self._session.database_in_memory,
            "last_flush_error": self._flusher.last_error,
            **self._watchdog.status(),
            "passthrough": self._session.passing.works,
            "composing": self._session.passing.composes,
            "requests": self._session.passing.counts(),
        }

    async def run(self, on_ready: Callable[[], None]) -> None:
        """See `run`."""
        with self._watchdog:
            trio.lowlevel.spawn_system_task(self._watchdog.beat)
            await self._live(on_ready)

    async def _live(self, on_ready: Callable[[], None]) -> None:
        self._session.mount(self._mountpoint, {option for option in self._options if not option.startswith(OWN)})
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._session.watch)
                nursery.start_soon(self._await_signal)
                nursery.start_soon(self._keep_copy)
                nursery.start_soon(self._look_after)
                if self._fs.readonly:
                    nursery.start_soon(follow, self._fs)
                else:
                    nursery.start_soon(self._flusher.run)
                    assert self._proxies is not None
                    nursery.start_soon(self._proxies.run)
                    await nursery.start(self._serve_control)
                nursery.start_soon(self._tell_ready, on_ready)
                await self._session.serve()
                nursery.cancel_scope.cancel()
        finally:
            notify("STOPPING=1")
            self._guardian.dismiss()
            with trio.CancelScope(shield=True):
                self._session.unmount()
                if not self._fs.readonly:
                    await self._end()

    async def _end(self) -> None:
        await self._write_everything()
        await self._flusher.seal(within_s=_SEAL_AT_END_S)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._archive.root, SOCKET))

    async def _write_everything(self) -> None:
        """Nobody can be told any more: so what cannot be written now, and is not lost, is tried for a while."""
        deadline = trio.current_time() + _WRITE_AT_END_S
        while True:
            try:
                return await self._flusher.flush()
            except FilmFSError as error:
                if isinstance(error, LostBytes) or trio.current_time() > deadline:
                    log.critical("what was written last is lost: %s", error)
                    raise
                log.error("unmounted, but not on disk yet, trying again: %s", error)
                await trio.sleep(1.0)

    async def _keep_copy(self) -> None:
        """A copy of the database is made each day, by a process of its own."""
        while not self._fs.readonly:
            await trio.sleep(_LOOK_AT_COPY_S)
            try:
                if is_copy_due(self._archive.root, _COPY_S):
                    await self._copy()
            except Exception:  # no descriptors, no memory for a process: the mount goes on
                log.exception("the database was not copied; the last good copy stays")

    async def _look_after(self) -> None:
        """Keeps room back, and lets go of views of commands that were killed, which would have the database grow."""
        while not self._fs.readonly:
            try:
                await self._flusher.keep_reserve()
                await trio.to_thread.run_sync(self._fs.history.database.forget_dead_readers, limiter=self._disk)
            except Exception:
                log.exception("the disk and the database were not looked after; trying again")
            await trio.sleep(_LOOK_AFTER_S)

    async def _copy(self) -> None:
        command = [sys.executable, "-P", "-m", "filmfs.archive.copies", self._archive.root]
        done = await trio.run_process(command, capture_stderr=True, check=False)
        if done.returncode != 0:
            words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            log.error("the database was not copied; the last good copy stays: %s", words or done.returncode)

    async def _tell_ready(self, on_ready: Callable[[], None]) -> None:
        """Another process looks: a thread of ours that waits for an answer would outlive a kill, and hold the mount."""
        with contextlib.suppress(OSError):
            await trio.run_process(["stat", "--", self._mountpoint], capture_stdout=True, check=False)
        device = dict(filmfs_mounts()).get(self._real_mountpoint)
        if device is not None:
            self._guardian.watch(self._real_mountpoint, device)
            try:
                read_far_ahead(device)
            except OSError as error:
                log.info("the kernel reads 128 KiB ahead in the mount; to have it read more needs root (%s)", error)
        notify(f"READY=1\nSTATUS=mounted at {self._mountpoint}")
        on_ready()
        await trio.to_thread.run_sync(self._session.passing.look_ahead)

    async def _await_signal(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    continue
                log.info("signal %d: unmounting", number)
                self._session.stop()
                return

    async def _serve_control(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listener = _bind(self._archive.root)
        task_status.started()
        await trio.serve_listeners(self._answer, [trio.SocketListener(listener)])

    async def _answer(self, stream: trio.SocketStream) -> None:
        """One request; a client that breaks off or sends nonsense is nobody else's trouble."""
        async with stream:
            try:
                line = await _read_line(stream)
                if not line:
                    return
                # What was begun is brought to its end and answered, also while the mount goes.
                with trio.CancelScope(shield=True):
                    answer = await self._obey(line)
                    with trio.move_on_after(_ANSWER_S):
                        await stream.send_all(encode(answer))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command, arguments = request["command"], request["arguments"]
            if command == "status":
                return {"result": self.status()}
            return {"result": await self._run_command(command, arguments)}
        except FilmFSError as error:
            return failure(error)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return failure(FilmFSError(f"the request cannot be understood: {error}"))
        except Exception as error:
            log.exception("a command failed")
            return failure(FilmFSError(f"{type(error).__name__}: {error}"))

    async def _run_command(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        before = self._fs.branch_names()
        # What a command does becomes durable together: nothing is flushed between its steps.
        async with self._flusher.hold():
            steps = run_command(self._archive, command, arguments)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    result: dict[str, Any] = end.value
                    break
                await trio.lowlevel.checkpoint()
        names, nodes = self._fs.changed_by_command(before)
        if names or nodes:
            await self._session.forget(names, nodes)
        self._flusher.hurry()
        await self._flusher.flush()
        return result


def notify(message: str) -> None:
    """One datagram to systemd, if it started us and waits for one (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(message.encode(), address)


def _bind(root: str) -> trio.socket.SocketType:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(root, SOCKET))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(root) as path:
        listener.bind(path)
    os.chmod(os.path.join(root, SOCKET), 0o600)
    listener.listen(16)
    return trio.socket.from_stdlib_socket(listener)


async def _read_line(stream: trio.SocketStream) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < LINE_MAX:
        part = await stream.receive_some()
        if not part:
            break
        data += part
    return data
