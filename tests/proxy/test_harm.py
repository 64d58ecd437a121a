"""Frames that are decoded with the help of a damaged one: told, as far as they may show its damage, and no others."""

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import process_time

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.media.units import is_possible, is_reference, recovers_after
from filmfs.proxy.executors import Local
from filmfs.proxy.harm import Sent, harmed, in_words
from tests.proxy.making import proxies
from tests.proxy.numbered import Numbered


class Grainy(Numbered):
    """Its pictures differ everywhere, so that each takes many bytes."""

    def picture(self, number: int) -> "av.VideoFrame":
        frame = super().picture(number)
        grain = random.Random(number).randbytes(frame.planes[0].buffer_size)
        frame.planes[0].update(bytes(value // 2 + 64 for value in grain))
        return frame


SMALL = Grainy(size=(320, 180), frames=72, group=24, pixels="yuv420p", tracks=())
X264, X265 = "libx264", "libx265"
HVCC = "01" + 20 * "00"  # up to what says how many sub-layers there are, and how long lengths are
FILMS = {
    "H.264": replace(SMALL, codec=X264, options={"bf": "3", "preset": "veryfast"}),
    "H.264, open groups": replace(
        SMALL, codec=X264, options={"bf": "3", "preset": "veryfast", "x264-params": "open-gop=1:scenecut=0"}
    ),
    "H.264 in Matroska": replace(SMALL, codec=X264, options={"bf": "2", "preset": "veryfast"}, suffix=".mkv"),
    "H.265": replace(
        SMALL, codec=X265, options={"preset": "veryfast", "x265-params": "log-level=none:open-gop=0:bframes=3"}
    ),
    "H.265, open groups": replace(
        SMALL, codec=X265, options={"preset": "veryfast", "x265-params": "log-level=none:open-gop=1:bframes=3"}
    ),
    "H.264, made anew part by part": replace(
        SMALL, codec=X264, options={"bf": "0", "preset": "veryfast", "x264-params": "intra-refresh=1:keyint=12"}
    ),
    "MPEG-2": replace(SMALL, codec="mpeg2video", options={"b": "10M", "bf": "2"}),
    "MPEG-2 without a container": replace(
        SMALL, codec="mpeg2video", options={"b": "10M", "bf": "2"}, suffix=".m2v", timecode=None
    ),
    "H.264 without times": replace(
        SMALL, codec=X264, options={"bf": "3", "preset": "veryfast"}, suffix=".h264", timecode=None
    ),
}


def test_what_is_decoded_after_a_damaged_one_may_be_harmed_up_to_the_next_key() -> None:
    order = [Sent(0, 0, True), Sent(3, None, True), Sent(1, None, False), Sent(2, None, False)]
    order += [Sent(6, 0, True), Sent(4, None, False), Sent(5, None, False), Sent(7, None, True)]
    assert harmed(order, {0}) == {3, 1, 2, 4, 5}  # 4 and 5 are shown before their key
    assert harmed(order, {3}) == {1, 2, 4, 5}
    assert harmed(order, {1}) == set()
    assert harmed(order, {6}) == {4, 5, 7}
    assert harmed(order, {4}) == set()
    assert harmed(order, set()) == set()


def test_where_pictures_are_made_anew_part_by_part_all_is_right_after_so_many() -> None:
    order = [Sent(number, 0 if not number else 3 if number % 5 == 0 else None, True) for number in range(20)]
    assert harmed(order, {2}) == {3, 4, 5, 6, 7}
    assert harmed(order, {6}) == {7, 8, 9, 10, 11, 12}  # what was made anew when it was damaged is not


ORDERS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(ORDERS, st.data())
def test_more_damage_harms_no_less_and_never_what_is_before_it(
    flags: list[tuple[bool, ...]], data: st.DataObject
) -> None:
    order, key = [], 0
    for number, (is_key, leads, refers) in enumerate(flags):
        is_key = is_key or not number
        key = 1000 * number if is_key else key
        order.append(
            Sent(key - 500 + number if leads and not is_key else 1000 * number, 0 if is_key else None, refers or is_key)
        )
    times = [sent.time for sent in order]
    some = set(data.draw(st.lists(st.sampled_from(times))))
    found = harmed(order, some)
    assert found <= harmed(order, some | {data.draw(st.sampled_from(times))})
    assert found == set().union(*(harmed(order, {each}) for each in some))
    for each in some:
        at = times.index(each)
        assert harmed(order, {each}).isdisjoint(times[: at + 1])
        after = [sent.time for sent in order[at + 1 :] if sent.recovers == 0]
        assert all(time not in harmed(order, {each}) for time in after)


@pytest.mark.parametrize(
    ("codec", "extradata", "data", "is_one"),
    [
        ("h264", None, "00000001 09f0 000001 65 88", True),
        ("h264", None, "000001 0605 000001 01 9a", False),
        ("h264", None, "000001 41 9a", True),
        ("h264", "01640028ff", "00000002 09f0 00000002 01 9a", False),
        ("h264", "01640028fd", "0002 09f0 0002 61 9a", True),
        ("h264", "01640028ff", "00000000 00000000", True),  # damaged: nothing is known
        ("hevc", None, "00000001 4601 000001 0001 af", False),
        ("hevc", None, "000001 0201 af", True),
        ("hevc", None, "000001 2601 af", True),
        ("hevc", HVCC + "0f", "00000003 0001 af", False),
        ("hevc", HVCC + "1f", "00000003 0003 af", False),
        ("hevc", HVCC + "1f", "00000003 0001 af", True),  # there are higher sub-layers
        ("hevc", HVCC + "1f", "00000003 0002 af", True),
        ("hevc", HVCC + "07", "00000003 0001 af", False),  # how many there are is not said
        ("hevc", HVCC + "1f", "00000001 00", True),
        ("mpeg2video", None, "00000100 00 1f ff", False),
        ("mpeg2video", None, "000001b3 0000 00000100 00 0f ff", True),
        ("mpeg2video", None, "00000100", True),
        ("vp9", None, "00", True),
        ("h264", None, "", True),
    ],
)
def test_whether_others_refer_to_a_picture_is_in_its_first_bytes(
    codec: str, extradata: str | None, data: str, is_one: bool
) -> None:
    assert is_reference(codec, bytes.fromhex(extradata) if extradata else None, bytes.fromhex(data)) is is_one


@pytest.mark.parametrize(
    ("codec", "data", "count"),
    [
        ("h264", "00000001 09f0 00000001 06 06 01 80 80 000001 41", 0),  # 1: ue(v) 0
        ("h264", "00000001 06 06 02 0b40 80 000001 41", 21),
        ("h264", "00000001 06 05 01 80 80 000001 65", 0),
        ("h264", "00000001 67 000001 06 06 01 60 80 000001 65", 0),  # an IDR picture all the same
        ("h264", "00000001 06 06 01 60 80 000001 41", 2),
        ("h264", "00000001 06 06", 0),
        ("hevc", "00000001 4e01 06 01 60", 0),
    ],
)
def test_when_all_is_right_is_said_by_a_message(codec: str, data: str, count: int) -> None:
    assert recovers_after(codec, None, bytes.fromhex(data)) == count


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 9])))
def test_two_zeros_before_a_number_below_three_are_in_no_unit_but_at_its_end(rest: list[int]) -> None:
    unit = bytes((0x65, *rest))
    kept = unit.rstrip(b"\0")
    expected = all(kept[at : at + 2] != b"\0\0" or kept[at + 2] > 2 for at in range(len(kept) - 2))
    data = len(unit).to_bytes(4, "big") + unit
    assert is_possible("h264", bytes.fromhex("01640028ff"), memoryview(data)) is expected


