"""Plays movies as the demo does: decodes them, and keeps a hash of each picture."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass

import av

PICTURES_PLAYED = 600


@dataclass(frozen=True, slots=True)
class Played:
    """What came out of a movie: a hash of each picture, and how fast they came."""

    pictures: list[str]
    seconds: float
    ended_by: str

    def same_as(self, other: Played) -> bool:
        return bool(self.pictures) and (self.pictures, self.ended_by) == (other.pictures, other.ended_by)

    def __str__(self) -> str:
        speed = len(self.pictures) / max(self.seconds, 1e-9)
        return f"{'the first' if self.ended_by else 'all'} {len(self.pictures)} pictures, decoded at {speed:.0f} fps"


def play(path: str) -> Played:
    """Decodes the first video track, PICTURES_PLAYED pictures at most."""
    pictures: list[str] = []
    ended_by = ""
    started = time.monotonic()
    try:
        with av.open(path) as movie:
            for frame in movie.decode(video=0):
                if len(pictures) == PICTURES_PLAYED:
                    ended_by = "limit"
                    break
                pictures.append(picture_hash(frame))
    except av.FFmpegError as error:
        ended_by = type(error).__name__
    return Played(pictures, time.monotonic() - started, ended_by)


def picture_hash(frame: av.VideoFrame) -> str:
    if len(frame.planes) != len(frame.format.components):
        frame = frame.reformat(format="yuv444p16le")
    digest = hashlib.blake2b(digest_size=16)
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        # A row ends in padding, which holds whatever memory held before.
        used = plane.width * ((component.bits + 7) // 8)
        rows = memoryview(plane)
        for start in range(0, plane.height * plane.line_size, plane.line_size):
            digest.update(rows[start : start + used])
    return digest.hexdigest()


def is_movie(path: str) -> bool:
    """Whether FFmpeg opens it and finds pictures that move; licences and lists are not movies."""
    if not os.path.isfile(path):
        return False
    try:
        with av.open(path) as movie:
            return bool(movie.streams.video)
    except (av.FFmpegError, ValueError):
        return False
