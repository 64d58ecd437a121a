"""A power cut at any moment loses nothing that was promised, whatever the disk did with what was not synced."""

import os
import random
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.core.extents import Extent
from filmfs.core.ids import DraftId, FileId
from filmfs.versioning.tree import Tree
from tests.crash.afterwards import Change, Disk, read_journal, write_out
from tests.crash.machine import JOURNALS, Machine, after_power_cut
from tests.crash.promises import Promises
from tests.crash.scene import assert_kept, assert_sound, writers_on
from tests.crash.witness import data
from tests.support import edit_whole, keep_draft, main_of, make_file, stage

pytestmark = [pytest.mark.mount, pytest.mark.crash]

CUTS = int(os.environ.get("FILMFS_POWER_CUTS", "30"))
SECONDS = float(os.environ.get("FILMFS_POWER_SECONDS", "1.5"))


def test_an_archive_that_was_made_is_there_after_a_power_cut(machine: Machine, tmp_path: Path) -> None:
    disk = Disk()
    for change in machine.changes():
        disk.note(change)
    write_out(disk.after_power_cut(random.Random(1), kept=0), tmp_path / "after")
    assert_kept(str(tmp_path / "after" / "archive"), {})


def test_no_step_of_a_files_life_is_a_bad_one_for_a_power_cut(machine: Machine) -> None:
    with Archive(machine.drive.root, Mode.WRITE) as archive:
        tree = main_of(archive)[1]
        file = make_file(archive, tree, b"take.mov")
        archive.history.flush()
        began = len(read_journal(machine.journal))
        for step in range(3):
            edit_whole(archive, tree, file, data(step, 90_000))
            archive.history.flush()
            append(archive, tree, file, data(step + 10, 5_000))
            archive.history.seal_all()
    changes = machine.changes()
    disk = Disk()
    for moment, change in enumerate(changes):
        disk.note(change)
        if moment >= began:
            for kept in (0.0, 1.0):
                with after_power_cut(disk, random.Random(moment), kept) as root:
                    assert_sound(root)


def test_what_was_fsynced_is_there_after_a_power_cut_at_random_moments(machine: Machine) -> None:
    seed = int(os.environ.get("FILMFS_SEED", time.time_ns()))
    machine.drive.start(FILMFS_TEST_FAST="1")
    with writers_on(machine.drive, machine.disk / JOURNALS, "w", seed, count=2):
        time.sleep(SECONDS)
        machine.drive.kill()
    changes = machine.changes()
    print(f"seed {seed}: {len(changes)} changes noted")
    assert_power_cuts_are_survived(changes, ["w-0", "w-1"], seed, CUTS)


def append(archive: Archive, tree: Tree, file: FileId, more: bytes) -> None:
    """As a writer who appends and closes: the draft is of two staging files, and is put together when it is hashed."""
    drafts = archive.history.drafts
    content = tree.get_inode(file).content
    assert isinstance(content, int)
    before = drafts.map_of(DraftId(content))
    assert before is not None
    blob = stage(archive.history, archive, more)
    drafts.begin_writing(blob)
    draft = keep_draft(archive, tree, file, before.written(Extent(before.size, len(more), blob)))
    drafts.end_writing(blob)
    drafts.closed(draft)


def assert_power_cuts_are_survived(changes: list[Change], names: list[str], seed: int, cuts: int) -> None:
    """Cuts the power at random moments of what was noted, each time with several outcomes."""
    chance = random.Random(seed)
    began = next(index for index, change in enumerate(changes) if change[2:3] == (names[0].encode(),))
    syncs = [index for index, change in enumerate(changes) if change[0] == "sync" and index > began]
    # Just after and just before something was promised is where most can go wrong.
    moments = sorted(
        min(chance.choice(syncs) + chance.randrange(-2, 6), len(changes))
        if number % 3
        else chance.randrange(began + 1, len(changes) + 1)
        for number in range(cuts)
    )
    disk, done = Disk(), 0
    for number, moment in enumerate(moments):
        for change in changes[done:moment]:
            disk.note(change)
        done = max(done, moment)
        promised = {own: Promises.of(_journal(disk, own).splitlines()) for own in names}
        kept = (0.0, 0.5, 0.9, 1.0, 0.1)[number % 5]
        with after_power_cut(disk, random.Random(f"{seed} {number}"), kept) as root:
            try:
                assert_kept(root, promised)
            except BaseException as error:
                error.add_note(f"the power was cut after change {moment} (seed {seed}, {kept} of what was not synced)")
                raise


def _journal(disk: Disk, own: str) -> str:
    try:
        return disk.now(f"{JOURNALS}/{own}").decode()
    except KeyError:
        return ""
