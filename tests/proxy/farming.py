"""A farm on this machine, and tasks that do something to its workers."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from filmfs.core.errors import BadMedia
from filmfs.proxy.tasks import Result

TOP = Path(__file__).resolve().parents[2]


@contextmanager
def farm(folder: Path, workers: int = 2) -> Iterator[str]:
    """The address of a scheduler with so many workers."""
    told = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(TOP), "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    common = ["--scheduler-file", told, "--no-dashboard"]
    worker = ["worker", *common, "--host", "127.0.0.1", "--nthreads", "1", "--local-directory", folder / "scratch"]
    commands = [["scheduler", *common, "--host", "127.0.0.1", "--port", "0"], *[worker] * workers]
    processes = []
    with open(folder / "log", "wb") as log:
        try:
            for command in commands:
                processes.append(
                    subprocess.Popen([sys.executable, "-m", "dask", *command], env=environment, stdout=log, stderr=log)
                )
            wait_for(told.exists)
            yield json.loads(told.read_text())["address"]
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)


def wait_for(is_so: Callable[[], object], seconds: float = 30.0) -> None:
    """Until it is so."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


class _Ranges(SimpleHTTPRequestHandler):
    """A file, or bytes of it from one on."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)  # type: ignore[attr-defined]
        first, _, last = asked.removeprefix("bytes=").partition("-")
        size = path.stat().st_size
        begin, end = int(first or 0), min(size, int(last) + 1 if last else size)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - begin))
        self.end_headers()
        with open(path, "rb") as file, suppress(ConnectionError):
            file.seek(begin)
            self.wfile.write(file.read(end - begin))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a server of a folder's files that gives ranges, and the ranges that it was asked for."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Ranges, directory=str(folder))) as server:
        server.asked = asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()


@dataclass(frozen=True)
class Harmful:
    """A task that does something to the worker of Dask, or to its own process, the first so many times."""

    name: str
    what: str
    times: int
    shared: str

    def carry_out(self, folder: str, advance: Callable[[int], None]) -> Result:
        for number in range(self.times):
            try:
                os.close(os.open(os.path.join(self.shared, f"{self.name}.{number}"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            if self.what == "kills its worker":
                os.kill(_grandparent(), signal.SIGKILL)
            if self.what == "stops its worker":
                Path(self.shared, "stopped").write_text(str(_grandparent()))
                os.kill(_grandparent(), signal.SIGSTOP)
            if self.what == "crashes":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.what == "hangs":
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.what == "takes long":
                Path(self.shared, "pid").write_text(str(os.getpid()))
            if self.what in ("takes long", "kills its worker", "stops its worker"):
                for _ in range(600):
                    time.sleep(0.1)
                    advance(0)
            raise BadMedia("it makes no sense")
        Path(folder, self.name).write_text(self.name)
        return Result((self.name,), {"done": True})


def _grandparent() -> int:
    """The worker of Dask, which has a process that those come from which carry out tasks."""
    stat = Path("/proc", str(os.getppid()), "stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])
