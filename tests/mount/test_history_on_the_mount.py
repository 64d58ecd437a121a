"""History shows on the mount: hidden from listings, found by name, read-only and as it was."""

import errno
import itertools
import json
import os
import re
import threading
import time
from pathlib import Path

import pytest

from tests.drive import Drive
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount


def history(drive: Drive, branch: str = "main") -> Path:
    return drive.mountpoint / ".filmfs" / "history" / branch


@pytest.fixture
def with_commits(mounted: Drive) -> Drive:
    (mounted.main / "A001").mkdir()
    (mounted.main / "A001" / "a").write_bytes(b"first" * 30_000)
    os.symlink("A001/a", mounted.main / "soft")
    mounted.commit(message="first")
    (mounted.main / "A001" / "a").write_bytes(b"second")
    os.rename(mounted.main / "A001", mounted.main / "A002")
    mounted.commit(message="second")
    return mounted


def test_filmfs_and_snapshots_are_found_but_not_listed(with_commits: Drive) -> None:
    assert os.listdir(with_commits.mountpoint) == ["main"]
    assert sorted(os.listdir(with_commits.main)) == ["A002", "soft"]
    for hidden in (".filmfs", ".snapshots", "main/.snapshots"):
        assert (with_commits.mountpoint / hidden).is_dir()
    assert sorted(os.listdir(with_commits.mountpoint / ".filmfs")) == ["history", "metrics", "plain", "status.json"]


def test_every_commit_shows_as_it_was(with_commits: Drive) -> None:
    names = sorted(os.listdir(history(with_commits)))
    assert [name.split("_")[0] for name in names] == ["1", "2", "3"]
    assert all(re.fullmatch(r"\d+_\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d(_[0-9a-f]{4})?", name) for name in names)
    assert os.listdir(history(with_commits) / names[0]) == []
    second, third = history(with_commits) / names[1], history(with_commits) / names[2]
    assert (second / "soft").read_bytes() == b"first" * 30_000
    assert (third / "A002" / "a").read_bytes() == b"second"
    (with_commits.main / "A002" / "a").write_bytes(b"and on it goes")
    with_commits.restart()
    assert (second / "A001" / "a").read_bytes() == b"first" * 30_000
    assert (third / "A002" / "a").read_bytes() == b"second"


def test_history_is_read_only(with_commits: Drive) -> None:
    commit = history(with_commits) / "2"
    for change in (
        lambda: (commit / "new").touch(),
        lambda: (commit / "new").mkdir(),
        lambda: (commit / "A001" / "a").unlink(),
        lambda: (commit / "A001" / "a").open("r+b"),
        lambda: os.truncate(commit / "A001" / "a", 0),
        lambda: os.chmod(commit / "A001" / "a", 0o600),
        lambda: os.utime(commit / "A001" / "a"),
        lambda: os.setxattr(commit / "A001" / "a", "user.note", b""),
        lambda: os.rename(commit / "A001", commit / "A009"),
        lambda: os.rename(commit / "A001", with_commits.main / "A009"),
        lambda: os.rename(with_commits.main / "A002", commit / "A009"),
        lambda: (history(with_commits) / "made").mkdir(),
        lambda: (with_commits.mountpoint / ".filmfs" / "made").mkdir(),
        lambda: (with_commits.mountpoint / ".filmfs" / "status.json").write_text(""),
        lambda: (with_commits.mountpoint / ".filmfs" / "plain" / "main" / "new").touch(),
        lambda: (with_commits.main / ".snapshots" / "new").touch(),
    ):
        with fails(errno.EROFS, errno.EXDEV):
            change()


def test_what_is_in_history_can_be_copied_back(with_commits: Drive) -> None:
    old = history(with_commits) / "2" / "A001" / "a"
    (with_commits.main / "back").write_bytes(old.read_bytes())
    assert (with_commits.main / "back").read_bytes() == b"first" * 30_000


def test_snapshots_have_the_names_that_samba_looks_for(with_commits: Drive) -> None:
    names = os.listdir(with_commits.main / ".snapshots")
    assert names
    assert all(re.fullmatch(r"@GMT-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d", name) for name in names)
    newest = max(names)
    assert (with_commits.main / ".snapshots" / newest / "A002" / "a").read_bytes() == b"second"
    assert (with_commits.mountpoint / ".snapshots" / newest / "main" / "A002" / "a").read_bytes() == b"second"
    assert sorted(os.listdir(with_commits.mountpoint / ".snapshots")) == sorted(names)
    for missing in ("@GMT-1999.01.01-00.00.00", "@GMT-nonsense", "plain"):
        assert not (with_commits.main / ".snapshots" / missing).exists()


