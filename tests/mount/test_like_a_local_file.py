"""Whatever is done to files on the mount, they hold what local twins hold: in long random runs, through commits,
branches, remounts and kill -9."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.drive import Drive

pytestmark = pytest.mark.mount

SECONDS = float(os.environ.get("FILMFS_LIKE_LOCAL_S", "8"))
SIZE_MAX = 3 << 20
FILES = ("small", "middle", "large")
LIMITS = dict(zip(FILES, (9_000, 400_000, SIZE_MAX), strict=True))


class Twins:
    """The same operations on the mount and on a local directory."""

    def __init__(self, drive: Drive, local: Path, chance: random.Random) -> None:
        self.drive = drive
        self.local = local
        self.chance = chance
        self.opened: dict[str, tuple[int, int]] = {}
        self.kept: list[tuple[Path, dict[str, bytes]]] = []  # frozen states: where they show, and what they hold
        self.done: list[str] = []
        local.mkdir()
        for name in FILES:
            self.reopen(name)

    def step(self) -> None:
        """One operation."""
        name = self.chance.choice(FILES)
        operations = [self.write] * 8 + [self.read] * 4 + [self.truncate] * 2 + [self.append] * 2 + [self.reopen] * 3
        operation = self.chance.choice([*operations, self.sync, self.replace])
        self.done.append(f"{operation.__name__} {name}")
        operation(name)

    def write(self, name: str) -> None:
        at = self.chance.randrange(LIMITS[name])
        self._write_at(name, at, self.chance.choice((1, 100, 4096, 70_000, 300_000)))

    def append(self, name: str) -> None:
        size = os.fstat(self.opened[name][1]).st_size
        if size < LIMITS[name]:
            self._write_at(name, size, self.chance.choice((1, 4000, 50_000)))

    def _write_at(self, name: str, at: int, most: int) -> None:
        data = self.chance.randbytes(self.chance.randint(1, most))
        self.done.append(f"  {len(data)} at {at}")
        for descriptor in self.opened[name]:
            assert os.pwrite(descriptor, data, at) == len(data)

    def read(self, name: str) -> None:
        at, length = self.chance.randrange(LIMITS[name]), self.chance.randint(1, 300_000)
        there, here = (os.pread(descriptor, length, at) for descriptor in self.opened[name])
        assert there == here, self.story(f"{name} differs in [{at}, {at + length})")

    def truncate(self, name: str) -> None:
        size = self.chance.choice((0, self.chance.randrange(LIMITS[name])))
        self.done.append(f"  to {size}")
        for descriptor in self.opened[name]:
            os.ftruncate(descriptor, size)

    def reopen(self, name: str) -> None:
        for descriptor in self.opened.get(name, ()):
            os.close(descriptor)
        flags = os.O_RDWR | os.O_CREAT
        self.opened[name] = (os.open(self.drive.main / name, flags), os.open(self.local / name, flags))

    def replace(self, name: str) -> None:
        for top in (self.drive.main, self.local):
            os.rename(top / name, top / "renamed")
            os.rename(top / "renamed", top / name)

    def sync(self, name: str) -> None:
        os.fsync(self.opened[name][0])

    def close(self) -> None:
        for pair in self.opened.values():
            for descriptor in pair:
                os.close(descriptor)
        self.opened.clear()

    def compare(self) -> None:
        """Every byte of everything that was kept."""
        for name in FILES:
            there, here = (self.drive.main / name).read_bytes(), (self.local / name).read_bytes()
            assert there == here, self.story(f"{name} differs: {len(there)} and {len(here)} bytes")
        for top, expected in self.kept[-4:]:
            for name, data in expected.items():
                assert (top / name).read_bytes() == data, self.story(f"{top / name} differs")

    def freeze(self) -> None:
        """A commit and a branch of what is closed now; both must stay so."""
        for name in FILES:
            self.reopen(name)
        state = {name: (self.local / name).read_bytes() for name in FILES}
        facts = self.drive.commit()
        number = facts["commit"].rpartition("@")[2]
        history = self.drive.mountpoint / ".filmfs" / "history" / "main"
        self.kept.append((history / number, state))
        self.kept.append((self.drive.branch(f"branch{len(self.kept)}"), state))
        self.done.append(f"freeze {number}")

    def story(self, what: str) -> str:
        return what + "\n" + "\n".join(self.done[-60:])


@pytest.mark.parametrize("seed", [int(os.environ.get("FILMFS_SEED", time.time_ns() % 100_000))])
def test_a_long_run_of_random_operations(mounted: Drive, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    twins = Twins(mounted, tmp_path / "local", chance)
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end:
        for _ in range(chance.randint(20, 200)):
            twins.step()
        twins.compare()
        turn = rounds % 4
        if turn == 1:
            twins.freeze()
        elif turn == 2:
            twins.close()
            mounted.restart()
            twins.compare()
        elif turn == 3:
            for name in FILES:
                twins.sync(name)
            mounted.kill()
            mounted.start()
            for name, pair in twins.opened.items():
                os.close(pair[1])
                try:
                    os.close(pair[0])
                except OSError:
                    pass  # its mount is dead
                twins.opened[name] = ()  # type: ignore[assignment]
            twins.done.append("kill")
            twins.compare()
        for name in FILES:
            twins.reopen(name)
        rounds += 1
    twins.close()
    assert rounds >= 3
