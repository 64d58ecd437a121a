"""Pictures that may be harmed by others: decoded after one that is damaged, to which they may refer.

A decoder says nothing of them: it does not know what it should have shown. Which of them refer to the damaged one is
not looked at. All are told that may: those after it in the order of decoding, up to the next with which decoding can
begin, and of that one's those that are shown before it (an open group's, which refer to the group before).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import av
from av.video.stream import VideoStream

from filmfs.core.words import counted, runs
from filmfs.media.units import is_possible, is_reference


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture as the decoder got it: when it is shown, and what others have to do with it."""

    time: int
    is_key: bool  # decoding can begin with it
    is_reference: bool  # others may refer to it


def harmed(order: Iterable[Sent], damaged: Collection[int]) -> set[int]:
    """The times of those that may be harmed by others, of pictures in the order of decoding; `damaged` are times."""
    found: set[int] = set()
    key, is_broken, is_broken_before = None, False, False
    for sent in order:
        if sent.is_key:
            key, is_broken_before, is_broken = sent.time, is_broken, False
        leads = key is not None and sent.time < key
        if is_broken or (leads and is_broken_before):
            found.add(sent.time)
        if sent.time in damaged and sent.is_reference:
            is_broken_before = is_broken_before or leads  # what leads is referred to by what leads alone
            is_broken = is_broken or not leads
    return found


class Account:
    """What a decoder was given, and what came of it: one picture for each packet, in the order of their times."""

    def __init__(self) -> None:
        self._sent: list[Sent] = []
        self._came: set[int] = set()
        self._damaged: set[int] = set()

    def send(self, packet: "av.Packet[Any]", stream: VideoStream) -> None:
        """A packet that the decoder gets next."""
        if packet.size and packet.pts is not None:
            codec = stream.codec_context
            is_key = packet.is_keyframe or codec.codec.intra_only
            is_one = is_key or is_reference(codec.name, codec.extradata, memoryview(packet))
            self._sent.append(Sent(packet.pts, is_key, is_one))
            if _is_silent(codec) and not is_possible(codec.name, codec.extradata, memoryview(packet)):
                self.spoil(packet)

    def spoil(self, packet: "av.Packet[Any]") -> None:
        """Its picture is damaged, whatever the decoder says."""
        if packet.pts is not None:
            self._damaged.add(packet.pts)

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

    def harmed(self, numbers: Mapping[int, int] | None = None) -> set[int]:
        """The times of those that are whole, but may be harmed by others.

        `numbers`: their places among those that came out, where times say nothing of them.
        """
        latest = max(self._came, default=0)
        if numbers is None:
            lost = {sent.time for sent in self._sent if sent.time < latest and sent.time not in self._came}
            return harmed(self._sent, self._damaged | lost) - self._damaged - lost
        none = 1 + max(numbers.values(), default=0)
        order = [replace(sent, time=numbers.get(sent.time, none)) for sent in self._sent]
        damaged = {numbers.get(time, none) for time in self._damaged}
        places = harmed(order, damaged) - damaged
        return {time for time, number in numbers.items() if number in places}


def _is_silent(codec: "av.VideoCodecContext") -> bool:
    """Whether FFmpeg's decoder (8.0) says nothing of zeros in a picture: H.264's ends a unit there."""
    return codec.name == "hevc" or (codec.name == "h264" and (codec.extradata or b"")[:1] != b"\1")


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
