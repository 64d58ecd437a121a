"""Workers: what several of them make is what one makes; one that dies or hangs costs a try and no frame."""

import io
import json
import os
import random
import signal
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.archive.queue import Progress, progress_of, working
from filmfs.core.errors import BadMedia, Corrupt
from filmfs.core.models import Unit
from filmfs.proxy.decoding import FFmpegDecoder, plan_spans
from filmfs.proxy.executors import InThisProcess, Local, Outcome
from filmfs.proxy.making import Work, make, work_of
from filmfs.proxy.originals import Colours, Picture, examine
from filmfs.proxy.packets import Coded, PacketReader, PacketWriter
from filmfs.proxy.sources import OnDisk
from filmfs.proxy.tasks import Result
from tests.proxy.making import ALL, proxies
from tests.proxy.numbered import Numbered, Track, seen

LONG = Numbered(".mp4", "libx264", "yuv420p", frames=250, group=33, tracks=(Track("aac", "stereo"),),
                options={"preset": "veryfast", "bf": "2"}, size=(320, 180))  # fmt: skip
INTRA = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=250, size=(512, 288))
INTERLACED = Numbered(codec="mpeg2video", pixels="yuv422p", rate=Fraction(25), frames=250, size=(320, 180),
                      options={"flags": "+ilme+ildct", "b": "10M"})  # fmt: skip


@pytest.fixture(autouse=True)
def _tests_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # to the workers


