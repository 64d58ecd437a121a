"""Where the time code of films comes from that have no time code track, and hostile inputs for each of them."""

import contextlib
import random
import struct
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.errors import BadMedia, BadTimecode, FilmFSError
from filmfs.core.ranges import FrameRange, read_range
from filmfs.core.said import Said
from filmfs.core.sequences import find_sequences, select
from filmfs.core.smpte import Label, label_of
from filmfs.media.boxes import write_full_box
from filmfs.media.clips import plan
from filmfs.media.images import read_image_time
from filmfs.media.quicktime import QuickTime, open_quicktime
from filmfs.media.rtmd import read_rtmd
from filmfs.media.sidecars import find_clip, read_ale, read_sony_xml
from filmfs.timecode.films import Film as Opened
from filmfs.timecode.films import open_film
from filmfs.timecode.origins import Beside, sequence_counting
from tests.drive import run
from tests.footage import Film, pictures, timecode
from tests.media.mutations import mutated
from tests.media.sony import rtmd_sample, with_rtmd
from tests.media.test_clips import InMemory, in_file, write_clip

NTSC, NTSC60 = Fraction(30000, 1001), Fraction(60000, 1001)
XML = """<?xml version="1.0" encoding="UTF-8"?>
<NonRealTimeMeta xmlns="urn:schemas-professionalDisc:nonRealTimeMeta:ver.2.20" lastUpdate="2026-01-01T10:00:00+01:00">
  <Duration value="2040"/>
  <LtcChangeTable tcFps="{fps}" halfStep="{half}">
    <LtcChange frameCount="0" value="{value}" status="increment"/>
    <LtcChange frameCount="2039" value="51B63422" status="end"/>
  </LtcChangeTable>
</NonRealTimeMeta>"""
ALE = (
    "Heading\nFIELD_DELIM\tTABS\nVIDEO_FORMAT\t1080\nFPS\t24\n\n"
    "Column\nName\tTape\tStart\tEnd\n\nData\n"
    "A001C001_240501_R1AB\tA001R1AB\t10:11:12:13\t10:12:00:00\n"
    "twice\tA001\t01:00:00:00\t01:00:01:00\ntwice\tA002\t02:00:00:00\t02:00:01:00\n"
)


def xml(value: str = "52023422", fps: int = 30, *, half: bool = True) -> bytes:
    return XML.format(fps=fps, half=str(half).lower(), value=value).encode()


def plain(rate: Fraction, directory: Path, suffix: str = ".mp4") -> bytes:
    film = Film("libx264", "yuv420p", rate, 24, None, timecode=None, video_options={"bf": "0", "g": "12"})
    return film.write(directory / f"film{suffix}").read_bytes()


def beside(**files: bytes) -> Beside:
    named = {name.replace("__", "."): InMemory(data) for name, data in files.items()}
    return Beside(named.get, lambda: named)


def started(film: Opened) -> tuple[str, str]:
    counting = film.counting()
    return str(counting.label(counting.start)), film.timecode_from


# Sony


def test_rtmd_says_when_a_film_begins_and_its_clips_have_a_time_code_track(tmp_path: Path) -> None:
    path = tmp_path / "C0001.MP4"
    path.write_bytes(with_rtmd(plain(Fraction(25), tmp_path), Fraction(25), rtmd_sample((2, 34, 28, 12))))
    film = open_film(in_file(path), path.name)
    assert started(film) == ("02:34:28:12", "rtmd")
    assert timecode(path) == "02:34:28:12"  # FFmpeg reads the same
    assert isinstance(film.of, QuickTime)
    clip = write_clip(plan(film.of, FrameRange(5, 10)), in_file(path), tmp_path / "clip.mp4")
    assert timecode(clip) == "02:34:28:17"
    assert pictures(clip) == pictures(path)[5:15]


@pytest.mark.parametrize(
    ("rate", "label", "flag", "starts"),
    [
        (NTSC, (2, 34, 28, 12), 0, "02:34:28;12"),
        (NTSC, (2, 34, 28, 12), 1, "02:34:28;12"),
        (NTSC, (0, 1, 0, 0), 0, "00:01:00:00"),  # is no label of drop-frame
        (NTSC60, (2, 34, 28, 59), 0, "02:34:28;59"),
        (Fraction(24000, 1001), (2, 34, 28, 12), 0, "02:34:28:12"),
        (Fraction(50), (2, 34, 28, 49), 1, "02:34:28:49"),
    ],
)
def test_rtmd_of_ntsc_rates_is_drop_frame_whatever_its_flag_says(
    rate: Fraction, label: tuple[int, int, int, int], flag: int, starts: str, tmp_path: Path
) -> None:
    data = with_rtmd(plain(rate, tmp_path), rate, rtmd_sample(label, flag=flag))
    assert started(open_film(InMemory(data), "C0001.MP4")) == (starts, "rtmd")


