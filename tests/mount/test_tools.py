"""The tools that people use on drives work on the mount."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drive import Drive, run
from tests.mount.syscalls import fails

pytestmark = pytest.mark.mount

MIB = 1 << 20
# -A needs xattrs on the source's file system; -X keeps user.* only where root keeps trusted.* as well
RSYNC = ("rsync", "-aHAX", "--itemize-changes")


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card as a person has one: folders, a large file, links, an attribute, old times, odd names."""
    top = tmp_path_factory.mktemp("source") / "card"
    (top / "A001" / "clips").mkdir(parents=True)
    (top / "A001" / "clips" / "A001C001.mov").write_bytes(os.urandom(2 * MIB + 333))
    (top / "A001" / "été – 1.txt").write_text("a name with accents")
    (top / "empty").mkdir()
    (top / "none").touch()
    os.link(top / "A001" / "clips" / "A001C001.mov", top / "A001" / "hard.mov")
    os.symlink("A001/hard.mov", top / "soft.mov")
    os.symlink("nowhere", top / "dangling")
    os.mkfifo(top / "fifo")
    with open(top / "sparse", "wb") as sparse:
        sparse.write(b"head")
        sparse.seek(3 * MIB)
        sparse.write(b"tail")
    for number in range(60):
        (top / "empty" / f"{number:03}.exr").write_bytes(os.urandom(number * 97))
    os.chmod(top / "none", 0o640)
    try:
        os.setxattr(top / "none", "user.note", b"kept")
    except OSError:
        pass
    for directory, _, names in os.walk(top, topdown=False):
        for name in names:
            path = os.path.join(directory, name)
            os.utime(path, ns=(10**18 + 1, 10**18 + 123_456_789), follow_symlinks=False)
        os.utime(directory, ns=(10**18 + 1, 10**18 + 5))
    return top


def described(top: Path) -> dict[str, object]:
    """All that a copy must keep."""
    facts: dict[str, object] = {}
    for directory, directories, names in os.walk(top):
        for name in [*directories, *names]:
            path = Path(directory, name)
            stat = path.lstat()
            is_file = path.is_file() and not path.is_symlink()
            content = path.read_bytes() if is_file else os.readlink(path) if path.is_symlink() else None
            size = stat.st_size if is_file else 0
            xattrs = {n: os.getxattr(path, n) for n in os.listxattr(path)} if is_file else {}
            facts[str(path.relative_to(top))] = (stat.st_mode, size, stat.st_mtime_ns, stat.st_uid, content, xattrs)
    return facts


def test_cp_a_copies_everything(source: Path, work: Path) -> None:
    run("cp", "-a", source, work)
    assert described(work / "card") == described(source)
    assert (work / "card" / "A001" / "hard.mov").stat().st_nlink == 2


def test_cp_r_copies_and_copies_again_inside_the_mount(source: Path, work: Path) -> None:
    run("cp", "-r", f"{source}/A001", work / "first")
    run("cp", "-r", work / "first", work / "second")
    run("diff", "-r", source / "A001", work / "second")


@needs("rsync")
def test_rsync_copies_everything_and_has_nothing_to_do_the_second_time(source: Path, work: Path) -> None:
    run(*RSYNC, f"{source}/", f"{work}/")
    assert described(work) == described(source)
    assert (work / "A001" / "hard.mov").stat().st_ino == (work / "A001" / "clips" / "A001C001.mov").stat().st_ino
    assert run(*RSYNC, "--checksum", f"{source}/", f"{work}/") == ""


