"""Writers that note what they do and what they were promised.

    python -m tests.crash.witness BRANCH JOURNALS ARCHIVE SEED NAME…

BRANCH is the directory of a branch in a mount. For each NAME a process makes, writes, appends, cuts, maps, links,
renames and removes files in a directory of that name there until the mount dies under it; the first also commits and
branches through the daemon of ARCHIVE. Lines of JSON go to JOURNALS/NAME, on another file system's side of the crash:

    {"do": n, "what": …}    the n-th change is about to be made
    {"done": n}             it was made
    {"synced": n}           an fsync (or msync, or command) returned: everything up to the n-th change is durable
    {"kept": n, "point": …} that point of history has everything up to the n-th change, and no more

Bytes are made of a seed alone (see `data`), so that whoever looks later can tell what ought to be there.
"""

import contextlib
import json
import mmap
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

SIZES = (10, 300, 4097, 30_000, 90_000, 400_000)
SPARSE = 2_500_000
FOLDERS = ("a", "b")


def data(seed: int, length: int) -> bytes:
    """The bytes of one write."""
    return _noise(seed % 64)[:length] if length > 300 else random.Random(seed).randbytes(length)


@cache
def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(max(SIZES))


class Writer:
    """One writer in its own directory."""

    def __init__(self, branch: str, own: str, journal: str, seed: int, archive: str | None) -> None:
        self._top = os.path.join(branch, own)
        self._chance = random.Random(seed)
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._number = 0
        self._branches = 0
        self._archive = archive
        self._sizes: dict[int, int] = {}
        self._inodes: dict[str, int] = {}  # of each name; names of one inode are hard links
        self._next_inode = 0

    def run(self) -> None:
        """Works until the mount is gone."""
        for folder in ("", *FOLDERS):
            with self._doing("mkdir", name=folder):
                os.mkdir(os.path.join(self._top, folder))
        self._sync_directory("")
        actions = [self._create, self._overwrite, self._append, self._cut, self._map, self._replace, self._rename]
        actions += [self._link, self._remove, self._restart, self._overwrite, self._create]
        while True:
            self._chance.choice(actions)()
            if self._archive is not None and self._chance.random() < 0.1:
                self._command()
            if self._chance.random() < 0.2:
                self._sync_directory(self._chance.choice(("", *FOLDERS)))

    # What it does: each notes one change or more

    def _create(self) -> None:
        if len(self._inodes) < 14:
            name = self._new_name()
            descriptor = self._open_new(name)
            self._write(descriptor, name, 0, self._chance.choice(SIZES))
            self._close(descriptor)

    def _overwrite(self) -> None:
        if (name := self._some_name()) is not None:
            descriptor = os.open(self._path(name), os.O_RDWR)
            for _ in range(self._chance.randrange(1, 4)):
                self._write(descriptor, name, self._chance.randrange(self._size(name) + 1), self._chance.choice(SIZES))
                if self._chance.random() < 0.3:
                    self._sync(descriptor)
            self._close(descriptor)

    def _append(self) -> None:
        if (name := self._some_name()) is not None:
            descriptor = os.open(self._path(name), os.O_WRONLY | os.O_APPEND)
            for _ in range(self._chance.randrange(1, 4)):
                self._write(descriptor, name, self._size(name), self._chance.choice(SIZES[:4]))
            self._close(descriptor)

    def _cut(self) -> None:
        if (name := self._some_name()) is not None:
            descriptor = os.open(self._path(name), os.O_RDWR)
            for _ in range(self._chance.randrange(1, 3)):
                size = SPARSE if self._chance.random() < 0.2 else self._chance.randrange(self._size(name) + 5000)
                with self._doing("truncate", inode=self._inodes[name], size=size):
                    os.ftruncate(descriptor, size)
                self._sizes[self._inodes[name]] = size
                if self._chance.random() < 0.5:
                    self._write(descriptor, name, self._chance.randrange(size + 1), self._chance.choice(SIZES[:4]))
            self._close(descriptor)

    def _restart(self) -> None:
        """Cut to nothing on opening, and written again."""
        if (name := self._some_name()) is not None:
            with self._doing("truncate", inode=self._inodes[name], size=0):
                descriptor = os.open(self._path(name), os.O_WRONLY | os.O_TRUNC)
            self._sizes[self._inodes[name]] = 0
            self._write(descriptor, name, 0, self._chance.choice(SIZES))
            self._close(descriptor)

    def _map(self) -> None:
        name = self._some_name()
        if name is None or not self._size(name):
            return
        size = self._size(name)
        at = self._chance.randrange(size)
        length = min(self._chance.choice(SIZES), size - at)
        seed = self._chance.randrange(1 << 30)
        # Stores may reach the file at any time, and have reached it for certain when msync returns.
        doing = self._doing("write", inode=self._inodes[name], at=at, seed=seed, length=length)
        with open(self._path(name), "r+b") as file, mmap.mmap(file.fileno(), size) as mapped, doing:
            mapped[at : at + length] = data(seed, length)
            mapped.flush()
        self._note(synced=self._number)

    def _replace(self) -> None:
        """The careful way: a new file, synced or not, renamed over an old one."""
        name = self._some_name()
        if name is None:
            return
        new = self._new_name()
        descriptor = self._open_new(new)
        self._write(descriptor, new, 0, self._chance.choice(SIZES))
        if self._chance.random() < 0.5:
            self._sync(descriptor)
        os.close(descriptor)
        if self._inodes[new] != self._inodes[name]:
            self._move(new, name)
        self._sync_directory(os.path.dirname(name))

    def _rename(self) -> None:
        name = self._some_name()
        if name is not None:
            other = self._some_name() if self._chance.random() < 0.3 else None
            if other is None or self._inodes[other] == self._inodes[name]:
                other = self._new_name()
            self._move(name, other)

    def _move(self, name: str, to: str) -> None:
        with self._doing("rename", name=name, to=to):
            os.rename(self._path(name), self._path(to))
        self._inodes[to] = self._inodes.pop(name)

    def _link(self) -> None:
        name = self._some_name()
        if name is not None and len(self._inodes) < 14:
            new = self._new_name()
            with self._doing("link", name=name, to=new):
                os.link(self._path(name), self._path(new))
            self._inodes[new] = self._inodes[name]

    def _remove(self) -> None:
        if (name := self._some_name()) is not None:
            with self._doing("unlink", name=name):
                os.unlink(self._path(name))
            del self._inodes[name]

    def _command(self) -> None:
        assert self._archive is not None
        os.statvfs(self._top)  # as every command does: the kernel has told of all closes when this is answered
        branch = os.path.basename(os.path.dirname(self._top))
        if self._branches < 8 and self._chance.random() < 0.4:
            point = f"{branch}-{self._chance.randrange(1 << 40)}"
            ask(self._archive, "branch-create", name=point, source=branch, author="writer")
            self._branches += 1
        else:
            point = ask(self._archive, "commit", branch=branch, message="", author="writer")["commit"]
        self._note(synced=self._number)
        self._note(kept=self._number, point=point)

    # How it does it

    def _open_new(self, name: str) -> int:
        self._next_inode += 1
        with self._doing("create", name=name, inode=self._next_inode):
            descriptor = os.open(self._path(name), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644)
        self._inodes[name] = self._next_inode
        self._sizes[self._next_inode] = 0
        return descriptor

    def _write(self, descriptor: int, name: str, at: int, length: int) -> None:
        seed = self._chance.randrange(1 << 30)
        inode = self._inodes[name]
        with self._doing("write", inode=inode, at=at, seed=seed, length=length):
            view, offset = memoryview(data(seed, length)), at
            while view:
                count = os.pwrite(descriptor, view, offset)
                view, offset = view[count:], offset + count
        self._sizes[inode] = max(self._sizes[inode], at + length)

    def _close(self, descriptor: int) -> None:
        if self._chance.random() < 0.4:
            self._sync(descriptor)
        os.close(descriptor)

    def _sync(self, descriptor: int) -> None:
        (os.fsync if self._chance.random() < 0.7 else os.fdatasync)(descriptor)
        self._note(synced=self._number)

    def _sync_directory(self, folder: str) -> None:
        descriptor = os.open(os.path.join(self._top, folder), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._note(synced=self._number)

    @contextmanager
    def _doing(self, what: str, **facts: Any) -> Iterator[None]:
        self._number += 1
        self._note(do=self._number, what=what, **facts)
        yield
        self._note(done=self._number)

    def _note(self, **facts: object) -> None:
        os.write(self._journal, json.dumps(facts).encode() + b"\n")

    def _some_name(self) -> str | None:
        return self._chance.choice(sorted(self._inodes)) if self._inodes else None

    def _new_name(self) -> str:
        return f"{self._chance.choice(FOLDERS)}/{self._number}"

    def _path(self, name: str) -> str:
        return os.path.join(self._top, name)

    def _size(self, name: str) -> int:
        return self._sizes[self._inodes[name]]


def ask(archive: str, command: str, **arguments: Any) -> Any:
    """Has the daemon do something. It and nobody else: a command would open an archive whose daemon is dead itself."""
    directory = os.open(archive, os.O_PATH)
    try:
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rwb") as stream:
            connection.connect(f"/proc/self/fd/{directory}/control.sock")
            stream.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
            stream.flush()
            return json.loads(stream.readline())["result"]
    except ValueError as error:  # the answer was cut off
        raise ConnectionResetError from error
    finally:
        os.close(directory)


def main(branch: str, journals: str, archive: str, seed: str, *names: str) -> None:
    """A process for each name; each works until the mount is gone, which ends it in peace."""
    for number, own in enumerate(names):
        if os.fork() == 0:
            writer = Writer(branch, own, os.path.join(journals, own), int(seed) + number, None if number else archive)
            with contextlib.suppress(OSError):
                writer.run()
            os._exit(0)
    for _ in names:
        os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
