"""The commands of docs/farm.md run as written, with all machines being one."""

import os
import re
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from tests.drive import Drive
from tests.proxy.numbered import Numbered, seen

TOP = Path(__file__).resolve().parents[2]


def test_the_commands_about_a_farm_work_as_written(tmp_path: Path) -> None:
    film = Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True, rate=Fraction(25), size=(512, 288))
    (tmp_path / "A001").mkdir()
    film.write(tmp_path / "A001" / "scene")
    drive = Drive(tmp_path)
    drive.filmfs("add", tmp_path / "A001")
    blocks = re.findall(r"```sh\n(.*?)```", (TOP / "docs" / "farm.md").read_text(encoding="utf-8"), re.DOTALL)
    places = dict(zip(("8786", "9000", "9001"), map(str, _free_ports(3)), strict=True))
    places |= {".venv/bin/": "", "10.0.0.11": "127.0.0.1", "10.0.0.1": "127.0.0.1"}
    places |= {"/tank/film": drive.root, "/scratch": str(tmp_path / "scratch")}
    scheduler, worker, using = [_replaced(block, places) for block in blocks]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = [
        subprocess.Popen(["bash", "-c", f"exec {block}"], env=environment, stderr=subprocess.DEVNULL)
        for block in (scheduler, worker)
    ]
    try:
        done = subprocess.run(["bash", "-c", using], env=environment, capture_output=True, text=True, timeout=120)
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)
    assert done.returncode == 0, done.stderr
    assert "scene.mov: thumbnail 64×36" in done.stdout
    (listed,) = drive.facts("proxy list", "main:A001")["films"]
    for proxy in listed["proxies"]:
        content = proxy["files"][0]["content"]
        assert seen(Path(drive.root) / "blobs" / content[:2] / content[2:]).numbers == tuple(range(50))


def _replaced(block: str, places: dict[str, str]) -> str:
    for written, here in places.items():
        block = block.replace(written, here)
    return block


def _free_ports(count: int) -> list[int]:
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in taken]
    for each in taken:
        each.close()
    return ports