@dataclass(frozen=True)
class Troubled:
    """A task that does something to its worker the first so many times that it is carried out."""

    name: str
    what: str
    times: int

    def carry_out(self, folder: str, advance: Callable[[int], None]) -> Result:
        for number in range(self.times):
            try:
                os.close(os.open(os.path.join(folder, f"{self.name}.{number}"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            if self.what == "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.what == "breaks":
                raise RuntimeError("a fault of the program")
            if self.what == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)
            raise BadMedia("it makes no sense")
        return Result((), {"done": True})


@pytest.mark.parametrize("film", [LONG, INTRA, INTERLACED], ids=["long groups", "intra", "interlaced"])
def test_spans_of_many_workers_are_one_film(film: Numbered, tmp_path: Path) -> None:
    path = film.write(tmp_path / "original")
    with Local(5) as workers:
        made = proxies(path, tmp_path, executor=workers)
    for rendition in made.renditions:
        assert seen(rendition.path).numbers == tuple(range(250))
        assert seen(rendition.path).times == seen(path).times
    assert made.remarks == ()


@pytest.mark.parametrize("film", [LONG, INTRA], ids=["long groups", "intra"])
def test_spans_tile_a_film_and_begin_with_whole_groups(film: Numbered, tmp_path: Path) -> None:
    picture = examine(OnDisk(str(film.write(tmp_path / "original"))).open).picture
    assert picture is not None
    for most in (24, 48, 96, 250, 1000):
        spans = plan_spans(picture, most, 24)
        assert [span.first for span in spans] == [0, *(s.first + s.count for s in spans[:-1])]
        assert spans[-1].first + spans[-1].count == 250
        assert all(span.first % 24 == 0 for span in spans)
        assert [time for span in spans for time in span.times] == list(picture.times)
        assert all(span.seek in picture.times and span.seek <= span.times[0] for span in spans)


@pytest.mark.parametrize(("frames", "workers"), [(100, 2), (1000, 16), (240, 2), (30, 8), (5, 4), (3000, 32)])
def test_spans_are_no_shorter_than_it_is_worth_and_end_together(frames: int, workers: int, tmp_path: Path) -> None:
    film = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=frames, size=(64, 32), tracks=())
    picture = examine(OnDisk(str(film.write(tmp_path / "original"))).open).picture
    assert picture is not None
    spans = plan_spans(picture, 240, 1, 0, workers)
    assert all(span.count >= 12 for span in spans[:-1])
    ends = [0] * workers
    for span in sorted(spans, key=lambda span: -span.effort):
        ends[ends.index(min(ends))] += span.count
    assert max(ends) <= max(18, frames / workers + 12)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_end_together_where_some_pictures_take_far_more_bytes(workers: int) -> None:
    sizes = array("q", [4_000_000] * 48 + [100_000] * 432)
    picture = replace(_film(480), sizes=sizes)
    spans = plan_spans(picture, 240, 24, 0, workers)
    done = [0] * workers
    for span in sorted(spans, key=lambda span: -span.effort):
        done[done.index(min(done))] += sum(sizes[span.first : span.first + span.count])
    assert max(done) <= 1.1 * max(sum(sizes) / workers, sum(sizes[:24]))


@pytest.mark.parametrize("group", [19, 23, 25, 30, 47, 50])
def test_two_workers_decode_little_in_vain_where_groups_are_not_those_of_proxies(group: int) -> None:
    picture = replace(_film(480), starts=array("q", range(0, 480, group)))
    spans = plan_spans(picture, 960, 24, 0, 2)
    done = [0, 0]
    for span in sorted(spans, key=lambda span: -span.effort):
        done[done.index(min(done))] += span.count + span.times[0] - span.seek
    assert max(done) <= 240 + group // 2 + 3
    assert sum(done) <= 480 + group


@pytest.mark.parametrize("open_gop", ["0", "1"])
def test_a_span_is_read_no_further_than_its_last_picture_takes(open_gop: str, tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    _write_noise(path, {"g": "12", "bf": "2", "x264-params": f"keyint=12:scenecut=0:open-gop={open_gop}"})
    picture = examine(OnDisk(str(path)).open).picture
    assert picture is not None
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    spans = plan_spans(picture, 12, 12)
    assert len(spans) == 3
    for span in spans[:2]:
        last = max(number for number, packet in enumerate(packets) if packet.pts in span.times)
        following = packets[last + 1]
        assert following.pos is not None
        assert following.size > 100_000
        with _Recording(path) as file:
            shown = list(FFmpegDecoder(lambda file=file: file, picture).pictures(span))
            assert not any(each.is_damaged for each in shown)
            assert [each.frame.pts for each in shown] == list(span.times)
            assert file.furthest < following.pos + following.size // 2


class _Recording(io.FileIO):
    """Knows how far it was read."""

    furthest = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return data or b""


def _write_noise(path: Path, options: dict[str, str]) -> None:
    chance = random.Random(1)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=24, width=640, height=352, pix_fmt="yuv420p", options=options)
        stream.options |= {"qp": "10", "preset": "ultrafast"}
        for number in range(36):
            frame = av.VideoFrame(640, 352, "yuv420p")
            for plane in frame.planes:
                plane.update(chance.randbytes(plane.buffer_size))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_spans_of_pictures_of_one_size_are_those_of_pictures_whose_sizes_nobody_knows() -> None:
    alike = replace(_film(480), sizes=array("q", [70_000] * 480))
    cuts = [[span.first for span in plan_spans(film, 240, 24, 0, 3)] for film in (_film(480), alike)]
    assert cuts[0] == cuts[1]


def _film(frames: int) -> Picture:
    rate = Fraction(24)
    numbers = array("q", range(frames))
    colours = Colours()
    return Picture(
        0, "h264", "yuv420p", 640, 360, None, rate, True, 1 / rate, numbers, numbers[::24], 1, colours, False, False
    )


def test_what_an_earlier_run_finished_is_not_made_again(tmp_path: Path) -> None:
    path = INTRA.write(tmp_path / "original")
    first = proxies(path, tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    next((tmp_path / "work").glob("*.mov")).unlink()
    again = proxies(path, tmp_path)
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "work").iterdir()}
    assert [each.path for each in again.renditions] == [each.path for each in first.renditions]
    changed = {name for name in before if before[name] != after[name]}
    assert {name.rpartition(".")[2] for name in changed} == {"mov", "json"}


@pytest.mark.parametrize(("what", "how"), [("dies", "SIGSEGV"), ("stops", "told nothing"), ("breaks", "exit 1")])
def test_a_worker_that_is_lost_costs_a_try(what: str, how: str, tmp_path: Path) -> None:
    (outcome,) = _run([Troubled("task", what, 1)], tmp_path)
    assert outcome.result == Result((), {"done": True})
    (remark,) = outcome.remarks
    assert how in remark


