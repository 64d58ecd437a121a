"""One flipped bit anywhere shows no wrong name or byte that `check` does not tell of, and the rest is still there."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.check import check_archive
from filmfs.core.errors import FilmFSError
from filmfs.versioning.rows import Kind
from tests.support import edit_whole, main_of, make_file

pytestmark = pytest.mark.crash

FLIPS = int(os.environ.get("FILMFS_FLIPS", "5"))
TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def original(root: str) -> str:
    chance = random.Random(1)
    with Archive(root, Mode.WRITE) as archive:
        for round_ in range(3):
            tree = main_of(archive)[1]
            for number in range(60):
                file = make_file(archive, tree, b"%d/%d/%d" % (round_, number % 5, number))
                edit_whole(archive, tree, file, chance.randbytes(chance.choice((300, 5000, 20_000))))
            archive.history.commit(main_of(archive)[0], f"round {round_}", "tester")
            archive.history.seal_all()
    return root


def look(root: str) -> dict[str, str]:
    """What a process that opens the archive sees of `main`: hex of the bytes, or an error."""
    found = {}
    with Archive(root, Mode.READ) as archive:
        view = archive.history.view_of("main")
        for path, _, inode in view.walk():
            if inode.kind is Kind.FILE:
                try:
                    data = archive.contents.read(archive.contents.map_of(inode.content), 0, inode.size)
                    found[os.fsdecode(path)] = data.hex()
                except FilmFSError as error:
                    found[os.fsdecode(path)] = f"error: {error}"
    return found


def seen(root: str) -> dict[str, str] | None:
    """The same in a process of its own, which damage may end; None when it did, or nothing could be shown."""
    code = "import sys, json; from tests.crash.test_flipped_bits import look; print(json.dumps(look(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, root], cwd=TOP, capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        return None
    found: dict[str, str] = json.loads(done.stdout)
    return found


def flip(path: Path, bit: int) -> None:
    with open(path, "r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


@pytest.mark.timeout(60 + 10 * FLIPS)
def test_a_flipped_bit_in_the_database_shows_nothing_wrong_that_check_does_not_tell(
    original: str, tmp_path: Path
) -> None:
    seed = int(os.environ.get("FILMFS_SEED", time.time_ns()))
    chance = random.Random(seed)
    right = look(original)
    assert len(right) == 180
    outcomes = {"sound": 0, "told": 0, "harmless": 0}
    for number in range(FLIPS):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(original, copy)
        data = copy / "meta.lmdb" / "data.mdb"
        bit = chance.randrange(data.stat().st_size * 8)
        flip(data, bit)
        found, report = seen(str(copy)), check_archive(str(copy))
        where = f"bit {bit} (seed {seed})"
        wrong = {} if found is None else {name for name in found if found[name] not in (right.get(name),)}
        shown_wrong = {name for name in wrong if found is not None and not found[name].startswith("error")}
        if report.sound:
            assert found == right, f"{where}: check says sound, and {sorted(wrong)[:3]} of {len(found or ())} are not"
            outcomes["sound"] += 1
        else:
            assert not shown_wrong, f"{where}: wrong bytes in {sorted(shown_wrong)[:3]}"
            outcomes["harmless" if found == right else "told"] += 1
        shutil.rmtree(copy)
    print(f"seed {seed}: {FLIPS} bits flipped in the database: {outcomes}")


def test_a_flipped_bit_in_a_blob_is_named_by_check_with_its_file(original: str) -> None:
    chance = random.Random(int(os.environ.get("FILMFS_SEED", time.time_ns())))
    blobs = [path for path in Path(original, "blobs").rglob("*") if path.is_file()]
    for blob in chance.sample(blobs, 3):
        os.chmod(blob, 0o600)
        bit = chance.randrange(blob.stat().st_size * 8)
        flip(blob, bit)
        (fault,) = check_archive(original, data=True).faults
        assert (fault.kind, fault.path) == ("bytes", str(blob))
        assert len(fault.places) == 1
        flip(blob, bit)
    assert check_archive(original, data=True).sound
