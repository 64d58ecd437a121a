"""Text in a movie's metadata that repeats its start time code, made to say another one.

`udta` and `meta` of the movie and of its tracks hold it as it is written (FFmpeg's `timecode` with use_metadata_tags,
keys of com.apple.quicktime, XMP). Only the movie's own first label is replaced, where it stands as a word by itself, by
as many characters: nothing moves, and text that says something else stays.
"""

import re
from collections.abc import Iterator

from filmfs.core.smpte import Label
from filmfs.media.boxes import Box
from filmfs.media.movie import Movie

_TEXTS = (b"udta", b"meta")
_TRACK = b"trak"
_ALONE = rb"(?<![0-9A-Za-z:;.,])%s(?![0-9A-Za-z:;.,])"


def relabelled(movie: Movie, old: Label, new: Label) -> Movie:
    """The movie with `new` for `old` in its metadata; the same one where that says nothing of it."""
    pattern, written = re.compile(_ALONE % _spelt(old)), f"{new.frames:02d}"
    data: bytearray | None = None
    for box in _metadata(movie):
        for found in pattern.finditer(movie.data, box.body, box.end):
            between, last = found[1].decode(), found[2].decode()
            frames = written.zfill(len(found[3]))
            text = new.text(between, last)[: -len(written)] + frames
            if len(text) == len(found[0]):
                data = bytearray(movie.data) if data is None else data
                data[found.start() : found.end()] = text.encode()
    return movie if data is None else movie.rewritten(bytes(data))


def _spelt(label: Label) -> bytes:
    fields = (label.hours, label.minutes, label.seconds, label.frames)
    return rb"%02d(?P<between>[:.])%02d(?P=between)%02d([:;.,])(0?%02d)" % fields


def _metadata(movie: Movie) -> Iterator[Box]:
    tracks = iter(movie.tracks)
    for box in movie.boxes:
        if box.kind in _TEXTS:
            yield box
        elif box.kind == _TRACK:
            yield from (each for each in next(tracks).boxes if each.kind in _TEXTS)