@pytest.mark.parametrize(
    ("data", "rate", "starts"),
    [
        (xml(), NTSC60, "22:34:02;24"),  # CommandPost #3154
        (xml("51B63422"), NTSC60, "22:34:36;23"),
        (xml("52023422", half=False), NTSC, "22:34:02;12"),
        (xml("17305719", 25, half=False), Fraction(25), "19:57:30:17"),
        (xml("12023402", 25), Fraction(50), "02:34:02:24"),
        (xml("12023482", 25), Fraction(50), "02:34:02:25"),
        (xml("18142305", 24, half=False), Fraction(24000, 1001), "05:23:14:18"),
        (xml("05:23:14:18", 24, half=False), Fraction(24), "05:23:14:18"),
    ],
)
def test_the_xml_beside_a_film_says_when_it_begins(data: bytes, rate: Fraction, starts: str) -> None:
    said = read_sony_xml(data)
    assert said is not None
    number, drop = said.start(rate)
    assert str(label_of(number, rate, drop=drop)) == starts


def test_a_sidecar_that_agrees_with_rtmd_says_more_and_one_that_does_not_is_passed_over(tmp_path: Path) -> None:
    data = with_rtmd(plain(NTSC, tmp_path), NTSC, rtmd_sample((22, 34, 2, 12)))
    non_drop = beside(C0001M01__XML=xml("12023422", half=False))
    assert started(open_film(InMemory(data), "C0001.MP4", non_drop)) == ("22:34:02:12", "sidecar")
    other = beside(C0001M01__XML=xml("12023401", half=False))
    assert started(open_film(InMemory(data), "C0001.MP4", other)) == ("22:34:02;12", "rtmd")


def test_the_xml_in_a_film_decides_what_its_track_leaves_open(tmp_path: Path) -> None:
    data = with_rtmd(plain(NTSC, tmp_path), NTSC, rtmd_sample((22, 34, 2, 12)))
    inside = write_full_box(b"meta", 0, 0, write_full_box(b"xml ", 0, 0, xml("12023422", half=False), b"\0"))
    assert started(open_film(InMemory(data + inside), "C0001.MP4")) == ("22:34:02:12", "rtmd")
    other = write_full_box(b"meta", 0, 0, write_full_box(b"xml ", 0, 0, xml("12023401", half=False)))
    assert started(open_film(InMemory(data + other), "C0001.MP4")) == ("22:34:02;12", "rtmd")


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><NonRealTimeMeta>&b;</NonRealTimeMeta>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><NonRealTimeMeta/>',
        b"<NonRealTimeMeta>",
        b"",
        b'<?xml version="1.0" encoding="utf-7"?><NonRealTimeMeta/>',
        bytes((16 << 20) + 1),
    ],
)
def test_xml_that_defines_entities_or_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(BadMedia):
        read_sony_xml(data)


def test_other_xml_says_nothing() -> None:
    assert read_sony_xml(xml().replace(b"NonRealTimeMeta", b"Other")) is None
    assert read_sony_xml(xml("FFFFFFFF")) is None


# Lists and names


def test_an_ale_says_start_and_reel_by_any_of_a_clip_s_names() -> None:
    clips = read_ale(ALE.encode())
    said = find_clip(clips, "A001C001_240501_R1AB.mov")
    assert said == Said(Label(10, 11, 12, 13), Fraction(24), "A001R1AB")
    assert find_clip(clips, "a001c001_240501_r1ab.MOV") == said
    assert find_clip(clips, "twice.mov") is None
    assert find_clip(clips, "A001C002.mov") is None
    assert read_ale(ALE.replace("\n", "\r\n").encode("utf-16"))["A001C001_240501_R1AB"] == said


