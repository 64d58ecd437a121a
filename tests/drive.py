"""A mounted archive as tests drive it: the daemon is a process of its own, as it is for a user.

A test that touches a mount whose daemon hangs would wait for ever, and no signal helps it; so every test runs under a
watchdog that ends the daemons which are still running, which answers what waits on them.
"""

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from filmfs.archive import Archive
from filmfs.archive.check import check_archive
from filmfs.cli.main import run as run_command_line
from filmfs.control import call

FILMFS = [sys.executable, "-m", "filmfs"]
PATIENCE_S = 60.0
Done = subprocess.CompletedProcess[str]
_running: set["Drive"] = set()


class Drive:
    """An archive in `directory`, mounted beside it while `start`ed."""

    def __init__(self, directory: Path, *, create: bool = True) -> None:
        self.root = str(directory / "archive")
        self.mountpoint = directory / "mnt"
        self.log = directory / "daemon.log"
        self.program: list[str] = FILMFS
        self.process: subprocess.Popen[bytes] | None = None
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        if create:
            Archive.create(self.root, author="tester")

    @property
    def main(self) -> Path:
        """The branch `main`."""
        return self.mountpoint / "main"

    @contextmanager
    def soundly(self, *options: str) -> Iterator["Drive"]:
        """Mounts it while the block runs; it is sound, and nothing disturbed it, when that is done."""
        self.start(*options)
        try:
            yield self
        finally:
            self.stop()
        self.assert_sound()
        self.assert_calm()

    def start(self, *options: str, **environment: str) -> "Drive":
        """Mounts; returns when the mount answers."""
        reading, writing = os.pipe()
        command = [
            *self.program,
            "mount",
            "--foreground",
            f"--ready-fd={writing}",
            *options,
            self.root,
            str(self.mountpoint),
        ]
        environ = os.environ | environment
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=[writing], env=environ
            )
        os.close(writing)
        _running.add(self)
        try:
            said = _read_within(reading, PATIENCE_S)
        finally:
            os.close(reading)
        assert b"pid" in said, f"the mount did not come: {said!r}\n{self.words()}"
        return self

    def stop(self) -> None:
        """Unmounts, and waits until the daemon ended."""
        process = self.process  # the watchdog may take it away
        if process is None:
            return
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            if subprocess.run(["fusermount3", "-uq", self.mountpoint], check=False).returncode == 0:
                process.wait(PATIENCE_S)
                break
            time.sleep(0.05)
        else:
            self.kill()
        self._ended()

    def kill(self) -> None:
        """kill -9, and clears the dead mount away."""
        process = self.process
        if process is not None:
            process.kill()
            process.wait(PATIENCE_S)
        self.clear()
        self._ended()

    def clear(self) -> None:
        """Takes a dead mount away."""
        subprocess.run(["fusermount3", "-uzq", self.mountpoint], check=False)

    def restart(self, *options: str) -> None:
        """Unmounts and mounts again."""
        self.stop()
        self.start(*options)

    def terminate(self) -> int:
        """SIGTERM; gives the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        self._ended()
        return code

    def words(self) -> str:
        """What the daemon said so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def command(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """What the command line does, without starting a process for it."""
        return call(self.root, verb, arguments)

    def commit(self, branch: str = "main", message: str = "") -> dict[str, Any]:
        """A commit; its facts."""
        return self.command("commit", branch=branch, message=message, author="tester")

    def branch(self, name: str, source: str | None = None) -> Path:
        """A new branch; where it is mounted."""
        self.command("branch-create", name=name, author="tester", source=source)
        return self.mountpoint / name

    def filmfs(self, verb: str, *arguments: object, check: bool = True, **environment: str) -> str:
        """`filmfs VERB… ARCHIVE ARGUMENTS`; gives what it printed."""
        done = answer(*verb.split(), self.root, *arguments, **environment)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def facts(self, verb: str, *arguments: object) -> Any:
        """The same with --json, read."""
        return json.loads(self.filmfs(verb, *arguments, "--json"))

    def assert_sound(self) -> None:
        """Holds when `check --data` finds nothing wrong."""
        report = check_archive(self.root, data=True)
        assert report.faults == (), "\n".join(f"{fault.what} {fault.places}" for fault in report.faults)

    def assert_calm(self) -> None:
        """Holds when nothing unforeseen happened in the daemon."""
        words = self.words()
        assert "Traceback" not in words, words

    def size_on_disk(self) -> int:
        """Bytes that blobs and staging files take, also while the daemon seals: that renames from staging to blobs, so
        who counts in that order meets each file, and by its inode once."""
        os.sync()  # ext4 tells less for a moment while it gives a file the room that it had promised
        sizes: dict[int, int] = {}
        for part in ("staging", "blobs"):
            for directory, _, names in os.walk(os.path.join(self.root, part)):
                for name in names:
                    with contextlib.suppress(FileNotFoundError):
                        facts = os.lstat(os.path.join(directory, name))
                        sizes[facts.st_ino] = facts.st_blocks * 512
        return sum(sizes.values())

    def _ended(self) -> None:
        self.process = None
        _running.discard(self)


def run_filmfs(*arguments: object, timeout: float = PATIENCE_S, **environment: str) -> Done:
    """Runs the command line as a person would."""
    return subprocess.run(
        [*FILMFS, *map(_argument, arguments)],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
        env=os.environ | environment,
    )


def answer(*arguments: object, **environment: str) -> Done:
    """What the command line says and how it ends, without a process for it: for the many small questions."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    words = [os.fsdecode(_argument(argument)) for argument in arguments]
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run_command_line(words)
    finally:
        os.environ.clear()
        os.environ.update(before)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Done(words, code, *texts)


def run(*command: object, cwd: Path | None = None, timeout: float = PATIENCE_S, **environment: str) -> str:
    """Runs a tool that must succeed; gives what it printed."""
    done = subprocess.run(
        [*map(_argument, command)],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def watched(seconds: float = PATIENCE_S) -> Iterator[None]:
    """Ends every daemon when the block takes too long."""
    timer = threading.Timer(seconds, lambda: [drive.kill() for drive in list(_running)])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def wait_until(condition: Any, what: str, seconds: float = 20.0) -> None:
    """Looks until `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.05)


def _argument(argument: object) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)


def _read_within(descriptor: int, seconds: float) -> bytes:
    poll = select.poll()  # unlike select good for any number of a descriptor
    poll.register(descriptor, select.POLLIN)
    return os.read(descriptor, 65536) if poll.poll(seconds * 1000) else b""
