"""Whole files: reading one blob through the mount, writing a new file, copying inside the mount."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benches.frame import (
    NATIVE,
    OURS,
    Outcome,
    Sample,
    Target,
    Turn,
    bytes_read_by,
    forget_pages,
    measured,
    rates,
    take_turns,
    times,
)
from benches.places import MIB, Mounted, Place, beside, fill_with_noise, peer

STOCK = "stock pyfuse3"


def read_whole(place: Place) -> Outcome:
    """A file that is one blob in the page cache, against the blob itself; through peers in the same rounds."""
    directory, outcome = place.fresh("read_whole"), Outcome()
    source = directory / "whole.bin"
    fill_with_noise(source, place.cached)
    with Mounted(directory) as mounted, ExitStack() as stack:
        mounted.add(source)
        source.unlink()
        blob = mounted.blob_of(source.name)
        readers: dict[str, tuple[Path, int | None]] = {
            NATIVE: (blob, None),
            OURS: (mounted.main / source.name, mounted.pid),
        }
        stock = stack.enter_context(peer(beside("stock.py", blob.parent), directory / "stock"))
        readers[STOCK] = directory / "stock" / blob.name, stock
        if shutil.which("bindfs"):
            bind = stack.enter_context(peer(["bindfs", "-f", str(blob.parent)], directory / "bindfs"))
            readers["bindfs"] = directory / "bindfs" / blob.name, bind
        if os.getuid() == 0:
            readers["overlayfs"] = stack.enter_context(_overlay(blob.parent, directory)) / blob.name, None
        random_reads = 50_000 if place.quick else 200_000
        asked, answered = bytes_read_by(mounted.pid), mounted.reads()
        for copies, words in ((1, "one reader"), (2, "two readers")):
            for mode, what, amount, unit, arguments in (
                ("seq", "sequential, 1 MiB at a time", place.cached / MIB, "MiB/s", (MIB,)),
                ("rand", "4 KiB at random places", random_reads, "reads/s", (4096, random_reads, 1 + copies)),
            ):
                turns: dict[str, Turn] = {
                    name: partial(_read, place, path, pid, copies, mode, arguments)
                    for name, (path, pid) in readers.items()
                }
                samples = take_turns(turns, place.rounds)
                target = Target("ratio", least=0.95)
                figure = rates(f"{what}, {words}", unit, amount * copies, samples, NATIVE, target)
                outcome.figures.append(figure)
        outcome.facts["file_bytes"] = place.cached
        outcome.facts["bytes_the_daemon_read"] = bytes_read_by(mounted.pid) - asked
        after = mounted.reads()
        if after is not None and answered is not None:
            outcome.facts["reads_the_daemon_answered"] = after - answered
        outcome.facts["bytes_read_through_the_mount"] = 3 * place.rounds * (place.cached + random_reads * 4096)
    return outcome


def write_new(place: Place) -> Outcome:
    """`dd bs=1M conv=fsync` of cached bytes into the mount, against the same on the disk under the archive."""
    directory, outcome = place.fresh("write_new"), Outcome()
    source, native = directory / "source.bin", directory / "native.bin"
    fill_with_noise(source, place.cached)
    with Mounted(directory) as mounted:
        path = mounted.main / "new.bin"
        turns: dict[str, Turn] = {
            NATIVE: partial(_write, mounted, source, native, None),
            OURS: partial(_write, mounted, source, path, mounted.pid),
        }
        samples = take_turns(turns, place.rounds)
        target = Target("ratio", least=0.9)
        what = "dd bs=1M conv=fsync of a new file"
        outcome.figures.append(rates(what, "MiB/s", place.cached / MIB, samples, NATIVE, target))
        outcome.facts["file_bytes"] = place.cached
    return outcome


def copy_inside(place: Place) -> Outcome:
    """`cp` of a large file from the mount to the mount."""
    directory, outcome = place.fresh("copy_inside"), Outcome()
    source = directory / "large.bin"
    fill_with_noise(source, place.large)
    with Mounted(directory) as mounted:
        mounted.add(source)
        before = mounted.stored()
        native = directory / "copy.bin"
        turns: dict[str, Turn] = {
            NATIVE: partial(_copy, mounted, source, native, None),
            OURS: partial(_copy, mounted, mounted.main / source.name, mounted.main / "copy.bin", mounted.pid),
        }
        samples = take_turns(turns, max(1, place.rounds // 2))
        figure = times("cp", samples, NATIVE, Target("value", most=100), unit="ms")
        outcome.figures.append(figure)
        outcome.facts |= {"file_bytes": place.large, "more_bytes_stored": mounted.stored() - before}
    return outcome


@contextmanager
def _overlay(lower: Path, directory: Path) -> Iterator[Path]:
    """Shows a directory through overlayfs: the kernel reads another file in a file's place, as passthrough does."""
    places = {name: directory / f"overlay-{name}" for name in ("upper", "work", "shown")}
    for path in places.values():
        path.mkdir()
    options = f"lowerdir={lower},upperdir={places['upper']},workdir={places['work']}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, places["shown"]], check=True)
    try:
        yield places["shown"]
    finally:
        subprocess.run(["umount", "-l", places["shown"]], check=True)


def _read(place: Place, path: Path, pid: int | None, copies: int, mode: str, arguments: tuple[int, ...]) -> Sample:
    if pid is not None:
        forget_pages(path)
    return measured(lambda: place.client.run(mode, *[path] * copies, arguments=arguments), pid)


def _write(mounted: Mounted, source: Path, target: Path, pid: int | None) -> Sample:
    target.unlink(missing_ok=True)
    mounted.settle()
    command = ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
    sample = measured(lambda: subprocess.run(command, check=True), pid)
    target.unlink()
    mounted.settle()
    return sample


def _copy(mounted: Mounted, source: Path, target: Path, pid: int | None) -> Sample:
    target.unlink(missing_ok=True)
    mounted.settle()
    sample = measured(lambda: subprocess.run(["cp", source, target], check=True), pid)
    if os.path.getsize(target) != os.path.getsize(source):
        raise RuntimeError("the copy is not as long as its source")
    if pid is None:
        target.unlink()
    mounted.settle()
    return sample
