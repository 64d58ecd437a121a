"""stress-ng's file system stressors run against a mount and find what they wrote."""

import os
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop, pytest.mark.needs("stress-ng")]

SECONDS = 8 * int(os.environ.get("FILMFS_INTEROP_SCALE", "1"))
# Those of the class that work in the current directory and say at the end whether they found what they had written.
# Not here: what needs a block device or another file system's ioctls, and what fills the disk or the inode table.
STRESSORS = (
    "access", "acl", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "dirmany", "dup",
    "fallocate", "fcntl", "fiemap", "file-ioctl", "filename", "flock", "fpunch", "fsize", "fstat", "getdent", "hdd",
    "inotify", "io", "iomix", "lease", "link", "locka", "lockf", "lockofd", "metamix", "mknod", "open", "readahead",
    "rename", "rotate", "seek", "sendfile", "symlink", "sync-file", "touch", "unlink", "utime", "verity", "xattr",
)  # fmt: skip


def test_stressors_at_once_find_what_they_wrote(drive: Drive, work: Path) -> None:
    known = run("stress-ng", "--class", "filesystem?").split()
    chosen = [f"--{name}=1" for name in STRESSORS if name in known]
    before = open_files(drive)
    limits = [f"--timeout={SECONDS}s", "--hdd-bytes=8m", "--iomix-bytes=8m", "--fallocate-bytes=16m", "--verify"]
    said = run("stress-ng", *chosen, *limits, "--temp-path", work, "--metrics-brief", timeout=120 + 4 * SECONDS)
    assert len(chosen) > 30, said
    assert os.listdir(work) == []
    assert open_files(drive) <= before + 8


def open_files(drive: Drive) -> int:
    """How many files of archives the daemon has open, but for those of sealed blobs, which it keeps for a while."""
    assert drive.process is not None
    top = f"/proc/{drive.process.pid}/fd"
    targets = [os.readlink(f"{top}/{name}") for name in os.listdir(top) if os.path.lexists(f"{top}/{name}")]
    return sum("/blobs/" not in target for target in targets)
