"""`filmfs proxy make` while it works: a full disk, workers that die, who follows it and who interrupts it."""

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from filmfs.archive.queue import progress_of
from filmfs.core import errors
from tests.drive import FILMFS, Drive, answer, wait_until
from tests.proxy.numbered import Numbered, seen


def test_a_full_disk_is_told_in_a_line_and_what_waits_is_made_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        drive = Drive(disk)
        drive.filmfs("add", Numbered(frames=40, size=(640, 360)).write(tmp_path / "scene"))
        ballast = disk / "ballast"
        with suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        os.truncate(ballast, ballast.stat().st_size - 200_000)
        done = answer("proxy", "make", drive.root, "main:")
        assert done.returncode == errors.NoSpace.exit_code
        assert "Traceback" not in done.stderr
        assert "No space left" in done.stderr.splitlines()[-1]
        ballast.unlink()
        done = answer("proxy", "make", drive.root, "main:")
        assert (done.returncode, len(drive.facts("proxy list", "main:")["films"][0]["proxies"])) == (0, 3)
        drive.assert_sound()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_who_follows_the_queue_is_told_when_nothing_waits_any_more(tmp_path: Path) -> None:
    shoot = Drive(tmp_path)
    shoot.filmfs("add", Numbered(frames=40, size=(640, 360)).write(tmp_path / "scene"))
    shoot.filmfs("proxy make", "main:", "--later")
    alone = answer("proxy", "status", shoot.root, "--follow")
    assert "nobody works through the queue" in alone.stderr
    with subprocess.Popen([*FILMFS, "proxy", "status", shoot.root, "-f", "--json"], stdout=subprocess.PIPE) as follower:
        answer("proxy", "make", shoot.root, "main:")
        told, _ = follower.communicate(timeout=60)
    assert json.loads(told)["counts"] == {"done": 1}


def test_a_worker_that_is_killed_costs_nothing_and_is_told(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", Numbered(frames=250, size=(1280, 720)).write(tmp_path / "long"))
    command = [*FILMFS, "proxy", "make", drive.root, "main:", "--sizes", "editorial", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as making:
        wait_until(lambda: progress_of(drive.root) is not None and workers_of(making.pid), "the workers")
        os.kill(workers_of(making.pid)[0], signal.SIGKILL)
        told = json.loads(making.communicate()[0])
    assert making.returncode == 0
    (film,) = told["films"]
    assert film["remarks"] == ["a worker died (SIGKILL)"]
    content = film["proxies"][0]["files"][0]["content"]
    assert len(seen(Path(drive.root) / "blobs" / content[:2] / content[2:]).numbers) == 250
    assert "a worker died (SIGKILL)" in drive.filmfs("proxy status")


def test_who_interrupts_it_is_told_what_is_done_and_how_the_rest_goes_on(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    for name, frames in (("a", 10), ("b", 300)):
        drive.filmfs("add", Numbered(frames=frames, size=(1280, 720)).write(tmp_path / name))
    command = [*FILMFS, "proxy", "make", drive.root, "main:", "--sizes", "thumbnail"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # else who was begun in the background ignores it
    making = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    with making:
        wait_until(lambda: (now := progress_of(drive.root)) is not None and now.total == 300, "the second film")
        making.send_signal(signal.SIGINT)
        said = making.communicate()[1]
    assert making.returncode == 130
    assert "1 of 2 films done; what is left waits in the queue" in said
    assert said.endswith("filmfs: interrupted\n")
    assert "Traceback" not in said
    assert "1 done, 1 waiting" in drive.filmfs("proxy status")
    drive.filmfs("proxy make", "main:", "--sizes", "thumbnail")
    assert "2 done" in drive.filmfs("proxy status")


def workers_of(pid: int) -> list[int]:
    """The processes that carry out tasks for another: copies of one that it started."""
    return [worker for stem in children_of(pid) for worker in children_of(stem)]


def children_of(pid: int) -> list[int]:
    return [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children") for each in path.read_text().split()]