@pytest.mark.parametrize("zeros", ["end", "middle"])
def test_a_megabyte_of_zeros_takes_no_time(zeros: str) -> None:
    data = b"\0\0\0\1\x65\x88" + bytes(1 << 20) + (b"\x99" if zeros == "middle" else b"")
    began = process_time()
    assert is_possible("h264", None, memoryview(data)) is (zeros == "end")
    unit = (len(data) - 4).to_bytes(4) + data[4:]
    assert is_possible("h264", bytes.fromhex("01640028ff"), memoryview(unit)) is (zeros == "end")
    assert process_time() - began < 1


@pytest.mark.parametrize(
    ("extradata", "data", "is_one"),
    [
        ("01640028ff", "00000003 65 88 99 00000004 41 0000 03", True),
        ("01640028ff", "00000006 65 88 000000 99", False),
        ("01640028ff", "00000006 65 88 000002 99", False),
        ("01640028ff", "00000006 65 88 000001 99", False),
        ("01640028ff", "00000008 65 88 000003000003", True),  # as a decoder may be kept busy
        ("01640028ff", "00000009 65 88", False),  # it ends too early
        ("01640028ff", "00000008 65 88 000000000000", True),  # padding
        ("01640028ff", "00000048 65 88" + 70 * "00", True),
        ("01640028ff", "00000002 65 88" + 70 * "00", True),
        (None, "00000001 65 88 000001 41 99 00000000", True),
        (None, "00000001 65 88 00000000 99", False),
        (None, "00000001 65 88 000002", False),
        (None, "00000001 65 88 000003 01", True),
    ],
)
def test_zeros_that_no_picture_can_have_are_noticed(extradata: str | None, data: str, is_one: bool) -> None:
    extra = bytes.fromhex(extradata) if extradata else None
    assert is_possible("h264", extra, memoryview(bytes.fromhex(data))) is is_one
    assert is_possible("prores", None, memoryview(bytes(100)))


