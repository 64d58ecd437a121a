"""Names: look-ups, making and removing files, listings, against an empty pyfuse3 file system and ext4."""

import subprocess
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from benches.frame import (
    NATIVE,
    OURS,
    Figure,
    Outcome,
    Sample,
    Target,
    Turn,
    measured,
    memory_of,
    rates,
    take_turns,
    times,
)
from benches.places import Mounted, Place, beside, peer
from filmfs.archive import Archive, Mode
from filmfs.core.ids import ROOT_FILE, FileId
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.tree import Tree

EMPTY = "empty pyfuse3"
_A_FLUSH = 50_000


def metadata(place: Place) -> Outcome:
    """Names in one directory: never asked for before, asked for again, and new ones; in turns with the peer."""
    directory, outcome = place.fresh("metadata"), Outcome()
    files = 500 if place.quick else 4000
    with Mounted(directory) as mounted:
        mounted.stop()
        total = files * place.rounds
        fill(mounted.root, {"old": total})
        mounted.start()
        with peer(beside("empty.py", total), directory / "empty") as empty:
            tops = {EMPTY: (directory / "empty", empty), OURS: (mounted.main, mounted.pid)}
            for top, _ in tops.values():
                (top / "new").mkdir()
            for what, mode, where, size, least in (
                ("stat, not known to the kernel", "stat", "old", (), 0.8),
                ("stat, known to the kernel", "stat", "old", (), None),
                ("open, read, close", "open", "old", (), None),
                ("create empty files", "create", "new", (0,), 0.7),
                ("create files of 1 KB", "create", "more", (1000,), 0.7),
            ):
                if mode == "create" and where == "more":
                    for top, _ in tops.values():
                        (top / "more").mkdir()
                turns: dict[str, Turn] = {
                    name: _chunks(place, mode, top / where, files, size, pid) for name, (top, pid) in tops.items()
                }
                target = Target("ratio", least=least) if least else None
                outcome.figures.append(rates(what, "files/s", files, take_turns(turns, place.rounds), EMPTY, target))
    return outcome


def listing(place: Place) -> Outcome:
    """`ls -l` of a large directory against ext4, and removing it."""
    directory, outcome = place.fresh("listing"), Outcome()
    files = 10_000 if place.quick else 100_000
    native = directory / "native"
    native.mkdir()
    place.client.run("create", native, arguments=[0, files, 0])
    with Mounted(directory) as mounted:
        mounted.stop()
        fill(mounted.root, {"large": files})
        mounted.start()
        ours = mounted.main / "large"

        def cold() -> Sample:
            mounted.restart()
            return _list(ours, mounted.pid)

        theirs = partial(_list, native, None)
        most = Target("ratio", most=3.0)
        what = f"ls -l of {files:,} files"
        turns: dict[str, Turn] = {NATIVE: theirs, OURS: cold}
        samples = take_turns(turns, place.rounds)
        outcome.figures.append(times(f"{what}, mounted just now (ext4: known)", samples, NATIVE, most))
        turns = {NATIVE: theirs, OURS: lambda: _list(ours, mounted.pid)}
        outcome.figures.append(times(f"{what}, again", take_turns(turns, place.rounds), NATIVE, most))
        mounted.restart()
        removing = {NATIVE: [_remove(native, None)], OURS: [_remove(ours, mounted.pid)]}
        limit = Target("value", most=60)
        outcome.figures.append(times(f"rm -r of {files:,} files", removing, NATIVE, limit))
    return outcome


def find(place: Place) -> Outcome:
    """`find` over everything after a mount, and what the daemon holds after it."""
    directory, outcome = place.fresh("find"), Outcome()
    folders, each = (50, 1000) if place.quick else (1000, 1000)
    with Mounted(directory) as mounted:
        mounted.stop()
        start = time.perf_counter()
        fill(mounted.root, {f"d{number:04}": each for number in range(folders)})
        outcome.facts["made_in_s"] = time.perf_counter() - start
        mounted.start()
        outcome.facts["memory_before_mib"] = memory_of(mounted.pid)
        total = folders * each
        for what, limit in (("mounted just now", Target("value", most=60)), ("again", None)):
            sample = measured(lambda: _find(mounted.main, total + folders + 1), mounted.pid)
            outcome.figures.append(times(f"find over {total:,} files, {what}", {OURS: [sample]}, target=limit))
        memory = memory_of(mounted.pid)
        outcome.facts["memory_after_mib"] = memory
        outcome.facts["database_mib"] = (mounted.root / "meta.lmdb" / "data.mdb").stat().st_size >> 20
        held = Figure("memory of the daemon after it", "MiB", {OURS: memory["rss"]}, target=Target("value", most=300))
        outcome.figures.append(held)
    return outcome


def fill(root: Path, folders: dict[str, int]) -> None:
    """Puts directories of so many empty files f0000000 … into `main`, past any mount."""
    with Archive(str(root), Mode.WRITE) as archive:
        history = archive.history
        tree = history.tree(history.table.get("main"))
        now = history.clock()
        written = count(1)
        for folder, files in folders.items():
            at = tree.make(ROOT_FILE, folder.encode(), Inode(Kind.DIRECTORY, 0o755, 0, 0, 2, 0, now, now, now, now))[0]
            for number in range(files):
                _put_file(tree, at, b"f%07d" % number, now)
                if next(written) % _A_FLUSH == 0:
                    history.flush()
        history.flush()


def _put_file(tree: Tree, parent: FileId, name: bytes, now: int) -> None:
    file = tree.new_file()
    tree.put_inode(file, Inode(Kind.FILE, 0o644, 0, 0, 1, 0, now, now, now, now, links=((parent, name),)))
    tree.put_entry(parent, name, Entry(file, Kind.FILE, name))


def _chunks(
    place: Place, mode: str, directory: Path, files: int, size: tuple[int, ...], pid: int
) -> Callable[[], Sample]:
    """The next files of the directory at each turn."""
    turn = count()
    return lambda: measured(
        lambda: place.client.run(mode, directory, arguments=[next(turn) * files, files, *size]),
        pid,
    )


def _list(directory: Path, pid: int | None) -> Sample:
    return measured(lambda: subprocess.run(["ls", "-l", directory], check=True, stdout=subprocess.DEVNULL), pid)


def _remove(directory: Path, pid: int | None) -> Sample:
    return measured(lambda: subprocess.run(["rm", "-r", directory], check=True), pid)


def _find(top: Path, expected: int) -> None:
    with subprocess.Popen(["find", top], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = 0
        while data := process.stdout.read(1 << 16):
            lines += data.count(b"\n")
    if lines != expected:
        raise RuntimeError(f"find told {lines} names, not {expected}")
