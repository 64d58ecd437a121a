"""Files that were cut off are told from whole ones, by what they say of their own length."""

import struct
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from filmfs.media.ending import cut_off
from filmfs.store.containers import FileBytes
from tests.proxy.numbered import Numbered, Track

H264 = Numbered(".mp4", "libx264", "yuv420p", size=(320, 180), timecode=None, tracks=(Track("aac", "stereo"),))
FILMS = {
    "Matroska": replace(H264, suffix=".mkv"),
    "WebM": replace(H264, suffix=".webm", codec="libvpx-vp9", tracks=(), options={"deadline": "realtime"}),
    "AVI": replace(H264, suffix=".avi", codec="mjpeg", pixels="yuvj420p", is_full=True, tracks=(Track("pcm_s16le"),)),
    "QuickTime": replace(H264, suffix=".mov", container={"movflags": "faststart"}),
    "fragments": replace(H264, container={"movflags": "frag_keyframe+empty_moov"}),
}


def test_it_is_told_by_how_much(tmp_path: Path) -> None:
    for name, film in FILMS.items():
        data = film.write(tmp_path / name).read_bytes()
        assert said(data) == "", name
        for missing in (1, 100):
            assert said(data[:-missing]) == f"the file ends {missing} bytes too early: it was cut off", name
        assert said(data[: len(data) // 2]).endswith("bytes too early: it was cut off"), name


def test_where_a_packet_is_not_whole_that_is_told(tmp_path: Path) -> None:
    stream = replace(H264, suffix=".ts").write(tmp_path / "film").read_bytes()
    tags = replace(H264, suffix=".flv").write(tmp_path / "film").read_bytes()
    assert [said(stream), said(stream[:-188]), said(tags)] == ["", "", ""]
    for data in (stream[:-1], stream[:-187], tags[:-1], tags[:-2000]):
        assert said(data) == "the file ends in the middle of a packet: it was cut off"
    blu_ray = b"".join(b"\0\0\0\0" + stream[at : at + 188] for at in range(0, len(stream), 188))
    assert said(blu_ray) == ""
    assert said(blu_ray[:-5]) == "the file ends in the middle of a packet: it was cut off"


def test_sound_files_have_a_length_too() -> None:
    form = b"FORM" + struct.pack(">I", 4 + 100) + b"AIFF" + bytes(100)
    assert said(form) == ""
    assert said(form[:-7]) == "the file ends 7 bytes too early: it was cut off"


def test_of_several_chunks_of_a_large_avi_the_last_counts() -> None:
    def chunk(kind: bytes, length: int) -> bytes:
        return b"RIFF" + struct.pack("<I", 4 + length) + kind + bytes(length)

    data = chunk(b"AVI ", 1000) + chunk(b"AVIX", 500)
    assert said(data) == ""
    assert said(data[:-20]) == "the file ends 20 bytes too early: it was cut off"


UNKNOWN = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(50)


def test_what_programs_put_after_a_film_is_not_taken_for_a_part_of_it(tmp_path: Path) -> None:
    movie = FILMS["QuickTime"].write(tmp_path / "film").read_bytes()
    for tail in (b"TAG" + bytes(125), b"APETAGEX" + bytes(24), b"8db42d694ccc418790edff439fe026bf", bytes(100)):
        assert said(movie + tail) == "", tail
    stream = replace(H264, suffix=".ts").write(tmp_path / "film").read_bytes()
    assert said(stream + bytes(1000)) == ""
    tags = replace(H264, suffix=".flv").write(tmp_path / "film").read_bytes()
    size = 11 + int.from_bytes(tags[14:17], "big")
    other = bytearray(tags)
    other[13 + size : 17 + size] = (size - 11).to_bytes(4, "big")  # as some programs write it
    assert said(bytes(other[:-2])) == ""


@pytest.mark.parametrize(
    "data",
    [
        UNKNOWN,
        b"RIFF" + bytes(4) + b"AVI " + bytes(40),
        b"RIFF\xff\xff\xff\xffAVI " + bytes(40),
        b"\0\0\0\x08ftyp" + b"\0\0\0\0mdat" + bytes(50),  # to the end
        b"\0\0\0\x08ftyp" + b"\xff\xff",
        b"\0\0\0\x08ftyp" + b"\0\0\0\x01mdat" + struct.pack(">Q", 3),
    ],
)
def test_where_nothing_says_the_length_nothing_is_told(data: bytes) -> None:
    assert said(data) == ""


@pytest.mark.parametrize(
    "head", [b"", b"\x1a\x45\xdf\xa3", b"RIFF", b"FLV\1", b"FLV\1\5\0\0\0\x09", b"\x47", b"\0" * 64]
)
def test_nothing_that_is_no_film_is_trouble(head: bytes) -> None:
    for length in range(0, 40, 3):
        cut_off(FileBytes(BytesIO(head + bytes(length))))
        cut_off(FileBytes(BytesIO(head + b"\xff" * length)))


def said(data: bytes) -> str:
    """What is said of a file of these bytes."""
    return cut_off(FileBytes(BytesIO(data)))
