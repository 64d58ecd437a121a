"""Damaged originals: as many frames as ever, and the damage is told; what cannot be read is refused in one line."""

import random
import wave
from dataclasses import replace
from pathlib import Path

import av
import pytest

from filmfs.core.errors import BadMedia
from filmfs.proxy.executors import Local
from tests.proxy.making import proxies
from tests.proxy.numbered import Numbered, Track, seen

SMALL = Numbered(size=(512, 288), frames=48)
CODECS = {
    "ProRes": SMALL,
    "DNxHR": replace(SMALL, codec="dnxhd", pixels="yuv422p", options={"profile": "dnxhr_hq"}),
    "Motion JPEG": replace(SMALL, codec="mjpeg", pixels="yuvj422p", is_full=True),
    "MPEG-2": replace(SMALL, codec="mpeg2video", pixels="yuv420p", options={"b": "10M"}),
    "H.264": replace(SMALL, codec="libx264", pixels="yuv420p", options={"bf": "0", "preset": "veryfast"}),
}
DAMAGED = 25


@pytest.mark.parametrize("name", CODECS)
def test_a_damaged_frame_is_shown_as_something_and_told(name: str, tmp_path: Path) -> None:
    path = CODECS[name].write(tmp_path / "original")
    damage(path, DAMAGED)
    made = proxies(path, tmp_path)
    assert DAMAGED in made.damaged
    assert set(made.damaged) <= set(range(DAMAGED, DAMAGED + 12))  # to the end of its group
    for rendition in made.renditions:
        shown = seen(rendition.path)
        assert len(shown.numbers) == 48
        intact = [number for number in range(48) if not DAMAGED <= number < DAMAGED + 12]
        assert [shown.numbers[number] for number in intact] == intact


