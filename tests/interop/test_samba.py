"""A real smbd serves a real mount to smbclient. FILMFS_INTEROP_SCALE=20 copies a gigabyte in and out."""

import fcntl
import hashlib
import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.drive import Drive, wait_until
from tests.interop.samba import USER, Smbd, settings_said_wrong, smbd_can_serve

pytestmark = [
    pytest.mark.mount,
    pytest.mark.interop,
    pytest.mark.needs("smbd", "smbclient", "pdbedit"),
    pytest.mark.skipif(not smbd_can_serve(), reason="smbd becomes another user, which takes root"),
]

MIB = 1 << 20
LARGE = 50 * MIB * int(os.environ.get("FILMFS_INTEROP_SCALE", "1")) + 12345


@pytest.fixture(scope="module")
def drive() -> Iterator[Drive]:
    """A mount that other users may enter (pytest's directories are its own), with a branch of the one who logs in."""
    with TemporaryDirectory(prefix="filmfs-samba-") as top:
        os.chmod(top, 0o755)
        with Drive(Path(top)).soundly("-o", "allow_other") as drive:
            os.chown(drive.branch(USER), pwd.getpwnam(USER).pw_uid, -1)
            yield drive


@pytest.fixture(scope="module")
def smbd(drive: Drive) -> Iterator[Smbd]:
    smbd = Smbd(drive.mountpoint.parent / "samba", drive.mountpoint, extra="strict locking = yes").start()
    try:
        yield smbd
    finally:
        smbd.stop()
    assert "PANIC" not in smbd.words()


@pytest.fixture
def own(drive: Drive) -> Path:
    """The user's branch as the machine itself sees it."""
    return drive.mountpoint / USER


def digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def test_the_documented_settings_are_ones_that_samba_knows(smbd: Smbd) -> None:
    assert settings_said_wrong(smbd.config) == ""


def test_branches_are_browsed_as_folders(smbd: Smbd, drive: Drive) -> None:
    (drive.main / "A001").mkdir(exist_ok=True)
    (drive.main / "A001" / "clip.mov").write_bytes(b"frames")
    os.chmod(drive.main / "A001" / "clip.mov", 0o644)
    listing = smbd.ask("archive", "ls", "cd main", "ls", "cd A001", "ls", "get clip.mov here")
    assert "main " in listing
    assert f"{USER} " in listing
    assert ".snapshots" not in listing
    assert (smbd.top / "here").read_bytes() == b"frames"


def test_a_large_file_comes_in_and_out_as_it_was(smbd: Smbd, own: Path, tmp_path: Path) -> None:
    with open(tmp_path / "source", "wb") as source:
        for _ in range(0, LARGE, MIB):
            source.write(os.urandom(MIB))
    smbd.ask("work", "put source large.mov", cwd=tmp_path)
    assert digest(own / "large.mov") == digest(tmp_path / "source")
    assert (own / "large.mov").stat().st_uid == pwd.getpwnam(USER).pw_uid
    smbd.ask("work", "get large.mov back", cwd=tmp_path)
    assert digest(tmp_path / "back") == digest(tmp_path / "source")


def test_files_and_folders_are_renamed_and_deleted(smbd: Smbd, own: Path) -> None:
    smbd.ask("work", "mkdir reel", "cd reel", "put smb.conf a", "put smb.conf b")
    inode = (own / "reel" / "a").stat().st_ino
    smbd.ask("work", "rename reel/a reel/c", "del reel/b", "rename reel shots")
    assert os.listdir(own / "shots") == ["c"]
    assert (own / "shots" / "c").stat().st_ino == inode
    assert smbd.try_to("work", "rmdir shots").stdout.count("NT_STATUS_DIRECTORY_NOT_EMPTY") == 1
    smbd.ask("work", "del shots/c", "rmdir shots")
    assert not (own / "shots").exists()


def test_what_the_machine_itself_changes_shows_at_once(smbd: Smbd, own: Path) -> None:
    (own / "from here").write_bytes(b"one")
    assert "from here" in smbd.ask("work", "ls")
    (own / "from here").rename(own / "and moved")
    assert "from here" not in smbd.ask("work", "ls")
    smbd.ask("work", 'get "and moved" there')
    assert (smbd.top / "there").read_bytes() == b"one"


def test_a_file_is_written_over_while_a_program_of_the_machine_reads_it(
    smbd: Smbd, own: Path, drive: Drive, tmp_path: Path
) -> None:
    (tmp_path / "clip.mov").write_bytes(b"old" * MIB)
    smbd.ask("work", "put clip.mov", cwd=tmp_path)
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "it is hashed")
    (tmp_path / "clip.mov").write_bytes(b"new" * MIB)
    with open(own / "clip.mov", "rb") as reader:
        assert reader.read(3) == b"old"
        smbd.ask("work", "put clip.mov", cwd=tmp_path)
    assert (own / "clip.mov").read_bytes() == b"new" * MIB


def test_attributes_and_streams_are_xattrs_of_the_file(smbd: Smbd, own: Path, drive: Drive) -> None:
    smbd.ask("work", "put smb.conf noted", "setea noted SCENE 12A", "put smb.conf noted:AFP_Resource")
    assert os.getxattr(own / "noted", "user.SCENE") == b"12A"
    assert "31 32 41" in smbd.ask("work", "geteas noted")
    assert "AFP_Resource" in smbd.ask("work", "allinfo noted")
    os.setxattr(own / "noted", "user.TAKE", b"3")
    assert "TAKE" in smbd.ask("work", "geteas noted")
    smbd.ask("work", "rename noted still", "get still:AFP_Resource fork")
    assert (smbd.top / "fork").read_bytes() == smbd.config.read_bytes()
    number = drive.commit(USER)["commit"].rpartition("@")[2]
    frozen = drive.mountpoint / ".filmfs" / "history" / USER / number
    assert os.getxattr(frozen / "still", "user.SCENE") == b"12A"


def test_a_local_lock_holds_smb_clients_off(smbd: Smbd, own: Path) -> None:
    (own / "locked").write_bytes(b"frames")
    with open(own / "locked", "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        refused = smbd.try_to("work", "get locked out")
        assert "NT_STATUS_FILE_LOCK_CONFLICT" in refused.stdout + refused.stderr
        fcntl.lockf(file, fcntl.LOCK_UN)
        smbd.ask("work", "get locked out")
        fcntl.flock(file, fcntl.LOCK_EX)
    assert (smbd.top / "out").read_bytes() == b"frames"


def test_commits_are_previous_versions_and_not_listed(smbd: Smbd, own: Path, drive: Drive) -> None:
    (own / "cut.edl").write_bytes(b"first")
    drive.commit(USER)
    time.sleep(1.1)  # previous versions are named by the second
    (own / "cut.edl").write_bytes(b"second, and longer")
    drive.commit(USER)
    versions = [line for line in smbd.ask("work", "allinfo cut.edl").splitlines() if line.startswith("@GMT-")]
    assert versions == sorted(versions, reverse=True)
    snapshots = own / ".snapshots"
    first = next(name for name in sorted(os.listdir(snapshots)) if (snapshots / name / "cut.edl").exists())
    assert first in versions
    smbd.ask("work", f"get {first}/cut.edl before", "get cut.edl now")
    assert (smbd.top / "before").read_bytes() == b"first"
    assert (smbd.top / "now").read_bytes() == b"second, and longer"
    assert ".snapshots" not in smbd.ask("work", "ls")
    refused = smbd.try_to("work", f"put smb.conf {first}/cut.edl")
    assert "NT_STATUS" in refused.stdout + refused.stderr
