"""Eight processes at once, on one branch and on several, and readers while commits are made."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.drive import PATIENCE_S, Drive

pytestmark = pytest.mark.mount

PROCESSES = 8
WORKER = """
import os, random, sys
top, shared, number, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(number)
mine = os.path.join(top, f"worker{number}")
os.mkdir(mine)
for turn in range(rounds):
    data = b"%d:%d;" % (number, turn) * chance.choice([1, 50, 20_000])
    path = os.path.join(mine, f"f{turn % 5}")
    with open(path + ".new", "wb") as file:
        file.write(data)
        if turn % 7 == 0:
            os.fsync(file.fileno())
    os.rename(path + ".new", path)
    assert open(path, "rb").read() == data, path
    with open(path, "r+b") as file:
        file.seek(len(data) // 2)
        file.write(b"#")
    assert open(path, "rb").read() == data[:len(data) // 2] + b"#" + data[len(data) // 2 + 1:], path
    os.makedirs(os.path.join(mine, "d", str(turn % 3)), exist_ok=True)
    log = os.open(os.path.join(shared, "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(log, b"%d %d\\n" % (number, turn))
    os.close(log)
    try:
        os.close(os.open(os.path.join(shared, f"once{turn}"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        os.write(1, b"%d\\n" % turn)
    except FileExistsError:
        pass
    if turn % 4 == number % 4:
        os.replace(path, os.path.join(shared, f"taken{turn % 6}"))
"""


def _run(tops: list[Path], rounds: int) -> list[str]:
    """Runs a worker for each; gives what they said."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, top, top, str(number), str(rounds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, top in enumerate(tops)
    ]
    answers = [worker.communicate(timeout=PATIENCE_S) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(workers), "\n".join(err for _, err in answers)
    return [out for out, _ in answers]


def _is_whole(data: bytes) -> bool:
    unit = data.partition(b";")[0] + b";"
    times = len(data) // len(unit)
    return sum(a != b for a, b in zip(data, unit * times, strict=True)) <= 1


def test_eight_processes_on_one_branch_do_not_disturb_one_another(mounted: Drive) -> None:
    rounds = 25
    said = _run([mounted.main] * PROCESSES, rounds)
    lines = (mounted.main / "log").read_text().splitlines()
    assert sorted(lines) == sorted(f"{number} {turn}" for number in range(PROCESSES) for turn in range(rounds))
    # O_EXCL: of those that wanted a name one got it.
    assert sorted(int(turn) for out in said for turn in out.split()) == list(range(rounds))
    for path in mounted.main.glob("taken*"):
        assert _is_whole(path.read_bytes())


def test_eight_processes_on_branches_of_their_own_and_readers_during_commits(mounted: Drive) -> None:
    rounds = 15
    (mounted.main / "base").write_bytes(b"base" * 100_000)
    branches = [mounted.branch(f"b{number}") for number in range(PROCESSES)]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, top, top, str(number), str(rounds)], stdout=subprocess.DEVNULL)
        for number, top in enumerate(branches)
    ]
    deadline = time.monotonic() + PATIENCE_S / 2
    commits = 0
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        mounted.commit(f"b{commits % PROCESSES}", message=f"commit {commits}")
        commits += 1
        for top in branches:
            assert (top / "base").stat().st_size == 400_000
            for path in top.glob("taken*"):
                assert _is_whole(path.read_bytes())
    assert [worker.wait(PATIENCE_S) for worker in workers] == [0] * PROCESSES
    assert commits > 1
    for number, top in enumerate(branches):
        assert (top / "base").read_bytes() == b"base" * 100_000
        assert (top / "log").read_text().splitlines() == [f"{number} {turn}" for turn in range(rounds)]
        assert sorted(name for name in os.listdir(top) if name.startswith("worker")) == [f"worker{number}"]


def test_a_commit_is_one_moment_of_all_files(mounted: Drive) -> None:
    """One process raises a number in one file and then in another: in no commit is the second ahead of the first."""
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys\nfor n in range(100_000):\n for f in 'ab': open(f'{sys.argv[1]}/{f}', 'w').write(f'{n:06}')",
            mounted.main,
        ]
    )
    try:
        history = mounted.mountpoint / ".filmfs" / "history" / "main"
        while not (mounted.main / "b").exists():
            time.sleep(0.01)
        numbers = []
        for _ in range(15):
            time.sleep(0.03)
            mounted.commit()
        for commit in history.iterdir():
            if (commit / "b").exists():
                first, second = (int((commit / name).read_text() or "-1") for name in "ab")
                numbers.append(first)
                assert first < 0 or second < 0 or 0 <= first - second <= 1
        assert len(set(numbers)) > 3
    finally:
        writer.kill()
        writer.wait()
