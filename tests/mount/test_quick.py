"""Looking up, stat, listing and closing: answered without pyfuse3 where there is the extension, and just the same."""

import os
import stat
from pathlib import Path

import pytest

from filmfs.mount.native import hooks
from tests.drive import Drive, wait_until

pytestmark = pytest.mark.mount

_NOT_THERE = r"No such file|too long"
Told = dict[str, tuple[int, ...]]


def in_memory(drive: Drive) -> None:
    """Returns when nothing has to be waited for."""
    wait_until(lambda: drive.command("status")["database_in_memory"], "the database is in memory")


def told(top: Path) -> Told:
    """What lstat tells of everything below, all but access times, first as it is looked up, then as it is listed."""
    found: Told = {}
    for way in ("looked up", "listed"):
        for directory, _, _ in os.walk(top):
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
            for entry in entries:
                facts = os.lstat(entry.path)
                assert facts.st_ino == entry.inode()
                assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(facts.st_mode)
                whose = (facts.st_mode, facts.st_ino, facts.st_nlink, facts.st_uid, facts.st_gid, facts.st_rdev)
                size = (facts.st_size, facts.st_blocks, facts.st_blksize)
                found[f"{way} {entry.path}"] = (*whose, *size, facts.st_mtime_ns, facts.st_ctime_ns)
    return found


def test_what_is_told_is_the_same_with_and_without_the_extension(mounted: Drive) -> None:
    top = mounted.main / "top"
    (top / "below").mkdir(parents=True, mode=0o2751)
    (top / "file").write_bytes(b"x" * 5000)
    (top / "huge").touch()
    os.truncate(top / "huge", 8 << 40)
    os.link(top / "file", top / "below" / "linked")
    (top / "symbolic").symlink_to("file")
    os.mkfifo(top / "fifo", 0o4640)
    if os.getuid() == 0:
        os.mknod(top / "device", stat.S_IFBLK | 0o600, os.makedev(259, 70000))
        os.chown(top / "file", 4_000_000_000, 4_000_000_001)
    for name, second in {"before": -9_000_000_000, "a moment before": -1, "late": 16_000_000_000}.items():
        (top / name).touch()
        os.utime(top / name, ns=(0, second * 10**9 + 123_456_789))
    for number in range(300):
        (top / "below" / (f"{number:03}" * 85)).touch()
        (top / "below" / f"\N{LATIN SMALL LETTER E WITH ACUTE}{number}").touch()
    mounted.restart()
    in_memory(mounted)
    with_extension = told(top)
    mounted.stop()
    mounted.start(FILMFS_NATIVE="off")
    without = told(top)
    assert len(with_extension) == 2 * (10 + 600 + (os.getuid() == 0)) - 2
    assert with_extension == without


def test_names_that_are_not_there_and_nodes_that_went_are_told(mounted: Drive) -> None:
    for name in ("none", "\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 256):
        with pytest.raises(OSError, match=_NOT_THERE):
            os.stat(mounted.main / name)
        with pytest.raises(OSError, match=_NOT_THERE):
            os.stat(mounted.mountpoint / name)
    (mounted.main / "none").touch()
    assert os.stat(mounted.main / "none").st_size == 0
    descriptor = os.open(mounted.main / "none", os.O_RDONLY)
    (mounted.main / "none").unlink()
    assert os.fstat(descriptor).st_nlink == 0
    os.close(descriptor)
    assert not (mounted.main / "none").exists()


@pytest.mark.skipif(hooks is None, reason="the extension is not built")
def test_looking_listing_and_closing_go_the_short_way(mounted: Drive) -> None:
    here = mounted.main / "here"
    here.mkdir()
    for number in range(100):
        (here / f"{number}").touch()
    mounted.restart()
    in_memory(mounted)
    before = mounted.command("status")["requests"]["without_pyfuse3"]
    for number in range(100):
        os.close(os.open(here / f"{number}", os.O_RDONLY))
    assert mounted.command("status")["requests"]["without_pyfuse3"] >= before + 200
    before = mounted.command("status")["requests"]["without_pyfuse3"]
    assert len(os.listdir(here)) == 100
    assert mounted.command("status")["requests"]["without_pyfuse3"] > before
