"""`filmfs add` as a person uses it."""

import os
import pty
import select
import subprocess
import threading
import time
from pathlib import Path

import pytest

from filmfs.core import errors
from tests.drive import FILMFS, Drive, answer


@pytest.fixture
def card(tmp_path: Path) -> Path:
    card = tmp_path / "card"
    (card / "A001" / "deep").mkdir(parents=True)
    (card / "A001" / "a.mov").write_bytes(os.urandom(2_000_000))
    (card / "A001" / "deep" / "b.txt").write_bytes(b"b")
    (card / "empty").mkdir()
    os.link(card / "A001" / "a.mov", card / "hard.mov")
    os.symlink("hard.mov", card / "soft.mov")
    os.mkfifo(card / "fifo")
    os.utime(card / "A001" / "deep" / "b.txt", ns=(1, 123_456_789_000))
    os.chmod(card / "A001" / "deep" / "b.txt", 0o640)
    return card


def names(drive: Drive, place: str = "main:") -> list[str]:
    return answer("ls", drive.root, place).stdout.split("\n")[:-1]


def test_dir_arrives_as_dir_and_dir_slash_as_its_contents(empty: Drive, card: Path) -> None:
    empty.filmfs("add", card)
    assert names(empty) == ["card/"]
    empty.filmfs("add", f"{card}/", "--to", "shoot/day1")
    assert names(empty, "main:shoot/day1") == ["A001/", "empty/", "fifo", "hard.mov", "soft.mov"]
    empty.filmfs("add", card / "soft.mov", card / "A001" / "deep" / "b.txt")
    assert names(empty) == ["b.txt", "card/", "shoot/", "soft.mov"]
    empty.assert_sound()


def test_everything_about_a_file_is_kept(empty: Drive, card: Path) -> None:
    empty.filmfs("add", card)
    facts = empty.facts("info", "main:card/A001/deep/b.txt")
    assert (facts["mode"], facts["mtime"], facts["size"]) == ("-rw-r-----", 123_456_789_000, 1)
    assert empty.facts("info", "main:card/hard.mov")["links"] == 2
    assert empty.facts("info", "main:card/soft.mov")["target"] == "hard.mov"
    assert empty.facts("info", "main:card/fifo")["kind"] == "fifo"
    there = subprocess.run([*FILMFS, "cat", empty.root, "main:card/hard.mov"], capture_output=True, check=True)
    assert there.stdout == (card / "A001" / "a.mov").read_bytes()


def test_a_second_add_reads_and_changes_nothing(empty: Drive, card: Path) -> None:
    first = empty.facts("add", card)
    assert first["stored_bytes"] > 0
    found = (card / "A001" / "deep" / "b.txt").stat()
    (card / "A001" / "deep" / "b.txt").write_bytes(b"x")  # with its old time and size: who reads it would notice
    os.utime(card / "A001" / "deep" / "b.txt", ns=(found.st_atime_ns, found.st_mtime_ns))
    second = empty.facts("add", card)
    assert (second["stored_bytes"], second["added"], second["replaced"]) == (0, 0, 0)
    assert [commit["message"] for commit in empty.facts("log")["commits"]] == ["add card", "archive made"]


def test_only_what_changed_is_read_again(empty: Drive, card: Path) -> None:
    empty.filmfs("add", card)
    (card / "A001" / "deep" / "b.txt").write_bytes(b"changed")
    facts = empty.facts("add", card)
    assert (facts["added"], facts["replaced"]) == (0, 1)


def test_whole_duplicates_are_stored_once(empty: Drive, card: Path) -> None:
    empty.filmfs("add", card)
    before = empty.size_on_disk()
    (card / "copy.mov").write_bytes((card / "hard.mov").read_bytes())
    facts = empty.facts("add", card)
    assert facts["stored_bytes"] == 0
    assert empty.size_on_disk() == before


