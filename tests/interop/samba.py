"""smbd on the loopback with the `smb.conf` of docs/samba.md, and smbclient to ask it."""

import os
import re
import socket
import subprocess
from pathlib import Path

from tests.drive import PATIENCE_S, wait_until

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "samba.md"
USER, PASSWORD = "nobody", "secret"  # a user that every Debian has
_DIRECTORIES = {
    "private dir": "private",
    "lock directory": "lock",
    "state directory": "state",
    "cache directory": "cache",
    "pid directory": "pid",
    "ncalrpc dir": "ncalrpc",
}


class Smbd:
    """A server of its own: port, passwords, locks and logs in `top`."""

    def __init__(self, top: Path, mountpoint: Path, extra: str = "") -> None:
        top.mkdir()
        self.top = top
        self.config = top / "smb.conf"
        self.port = _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        own = [f"{setting} = {top / name}" for setting, name in _DIRECTORIES.items()]
        own += ["interfaces = 127.0.0.1", "bind interfaces only = yes", f"smb ports = {self.port}"]
        own += [f"passdb backend = tdbsam:{top / 'private' / 'passdb.tdb'}", f"log file = {top / 'log'}", extra]
        for name in _DIRECTORIES.values():
            (top / name).mkdir()
        documented = documented_config().replace("/srv/film", str(mountpoint))
        self.config.write_text(documented.replace("[global]\n", "[global]\n  " + "\n  ".join(own) + "\n"))

    def start(self) -> "Smbd":
        """Serves; returns when it answers."""
        adding = ["pdbedit", "-s", str(self.config), "-a", "-t", "-u", USER]
        subprocess.run(
            adding, input=f"{PASSWORD}\n" * 2, text=True, capture_output=True, check=True, timeout=PATIENCE_S
        )
        command = ["smbd", "-s", str(self.config), "--foreground", "--no-process-group"]
        with open(self.top / "out", "wb") as out:
            # A session of its own: at its end smbd signals its whole process group.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        wait_until(self._answers, "smbd does not answer")
        return self

    def stop(self) -> None:
        """Ends it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def ask(self, share: str, *commands: str, cwd: Path | None = None) -> str:
        """What smbclient says to these commands, all of which must succeed."""
        done = self.try_to(share, *commands, cwd=cwd)
        lines = (done.stdout + done.stderr).splitlines()
        # allinfo looks for the file in every previous version, also in those from before it.
        trouble = [line for line in lines if "NT_STATUS" in line and not line.startswith("pathinfo(@GMT-")]
        assert (done.returncode, trouble) == (0, []), lines
        return done.stdout

    def try_to(self, share: str, *commands: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """The same, if they succeed or not."""
        login = ["-p", str(self.port), "-U", f"{USER}%{PASSWORD}"]
        return subprocess.run(
            ["smbclient", "-s", self.config, f"//127.0.0.1/{share}", *login, "-c", "; ".join(commands)],
            cwd=cwd or self.top,
            capture_output=True,
            text=True,
            timeout=4 * PATIENCE_S,
            check=False,
        )

    def words(self) -> str:
        """What smbd said."""
        return "\n".join(path.read_text(errors="replace") for path in (self.top / "out", *self.top.glob("log*")))

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def documented_config() -> str:
    """The smb.conf that the documentation gives."""
    found = re.search(r"```ini\n(.*?)```", DOCUMENT.read_text(), re.S)
    assert found is not None
    return found[1]


def settings_said_wrong(config: Path) -> str:
    """What testparm has against a configuration."""
    done = subprocess.run(["testparm", "-s", config], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    complaint = re.compile("unknown|ignor|invalid|warning|error", re.IGNORECASE)
    complaints = [line for line in done.stderr.splitlines() if complaint.search(line)]
    return "\n".join(complaints) + ("" if done.returncode == 0 else "testparm failed")


def smbd_can_serve() -> bool:
    """Whether smbd may become another user here."""
    return os.geteuid() == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
