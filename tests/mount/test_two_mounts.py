"""Two mounts of one archive: one writes, others look on."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.errors import Stale
from filmfs.vfs.filesystem import FileSystem
from filmfs.vfs.nodes import ROOT
from tests.drive import Drive, answer, wait_until
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

SOON_S = 10.0  # two seconds on a machine that has nothing else to do


class Onlooker(Drive):
    """A read-only mount of an archive that another drive writes."""

    def __init__(self, directory: Path, writer: Drive) -> None:
        super().__init__(directory, create=False)
        self.root = writer.root


@pytest.fixture
def onlooker(mounted: Drive, tmp_path: Path) -> Iterator[Onlooker]:
    onlooker = Onlooker(tmp_path / "onlooker", mounted)
    onlooker.start("-o", "ro")
    try:
        yield onlooker
    finally:
        onlooker.stop()
    onlooker.assert_calm()


def _soon(condition: Callable[[], bool], what: str) -> None:
    def holds() -> bool:
        try:
            return condition()
        except FileNotFoundError:
            return False

    wait_until(holds, what, SOON_S)


def test_a_second_mount_is_refused_with_the_way_out(mounted: Drive, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    done = answer("mount", mounted.root, tmp_path / "other")
    assert done.returncode == 8
    assert str(mounted.mountpoint) in done.stderr
    assert "-o ro" in done.stderr


def test_an_onlooker_shows_what_the_writer_made_durable(mounted: Drive, onlooker: Onlooker) -> None:
    assert not (onlooker.main / "d").exists()
    (mounted.main / "d").mkdir()
    (mounted.main / "d" / "small").write_bytes(b"1")
    (mounted.main / "d" / "large").write_bytes(b"1" * 700_000)
    _soon(lambda: sorted(os.listdir(onlooker.main / "d")) == ["large", "small"], "new names")
    _soon(lambda: (onlooker.main / "d" / "large").read_bytes() == b"1" * 700_000, "new bytes")
    (mounted.main / "d" / "small").write_bytes(b"22")
    with open(mounted.main / "d" / "large", "r+b") as file:
        file.seek(100)
        file.write(b"edited")
    _soon(lambda: (onlooker.main / "d" / "small").read_bytes() == b"22", "a small edit")
    _soon(lambda: (onlooker.main / "d" / "large").read_bytes()[100:106] == b"edited", "an edit of a large file")
    os.rename(mounted.main / "d" / "small", mounted.main / "moved")
    _soon(lambda: (onlooker.main / "moved").read_bytes() == b"22", "a rename")
    assert os.listdir(onlooker.main / "d") == ["large"]
    (mounted.main / "d" / "large").unlink()
    (mounted.main / "d").rmdir()
    _soon(lambda: os.listdir(onlooker.main) == ["moved"], "what was removed")


def test_what_an_onlooker_has_open_grows_as_it_is_written(mounted: Drive, onlooker: Onlooker) -> None:
    with open(mounted.main / "log", "ab", buffering=0) as log:
        log.write(b"one\n" * 50_000)
        os.fsync(log.fileno())
        _soon(lambda: (onlooker.main / "log").stat().st_size == 200_000, "the file")
        with open(onlooker.main / "log", "rb", buffering=0) as reading:
            assert reading.read(300_000) == b"one\n" * 50_000
            log.write(b"two\n" * 50_000)
            got = bytearray()
            _soon(lambda: bool(got.extend(reading.read(1 << 20) or b"")) or len(got) >= 200_000, "what was appended")
            assert bytes(got) == b"two\n" * 50_000


def test_who_has_a_file_open_does_not_keep_others_from_its_new_bytes(mounted: Drive, onlooker: Onlooker) -> None:
    (mounted.main / "a").write_bytes(b"1" * (4 << 20))
    _soon(lambda: (onlooker.main / "a").stat().st_size == 4 << 20, "the file")
    wait_until(lambda: mounted.command("status")["unsealed_files"] == 0, "the file is hashed")
    with open(onlooker.main / "a", "rb") as old:
        assert old.read(10) == b"1" * 10
        with open(mounted.main / "a", "r+b") as file:
            file.write(b"2" * 100_000)
        _soon(lambda: (onlooker.main / "a").read_bytes()[:100_001] == b"2" * 100_000 + b"1", "an edit")
        (mounted.main / "new").write_bytes(b"3" * (4 << 20))
        os.rename(mounted.main / "new", mounted.main / "a")
        _soon(lambda: (onlooker.main / "a").read_bytes() == b"3" * (4 << 20), "a new file")
        old.seek(3 << 20)
        assert old.read(10) == b"1" * 10


def test_branches_and_commits_come_and_go(mounted: Drive, onlooker: Onlooker) -> None:
    (mounted.main / "a").write_text("x")
    _soon(lambda: (onlooker.main / "a").exists(), "a file")
    mounted.commit(message="one")
    (mounted.branch("grade") / "b").write_text("y")
    _soon(lambda: (onlooker.mountpoint / "grade" / "b").read_text() == "y", "a branch")
    assert sorted(os.listdir(onlooker.mountpoint)) == ["grade", "main"]
    _soon(lambda: len(os.listdir(onlooker.mountpoint / ".filmfs" / "history" / "main")) == 2, "commits")
    (mounted.main / "a").write_text("new")
    _soon(lambda: (onlooker.main / "a").read_text() == "new", "what follows a commit")
    os.rename(mounted.mountpoint / "grade", mounted.mountpoint / "colour")
    _soon(lambda: sorted(os.listdir(onlooker.mountpoint)) == ["colour", "main"], "a branch's new name")
    mounted.command("branch-delete", name="colour", force=True)
    _soon(lambda: os.listdir(onlooker.mountpoint) == ["main"], "a branch that went")


def test_an_onlooker_changes_nothing(mounted: Drive, onlooker: Onlooker) -> None:
    (mounted.main / "a").write_text("x")
    _soon(lambda: (onlooker.main / "a").exists(), "a file")
    for change in (
        lambda: (onlooker.main / "b").touch(),
        lambda: os.chmod(onlooker.main / "a", 0o600),
        lambda: os.utime(onlooker.main / "a"),
        lambda: (onlooker.mountpoint / "branch").mkdir(),
    ):
        with fails(errno.EROFS):
            change()
    with open(onlooker.main / "a", "rb") as file:
        os.fsync(file.fileno())
    assert os.statvfs(onlooker.main).f_flag & os.ST_RDONLY


def test_each_command_finds_its_daemon(mounted: Drive, onlooker: Onlooker, tmp_path: Path) -> None:
    assert mounted.process is not None
    assert onlooker.process is not None
    facts = mounted.facts("status")
    assert (facts["pid"], facts["mountpoint"]) == (mounted.process.pid, str(mounted.mountpoint))
    assert facts["readonly_mounts"] == [str(onlooker.mountpoint)]
    (tmp_path / "added").write_text("x")
    mounted.filmfs("add", tmp_path / "added")
    assert (mounted.main / "added").read_text() == "x"
    _soon(lambda: (onlooker.main / "added").read_text() == "x", "what was added")
    assert answer("info", onlooker.main / "added").returncode == 0
    assert answer("umount", "--wait", onlooker.mountpoint).returncode == 0
    assert onlooker.process.wait(10) == 0
    assert mounted.facts("status")["readonly_mounts"] == []
    (mounted.main / "still").write_text("here")
    assert mounted.commit(message="still")["message"] == "still"


def test_an_onlooker_outlives_the_writer_and_follows_the_next(mounted: Drive, onlooker: Onlooker) -> None:
    (mounted.main / "a").write_bytes(b"x" * 700_000)
    assert answer("umount", "--wait", mounted.mountpoint).returncode == 0
    mounted.stop()
    _soon(lambda: (onlooker.main / "a").read_bytes() == b"x" * 700_000, "what was flushed at the end")
    facts = mounted.facts("status")
    assert (facts["mountpoint"], facts["readonly"]) == (str(onlooker.mountpoint), True)
    mounted.commit(message="by a command, without a writer")
    mounted.start()
    (mounted.main / "b").write_text("y")
    _soon(lambda: (onlooker.main / "b").read_text() == "y", "the next writer's file")


def test_what_was_replaced_before_an_onlooker_knew_of_it_is_looked_up_again(mounted: Drive) -> None:
    directory = os.open(mounted.main, os.O_RDONLY)
    (mounted.main / "file").write_bytes(b"1" * 400_000)
    os.fsync(directory)
    staged = set(os.listdir(Path(mounted.root, "staging")))
    with Archive(mounted.root, Mode.READ) as archive:
        onlooker = FileSystem(archive, readonly=True, status=dict)
        main = onlooker.lookup(ROOT, b"main")[0].node
        node = onlooker.lookup(main, b"file")[0].node
        (mounted.main / "new").write_bytes(b"2" * 400_000)
        os.rename(mounted.main / "new", mounted.main / "file")
        os.fsync(directory)
        os.close(directory)
        wait_until(lambda: not staged & set(os.listdir(Path(mounted.root, "staging"))), "what it was is gone")
        with pytest.raises(Stale):
            onlooker.open(node, writing=False)
        handle = onlooker.open(onlooker.lookup(main, b"file")[0].node, writing=False)
        file = onlooker.reading(handle).file
        assert file is not None
        assert archive.contents.read(file.map, 0, 9) == b"2" * 9
        onlooker.close(handle)


def test_an_onlooker_reads_on_while_much_is_written(mounted: Drive, onlooker: Onlooker) -> None:
    """Files are replaced, sealed and committed under a reader: it sees whole files, each as it once was."""
    seen, end = set(), time.monotonic() + 6
    number = 0
    while time.monotonic() < end:
        number += 1
        for size in (100, 400_000):
            (mounted.main / f"new{size}").write_bytes(b"%09d" % number * (size // 9))
            os.rename(mounted.main / f"new{size}", mounted.main / f"file{size}")
        if number % 5 == 0:
            mounted.commit(message=f"{number}")
        for path in onlooker.main.glob("file*"):
            try:
                data = _read_by_name(path)
            except FileNotFoundError:
                continue
            assert data == data[:9] * (len(data) // 9)
            seen.add(data[:9])
    assert len(seen) > 2
    _soon(lambda: (onlooker.main / "file400000").read_bytes()[:9] == b"%09d" % number, "the last one")


def _read_by_name(path: Path) -> bytes:
    """A file's bytes. What was replaced twice between its name and its bytes is asked for by name once more."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
    return path.read_bytes()
