"""fio writes at random through several engines and finds every block as it wrote it."""

import json
import os
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop, pytest.mark.needs("fio")]

SCALE = int(os.environ.get("FILMFS_INTEROP_SCALE", "1"))
PATIENCE_S = 120.0 * SCALE


def fio(directory: Path, *options: str) -> None:
    """One job; it fails when a block does not verify."""
    common = ["--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--randrepeat=0", "--fallocate=none"]
    words = [f"--directory={directory}", "--name=job", f"--size={8 * SCALE}m", *common, *options]
    facts = json.loads(run("fio", "--output-format=json", *words, timeout=PATIENCE_S))
    assert [job["error"] for job in facts["jobs"]] == [0] * len(facts["jobs"])


@pytest.mark.parametrize("engine", ["psync", "mmap", "libaio", "psync --direct=1 --bs=4k"])
def test_blocks_written_at_random_read_back(work: Path, engine: str) -> None:
    fio(work, "--rw=randwrite", "--bs=1k-64k", "--bs_unaligned=0", *f"--ioengine={engine}".split())


@pytest.mark.parametrize("engine", ["psync", "mmap"])
def test_two_jobs_write_and_read_each_its_own_file(work: Path, engine: str) -> None:
    fio(work, "--rw=randrw", "--bs=4k", "--numjobs=2", "--fsync=200", f"--ioengine={engine}")


def test_a_committed_file_is_written_over_at_random_in_a_branch(drive: Drive, work: Path) -> None:
    fio(work, "--rw=write", "--bs=64k", "--verify=crc32c", "--do_verify=0")
    before = (work / "job.0.0").read_bytes()
    drive.commit()
    child = drive.branch("over-again") / work.name
    fio(child, "--rw=randwrite", "--bs=4k", "--norandommap=0", "--overwrite=1", "--end_fsync=1")
    assert (work / "job.0.0").read_bytes() == before
