"""What an original is to those who make proxies of it: its pictures one by one, its sound tracks, its labels.

The first pictures are decoded to see what they are. A picture is known by its time: what the container
shows (edit lists applied) is what the proxy will have, each with its own time.
"""

from array import array
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia
from filmfs.core.words import counted
from filmfs.media.boxes import FIRST_BOXES
from filmfs.media.demuxing import demuxed
from filmfs.proxy.looking import Looked, how_cut_off, look_at_packets, look_at_tables, refuse_cut_off_sound
from filmfs.proxy.pacing import count_pictures, pace_of
from filmfs.proxy.reading import Opener, Reading

_LOOKED_AT = 1  # pictures that are decoded to see what they are
_LOOKED_AT_IN_DOUBT, _LOOKED_AT_IF_INTRA = 12, 2
_LOOKED_FOR, _FAR = 16, 2  # groups in which one is looked for that takes so many times fewer bytes
_INTRA = {
    "prores",
    "dnxhd",
    "mjpeg",
    "cfhd",
    "jpeg2000",
    "dvvideo",
    "rawvideo",
    "v210",
    "ffvhuff",
    "huffyuv",
    "utvideo",
}
_QUICKTIME = "mov,mp4"
_PROGRESSIVE = {0, 1}  # AVFieldOrder: unknown, progressive
_FULL = 2
_RGB = 0


@dataclass(frozen=True, slots=True)
class Colours:
    """What the numbers of a picture mean, as ITU-T H.273 numbers it; `is_full`: from 0 to the largest."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """The pictures of an original, in the order in which they are shown.

    `times` are in `time_base` seconds, as FFmpeg tells them; `starts` numbers those with which decoding can begin, so
    that all after them can be decoded. `is_counted`: their times are of no use for finding them, so they are decoded
    from the first one on and numbered. `last` is how long the last one is shown, in `time_base`. `sizes` are how many
    bytes each takes; there are none where all are taken to be alike. `lost` packets of a counted one have no picture.
    """

    stream: int
    codec: str
    pixels: str
    width: int
    height: int
    shape: Fraction | None
    rate: Fraction
    is_steady: bool
    time_base: Fraction
    times: "array[int]"
    starts: "array[int]"
    last: int
    colours: Colours
    is_interlaced: bool
    has_alpha: bool
    turned: tuple[int, ...] | None = None  # a display matrix, nine numbers
    is_counted: bool = False
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    lost: int = 0

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.times)

    def without_times(self) -> "Picture":
        """The same for who has a span of its own: with the first picture's time alone."""
        return replace(self, times=self.times[:1], starts=array("q"), sizes=array("q"))


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound track."""

    stream: int
    codec: str
    rate: int
    layout: str
    channels: int
    is_deep: bool  # more than 16 bits


@dataclass(frozen=True, slots=True)
class Labels:
    """Start time code (as people write it) and reel, where something says them."""

    timecode: str | None = None
    reel: str | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """A film or a sound file. Times count from `zero`, in seconds of the container's own."""

    picture: Picture | None
    sounds: tuple[Sound, ...]
    zero: Fraction = Fraction(0)
    labels: Labels = field(default_factory=Labels)
    flaws: tuple[str, ...] = ()  # what is wrong with it, in words
    seconds: int = 0  # about how long it is, where there is sound alone


