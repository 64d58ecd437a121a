"""Databases: concurrent writers lose nothing, and what Postgres asks of a disk works."""

import glob
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop]

SCALE = int(os.environ.get("FILMFS_INTEROP_SCALE", "1"))
WRITERS, ROUNDS = 4, 25 * SCALE
WRITER = """
import sqlite3, sys
path, who, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = sqlite3.connect(path, timeout=60, isolation_level=None)
connection.execute("pragma synchronous=full")
for n in range(rounds):
    connection.execute("begin immediate")
    connection.execute("update account set balance = balance - ? where id = ?", (n, who))
    connection.execute("update account set balance = balance + ? where id = ?", (n, (who + 1) % 4))
    connection.execute("insert into log values (?, ?, randomblob(3000))", (who, n))
    connection.execute("rollback" if n % 5 == 4 else "commit")
"""
FSYNC_TEST = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_test_fsync"))


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
def test_sqlite_writers_at_once_lose_nothing(drive: Drive, work: Path, journal: str) -> None:
    path = work / "accounts.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma journal_mode={journal}")
        connection.execute("create table account (id integer primary key, balance integer)")
        connection.execute("create table log (who integer, n integer, data blob, unique (who, n))")
        connection.executemany("insert into account values (?, 1000)", [(n,) for n in range(4)])
    connection.close()
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, str(who), str(ROUNDS)]) for who in range(WRITERS)]
    drive.commit()  # amid the writing
    assert [writer.wait(120 * SCALE) for writer in writers] == [0] * WRITERS
    with sqlite3.connect(path) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("select sum(balance) from account").fetchone() == (4000,)
        kept = ROUNDS - ROUNDS // 5
        assert connection.execute("select who, count(*) from log group by who").fetchall() == [
            (n, kept) for n in range(4)
        ]
    connection.close()


@pytest.mark.skipif(not FSYNC_TEST, reason="pg_test_fsync is not installed; scripts/test --interop installs it")
def test_every_way_in_which_postgres_can_sync_works(work: Path) -> None:
    said = run(FSYNC_TEST[-1], "-f", work / "wal", "-s", "1", timeout=120)
    for method in ("open_datasync", "fdatasync", "fsync", "open_sync"):
        assert f"{method} " in said
    assert "ops/sec" in said
    assert "failed" not in said
