"""Speed as ratios to native work done in the same run.

    scripts/bench [--dir DIR] [--rounds N] [--small-files N] [NAME...]

Each figure is the median of the rounds; native and filmfs take turns. `cpu_s` is user and system time of the command
and its children: on a shared machine it tells more than the clock.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

FILMFS = [sys.executable, "-m", "filmfs"]
GIB = 1 << 30


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and of processor time."""

    wall_s: float
    cpu_s: float


def timed(work: Callable[[], object]) -> Spent:
    """What `work` took, its child processes included."""
    before, start = _cpu(), time.perf_counter()
    work()
    return Spent(time.perf_counter() - start, _cpu() - before)


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def filmfs(*arguments: str | Path) -> None:
    """Runs a command; its words are not wanted."""
    subprocess.run([*FILMFS, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def hash_with_one_thread(path: Path) -> None:
    """BLAKE3 of a file, as the measure of what hashing must cost."""
    hasher, buffer = blake3(max_threads=1), bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(memoryview(buffer)[:count])


def ingest(directory: Path, rounds: int) -> dict[str, Any]:
    """1 GiB of cached input: `filmfs add` against `cp` and then BLAKE3 with one thread."""
    source, copy, archive = directory / "source.mov", directory / "copy.mov", directory / "archive"
    with source.open("wb") as file:
        for seed in range(64):
            file.write(random.Random(seed).randbytes(GIB // 64))
    hash_with_one_thread(source)
    rows = []
    for _ in range(rounds):
        copy.unlink(missing_ok=True)
        shutil.rmtree(archive, ignore_errors=True)
        filmfs("init", archive)
        os.sync()
        copied = timed(lambda: subprocess.run(["cp", source, copy], check=True))
        hashed = timed(lambda: hash_with_one_thread(copy))
        os.sync()
        added = timed(lambda: filmfs("add", archive, source))
        rows.append((copied.wall_s + hashed.wall_s, copied.cpu_s + hashed.cpu_s, added.wall_s, added.cpu_s))
    native, native_cpu, ours, ours_cpu = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "bytes": GIB,
        "native_s": native,
        "filmfs_s": ours,
        "speed_ratio": native / ours,
        "best_ratio": max(row[0] / row[2] for row in rows),
        "cpu_ratio": native_cpu / ours_cpu,
    }


def small_files(directory: Path, count: int) -> dict[str, Any]:
    """Many files of 100 bytes to 9 kB: `filmfs add` against `cp -r`."""
    source, archive, chance = directory / "small", directory / "archive", random.Random(1)
    for number in range(count):
        folder = source / f"{number // 1000:04}"
        if number % 1000 == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:07}.dpx").write_bytes(chance.randbytes(chance.choice([100, 900, 3000, 5000, 9000])))
    shutil.rmtree(archive, ignore_errors=True)
    filmfs("init", archive)
    os.sync()
    copied = timed(lambda: subprocess.run(["cp", "-r", source, directory / "small-copy"], check=True))
    os.sync()
    added = timed(lambda: filmfs("add", archive, source))
    again = timed(lambda: filmfs("add", archive, source))
    return {
        "files": count,
        "cp_s": copied.wall_s,
        "filmfs_s": added.wall_s,
        "filmfs_cpu_s": added.cpu_s,
        "second_add_s": again.wall_s,
    }


def main() -> None:
    """Runs what was asked for, and prints one JSON object."""
    parser = argparse.ArgumentParser(description="Speed as ratios to native work done in the same run.")
    parser.add_argument("names", nargs="*", choices=["ingest", "small_files", []], metavar="NAME")
    parser.add_argument("--dir", type=Path, help="where to work; the archive's disk is what is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small-files", type=int, default=200_000)
    chosen = parser.parse_args()
    names = chosen.names or ["ingest", "small_files"]
    results: dict[str, Any] = {"cpus": os.cpu_count(), "kernel": os.uname().release, "load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory(dir=chosen.dir, prefix="filmfs-bench-") as name:
        if "ingest" in names:
            results["ingest"] = ingest(Path(name), chosen.rounds)
        if "small_files" in names:
            results["small_files"] = small_files(Path(name), chosen.small_files)
    json.dump(results, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
