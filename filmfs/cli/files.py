"""`init`, `add`, `ls`, `cat`, `info`, `du`: files in and out of an archive."""

import base64
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from stat import filemode
from typing import Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.archive.adding import Taking, check_destination, forget_progress, scan, take_bytes
from filmfs.archive.footage import Footage, is_frame_name, sequence_at
from filmfs.archive.opening import SPOOL_PREFIX, find_archive, ingesting, read_settings
from filmfs.archive.queue import ProxyQueue
from filmfs.cli.common import ArchivePath, DryRun, Json, Output, Quiet, Verbose, author, command, size, to_stdout, when
from filmfs.cli.mountinfo import is_in_mount, place_in_mount
from filmfs.control import call, refresh
from filmfs.core.errors import FilmFSError, IsADirectory, LeftOut, Usage
from filmfs.core.ids import ContentId, FileId
from filmfs.core.paths import Place, parse_place, shown
from filmfs.core.words import counted
from filmfs.proxy.names import is_original_key
from filmfs.store.jobs import OPEN, Job
from filmfs.store.records import write_frames
from filmfs.versioning.rows import Inode, Kind
from filmfs.versioning.view import View
from filmfs.vfs.nodes import NodeId, attributes_of

_WHOLE_BASE64 = 3 << 18  # a multiple of 3 bytes, so that pieces join without padding between them

PlaceText = Annotated[str, typer.Argument(metavar="BRANCH:PATH", help="A place, such as main:A001/clip.mov.")]


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    for name, function in (("init", init), ("add", add), ("ls", ls), ("cat", cat), ("info", info), ("du", du)):
        command(app, name)(function)


