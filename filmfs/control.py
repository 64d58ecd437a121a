"""How a command reaches the daemon of a mounted archive, and how it runs where there is none.

One line of JSON each way over `ARCHIVE/control.sock`: {"command", "arguments"} and {"result"} or {"error", "message"}.
The error is the name of a class of core.errors, so the exit code is the same with and without a daemon.
"""

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filmfs.archive import Archive, Mode
from filmfs.archive.commands import run_and_flush
from filmfs.archive.opening import find_archive, lock_holder
from filmfs.core import errors
from filmfs.core.errors import Busy, FilmFSError, LostBytes

log = logging.getLogger("filmfs.control")

SOCKET = "control.sock"
LINE_MAX = 1 << 20
_CONNECT_S = 5.0
_STATUS_S = 10.0  # all else may take as long as it takes
_WAIT_FOR_LOCK_S = 10.0


@contextmanager
def short_path(root: str) -> Iterator[str]:
    """A path of the archive's socket that is short enough for any archive: an address ends at 107 bytes."""
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET}"
    finally:
        os.close(directory)


def call(root: str, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Runs a command on the archive at `root`, in its daemon if it is mounted. Raises what the command raises."""
    root = find_archive(root)
    deadline = time.monotonic() + _WAIT_FOR_LOCK_S
    while True:
        answer = _ask_daemon(root, command, arguments)
        if answer is not None:
            return _result(answer)
        try:
            with Archive(root, Mode.WRITE) as archive:
                return run_and_flush(archive, command, arguments)
        except Busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def write_everything(root: str) -> None:
    """Has the daemon, if there is one, make all that it holds durable. Raises what it says."""
    answer = _ask_daemon(find_archive(root), "flush", {})
    if answer is not None:
        _result(answer)


def refresh(root: str) -> None:
    """The same, so that a reader of the archive sees it; of files that the disk lost bytes of, what was durable."""
    try:
        write_everything(root)
    except LostBytes as error:
        log.warning("%s; what is read here is the last that is durable", error)


def ask_status(root: str) -> dict[str, Any] | None:
    """What the daemon says of itself; None when there is none."""
    answer = _ask_daemon(find_archive(root), "status", {})
    return None if answer is None else _result(answer)


def encode(message: dict[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps(message).encode() + b"\n"


def failure(error: FilmFSError) -> dict[str, Any]:
    """The answer that says no."""
    return {"error": type(error).__name__, "message": str(error)}


def _ask_daemon(root: str, command: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    holder = lock_holder(root)
    if holder is None:
        return None
    if command != "status" and holder.mountpoint:
        _await_closes(holder.mountpoint)
    with short_path(root) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect(path)
        except OSError:
            return None
        connection.settimeout(_STATUS_S if command == "status" else None)
        connection.sendall(encode({"command": command, "arguments": arguments}))
        try:
            with connection.makefile("rb") as file:
                line = file.readline()
        except TimeoutError:
            raise Busy(f"process {holder.pid}, which has {root} mounted, does not answer; see its log") from None
    if not line:
        raise Busy(f"the process that has {root} mounted went away before it answered; try again")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _await_closes(mountpoint: str) -> None:
    """What was closed before a command shall be closed for it.

    The kernel tells the daemon of a close when who closed goes on already, but before a question that is asked now, so
    the question's answer comes after. The daemon may not ask: a thread of its own that waits for its answer would
    outlive a kill of it and hold the mount.
    """
    with contextlib.suppress(OSError):
        os.statvfs(mountpoint)


def _result(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        kind = getattr(errors, answer["error"], FilmFSError)
        raise kind(answer["message"])
    result: dict[str, Any] = answer["result"]
    return result