@pytest.mark.parametrize("number", [23, 47], ids=["in the middle", "the last"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_a_last_packet_that_cannot_be_decoded_costs_no_picture_that_waits(
    codec: str, number: int, tmp_path: Path
) -> None:
    """Those before it in the order of decoding are shown after it."""
    options = {"bf": "3", "g": "24", "preset": "veryfast", "x265-params": "log-level=none:open-gop=0:bframes=3"}
    film = replace(SMALL, codec=codec, pixels="yuv420p", options=options, group=24)
    path = film.write(tmp_path / "original")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    lost = sorted(packet.pts for packet in packets).index(packets[number].pts)
    with open(path, "r+b") as file:
        file.seek(packets[number].pos)
        file.write(b"\xff" * packets[number].size)
    with Local(2) as workers:
        made = proxies(path, tmp_path, executor=workers)
    assert made.damaged == (lost,)
    for rendition in made.renditions:
        shown = seen(rendition.path)
        assert [shown.numbers[each] for each in range(48) if each != lost] == [
            each for each in range(48) if each != lost
        ]


@pytest.mark.parametrize("name", ["ProRes", "DNxHR", "MPEG-2", "H.264"])
@pytest.mark.parametrize(("first", "end"), [(0, 60), (50, 110), (80, 144)])
def test_a_damage_that_is_longer_than_a_worker_s_share_costs_its_own_frames_alone(
    name: str, first: int, end: int, tmp_path: Path
) -> None:
    path = replace(CODECS[name], frames=144).write(tmp_path / "original")
    wipe(path, first, end)
    with Local(3) as workers:
        made = proxies(path, tmp_path, executor=workers)
    lost = set(range(first, min(144, -(-end // 12) * 12)))  # to the end of its group
    assert set(range(first, end)) <= set(made.damaged) <= lost
    for rendition in made.renditions:
        shown = seen(rendition.path)
        assert len(shown.numbers) == 144
        assert [shown.numbers[number] for number in range(144) if number not in lost] == sorted({*range(144)} - lost)


@pytest.mark.parametrize("suffix", [".flv", ".mkv"])
def test_of_a_film_that_was_cut_off_in_a_packet_all_others_are_shown(suffix: str, tmp_path: Path) -> None:
    film = replace(SMALL, codec="libx264", pixels="yuv420p", options={"bf": "3", "preset": "veryfast"}, tracks=())
    path = replace(film, suffix=suffix).write(tmp_path / "original")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    order = [sorted(packet.pts for packet in packets).index(packet.pts) for packet in packets]
    assert order != sorted(order)
    for last in (21, 22, 23, 24):
        cut = tmp_path / f"cut{last}{suffix}"
        cut.write_bytes(path.read_bytes()[: packets[last].pos + packets[last].size // 2])
        folder = tmp_path / str(last)
        folder.mkdir()
        made = proxies(cut, folder)
        shown = seen(made.renditions[0].path).numbers
        there = [number for number in order[:last] if number < len(shown)]
        assert [shown[number] for number in there] == there
        assert set(made.damaged).isdisjoint(there)


def test_lost_sound_is_silence_and_what_follows_is_where_it_was(tmp_path: Path) -> None:
    path = replace(SMALL, tracks=(Track("aac", "stereo"),)).write(tmp_path / "original")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in packets[30:34]:
        data[at : at + size] = b"\xff" * size
    before = seen(path).tracks[0]
    path.write_bytes(data)
    for rendition in proxies(path, tmp_path).renditions:
        after = seen(rendition.path).tracks[0]
        assert after.begins == before.begins
        if rendition.recipe.channels_max is None:
            assert len(after.samples[0]) == len(before.samples[0])
            assert after.samples[0][-5000:-2000] == pytest.approx(before.samples[0][-5000:-2000], abs=1e-4)


def test_sound_of_which_nothing_can_be_decoded_is_there_all_the_same(tmp_path: Path) -> None:
    path = replace(SMALL, tracks=(Track("aac", "stereo"), Track())).write(tmp_path / "original")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(path.read_bytes())
    for at, size in packets:
        data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    made = proxies(path, tmp_path)
    assert made.flaws == ("nothing of sound track 1 can be decoded: it is silent",)
    for rendition in made.renditions:
        tracks = seen(rendition.path).tracks
        assert len(tracks) == (2 if rendition.recipe.channels_max is None else 1)
        assert not any(tracks[0].samples[0])


def test_a_file_that_was_cut_off_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = replace(SMALL, container={"movflags": "faststart"}).write(tmp_path / "original")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    with pytest.raises(BadMedia, match=r"the file ends before \d+ of its 48 frames"):
        proxies(path, tmp_path)


def test_an_mxf_file_in_which_frames_cannot_be_found_is_refused_as_those_after_them_would_be_misplaced(
    tmp_path: Path,
) -> None:
    path = replace(CODECS["DNxHR"], suffix=".mxf").write(tmp_path / "original")
    with av.open(str(path)) as container:
        places = [each.pos for each in container.demux(video=0) if each.size]
    data = bytearray(path.read_bytes())
    data[places[25] - 4 : places[25] + 64] = bytes(68)
    path.write_bytes(data)
    with pytest.raises(BadMedia, match="1 of its 48 frames are not to be found"):
        proxies(path, tmp_path)


def test_sound_that_was_cut_off_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "wild.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((2, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(bytes(4 * 48_000))
    path.write_bytes(path.read_bytes()[:-40_000])
    with pytest.raises(BadMedia, match="the file ends before 10000 of its 48000 samples"):
        proxies(path, tmp_path)


def test_a_movie_without_its_index_is_told_as_one(tmp_path: Path) -> None:
    path = SMALL.write(tmp_path / "original")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadMedia, match=r"its index \(moov\) is not there or damaged"):
        proxies(path, tmp_path)


@pytest.mark.parametrize("size", [(16, 16), (64, 2000), (2, 2), (4000, 16)])
def test_films_of_odd_sizes_are_the_original_s_too(size: tuple[int, int], tmp_path: Path) -> None:
    path = replace(SMALL, codec="ffv1", pixels="yuv420p", suffix=".mkv", size=size, timecode=None).write(
        tmp_path / "odd"
    )
    made = proxies(path, tmp_path)
    assert [each.frames for each in made.renditions] == [48] * 3


@pytest.mark.parametrize("data", [b"", b"not a film at all" * 100, bytes(100_000), random.Random(1).randbytes(50_000)])
def test_what_is_no_media_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "original.mov"
    path.write_bytes(data)
    with pytest.raises(BadMedia):
        proxies(path, tmp_path)


def test_a_film_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        container.start_encoding()
    with pytest.raises(BadMedia):
        proxies(path, tmp_path)


def test_a_film_whose_pictures_are_all_damaged_is_refused(tmp_path: Path) -> None:
    path = CODECS["DNxHR"].write(tmp_path / "original")
    for number in range(48):
        damage(path, number)
    with pytest.raises(BadMedia):
        proxies(path, tmp_path)


def wipe(path: Path, first: int, end: int) -> None:
    """Zeros in the place of pictures."""
    with av.open(str(path)) as container:
        packets = sorted((each for each in container.demux(video=0) if each.size), key=lambda each: each.pts)
        places = [(each.pos, each.size) for each in packets[first:end]]
    with open(path, "r+b") as file:
        for at, size in places:
            file.seek(at)
            file.write(bytes(size))


def damage(path: Path, number: int) -> None:
    """Noise in most of a picture."""
    with av.open(str(path)) as container:
        packet = [each for each in container.demux(video=0) if each.size][number]
        at, size = packet.pos, packet.size
    assert at is not None
    data = bytearray(path.read_bytes())
    low, high = at + size // 20, at + size * 2 // 3  # some formats end in padding
    data[low:high] = random.Random(number).randbytes(high - low)
    path.write_bytes(data)
