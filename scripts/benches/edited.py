"""Files of several extents: reading them, and making one by an edit in the middle of a large file."""

import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from pathlib import Path

from benches.frame import OURS, Figure, Outcome, Sample, Target, Turn, forget_pages, measured, rates, take_turns, times
from benches.places import MIB, Mounted, Place, beside, fill_with_noise, map_in, peer
from benches.whole import STOCK
from filmfs.archive import Archive, Mode
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import ROOT_FILE, identify
from filmfs.store.contents import put_content
from filmfs.versioning.rows import EDITED, Inode, Kind
from filmfs.versioning.tree import Tree

_COUNTS = (1, 100, 1000, 10_000)
_EDIT = os.urandom(4096)


def extents(place: Place) -> Outcome:
    """Sequential reads of files of one size and more and more extents, against stock pyfuse3 reading a plain file."""
    directory, outcome = place.fresh("extents"), Outcome()
    size = 256 * MIB if place.quick else 1024 * MIB
    plain = directory / "plain"
    plain.mkdir()
    with Mounted(directory) as mounted, peer(beside("stock.py", plain), directory / "stock") as stock:
        _make(mounted, plain, size)
        for copies, words, least in ((1, "one reader", 1.5), (2, "two readers", 2.0)):
            target = Target("ratio", least=least)
            for count in _COUNTS:
                # One extent is a whole blob, which read_whole is about.
                files, wanted = [f"e{count}.bin"] * copies, target if count > 1 else None
                figure = _beside_stock(place, mounted, stock, files, f"sequential, {count:,} extents, {words}", wanted)
                outcome.figures.append(figure)
            for name, fresh, which in (("e1000.bin", True, "just mounted"), ("edited.bin", False, "edited in place")):
                what = f"sequential, 1,000 extents, {which}, {words}"
                figure = _beside_stock(place, mounted, stock, [name] * copies, what, target, fresh=fresh)
                outcome.figures.append(figure)
        of_each = Target("ratio", least=2.0)
        for mode, names, words, wanted in (
            ("seq", ["e1000.bin", "e10000.bin"], "sequential, 1,000 and 10,000 extents, a reader each", of_each),
            ("direct", ["e1000.bin", "e1000.bin"], "sequential with O_DIRECT, 1,000 extents, two readers", None),
        ):
            outcome.figures.append(_beside_stock(place, mounted, stock, names, words, wanted, mode))
        outcome.facts["file_bytes"] = size
    return outcome


def _beside_stock(
    place: Place,
    mounted: Mounted,
    stock: int,
    names: list[str],
    what: str,
    target: Target | None,
    mode: str = "seq",
    *,
    fresh: bool = False,
) -> Figure:
    """Reads of files at once; `fresh`: by a mount that has shown none of them yet."""

    def ours() -> Sample:
        if fresh:
            mounted.restart()
        return _read(place, mounted.pid, [mounted.main / name for name in names], mode)

    theirs = [mounted.mountpoint.parent / "stock" / name for name in names]
    samples = take_turns({STOCK: partial(_read, place, stock, theirs, mode), OURS: ours}, place.rounds)
    amount = sum(path.stat().st_size for path in theirs) / MIB
    return rates(what, "MiB/s", amount, samples, STOCK, target)


def cow(place: Place) -> Outcome:
    """4 KiB changed in the middle of a large file, and its first read after that."""
    directory, outcome = place.fresh("cow"), Outcome()
    source = directory / "plain" / "large.bin"
    source.parent.mkdir()
    fill_with_noise(source, place.large)
    with Mounted(directory) as mounted, peer(beside("stock.py", source.parent), directory / "stock") as stock:
        mounted.add(source)
        path = mounted.main / source.name
        before = mounted.stored()
        edits = [_edit(path, place.large // 2)]
        start = time.perf_counter()
        os.sync()
        outcome.facts["sync_after_it_ms"] = (time.perf_counter() - start) * 1000
        mounted.settle()
        outcome.facts["more_bytes_stored"] = mounted.stored() - before
        for number in range(1, place.rounds):
            edits.append(_edit(path, place.large // 2 + number * MIB))
            mounted.settle()
        outcome.figures.append(
            times("4 KiB written and closed", {OURS: edits}, target=Target("value", most=10), unit="ms")
        )
        turns: dict[str, Turn] = {
            OURS: partial(_read, place, mounted.pid, [path]),
            STOCK: partial(_read, place, stock, [directory / "stock" / source.name]),
        }
        samples = take_turns(turns, 1 if place.large > 4096 * MIB else place.rounds)
        figure = rates(
            "reading it all after that", "MiB/s", place.large / MIB, samples, STOCK, Target("ratio", least=0.9)
        )
        outcome.figures.append(figure)
        outcome.facts["file_bytes"] = place.large
    return outcome


def _make(mounted: Mounted, plain: Path, size: int) -> None:
    """Has `main` and the plain directory hold the same files, in `main` of so many extents over two blobs in turns."""
    sources = [plain / name for name in ("first.bin", "second.bin")]
    for source in sources:
        fill_with_noise(source, size)
    mounted.add(*sources)
    mounted.stop()
    with Archive(str(mounted.root), Mode.WRITE) as archive:
        tree = archive.history.view_of("main")
        assert isinstance(tree, Tree)
        now = archive.history.clock()
        blobs = [map_in(archive, source.name).whole_blob for source in sources]
        for count in _COUNTS:
            bounds = [size * number // count // 4096 * 4096 for number in range(count + 1)]
            runs = tuple(
                Extent(start, end - start, blob, start)
                for start, end, blob in zip(bounds, bounds[1:], cycle(blobs), strict=False)
                if blob is not None
            )
            content, leaves = identify(archive.contents.stream(ExtentMap(size, runs)))
            with archive.database.write() as transaction:
                put_content(transaction, content, ExtentMap(size, runs), leaves)
            inode = Inode(Kind.FILE, 0o644, 0, 0, 1, size, now, now, now, now, content=content, stored=size)
            tree.make(ROOT_FILE, f"e{count}.bin".encode(), inode)
            if count == 1000:
                tree.make(ROOT_FILE, b"edited.bin", inode.changed(rdev=EDITED))
        archive.history.flush()
    mounted.start()
    for source in sources:
        source.unlink()
    for count in _COUNTS:
        shutil.copyfile(mounted.main / f"e{count}.bin", plain / f"e{count}.bin")
    os.link(plain / "e1000.bin", plain / "edited.bin")


def _edit(path: Path, offset: int) -> Sample:
    def work() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        os.pwrite(descriptor, _EDIT, offset)
        os.close(descriptor)

    return measured(work)


def _read(place: Place, pid: int, paths: Sequence[Path], mode: str = "seq") -> Sample:
    for path in paths:
        forget_pages(path)
    return measured(lambda: place.client.run(mode, *paths, arguments=[MIB]), pid)
