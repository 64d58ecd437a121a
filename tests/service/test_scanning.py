"""`add` looks at its sources: what goes where, and what is left out with which reason."""

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from filmfs.archive import Archive
from filmfs.archive.adding import Scan, check_destination, scan, take_bytes
from filmfs.core.errors import BadName, NotFound, Usage
from filmfs.core.ids import identify
from filmfs.core.paths import name_key
from filmfs.versioning.rows import Kind
from tests.support import main_of

NFC = unicodedata.normalize("NFC", "café.mov").encode()
NFD = unicodedata.normalize("NFD", "café.mov").encode()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """CARD/DCIM/clip.mov and CARD/notes.txt."""
    card = tmp_path / "CARD"
    (card / "DCIM").mkdir(parents=True)
    (card / "DCIM" / "clip.mov").write_bytes(b"clip")
    (card / "notes.txt").write_bytes(b"notes")
    return card


def scanned(*paths: Path | str | bytes, to: list[bytes] | None = None, **options: object) -> Scan:
    return scan([os.fsencode(path) for path in paths], to or [], **options)  # type: ignore[arg-type]


def places(found: Scan) -> set[bytes]:
    return {b"/".join(source.parts) for source in found.sources}


def reasons(found: Scan) -> str:
    return "\n".join(f"{problem.path}: {problem.reason}" for problem in found.problems)


def test_a_directory_arrives_as_itself(card: Path) -> None:
    found = scanned(card)

    assert places(found) == {b"CARD", b"CARD/DCIM", b"CARD/DCIM/clip.mov", b"CARD/notes.txt"}
    assert (found.files, found.bytes, found.problems, found.renamed) == (2, 9, [], [])


@pytest.mark.parametrize("ending", ["/", "//", "/."])
def test_a_directory_with_a_slash_arrives_as_its_contents(card: Path, ending: str) -> None:
    assert places(scanned(f"{card}{ending}")) == {b"DCIM", b"DCIM/clip.mov", b"notes.txt"}


def test_a_file_arrives_under_its_name(card: Path) -> None:
    assert places(scanned(card / "notes.txt")) == {b"notes.txt"}


def test_a_destination_comes_before_everything_and_is_made(card: Path) -> None:
    found = scanned(f"{card}/", to=[b"A", b"B"])

    assert [source.parts for source in found.sources[:2]] == [(b"A",), (b"A", b"B")]
    assert b"A/B/DCIM/clip.mov" in places(found)


def test_parents_come_before_children(card: Path) -> None:
    seen: set[tuple[bytes, ...]] = {()}
    for source in scanned(card).sources:
        assert source.parts[:-1] in seen
        seen.add(source.parts)