def test_the_source_is_left_as_it_was(empty: Drive, card: Path) -> None:
    def seen() -> list[tuple[str, os.stat_result]]:
        return [(str(path), path.lstat()) for path in sorted(card.rglob("*"))]

    before = [(path, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, s in seen()]
    empty.filmfs("add", card)
    assert [(path, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) for path, s in seen()] == before


def test_names_that_are_not_utf_8_are_left_out_or_renamed(empty: Drive, tmp_path: Path) -> None:
    card = os.fsencode(tmp_path / "card")
    os.mkdir(card)
    for name in (b"good", b"bad\xff.mov"):
        with open(os.path.join(card, name), "w") as file:
            file.write("x")
    done = answer("add", empty.root, card)
    assert done.returncode not in (0, 1)
    assert "--fix-names" in done.stderr
    assert "\\xff" in done.stderr
    assert names(empty, "main:card") == ["good"]
    done = answer("add", empty.root, card, "--fix-names")
    assert done.returncode == 0, done.stderr
    assert "bad%FF.mov" in done.stderr
    assert names(empty, "main:card") == ["bad%FF.mov", "good"]
    again = answer("add", empty.root, os.path.join(card, b"bad\xff.mov"))
    assert again.returncode not in (0, 1)
    assert "Traceback" not in again.stderr
    assert answer("ls", empty.root, b"main:\xff").returncode not in (0, 1)
    assert answer("branch", "create", empty.root, b"x\xff").returncode == errors.BadName.exit_code


def test_twins_under_normalisation_are_left_out_or_renamed(empty: Drive, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "e\u0301").write_text("1")
    (card / "\u00e9").write_text("2")
    done = answer("add", empty.root, card)
    assert done.returncode not in (0, 1)
    assert len(names(empty, "main:card")) == 1
    assert answer("add", empty.root, card, "--fix-names").returncode == 0
    assert len(names(empty, "main:card")) == 2


def test_a_source_that_changes_while_it_is_read_is_reported_and_left_out(empty: Drive, tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    (card / "still").write_bytes(b"still" * 1000)
    growing = card / "growing"
    growing.write_bytes(bytes(60_000_000))
    stop = threading.Event()

    def grow() -> None:
        with open(growing, "ab") as file:
            while not stop.is_set():
                file.write(b"x" * 1000)
                file.flush()
                time.sleep(0.001)

    writer = threading.Thread(target=grow)
    writer.start()
    done = answer("add", empty.root, card)
    stop.set()
    writer.join()
    assert done.returncode not in (0, 1)
    assert "growing" in done.stderr
    assert names(empty, "main:card") == ["still"]
    empty.assert_sound()
    assert answer("add", empty.root, card).returncode == 0
    assert names(empty, "main:card") == ["growing", "still"]


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_source_that_cannot_be_read_is_named(empty: Drive, card: Path) -> None:
    os.chmod(card / "hard.mov", 0)
    done = answer("add", empty.root, card)
    assert done.returncode not in (0, 1)
    assert "hard.mov" in done.stderr


def test_the_archive_is_not_added_to_itself(empty: Drive, tmp_path: Path) -> None:
    (tmp_path / "beside").touch()
    done = answer("add", empty.root, tmp_path)
    assert "archive" in done.stderr
    assert "archive/" not in names(empty, f"main:{tmp_path.name}")
    empty.assert_sound()


def on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Runs the command line with stderr on a terminal; gives the exit code and what the terminal showed."""
    top, bottom = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([*FILMFS, *arguments], stdout=subprocess.DEVNULL, stderr=bottom, env=environment)
    os.close(bottom)
    shown = b""
    while select.select([top], [], [], 30)[0]:
        try:
            part = os.read(top, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(top)
    return process.wait(30), shown.decode(errors="replace")


def test_progress_shows_on_a_terminal_and_nowhere_else(empty: Drive, tmp_path: Path) -> None:
    source = tmp_path / "a.mov"
    source.write_bytes(os.urandom(30_000_000))
    code, shown = on_a_terminal("add", empty.root, str(source))
    assert code == 0, shown
    assert "MiB" in shown or "MB" in shown
    assert "/s" in shown
    source.write_bytes(os.urandom(1_000_000))
    code, shown = on_a_terminal("add", empty.root, str(source), "--quiet")
    assert (code, shown) == (0, "")
    source.write_bytes(os.urandom(1_000_000))
    assert answer("add", empty.root, source).stderr == ""


def test_no_color_is_honoured(empty: Drive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    source = tmp_path / "a.mov"
    source.write_bytes(os.urandom(30_000_000))
    code, shown = on_a_terminal("add", empty.root, str(source))
    assert code == 0
    assert not any(f"\x1b[{start}{colour}m" in shown for start in ("", "1;", "38;5;") for colour in range(30, 48))


def test_a_dry_run_changes_nothing(empty: Drive, card: Path) -> None:
    facts = empty.facts("add", card, "--dry-run")
    assert facts["files"] == 3
    assert names(empty) == []
    assert empty.size_on_disk() == 0
