"""What the command line answers: facts as JSON, and one sentence and the right exit code for what cannot be done."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from filmfs.core import errors
from filmfs.core.errors import FilmFSError
from tests.drive import FILMFS, Done, Drive, answer


def arguments_of(line: str, shelf: Drive, elsewhere: Path) -> list[str]:
    return [
        word.format(a=shelf.root, elsewhere=elsewhere, card=shelf.mountpoint.parent / "card") for word in line.split()
    ]


def assert_one_sentence(done: Done, kind: type[FilmFSError]) -> None:
    assert done.returncode == kind.exit_code, (done.returncode, done.stderr)
    assert done.stderr.startswith("filmfs: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr) > 20


READING = [
    "ls {a}",
    "ls {a} main:A001",
    "ls {a} main@2:A001/a.mov",
    "info {a} main:A001/a.mov",
    "info {a} main:",
    "info {a} main:soft",
    "du {a}",
    "du {a} main:A001",
    "log {a}",
    "log {a} main@1",
    "branch list {a}",
    "status {a}",
    "check {a}",
    "check {a} --data",
    "add {a} {card} --dry-run",
    "branch delete {a} main --dry-run",
]


@pytest.mark.parametrize("line", READING)
def test_json_is_one_object_on_stdout(shelf: Drive, tmp_path: Path, line: str) -> None:
    done = answer(*arguments_of(line, shelf, tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""
    assert answer(*arguments_of(line, shelf, tmp_path), "--quiet").stdout == ""


def test_json_is_one_object_for_what_changes_too(tmp_path: Path) -> None:
    root, source = tmp_path / "a", tmp_path / "b.mov"
    source.write_bytes(b"x" * 5000)
    for line in (
        f"init {root}",
        f"add {root} {source}",
        f"commit {root} -m m",
        f"branch create {root} grade --from main",
        f"branch rename {root} grade final",
        f"branch delete {root} final --yes",
    ):
        done = answer(*line.split(), "--json")
        assert done.returncode == 0, done.stderr
        assert isinstance(json.loads(done.stdout), dict)
        assert done.stderr == ""


REFUSED: list[tuple[str, type[FilmFSError], str]] = [
    ("ls {elsewhere}/missing", errors.NotAnArchive, "filmfs init"),
    ("ls {elsewhere}", errors.NotAnArchive, "archive.toml"),
    ("add {elsewhere} {card}", errors.NotAnArchive, "archive.toml"),
    ("mount {elsewhere}/missing {elsewhere}", errors.NotAnArchive, "filmfs init"),
    ("check {elsewhere}", errors.NotAnArchive, "archive.toml"),
    ("status {elsewhere}", errors.NotAnArchive, "archive.toml"),
    ("init {a}", errors.Exists, "already"),
    ("init {card}", errors.Exists, "not empty"),
    ("init /proc/archive", errors.FilmFSError, "/proc/archive"),
    ("ls {a} :x", errors.Usage, "BRANCH:PATH"),
    ("ls {a} /x", errors.Usage, "BRANCH:PATH"),
    ("ls {a} nobranch:x", errors.NotFound, "main"),
    ("ls {a} main@99:", errors.NotFound, "99"),
    ("ls {a} main@2001-01-01:", errors.NotFound, "main"),
    ("ls {a} main@yesterday:", errors.FilmFSError, "yesterday"),
    ("ls {a} main:missing/x", errors.NotFound, "missing"),
    ("ls {a} main:A001/a.mov/x", errors.NotADirectory, "a.mov"),
    ("ls {a} main:../x", errors.BadName, ".."),
    ("cat {a} main:missing", errors.NotFound, "missing"),
    ("cat {a} main:A001", errors.IsADirectory, "directory"),
    ("cat {a} main:soft", errors.FilmFSError, "symlink"),
    ("cat {a}", errors.Usage, "BRANCH:PATH"),
    ("info {a} main:missing", errors.NotFound, "missing"),
    ("info {elsewhere}", errors.NotFound, "not inside"),
    ("du {a} main:missing", errors.NotFound, "missing"),
    ("log {a} nobranch", errors.NotFound, "nobranch"),
    ("log {a} main --limit 0", errors.Usage, "limit"),
    ("log {a} main --limit x", errors.Usage, "limit"),
    ("branch create {a} main", errors.Exists, "main"),
    ("branch create {a} .hidden", errors.BadName, ".hidden"),
    ("branch create {a} a:b", errors.BadName, "a:b"),
    ("branch create {a} x --from nobranch", errors.NotFound, "nobranch"),
    ("branch create {a} x --from 2001-01-01", errors.NotFound, "main"),
    ("branch create {a} x --from main@7", errors.NotFound, "main"),
    ("branch create {a} x --from 12:99:99", errors.FilmFSError, "12:99:99"),
    ("branch rename {a} nobranch x", errors.NotFound, "nobranch"),
    ("branch rename {a} main $x", errors.BadName, "$x"),
    ("branch delete {a} nobranch --yes", errors.NotFound, "nobranch"),
    ("branch delete {a} main", errors.Usage, "--yes"),
    ("branch delete {a} main --yes", errors.Refused, "only branch"),
    ("branch nonsense {a}", errors.Usage, "nonsense"),
    ("nonsense", errors.Usage, "nonsense"),
    ("ls {a} --nonsense", errors.Usage, "--nonsense"),
    ("commit {a} nobranch", errors.NotFound, "nobranch"),
    ("add {a}", errors.Usage, "PATH"),
    ("add {a} {elsewhere}/missing", errors.NotFound, "missing"),
    ("add {a} {card} --branch nobranch", errors.NotFound, "nobranch"),
    ("add {a} {card} --to ../x", errors.FilmFSError, ".."),
    ("add {a} {card} --to A001/a.mov", errors.NotADirectory, "a.mov"),
    ("umount {elsewhere}", errors.NotFound, "mounted"),
    ("umount {elsewhere}/missing", errors.NotFound, "missing"),
    ("mount {a} {elsewhere}/missing", errors.NotFound, "mkdir"),
    ("mount {a} {card}/soft", errors.NotADirectory, "not a directory"),
    ("mount {a} {elsewhere} -o nonsense", errors.Usage, "nonsense"),
]


@pytest.mark.parametrize(("line", "kind", "word"), REFUSED, ids=[line for line, _, _ in REFUSED])
def test_what_cannot_be_done_is_one_sentence_that_names_it(
    shelf: Drive, tmp_path: Path, line: str, kind: type[FilmFSError], word: str
) -> None:
    done = answer(*arguments_of(line, shelf, tmp_path))
    if kind is errors.FilmFSError:  # any member of the table
        assert done.returncode not in (0, 1), done.stderr
        kind = type("Any", (FilmFSError,), {"exit_code": done.returncode})
    assert_one_sentence(done, kind)
    assert word in done.stderr


@pytest.mark.parametrize("line", ["ls {elsewhere}", "ls {a} main:missing", "ls {a} --nonsense", "cat {a} main: --json"])
def test_with_json_an_error_is_an_object_too(shelf: Drive, tmp_path: Path, line: str) -> None:
    done = answer(*arguments_of(line, shelf, tmp_path), "--json")
    facts = json.loads(done.stdout)
    assert facts["exit_code"] == done.returncode
    assert getattr(errors, facts["error"]).exit_code == done.returncode
    assert facts["message"]


def test_the_archive_can_be_left_out_when_the_environment_names_it(shelf: Drive, tmp_path: Path) -> None:
    def there(*words: object) -> Done:
        return answer(*words, FILMFS_ARCHIVE=shelf.root)

    assert there("ls", "main:A001").stdout == "a.mov\nété.txt\n"
    assert there("ls").stdout == "A001/\nsoft\n"
    assert there("info", "main:A001/a.mov").returncode == 0
    assert there("branch", "list").stdout.startswith("main")
    assert there("log").returncode == 0
    assert there("du", "main:").returncode == 0
    assert there("ls", shelf.root, "main:A001").stdout == "a.mov\nété.txt\n"
    other = Drive(tmp_path)
    assert there("ls", other.root, "main:").stdout == ""
    assert_one_sentence(answer("ls", FILMFS_ARCHIVE=str(tmp_path)), errors.NotAnArchive)


def test_help_is_there_for_every_command() -> None:
    top = answer("--help")
    assert top.returncode == 0
    for verb in ("init", "add", "ls", "cat", "info", "du", "branch", "commit", "log", "mount", "umount", "check"):
        assert f" {verb} " in top.stdout
    assert answer("branch", "create", "--help").returncode == 0
    assert answer("--version").stdout.startswith("filmfs ")
    bare = answer()
    assert bare.returncode in (0, 2)
    assert "Traceback" not in bare.stderr


def test_cat_gives_the_bytes_and_stops_quietly_when_nobody_reads_on(shelf: Drive) -> None:
    command = [*FILMFS, "cat", shelf.root, "main:A001/a.mov"]
    assert subprocess.run(command, capture_output=True, check=True, timeout=60).stdout == b"0123456789" * 100_000
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("not toml [", errors.NotAnArchive, "archive.toml"),
        ("", errors.FilmFSError, "archive.toml"),
        ('format = 99\nid = "x"\nname = "x"\n', errors.WrongVersion, "99"),
        ('format = 1\nid = "x"\nname = "x"\ncolour = 1\n', errors.NotAnArchive, "colour"),
        ('format = "one"\nid = "x"\nname = "x"\n', errors.FilmFSError, "archive"),
        ('format = 1\nid = "x"\nname = "x"\nauto_commit_s = "often"\n', errors.FilmFSError, "auto_commit_s"),
        ("\0\xff", errors.FilmFSError, "archive.toml"),
    ],
)
def test_a_damaged_archive_toml_is_named(empty: Drive, text: str, kind: type[FilmFSError], word: str) -> None:
    (Path(empty.root) / "archive.toml").write_text(text, encoding="latin-1")
    for line in ("ls {a}", "commit {a}", "mount {a} {elsewhere}", "check {a}"):
        done = answer(*arguments_of(line, empty, empty.mountpoint))
        assert done.returncode not in (0, 1), done.stderr
        assert_one_sentence(done, type("Any", (FilmFSError,), {"exit_code": done.returncode}))
        if kind is not errors.FilmFSError:
            assert done.returncode == kind.exit_code
        assert word in done.stderr


@pytest.mark.parametrize("harm", ["missing", "empty", "zeros", "directory"])
def test_a_damaged_database_is_an_error_and_not_a_traceback(empty: Drive, harm: str) -> None:
    data = Path(empty.root) / "meta.lmdb" / "data.mdb"
    size = data.stat().st_size
    data.unlink()
    if harm == "empty":
        data.touch()
    elif harm == "zeros":
        data.write_bytes(bytes(size))
    elif harm == "directory":
        data.mkdir()
    for verb in ("ls", "commit", "check"):
        done = answer(verb, empty.root)
        assert done.returncode not in (0, 1), (verb, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr


def test_two_commands_at_once_take_turns(empty: Drive) -> None:
    running = [
        subprocess.Popen([*FILMFS, "branch", "create", empty.root, f"b{n}"], stderr=subprocess.PIPE) for n in range(4)
    ]
    for process in running:
        words = process.communicate(timeout=60)[1]
        assert process.returncode == 0, words
    assert len(empty.facts("branch list")["branches"]) == 5
    empty.assert_sound()


def test_names_that_a_terminal_would_obey_are_shown_escaped(empty: Drive, tmp_path: Path) -> None:
    source = tmp_path / "card"
    source.mkdir()
    (source / "\x1b[31mred\nline").touch()
    empty.filmfs("add", source)
    assert "\x1b" not in answer("ls", empty.root, "main:card").stdout
    assert answer("ls", empty.root, "main:card").stdout.count("\n") == 1
    assert empty.facts("ls", "main:card")["entries"][0]["name"] == "\x1b[31mred\nline"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read and write everything")
def test_a_read_only_archive_can_be_read_and_not_changed(empty: Drive) -> None:
    for path in [empty.root, *(str(p) for p in Path(empty.root).rglob("*"))]:
        os.chmod(path, 0o555 if os.path.isdir(path) else 0o444)
    try:
        assert answer("ls", empty.root).returncode == 0
        assert_one_sentence(answer("commit", empty.root), errors.ReadOnly)
    finally:
        for path in [empty.root, *(str(p) for p in Path(empty.root).rglob("*"))]:
            os.chmod(path, 0o755)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5000, (3 << 18) - 1, (3 << 18) + 1, 2_000_000])
def test_cat_with_json_is_one_object_with_all_bytes(shelf: Drive, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / f"{size}.bin").write_bytes(data)
    shelf.filmfs("add", tmp_path / f"{size}.bin")
    facts = shelf.facts("cat", f"main:{size}.bin")
    assert (facts["size"], facts["encoding"]) == (size, "base64")
    assert base64.b64decode(facts["data"], validate=True) == data