def test_a_path_that_is_missing_stops_the_run_before_it_begins(card: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        scanned(card, card / "nowhere")


def test_symlinks_are_kept_and_not_followed(card: Path) -> None:
    os.symlink("DCIM", card / "link")
    os.symlink("nowhere", card / "dangling")
    found = scanned(card)

    assert {b"CARD/link", b"CARD/dangling"} <= places(found)
    assert b"CARD/link/clip.mov" not in places(found)
    assert places(scanned(card / "link")) == {b"link"}


def test_the_archive_itself_is_left_out(tmp_path: Path, card: Path, archive: Archive) -> None:
    for path in (tmp_path, f"{tmp_path}/", archive.root, f"{archive.root}/"):
        found = scanned(path, skip=os.path.realpath(os.fsencode(archive.root)))
        assert "it is the archive itself" in reasons(found)
        assert not any(b"meta.lmdb" in place for place in places(found))


def test_a_link_to_the_archive_is_only_a_link(card: Path, archive: Archive) -> None:
    os.symlink(archive.root, card / "archive")

    assert scanned(card, skip=os.path.realpath(os.fsencode(archive.root))).problems == []


# Names that cannot be kept


def test_names_that_are_not_utf8_are_left_out_with_a_way_out(card: Path) -> None:
    Path(os.fsdecode(bytes(card) + b"/caf\xe9.mov")).touch()
    os.mkdir(bytes(card) + b"/\xff")
    Path(os.fsdecode(bytes(card) + b"/\xff/inside")).touch()
    found = scanned(card)

    assert len(found.problems) == 2
    assert "caf\\xe9.mov" in reasons(found)
    assert "--fix-names" in reasons(found)
    assert not any(b"inside" in place for place in places(found))


def test_names_that_are_not_utf8_can_be_repaired(card: Path) -> None:
    Path(os.fsdecode(bytes(card) + b"/caf\xe9.mov")).touch()
    os.mkdir(bytes(card) + b"/\xff")
    Path(os.fsdecode(bytes(card) + b"/\xff/inside")).touch()
    found = scanned(card, fix_names=True)

    assert found.problems == []
    assert {b"CARD/caf%E9.mov", b"CARD/%FF/inside"} <= places(found)
    assert sorted(new for _, new in found.renamed) == ["%FF", "caf%E9.mov"]


def test_a_repaired_name_does_not_take_anothers_place(card: Path) -> None:
    for name in (b"a\xff.mov", b"a%FF.mov", b"b\xff", b"b%FF"):
        Path(os.fsdecode(bytes(card) + b"/" + name)).touch()

    assert {b"CARD/a%FF.mov", b"CARD/a%FF~2.mov", b"CARD/b%FF", b"CARD/b%FF~2"} <= places(scanned(card, fix_names=True))


def test_names_that_differ_only_by_normalisation_are_not_both_taken(card: Path) -> None:
    for name in (NFC, NFD):
        Path(os.fsdecode(bytes(card) + b"/" + name)).touch()
    found = scanned(card)

    assert len(found.problems) == 1
    assert "normalisation" in reasons(found)
    fixed = scanned(card, fix_names=True)
    assert fixed.problems == []
    assert_no_two_have_one_place(fixed)
    assert len(places(fixed)) == 6


def test_twins_of_the_longest_names_can_be_repaired(card: Path) -> None:
    paths = [card / form / unicodedata.normalize(form, "é" * 85) for form in ("NFC", "NFD")]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    found = scanned(*paths, fix_names=True)

    assert found.problems == []
    assert_no_two_have_one_place(found)


def test_two_sources_of_one_name_are_not_both_taken(tmp_path: Path, card: Path) -> None:
    (tmp_path / "OTHER").mkdir()
    (tmp_path / "OTHER" / "notes.txt").write_bytes(b"others")
    found = scanned(card / "notes.txt", tmp_path / "OTHER" / "notes.txt")

    assert_no_two_have_one_place(found)
    assert len(found.problems) == 1
    assert "OTHER/notes.txt" in reasons(found)
    fixed = scanned(card / "notes.txt", tmp_path / "OTHER" / "notes.txt", fix_names=True)
    assert places(fixed) == {b"notes.txt", b"notes~2.txt"}


def test_directories_of_one_name_become_one(tmp_path: Path, card: Path) -> None:
    second = tmp_path / "second" / "CARD"
    second.mkdir(parents=True)
    (second / "more.txt").touch()
    found = scanned(card, second)

    assert {b"CARD/notes.txt", b"CARD/more.txt"} <= places(found)
    assert found.problems == []


@pytest.mark.parametrize("file_first", [False, True])
def test_a_file_and_a_directory_of_one_name_are_not_both_taken(tmp_path: Path, card: Path, file_first: bool) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "CARD").write_bytes(b"a file")
    paths = [card, tmp_path / "x" / "CARD"]
    found = scanned(*(reversed(paths) if file_first else paths))

    assert len(found.problems) == 1
    assert (b"CARD/notes.txt" in places(found)) is not file_first


def assert_no_two_have_one_place(found: Scan) -> None:
    keys = [tuple(name_key(part) for part in source.parts) for source in found.sources]
    assert len(set(keys)) == len(keys)


# Taking what was found


def taken_kinds(archive: Archive, found: Scan) -> dict[bytes, Kind]:
    taking = take_bytes(archive, found, main_of(archive)[1], lambda done, path: None)
    assert taking.problems == []
    return {new.parts[-1]: new.inode.kind for new in taking.new}


