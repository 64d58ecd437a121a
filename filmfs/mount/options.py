"""What may be asked of a mount: options and mountpoint. No pyfuse3 here: a command can say no at once."""

import errno
import os
from collections.abc import Iterable

from filmfs.core.errors import Busy, NotADirectory, NotEmpty, NotFound, Refused, Usage
from filmfs.vfs.lists import Lists

_PASSED_ON = {"allow_other", "allow_root", "ro", "dev", "suid", "nodev", "nosuid", "exec", "noexec", "noatime", "debug"}
HANDLES = "handles="
LIST = "list="
OWN = (HANDLES, LIST)
"""What options of filmfs's own begin with: the kernel is not told of them."""
_DIGITS_MAX = 6


def check_options(options: Iterable[str]) -> set[str]:
    """Mount options as a set. Raises Usage for one that filmfs does not know."""
    chosen = {option.strip() for group in options for option in group.split(",")} - {"", "rw", "default_permissions"}
    for option in sorted(chosen):
        if option not in _PASSED_ON and not option.startswith(OWN):
            known = ", ".join(sorted((*_PASSED_ON, f"{HANDLES}N", f"{LIST}WHAT")))
            raise Usage(f"unknown mount option {option!r}; known are {known}")
    handles_of(chosen)
    lists_of(chosen)
    return chosen


def lists_of(options: Iterable[str]) -> Lists:
    """What directories list besides their files (`list=none`, `siblings` or `all`). Raises Usage."""
    said = {option.removeprefix(LIST) for option in options if option.startswith(LIST)}
    if not said:
        return Lists.SIBLINGS
    if len(said) > 1 or not said <= set(Lists):
        raise Usage(f"{LIST}WHAT is what directories list besides their files: {', '.join(Lists)}")
    return Lists(said.pop())


def handles_of(options: Iterable[str]) -> int:
    """How many frames are added to both sides of each clip of a cut list (`handles=24`). Raises Usage."""
    said = {option.removeprefix(HANDLES) for option in options if option.startswith(HANDLES)}
    if not said:
        return 0
    text = said.pop()
    if said or not text.isascii() or not text.isdecimal() or len(text) > _DIGITS_MAX:
        raise Usage(f"{HANDLES}N is how many frames clips of a cut list have more on both sides, such as {HANDLES}24")
    return int(text)


def check_mountpoint(mountpoint: str, root: str) -> str:
    """The absolute path of a directory to mount on. Raises NotFound, NotADirectory, NotEmpty, Busy, Refused, Usage."""
    path = os.path.abspath(mountpoint)
    try:
        os.statvfs(path)  # unlike stat never answered from what the kernel remembers of a dead mount
    except FileNotFoundError:
        raise NotFound(f"the mountpoint {mountpoint} does not exist; make it with: mkdir -p {mountpoint}") from None
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.EIO):
            raise Busy(f"{mountpoint} holds a dead mount; clear it with: fusermount3 -uz {mountpoint}") from None
        raise Refused(f"the mountpoint {mountpoint} cannot be used: {error.strerror}") from None
    if not os.path.isdir(path):
        raise NotADirectory(f"the mountpoint {mountpoint} is not a directory")
    if os.path.ismount(path):
        raise Busy(f"something is mounted at {mountpoint} already; unmount it first, or choose another directory")
    real = os.path.realpath(path)
    if real == root or real.startswith(root + os.sep) or root.startswith(real + os.sep):
        raise Usage(f"the mountpoint {mountpoint} and the archive {root} lie in each other; choose another directory")
    _refuse_if_full(path, mountpoint)
    return path


def _refuse_if_full(path: str, mountpoint: str) -> None:
    try:
        full = bool(os.listdir(path))
    except OSError as error:
        raise Refused(f"the mountpoint {mountpoint} cannot be used: {error.strerror}") from None
    if full:
        raise NotEmpty(
            f"the mountpoint {mountpoint} is not empty, and a mount would hide what is in it; choose another"
        )
