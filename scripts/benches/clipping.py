"""Clips of films of two hours: what opening such a film costs, and how soon the first frame of a clip is there."""

import gc
import os
import time
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import count
from pathlib import Path

import av

from benches.films import INTRA, LONG_GOP, MINUTE, RATE, ffmpeg, make_film
from benches.frame import NATIVE, OURS, Figure, Outcome, Sample, Target, measured, take_turns, times
from benches.places import MIB, Mounted, Place
from filmfs.core.extents import ExtentMap
from filmfs.core.ranges import read_range
from filmfs.core.smpte import label_of
from filmfs.store.containers import FileBytes
from filmfs.timecode.films import Film, clip_of, open_film

FFMPEG, PYAV = "ffmpeg -c copy", "PyAV"
_KINDS = {"ProRes": INTRA, "H.264": LONG_GOP}
_CLIP = 30 * RATE
_HEAD = 64 << 10
_READ = 4096

Look = Callable[[Path], object]


def clip_index(place: Place) -> Outcome:
    """A film of two hours opened and its frames counted, against PyAV's opening of it; and what stays in memory."""
    directory, outcome = place.fresh("clip_index"), Outcome()
    for name, kind in _KINDS.items():
        path = make_film(directory / f"film{kind.suffix}", kind, _frames(place))
        turns = {PYAV: lambda path=path: _opened_by_pyav(path), OURS: lambda path=path: measured(partial(_open, path))}
        samples = take_turns(turns, place.rounds)
        outcome.figures.append(times(f"{name}, opened", samples, PYAV, Target("value", most=1000), unit="ms"))
        kept = {OURS: _kept(path) / MIB}
        outcome.figures.append(Figure(f"{name}, kept in memory", "MiB", kept, kept, target=Target("value", most=6)))
        path.unlink()
    outcome.facts["frames"] = _frames(place)
    return outcome


def clip_open(place: Place) -> Outcome:
    """The first frame of a clip of half a minute of a film of two hours, against FFmpeg's copy of such a range."""
    directory, outcome = place.fresh("clip_open"), Outcome()
    with Mounted(directory) as mounted:
        for name, kind in _KINDS.items():
            film = make_film(directory / f"film{kind.suffix}", kind, _frames(place))
            mounted.add(film)
            asking = Asking(mounted.main / film.name, _frames(place), _CLIP)
            cut = directory / f"cut{kind.suffix}"
            for what, look, restarted, most in (
                ("just mounted, first frame shown", show, True, 50),
                ("another range, first frame shown", show, False, None),
                ("another range, first frame read", read, False, 5),
            ):
                ours = partial(asking.looked, look, mounted if restarted else None)
                turns = {FFMPEG: partial(cut_by_ffmpeg, film, asking, cut, look), OURS: ours}
                samples, target = take_turns(turns, place.rounds), Target("value", most=most) if most else None
                outcome.figures.append(times(f"{name}, {what}", samples, FFMPEG, target, unit="ms"))
            clip = asking.next()
            for words, look, most in (("shown", show, None), ("read", read, 5)):
                turns = {NATIVE: partial(_looked, look, cut), OURS: partial(_looked, look, clip)}
                _looked(look, clip)
                samples, target = take_turns(turns, place.rounds), Target("value", most=most) if most else None
                what = f"{name}, the same clip again, first frame {words}"
                outcome.figures.append(times(what, samples, NATIVE, target, unit="ms"))
            film.unlink()
    return outcome


class Asking:
    """Clips of one length of a film that begins with 01:00:00:00, each another one."""

    def __init__(self, film: Path, frames: int, length: int) -> None:
        self._film, self._frames, self.length = film, frames, length
        self._numbers = count(1)
        self.first = 0

    @property
    def range(self) -> str:
        """As it is written in names."""
        start, end = (
            label_of(60 * MINUTE + at, Fraction(RATE), drop=False) for at in (self.first, self.first + self.length)
        )
        return f"{start}-{end}".replace(":", ".")

    def next(self) -> Path:
        """The path of a clip that nobody asked for before."""
        self.first = next(self._numbers) * 9973 % (self._frames - self.length)
        return self._film.with_name(f"{self._film.stem}@{self.range}{self._film.suffix}")

    def looked(self, look: Look, mounted: Mounted | None) -> Sample:
        """The time that a look at the next clip takes, by a mount that was `mounted` anew for it if one is given."""
        if mounted is not None:
            mounted.restart()
        return _looked(look, self.next())


def cut_by_ffmpeg(film: Path, asking: Asking, cut: Path, look: Look | None = None) -> Sample:
    """The time that FFmpeg's copy of the next range takes, with a look at it."""
    asking.next()
    begins, ends = (f"{at / RATE:.6f}" for at in (asking.first, asking.first + asking.length))
    cut.unlink(missing_ok=True)

    def work() -> None:
        ffmpeg("-ss", begins, "-to", ends, "-i", film, "-c", "copy", cut)
        if look is not None:
            look(cut)

    return measured(work)


def show(path: Path) -> None:
    """Opens a film and decodes its first picture."""
    with av.open(str(path)) as movie:
        next(movie.decode(video=0))


def read(path: Path) -> None:
    """Opens a film and reads its head and the beginning of its first picture."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        head = os.pread(descriptor, _HEAD, 0)
        os.pread(descriptor, _READ, head.find(b"mdat") + 8)
    finally:
        os.close(descriptor)


def _looked(look: Look, path: Path) -> Sample:
    return measured(lambda: look(path))


def _frames(place: Place) -> int:
    return (2 if place.quick else 120) * MINUTE


def _open(path: Path) -> Film:
    with path.open("rb") as file:
        film = open_film(FileBytes(file), path.name)
    film.counting()
    return film


def _opened_by_pyav(path: Path) -> Sample:
    def work() -> float:
        start = time.perf_counter()
        with av.open(str(path)) as movie:
            assert movie.streams.video[0].frames
            return time.perf_counter() - start

    return measured(work)


def _kept(path: Path) -> int:
    """Bytes that a film keeps after a clip was made of it."""
    _open(path)
    gc.collect()
    tracemalloc.start()
    try:
        film = _open(path)
        clip_of(film, ExtentMap(path.stat().st_size), read_range(f"{film.facts()['start']}+{_CLIP}f"))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
