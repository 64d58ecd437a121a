"""A burst of requests keeps nobody else waiting."""

import os
import subprocess
import sys

import pytest
import trio

from filmfs.mount.eager import Eager
from tests.drive import Drive

pytestmark = pytest.mark.mount

_BURST = "import os, sys\nwhile True:\n    os.getxattr(sys.argv[1], 'user.filmfs.virtual')"


def test_commands_are_answered_during_a_burst_of_requests(drive: Drive) -> None:
    node = str(drive.mountpoint / ".filmfs")
    with subprocess.Popen([sys.executable, "-c", _BURST, node]) as burst:
        try:
            for number in range(5):
                (drive.main / f"file{number}").write_bytes(b"x")
                assert "commit" in drive.commit()
            assert burst.poll() is None
        finally:
            burst.kill()


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
