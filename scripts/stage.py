"""What a demonstration is made with: where it works, on what footage, what it prints."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Report:
    """Prints what happens and remembers whether all of it was right."""

    colour: bool
    step: int = 0
    faults: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        self.step += 1
        self._print("\n" + self._painted("1", f"{self.step}. {text}"))

    def line(self, text: str = "") -> None:
        self._print(f"   {text}".rstrip())

    def command(self, text: str) -> None:
        self.line(self._painted("36", f"$ {text}"))

    def check(self, claim: str, holds: bool) -> bool:
        self.line(f"{self._painted('32', '✓') if holds else self._painted('31', '✗')} {claim}")
        if not holds:
            self.faults.append(claim)
        return holds

    def verdict(self, *, finished: bool) -> None:
        if self.faults:
            faults = "\n".join(f"   ✗ {fault}" for fault in self.faults)
            self._print(f"\n{self._painted('31', 'Not all of this was right:')}\n{faults}")
        elif finished:
            self._print("\nEverything was as it should be.")
        else:
            self._print("\nStopped before the end; what was shown so far was right.")

    def _print(self, text: str) -> None:
        try:
            print(text)
        except BrokenPipeError:
            # Nobody reads on (as in `| head`); the drive must still be taken away.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _painted(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo works; commands run inside `work`, so they can be printed with short names."""

    work: str
    archive: str = "archive"
    drive: str = "drive"

    @property
    def mountpoint(self) -> str:
        return os.path.join(self.work, self.drive)

    def in_branch(self, branch: str, *parts: str) -> str:
        return os.path.join(self.mountpoint, branch, *parts)


@dataclass(frozen=True, slots=True)
class Source:
    """A directory of footage on disk, and its name in the archive."""

    directory: str
    name: str

    def files(self) -> Iterator[str]:
        """Paths inside the directory, in order."""
        for folder, folders, names in os.walk(self.directory):
            folders.sort()
            for name in sorted(names):
                yield os.path.relpath(os.path.join(folder, name), self.directory)

    def on_disk(self, file: str) -> str:
        return os.path.join(self.directory, file)

    def in_archive(self, file: str) -> str:
        return os.path.join(self.name, file)

    def state(self) -> list[tuple[str, int, int]]:
        """Name, size and time of every file: enough to see whether anything was touched."""
        states = []
        for file in self.files():
            status = os.lstat(self.on_disk(file))
            states.append((file, status.st_size, status.st_mtime_ns))
        return states


def tree(directory: str) -> Iterator[str]:
    """One line for each file and directory below, sizes first."""
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            yield f"{human_size(os.lstat(path).st_size):>10}  {os.path.relpath(path, directory)}"


def human_size(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def shortest(path: str, start: str) -> str:
    """`path` as seen from `start` where it lies below, else in full."""
    return os.path.relpath(path, start) if path.startswith(start + os.sep) else path


def read_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_mounted(path: str) -> bool:
    """Also true of a mount whose daemon is dead, for which os.path.ismount says False."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        places = [line.split()[4] for line in table]
    escaped = os.path.realpath(path)
    for character in "\\ \t\n":
        escaped = escaped.replace(character, f"\\{ord(character):03o}")
    return escaped in places