def init(
    archive: ArchivePath,
    name: Annotated[str | None, typer.Option("--name", help="Its name; that of the directory.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make an archive with an empty branch `main`."""
    settings = Archive.create(archive, name=name, author=author())
    facts = {"archive": os.path.abspath(archive), "name": settings.name, "id": settings.id}
    Output(as_json, quiet, verbose).result(facts, lambda: iter([f"{archive} is an archive now"]))


def add(
    archive: ArchivePath,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="DIR arrives as DIR, DIR/ as its contents.")],
    branch: Annotated[str, typer.Option("--branch", "-b", help="Into which branch.")] = "main",
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Below which directory of it.")] = "",
    fix_names: Annotated[
        bool, typer.Option("--fix-names", help="Rename what has a name that cannot be kept, and say how.")
    ] = False,
    message: Annotated[str, typer.Option("--message", "-m", help="For the log.")] = "",
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Add files and folders, as `cp -r` would. The source is only read; everything appears at once, at the end."""
    output = Output(as_json, quiet, verbose)
    root = find_archive(archive)
    started = time.monotonic()
    refresh(root)
    with ingesting(root):
        with Archive(root, Mode.INGEST) as opened:
            opened.history.table.get(branch)
            if ":" in to and opened.history.table.find(to.partition(":")[0]) is not None:
                raise Usage(f"--to is a directory of the branch that --branch names; {to!r} names one itself")
            sources = [os.fsencode(path) for path in paths]
            with output.busy("looking at the sources"):
                found = scan(sources, check_destination(to), fix_names=fix_names, skip=os.fsencode(root))
            for before, after in found.renamed:
                output.remark(f"{before} is added as {after}")
            if dry_run:
                plan = {"files": found.files, "bytes": found.bytes, "problems": _problems(found.problems)}
                output.result(plan, lambda: iter([f"would add {found.files} files, {size(found.bytes)}, to {branch}"]))
                return
            with output.progress("adding", found.bytes) as advance:
                taken = take_bytes(opened, found, opened.history.view_of(branch), lambda done, _: advance(done))
        with output.busy(f"making {len(taken.new)} names appear in {branch}"):
            facts = _publish(root, branch, message or _what_was_added(paths), taken)
        facts["proxies_queued"] = _queue_proxies(root, branch, taken)
    facts |= {
        "branch": branch,
        "files": found.files,
        "bytes": found.bytes,
        "stored_bytes": taken.stored_bytes,
        "known_files": taken.known_files,
        "cloned_files": taken.cloned_files,
        "renamed": dict(found.renamed),
        "problems": _problems(taken.problems),
        "seconds": round(time.monotonic() - started, 3),
    }
    output.result(facts, lambda: _added_lines(facts))
    if taken.problems:
        for problem in taken.problems:
            output.remark(f"left out: {problem.path}: {problem.reason}")
        if quiet:
            raise LeftOut("; ".join(f"{each.path}: {each.reason}" for each in taken.problems), told=as_json)
        raise LeftOut(f"{len(taken.problems)} of the sources were left out; the rest is in {branch}", told=as_json)


def _queue_proxies(root: str, branch: str, taken: Taking) -> int:
    """Puts the films that came in into the queue of proxies, as the archive's settings say; how many."""
    recipes = read_settings(root).proxies
    if not recipes:
        return 0
    jobs = [
        Job(ContentId(new.inode.content), shown(new.parts[-1]), f"{branch}:{shown(b'/'.join(new.parts))}", recipes)
        for new in taken.new
        if new.parts and is_original_key(new.parts[-1]) and isinstance(new.inode.content, bytes)
    ]
    folders = {new.parts[:-1] for new in taken.new if len(new.parts) > 1 and is_frame_name(shown(new.parts[-1]))}
    sequences = {}
    with Archive(root, Mode.INGEST) as opened:
        view = opened.history.view_of(branch)
        for parts in sorted(folders):
            place = f"{branch}:{shown(b'/'.join(parts))}"
            with suppress(FilmFSError):  # it is elsewhere by now
                found = sequence_at(view, view.resolve(list(parts)), place, is_asked=False)
                if isinstance(found, Footage):
                    sequences[place] = Job(found.content, found.name, place, recipes)
        queue = ProxyQueue(opened)
        waiting = [job for job in queue.jobs() if job.state in OPEN and job.place in sequences]
        queue.cancel(job.number for job in waiting if job.content != sequences[job.place].content)  # there are more now
        return len(set(queue.add([*jobs, *sequences.values()])))


def ls(
    archive: ArchivePath,
    place: PlaceText = "main:",
    long: Annotated[bool, typer.Option("--long", "-l", help="With mode, size and time.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """List a directory of a branch or of a commit (main@42:A001)."""
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        view, file = resolve(opened, parse_place(place))
        inode = view.get_inode(file)
        listed: list[tuple[bytes, Inode]] = [(parse_place(place).path, inode)]
        if inode.kind is Kind.DIRECTORY:
            listed = [(entry.name, view.get_inode(entry.file)) for entry in view.entries(file)]
        entries = [_facts(name, inode) for name, inode in listed]

    def lines() -> Iterator[str]:
        for entry in entries:
            name = entry["name"] + ("/" if entry["kind"] == "directory" else "")
            yield f"{entry['mode']}  {size(entry['size']):>12}  {when(entry['mtime'])}  {name}" if long else name

    Output(as_json, quiet, verbose).result({"place": place, "entries": entries}, lines)


def cat(
    archive: ArchivePath, place: PlaceText, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> None:
    """Write a file's bytes to stdout; with --json as base64 in one object."""
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        view, file = resolve(opened, parse_place(place))
        inode = view.get_inode(file)
        if inode.kind is not Kind.FILE:
            raise IsADirectory(f"{place} is a {_kind(inode)}, not a file")
        extents = opened.contents.map_of(inode.content)
        pieces = opened.contents.stream(extents, _WHOLE_BASE64)
        with to_stdout():
            for piece in _as_json(place, inode.size, pieces) if as_json else pieces:
                rest = memoryview(piece)
                while rest:  # an unbuffered stdout (PYTHONUNBUFFERED) may take only a part
                    rest = rest[sys.stdout.buffer.write(rest) :]
            sys.stdout.buffer.flush()


def _as_json(place: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """One object that is never in memory as a whole: a file can be larger than that."""
    head = json.dumps({"place": place, "size": size, "encoding": "base64", "data": ""}).encode()
    yield head.removesuffix(b'"}')
    for piece in pieces:
        yield base64.b64encode(piece)
    yield b'"}\n'


def info(
    archive: Annotated[str, typer.Argument(metavar="[ARCHIVE] BRANCH:PATH", help="Or a path inside a mount.")],
    place: Annotated[str | None, typer.Argument(hidden=True)] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Tell all that is known of a file: what it is, where its bytes are, when it changed."""
    if place is None or is_in_mount(place):
        archive, place = place_in_mount(place or archive)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        where = parse_place(place)
        view, file = resolve(opened, where)
        inode = view.get_inode(file)
        facts = _facts(where.path.rpartition(b"/")[2] or b"/", inode)
        facts |= {
            "place": place,
            "file_id": file,
            "uid": inode.uid,
            "gid": inode.gid,
            "links": inode.nlink,
            "paths": [shown(path) for path in _paths(view, inode)],
        }
        if inode.kind is Kind.FILE:
            extents = opened.contents.map_of(inode.content)
            hashed = isinstance(inode.content, bytes) or inode.content is None
            facts |= {"stored": extents.stored, "extents": len(extents.extents), "hashed": hashed}
            blob = extents.whole_blob
            is_file = blob is not None and opened.blobs.size_on_disk(blob) == extents.size
            facts["blob"] = opened.blobs.path_of(blob) if blob is not None and is_file else None

    def lines() -> Iterator[str]:
        for name, value in facts.items():
            text = when(value) if name.endswith("time") else value
            yield f"{name + ':':<10} {text}"

    Output(as_json, quiet, verbose).result(facts, lines)


def du(
    archive: ArchivePath,
    place: PlaceText = "main:",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say how much a directory holds, and how much of the disk that takes once duplicates are counted once."""
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        where = parse_place(place)
        view, file = resolve(opened, where)
        top = view.get_inode(file)
        facts = _measure(opened, [(file, top)] if top.kind is not Kind.DIRECTORY else _files_below(view, file))
    facts = {"place": place, **facts}

    def lines() -> Iterator[str]:
        yield f"{facts['files']} files, {size(facts['bytes'])}; stored: {size(facts['stored_bytes'])}  {place}"

    Output(as_json, quiet, verbose).result(facts, lines)


def _publish(root: str, branch: str, message: str, taken: Taking) -> dict[str, Any]:
    """Hands what was taken to whoever may change the archive, by a file: it can be a million names."""
    with tempfile.NamedTemporaryFile(dir=root, prefix=SPOOL_PREFIX) as spool:
        write_frames(spool, (new.as_value() for new in taken.new))  # type: ignore[arg-type]
        spool.flush()
        facts = call(root, "publish", {"branch": branch, "spool": spool.name, "message": message, "author": author()})
    with Archive(root, Mode.INGEST) as opened:
        forget_progress(opened)
    return facts


def _what_was_added(paths: list[str]) -> str:
    names = [os.path.basename(path.rstrip("/")) or path for path in paths]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return "add " + ", ".join(names[:5]) + more


def _files_below(view: View, directory: FileId) -> Iterator[tuple[FileId, Inode]]:
    for _, entry, inode in view.walk(directory):
        yield entry.file, inode


def _measure(opened: Archive, files: Any) -> dict[str, Any]:
    seen: set[FileId] = set()
    ranges: dict[Any, int] = {}
    count = total = 0
    for file, inode in files:
        if inode.kind is not Kind.FILE or file in seen:
            continue
        seen.add(file)
        count += 1
        total += inode.size
        for extent in opened.contents.map_of(inode.content).extents:
            ranges[extent.source, extent.source_offset, extent.length] = extent.length
    return {"files": count, "bytes": total, "stored_bytes": sum(ranges.values())}


def resolve(opened: Archive, place: Place) -> tuple[View, FileId]:
    """The tree and the file that a place names. Raises NotFound and its kind, with the place."""
    view = opened.history.view_of(place.point)
    try:
        return view, view.resolve(place.parts)
    except FilmFSError as error:
        raise type(error)(f"{place}: {error}") from error


def _facts(name: bytes, inode: Inode) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": shown(name),
        "kind": _kind(inode),
        "mode": filemode(attributes_of(NodeId(0), inode).mode),
        "size": inode.size,
        "mtime": inode.mtime,
        "ctime": inode.ctime,
    }
    if isinstance(inode.content, bytes):
        facts["content"] = inode.content.hex()
    if inode.kind is Kind.SYMLINK:
        facts["target"] = shown(inode.target)
    return facts


def _kind(inode: Inode) -> str:
    return inode.kind.name.lower().replace("_", " ")


def _paths(view: View, inode: Inode) -> Iterator[bytes]:
    for parent, name in inode.links[:100]:
        above = view.path_of(parent)
        if above is not None:
            yield above + b"/" + name if above else name


def _problems(problems: list[Any]) -> list[dict[str, str]]:
    return [{"path": problem.path, "kind": problem.kind, "reason": problem.reason} for problem in problems]


def _added_lines(facts: dict[str, Any]) -> Iterator[str]:
    rate = size(int(facts["bytes"] / max(facts["seconds"], 0.001)))
    yield (
        f"{facts['added']} added, {facts['replaced']} replaced, {facts['unchanged']} unchanged in {facts['branch']}: "
        f"{facts['files']} files, {size(facts['bytes'])} in {facts['seconds']:.1f} s ({rate}/s); "
        f"{size(facts['stored_bytes'])} new on disk"
    )
    if facts["known_files"]:
        yield f"{facts['known_files']} files were here already and were not read again"
    if facts["proxies_queued"]:
        films = counted(facts["proxies_queued"], "film")
        yield f"proxies of {films} are in the queue; a mount makes them, or: filmfs proxy make"