def examine(opener: Opener) -> Original:
    """Looks at an original.

    Raises BadMedia when FFmpeg knows nothing that it could be, or when it has no frames; DiskFailure where it cannot be
    read. Where the reading mends that, it is raised only if every packet must be looked at.
    """
    reading = Reading.of(opener)
    with opened(reading) as container:
        stream = next((each for each in container.streams.video if not _is_cover(each)), None)
        sounds = tuple(_sound(number, each) for number, each in enumerate(container.streams.audio))
        if stream is None and not sounds:
            raise BadMedia("there is neither a picture nor sound in it")
        if container.format.name == "wav":
            refuse_cut_off_sound(reading)
        labels = _labels(container)
        picture = None if stream is None else _picture(reading, container, stream)
        zero = Fraction(0)
        if picture is not None and stream is not None and stream.start_time is None:  # packets without a container
            zero = picture.times[0] * picture.time_base
        elif not container.format.name.startswith(_QUICKTIME) and container.start_time is not None:
            zero = Fraction(container.start_time, av.time_base)
        lost = picture.lost if picture is not None else 0
        flaws = [f"{counted(lost, 'packet')} cannot be decoded: pictures are missing or damaged"] if lost else []
        flaws += [ending] if (ending := how_cut_off(reading)) else []
        reading.raise_failure()
        seconds = 0 if picture is not None else (container.duration or 0) // av.time_base
        return Original(picture, sounds, zero, labels, tuple(flaws), seconds)


def opened(reading: Reading) -> "av.container.InputContainer":
    """Opens it. Raises BadMedia, and DiskFailure where it cannot be read.

    QuickTime says what its streams are: no pictures are decoded to find out, which takes up to seconds.
    """
    place = reading()
    is_quicktime = _is_quicktime(place)
    try:
        container = av.open(place, "r", options={"skip_frame": "all"} if is_quicktime else {})
    except av.FFmpegError as error:
        refusal = reading.refuse(error)
        if isinstance(refusal, BadMedia) and is_quicktime:
            raise BadMedia(
                f"{refusal}; its index (moov) is not there or damaged, as where a copy was cut off"
            ) from None
        raise refusal from None
    reading.raise_failure()
    return container


def _is_quicktime(place: str | BinaryIO) -> bool:
    if isinstance(place, str):
        with suppress(OSError), open(place, "rb") as file:
            return file.read(8)[4:] in FIRST_BOXES
        return False
    head = place.read(8)
    place.seek(0)
    return head[4:] in FIRST_BOXES


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _sound(number: int, stream: "av.audio.stream.AudioStream") -> Sound:
    context = stream.codec_context
    deep = (context.format.bits > 16 and not context.format.name.startswith("flt")) or context.name.startswith("pcm_f")
    channels = context.layout.nb_channels
    layout = {1: "mono", 2: "stereo"}.get(channels, context.layout.name)  # some containers do not say which
    return Sound(number, context.name, context.sample_rate, layout, channels, deep)


def _labels(container: "av.container.InputContainer") -> Labels:
    said = [container.metadata, *(stream.metadata for stream in container.streams)]

    def find(*names: str) -> str | None:
        return next((each[name] for name in names for each in said if each.get(name)), None)

    return Labels(find("timecode"), find("reel_name", "reel_uid"))


def _picture(reading: Reading, container: "av.container.InputContainer", stream: VideoStream) -> Picture:
    context = stream.codec_context
    if not context.width:
        raise BadMedia("no decoder here for its pictures")
    number = container.streams.video.index(stream)
    looked = look_at_tables(reading, stream) if container.format.name.startswith(_QUICKTIME) else None
    is_sure = looked is not None
    looked = looked or look_at_packets(reading, container, stream)
    if not looked.times and looked.is_trusted:
        raise BadMedia("it has no frames")
    if container.format.name == "mxf":
        _refuse_gaps(stream, len(looked.times))
    is_intra = context.name in _INTRA
    starts = looked.starts(is_intra=is_intra)
    seen = _one_picture(reading, container, stream, looked, starts) if is_sure else None
    if seen is None or not seen.decoded:  # its packets are through; or the first is one that an edit list leaves out
        with opened(reading) as again:
            most = _LOOKED_AT_IF_INTRA if is_intra else _LOOKED_AT_IN_DOUBT
            seen = _first_pictures(reading, again, again.streams.video[number], most)
    if not seen.decoded:
        raise BadMedia("none of its first pictures can be decoded")
    first = seen.first
    assert first is not None
    times, is_counted, lost = looked.times, not looked.is_trusted or not seen.is_as(looked.times), 0
    if is_counted:
        with opened(reading) as again:
            times, lost = count_pictures(reading, again, again.streams.video[number], stream)
    rate, is_steady = pace_of(times, stream)
    return Picture(
        number,
        context.name,
        first.format.name,
        first.width,
        first.height,
        stream.sample_aspect_ratio or None,
        rate,
        is_steady,
        Fraction(stream.time_base or 1),
        times,
        array("q", [0]) if is_counted else starts,
        looked.last or round(1 / rate / Fraction(stream.time_base or 1)),
        colours_of(first),
        seen.is_interlaced or context.field_order not in _PROGRESSIVE,
        any(component.is_alpha for component in first.format.components),
        matrix_of(first),
        is_counted,
        array("q") if is_counted else looked.sizes,
        lost,
    )


