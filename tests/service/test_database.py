"""The database grows when its map is full, and follows when another process made it grow."""

import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filmfs.core.errors import NoSpace
from filmfs.store.database import Database, Transaction

Change = Callable[[Transaction], None]
SMALL = (1 << 18,)


def fill(first: int, count: int = 200) -> Change:
    def change(transaction: Transaction) -> None:
        for number in range(first, first + count):
            transaction.put(b"meta", b"%d" % number, bytes(1000))

    return change


def count_of(database: Database) -> int:
    with database.read() as transaction:
        return transaction.count(b"meta")


def run_in_another_process(code: str, path: str, address_space: int = resource.RLIM_INFINITY) -> None:
    start = "import sys; from tests.service.test_database import *; path = sys.argv[1]; "
    subprocess.run(
        [sys.executable, "-c", start + code, path],
        cwd=Path(__file__).resolve().parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space)),
        check=True,
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "meta.lmdb").mkdir()
    Database(str(tmp_path / "meta.lmdb"), create=True).close()
    return str(tmp_path / "meta.lmdb")


_READ = """
import sys, time
from filmfs.store.database import Database
with Database(sys.argv[1], readonly=True).read():
    print("reading", flush=True)
    time.sleep(60)
"""


def test_it_grows_when_its_map_is_full(path: str) -> None:
    database = Database(path, map_sizes=SMALL)
    for number in range(20):
        database.transact(fill(200 * number))
        assert database.current().has(b"meta", b"%d" % (200 * number))
    assert count_of(database) == 4000
    database.close()
    assert count_of(Database(path, readonly=True)) == 4000


def test_a_full_map_is_told_and_can_be_mended_by_its_owner(path: str) -> None:
    database = Database(path, map_sizes=SMALL)
    with pytest.raises(NoSpace), database.write() as transaction:
        fill(0, 2000)(transaction)
    assert count_of(database) == 0
    while database.mend():
        try:
            with database.write() as transaction:
                fill(0, 2000)(transaction)
        except NoSpace:
            continue
        break
    assert count_of(database) == 2000
    assert not database.mend()


def test_it_does_not_grow_under_a_view_of_another_thread(path: str) -> None:
    database = Database(path, map_sizes=SMALL)
    seen, go_on = threading.Event(), threading.Event()

    def look() -> None:
        with database.read() as transaction:
            seen.set()
            go_on.wait(20)
            assert transaction.count(b"meta") == 0

    other = threading.Thread(target=look)
    other.start()
    seen.wait(20)
    with pytest.raises(NoSpace):
        database.transact(fill(0, 2000))
    go_on.set()
    other.join()
    database.transact(fill(0, 2000))
    assert count_of(database) == 2000
    database.close()


def test_who_looks_beside_a_process_that_made_it_grow_follows(path: str) -> None:
    mine = Database(path, map_sizes=SMALL)
    mine.transact(fill(0, 10))
    code = (
        "import sys; from tests.service.test_database import *; d = Database(sys.argv[1]); d.transact(fill(10, 5000))"
    )
    subprocess.run([sys.executable, "-c", code, path], check=True, cwd=Path(__file__).resolve().parents[2])
    found: list[int] = []
    others = [threading.Thread(target=lambda: found.append(count_of(mine))) for _ in range(4)]
    for other in others:
        other.start()
    time.sleep(0.05)
    mine.refresh()
    assert mine.current().has(b"meta", b"5009")  # the owner follows, and so the others can
    for other in others:
        other.join()
    assert found == [5010] * 4
    mine.transact(fill(5010, 10))
    assert count_of(mine) == 5020
    mine.close()


def test_the_view_of_a_process_that_was_killed_is_let_go(path: str) -> None:
    Database(path, create=True).close()
    with subprocess.Popen([sys.executable, "-c", _READ, path], stdout=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == b"reading\n"
        database = Database(path)
        assert database.forget_dead_readers() == 0
        reading.kill()
        reading.wait()
        assert database.forget_dead_readers() == 1
        database.close()


def test_it_opens_in_a_process_that_may_have_little_address_space(path: str) -> None:
    run_in_another_process("Database(path).transact(fill(0, 5000))", path, address_space=3 << 30)
    assert count_of(Database(path, readonly=True)) == 5000
