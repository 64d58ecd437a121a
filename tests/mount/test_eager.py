"""A burst of requests keeps nobody else waiting."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from filmfs.mount.eager import Eager, Turnstile
from tests.drive import Drive

pytestmark = pytest.mark.mount

_BURSTS = {
    "attributes": "import os, sys\nwhile True:\n    os.getxattr(sys.argv[1] + '/.filmfs', 'user.filmfs.virtual')",
    "names": "import os, sys\nn = 0\nwhile True:\n    os.path.exists(f'{sys.argv[1]}/main/none{n}')\n    n += 1",
}


def processor_time_of(drive: Drive) -> float:
    """What the daemon used so far, in seconds."""
    assert drive.process is not None
    fields = Path(f"/proc/{drive.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("of", _BURSTS)
def test_commands_are_answered_during_a_burst_of_requests(drive: Drive, of: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _BURSTS[of], drive.mountpoint]) as burst:
        try:
            for number in range(5):
                (drive.main / f"file{number}").write_bytes(b"x")
                assert "commit" in drive.commit()
            assert burst.poll() is None
        finally:
            burst.kill()


def test_who_asks_now_and_then_does_not_keep_a_processor_awake(drive: Drive) -> None:
    node, asked = drive.mountpoint / ".filmfs", 0
    for _ in range(2000):
        os.getxattr(node, "user.filmfs.virtual")
    before, end = processor_time_of(drive), time.monotonic() + 2
    while time.monotonic() < end:
        os.getxattr(node, "user.filmfs.virtual")
        asked += 1
        time.sleep(0.005)
    assert processor_time_of(drive) - before < 0.5, f"{asked} requests"


def test_it_waits_for_what_comes_later_and_gives_way_meanwhile() -> None:
    reading, writing = os.pipe()
    ran = []

    async def other() -> None:
        ran.append("before")
        await trio.sleep(0.05)
        os.write(writing, b"x")

    async def main() -> None:
        eager = Eager()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            with trio.fail_after(5):
                await eager.wait_readable(reading)
                await eager.wait_readable(reading)

    trio.run(main)
    os.close(reading)
    os.close(writing)
    assert ran == ["before"]


def test_one_at_a_time_is_past_the_turnstile_and_who_waits_comes_next() -> None:
    passed = []

    async def main() -> None:
        turnstile = Turnstile()

        async def other() -> None:
            async with turnstile:
                passed.append("other")

        async with trio.open_nursery() as nursery:
            async with turnstile:
                nursery.start_soon(other)
                await trio.sleep(0.05)
                passed.append("first")
            await trio.sleep(0.05)

    trio.run(main)
    assert passed == ["first", "other"]


def test_who_passes_the_turnstile_again_and_again_lets_others_run() -> None:
    runs = []

    async def main() -> None:
        turnstile = Turnstile()

        async def other() -> None:
            while True:
                runs.append(trio.current_time())
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            end = time.monotonic() + 0.2
            while time.monotonic() < end:
                async with turnstile:
                    pass
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert len(runs) > 20
