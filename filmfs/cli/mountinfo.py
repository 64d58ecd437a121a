"""Finding filmfs's mounts in the kernel's table, and the archive behind a path inside one."""

import contextlib
import json
import os
import subprocess
from typing import Any

from filmfs.core.errors import NotFound, Usage
from filmfs.mount.table import filmfs_mounts

_PATIENCE_S = 5.0


def readonly_mounts(root: str) -> list[dict[str, Any]]:
    """What the read-only mounts of the archive at `root` say of themselves."""
    found = []
    for mountpoint, _ in filmfs_mounts():
        with contextlib.suppress(OSError, ValueError):
            facts = status_at(mountpoint)
            if facts.get("readonly") and facts.get("archive") == root:
                found.append(facts)
    return found


def is_in_mount(path: str) -> bool:
    """Whether `path` is a file or directory inside a filmfs mount, which no BRANCH:PATH is."""
    return os.path.lexists(path) and any(_lies_in(_absolute(path), mountpoint) for mountpoint, _ in filmfs_mounts())


def place_in_mount(path: str) -> tuple[str, str]:
    """The archive and BRANCH:PATH of a path inside a mount. Raises NotFound or Usage."""
    absolute = _absolute(path)
    for mountpoint, _ in filmfs_mounts():
        if _lies_in(absolute, mountpoint):
            parts = [part for part in absolute[len(mountpoint) :].split("/") if part]
            return _archive_at(mountpoint), _place(parts, path)
    raise NotFound(f"{path} is not inside a mounted archive; write: filmfs info ARCHIVE BRANCH:PATH")


def _absolute(path: str) -> str:
    """The path with its directory resolved: a symlink at its end is what is asked about."""
    return os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path))


def _lies_in(absolute: str, mountpoint: str) -> bool:
    return absolute == mountpoint or absolute.startswith(mountpoint.rstrip("/") + "/")


def _archive_at(mountpoint: str) -> str:
    try:
        return str(status_at(mountpoint)["archive"])
    except (OSError, ValueError, KeyError) as error:
        raise NotFound(f"the mount at {mountpoint} does not answer ({error})") from error


def status_at(mountpoint: str) -> dict[str, Any]:
    """What a mount says of itself. Raises OSError or ValueError when it does not, TimeoutError when it hangs.

    Another process looks: whoever looks into a mount that hangs, hangs with it, and cannot even be killed.
    """
    command = ["cat", "--", os.path.join(mountpoint, ".filmfs", "status.json")]
    looking = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        answer = looking.communicate(timeout=_PATIENCE_S)[0]
    except subprocess.TimeoutExpired:
        looking.kill()
        raise TimeoutError(f"it did not say anything for {_PATIENCE_S:.0f} s") from None
    facts: dict[str, Any] = json.loads(answer)
    return facts


def _place(parts: list[str], path: str) -> str:
    if parts[:2] == [".filmfs", "history"] and len(parts) >= 4:
        number = parts[3].partition("_")[0]
        return f"{parts[2]}@{number}:{'/'.join(parts[4:])}"
    if parts[:2] == [".filmfs", "plain"] and len(parts) >= 3:
        return f"{parts[2]}:{'/'.join(parts[3:])}"
    if not parts or parts[0].startswith("."):
        raise Usage(f"{path} is not a file of a branch")
    return f"{parts[0]}:{'/'.join(parts[1:])}"
