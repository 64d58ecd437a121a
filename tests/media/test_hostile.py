"""Damaged and malicious films: refused in a sentence and in little time, or cut without a byte from outside them."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from filmfs.core.errors import BadMedia
from filmfs.core.ranges import FrameRange
from filmfs.media.clipping import Clip, Run
from filmfs.media.clips import plan
from filmfs.media.conforming import Segment, plan_conform
from filmfs.media.hearing import SoundSegment
from filmfs.media.mxf import open_mxf
from filmfs.media.mxf_clips import plan_mxf
from filmfs.media.mxf_movie import movie_of
from filmfs.media.quicktime import open_quicktime
from tests.footage import Film
from tests.media.mutations import mutated
from tests.media.test_clips import FILMS, InMemory
from tests.media.test_mxf import FILMS as MXF_FILMS

INPUTS = int(os.environ.get("FILMFS_HOSTILE_FILMS", "300"))  # of each film
SEED = int(os.environ.get("FILMFS_SEED", "1"))
LONGEST_S = 3.0


def wounded(film: Film, directory: Path, name: str) -> Iterator[tuple[int, bytes]]:
    data = film.write(directory / name).read_bytes()
    for number in range(INPUTS):
        chance = random.Random(SEED * 1_000_000 + number)
        at = data.index(chance.choice((b"moov", b"moov", b"trak", b"stbl")))
        yield number, data[:at] + mutated(data[at : at + 4096], chance) + data[at + 4096 :]


@contextmanager
def refused_or_inside(data: bytes, number: int) -> Iterator[list[Clip]]:
    """What the block puts there is made of bytes of `data` alone; or it says BadMedia. Both in time."""
    clips: list[Clip] = []
    began = time.process_time()
    try:
        with suppress(BadMedia):
            yield clips
    finally:
        assert time.process_time() - began < LONGEST_S, f"input {number}"
    runs = (piece for clip in clips for piece in clip.pieces if isinstance(piece, Run))
    assert all(0 <= run.offset <= run.end <= len(data) for run in runs), f"input {number}"


@pytest.mark.parametrize("name", ["prores.mov", "open.mp4", "fragments.mp4", "hevc.mov"])
def test_a_wounded_film_is_refused_or_cut_inside_its_bounds(name: str, tmp_path: Path) -> None:
    for number, data in wounded(FILMS[name], tmp_path, name):
        with refused_or_inside(data, number) as clips:
            film = open_quicktime(InMemory(data))
            frames = film.counting.frames
            clips.append(plan(film, FrameRange(frames // 2, min(5, frames))))


def wounded_mxf(film: Film, directory: Path, name: str) -> Iterator[tuple[int, bytes]]:
    """Wounds in the header, in the first frames, or in what stands behind the last."""
    data = film.write(directory / name).read_bytes()
    for number in range(INPUTS):
        chance = random.Random(SEED * 1_000_000 + number)
        start, length = chance.choice(((0, 7168), (0, 16_384), (2560, 4608), (len(data) - 4096, 4096)))
        yield number, data[:start] + mutated(data[start : start + length], chance, is_mxf=True) + data[start + length :]


@pytest.mark.parametrize("name", ["dnxhr.mxf", "prores.mxf", "long group.mxf", "atom.mxf", "intra.mxf"])
def test_a_wounded_mxf_film_is_refused_or_cut_inside_its_bounds(name: str, tmp_path: Path) -> None:
    for number, data in wounded_mxf(MXF_FILMS[name], tmp_path, name):
        for is_movie in (False, True):
            with refused_or_inside(data, number) as clips:
                film = open_mxf(InMemory(data))
                assert film.reel is None or film.counting
                frames = FrameRange(film.counting.frames // 2, min(5, film.counting.frames))
                clips.append(plan(movie_of(film, frames), frames) if is_movie else plan_mxf(film, frames))


@pytest.mark.parametrize("name", ["prores.mov", "closed.mov", "hevc.mov"])
def test_a_conform_of_wounded_films_is_refused_or_inside_their_bounds(name: str, tmp_path: Path) -> None:
    whole = FILMS[name].write(tmp_path / "whole.mov").read_bytes()
    sound = open_quicktime(InMemory(whole))
    for number, data in wounded(FILMS[name], tmp_path, name):
        with refused_or_inside(data, number) as clips:
            film = open_quicktime(InMemory(data))
            frames = [FrameRange(0, 3), FrameRange(film.counting.frames // 2, 5)]
            segments = [Segment(film, each) for each in frames] + [Segment(sound, frames[0], 1)]
            heard = [SoundSegment(each.film, each.frames, source=each.source) for each in segments]
            clip = plan_conform(
                segments,
                [heard] if name != "closed.mov" else [],
                start=0,
                rate=sound.rate,
                drop=False,
                sources={0: InMemory(data), 1: InMemory(whole)},
            )
            clips.append(clip)
