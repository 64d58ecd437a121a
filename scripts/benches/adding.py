"""`filmfs add`: large files and many small ones, against cp and hashing."""

import os
import random
import shutil
import subprocess
from pathlib import Path

from blake3 import blake3

from benches.frame import NATIVE, OURS, Outcome, Sample, Turn, measured, rates, take_turns, times
from benches.places import GIB, MIB, Place, fill_with_noise, filmfs


def ingest(place: Place) -> Outcome:
    """Cached input, durable at the end: `filmfs add` against `cp` (not synced) and then BLAKE3 with one thread."""
    directory, outcome = place.fresh("ingest"), Outcome()
    size = 256 * MIB if place.quick else GIB
    source, copy, archive = directory / "source.mov", directory / "copy.mov", directory / "archive"
    fill_with_noise(source, size)

    def copy_and_hash() -> None:
        subprocess.run(["cp", source, copy], check=True)
        _hash_with_one_thread(copy)

    def native() -> Sample:
        copy.unlink(missing_ok=True)
        os.sync()
        return measured(copy_and_hash)

    def ours() -> Sample:
        shutil.rmtree(archive, ignore_errors=True)
        filmfs("init", archive)
        os.sync()
        return measured(lambda: filmfs("add", archive, source))

    turns: dict[str, Turn] = {NATIVE: native, OURS: ours}
    samples = take_turns(turns, place.rounds)
    outcome.figures.append(rates("one large file", "MiB/s", size / MIB, samples, NATIVE))
    outcome.facts["file_bytes"] = size
    return outcome


def small_files(place: Place) -> Outcome:
    """Files of 0.1 to 9 kB, one commit: `filmfs add` against `cp -r`; and the same again, nothing changed."""
    directory, outcome, chance = place.fresh("small_files"), Outcome(), random.Random(1)
    count = 10_000 if place.quick else 200_000
    source, archive = directory / "small", directory / "archive"
    for number in range(count):
        folder = source / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07}.dpx").write_bytes(chance.randbytes(chance.choice([100, 900, 3000, 5000, 9000])))
    filmfs("init", archive)
    os.sync()
    copy = ["cp", "-r", str(source), str(directory / "copy")]
    copied = measured(lambda: subprocess.run(copy, check=True))
    os.sync()
    added = measured(lambda: filmfs("add", archive, source))
    again = measured(lambda: filmfs("add", archive, source))
    outcome.figures.append(times(f"{count:,} files", {NATIVE: [copied], OURS: [added]}, NATIVE))
    outcome.figures.append(times("the same again", {OURS: [again]}))
    return outcome


def _hash_with_one_thread(path: Path) -> None:
    hasher, buffer = blake3(max_threads=1), bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])
