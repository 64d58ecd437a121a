"""A real disk that can be made slow: ext4 on a loop device whose reads and writes the kernel holds back (blkio)."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_GROUP = Path("/sys/fs/cgroup/blkio")
_KNOBS = ("blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device")
_SIZE = "4G"

Throttle = Callable[[int], None]
"""Allows so many reads and so many writes a second; 0: as many as there are."""


def can_throttle() -> bool:
    """Whether this machine lets us: root, loop devices, the blkio controller."""
    return os.getuid() == 0 and os.path.exists("/dev/loop-control") and all((_GROUP / knob).exists() for knob in _KNOBS)


@contextmanager
def throttled_disk(directory: Path) -> Iterator[tuple[Path, Throttle]]:
    """A directory on such a disk, which is made in `directory`, and what holds it back."""
    image, mountpoint = directory / "disk.img", directory / "disk"
    mountpoint.mkdir()
    _run("truncate", "-s", _SIZE, image)
    _run("mkfs.ext4", "-q", "-F", image)
    device = _run("losetup", "--find", "--show", image).strip()
    number = os.stat(device).st_rdev

    def throttle(operations: int) -> None:
        for knob in _KNOBS:
            (_GROUP / knob).write_text(f"{os.major(number)}:{os.minor(number)} {operations}\n")

    try:
        _run("mount", device, mountpoint)
        try:
            yield mountpoint, throttle
        finally:
            throttle(0)
            _run("umount", "-l", mountpoint)
    finally:
        _run("losetup", "-d", device)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
