"""The pictures of an original from one to another, every one of them.

A picture that cannot be decoded is shown as the one before it, or the first that can be, and is said to be damaged; so
is one that was decoded with errors. Whatever a decoder does, as many come out as the original shows, in its order.
Those that may refer to a damaged one are known when all have come out: see `harm`.
A decoder that makes smaller pictures than it read is another `Decoder`: what follows takes pictures of any size.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapreplace
from itertools import accumulate, product, repeat
from typing import Any, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from filmfs.core.errors import BadMedia
from filmfs.proxy.harm import Account
from filmfs.proxy.looking import packets_of
from filmfs.proxy.originals import Picture, opened
from filmfs.proxy.reading import Opener, Reading

_VAIN_MAX = 6  # a span may have a sixth of its length decoded in vain before it
_LEAST = 12  # frames of a span: each opens the original anew
_POINTS_OF_BYTE = 12  # a byte takes as long to decode (25 ns ProRes, 75 ns CABAC) as so many points all else
_AGAIN, _AGAIN_IF_INTRA = 3, Fraction(1, 2)  # mean pictures that a span costs besides: the key after it, new encoders
_SHARE = Fraction(3, 4)  # of what is left, for all workers together
_BACK_S = Fraction(1)  # how much earlier it is sought when the container went too far


@dataclass(frozen=True, slots=True)
class Span:
    """Pictures `first` up to `first` + count, and what it takes to find them.

    `times` are theirs, `seek` that of the picture with which decoding begins, and `before` how many pictures earlier
    than `first` are wanted too, `after` how many later ones (as far as there are any): neighbours for a filter.
    `effort` is what it takes about, to compare it with others.
    """

    first: int
    times: "array[int]"
    seek: int
    before: int = 0
    after: int = 0
    effort: int = 0

    @property
    def count(self) -> int:
        """How many are of the span."""
        return len(self.times) - self.before - self.after


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture of a span, which `number` counts from its first on (neighbours before it have negative ones)."""

    number: int
    frame: "av.VideoFrame"
    is_damaged: bool
    other_size: tuple[int, int] | None = None  # its own, where that is why another is shown


class Decoder(Protocol):
    """Gives all pictures of a span with its neighbours, in order."""

    def pictures(self, span: Span) -> Iterator[Shown]:
        """Raises BadMedia when there is none at all."""

    def harmed(self) -> set[int]:
        """The numbers of those that may be harmed by others, of the span of which all pictures were given last."""