@pytest.mark.parametrize(
    ("files", "name", "says"),
    [
        ({"C0001M01__XML": xml("17305719", 24, half=False)}, "C0001.MP4", ("19:57:30:17", "sidecar")),
        ({"day1__ale": ALE.encode()}, "A001C001_240501_R1AB.MP4", ("10:11:12:13", "ale")),
        ({"day1__ale": ALE.encode(), "day2__ALE": b"rubbish"}, "A001C001_240501_R1AB.mp4", ("10:11:12:13", "ale")),
        ({"a__ale": ALE.encode(), "b__ale": ALE.replace("10:11", "10:12").encode()}, "A001C001_240501_R1AB.mp4", None),
        ({}, "scene_02-00-00-00.mp4", ("02:00:00:00", "file name")),
        ({}, "scene_02-00-00-24.mp4", None),  # no such frame at 24
        ({"C0001M01__XML": xml("17305719", 25, half=False)}, "C0001.MP4", None),  # of another rate
        ({"C0001M01__XML": b"<!DOCTYPE"}, "C0001.MP4", None),
    ],
)
def test_a_film_begins_where_the_first_that_fits_it_says(
    files: dict[str, bytes], name: str, says: tuple[str, str] | None, tmp_path: Path
) -> None:
    film = open_film(InMemory(plain(Fraction(24), tmp_path)), name, beside(**files))
    assert started(film) == (says or ("00:00:00:00", "none"))
    assert film.reel == ("A001R1AB" if says and says[1] == "ale" else None)


def test_time_code_of_the_film_itself_is_believed_first(tmp_path: Path) -> None:
    path = Film(timecode="01:00:00:00").write(tmp_path / "scene_02-00-00-00.mov")
    assert started(open_film(in_file(path), path.name)) == ("01:00:00:00", "tmcd")


# Images


def dpx(
    label: int = 0x01020304,
    order: str = ">",
    *,
    film: float = 24.0,
    television: float | None = None,
    picture: int = 2048,
) -> bytes:
    header = bytearray(b"\xff" * 2048)
    header[:4] = b"SDPX" if order == ">" else b"XPDS"
    struct.pack_into(f"{order}I", header, 4, picture)
    struct.pack_into(f"{order}f", header, 1724, film)
    struct.pack_into(f"{order}I", header, 1920, label)
    if television is not None:
        struct.pack_into(f"{order}f", header, 1940, television)
    return bytes(header)


def exr(label: int = 0x01020304, rate: tuple[int, int] | None = (24, 1)) -> bytes:
    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value

    data = b"\x76\x2f\x31\x01\x02\0\0\0" + attribute(b"compression", b"compression", b"\0")
    if rate is not None:
        data += attribute(b"framesPerSecond", b"rational", struct.pack("<iI", *rate))
    return data + attribute(b"timeCode", b"timecode", struct.pack("<II", label, 0)) + b"\0" + bytes(100)


@pytest.mark.parametrize(
    ("data", "name", "label", "rate"),
    [
        (dpx(), "a.dpx", "01:02:03:04", Fraction(24)),
        (dpx(order="<"), "A.DPX", "01:02:03:04", Fraction(24)),
        (dpx(0x01020344, television=29.97002), "a.dpx", "01:02:03;04", NTSC),
        (dpx(film=23.976), "a.dpx", "01:02:03:04", Fraction(24000, 1001)),
        (dpx(film=float("nan")), "a.dpx", "01:02:03:04", None),
        (exr(), "a.exr", "01:02:03:04", Fraction(24)),
        (exr(rate=(30000, 1001)), "a.exr", "01:02:03:04", NTSC),
        (exr(rate=None), "a.exr", "01:02:03:04", None),
        (exr(0x01028312, (60, 1)), "a.exr", "01:02:03:25", Fraction(60)),
        (exr(0x81020312, (50, 1)), "a.exr", "01:02:03:25", Fraction(50)),
    ],
)
def test_an_image_says_its_time(data: bytes, name: str, label: str, rate: Fraction | None) -> None:
    said = read_image_time(InMemory(data), name)
    assert said is not None
    assert (str(said.label), said.rate) == (label, rate)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (dpx(0xFFFFFFFF), "a.dpx"),
        (dpx(0x0102030F), "a.dpx"),
        (dpx(picture=1664), "a.dpx"),
        (dpx()[:2000], "a.dpx"),
        (b"", "a.exr"),
        (exr(), "a.tif"),
    ],
)
def test_an_image_without_time_says_nothing(data: bytes, name: str) -> None:
    assert read_image_time(InMemory(data), name) is None