@needs("rsync")
def test_rsync_brings_changes_and_deletes_what_is_gone(source: Path, work: Path, tmp_path: Path) -> None:
    run("cp", "-a", f"{source}/.", tmp_path / "src")
    run(*RSYNC, f"{tmp_path}/src/", f"{work}/")
    (tmp_path / "src" / "empty" / "001.exr").unlink()
    (tmp_path / "src" / "none").write_bytes(b"no longer empty")
    with open(tmp_path / "src" / "A001" / "hard.mov", "r+b") as file:
        file.seek(MIB)
        file.write(b"changed")
    os.utime(tmp_path / "src" / "empty", ns=(1, 1))  # rsync takes times within one second for the same
    run(*RSYNC, "--delete", f"{tmp_path}/src/", f"{work}/")
    assert described(work) == described(tmp_path / "src")
    with open(tmp_path / "src" / "A001" / "hard.mov", "r+b") as file:
        file.seek(MIB)
        file.write(b"again!!")
    run(*RSYNC, "--ignore-times", "--inplace", "--no-whole-file", f"{tmp_path}/src/", f"{work}/")
    assert described(work) == described(tmp_path / "src")


@needs("rsync")
def test_rsync_copies_out_of_the_mount(source: Path, work: Path, tmp_path: Path) -> None:
    run("cp", "-a", f"{source}/.", work)
    run(*RSYNC, f"{work}/", f"{tmp_path}/out/")
    assert described(tmp_path / "out") == described(source)


@needs("dd")
def test_dd_writes_in_the_middle_and_past_the_end(work: Path) -> None:
    data = bytearray(os.urandom(2 * MIB))
    (work / "a").write_bytes(data)
    run("dd", "if=/dev/zero", f"of={work}/a", "bs=4096", "seek=100", "count=3", "conv=notrunc,fsync")
    data[100 * 4096 : 103 * 4096] = bytes(3 * 4096)
    assert (work / "a").read_bytes() == data
    run("dd", f"if={work}/a", f"of={work}/b", "bs=1M", "seek=50")
    assert (work / "b").read_bytes() == bytes(50 * MIB) + data
    assert (work / "b").stat().st_blocks * 512 < 3 * MIB