@pytest.mark.parametrize("what", ["dies", "stops"])
def test_a_task_that_loses_two_workers_has_failed_and_the_others_go_on(what: str, tmp_path: Path) -> None:
    tasks = [Troubled("bad", what, 2), *(Troubled(f"good{number}", what, 0) for number in range(5))]
    outcomes = {outcome.task.name: outcome for outcome in _run(tasks, tmp_path)}
    assert isinstance(outcomes.pop("bad").result, BadMedia)
    assert [outcome.result.facts for outcome in outcomes.values()] == [{"done": True}] * 5


def test_a_task_that_makes_no_sense_is_tried_once(tmp_path: Path) -> None:
    (outcome,) = _run([Troubled("task", "raises", 1)], tmp_path)
    assert isinstance(outcome.result, BadMedia)
    assert str(outcome.result) == "it makes no sense"


def test_whoever_stops_listening_ends_the_workers(tmp_path: Path) -> None:
    tasks = [Troubled("quick", "none", 0), Troubled("slow", "stops", 1)]
    before = _children()
    with Local(2, silence_s=60) as workers:
        running = workers.run(tasks, str(tmp_path), lambda _: None)
        next(running)
        running.close()
    assert _children() - before == set()


def test_packets_are_read_as_they_were_written(tmp_path: Path) -> None:
    packets = [Coded(-1024, 1024, True, b""), Coded(0, 1, False, b"picture"), Coded(1 << 40, 7, True, bytes(70_000))]
    with open(tmp_path / "packets", "wb") as file:
        writer = PacketWriter(file, b"head")
        for packet in packets:
            writer.put(packet)
    with open(tmp_path / "packets", "rb") as file:
        reader = PacketReader(file)
        assert reader.extradata == b"head"
        assert list(reader) == packets


@pytest.mark.parametrize("length", [0, 10, 19, 24, 40, 60])
def test_packets_that_were_cut_off_are_refused(length: int, tmp_path: Path) -> None:
    with open(tmp_path / "packets", "wb") as file:
        PacketWriter(file, b"head").put(Coded(0, 1, True, b"a picture that is longer than the cut"))
    os.truncate(tmp_path / "packets", length)
    with open(tmp_path / "packets", "rb") as file, pytest.raises(Corrupt):
        list(PacketReader(file))


def _children() -> set[str]:
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


def _run(tasks: list[Troubled], folder: Path) -> Iterator[Outcome]:
    with Local(2, silence_s=6.0) as workers:
        yield from workers.run(tasks, str(folder), lambda _: None)


@pytest.mark.parametrize("workers", [0, 2])
def test_progress_is_told_of_each_frame_and_of_sound_alone_of_each_second(workers: int, tmp_path: Path) -> None:
    film = LONG.write(tmp_path / "film")
    sound = tmp_path / "sound.wav"
    with av.open(film) as source, av.open(sound, "w") as target:
        stream = target.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    for path, expected in ((film, Work(250, Unit.FRAMES)), (sound, Work(10, Unit.SECONDS))):
        told: list[int] = []
        source_, original = OnDisk(str(path)), examine(OnDisk(str(path)).open)
        assert work_of(original) == expected
        (tmp_path / path.stem).mkdir()
        with Local(2) as executor:
            one = executor if workers else InThisProcess()
            make("film", source_, original, ALL, one, str(tmp_path / path.stem), told.append)
        assert sum(told) == expected.total
        assert min(told) >= 0


def test_how_far_another_process_is_can_be_asked(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    told = {"pid": 1, "job": 2, "done": 3, "total": 4, "fps": 61.5, "unit": "seconds"}
    (tmp_path / "work" / "progress.json").write_text(json.dumps(told))
    assert progress_of(str(tmp_path)) is None
    with working(str(tmp_path)):
        assert progress_of(str(tmp_path)) == Progress(1, 2, 3, 4, 61.5, Unit.SECONDS)
    assert (Unit.SECONDS.pace(61.5), Unit.FRAMES.pace(61.5)) == ("62x", "62 fps")