class FFmpegDecoder:
    """The whole picture, by FFmpeg. The original stays open until `close`: to open one may take as long as a second.

    Where it cannot be read DiskFailure is raised, or its pictures are damaged where the reading mends that.
    """

    def __init__(self, opener: Opener, picture: Picture, threads: int = 1) -> None:
        self._reading = Reading.of(opener)
        self._picture = picture
        self._threads = threads
        self._container: InputContainer | None = None
        self._account = Account()
        self._numbers: dict[int, int] = {}  # of pictures, by the times that the decoder knows

    def close(self) -> None:
        """Lets the original go."""
        if self._container is not None:
            self._container.close()
            self._container = None

    def pictures(self, span: Span) -> Iterator[Shown]:
        """See Decoder."""
        if self._picture.is_counted:
            return self._by_number(span)
        return self._by_time(span)

    def harmed(self) -> set[int]:
        """See Decoder."""
        if self._picture.is_counted:
            return self._account.harmed_of_counted(self._numbers)
        return {self._numbers[time] for time in self._account.harmed() if time in self._numbers}

    def _by_time(self, span: Span) -> Iterator[Shown]:
        times, at, latest = span.times, 0, None
        self._numbers = {time: number for number, time in enumerate(times, -span.before)}
        for frame, is_damaged in self._frames(span):
            if frame.pts is None:
                continue
            if frame.pts < times[at]:
                latest = frame  # what was here before is shown where one is missing
                continue
            while at < len(times) and times[at] < frame.pts:
                yield Shown(at - span.before, latest or frame, True)
                at += 1
            if at < len(times) and times[at] == frame.pts:
                yield Shown(at - span.before, frame, is_damaged)
                at, latest = at + 1, frame
            if at == len(times):
                return
        if latest is None:
            raise BadMedia(f"frames {span.first} to {span.first + span.count - 1} cannot be decoded")
        for number in range(at, len(times)):
            yield Shown(number - span.before, latest, True)

    def _by_number(self, span: Span) -> Iterator[Shown]:
        skipped = span.first - span.before
        self._numbers = {}
        at, latest = 0, None
        for number, (frame, is_damaged) in enumerate(self._frames()):
            latest = frame
            self._numbers[frame.pts or 0] = number - span.first
            if number < skipped:
                continue
            if at == len(span.times):
                return
            yield Shown(at - span.before, frame, is_damaged)
            at += 1
        if latest is None:
            raise BadMedia(f"frames {span.first} to {span.first + span.count - 1} cannot be decoded")
        for number in range(at, len(span.times)):
            yield Shown(number - span.before, latest, True)

    def _frames(self, span: Span | None = None) -> Iterator[tuple["av.VideoFrame", bool]]:
        """What is decoded for a span; None: from the beginning to the end."""
        begins = self._picture.times[0]
        seek, times = (span.seek, span.times) if span is not None else (None, None)
        back = 0
        while True:
            wanted = None if seek is None else max(begins, seek - back)
            container, stream = self._at(wanted)
            self._account = Account()
            coming = _decoded(self._reading, container, stream, self._account, begins, times)
            first = next(coming, None)
            is_late = first is None or first[0].pts is None or (seek is not None and first[0].pts > seek)
            if not is_late or wanted is None or wanted == begins:
                break
            back = max(2 * back, round(_BACK_S / self._picture.time_base))
        if first is not None:
            yield first
            yield from coming

    def _at(self, time: int | None) -> tuple[InputContainer, VideoStream]:
        """The original, so that decoding goes on at a picture or before it."""
        is_first = time is None or time == self._picture.times[0]
        if self._container is not None and is_first:
            self.close()
        if self._container is None:
            self._container = opened(self._reading)
            stream = self._container.streams.video[self._picture.stream]
            stream.thread_type = "FRAME" if self._threads > 1 else "NONE"
            stream.codec_context.thread_count = self._threads
            if self._picture.codec == "mjpeg":
                stream.codec_context.options = {"err_detect": "explode"}  # else it conceals and says nothing
        stream = self._container.streams.video[self._picture.stream]
        if not is_first and time is not None:
            try:
                self._container.seek(time, stream=stream)
            except av.FFmpegError as error:  # it cannot be sought in: from the beginning, then
                self._reading.raise_failure(error)
                self.close()
                return self._at(None)
        self._reading.raise_failure()
        return self._container, stream


def _decoded(
    reading: Reading,
    container: InputContainer,
    stream: VideoStream,
    account: Account,
    begins: int,
    times: "array[int] | None",
) -> Iterator[tuple["av.VideoFrame", bool]]:
    """Pictures as they come, each with whether it is damaged; packets that cannot be decoded are passed over.

    Those of an edit list that are decoded and not shown come too, as far as they are before `begins`: they may be
    damaged. It ends when the decoder was given those of all `times`: one that reorders would ask for some packets more
    before it gives the last of them. Where none of them can be decoded it goes on, to one that can be shown in their
    place. Without `times` pictures are counted: the time of each is the number of its packet.
    """
    concealing = av.CodecContext.create("mjpeg", "r") if stream.codec_context.name == "mjpeg" else None
    missing: set[int | None] = {None} if times is None else set(times)
    has_some = False
    for number, packet in enumerate(packets_of(reading, container, stream)):
        is_torn = reading.is_torn(packet)
        if packet.is_discard and packet.pts is not None and packet.pts < begins:
            packet = _shown(packet)
        if times is None and packet.size:
            packet.pts = number
        account.send(packet, stream)
        if packet.pts is not None:
            missing.discard(packet.pts)
        frames: list[av.VideoFrame] = []
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            account.fail(packet, stream)
            if concealing is not None and packet.size:
                account.spoil(packet)
                frames = _concealed(concealing, packet)
        if is_torn:
            account.spoil(packet)
        if not missing and packet.size:
            frames += _rest(stream)
        account.is_drained = not missing or not packet.size
        has_some = has_some or bool(frames)
        account.receive(frames)
        yield from ((frame, account.is_damaged(frame)) for frame in frames)
        if not missing and has_some:
            return


def _shown(packet: "av.Packet[Any]") -> "av.Packet[Any]":
    """The same without the mark that it is not to be shown."""
    made = av.Packet(bytes(packet))
    made.pts, made.dts, made.time_base, made.is_keyframe = packet.pts, packet.dts, packet.time_base, packet.is_keyframe
    return made


