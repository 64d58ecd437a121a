"""Sound without pictures: its renditions are as long as it is, and its poster shows how loud it is and when."""

import math
from array import array
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from filmfs.proxy.executors import InThisProcess, Local
from filmfs.proxy.making import Rendition, make
from filmfs.proxy.originals import Labels, examine
from filmfs.proxy.recipes import THUMBNAIL
from filmfs.proxy.sources import OnDisk
from filmfs.proxy.stills import StillKind
from filmfs.proxy.waveform import HEIGHT, WIDTH, Envelope, Lane, draw
from tests.proxy.making import proxies
from tests.proxy.numbered import declared, lag, sounding

RATE = 48_000


def test_a_silent_channel_is_flat_and_a_loud_part_is_tall(tmp_path: Path) -> None:
    """The first of two channels is loud in its second half, the other silent."""
    path = _write(tmp_path / "sound.wav", 2, lambda channel, at: 0.9 if channel == 0 and at >= RATE else 0.0)
    (poster,) = _made(path, tmp_path)[0].stills
    assert (poster.kind, poster.size, poster.frames) == (StillKind.POSTER, (WIDTH, HEIGHT), ())
    heights = _heights(poster.path, 2)
    assert max(heights[0][:470]) <= 3
    assert min(heights[0][490:]) > HEIGHT // 2 * 3 // 4
    assert max(heights[1]) <= 3


@pytest.mark.parametrize("channels", [1, 6, 8, 12])
def test_each_channel_has_a_lane_of_its_own(channels: int, tmp_path: Path) -> None:
    loud = channels - 1
    path = _write(tmp_path / "sound.wav", channels, lambda channel, _: 0.9 if channel == loud else 0.0)
    thumbnail, _, editorial = _made(path, tmp_path)
    lanes = _heights(thumbnail.stills[0].path, channels)
    assert min(lanes[loud]) > HEIGHT // channels * 3 // 5
    assert all(max(lane) <= 4 for lane in lanes[:loud])
    with av.open(editorial.path) as container:
        (track,) = container.streams.audio
        assert track.codec_context.layout.nb_channels == channels
        assert sum(frame.samples for frame in container.decode(track)) == 2 * RATE


def test_sound_alone_is_in_step_to_the_sample(tmp_path: Path) -> None:
    path = _write(tmp_path / "sound.wav", 2, lambda _, at: 0.0, length=2 * RATE + 77)
    original = sounding(path)
    with Local(2) as workers:
        made = proxies(path, tmp_path, executor=workers).renditions
    for rendition in made:
        heard = sounding(rendition.path)
        assert (heard.begins, heard.rate) == (0, RATE)
        assert lag(original.samples[1], heard.samples[1]) == 0
        assert declared(rendition.path) == 2 * RATE + 77
        assert (rendition.size, rendition.frames, rendition.rate) == (None, 0, None)
    assert len(sounding(made[2].path).samples[0]) == 2 * RATE + 77
    assert len({rendition.path for rendition in made}) == 3  # though two sound alike
    assert [len(rendition.stills) for rendition in made] == [1, 0, 0]


def test_what_the_caller_knows_of_its_time_code_is_told(tmp_path: Path) -> None:
    source = OnDisk(str(_write(tmp_path / "sound.wav", 1, lambda _, at: 0.1)))
    original = replace(examine(source.open), labels=Labels("01:00:00:00"))
    (made,) = make("sound", source, original, [THUMBNAIL], InThisProcess(), str(tmp_path)).renditions
    assert made.labels == Labels("01:00:00:00")


@pytest.mark.parametrize("piece", [1, 1105, 4096, 100_000])
def test_what_is_drawn_does_not_depend_on_how_samples_come(piece: int) -> None:
    data = bytes(128 + round(100 * math.sin(at / 4000)) for at in range(200_001))
    whole, parts = Envelope(), Envelope()
    whole.hear(data)
    for at in range(0, len(data), piece):
        parts.hear(data[at : at + piece])
    assert draw([Lane(RATE, whole)]) == draw([Lane(RATE, parts)])


def test_one_loud_sample_in_an_hour_is_seen() -> None:
    envelope = Envelope()
    for minute in range(60):
        envelope.hear(bytes([128]) * (8_000 * 60 - 1) + bytes([255 if minute == 30 else 128]))
    drawn = draw([Lane(8_000, envelope)]).planes[0]
    tall = [column for column in range(WIDTH) if _tall(drawn, column)]
    assert len(tall) in (1, 2)
    assert abs(tall[0] - WIDTH * 31 // 60) <= 1


def test_less_samples_than_columns_are_drawn() -> None:
    envelope = Envelope()
    envelope.hear(bytes([128, 255, 128, 128]))
    drawn = draw([Lane(RATE, envelope)]).planes[0]
    assert [_tall(drawn, column) for column in (100, 300, 400, 600, 900)] == [False, True, True, False, False]


def _tall(luma: bytes, column: int) -> bool:
    return sum(value > 100 for value in luma[column::WIDTH]) > HEIGHT // 3


def _made(path: Path, folder: Path) -> tuple[Rendition, ...]:
    return proxies(path, folder).renditions


def _heights(path: str, lanes: int) -> list[list[int]]:
    """How many points of each lane's columns are light."""
    with av.open(path) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (WIDTH, HEIGHT)
    plane, step = bytes(frame.planes[0]), frame.planes[0].line_size
    bounds = [lane * HEIGHT // lanes for lane in range(lanes + 1)]
    return [
        [sum(plane[row * step + column] > 100 for row in range(low, high)) for column in range(WIDTH)]
        for low, high in pairwise(bounds)
    ]


def _write(path: Path, channels: int, loudness: Callable[[int, int], float], length: int = 2 * RATE) -> Path:
    """A tone that is as loud as is said of a channel at a sample, over a sweep that nobody sees."""
    packed = array("h", bytes(2 * channels * length))
    for channel in range(channels):
        for at in range(length):
            sweep = 0.004 * math.sin(at * 0.03 + at * at * 1e-6)
            packed[at * channels + channel] = round(
                32_767 * (loudness(channel, at) * math.sin(at * 0.4) * 0.99 + sweep)
            )
    with av.open(str(path), "w") as container:
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(channels, f"{channels} channels")
        stream = container.add_stream("pcm_s16le", rate=RATE, layout=layout)
        _encode(container, stream, packed)
    return path


def _encode(container: "av.container.OutputContainer", stream: "av.AudioStream", packed: "array[int]") -> None:
    channels = stream.codec_context.layout.nb_channels
    frame = av.AudioFrame(format="s16", layout=stream.codec_context.layout, samples=len(packed) // channels)
    frame.planes[0].update(packed.tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
