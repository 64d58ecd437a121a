"""The queue of proxies: it outlives processes, does what matters most first, and loses no job."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from filmfs.archive import Archive, Mode
from filmfs.archive.ahead import Ahead
from filmfs.archive.proxies import Proxies
from filmfs.archive.proxying import ProxyWork
from filmfs.archive.queue import ProxyQueue, progress_of, working
from filmfs.core.errors import Busy, DiskFailure, NoSpace
from filmfs.core.ids import ContentId
from filmfs.proxy.executors import InThisProcess, Local
from filmfs.store.jobs import Job, JobState
from tests.drive import Drive, wait_until
from tests.proxy.numbered import Numbered, seen

SHORT = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=10, size=(512, 288))
LONG = Numbered(codec="prores_aw", frames=600, size=(960, 540))


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """An archive with three short films and something that is none."""
    drive = Drive(tmp_path)
    card = tmp_path / "card"
    card.mkdir()
    for number in range(3):
        Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=10, size=(512, 288), first=number * 10).write(
            card / f"film{number}"
        )
    (card / "broken.mov").write_bytes(b"no film" * 100)
    drive.filmfs("add", f"{card}/")
    return drive


@pytest.fixture
def archive(drive: Drive) -> Iterator[Archive]:
    """The same, open."""
    with Archive(drive.root, Mode.INGEST) as archive:
        yield archive


def job(archive: Archive, name: str, *recipes: str, priority: int = 0) -> Job:
    view = archive.history.view_of("main")
    content = view.get_inode(view.resolve([name.encode()])).content
    assert isinstance(content, bytes)
    return Job(ContentId(content), name, f"main:{name}", recipes or ("thumbnail",), priority)


def test_what_matters_most_is_first_and_of_equals_the_oldest(archive: Archive) -> None:
    queue = ProxyQueue(archive)
    queue.add([job(archive, "film0.mov"), job(archive, "film1.mov", priority=5), job(archive, "film2.mov")])
    with Local(1) as executor:
        ended = [each.name for each in ProxyWork(archive).run(executor)]
    assert ended == ["film1.mov", "film0.mov", "film2.mov"]
    assert {each.state for each in queue.jobs()} == {JobState.DONE}


def test_what_waits_already_takes_over_what_is_asked_for_more(archive: Archive) -> None:
    queue = ProxyQueue(archive)
    first = queue.add([job(archive, "film0.mov", "thumbnail")])
    again = queue.add([job(archive, "film0.mov", "preview", priority=7)])
    assert first == again
    (known,) = queue.jobs()
    assert (known.recipes, known.priority) == (("thumbnail", "preview"), 7)


def test_a_film_that_is_none_fails_once_and_the_rest_goes_on(archive: Archive) -> None:
    queue = ProxyQueue(archive)
    queue.add([job(archive, "broken.mov", priority=1), job(archive, "film0.mov")])
    with Local(1) as executor:
        states = {each.name: (each.state, each.tries) for each in ProxyWork(archive).run(executor)}
    assert states == {"broken.mov": (JobState.FAILED, 1), "film0.mov": (JobState.DONE, 1)}
    assert "cannot read it" in next(each for each in queue.jobs() if each.name == "broken.mov").error


def test_what_is_next_is_looked_at_while_another_is_made(archive: Archive) -> None:
    film, other, broken = (job(archive, name) for name in ("film0.mov", "film1.mov", "broken.mov"))
    with Ahead(archive) as ahead:
        ahead.look()  # nothing is next
        assert ahead.take(film) is None
        ProxyQueue(archive).add([film, replace(broken, priority=-1)])
        ahead.look()
        assert ahead.take(film) == Proxies(archive).examine(film.content, film.name)
        assert ahead.take(film) is None  # what was taken is another's no more
        ahead.look()
        assert ahead.take(other) is None
        (number, _) = (each.number for each in ProxyQueue(archive).jobs())
        ProxyQueue(archive).cancel([number])
        ahead.look()
        assert ahead.take(broken) is None  # it is met when its turn comes


def test_trouble_that_may_pass_is_tried_again(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    queue, tries = ProxyQueue(archive), []

    def fail(*_: object, **__: object) -> None:
        tries.append(1)
        raise DiskFailure("the disk is asleep")

    monkeypatch.setattr(Proxies, "examine", fail)
    queue.add([job(archive, "film0.mov")])
    states = [each.state for each in ProxyWork(archive).run(InThisProcess())]
    assert states == [JobState.WAITING, JobState.WAITING, JobState.FAILED]
    assert len(tries) == 3


def test_a_full_disk_stops_the_queue_and_costs_no_try(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise NoSpace("the disk is full")

    monkeypatch.setattr(Proxies, "examine", fail)
    queue = ProxyQueue(archive)
    queue.add([job(archive, "film0.mov"), job(archive, "film1.mov")])
    with pytest.raises(NoSpace):
        list(ProxyWork(archive).run(InThisProcess()))
    assert [(each.state, each.tries) for each in queue.jobs()] == [(JobState.WAITING, 0)] * 2


def test_one_process_at_a_time_works_through_it(archive: Archive) -> None:
    with working(archive.root), pytest.raises(Busy):
        list(ProxyWork(archive).run(InThisProcess()))


def test_who_is_killed_loses_no_job_and_the_next_goes_on(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", LONG.write(tmp_path / "long"))
    with Archive(drive.root, Mode.INGEST) as archive:
        queue = ProxyQueue(archive)
        queue.add([job(archive, "long.mov", "thumbnail", "preview")])
        runner = _runner(drive)
        wait_until(lambda: _pieces(drive) > 2, "pieces of the film")
        os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()
        assert [each.state for each in queue.jobs()] == [JobState.RUNNING]
        kept = _pieces(drive)
        assert kept > 2
        assert _runner(drive).wait(timeout=60) == 0
        assert [(each.state, each.tries) for each in queue.jobs()] == [(JobState.DONE, 2)]
        content = queue.jobs()[0].content
        films = [made.film.content for made in Proxies(archive).all_of(content)]
        for film in films:
            assert seen(archive.blobs.sealed_path(film)).numbers == tuple(number % 256 for number in range(600))
    drive.assert_sound()


def test_a_running_job_can_be_cancelled(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", LONG.write(tmp_path / "long"))
    drive.filmfs("proxy make", "main:long.mov", "--later")
    runner = _runner(drive)
    wait_until(lambda: progress_of(drive.root) is not None, "the job to begin")
    assert "running" in drive.filmfs("proxy status")
    drive.filmfs("proxy cancel", "--all")
    assert runner.wait(timeout=60) == 0
    facts = drive.facts("proxy status")
    assert facts["counts"] == {"cancelled": 1}
    assert drive.facts("proxy list", "main:long.mov")["films"][0]["proxies"] == []


def test_later_is_with_the_next_make(drive: Drive) -> None:
    drive.filmfs("proxy make", "main:film0.mov", "--later", "--sizes", "thumbnail")
    assert drive.facts("proxy status")["counts"] == {"waiting": 1}
    drive.filmfs("proxy make", "main:film1.mov", "--sizes", "thumbnail")
    assert drive.facts("proxy status")["counts"]["done"] >= 1
    drive.filmfs("proxy make", "main:film0.mov", "--sizes", "thumbnail")
    assert drive.facts("proxy status")["counts"] == {"done": 2}


def _runner(drive: Drive) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "filmfs.archive.proxying", drive.root, "2"], start_new_session=True)


def _pieces(drive: Drive) -> int:
    return sum(1 for path in (Path(drive.root) / "work").rglob("*.json") if path.name != "progress.json")
