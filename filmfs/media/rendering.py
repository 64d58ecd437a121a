"""A cut list as a movie of newly encoded pictures: what `media.conforming` cannot make of the films' own bytes.

Dissolves and wipes, other speeds, freezes, gaps, films of several codecs and sizes. Each frame of the record is made of
the source frames that the list says, found by their numbers; nothing is guessed from the clock. At another speed the
nearest frame is shown and no sound is heard.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO, TypeVar

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import PictureType
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia
from filmfs.core.smpte import label_of
from filmfs.media.compositing import BT709, RGB, UNSPECIFIED, Canvas, refuse_unknown
from filmfs.media.decoding import Opener, Pictures, Samples, resampled

SOUND_RATE = 48_000
_OPEN_MAX = 24
_SLICE_S = 10
_Reader = TypeVar("_Reader", Pictures, Samples)


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Pictures of a film from frame `first` on, `speed` of its frames for each of the record (0 freezes).

    `offset` frames of the record were shown before: the event is the rest of one that began with `first`.
    """

    film: Opener
    first: int
    speed: Fraction = Fraction(1)
    offset: int = 0

    def frame(self, number: int) -> int:
        """Which of the film's frames the event shows as this one of its own: the nearest, of two the later."""
        return self.first + int(((self.offset + number) * self.speed + Fraction(1, 2)) // 1)


@dataclass(frozen=True, slots=True)
class SoundSource:
    """A sound track of a film (0 is the first) from its frame `first` on.

    Of a sound file the first frame begins `offset` seconds after it does.
    """

    film: Opener
    first: int
    track: int = 0
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Transition:
    """How an event takes the place of a picture, in its first frames: "dissolve", or the number of a wipe.

    That is the one before it, or with `is_apart` the picture `outgoing` (none: black), which was not shown before.
    """

    kind: str | int
    frames: int
    is_apart: bool = False
    outgoing: PictureSource | None = None


@dataclass(frozen=True, slots=True)
class RenderEvent:
    """`count` frames of the record: a picture, or black where there is none; and what each sound track has."""

    count: int
    picture: PictureSource | None
    sounds: Sequence[SoundSource | None] = ()
    transition: Transition | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoders by FFmpeg's names for them."""

    picture: str
    pixels: str
    options: Mapping[str, str] = field(default_factory=dict)
    sound: str = "pcm_s24le"


PRORES_HQ = Encoding("prores_ks", "yuv422p10le", {"profile": "3", "vendor": "apl0"})


def render(
    events: Sequence[RenderEvent],
    target: str | BinaryIO,
    *,
    rate: Fraction,
    start: int,
    drop: bool,
    reel: str | None = None,
    size: tuple[int, int] | None = None,
    encoding: Encoding = PRORES_HQ,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Writes the movie of events that follow each other from the frame number `start` on, as QuickTime.

    The colours are those of the first picture, and so is the size where nobody says. `progress` is told how many frames
    are done after each, and may raise to end it.
    Raises BadMedia with the event's number from 1; what was written then is to be thrown away.
    """
    for number, event in enumerate(events, 1):
        with _named(number):
            _refuse(event, is_first=number == 1)
    with closing(_Films()) as films:
        _Rendering(events, films, rate, size or _first_size(events, films), encoding).write(
            target, str(label_of(start, rate, drop=drop)), reel, progress
        )


def _refuse(event: RenderEvent, *, is_first: bool) -> None:
    """Raises BadMedia for an event that makes no sense."""
    if event.count < 1:
        raise BadMedia("it has no frames")
    if event.transition is not None:
        refuse_unknown(event.transition.kind)
        if not 0 < event.transition.frames <= event.count:
            raise BadMedia(f"its transition has {event.transition.frames} frames, and it has {event.count}")
        if is_first and not event.transition.is_apart:
            raise BadMedia("nothing is before it that its transition could come from")


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Says which event an error is about."""
    try:
        yield
    except BadMedia as error:
        raise BadMedia(f"event {number}: {error}") from None


def _first_size(events: Sequence[RenderEvent], films: "_Films") -> tuple[int, int]:
    for number, event in enumerate(events, 1):
        if event.picture is not None:
            with _named(number):
                first = films.pictures(event.picture.film).picture(event.picture.frame(0))
                return first.width // 2 * 2, first.height // 2 * 2
    raise BadMedia("the events have no picture that says how large the movie is")


class _Films:
    """The films that are open; those that were used longest ago are closed."""

    def __init__(self) -> None:
        self._open: dict[object, Pictures | Samples] = {}

    def pictures(self, film: Opener, *, outgoing: bool = False) -> Pictures:
        """The pictures of a film; of the one that goes in a transition apart, as both may be of one film."""
        key = film, outgoing
        found = self._open.pop(key, None) or Pictures(film)
        assert isinstance(found, Pictures)
        return self._kept(key, found)

    def samples(self, film: Opener, track: int) -> Samples:
        """The samples of a film's sound track."""
        key = film, track, "sound"
        found = self._open.pop(key, None) or Samples(film, track)
        assert isinstance(found, Samples)
        return self._kept(key, found)

    def _kept(self, key: object, found: _Reader) -> _Reader:
        self._open[key] = found
        while len(self._open) > _OPEN_MAX:
            self._open.pop(next(iter(self._open))).close()
        return found

    def close(self) -> None:
        """Closes them all."""
        while self._open:
            self._open.popitem()[1].close()


class _Mixing:
    """What the sound tracks have during an event, 32-bit samples of all channels."""

    def __init__(self, events: Sequence[RenderEvent], films: _Films, rate: Fraction) -> None:
        self._events, self._films, self._rate = events, films, rate
        self.layouts: list[str] = []
        for track in range(max((len(event.sounds) for event in events), default=0)):
            named = (
                (number, event.sounds[track]) for number, event in enumerate(events, 1) if track < len(event.sounds)
            )
            layout = "mono"
            for number, source in named:
                if source is not None:
                    with _named(number):
                        layout = films.samples(source.film, source.track).layout
                    break
            self.layouts.append(layout)

    def heard(self, number: int, track: int, at: int, frames: range) -> bytes:
        """What a track has in these frames of an event that begins with frame `at` of the record."""
        event, width = self._events[number], 4 * av.AudioLayout(self.layouts[track]).nb_channels
        new = self._of(event, track, frames, at, at)
        if event.transition is None or event.transition.is_apart or frames.start >= event.transition.frames:
            return new
        mixed_to = position(at + event.transition.frames, self._rate) - position(at, self._rate)
        done = position(at + frames.start, self._rate) - position(at, self._rate)
        before = self._events[number - 1]
        follows = range(before.count + frames.start, before.count + frames.stop)
        old = self._of(before, track, follows, at - before.count, at)
        return _crossfaded(old, new, done, mixed_to, width // 4)

    def _of(self, event: RenderEvent, track: int, frames: range, began: int, at: int) -> bytes:
        layout = self.layouts[track]
        first = position(began + frames.start, self._rate)
        count = position(began + frames.stop, self._rate) - first
        source = event.sounds[track] if track < len(event.sounds) else None
        if source is None or (event.picture is not None and event.picture.speed != 1):
            return bytes(count * 4 * av.AudioLayout(layout).nb_channels)
        sound = self._films.samples(source.film, source.track)
        if sound.layout != layout:
            raise BadMedia(f"sound track {track + 1} is {sound.layout} there, and began as {layout}")
        begins, rate = self._clock(source.film)
        starts = (
            begins + source.offset + source.first / rate + Fraction(first - position(began, self._rate), SOUND_RATE)
        )
        wanted = count if sound.rate == SOUND_RATE else -(-count * sound.rate // SOUND_RATE)
        return resampled(sound.read(starts, wanted), layout, sound.rate, SOUND_RATE, count)

    def _clock(self, film: Opener) -> tuple[Fraction, Fraction]:
        """When a film's first frame is, and how many a second has; the record's where it has no picture."""
        try:
            pictures = self._films.pictures(film)
        except BadMedia:
            return Fraction(0), self._rate
        return pictures.begins, pictures.rate


def position(frame: int, rate: Fraction) -> int:
    """The sample with which a frame of the record begins."""
    return round(frame * SOUND_RATE / rate)


def _crossfaded(old: bytes, new: bytes, done: int, length: int, channels: int) -> bytes:
    """`new` that comes as `old` goes, over `length` samples of which so many are over."""
    before, after = array("i", old), array("i", new)
    for number in range(min(len(after), (length - done) * channels, len(before))):
        share = done + number // channels
        after[number] = (before[number] * (length - share) + after[number] * share) // length
    return after.tobytes()


class _Rendering:
    """The movie while it is written."""

    def __init__(
        self, events: Sequence[RenderEvent], films: _Films, rate: Fraction, size: tuple[int, int], encoding: Encoding
    ) -> None:
        self._events, self._films, self._rate, self._encoding = events, films, rate, encoding
        self._colours = self._first_colours()
        self._canvas = Canvas(*size, encoding.pixels, self._colours[2])
        self._black = self._canvas.black()
        self._mixing = _Mixing(events, films, rate)

    def write(
        self, target: str | BinaryIO, timecode: str, reel: str | None, progress: Callable[[int], None] | None
    ) -> None:
        """Writes it."""
        with av.open(target, "w", format="mov") as container:
            picture = _picture_stream(container, self._encoding, self._canvas, self._rate)
            context = picture.codec_context
            context.color_primaries, context.color_trc, context.colorspace = self._colours
            picture.metadata["timecode"] = timecode
            if reel:
                picture.metadata["reel_name"] = reel
            sounds = [_sound_stream(container, self._encoding.sound, layout) for layout in self._mixing.layouts]
            at = done = 0
            for number, event in enumerate(self._events):
                with _named(number + 1):
                    for frames in _slices(event.count, self._rate):
                        heard = [self._mixing.heard(number, track, at, frames) for track in range(len(sounds))]
                        for frame in frames:
                            shown = self._shown(number, frame)
                            shown.pts, shown.time_base, shown.pict_type = done, 1 / self._rate, PictureType.NONE
                            container.mux(picture.encode(shown))
                            for track, sound in enumerate(sounds):
                                container.mux(sound.encode(self._sound(track, heard[track], at, frames.start, frame)))
                            done += 1
                            if progress is not None:
                                progress(done)
                at += event.count
            container.mux(picture.encode(None))
            for sound in sounds:
                container.mux(sound.encode(None))

    def _first_colours(self) -> tuple[int, int, int]:
        """Those of the first picture that is shown. RGB gets BT.709's matrix; who says that and no more is BT.709."""
        first = next((event.picture for event in self._events if event.picture is not None), None)
        colours = self._films.pictures(first.film).colours if first is not None else (UNSPECIFIED,) * 3
        primaries, transfer, matrix = colours
        matrix = BT709 if matrix == RGB else matrix
        # FFmpeg writes all three or none, and players take what says none and is small for BT.601.
        is_alone = primaries == transfer == UNSPECIFIED and matrix == BT709
        return (BT709,) * 3 if is_alone else (primaries, transfer, matrix)

    def _shown(self, number: int, frame: int) -> av.VideoFrame:
        """A frame of an event."""
        event = self._events[number]
        new = self._fitted(event.picture, frame)
        change = event.transition
        if change is None or frame >= change.frames:
            return new
        if change.is_apart:
            old = self._fitted(change.outgoing, frame, outgoing=True)
        else:
            before = self._events[number - 1]
            old = self._fitted(before.picture, before.count + frame, outgoing=True)
        return self._canvas.mixed(old, new, change.kind, Fraction(2 * frame + 1, 2 * change.frames))

    def _fitted(self, source: PictureSource | None, frame: int, *, outgoing: bool = False) -> av.VideoFrame:
        if source is None:
            return self._black
        film = self._films.pictures(source.film, outgoing=outgoing)
        return self._canvas.fitted(film.picture(source.frame(frame)), film.shape)

    def _sound(self, track: int, heard: bytes, at: int, heard_from: int, frame: int) -> av.AudioFrame:
        """The samples of one frame of the record, of those that were heard from one of an event on."""
        layout = self._mixing.layouts[track]
        begins, ends = position(at + frame, self._rate), position(at + frame + 1, self._rate)
        width = 4 * av.AudioLayout(layout).nb_channels
        skipped = (begins - position(at + heard_from, self._rate)) * width
        made = av.AudioFrame(format="s32", layout=layout, samples=ends - begins)
        data = heard[skipped : skipped + (ends - begins) * width]
        made.planes[0].update(data.ljust(made.planes[0].buffer_size, b"\0"))
        made.sample_rate, made.pts, made.time_base = SOUND_RATE, begins, Fraction(1, SOUND_RATE)
        return made


def _picture_stream(container: OutputContainer, encoding: Encoding, canvas: Canvas, rate: Fraction) -> VideoStream:
    stream = container.add_stream(encoding.picture, rate=rate, options=dict(encoding.options))
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, canvas.pixels
    stream.time_base = 1 / rate
    stream.thread_type = "AUTO"
    return stream


def _sound_stream(container: OutputContainer, codec: str, layout: str) -> AudioStream:
    stream = container.add_stream(codec, rate=SOUND_RATE, layout=layout)
    assert isinstance(stream, AudioStream)
    return stream


def _slices(count: int, rate: Fraction) -> Iterator[range]:
    """The frames of an event in stretches whose sound fits in memory."""
    step = max(1, int(_SLICE_S * rate))
    return (range(start, min(start + step, count)) for start in range(0, count, step))
