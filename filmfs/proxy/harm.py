"""Pictures that may be harmed by others: decoded after one that is damaged, to which they may refer.

A decoder says nothing of them: it does not know what it should have shown. Which of them refer to the damaged one is
not looked at. All are told that may: those after it in the order of decoding, up to the next with which decoding can
begin, and of that one's those that are shown before it (an open group's, which refer to the group before).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import Any

import av
from av.video.stream import VideoStream

from filmfs.core.words import counted, runs
from filmfs.media.units import is_possible, is_reference, recovers_after


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture as the decoder got it: when it is shown, and what others have to do with it.

    `recovers`: after so many references all is right again, whatever was damaged before it; 0: with itself, None: it
    is none with which decoding can begin.
    """

    time: int
    recovers: int | None
    is_reference: bool  # others may refer to it


def harmed(order: Iterable[Sent], damaged: Collection[int]) -> set[int]:
    """The times of those that may be harmed by others, of pictures in the order of decoding; `damaged` are times."""
    found: set[int] = set()
    key, is_broken, is_broken_before = None, False, False
    left: int | None = None  # references until all is right
    for sent in order:
        if left is not None and sent.is_reference:
            left -= 1
        if sent.recovers is not None:
            left = sent.recovers
        if left == 0:
            if sent.recovers == 0:
                key, is_broken_before = sent.time, is_broken
            is_broken, left = False, None
        leads = key is not None and sent.time < key
        if is_broken or (leads and is_broken_before):
            found.add(sent.time)
        if sent.time in damaged and sent.is_reference:
            is_broken_before = is_broken_before or leads  # what leads is referred to by what leads alone
            is_broken, left = is_broken or not leads, left if leads else None
    return found


class Account:
    """What a decoder was given, and what came of it."""

    def __init__(self) -> None:
        self.is_drained = False  # it has nothing left that was given to it
        self._sent: list[Sent] = []
        self._came: set[int] = set()
        self._damaged: set[int] = set()
        self._has_failed = False

    def send(self, packet: "av.Packet[Any]", stream: VideoStream) -> None:
        """A packet that the decoder gets next."""
        if not packet.size or packet.pts is None:
            return
        self.is_drained = False
        codec, data = stream.codec_context, memoryview(packet)
        if codec.codec.intra_only:
            self._sent.append(Sent(packet.pts, 0, is_reference=True))
            return
        recovers = recovers_after(codec.name, codec.extradata, data) if packet.is_keyframe else None
        is_one = recovers is not None or is_reference(codec.name, codec.extradata, data)
        self._sent.append(Sent(packet.pts, recovers, is_one))
        if not is_possible(codec.name, codec.extradata, data):
            self.spoil(packet)

    def spoil(self, packet: "av.Packet[Any]") -> None:
        """Its picture is damaged, whatever the decoder says."""
        if packet.pts is not None:
            self._damaged.add(packet.pts)

    def fail(self, packet: "av.Packet[Any]", stream: VideoStream) -> None:
        """It could not be decoded, or one of those before it where the decoder has several threads."""
        self._has_failed = True
        if stream.codec_context.thread_count == 1:
            self.spoil(packet)

    def receive(self, frames: "Iterable[av.VideoFrame]") -> None:
        """Pictures that came out."""
        for frame in frames:
            if frame.pts is not None:
                self._came.add(frame.pts)
                if frame.is_corrupt:
                    self._damaged.add(frame.pts)

    def is_damaged(self, frame: "av.VideoFrame") -> bool:
        """Of a picture that was received."""
        return frame.is_corrupt or frame.pts in self._damaged

    def harmed(self) -> set[int]:
        """The times of those that are whole, but may be harmed by others: pictures come in the order of their times."""
        latest = max(self._came, default=0)
        # Decoders pass over pictures at the beginning that are not right yet.
        began = dropwhile(lambda sent: sent.time not in self._came, self._sent)
        lost = {sent.time for sent in began if sent.time not in self._came and (self.is_drained or sent.time < latest)}
        return harmed(self._sent, self._damaged | lost) - self._damaged - lost

    def harmed_of_counted(self, places: Mapping[int, int]) -> set[int]:
        """The places of such, where times are only names of packets, and not each packet has a picture."""
        after = 1 + max(places.values(), default=0)
        order = [replace(sent, time=places.get(sent.time, after + at)) for at, sent in enumerate(self._sent)]
        lost = {sent.time for sent in self._sent if sent.time not in self._came} if self._has_failed else set()
        causes = self._damaged | lost
        damaged = {place.time for place, sent in zip(order, self._sent, strict=True) if sent.time in causes}
        return {place for place in harmed(order, damaged) - damaged if place < after}


def in_words(
    damaged: Collection[int],
    may_be: Collection[int],
    missing: Collection[int] = (),
    others: Mapping[int, tuple[int, int]] | None = None,
) -> Iterator[str]:
    """What is to be said of the frames of these numbers; `others` are sizes of those that have not the first one's."""
    for width, height in sorted(set((others or {}).values())):
        alike = sorted(number for number, size in (others or {}).items() if size == (width, height))
        is_so = f"of {width}×{height}, unlike the first ({runs(alike)})"
        yield f"{counted(len(alike), 'frame')} {is_so}: the nearest one of the first's size is shown instead"
    for numbers, what in (
        (missing, "missing ({}): the nearest one is shown instead"),
        (damaged, "damaged ({}): shown as far as it can be decoded, else as the nearest one"),
        (may_be, "may show damage of others with whose help they are decoded ({})"),
    ):
        if numbers:
            yield f"{counted(len(numbers), 'frame')} {what.format(runs(sorted(numbers)))}"
