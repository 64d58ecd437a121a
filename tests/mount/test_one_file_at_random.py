"""One file under random reads, writes, mappings, cuts, holes and copies holds what a bytearray holds.

It starts as a shared file of many extents (committed in one branch, edited in many places in another, and branched
again), as one whole blob, or as a new file. Commits, sealing and remounts come in between.

FILMFS_RANDOM_FILE_STEPS asks for longer runs, FILMFS_SEED for one that failed.
"""

import errno
import mmap
import os
import random
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.drive import Drive, wait_until
from tests.mount.syscalls import KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, fallocate

pytestmark = pytest.mark.mount

STEPS = int(os.environ.get("FILMFS_RANDOM_FILE_STEPS", "700"))
SIZE = 3 << 20
MOST = 1 << 17


class Film:
    """The file, and what it must hold."""

    def __init__(self, drive: Drive, path: Path, holds: bytearray, chance: random.Random) -> None:
        self.drive = drive
        self.path = path
        self.holds = holds
        self.chance = chance
        self.story: list[str] = []
        self.descriptor = os.open(path, os.O_RDWR)

    def step(self) -> None:
        """One operation, and a look at the size."""
        often = [self.read, self.write, self.read_mapped, self.write_mapped]
        sometimes = [self.truncate, self.append, self.allocate, self.punch, self.zero, self.copy, self.seek]
        rarely = [self.reopen, self.sync, self.read_beside, self.write_direct]
        operation = self.chance.choice(often * 4 + sometimes * 2 + rarely)
        self.story.append(operation.__name__)
        operation()
        assert os.fstat(self.descriptor).st_size == len(self.holds), self.told()

    def told(self) -> str:
        return "\n".join(self.story[-40:])

    def _range(self) -> tuple[int, int]:
        """A range that begins in the file; it may end past it."""
        at = self.chance.randrange(len(self.holds) + 1)
        if self.chance.random() < 0.2:
            at -= at % 4096
        length = self.chance.choice((1, 512, 4096, self.chance.randint(1, MOST)))
        self.story[-1] += f" {length} at {at} of {len(self.holds)}"
        return at, length

    def _range_inside(self) -> tuple[int, int]:
        at, length = self._range()
        return at, min(length, len(self.holds) - at)

    def _data(self, length: int) -> bytes:
        return self.chance.randbytes(length)

    def _placed(self, at: int, data: bytes) -> None:
        self.holds.extend(bytes(max(0, at - len(self.holds))))
        self.holds[at : at + len(data)] = data

    def read(self) -> None:
        at, length = self._range()
        assert os.pread(self.descriptor, length, at) == self.holds[at : at + length], self.told()

    def write(self) -> None:
        at, length = self._range()
        at = min(at + self.chance.choice((0, 0, 0, 70_000)), SIZE)
        data = self._data(length)
        assert os.pwrite(self.descriptor, data, at) == length
        self._placed(at, data)

    def append(self) -> None:
        if len(self.holds) > SIZE:
            return
        data = self._data(self.chance.randint(1, 9000))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, data)
        os.close(descriptor)
        self._placed(len(self.holds), data)

    def read_mapped(self) -> None:
        at, length = self._range_inside()
        if not length:
            return
        start = at - at % mmap.ALLOCATIONGRANULARITY
        with mmap.mmap(self.descriptor, at + length - start, access=mmap.ACCESS_READ, offset=start) as there:
            assert there[at - start :] == self.holds[at : at + length], self.told()

    def write_mapped(self) -> None:
        at, length = self._range_inside()
        if not length:
            return
        start = at - at % mmap.ALLOCATIONGRANULARITY
        data = self._data(length)
        with mmap.mmap(self.descriptor, at + length - start, offset=start) as there:
            there[at - start :] = data
            if self.chance.random() < 0.3:
                there.flush()
        self.holds[at : at + length] = data

    def truncate(self) -> None:
        size = self.chance.choice((0, 3000, self.chance.randrange(SIZE), self.chance.randrange(SIZE)))
        self.story[-1] += f" to {size} from {len(self.holds)}"
        os.ftruncate(self.descriptor, size)
        del self.holds[size:]
        self.holds.extend(bytes(size - len(self.holds)))

    def allocate(self) -> None:
        at, length = self._range()
        keep = self.chance.random() < 0.5
        if self._fallocate(KEEP_SIZE if keep else 0, at, length) and not keep:
            self.holds.extend(bytes(max(0, at + length - len(self.holds))))

    def punch(self) -> None:
        at, length = self._range_inside()
        if length and self._fallocate(PUNCH_HOLE | KEEP_SIZE, at, length):
            self.holds[at : at + length] = bytes(length)

    def zero(self) -> None:
        at, length = self._range_inside()
        if length and self._fallocate(ZERO_RANGE, at, length):
            self.holds[at : at + length] = bytes(length)

    def _fallocate(self, mode: int, at: int, length: int) -> bool:
        """fallocate(2); False where the mount says that it has no such thing."""
        try:
            fallocate(self.descriptor, mode, at, length)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return False
        return True

    def copy(self) -> None:
        source, length = self._range_inside()
        target = self.chance.randrange(SIZE)
        if not length or (source < target + length and target < source + length):
            return
        done = 0
        while done < length:
            count = os.copy_file_range(self.descriptor, self.descriptor, length - done, source + done, target + done)
            assert count > 0, self.told()
            done += count
        self._placed(target, bytes(self.holds[source : source + length]))

    def seek(self) -> None:
        """Data and holes take turns to the end, and holes are zeros."""
        at = 0
        while at < len(self.holds):
            try:
                data = os.lseek(self.descriptor, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                data = len(self.holds)
            assert not any(self.holds[at:data]), self.told()
            at = data if data == len(self.holds) else os.lseek(self.descriptor, data, os.SEEK_HOLE)
            assert data <= at <= len(self.holds), self.told()

    def reopen(self) -> None:
        os.close(self.descriptor)
        self.descriptor = os.open(self.path, os.O_RDWR)

    def remount(self) -> None:
        os.close(self.descriptor)
        self.drive.restart()
        self.descriptor = os.open(self.path, os.O_RDWR)

    def sync(self) -> None:
        os.fsync(self.descriptor)

    def read_beside(self) -> None:
        """By somebody else, who opens it now."""
        at, length = self._range()
        descriptor = os.open(self.path, os.O_RDONLY)
        assert os.pread(descriptor, length, at) == self.holds[at : at + length], self.told()
        os.close(descriptor)

    def write_direct(self) -> None:
        """Past the page cache, in whole pages."""
        at = self.chance.randrange(SIZE // 4096) * 4096
        buffer = mmap.mmap(-1, 8192)
        buffer[:] = data = self._data(8192)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return
        os.pwritev(descriptor, [buffer], at)
        os.close(descriptor)
        self._placed(at, data)

    def compare(self) -> None:
        """Every byte, read anew."""
        assert self.path.read_bytes() == self.holds, self.told()

    def close(self) -> None:
        os.close(self.descriptor)


def shared_film(drive: Drive, chance: random.Random) -> Film:
    """A file of many extents over sealed blobs that two other branches hold as well."""
    holds = bytearray(chance.randbytes(SIZE))
    (drive.main / "film").write_bytes(holds)
    drive.commit()
    edited = drive.branch("edited")
    for _ in range(2):
        with open(edited / "film", "r+b", buffering=0) as file:
            for page in chance.sample(range(SIZE // 4096), 60):
                file.seek(page * 4096)
                data = chance.randbytes(4096)
                file.write(data)
                holds[page * 4096 : (page + 1) * 4096] = data
        drive.commit("edited")
    wait_for_sealing(drive)
    return Film(drive, drive.branch("child", source="edited") / "film", holds, chance)


def whole_film(drive: Drive, chance: random.Random) -> Film:
    """A file that is one sealed blob of another branch."""
    holds = bytearray(chance.randbytes(SIZE))
    (drive.main / "film").write_bytes(holds)
    drive.commit()
    wait_for_sealing(drive)
    return Film(drive, drive.branch("child") / "film", holds, chance)


def new_film(drive: Drive, chance: random.Random) -> Film:
    """A file that was made just now."""
    path = drive.branch("child") / "film"
    path.touch()
    return Film(drive, path, bytearray(), chance)


def wait_for_sealing(drive: Drive) -> None:
    """Returns when all that was written is sealed."""
    wait_until(lambda: not drive.facts("status")["unsealed_files"], "sealing", seconds=30)


@pytest.mark.parametrize("begins_as", [shared_film, whole_film, new_film])
def test_a_file_under_random_operations_holds_what_a_bytearray_holds(
    mounted: Drive, begins_as: Callable[[Drive, random.Random], Film]
) -> None:
    seed = int(os.environ.get("FILMFS_SEED", time.time_ns() % 100_000))
    film = begins_as(mounted, random.Random(seed))
    film.story.append(f"seed {seed}")
    others = [path for path in mounted.mountpoint.glob("*/film") if path != film.path]
    before = [path.read_bytes() for path in others]
    with closing(film):
        for number in range(STEPS):
            if number % 150 == 149:
                film.compare()
                mounted.commit("child")
            if number % 400 == 399:
                film.remount()
            film.step()
        film.compare()
    assert [path.read_bytes() for path in others] == before, film.told()
