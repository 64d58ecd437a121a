"""`mount`, `umount`, `status`: the drive."""

import contextlib
import json
import logging
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from filmfs.archive.opening import CLEAN, end_of, find_archive, lock_holder
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose, command
from filmfs.cli.mountinfo import readonly_mounts, status_at
from filmfs.cli.repeats import Repeats
from filmfs.control import ask_status, write_everything
from filmfs.core import errors
from filmfs.core.errors import Busy, DiskFailure, FilmFSError, NotFound, Refused
from filmfs.mount.options import check_mountpoint, check_options
from filmfs.mount.table import filmfs_mounts, real_mountpoint

_LOG_MAX = 16 << 20  # bytes of a daemon's log, at which the next begins another and keeps it as daemon.log.1


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    command(app, "mount")(mount)
    command(app, "umount")(umount)
    command(app, "status")(status)


def mount(
    archive: ArchivePath,
    mountpoint: Annotated[str, typer.Argument(metavar="MOUNTPOINT", help="An empty directory.")],
    foreground: Annotated[bool, typer.Option("--foreground", "-f", help="Stay, and log to stderr.")] = False,
    options: Annotated[
        list[str] | None, typer.Option("-o", metavar="OPT,…", help="Mount options: allow_other, ro, handles=N, …")
    ] = None,
    ready_fd: Annotated[int, typer.Option("--ready-fd", hidden=True)] = -1,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Mount an archive: every branch is a directory. Returns once the mount answers."""
    root = find_archive(archive)
    chosen = sorted(check_options(options or []))
    if foreground:
        _serve(root, mountpoint, chosen, ready_fd, verbose)
        return
    path = check_mountpoint(mountpoint, root)
    holder = lock_holder(root)
    if holder is not None and holder.mountpoint and "ro" not in chosen:
        where = f"{holder.mountpoint} already (process {holder.pid})"
        raise Busy(f"{archive} is mounted at {where}; beside that it can be mounted read-only, with: -o ro")
    pid = _start_daemon(root, path, chosen, verbose)
    facts = {"archive": root, "mountpoint": path, "pid": pid}
    Output(as_json, quiet, verbose).result(facts, lambda: iter([f"{archive} is mounted at {path}"]))


def umount(
    mountpoint: Annotated[str, typer.Argument(metavar="MOUNTPOINT", help="Where the archive is mounted.")],
    wait: Annotated[bool, typer.Option("--wait", help="Return when everything is on disk.")] = False,
    lazy: Annotated[bool, typer.Option("--lazy", "-z", help="Also while it is in use.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Unmount an archive. Refused while something that was written cannot be made durable.

    What is written until the moment of unmounting is on disk soon after; with --wait it is when this returns.
    """
    path = real_mountpoint(mountpoint)
    pid, root = _daemon_of(path)
    if root is not None and not lazy:
        _write_everything(root, path)
    writer = lock_holder(root) if root is not None else None
    flags = "-uz" if lazy else "-u"
    done = subprocess.run(["fusermount3", flags, path], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().removeprefix("fusermount3: ")
        if "busy" in reason.lower():
            raise Busy(f"{mountpoint} is in use; close what is open on it (see: lsof +f -- {path}), or use --lazy")
        raise NotFound(f"{mountpoint} cannot be unmounted: {reason}")
    if wait and pid is not None:
        _await_end(pid)
        if writer is not None and writer.pid == pid and root is not None:
            _refuse_if_lost(pid, root, path)
    facts = {"mountpoint": path, "pid": pid, "waited": wait}
    Output(as_json, quiet, verbose).result(facts, lambda: iter([f"{path} is unmounted"]))


def status(archive: ArchivePath, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Say whether an archive is mounted, and how it is doing."""
    readonly = readonly_mounts(find_archive(archive))
    nothing = {"archive": find_archive(archive), "mountpoint": None}
    facts: dict[str, Any] = ask_status(archive) or next(iter(readonly), nothing)
    facts["readonly_mounts"] = [mount["mountpoint"] for mount in readonly]

    def lines() -> Iterator[str]:
        if facts["mountpoint"] is None:
            yield f"{archive} is not mounted"
            return
        for name, value in facts.items():
            yield f"{name}: {value}"

    Output(as_json, quiet, verbose).result(facts, lines)


def _serve(root: str, mountpoint: str, options: list[str], ready_fd: int, verbose: bool) -> None:
    from filmfs import daemon  # pyfuse3 and trio: half a second that no other command should wait for

    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Repeats())
    logging.getLogger("pyfuse3").setLevel(logging.WARNING)

    def tell(message: dict[str, Any]) -> None:
        if ready_fd >= 0:
            with contextlib.suppress(OSError):
                os.write(ready_fd, json.dumps(message).encode())
                os.close(ready_fd)

    try:
        daemon.run(root, mountpoint, options, lambda: tell({"pid": os.getpid()}))
    except FilmFSError as error:
        tell({"error": type(error).__name__, "message": str(error)})
        raise


def _start_daemon(root: str, mountpoint: str, options: list[str], verbose: bool) -> int:
    """Starts the daemon as a process of its own (LMDB must not see a fork) and waits until its mount answers."""
    reading, writing = os.pipe()
    arguments = [sys.executable, "-m", "filmfs", "mount", "--foreground", f"--ready-fd={writing}"]
    arguments += [f"-o{option}" for option in options] + ["--verbose"] * verbose + ["--", root, mountpoint]
    log_path = os.path.join(root, "daemon.log")
    if "ro" in options and not os.access(root, os.W_OK):
        log_path = os.devnull
    elif "ro" not in options and os.path.exists(log_path) and os.path.getsize(log_path) > _LOG_MAX:
        os.replace(log_path, f"{log_path}.1")
    with open(log_path, "ab") as log_file:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_file,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
        )
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    if not answer:
        process.wait()
        raise Refused(f"the daemon ended before its mount answered; its words are in {log_path}")
    said = json.loads(answer)
    if "error" in said:
        process.wait()
        raise getattr(errors, said["error"], FilmFSError)(said["message"])
    return process.pid


def _daemon_of(mountpoint: str) -> tuple[int | None, str | None]:
    """The process behind a mount, which `fusermount3 -u` does not wait for, and the archive that it writes, if any.

    Raises NotFound when the mount is not ours.
    """
    if mountpoint not in (found for found, _ in filmfs_mounts()):
        raise NotFound(f"nothing of filmfs is mounted at {mountpoint}")
    try:
        facts = status_at(mountpoint)
        return int(facts["pid"]), None if facts["readonly"] else str(facts["archive"])
    except (OSError, ValueError, KeyError):
        return None, None


def _write_everything(root: str, mountpoint: str) -> None:
    """Has the daemon write all that it holds, while there still is a daemon that can keep it. Raises what it says."""
    try:
        write_everything(root)
    except FilmFSError as error:
        way_out = "it stays mounted; mend that and try again, or give up what is not written with --lazy"
        raise type(error)(f"{mountpoint} holds what cannot be written: {error}; {way_out}") from error


def _await_end(pid: int) -> None:
    """Waits until the daemon has ended, having written everything that it could."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    poller.poll()
    os.close(handle)


def _refuse_if_lost(pid: int, root: str, mountpoint: str) -> None:
    """Raises DiskFailure when the daemon could not write everything, or did not come to say so."""
    ended = end_of(root, pid)
    if ended is None and lock_holder(root) is None:
        ended = "the process that had it mounted was killed"
    if ended not in (None, CLEAN):
        raise DiskFailure(f"{mountpoint} is unmounted, but what was written last may be lost: {ended}")
