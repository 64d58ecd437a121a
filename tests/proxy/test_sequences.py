"""Image sequences as originals: in step with their numbers, in the colours that files mean, whatever is damaged."""

import pickle
import random
import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import pytest

from filmfs.core.errors import BadMedia, DiskFailure, IsADirectory, NotFound
from filmfs.proxy.executors import Local
from filmfs.proxy.sequences import examine_frames
from filmfs.proxy.sources import FrameFiles, OnDisk
from tests.proxy.images import Frames, attribute, dpx_with, exr_with, in_folder, pictures, proxies
from tests.proxy.numbered import number_in, seen

PNG = Frames(".png", "png", "rgb24")
EXR = Frames(".exr", "exr", "gbrpf32le", {"compression": "zip16", "format": "half"})
DPX = Frames(".dpx", "dpx", "gbrp10le")
KINDS = {
    "EXR half": EXR,
    "EXR half, an odd width": Frames(".exr", "exr", "gbrpf32le", {"compression": "rle", "format": "half"}, (998, 540)),
    "EXR half with alpha": Frames(".exr", "exr", "gbrapf32le", {"format": "half"}, alpha=200),
    "EXR float": Frames(".exr", "exr", "gbrpf32le", {"compression": "zip1", "format": "float"}),
    "EXR grey": Frames(".exr", "exr", "grayf32le", {"format": "half"}),
    "DPX 8": Frames(".dpx", "dpx", "rgb24"),
    "DPX 10": DPX,
    "DPX 10, the other order": Frames(".dpx", "dpx", "gbrp10be"),
    "DPX 12": Frames(".dpx", "dpx", "gbrp12le"),
    "DPX 16": Frames(".dpx", "dpx", "rgb48be"),
    "TIFF 16": Frames(".tif", "tiff", "rgb48le"),
    "TIFF grey": Frames(".tif", "tiff", "gray"),
    "PNG": PNG,
    "PNG with alpha": Frames(".png", "png", "rgba", alpha=200),
    "PNG 16, grey": Frames(".png", "png", "gray16be"),
    "JPEG": Frames(".jpg", "mjpeg", "yuvj422p"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_is_where_its_number_says(kind: str, tmp_path: Path) -> None:
    KINDS[kind].write(tmp_path / "frames", 27)
    made = proxies(in_folder(tmp_path / "frames"), tmp_path)
    assert made.damaged == ()
    for rendition in made.renditions:
        shown = seen(rendition.path)
        assert shown.numbers == tuple(range(27))
        assert shown.times == tuple(Fraction(number, 24) for number in range(27))


def test_a_number_that_is_missing_is_the_frame_before_it(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    PNG.write(folder, 30)
    for number in (1005, 1006, 1021):
        PNG.path(folder, number).unlink()
    made = proxies(in_folder(folder), tmp_path)
    assert made.damaged == (4, 5, 20)
    for rendition in made.renditions:
        expected = list(range(30))
        expected[4] = expected[5] = 3
        expected[20] = 19
        assert list(seen(rendition.path).numbers) == expected


NOISE = random.Random(1).randbytes(1000)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) * 3 // 5],
    "cut off near its end": lambda data: data[:-30],
    "empty": lambda data: b"",
    "something else": lambda data: NOISE,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["EXR half", "DPX 10", "TIFF 16", "PNG", "JPEG"])
def test_a_damaged_frame_is_the_one_before_it(kind: str, damage: str, tmp_path: Path) -> None:
    frames = KINDS[kind]
    frames.write(tmp_path / "frames", 5)
    path = frames.path(tmp_path / "frames", 1003)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert _decoded(in_folder(tmp_path / "frames")) == [(0, False), (1, False), (1, True), (3, False), (4, False)]


def test_chunks_that_were_never_written_are_damage(tmp_path: Path) -> None:
    EXR.write(tmp_path / "frames", 3)
    path = EXR.path(tmp_path / "frames", 1002)
    data = bytearray(path.read_bytes())
    (first,) = (at for at in range(1000) if struct.unpack_from("<Q", data, at) == (at + 8 * (288 // 16),))
    data[first + 8 : first + 16] = bytes(8)
    path.write_bytes(data)
    assert _decoded(in_folder(tmp_path / "frames")) == [(0, False), (0, True), (2, False)]


@pytest.mark.parametrize("kind", ["EXR half", "DPX 10", "TIFF 16", "PNG", "JPEG"])
def test_a_file_of_more_than_2_gib_is_damaged_unread(kind: str, tmp_path: Path) -> None:
    frames = KINDS[kind]
    frames.write(tmp_path / "frames", 3)
    with open(frames.path(tmp_path / "frames", 1002), "r+b") as file:
        file.truncate(1 << 33)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert _decoded(in_folder(tmp_path / "frames")) == [(0, False), (0, True), (2, False)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 << 10


def test_a_frame_of_another_size_is_damaged_and_one_of_another_format_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    PNG.write(folder, 4)
    PNG.path(folder, 1002).write_bytes(Frames(".png", "png", "rgb24", size=(256, 144)).data(1))
    PNG.path(folder, 1003).write_bytes(Frames(".png", "png", "gray16be").data(2))
    assert _decoded(in_folder(folder)) == [(0, False), (0, True), (2, False), (3, False)]


def test_a_picture_is_the_same_whatever_was_decoded_before_it(tmp_path: Path) -> None:
    kinds = ("rgb24", "gbrp10le", "rgb48be", "gray", "gbrp10be", "rgba", "gbrp12be", "gray16be", "rgb24")
    for number, pixels in enumerate(kinds):
        data = dpx_with(Frames(".dpx", "dpx", pixels).data(number), transfer=(3, 2)[number % 2])
        (tmp_path / f"a.{2 * number + 1}.dpx").write_bytes(data)
        (tmp_path / f"a.{2 * number + 2}.dpx").write_bytes(data[: len(data) // 2])
    source = in_folder(tmp_path)
    for shown, (number, file) in zip(pictures(source), source.frames, strict=True):
        assert shown.is_damaged == (number % 2 == 0)
        if not shown.is_damaged:
            (alone,) = pictures(FrameFiles(number, ((number, file),)))
            assert _points(shown.frame) == _points(alone.frame)


def test_where_none_is_before_it_the_first_that_can_be_decoded_is_shown(tmp_path: Path) -> None:
    PNG.write(tmp_path / "frames", 5)
    for number in (1001, 1002):
        PNG.path(tmp_path / "frames", number).write_bytes(b"")
    assert _decoded(in_folder(tmp_path / "frames")) == [(2, True), (2, True), (2, False), (3, False), (4, False)]


def test_a_sequence_without_a_frame_that_can_be_decoded_is_refused(tmp_path: Path) -> None:
    PNG.write(tmp_path / "frames", 3)
    for number in range(1001, 1004):
        PNG.path(tmp_path / "frames", number).write_bytes(NOISE)
    with pytest.raises(
        BadMedia, match=r"^no frame can be decoded: frame 1001 is no EXR, DPX, TIFF, PNG or JPEG image$"
    ):
        examine_frames(in_folder(tmp_path / "frames"))


def test_a_frame_whose_bytes_cannot_be_had_is_not_damaged(tmp_path: Path) -> None:
    class Elsewhere:
        def open(self) -> str:
            raise NotFound("its pack is gone")

    PNG.write(tmp_path / "frames", 2)
    there = in_folder(tmp_path / "frames").frames
    source = FrameFiles(1001, (*there, (1003, Elsewhere())))
    with pytest.raises(NotFound):
        _decoded(source)


def test_a_disk_that_cannot_be_read_is_no_damage(tmp_path: Path) -> None:
    PNG.write(tmp_path / "frames", 3)
    source = in_folder(tmp_path / "frames")
    PNG.path(tmp_path / "frames", 1002).unlink()
    assert _decoded(source) == [(0, False), (0, True), (2, False)]
    PNG.path(tmp_path / "frames", 1002).mkdir()
    with pytest.raises(IsADirectory):
        _decoded(source)


@pytest.mark.parametrize("kind", ["EXR half", "DPX 10", "TIFF 16", "JPEG"])
def test_whatever_is_in_a_file_costs_that_frame_alone(kind: str, tmp_path: Path) -> None:
    frames, draw = KINDS[kind], random.Random(7)
    frames.write(tmp_path / "frames", 1)
    data = frames.data(1)
    for number in range(1002, 1052):
        made = bytearray(data)
        for _ in range(3):
            made[draw.randrange(min(len(made), 600))] = draw.randrange(256)
        frames.path(tmp_path / "frames", number).write_bytes(made[: draw.randrange(len(made))] if number % 2 else made)
    shown = _decoded(in_folder(tmp_path / "frames"))
    assert shown[0] == (0, False)
    assert len(shown) == 51


def test_what_several_workers_make_is_one_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    small, folder = Frames(".png", "png", "rgb24", size=(256, 144)), tmp_path / "frames"
    small.write(folder, 200, first=1)
    for number in (48, 49, 50, 97):  # pictures 47, 48, 49 and 96: around the beginnings of spans
        small.path(folder, number).unlink()
    small.path(folder, 96).write_bytes(NOISE)
    with Local(5) as workers:
        made = proxies(in_folder(folder), tmp_path, workers)
    expected = list(range(200))
    expected[47:50], expected[95:97] = [46] * 3, [94] * 2
    assert made.damaged == (47, 48, 49, 95, 96)
    for rendition in made.renditions:
        assert list(seen(rendition.path).numbers) == expected


def test_a_part_of_a_sequence_is_a_value_that_keeps_its_places() -> None:
    source = FrameFiles(10, tuple((number, OnDisk(f"{number}.dpx")) for number in range(10, 1000) if number != 300))
    part = pickle.loads(pickle.dumps(source.part(290, 300)))
    assert part.first == 10
    assert [number for number, _ in part.frames] == [*range(292, 300), *range(301, 310)]


def test_frames_may_be_addresses(tmp_path: Path) -> None:
    PNG.write(tmp_path, 2)
    with _served(partial(_Quiet, directory=str(tmp_path))) as address:
        frames = tuple((number, OnDisk(f"{address}/shot.{number}.png")) for number in (1001, 1002, 1003))
        assert _decoded(FrameFiles(1001, frames)) == [(0, False), (1, False), (1, True)]


def test_a_connection_that_ends_early_is_no_damage() -> None:
    with _served(_Short) as address, pytest.raises(DiskFailure, match="ended before"):
        _decoded(FrameFiles(1001, ((1001, OnDisk(f"{address}/shot.1001.png")),)))


@contextmanager
def _served(serve: Callable[..., SimpleHTTPRequestHandler]) -> Iterator[str]:
    """The address of a web server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Short(_Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(bytes(100))


# What headers say


def test_time_code_and_rate_are_those_of_the_header(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    DPX.write(folder, 3)
    path = DPX.path(folder, 1001)
    path.write_bytes(dpx_with(path.read_bytes(), label=0x10203004, rate=25.0))
    made = proxies(in_folder(folder), tmp_path)
    assert {seen(rendition.path).timecode for rendition in made.renditions} == {"10:20:30:04"}
    assert {seen(rendition.path).rate for rendition in made.renditions} == {Fraction(25)}


def test_exr_says_its_time_code_and_rate(tmp_path: Path) -> None:
    EXR.write(tmp_path / "frames", 3)
    path = EXR.path(tmp_path / "frames", 1001)
    said = attribute("timeCode", "timecode", struct.pack("<II", 0x01020344, 0))
    said += attribute("framesPerSecond", "rational", struct.pack("<iI", 30000, 1001))
    path.write_bytes(exr_with(path.read_bytes(), said))
    original = examine_frames(in_folder(tmp_path / "frames"))
    assert original.picture is not None
    assert (original.labels.timecode, original.picture.rate) == ("01:02:03;04", Fraction(30000, 1001))
    assert _decoded(in_folder(tmp_path / "frames"))[0] == (0, False)


def test_where_the_first_frame_is_damaged_another_says_where_the_sequence_begins(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    DPX.write(folder, 4)
    DPX.path(folder, 1001).write_bytes(b"")
    path = DPX.path(folder, 1002)
    path.write_bytes(dpx_with(path.read_bytes(), label=0x01000000, rate=24.0))
    assert examine_frames(in_folder(folder)).labels.timecode == "00:59:59:23"


def test_a_rate_that_is_told_is_believed_and_without_any_it_is_24(tmp_path: Path) -> None:
    PNG.write(tmp_path / "frames", 2)
    for told, rate in ((None, Fraction(24)), (Fraction(50), Fraction(50))):
        picture = examine_frames(in_folder(tmp_path / "frames", told)).picture
        assert picture is not None
        assert (picture.rate, picture.is_steady, picture.frames, list(picture.starts)) == (rate, True, 2, [0, 1])


def test_frames_of_many_channels_are_read(test_data: Path, tmp_path: Path) -> None:
    made = proxies(in_folder(test_data / "exr"), tmp_path)
    assert made.damaged == ()
    assert [rendition.frames for rendition in made.renditions] == [8, 8, 8]


def _decoded(source: FrameFiles) -> list[tuple[int, bool]]:
    """The numbers in the pictures of a sequence, and whether they are damaged."""
    return [(number_in(shown.frame), shown.is_damaged) for shown in pictures(source)]


def _points(frame: "av.VideoFrame") -> tuple[object, ...]:
    said = frame.format.name, int(frame.color_range), int(frame.colorspace), int(frame.color_primaries)
    return *said, *map(bytes, frame.planes)
