"""Cuts of sound files: the samples of the range, and the time at which it begins."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.extents import Hole
from filmfs.core.ranges import place, read_range
from filmfs.media.clipping import Run
from filmfs.media.wave import open_wave
from tests.media.test_clips import InMemory, in_file, write_clip

RATE = 48_000
HOUR = 3600 * RATE
NTSC = Fraction(30000, 1001)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) % 2)


def wave(
    path: Path, seconds: int = 4, *, reference: int | None = HOUR, ixml: str = "", large: bool = False, width: int = 6
) -> tuple[Path, bytes]:
    """A file of noise of 24 bits and two channels (or another width); its samples."""
    data = b"".join(
        struct.pack("<I", number * 2654435761 & 0xFFFFFFFF)[:3] for number in range(seconds * RATE * width // 3)
    )
    form = struct.pack("<HHIIHH", 1, width // 3, RATE, RATE * width, width, 24)
    chunks = chunk(b"fmt ", form)
    if reference is not None:
        chunks += chunk(b"bext", b"scene 12".ljust(338, b"\0") + struct.pack("<Q", reference) + bytes(260))
    if ixml:
        chunks += chunk(b"iXML", ixml.encode())
    if large:
        sizes = struct.pack("<QQQI", len(chunks) + len(data) + 48, len(data), len(data) // width, 0)
        start = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + chunk(b"ds64", sizes) + chunks
        path.write_bytes(start + struct.pack("<4sI", b"data", 0xFFFFFFFF) + data)
    else:
        body = b"WAVE" + chunks + chunk(b"data", data) + chunk(b"LIST", b"INFO")
        path.write_bytes(struct.pack("<4sI", b"RIFF", len(body)) + body)
    return path, data


def cut(path: Path, asked: str, to: Path, rate: Fraction | None = None) -> Path:
    source = in_file(path)
    opened = open_wave(source)
    counting = opened.counting(rate)
    return write_clip(opened.plan(place(read_range(asked), counting), counting), source, to)


def heard(path: Path) -> bytes:
    """What FFmpeg decodes, 32 bits of which 24 are the file's."""
    with av.open(str(path)) as container:
        frames = container.decode(audio=0)
        return b"".join(bytes(frame.planes[0])[: frame.samples * 4 * len(frame.layout.channels)] for frame in frames)


def told(path: Path) -> int:
    """The samples since midnight that FFmpeg finds."""
    with av.open(str(path)) as container:
        return int(container.metadata["time_reference"])


@pytest.mark.parametrize("large", [False, True], ids=["RIFF", "RF64"])
def test_a_cut_has_its_samples_and_says_when_it_begins(tmp_path: Path, large: bool) -> None:
    path, _ = wave(tmp_path / "take.wav", large=large)
    whole = heard(path)
    clip = cut(path, "01.00.01.00-01.00.02.12", tmp_path / "clip.wav", Fraction(25))
    assert heard(clip) == whole[RATE * 8 : RATE * 8 + round(1.48 * RATE) * 8]
    assert told(clip) == HOUR + RATE
    assert b"scene 12" in clip.read_bytes()[:1000]


def test_cuts_that_meet_tile_at_every_rate(tmp_path: Path) -> None:
    path, data = wave(tmp_path / "take.wav", seconds=2, reference=12_345)
    for rate in (Fraction(24000, 1001), Fraction(24), Fraction(25), NTSC, Fraction(60000, 1001)):
        source = in_file(path)
        counting = open_wave(source).counting(rate)
        joined = b""
        for number in range(counting.start, counting.start + counting.frames):
            clip = cut(path, f"f{number}-f{number}", tmp_path / f"{number}.wav", rate)
            joined += heard(clip)
        first = told(tmp_path / f"{counting.start}.wav") - 12_345
        assert 0 <= first <= RATE / rate
        assert joined == heard(path)[first * 8 : first * 8 + len(joined)]
        assert len(joined) >= len(data) // 6 * 8 - 2 * 8 * RATE / rate


def test_what_the_recorder_says_of_frames_is_used(tmp_path: Path) -> None:
    begun = round(107_892 * RATE / NTSC)  # 01:00:00;00
    ixml = (
        "<BWFXML><SPEED><TIMECODE_RATE>30000/1001</TIMECODE_RATE><TIMECODE_FLAG>DF</TIMECODE_FLAG>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>0</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>{begun}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED></BWFXML>"
    )
    path, _ = wave(tmp_path / "take.wav", reference=begun, ixml=ixml)
    counting = open_wave(in_file(path)).counting()
    assert (counting.rate, counting.drop, str(counting.label(counting.start))) == (NTSC, True, "01:00:00;00")
    clip = cut(path, "01.00.01,00-01.00.02,00", tmp_path / "clip.wav")
    begins = told(clip)
    assert begins == round((counting.start + 30) * RATE / NTSC)
    assert f"MIDNIGHT_LO>{begins}<".encode() in clip.read_bytes()[:4096]


def test_without_a_rate_nobody_can_say_what_a_frame_is(tmp_path: Path) -> None:
    path, _ = wave(tmp_path / "take.wav")
    with pytest.raises(BadTimecode, match="~25"):
        open_wave(in_file(path)).counting()


def test_an_odd_length_and_one_without_a_recorder(tmp_path: Path) -> None:
    path, _ = wave(tmp_path / "mono.wav", seconds=1, reference=None, width=3)
    clip = cut(path, "f1-f1", tmp_path / "clip.wav", Fraction(48_000, 1001) * 2)
    assert len(clip.read_bytes()) % 2 == 0
    assert len(heard(clip)) in (500 * 4, 501 * 4)


def test_samples_keep_their_place_in_a_block(tmp_path: Path) -> None:
    path, _ = wave(tmp_path / "take.wav")
    opened = open_wave(in_file(path))
    counting = opened.counting(Fraction(24))
    at = 0
    for piece in opened.plan(place(read_range("01.00.01.01-01.00.02.05"), counting), counting).pieces:
        assert not isinstance(piece, Hole)
        if isinstance(piece, Run):
            assert (at - piece.offset) % 4096 in (0, 4095)  # chunks begin at even places, samples need not
        at += piece.length if isinstance(piece, Run) else len(piece)


def test_what_is_damaged_or_packed_is_refused(tmp_path: Path) -> None:
    path, _ = wave(tmp_path / "take.wav", seconds=1)
    data = path.read_bytes()
    for length in (0, 5, 11, 12, 30, 60, 300):
        with pytest.raises(BadMedia):
            open_wave(InMemory(data[:length]))
    for kind in (0x0011, 0x0055):
        with pytest.raises(BadMedia):
            open_wave(InMemory(data.replace(struct.pack("<HH", 1, 2), struct.pack("<HH", kind, 2), 1)))
    cut_off = open_wave(InMemory(data[: len(data) // 2]))
    assert cut_off.data.end <= len(data) // 2