def _refuse_gaps(stream: VideoStream, found: int) -> None:
    """MXF: FFmpeg passes over a frame whose place is damaged, and takes those after it for earlier ones."""
    if stream.duration and stream.time_base and stream.average_rate:
        promised = round(stream.duration * stream.time_base * stream.average_rate)
        if found < promised:
            raise BadMedia(
                f"{promised - found} of its {promised} frames are not to be found: it is damaged or was cut off"
            )


@dataclass(slots=True)
class _Seen:
    first: "av.VideoFrame | None"
    decoded: list[int | None]
    is_interlaced: bool
    had_errors: bool

    def is_as(self, times: "array[int]") -> bool:
        """Whether the pictures that came out are those that the packets promised; some may be needed before them."""
        if self.had_errors:
            return True
        first = next((number for number, time in enumerate(times) if time == self.decoded[0]), 0)
        return self.decoded == list(times[first : first + len(self.decoded)])


def _one_picture(
    reading: Reading,
    container: "av.container.InputContainer",
    stream: VideoStream,
    looked: Looked,
    starts: "array[int]",
) -> _Seen:
    """The first, or one near it that takes far fewer bytes: of an encoder's first pictures some take a second."""
    least = min(starts[:_LOOKED_FOR], key=looked.sizes.__getitem__)
    if _FAR * looked.sizes[least] < looked.sizes[0]:
        with suppress(av.FFmpegError):
            container.seek(looked.times[least], stream=stream)
    return _first_pictures(reading, container, stream, _LOOKED_AT)


def _first_pictures(
    reading: Reading, container: "av.container.InputContainer", stream: VideoStream, most: int
) -> _Seen:
    """Decodes some; of one alone no decoder waits for those that follow."""
    stream.thread_type = "NONE"
    seen = _Seen(None, [], False, False)
    try:
        for packet in demuxed(container, stream):
            try:
                frames = packet.decode()
                if most == 1 and not frames and packet.size:
                    frames = stream.codec_context.decode(None)
                    if not frames:
                        return seen  # nothing that follows could be decoded without it
            except av.FFmpegError:
                seen.had_errors = True
                continue
            for frame in frames:
                seen.first = seen.first or frame
                seen.decoded.append(frame.pts)
                seen.is_interlaced = seen.is_interlaced or frame.interlaced_frame
            if len(seen.decoded) >= most:
                break
    except av.FFmpegError as error:
        reading.raise_failure(error)
        seen.had_errors = True
    reading.raise_failure()
    return seen


def colours_of(frame: "av.VideoFrame") -> Colours:
    """What its numbers mean, as it says itself."""
    is_full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    matrix = _RGB if frame.format.is_rgb else frame.colorspace  # some decoders do not say so
    return Colours(frame.color_primaries, frame.color_trc, matrix, is_full)


def matrix_of(frame: "av.VideoFrame") -> tuple[int, ...] | None:
    """Its display matrix, where it is turned or mirrored by it."""
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV refuses all when it does not know one of them (18.1: Exif)
        return None
    if data is None:
        return None
    raw = bytes(memoryview(data))  # type: ignore[arg-type]
    numbers = tuple(int.from_bytes(raw[at : at + 4], "little", signed=True) for at in range(0, 36, 4))
    return None if numbers == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30) else numbers
