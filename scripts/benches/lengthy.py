"""Ten minutes of a film in ProRes of real size: ready to be played, written as a file, and read through the mount."""

import os
import subprocess
from functools import partial
from pathlib import Path

from benches.clipping import FFMPEG, Asking, cut_by_ffmpeg, show
from benches.films import LARGE, MINUTE, make_film
from benches.frame import NATIVE, OURS, Outcome, Sample, Target, forget_pages, measured, rates, take_turns, times
from benches.places import FILMFS, MIB, Mounted, Place

CP = "cp"


def clip_long(place: Place) -> Outcome:
    """A segment of ten minutes of ProRes: its first frame, its export against `cp`, and reading it all."""
    directory, outcome = place.fresh("clip_long"), Outcome()
    minutes = 1 if place.quick else 10
    frames = (minutes + 1) * MINUTE
    with Mounted(directory) as mounted:
        film = make_film(directory / "film.mov", LARGE, frames)
        mounted.add(film)
        film.unlink()
        film = mounted.blob_of(film.name)
        asking, cut = Asking(mounted.main / "film.mov", frames, minutes * MINUTE), directory / "cut.mov"
        for what, restarted in (("just mounted", True), ("another range", False)):
            turns = {
                FFMPEG: partial(cut_by_ffmpeg, film, asking, cut, show),
                OURS: partial(asking.looked, _start, mounted if restarted else None),
            }
            samples, target = take_turns(turns, place.rounds), Target("value", most=100)
            figure = times(f"{what}, ready: 64 KiB read and first frame shown", samples, FFMPEG, target, unit="ms")
            outcome.figures.append(figure)
        cut.unlink()
        clip, native = asking.next(), directory / "native.mov"
        _export(mounted, asking, native)
        amount = native.stat().st_size / MIB
        turns = {
            CP: partial(_written, directory, partial(_copy, native)),
            OURS: partial(_written, directory, partial(_export, mounted, asking)),
        }
        samples = take_turns(turns, place.rounds)
        outcome.figures.append(rates("written and synced", "MiB/s", amount, samples, CP, Target("ratio", least=0.9)))
        turns = {NATIVE: partial(_read, place, native, None), OURS: partial(_read, place, clip, mounted.pid)}
        _read(place, clip, None)
        samples, target = take_turns(turns, place.rounds), Target("ratio", least=0.95)
        outcome.figures.append(rates("read, 1 MiB at a time", "MiB/s", amount, samples, NATIVE, target))
        if native.read_bytes() != clip.read_bytes():
            raise RuntimeError("the clip on the mount and the exported one differ")
        one = partial(_written, directory, partial(_export, mounted, Asking(clip, frames, 1)))
        outcome.facts["one_frame_written_s"] = min(one().wall_s for _ in range(place.rounds))
        outcome.facts |= {"clip_bytes": native.stat().st_size, "minutes": minutes}
    return outcome


def _start(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        file.read(64 << 10)
    show(path)


def _export(mounted: Mounted, asking: Asking, target: Path) -> None:
    command = [*FILMFS, "clip", "--quiet", str(mounted.root), "main:film.mov", asking.range, "-o", str(target)]
    subprocess.run(command, check=True)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", source, target], check=True)
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _written(directory: Path, write: partial[None]) -> Sample:
    target = directory / "written.mov"
    target.unlink(missing_ok=True)
    os.sync()
    sample = measured(lambda: write(target))
    target.unlink()
    os.sync()
    return sample


def _read(place: Place, path: Path, pid: int | None) -> Sample:
    if pid is not None:
        forget_pages(path)
    return measured(lambda: place.client.run("seq", path, arguments=[MIB]), pid)