def test_every_kind_of_file_is_taken_as_what_it_is(card: Path, archive: Archive) -> None:
    os.symlink("nowhere", card / "link")
    os.mkfifo(card / "fifo")

    assert taken_kinds(archive, scanned(f"{card}/")) == {
        b"DCIM": Kind.DIRECTORY,
        b"clip.mov": Kind.FILE,
        b"notes.txt": Kind.FILE,
        b"link": Kind.SYMLINK,
        b"fifo": Kind.FIFO,
    }


def test_modes_owners_times_and_attributes_are_taken_along(card: Path, archive: Archive) -> None:
    path = card / "notes.txt"
    os.chmod(path, 0o4750)
    os.utime(path, ns=(5_000_000_001, 6_000_000_002))
    try:
        os.setxattr(path, "user.reel", b"A001")
    except OSError:
        pytest.skip("no user attributes on this file system")
    (new,) = take_bytes(archive, scanned(path), main_of(archive)[1], lambda done, path: None).new

    inode = new.inode
    assert (inode.mode, inode.uid, inode.gid) == (0o4750, os.getuid(), os.getgid())
    assert (inode.mtime, inode.size, inode.content) == (6_000_000_002, 5, identify([b"notes"])[0])
    assert new.xattrs == {b"user.reel": b"A001"}


def test_hard_links_are_read_once_and_stay_one_file(card: Path, archive: Archive) -> None:
    os.link(card / "notes.txt", card / "same.txt")
    taking = take_bytes(archive, scanned(f"{card}/"), main_of(archive)[1], lambda done, path: None)
    groups = {new.parts[-1]: new.link_group for new in taking.new}

    assert groups[b"notes.txt"] == groups[b"same.txt"] != b""
    assert groups[b"clip.mov"] == b""
    assert taking.read_bytes == 9


def test_what_went_away_since_the_scan_is_a_problem_and_the_rest_is_taken(card: Path, archive: Archive) -> None:
    found = scanned(card)
    os.unlink(card / "notes.txt")
    taking = take_bytes(archive, found, main_of(archive)[1], lambda done, path: None)

    assert [problem.path for problem in taking.problems] == [str(card / "notes.txt")]
    assert [new.parts[-1] for new in taking.new] == [b"CARD", b"DCIM", b"clip.mov"]


def test_a_source_that_changes_while_it_is_read_is_left_out_and_told(card: Path, archive: Archive) -> None:
    def grow(_: int, path: bytes) -> None:
        if path.endswith(b"clip.mov"):
            with open(path, "ab") as file:
                file.write(b"!")

    taking = take_bytes(archive, scanned(card), main_of(archive)[1], grow)

    assert ["was written to" in problem.reason for problem in taking.problems] == [True]
    assert b"clip.mov" not in [new.parts[-1] for new in taking.new]


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A directory and a user that permissions hold for."""
    with tempfile.TemporaryDirectory(prefix="filmfs-test-") as directory:
        os.chmod(directory, 0o755)
        if os.geteuid() != 0:
            yield Path(directory)
            return
        os.seteuid(65534)
        try:
            yield Path(directory)
        finally:
            os.seteuid(0)


def test_a_directory_that_may_not_be_read_is_a_problem(unprivileged: Path) -> None:
    euid = os.geteuid()
    os.seteuid(os.getuid())
    (unprivileged / "open").mkdir()
    (unprivileged / "closed").mkdir(mode=0o000)
    os.seteuid(euid)
    found = scanned(unprivileged)

    assert "closed: Permission denied" in reasons(found)
    assert b"open" in {source.parts[-1] for source in found.sources}


# Destinations


@pytest.mark.parametrize(
    ("text", "parts"), [("", []), ("A001", [b"A001"]), ("/A//./B/", [b"A", b"B"]), ("é", ["é".encode()])]
)
def test_a_destination_is_a_directory_below_the_root(text: str, parts: list[bytes]) -> None:
    assert check_destination(text) == parts


@pytest.mark.parametrize(("text", "error"), [("A/../B", Usage), ("caf\udce9", BadName), ("x" * 256, BadName)])
def test_a_destination_that_cannot_be_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_destination(text)