def test_plain_shows_a_branch_as_it_is_now(with_commits: Drive) -> None:
    plain = with_commits.mountpoint / ".filmfs" / "plain" / "main"
    assert sorted(os.listdir(plain)) == ["A002", "soft"]
    assert (plain / "A002" / "a").read_bytes() == b"second"
    (with_commits.main / "A002" / "a").write_bytes(b"third, and longer")
    assert (plain / "A002" / "a").read_bytes() == b"third, and longer"
    (with_commits.main / "A002" / "a").unlink()
    assert not (plain / "A002" / "a").exists()
    assert ".snapshots" not in os.listdir(plain)


def test_a_reader_of_plain_keeps_what_it_opened(with_commits: Drive) -> None:
    path = with_commits.main / "big"
    path.write_bytes(b"1" * 600_000)
    with open(with_commits.mountpoint / ".filmfs" / "plain" / "main" / "big", "rb", buffering=0) as reading:
        path.write_bytes(b"2" * 600_000)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        assert reading.read(600_000) in (b"1" * 600_000, b"2" * 600_000)


def test_dot_dot_leads_out_of_history(with_commits: Drive) -> None:
    numbers = [
        os.stat(f"{history(with_commits)}/2/..").st_ino == history(with_commits).stat().st_ino,
        os.stat(f"{history(with_commits)}/..").st_ino == history(with_commits).parent.stat().st_ino,
        os.stat(f"{with_commits.mountpoint}/.filmfs/..").st_ino == with_commits.mountpoint.stat().st_ino,
        os.stat(f"{with_commits.main}/.snapshots/..").st_ino == with_commits.main.stat().st_ino,
    ]
    assert numbers == [True] * 4


def test_the_status_tells_of_the_daemon(with_commits: Drive) -> None:
    assert with_commits.process is not None
    with open(with_commits.mountpoint / ".filmfs" / "status.json", encoding="utf-8") as file:
        status = json.load(file)
    assert status["pid"] == with_commits.process.pid
    assert status["mountpoint"] == str(with_commits.mountpoint)
    assert status["archive"] == with_commits.root
    metrics = (with_commits.mountpoint / ".filmfs" / "metrics").read_text()
    assert metrics.endswith("# EOF\n")
    assert "filmfs_uptime_s" in metrics


def test_commits_get_their_id_after_a_while(with_commits: Drive) -> None:
    with_commits.restart()
    facts = with_commits.facts("log")
    assert [len(commit["id"] or "") for commit in facts["commits"]] == [64, 64, 64]
    assert [commit["message"] for commit in facts["commits"]][:2] == ["second", "first"]


def test_a_deleted_branch_is_gone_from_history_views_too(with_commits: Drive) -> None:
    with_commits.branch("grade")
    assert history(with_commits, "grade").is_dir()
    with_commits.command("branch-delete", name="grade", force=False)
    assert not history(with_commits, "grade").exists()


def test_a_commit_right_after_a_close_has_what_was_written(mounted: Drive) -> None:
    # The kernel tells of a close when nobody waits for it any more: with others at work a commit could overtake it.
    done = threading.Event()

    def make_files(directory: Path) -> None:
        directory.mkdir()
        for number in itertools.count():
            if done.is_set():
                return
            (directory / str(number % 50)).write_bytes(bytes(20_000))

    others = [threading.Thread(target=make_files, args=(mounted.main / f"other{number}",)) for number in range(4)]
    for other in others:
        other.start()
    missed = []
    for _ in range(8):
        for name in "abcd":
            (mounted.main / name).write_bytes(bytes(5000))
        missed += [path for path in mounted.commit()["open_for_writing"] if "/" not in path]
    done.set()
    for other in others:
        other.join()
    assert missed == []


def test_a_commit_does_not_wait_long_for_a_duplicate_that_stays_open(mounted: Drive) -> None:
    with open(mounted.main / "open", "wb", buffering=0) as file:
        file.write(b"x" * 9000)
        os.close(os.dup(file.fileno()))
        started = time.monotonic()
        assert mounted.commit()["open_for_writing"] == ["open"]
        assert time.monotonic() - started < 2