@pytest.mark.parametrize(("order", "pixels"), [(">", "gbrp10be"), ("<", "gbrp10le")])
def test_ffmpeg_reads_the_same_time_of_a_dpx(order: str, pixels: str, tmp_path: Path) -> None:
    """Its own writer ends the header before the label, so that is put between header and picture."""
    made = tmp_path / "made.dpx"
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=s=16x16", "-frames:v", "1", "-pix_fmt", pixels, made)
    assert read_image_time(in_file(made), made.name) is None
    data = made.read_bytes()
    label = dpx(0x01020344, order, television=29.97)[1664:]
    begins = struct.pack(f"{order}I", 2048)
    made.write_bytes(data[:4] + begins + data[8:1664] + label + data[1664:])
    said = read_image_time(in_file(made), made.name)
    assert said == Said(Label(1, 2, 3, 4, True), NTSC)
    assert "timecode=01:02:03;04" in run("ffprobe", "-v", "error", "-show_frames", made)


def test_frames_of_a_sequence_are_selected_by_the_time_code_of_the_first(test_data: Path) -> None:
    names = [path.name for path in sorted((test_data / "exr").glob("*.exr"))]
    (sequence,) = find_sequences(names)
    assert (sequence.pattern, sequence.gaps) == ("singlepart.%04d.exr", [])
    first = in_file(test_data / "exr" / names[0])
    assert sequence_counting(sequence, first) is None  # these say no time code
    counting = sequence_counting(sequence, InMemory(exr(0x01000000)))
    assert counting is not None
    assert select(sequence, read_range("01.00.00.02-01.00.00.05"), counting) == names[2:5]
    with pytest.raises(BadTimecode, match="01:00:00:00 to 01:00:00:08 at 24"):
        select(sequence, read_range("02.00.00.02-02.00.00.05"), counting)


# What metadata repeats


def test_text_that_repeats_the_start_says_the_clip_s(tmp_path: Path) -> None:
    start, other = "01:00:00:00", "at 01:00:00:000, 11:00"
    keys = {"timecode": start, "com.apple.quicktime.timecode": start, "comment": other}
    path = Film(options={"movflags": "use_metadata_tags"}, metadata=keys).write(tmp_path / "film.mov")
    clip = write_clip(plan(open_quicktime(in_file(path)), FrameRange(10, 5)), in_file(path), tmp_path / "clip.mov")
    told = run("ffprobe", "-v", "error", "-show_entries", "format_tags", "-of", "default=nw=1", clip).splitlines()
    assert "TAG:timecode=01:00:00:10" in told
    assert "TAG:com.apple.quicktime.timecode=01:00:00:10" in told
    assert f"TAG:comment={other}" in told
    assert pictures(clip) == pictures(path)[10:15]


# Hostile inputs

READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "xml": (xml(), read_sony_xml),
    "ale": (ALE.encode(), lambda data: find_clip(read_ale(data), "A001C001_240501_R1AB.mov")),
    "dpx": (dpx(television=24.0), lambda data: read_image_time(InMemory(data), "a.dpx")),
    "exr": (exr(), lambda data: read_image_time(InMemory(data), "a.exr")),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_wounded_input_says_something_or_is_refused(kind: str) -> None:
    data, read = READERS[kind]
    for number in range(1000):
        try:
            said = read(mutated(data, random.Random(number)))
            if isinstance(said, Said):
                said.start(NTSC)
        except FilmFSError:
            continue


@pytest.mark.parametrize("kind", READERS)
@given(data=st.binary(max_size=200), at=st.integers(0, 2048))
def test_any_bytes_say_something_or_are_refused(kind: str, data: bytes, at: int) -> None:
    whole, read = READERS[kind]
    with contextlib.suppress(FilmFSError):
        read(whole[:at] + data + whole[at + len(data) :])


def test_files_of_nothing_but_rows_or_elements_are_no_work() -> None:
    began = time.process_time()
    for data, read in ((b"<a>" * 600_000, read_sony_xml), (ALE.encode() + b"a\n" * 4_000_000, read_ale)):
        with pytest.raises(BadMedia):
            read(data)
    assert time.process_time() - began < 3


def test_a_wounded_rtmd_track_says_something_or_nothing(tmp_path: Path) -> None:
    data = with_rtmd(plain(NTSC, tmp_path), NTSC, rtmd_sample((22, 34, 2, 12)))
    at = data.rindex(b"trak")
    for number in range(500):
        wounded = data[:at] + mutated(data[at:], random.Random(number))
        try:
            read_rtmd(open_quicktime(InMemory(wounded)).movie, InMemory(wounded))
        except BadMedia:
            continue
