"""Cut lists on the mount: a folder of a thousand clips, and the programme as one movie."""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

from benches.films import INTRA, MINUTE, RATE, make_film
from benches.frame import NATIVE, OURS, Outcome, Sample, Target, measured, take_turns, times
from benches.places import Mounted, Place
from filmfs.core.smpte import label_of

_FILM = 2 * MINUTE


def cut_list(place: Place) -> Outcome:
    """An EDL of 1,000 events over 50 films of two minutes, against as many plain files."""
    directory, outcome = place.fresh("cut_list"), Outcome()
    films, events = (5, 50) if place.quick else (50, 1000)
    with Mounted(directory) as mounted:
        cards = directory / "cards"
        cards.mkdir()
        for number in range(1, films + 1):
            make_film(cards / f"A{number:03}.mov", INTRA, _FILM, timecode=f"01:{number:02}:00:00")
        (cards / "cut.edl").write_text(_edl(films, events))
        mounted.add(*sorted(cards.iterdir()))
        shutil.rmtree(cards)
        folder, movie = mounted.main / "cut.edl@clips", mounted.main / "cut.edl@conform.mov"
        plain = directory / "plain"
        plain.mkdir()
        for name in os.listdir(folder):
            (plain / name).touch()
        if len(list(plain.iterdir())) != events + 1:
            raise RuntimeError((folder / "REPORT.txt").read_text())
        for what, work, native, restarted, most in (
            ("ls -l of the clips, just mounted", partial(_list, folder), partial(_list, plain), True, 2),
            ("ls -l of the clips, again", partial(_list, folder), partial(_list, plain), False, None),
            ("stat of the movie, just mounted", partial(os.stat, movie), None, True, None),
        ):
            turns = {OURS: partial(_turn, work, mounted if restarted else None)}
            if native is not None:
                turns[NATIVE] = partial(_turn, native, None)
            samples, target = take_turns(turns, place.rounds), Target("value", most=most) if most else None
            outcome.figures.append(times(what, samples, NATIVE, target))
        outcome.facts |= {"events": events, "films": films, "bytes_of_the_movie": movie.stat().st_size}
    return outcome


def _turn(work: Callable[[], object], mounted: Mounted | None) -> Sample:
    if mounted is not None:
        mounted.restart()
    return measured(work)


def _list(directory: Path) -> None:
    subprocess.run(["ls", "-l", directory], check=True, stdout=subprocess.DEVNULL)


def _edl(films: int, events: int) -> str:
    """Cuts of one to four seconds, one after another."""
    chance, at, lines = random.Random(1), 60 * MINUTE, ["TITLE: THE CUT", "FCM: NON-DROP FRAME", ""]
    for event in range(1, events + 1):
        film, length = chance.randint(1, films), chance.randint(RATE, 4 * RATE)
        first = (60 + film) * MINUTE + chance.randint(0, _FILM - length)
        points = (label_of(point, Fraction(RATE), drop=False) for point in (first, first + length, at, at + length))
        lines += [f"{event:06}  A{film:03}  V  C  {' '.join(map(str, points))}", f"* FROM CLIP NAME: A{film:03}.mov"]
        at += length
    return "\n".join([*lines, ""])
