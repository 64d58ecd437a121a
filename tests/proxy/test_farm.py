"""A farm: what it makes is what this machine makes; what happens to its workers costs a try and no frame."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from distributed import Client

from filmfs.core.errors import BadMedia, Corrupt, NotFound, Stale, Unsupported, Usage
from filmfs.proxy.executors import Local, Outcome
from filmfs.proxy.farm import Farm
from filmfs.proxy.farmhand import carry_out, versions
from filmfs.proxy.making import make
from filmfs.proxy.originals import examine
from filmfs.proxy.parcels import Parcel, receive, wrap
from filmfs.proxy.recipes import THUMBNAIL
from filmfs.proxy.sources import OnDisk
from filmfs.proxy.tasks import Result
from tests.proxy.farming import TOP, Harmful, farm, serving, wait_for
from tests.proxy.making import ALL, proxies
from tests.proxy.numbered import Numbered, Track, seen

FILM = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, frames=250, size=(512, 288), rate=Fraction(25),
                tracks=(Track(), Track("pcm_s16le", "stereo")))  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with farm(tmp_path_factory.mktemp("farm")) as address:
        yield address


@pytest.fixture
def workers(address: str) -> Iterator[Farm]:
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)  # those that a test killed come back
    with Farm(address, timeout_s=30, silence_s=2.0) as workers:
        yield workers


def test_a_film_made_by_a_farm_is_to_the_byte_what_this_machine_makes(workers: Farm, tmp_path: Path) -> None:
    path = FILM.write(tmp_path / "original")
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    told: list[int] = []
    with Local(2) as local:
        here = proxies(path, tmp_path / "here", executor=local)
    source = OnDisk(str(path))
    there = make("original", source, examine(source.open), ALL, workers, str(tmp_path / "there"), told.append)
    assert there.remarks == ()
    assert sum(told) == 250
    assert _files(tmp_path / "there") == _files(tmp_path / "here" / "work")
    assert [seen(each.path).numbers for each in there.renditions] == [tuple(range(250))] * 3
    assert [each.size for each in there.renditions] == [each.size for each in here.renditions]


def test_a_worker_that_is_killed_in_the_middle_loses_nothing(workers: Farm, address: str, tmp_path: Path) -> None:
    path = FILM.write(tmp_path / "original")
    with Client(address, set_as_default=False) as client:
        pids = list(client.run(os.getpid).values())
    source = OnDisk(str(path))
    told: list[int] = []

    def advance(count: int) -> None:
        told.append(count)
        if len(pids) == 2:
            os.kill(pids.pop(), signal.SIGKILL)

    made = make("original", source, examine(source.open), ALL, workers, str(tmp_path), advance)
    assert len(pids) == 1
    assert sum(told) == 250
    assert [seen(each.path).numbers for each in made.renditions] == [tuple(range(250))] * 3


def test_a_task_goes_to_another_when_its_worker_dies(workers: Farm, tmp_path: Path) -> None:
    (outcome,) = _run(workers, [Harmful("task", "kills its worker", 1, str(tmp_path))], tmp_path)
    assert outcome.result == Result(("task",), {"done": True})


def test_a_task_that_kills_workers_has_failed_and_the_others_go_on(workers: Farm, tmp_path: Path) -> None:
    tasks = [Harmful("bad", "kills its worker", 99, str(tmp_path))]
    tasks += [Harmful(f"good{number}", "nothing", 0, str(tmp_path)) for number in range(4)]
    outcomes = {outcome.task.name: outcome.result for outcome in _run(workers, tasks, tmp_path)}
    bad = outcomes.pop("bad")
    assert isinstance(bad, BadMedia)
    assert str(bad) == "several workers died while they had it"
    assert outcomes == {name: Result((name,), {"done": True}) for name in ("good0", "good1", "good2", "good3")}


class _Patient(Farm):
    """Gives a task that was lost to another worker as soon as there is one."""

    def _send(self, sent: Any, flying: Any) -> None:
        if sent.address:
            wait_for(lambda: set(self._client.nthreads()) - {sent.address})
        super()._send(sent, flying)


def test_a_task_whose_only_other_worker_dies_is_not_waited_for_forever(tmp_path: Path) -> None:
    tasks = [Harmful("bad", "kills its worker", 99, str(tmp_path))]
    with farm(tmp_path, 1) as address, _Patient(address, timeout_s=30, silence_s=1.0) as workers:
        (outcome,) = _run(workers, tasks, tmp_path)
    assert isinstance(outcome.result, BadMedia)
    assert str(outcome.result) == "several workers died while they had it"


@pytest.mark.parametrize("what", ["crashes", "hangs"])
def test_a_process_that_is_lost_costs_a_try_and_no_worker(what: str, workers: Farm, tmp_path: Path) -> None:
    once, always = Harmful("once", what, 1, str(tmp_path)), Harmful("always", what, 99, str(tmp_path))
    outcomes = {outcome.task.name: outcome for outcome in _run(workers, [once, always], tmp_path)}
    assert outcomes["once"].result == Result(("once",), {"done": True})
    assert isinstance(outcomes["always"].result, BadMedia)
    assert [len(outcomes[name].remarks) for name in ("once", "always")] == [1, 2]
    assert all(remark.startswith("tcp://") for remark in outcomes["always"].remarks)


def test_a_worker_that_hangs_as_a_whole_costs_a_try(workers: Farm, tmp_path: Path) -> None:
    try:
        (outcome,) = _run(workers, [Harmful("task", "stops its worker", 1, str(tmp_path))], tmp_path)
    finally:
        os.kill(int((tmp_path / "stopped").read_text()), signal.SIGKILL)
    assert outcome.result == Result(("task",), {"done": True})
    assert len(outcome.remarks) == 1


def test_an_error_of_a_task_is_its_outcome(workers: Farm, tmp_path: Path) -> None:
    (outcome,) = _run(workers, [Harmful("task", "fails", 1, str(tmp_path))], tmp_path)
    assert isinstance(outcome.result, BadMedia)
    assert str(outcome.result) == "it makes no sense"
    assert outcome.remarks == ()


def test_what_is_there_is_not_sent_and_what_was_fetched_is_not_kept(
    workers: Farm, address: str, tmp_path: Path
) -> None:
    task = Harmful("task", "nothing", 0, str(tmp_path))
    _run(workers, [task], tmp_path)
    before = (tmp_path / "task").stat().st_mtime_ns
    assert [outcome.result for outcome in _run(workers, [task], tmp_path)] == [Result(("task",), {"done": True})]
    assert (tmp_path / "task").stat().st_mtime_ns == before
    with Client(address, set_as_default=False) as client:
        wait_for(lambda: not any(client.run(_kept).values()))


def test_whoever_stops_listening_ends_the_work(workers: Farm, tmp_path: Path) -> None:
    tasks = [Harmful("quick", "nothing", 0, str(tmp_path)), Harmful("slow", "takes long", 1, str(tmp_path))]
    running = workers.run(tasks, str(tmp_path), lambda _: None)
    next(running)
    wait_for((tmp_path / "pid").exists)
    running.close()
    process = Path("/proc", (tmp_path / "pid").read_text())
    wait_for(lambda: not process.exists(), 10)


def test_results_that_went_with_their_worker_are_made_again(workers: Farm, address: str, tmp_path: Path) -> None:
    names = [f"task{number}" for number in range(4)]
    running = workers.run([Harmful(name, "nothing", 0, str(tmp_path)) for name in names], str(tmp_path), lambda _: None)
    outcomes = [next(running)]
    with Client(address, set_as_default=False) as client:
        wait_for(lambda: sum(map(len, client.has_what().values())) == 3)
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
    outcomes += running
    assert sorted(outcome.result.files for outcome in outcomes) == [(name,) for name in names]


def test_who_is_gone_is_worked_for_no_more(address: str, tmp_path: Path) -> None:
    code = "import sys; from tests.proxy.farming import *; from filmfs.proxy.farm import Farm; " \
        "task = Harmful('task', 'takes long', 1, sys.argv[2]); " \
        "list(Farm(sys.argv[1], timeout_s=30).run([task], sys.argv[2], lambda _: None))"  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code, address, str(tmp_path)], cwd=TOP) as client:
        wait_for((tmp_path / "pid").exists)
        client.kill()
    process = Path("/proc", (tmp_path / "pid").read_text())
    wait_for(lambda: not process.exists())


def test_a_scheduler_that_goes_ends_the_run(tmp_path: Path) -> None:
    task = Harmful("task", "takes long", 1, str(tmp_path))
    with farm(tmp_path, 1) as address, Farm(address, timeout_s=5, silence_s=2.0) as workers:
        running = workers.run([task], str(tmp_path), lambda _: None)
        with Client(address, set_as_default=False) as client, ThreadPoolExecutor(1) as thread:
            outcome = thread.submit(lambda: list(running))
            wait_for((tmp_path / "pid").exists)
            os.kill(client.run_on_scheduler(os.getpid), signal.SIGKILL)
        with pytest.raises(Stale, match="answers no more"):
            outcome.result()


def test_a_worker_with_other_encoders_is_refused(address: str, tmp_path: Path) -> None:
    task = Harmful("task", "nothing", 0, str(tmp_path))
    with Client(address, set_as_default=False) as client:
        made = client.submit(carry_out, "key", task, ("filmfs 0", *versions()[1:]), 2.0).result(timeout=30)
    assert isinstance(made.result, Unsupported)
    assert "filmfs 0.1.0 and not filmfs 0" in str(made.result)


def test_originals_may_be_elsewhere_at_the_workers(address: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = FILM.write(tmp_path / "there" / "original")
    original = examine(OnDisk(str(path)).open)
    here = OnDisk(str(tmp_path / "here" / path.name))
    moved = {str(tmp_path / "here"): str(tmp_path / "there")}
    with Farm(address, timeout_s=30, moved=moved) as workers:
        made = make("original", here, original, [THUMBNAIL], workers, str(tmp_path))
    assert seen(made.renditions[0].path).numbers == tuple(range(250))


def test_originals_may_be_at_a_server_that_gives_ranges(address: str, tmp_path: Path) -> None:
    options = {"bf": "2", "preset": "veryfast"}
    film = Numbered(".mp4", "libx264", "yuv420p", options=options, frames=250, size=(320, 180))
    (tmp_path / "made").mkdir()
    path = film.write(tmp_path / "original")
    original = examine(OnDisk(str(path)).open)
    with serving(tmp_path) as (server, asked), Farm(address, moved={str(tmp_path): server}) as workers:
        made = make("original", OnDisk(str(path)), original, ALL, workers, str(tmp_path / "made"))
    for rendition in made.renditions:
        assert seen(rendition.path).numbers == tuple(range(250))
    assert len(made.renditions) == 3
    assert asked
    assert all(each.startswith("bytes=") for each in asked)


def test_where_no_scheduler_is_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(NotFound, match="no Dask scheduler answers at tcp://"):
            Farm(address, timeout_s=1.0)
        assert time.monotonic() - started < 10
    for nonsense in ("nonsense", "tcp://here", "10.0.0.1:8786", ""):
        with pytest.raises(Usage, match="is no address of a Dask scheduler"):
            Farm(nonsense, timeout_s=1.0)
    with pytest.raises(NotFound, match="no Dask scheduler answers at "):
        Farm("nonsense://here:1", timeout_s=1.0)


def test_a_farm_without_workers_is_said(tmp_path: Path) -> None:
    with farm(tmp_path, workers=0) as address, pytest.raises(NotFound, match="has no workers"):
        Farm(address, timeout_s=1.0)


BYTES = bytes(range(256)) * 40_000  # more than one piece


def test_a_file_arrives_as_it_was_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BYTES)
    (parcel,) = wrap(str(tmp_path), ["file"])
    (tmp_path / "arrived").mkdir()
    receive(str(tmp_path / "arrived"), parcel, lambda at, length: BYTES[at : at + length])
    assert _files(tmp_path / "arrived") == {"file": blake3(BYTES).hexdigest()}


@pytest.mark.parametrize(
    "arriving",
    [BYTES[:-1], BYTES[:-1] + b"x", b"x" + BYTES[1:], b""],
    ids=["short", "last byte", "first byte", "nothing"],
)
def test_other_bytes_than_were_sent_are_refused(arriving: bytes, tmp_path: Path) -> None:
    parcel = Parcel("file", len(BYTES), blake3(BYTES).digest())
    with pytest.raises(Corrupt):
        receive(str(tmp_path), parcel, lambda at, length: arriving[at : at + length])
    assert list(tmp_path.iterdir()) == []


def test_more_bytes_than_were_asked_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Corrupt):
        receive(str(tmp_path), Parcel("file", 10, blake3(BYTES).digest()), lambda _at, _length: BYTES)


@pytest.mark.parametrize("name", ["../file", "/etc/passwd", ".", "..", "", "folder/file"])
def test_a_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Corrupt):
        receive(str(tmp_path), Parcel(name, 0, blake3().digest()), lambda _at, _length: b"")


def _run(workers: Farm, tasks: list[Harmful], folder: Path) -> list[Outcome]:
    return list(workers.run(tasks, str(folder), lambda _: None))


def _files(folder: Path) -> dict[str, str]:
    return {file.name: blake3(file.read_bytes()).hexdigest() for file in folder.iterdir()}


def _kept(dask_worker: Any) -> list[str]:
    """What a worker still has of results; done there."""
    return [str(path) for path in Path(dask_worker.local_directory).glob("filmfs-*")]