@pytest.mark.parametrize("name", [name for name in FILMS if "MPEG-2" not in name])
def test_what_an_encoder_makes_is_possible(name: str, tmp_path: Path) -> None:
    with av.open(str(FILMS[name].write(tmp_path / "film"))) as container:
        codec = container.streams.video[0].codec_context
        for packet in (each for each in container.demux(video=0) if each.size):
            assert is_possible(codec.name, codec.extradata, memoryview(packet))


@pytest.mark.parametrize("name", FILMS)
@pytest.mark.parametrize("number", [0, 5, 30], ids=["the first", "one of the first group", "one of the second"])
def test_every_frame_that_is_not_what_it_was_is_told(name: str, number: int, tmp_path: Path) -> None:
    path = FILMS[name].write(tmp_path / "original")
    before = decoded(path)
    lost, keys = wipe_half(path, number)
    after = decoded(path)
    with Local(2) as workers:
        made = proxies(path, tmp_path, executor=workers)
    told = {*made.damaged, *made.harmed}
    assert made.damaged
    assert not {*made.damaged} & {*made.harmed}
    assert others(before, after) <= told
    begins, ends = max(key for key in keys if key <= lost), min((key for key in keys if key > lost), default=72)
    assert begins - 4 <= min(told)  # those of an open group that are shown before its key
    assert max(told) < ends


def test_a_whole_film_whose_pictures_are_made_anew_part_by_part_is_whole(tmp_path: Path) -> None:
    film = replace(FILMS["H.264, made anew part by part"], frames=144)
    with Local(4) as workers:  # who begin within it
        made = proxies(film.write(tmp_path / "original"), tmp_path, executor=workers)
    assert (made.damaged, made.harmed) == ((), ())


def test_zeros_in_a_picture_of_h264_are_told_where_ffmpeg_does_not(tmp_path: Path) -> None:
    film = replace(SMALL, codec=X264, options={"bf": "3", "preset": "veryfast"}, size=(640, 360), frames=48, group=30)
    path = film.write(tmp_path / "original")
    for number in (3, 8, 13):
        wipe_half(path, number)
    made = proxies(path, tmp_path)
    assert {*made.damaged, *made.harmed} >= others(decoded(film.write(tmp_path / "whole")), decoded(path))


def test_damage_in_what_an_edit_list_hides_is_told_of_what_follows(tmp_path: Path) -> None:
    whole = FILMS["H.264"].write(tmp_path / "whole")
    path = cut(whole, tmp_path / "original.mov", 10)
    before = decoded(path)
    assert len(before) == 62
    wipe_half(path, 0)
    differ = others(before, decoded(path))
    assert differ
    made = proxies(path, tmp_path)
    assert differ <= {*made.damaged, *made.harmed} <= set(range(14))


