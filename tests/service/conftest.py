"""An archive with everything in it."""

import subprocess
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.ids import LEAF_SIZE, ROOT_FILE
from tests.service.damage import LATER, add, edit, make_sources
from tests.support import NOW, Ticks, an_inode, edit_whole, main_of


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with every sort of file, two branches, commits, an edit, and an edit that is not hashed yet."""
    place = tmp_path_factory.mktemp("check")
    make_sources(place / "source")
    root = place / "archive"
    clock = Ticks()
    Archive.create(str(root), author="tester", clock=clock)
    with Archive(str(root), Mode.WRITE, clock=clock) as archive:
        history = archive.history
        add(archive, place / "source", "first card")
        history.create_branch("grade", "tester")
        edit(archive, "grade", b"A001/clip.mov", b"a new slate", LEAF_SIZE + 5)
        history.commit(history.table.get("grade"), "slate", "tester")
        branch, tree = main_of(archive)
        tree.unlink(ROOT_FILE, b"old.txt", NOW)
        top = tree.resolve([b"B"])
        tree.rmdir(top, b"empty", NOW)
        tree.rename(ROOT_FILE, b"link", top, b"link", NOW)
        history.commit(branch, "tidied", "tester")
        history.flush()
        history.seal_all()
        file, _ = tree.make(ROOT_FILE, b"later.wav", an_inode())
        edit_whole(archive, tree, file, LATER)
        history.flush()
    return root


@pytest.fixture
def full_root(template: Path, tmp_path: Path) -> str:
    """A copy of the template to damage."""
    target = tmp_path / "archive"
    subprocess.run(["cp", "-a", "--sparse=always", str(template), str(target)], check=True)
    return str(target)
