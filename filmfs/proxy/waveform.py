"""A picture of sound: how loud each channel is over its time, all channels one under another.

Samples are read once, and of each stretch of them the lowest and the highest is kept: when there are too many
stretches, two become one. A column of the picture reaches from the lowest to the highest of the samples that it
stands for, and to silence.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av

from filmfs.proxy.bitmaps import Bitmap
from filmfs.proxy.originals import Original, Sound
from filmfs.proxy.reading import Opener
from filmfs.proxy.sounding import pieces

WIDTH, HEIGHT = 960, 270
_SILENCE = 128  # of samples of 8 bits
_STRETCHES_MAX = 16 * WIDTH
_BACK, _LANE_END, _WAVE = 24, 48, 180  # luma
_PIECE = 1 << 16


class Envelope:
    """The lowest and highest samples (8 bits) of stretches of a channel, in memory that does not grow."""

    def __init__(self) -> None:
        self._step = 1
        self._rest = bytearray()
        self._lows: list[int] = []
        self._highs: list[int] = []
        self.samples = 0

    def hear(self, samples: bytes) -> None:
        """Takes those that follow."""
        self.samples += len(samples)
        self._rest += samples
        while len(self._rest) >= self._step:
            end = min(len(self._rest) // self._step, _STRETCHES_MAX - len(self._lows)) * self._step
            for at in range(0, end, self._step):
                # What is different in it, first: that is twice as fast as to compare all.
                values = set(self._rest[at : at + self._step])
                self._lows.append(min(values))
                self._highs.append(max(values))
            del self._rest[:end]
            if len(self._lows) == _STRETCHES_MAX:
                self._halve()

    def between(self, first: Fraction, end: Fraction) -> tuple[int, int]:
        """The lowest and highest of the stretches in which samples `first` up to `end` are; silence behind the last."""
        stretches = slice(int(first / self._step), max(int(first / self._step) + 1, -int(-end // self._step)))
        lows, highs = self._lows[stretches], self._highs[stretches]
        if self._rest and stretches.stop > len(self._lows) >= stretches.start:
            lows, highs = [*lows, min(self._rest)], [*highs, max(self._rest)]
        return min(lows, default=_SILENCE), max(highs, default=_SILENCE)

    def _halve(self) -> None:
        self._lows = list(map(min, self._lows[::2], self._lows[1::2]))
        self._highs = list(map(max, self._highs[::2], self._highs[1::2]))
        self._step *= 2


@dataclass(frozen=True, slots=True)
class Lane:
    """A channel of a track with so many samples a second."""

    rate: int
    envelope: Envelope


def hear(opener: Opener, original: Original, alive: Callable[[], None] = lambda: None) -> list[Lane]:
    """All channels of all tracks of an original; `alive` is called now and then."""
    lanes = {sound.stream: [Lane(sound.rate, Envelope()) for _ in range(sound.channels)] for sound in original.sounds}
    forms: dict[int, av.AudioResampler] = {}
    wanted = {sound.stream: sound for sound in original.sounds}
    for number, track, piece in pieces(opener, wanted, original.zero):
        alive()
        heard = lanes[number]
        if piece.frame is None:
            _be_silent(heard, piece.count)
            continue
        if number not in forms:
            forms[number] = _form(wanted[number], piece.frame)
            _be_silent(heard, max(0, track.first))
        piece.frame.pts = None
        for made in forms[number].resample(piece.frame):
            # Packed, as PyAV gives more planes than there are channels where those are eight or more.
            samples = bytes(made.planes[0])[: made.samples * len(heard)]
            for channel, lane in enumerate(heard):
                lane.envelope.hear(samples[channel + piece.skipped * len(heard) :: len(heard)])
    return [lane for each in lanes.values() for lane in each]


def draw(lanes: Sequence[Lane], width: int = WIDTH, height: int = HEIGHT) -> Bitmap:
    """The picture."""
    seconds = max((Fraction(lane.envelope.samples, lane.rate) for lane in lanes), default=Fraction(0))
    rows: list[bytearray] = []
    for number, lane in enumerate(lanes):
        rows += _lane(lane, seconds, width, (number + 1) * height // len(lanes) - number * height // len(lanes))
    chroma = bytes([128]) * (width * height // 4)
    return Bitmap(width, height, (b"".join(rows), chroma, chroma))


def _lane(lane: Lane, seconds: Fraction, width: int, height: int) -> list[bytearray]:
    """Rows of one channel: full scale is as high as the lane, and silence a line in its middle."""
    rows = [bytearray([_BACK]) * width for _ in range(height)]
    if height > 8:
        rows[-1] = bytearray([_LANE_END]) * width
    step = seconds * lane.rate / width
    for column in range(width):
        low, high = lane.envelope.between(column * step, (column + 1) * step)
        top, bottom = max(high, _SILENCE), min(low, _SILENCE)
        for row in range((255 - top) * height // 256, (255 - bottom) * height // 256 + 1):
            rows[row][column] = _WAVE
    return rows


def _be_silent(lanes: Sequence[Lane], count: int) -> None:
    for lane in lanes:
        for at in range(0, count, _PIECE):
            lane.envelope.hear(bytes([_SILENCE]) * min(_PIECE, count - at))


def _form(sound: Sound, frame: "av.AudioFrame") -> "av.AudioResampler":
    return av.AudioResampler(format="u8", layout=sound.layout, rate=frame.sample_rate)