def _concealed(decoder: "av.CodecContext", packet: "av.Packet[Any]") -> list["av.VideoFrame"]:
    """What a decoder that says nothing of damage makes of a packet."""
    try:
        frames: list[av.VideoFrame] = decoder.decode(packet)  # type: ignore[attr-defined]
    except av.FFmpegError:
        return []
    for frame in frames:
        frame.pts = packet.pts
    return frames


def _rest(stream: VideoStream) -> list["av.VideoFrame"]:
    """What the decoder has still; it may be given more afterwards."""
    try:
        return stream.codec_context.decode(None)
    except av.FFmpegError:
        return []
    finally:
        stream.codec_context.flush_buffers()


def plan_spans(picture: Picture, most: int, whole: int, neighbours: int = 0, workers: int = 1) -> list[Span]:
    """All pictures in spans of about `most`, whose lengths but the last's are multiples of `whole` frames.

    A span begins where the least is decoded in vain before it: at a picture with which decoding can begin, or a few
    after it. Where nearly as much would be decoded in vain as the span is long, it is part of the one before. Spans
    take the same effort, or less towards the end, are rounded down or not, and are as long as they should be where that
    is worth some pictures in vain, or not: whichever has `workers` be done earlier.
    """
    efforts = _efforts(picture)
    shapes = [_Shape(*each) for each in product((True, False), (0, whole // 2), (0, 1))]
    plans = [_cuts(picture, efforts, most, whole, workers, shape) for shape in shapes]
    spans = [_spans(picture, efforts, cuts, neighbours) for cuts in plans]
    return min(spans, key=lambda each: _time(each, workers))


@dataclass(frozen=True, slots=True)
class _Shape:
    """Whether each span has a part of what is left; how many frames more it has before its length is rounded; how many
    pictures decoded in vain it is worth that its length is nearer to that by one."""

    grows_less: bool
    beyond: int
    weight: int


def _efforts(picture: Picture) -> list[int]:
    """What it takes to come to each picture from the first one on, and to the end."""
    points = picture.width * picture.height
    sizes = picture.sizes or repeat(0, picture.frames)
    return list(accumulate((points + _POINTS_OF_BYTE * size for size in sizes), initial=0))


def _cuts(picture: Picture, efforts: list[int], most: int, whole: int, workers: int, shape: _Shape) -> list[int]:
    """Where spans begin."""
    total, at = picture.frames, 0
    cuts = [0]
    while not picture.is_counted:
        left = efforts[-1] - efforts[at]
        share = _SHARE * left / workers if shape.grows_less and workers > 1 else Fraction(efforts[-1], workers)
        count = bisect_left(efforts, efforts[at] + share, at) - at
        step = max(1, min(most // whole, (max(_LEAST, count) + shape.beyond) // whole)) * whole
        about = at + step
        if total - about <= step // 2:
            break
        reach = max(whole, step // 4 // whole * whole)
        near = range(max(at + whole, about - reach), min(total, about + reach + 1), whole)
        far = {cut: abs(cut - about) for cut in near}
        cut = min(near, key=lambda cut: (cut - _start(picture, cut) + shape.weight * far[cut], far[cut]))
        is_cut = (cut - _start(picture, cut)) * _VAIN_MAX <= step
        if is_cut:
            cuts.append(cut)
        at = cut if is_cut else about
    return cuts


def _time(spans: list[Span], workers: int) -> int:
    """When the last worker is done: what takes most goes first, each to who is done earliest."""
    done = [0] * workers
    for span in sorted(spans, key=lambda span: -span.effort):
        heapreplace(done, done[0] + span.effort)
    return max(done)


def _start(picture: Picture, frame: int) -> int:
    """The last picture with which decoding can begin that is no later than a frame."""
    low, high = 0, len(picture.starts)
    while high - low > 1:
        middle = (low + high) // 2
        if picture.starts[middle] <= frame:
            low = middle
        else:
            high = middle
    return picture.starts[low]


def _spans(picture: Picture, efforts: list[int], cuts: list[int], neighbours: int) -> list[Span]:
    spans = []
    mean = Fraction(efforts[-1], max(1, picture.frames))
    besides = int(mean * (_AGAIN_IF_INTRA if len(picture.starts) == picture.frames else _AGAIN))
    for first, end in zip(cuts, [*cuts[1:], picture.frames], strict=True):
        low, high = max(0, first - neighbours), min(picture.frames, end + neighbours)
        start = _start(picture, low)
        effort = efforts[high] - efforts[start] + besides
        spans.append(Span(first, picture.times[low:high], picture.times[start], first - low, high - end, effort=effort))
    return spans
