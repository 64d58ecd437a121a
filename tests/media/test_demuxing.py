"""Packets of some of a film's streams: the same as if all were read, and hardly more bytes than they have."""

import io
import subprocess
from pathlib import Path

import av
import pytest

from filmfs.media.demuxing import demuxed

FILMS = {
    "ProRes.mov": ("prores_aw", "pcm_s24le"),
    "Motion JPEG.mov": ("mjpeg", "pcm_s24le"),
    "H.264.mp4": ("libx264", "aac"),
    "DNxHD.mxf": ("dnxhd", "pcm_s16le"),
    "MPEG-4.mkv": ("mpeg4", "aac"),
    "MPEG-2.ts": ("mpeg2video", "aac"),
    "Motion JPEG.avi": ("mjpeg", "pcm_s16le"),
}
INDEXED = ("ProRes.mov", "Motion JPEG.mov")


class Counted(io.FileIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size) or b""
        self.count += len(data)
        return data


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of grain, with two sound tracks."""
    folder = tmp_path_factory.mktemp("films")
    source = (
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=1280x720:r=25,noise=alls=60:allf=t",
        "-f",
        "lavfi",
        "-i",
        "anoisesrc=r=48000",
    )
    for name, (picture, sound) in FILMS.items():
        options = ("-b:v", "90M") if picture == "dnxhd" else ("-qscale:v", "2") if "mjpeg" in picture else ()
        command = ["ffmpeg", "-v", "error", *source, "-t", "1", "-map", "0", "-map", "1", "-map", "1", "-c:v", picture]
        pixels = "yuv422p10le" if picture == "prores_aw" else "yuv422p" if picture == "dnxhd" else "yuv420p"
        subprocess.run([*command, *options, "-pix_fmt", pixels, "-c:a", sound, folder / name], check=True)
    return folder


@pytest.mark.parametrize("name", FILMS)
def test_packets_are_those_of_a_film_that_is_read_whole(films: Path, name: str) -> None:
    for wanted in ([0], [1], [1, 2], [0, 2], [0, 1, 2]):
        with av.open(films / name) as whole, av.open(films / name) as part:
            streams = [part.streams[number] for number in wanted]
            every = [_told(packet) for packet in whole.demux() if packet.size and packet.stream_index in wanted]
            assert [_told(packet) for packet in demuxed(part, *streams) if packet.size] == every
            assert {number for number, *_ in every} == set(wanted)


@pytest.mark.parametrize("name", INDEXED)
@pytest.mark.skipif(not hasattr(av.stream.Stream, "discard"), reason="this PyAV reads every stream")
def test_what_is_between_them_is_not_read(films: Path, name: str) -> None:
    with Counted(films / name) as file, av.open(file) as container:
        opening, sounds = file.count, container.streams.audio
        heard = sum(packet.size for packet in demuxed(container, *sounds))
        assert heard > 0
        assert file.count - opening < heard + 3 * 2 * 48000 * 3
        assert file.count < (films / name).stat().st_size / 4


def test_another_stream_can_be_asked_for_afterwards(films: Path) -> None:
    with av.open(films / "ProRes.mov") as container:
        assert sum(1 for packet in demuxed(container, container.streams.audio[0]) if packet.size)
        container.seek(0)
        assert sum(1 for packet in demuxed(container, container.streams.video[0]) if packet.size) == 25


def _told(packet: "av.Packet") -> tuple[int, int | None, int | None, bytes]:
    return packet.stream_index, packet.pts, packet.dts, bytes(packet)