@pytest.mark.parametrize("workers", [1, 2])
def test_of_counted_pictures_those_that_are_lost_are_told_and_what_they_harm(workers: int, tmp_path: Path) -> None:
    path = replace(FILMS["H.264 without times"], frames=36, group=12).write(tmp_path / "original")
    with av.open(str(path)) as container:
        lost = [each for each in container.demux(video=0) if each.size][14]
        at, size = lost.pos, lost.size
    assert at is not None
    with open(path, "r+b") as file:
        file.seek(at + 5)  # after its start code
        file.write(b"\xff" * (size - 5))
    with Local(workers) as several:
        made = proxies(path, tmp_path, executor=several)
    assert made.flaws == ("1 packet cannot be decoded: pictures are missing or damaged",)
    assert made.renditions[0].frames == 35
    assert set(made.harmed) == set(range(14, 21))  # the next key is in place 21


def test_an_intra_film_s_frames_harm_nobody(tmp_path: Path) -> None:
    path = replace(SMALL, codec="prores_aw", pixels="yuv422p10le", frames=24).write(tmp_path / "original")
    wipe_half(path, 5)
    made = proxies(path, tmp_path)
    assert (made.damaged, made.harmed) == ((5,), ())


def test_words_say_what_is_shown_and_what_may_be() -> None:
    assert list(in_words((), ())) == []
    assert list(in_words((), (), (), {2: (640, 360), 5: (320, 180), 4: (640, 360)})) == [
        "1 frame of 320×180, unlike the first (5): the nearest one of the first's size is shown instead",
        "2 frames of 640×360, unlike the first (2, 4): the nearest one of the first's size is shown instead",
    ]
    assert list(in_words((3,), (4, 5, 6), (9, 10))) == [
        "2 frames missing (9–10): the nearest one is shown instead",
        "1 frame damaged (3): shown as far as it can be decoded, else as the nearest one",
        "3 frames may show damage of others with whose help they are decoded (4–6)",
    ]


def others(before: dict[int, bytes], after: dict[int, bytes]) -> set[int]:
    """The numbers of pictures that are not what they were."""
    return {number for number, time in enumerate(sorted(before)) if after.get(time) != before[time]}


def decoded(path: Path) -> dict[int, bytes]:
    """The pictures, as FFmpeg shows them, by their times."""
    with av.open(str(path)) as container:
        frames: list[av.VideoFrame] = []
        for packet in container.demux(video=0):
            try:
                frames += packet.decode()
            except av.FFmpegError:
                continue
        return {
            number if frame.pts is None else frame.pts: b"".join(map(bytes, frame.planes))
            for number, frame in enumerate(frames)
        }


def wipe_half(path: Path, number: int) -> tuple[int, list[int]]:
    """Zeros in the middle of the packet that is decoded as the number-th.

    Returned are the place in which it is shown, and those of the pictures that are keys.
    """
    with av.open(str(path)) as container:
        packets = [each for each in container.demux(video=0) if each.size]
        places = [(each.pos, each.size) for each in packets]
        times = [(number if each.pts is None else each.pts) for number, each in enumerate(packets)]
        shown = [sorted(times).index(time) for time in times]
        keys = [at for at, each in zip(shown, packets, strict=True) if each.is_keyframe]
    at, size = places[number]
    assert at is not None
    with open(path, "r+b") as file:
        file.seek(at + size // 4)
        file.write(bytes(size // 2))
    return shown[number], keys


def cut(path: Path, target: Path, first: int) -> Path:
    """The same packets, shown from a frame on."""
    with av.open(str(path)) as source, av.open(str(target), "w") as container:
        stream = source.streams.video[0]
        made = container.add_stream_from_template(stream)
        start = round(first / Fraction(24) / Fraction(stream.time_base or 1))
        for packet in source.demux(stream):
            if packet.size:
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts, packet.dts = packet.pts - start, packet.dts - start
                packet.stream = made
                container.mux(packet)
    return target
