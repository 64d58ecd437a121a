"""The programme that a cut list is: its picture and its sound in record order, as one movie of the films' own bytes.

What cannot be such a movie is refused with the event and the reason: transitions, other speeds, black, gaps in the
picture, films that are missing. `media.conforming` says what can follow what.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby

from filmfs.archive.assembly import Assembly, Piece
from filmfs.archive.library import Library
from filmfs.core.errors import BadMedia
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId
from filmfs.core.ranges import Asked, Counting, FrameRange, place
from filmfs.cutlists.model import Event, Transition
from filmfs.media.conforming import Segment, plan_conform
from filmfs.media.hearing import SoundSegment
from filmfs.media.mxf import Mxf
from filmfs.media.mxf_movie import movie_of
from filmfs.media.quicktime import QuickTime
from filmfs.media.sound import channels_of
from filmfs.media.wave import Wave
from filmfs.media.wave_movie import first_frame_of, movie_of_sound
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.timecode.films import Film, map_of
from filmfs.timecode.shelf import Shelf, Source


@dataclass(frozen=True, slots=True)
class Take:
    """Frames of a film, without handles; of its sound track `track` (0 is the first) where it is heard."""

    source: Source
    asked: Asked
    track: int = 0


@dataclass(frozen=True, slots=True)
class Silence:
    """So many frames of nothing."""

    frames: int


@dataclass(frozen=True, slots=True)
class Programme:
    """What is seen, and what is heard on each track, from the record's frame number `start` on."""

    picture: tuple[Take, ...]
    sounds: tuple[tuple[Take | Silence, ...], ...]
    start: int
    rate: Fraction
    drop: bool

    @property
    def sources(self) -> tuple[Source, ...]:
        """The films, each once, in the order in which they are first needed."""
        takes = (*self.picture, *(take for track in self.sounds for take in track))
        return tuple(dict.fromkeys(take.source for take in takes if isinstance(take, Take)))

    @property
    def identity(self) -> str:
        """All that the movie depends on, as text."""
        numbers = {source: number for number, source in enumerate(self.sources)}
        tracks = [[_written(take, numbers) for take in track] for track in (self.picture, *self.sounds)]
        films = " ".join(source.identity for source in numbers)
        return f"conform {films} {tracks} {self.start} {self.rate} {self.drop}"

    def movie(self, contents: Contents, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> ExtentMap:
        """What it is made of. Raises BadMedia where the films cannot follow each other exactly."""
        sources = self.sources
        numbers = {source: number for number, source in enumerate(sources)}
        films = {source: shelf.film(source, maps) for source in sources}
        extents = [maps[source.content] for source in sources]
        picture = []
        for take in self.picture:
            film, frames = _placed(films[take.source], take.asked)
            picture.append(Segment(film, frames, numbers[take.source]))
        sounds = [[_segment(take, films, numbers) for take in track] for track in self.sounds]
        files = {number: Stored(contents, each) for number, each in enumerate(extents)}
        clip = plan_conform(picture, sounds, start=self.start, rate=self.rate, drop=self.drop, sources=files)
        return map_of(clip, extents)


def _written(take: Take | Silence, numbers: Mapping[Source, int]) -> object:
    return take.frames if isinstance(take, Silence) else (numbers[take.source], take.asked, take.track)


def _placed(film: Film, asked: Asked) -> tuple[QuickTime, FrameRange]:
    frames = place(asked, film.counting(asked))
    if isinstance(film.of, Mxf):
        return movie_of(film.of, frames), frames
    return (film.of if isinstance(film.of, QuickTime) else movie_of_sound(film.of)), frames


def _segment(take: Take | Silence, films: Mapping[Source, Film], numbers: Mapping[Source, int]) -> SoundSegment:
    if isinstance(take, Silence):
        return SoundSegment(None, FrameRange(0, take.frames))
    film = films[take.source]
    movie, frames = _placed(film, take.asked)
    return SoundSegment(movie, frames, take.track, numbers[take.source], first_frame(film, film.counting(take.asked)))


def first_frame(film: Film, counting: Counting) -> Fraction:
    """When the first frame of a film begins, in seconds of its file, where that is a sound file."""
    return first_frame_of(film.of, counting) if isinstance(film.of, Wave) else Fraction(0)


def programme_of(assembly: Assembly, library: Library) -> Programme:
    """The programme of a list. Raises BadMedia, with the first event that cannot be in it and why."""
    cuts = assembly.cuts
    rate = cuts.rate
    if rate is None:
        lacking = next((piece for piece in assembly.pieces if piece.frames is None and piece.event.needs_media), None)
        if lacking is not None:
            raise BadMedia(f"{lacking.event.shown} has no film: {lacking.reason}")
        raise BadMedia("nobody says how many frames a second the record has")
    seen = [piece for piece in assembly.pieces if piece.event.picture and piece.event.record.length(rate)]
    seen.sort(key=lambda piece: piece.event.record.numbers(rate))
    heard = [piece for piece in assembly.pieces if piece.event.sounds and piece.event.record.length(rate)]
    if not seen and not heard:
        raise BadMedia("the list has no events")
    takes = [_take(piece, library, rate) for piece in seen]
    start = min(piece.event.record.numbers(rate)[0] for piece in seen or heard)
    at = start
    for piece in seen:
        first, end = piece.event.record.numbers(rate)
        if first != at:
            what = f"{first - at} frames of nothing before it" if first > at else "another event in its place"
            raise BadMedia(f"{piece.event.shown} has {what}")
        at = end
    end = at if seen else max(piece.event.record.numbers(rate)[1] for piece in heard)
    channels = sorted({channel for piece in heard for channel in piece.event.sounds})
    tracks = [_track(channel, heard, library, rate, start, end) for channel in channels]
    return Programme(tuple(takes), tuple(track for track, _ in groupby(tracks)), start, rate, cuts.drop)


def _take(piece: Piece, library: Library, rate: Fraction, channel: int | None = None) -> Take:
    """An event's frames as they are in its film, on a channel where it is heard.

    Raises BadMedia with the event and the reason why they are not.
    """
    event = piece.event
    _refuse_effects(event, rate)
    if piece.path is None or piece.asked is None or piece.frames is None or piece.counting is None:
        raise BadMedia(f"{event.shown} has no film: {piece.reason}")
    asked = replace(piece.asked, head=0, tail=0)
    count, wanted = place(asked, piece.counting).count, event.record.length(rate)
    if piece.counting.rate != rate:
        raise BadMedia(f"{event.shown}: {piece.path} has another frame rate than the record")
    if count != wanted:
        raise BadMedia(f"{event.shown} has {count} frames of its film for {wanted} of the record")
    track = 0
    if channel is not None:
        try:
            track = sound_track(library.film(piece.path), channel, event.sounds)
        except BadMedia as error:
            raise BadMedia(f"{event.shown}: {error}") from None
    return Take(library.kept(piece.path).source, asked, track)


def _refuse_effects(event: Event, rate: Fraction) -> None:
    if event.transition is not Transition.CUT:
        raise BadMedia(f"{event.shown} begins with a {event.transition.value}")
    if event.still or (event.speed is not None and event.speed.fps != rate):
        raise BadMedia(f"{event.shown} is shown at another speed")
    if not event.needs_media:
        raise BadMedia(f"{event.shown} is {event.origin.value}")


def _track(
    channel: int, heard: Sequence[Piece], library: Library, rate: Fraction, start: int, end: int
) -> tuple[Take | Silence, ...]:
    """What is heard on a channel from `start` to `end`, silence between the events."""
    pieces = [piece for piece in heard if channel in piece.event.sounds]
    pieces.sort(key=lambda piece: piece.event.record.numbers(rate))
    track: list[Take | Silence] = []
    at = start
    for piece in pieces:
        first, ends = piece.event.record.numbers(rate)
        if first < at or ends > end:
            where = "begins before what is before it ends" if first < at else "ends after the picture"
            raise BadMedia(f"{piece.event.shown} {where} on channel {channel} of the sound")
        if not piece.event.needs_media:
            continue
        if first > at:
            track.append(Silence(first - at))
        track.append(_take(piece, library, rate, channel))
        at = ends
    if at < end:
        track.append(Silence(end - at))
    return tuple(track)


def sound_track(film: Film, channel: int, wanted: Sequence[int]) -> int:
    """Which of a film's sound tracks has its channel of that number. Raises BadMedia.

    A track is heard as it is: where it has several channels, an event must want them all. A sound file of one channel
    is what an event of any channel hears.
    """
    if isinstance(film.of, Wave) and film.of.channels == 1:
        return 0
    if isinstance(film.of, Mxf):
        movie = movie_of(film.of).movie
    else:
        movie = (film.of if isinstance(film.of, QuickTime) else movie_of_sound(film.of)).movie
    before = 0
    for number, track in enumerate(movie.sounds):
        own = range(before + 1, before + channels_of(track) + 1)
        before = own[-1] if own else before
        if channel in own:
            if not set(own) <= set(wanted):
                raise BadMedia(f"channel {channel} of {film.name} is one of {len(own)} that lie together")
            return number
    raise BadMedia(f"{film.name} has no channel {channel} of sound")