@needs("dd")
def test_dd_with_direct_io_works_or_is_refused(work: Path) -> None:
    done = subprocess.run(
        ["dd", "if=/dev/urandom", f"of={work}/a", "bs=1M", "count=4", "oflag=direct", "iflag=fullblock"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 or b"Invalid argument" in done.stderr
    if done.returncode == 0:
        run("dd", f"if={work}/a", "of=/dev/null", "bs=1M", "iflag=direct")


def test_mv_moves_within_a_branch_and_replaces(work: Path) -> None:
    (work / "dir").mkdir()
    (work / "a").write_text("a")
    (work / "b").write_text("b")
    inode = (work / "a").stat().st_ino
    run("mv", work / "a", work / "dir")
    run("mv", work / "dir" / "a", work / "b")
    assert (work / "b").read_text() == "a"
    assert (work / "b").stat().st_ino == inode
    done = subprocess.run(["mv", work / "dir", work / "dir" / "deeper"], capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    assert (work / "dir").is_dir()


def test_mv_between_branches_copies_no_bytes(drive: Drive, source: Path, work: Path) -> None:
    other = drive.branch("moving")
    run("cp", "-a", f"{source}/empty", f"{source}/sparse", work)
    (work / "big").write_bytes(os.urandom(8 * MIB))
    expected = described(work)
    before = drive.size_on_disk()
    (other / "here").mkdir()
    for name in ("empty", "sparse", "big"):
        os.rename(work / name, other / "here" / name)  # rename(2): never a copy
    assert drive.size_on_disk() - before < MIB
    assert os.listdir(work) == []
    assert described(other / "here") == expected
    run("mv", other / "here", work / "back")
    assert described(work / "back") == expected
    assert not (other / "here").exists()


def test_find_sees_everything_and_no_history(drive: Drive, source: Path, work: Path) -> None:
    run("cp", "-a", source, work)
    drive.commit()
    listed = run("find", work / "card", "-printf", "%P\\n").split("\n")
    expected = run("find", source, "-printf", "%P\\n").split("\n")
    assert sorted(listed) == sorted(expected)
    assert ".filmfs" not in run("find", drive.mountpoint, "-maxdepth", "2")
    assert run("find", work, "-type", "f", "-size", "+1M", "-name", "*.mov", "-links", "2").count("\n") == 2


@needs("tar")
def test_tar_comes_back_as_it_was(source: Path, work: Path, tmp_path: Path) -> None:
    run("tar", "--sparse", "--xattrs", "-cf", tmp_path / "in.tar", "-C", source, ".")
    run("tar", "--xattrs", "-xpf", tmp_path / "in.tar", "-C", work)
    assert described(work) == described(source)
    assert (work / "sparse").stat().st_blocks * 512 < MIB
    (tmp_path / "out").mkdir()
    run("tar", "--sparse", "--xattrs", "-cf", tmp_path / "out.tar", "-C", work, ".")
    run("tar", "--xattrs", "-xpf", tmp_path / "out.tar", "-C", tmp_path / "out")
    assert described(tmp_path / "out") == described(source)
    assert (tmp_path / "out" / "A001" / "hard.mov").stat().st_nlink == 2


@needs("git")
def test_git_works_inside_a_branch(drive: Drive, work: Path) -> None:
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
    repository = work / "repository"
    run(*git, "init", repository)
    for number in range(40):
        (repository / f"file{number}.py").write_text(f"number = {number}\n" * number)
    run(*git, "add", "-A", cwd=repository)
    run(*git, "commit", "-qm", "first", cwd=repository)
    (repository / "file7.py").write_text("changed\n")
    run(*git, "commit", "-qam", "second", cwd=repository)
    run(*git, "gc", "--quiet", cwd=repository)
    run(*git, "fsck", "--strict", cwd=repository)
    assert run(*git, "status", "--porcelain", cwd=repository) == ""
    run(*git, "clone", "-q", repository, work / "clone")
    run(*git, "fsck", "--strict", cwd=work / "clone")
    run(*git, "checkout", "-q", "HEAD~1", cwd=work / "clone")
    assert (work / "clone" / "file7.py").read_text() == "number = 7\n" * 7


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite_works_and_other_processes_agree(work: Path, journal: str) -> None:
    path = work / "db.sqlite"
    with sqlite3.connect(path) as connection:
        assert connection.execute(f"pragma journal_mode={journal}").fetchone() == (journal,)
        connection.execute("create table t (id integer primary key, data blob)")
    for batch in range(5):
        with connection:
            connection.executemany("insert into t (data) values (?)", [(os.urandom(900),) for _ in range(60)])
            if batch:
                connection.execute("delete from t where id % 7 = ?", (batch,))
    connection.execute("update t set data = data || x'00'")
    connection.rollback()
    question = "pragma integrity_check; select count(*), sum(length(data)) from t"
    there = f"import sqlite3\nc = sqlite3.connect({str(path)!r})\n" + "\n".join(
        f"print(c.execute({part!r}).fetchall())" for part in question.split(";")
    )
    facts = run(sys.executable, "-c", there)  # while this process has the database open
    assert facts.startswith("[('ok',)]")
    assert str(connection.execute("select count(*), sum(length(data)) from t").fetchall()) in facts
    connection.close()
    with sqlite3.connect(path) as again:
        assert again.execute("pragma integrity_check").fetchone() == ("ok",)
    again.close()


@needs("sqlite3")
def test_two_sqlite_processes_write_in_turns(work: Path) -> None:
    path = work / "db.sqlite"
    run("sqlite3", path, "pragma journal_mode=wal; create table t (who, n);")
    insert = ".timeout 20000\n" + "".join(f"insert into t values ('%s', {n});\n" for n in range(40))
    writers = [
        subprocess.Popen(["sqlite3", path], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in "ab"
    ]
    for name, writer in zip("ab", writers, strict=True):
        assert writer.stdin is not None
        writer.stdin.write(insert % ((name,) * 40))
        writer.stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert (
        run("sqlite3", path, "select who, count(*) from t group by who; pragma integrity_check") == "a|40\nb|40\nok\n"
    )


def test_a_directory_cannot_be_copied_into_the_root_of_the_mount_as_a_file(drive: Drive) -> None:
    with fails(1, 13):
        (drive.mountpoint / "file").write_text("not a branch")
