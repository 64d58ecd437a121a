"""Copying tools keep holes, links, attributes and times, whichever way they go about it."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop]

MIB = 1 << 20


@pytest.fixture
def sparse(work: Path) -> Path:
    """Data, a large hole, data, a small hole, data, and a hole at the end."""
    path = work / "sparse"
    with open(path, "wb") as file:
        for at, length in ((0, 70_000), (20 * MIB, MIB), (21 * MIB + 8192, 5000)):
            file.seek(at)
            file.write(os.urandom(length))
        file.truncate(40 * MIB)
    return path


@pytest.mark.parametrize("how", ["--sparse=auto", "--sparse=always", "--reflink=auto", "--reflink=never", "-a"])
def test_cp_copies_a_sparse_file_within_the_mount(sparse: Path, how: str) -> None:
    copy = sparse.with_name("copy")
    run("cp", how, sparse, copy)
    run("cmp", sparse, copy)
    assert copy.stat().st_blocks * 512 < 4 * MIB


@pytest.mark.parametrize("how", ["--sparse=always", "--sparse=auto"])
def test_cp_takes_a_sparse_file_out_and_in_again(sparse: Path, tmp_path: Path, how: str) -> None:
    run("cp", how, sparse, tmp_path / "out")
    run("cp", how, tmp_path / "out", sparse.with_name("in"))
    run("cmp", sparse, sparse.with_name("in"))
    assert sparse.with_name("in").stat().st_blocks * 512 < 4 * MIB


@pytest.mark.needs("tar")
def test_tar_keeps_holes_and_attributes_on_both_ways(sparse: Path, work: Path, tmp_path: Path) -> None:
    os.setxattr(sparse, "user.note", b"x" * 3000)
    os.link(sparse, work / "second")
    archive = tmp_path / "all.tar"
    run("tar", "--sparse", "--xattrs", "--acls", "-cf", archive, "-C", work, "sparse", "second")
    assert archive.stat().st_size < 4 * MIB
    (work / "back").mkdir()
    run("tar", "--sparse", "--xattrs", "--acls", "-xpf", archive, "-C", work / "back")
    run("cmp", sparse, work / "back" / "sparse")
    assert os.getxattr(work / "back" / "sparse", "user.note") == b"x" * 3000
    assert (work / "back" / "second").stat().st_ino == (work / "back" / "sparse").stat().st_ino
    assert (work / "back" / "sparse").stat().st_blocks * 512 < 4 * MIB


@pytest.mark.needs("rsync")
@pytest.mark.parametrize("how", ["--sparse", "--inplace", "--partial-dir=.parts --fuzzy"])
def test_rsync_brings_a_tree_to_another_branch_and_then_its_changes(
    drive: Drive, sparse: Path, work: Path, how: str
) -> None:
    (work / "reel").mkdir()
    for number in range(30):
        (work / "reel" / f"{number:04}.dpx").write_bytes(os.urandom(9000))
    os.setxattr(work / "reel" / "0001.dpx", "user.note", b"kept")
    os.link(sparse, work / "reel" / "linked")
    there = drive.branch(f"to-{work.name[-40:]}") / "copy"
    rsync = ("rsync", "-aHAX", *how.split())
    run(*rsync, f"{work}/", f"{there}/")
    with open(sparse, "r+b") as file:
        file.seek(20 * MIB + 5)
        file.write(b"changed")
    (work / "reel" / "0007.dpx").unlink()
    os.utime(work / "reel", ns=(1, 1))  # rsync takes times within one second for the same
    run(*rsync, "--ignore-times", "--no-whole-file", "--delete", f"{work}/", f"{there}/")
    run("diff", "-r", work, there)
    assert os.getxattr(there / "reel" / "0001.dpx", "user.note") == b"kept"
    assert (there / "sparse").stat().st_ino == (there / "reel" / "linked").stat().st_ino
    left = subprocess.run(["rsync", "-aHAXni", "--checksum", f"{work}/", f"{there}/"], capture_output=True, check=True)
    assert left.stdout == b""
