"""`clip`: a time code range of a film as a file."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.archive.folders import beside_in
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose, command, size
from filmfs.cli.files import PlaceText, resolve
from filmfs.cli.sequences import SequenceClip
from filmfs.control import refresh
from filmfs.core.errors import FilmFSError, IsADirectory, Usage
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import FileId
from filmfs.core.paths import parse_place, shown
from filmfs.core.ranges import read_range, with_handles
from filmfs.store.exporting import Stored, export
from filmfs.timecode.films import Film, FilmClip, clip_of, open_film
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    command(app, "clip")(clip)


def clip(
    archive: ArchivePath,
    place: PlaceText,
    time_range: Annotated[
        str | None, typer.Argument(metavar="[RANGE]", help="Such as 01.00.00.00-01.00.30.00, or f86400-f87119.")
    ] = None,
    output_path: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE|DIR", help="Where to.")] = None,
    handles: Annotated[int, typer.Option("--handles", min=0, help="Frames more on both sides.")] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Only say what the clip is, or why it cannot be.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a time code range of a film as a file: its own frames and samples, exactly, without decoding them.

    The out point is the first frame that is not in it. Without RANGE it says which frames the film has. Of a directory
    with an image sequence the frames of a range are written, as files of a directory.
    """
    output = Output(as_json, quiet, verbose)
    if time_range is None and output_path is not None:
        raise Usage("say which range shall be written, such as 01.00.00.00-01.00.30.00")
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        view, file = resolve(opened, parse_place(place))
        inode = view.get_inode(file)
        if inode.kind is Kind.DIRECTORY:
            sequence = SequenceClip(opened, view, file, place)
            if time_range is None:
                sequence.tell(output)
            else:
                _refuse_nowhere(output_path, explain=explain)
                sequence.write(time_range, handles, None if explain else output_path, output)
            return
        if inode.kind is not Kind.FILE:
            raise IsADirectory(f"{place} is a {inode.kind.name.lower()}, not a film")
        *folder, name = parse_place(place).parts
        extents = opened.contents.map_of(inode.content)
        try:
            film = _opened(opened, view, view.resolve(folder), shown(name), extents)
            if time_range is None:
                facts = film.facts()
                output.result({"place": place, **facts}, lambda: _film_lines(film))
                return
            wanted = os.path.splitext(output_path or "")[1].lower()
            if output_path is not None and not os.path.isdir(output_path) and wanted not in film.suffixes:
                kinds = " or ".join(film.suffixes)
                raise Usage(f"a clip of it is a {kinds} file; {output_path} is neither that nor a directory")
            asked = with_handles(read_range(time_range), handles)
            made = clip_of(film, extents, asked, suffix=wanted if wanted in film.suffixes else None)
        except FilmFSError as error:
            raise type(error)(f"{place}: {error}") from error
        facts = {"place": place, **made.facts()}
        if explain:
            output.result(facts, lambda: _clip_lines(facts))
            return
        _refuse_nowhere(output_path, explain=explain)
        assert output_path is not None
        target = os.path.join(output_path, made.name) if os.path.isdir(output_path) else output_path
        with output.progress(f"writing {target}", made.map.size) as advance:
            export(opened.contents, made.map, target, advance)
        output.result({**facts, "output": target}, lambda: iter([_written(made, target)]))


def _refuse_nowhere(output_path: str | None, *, explain: bool) -> None:
    """Raises Usage where nothing says what shall become of the clip; after what is wrong with the range is told."""
    if output_path is None and not explain:
        raise Usage("say where the clip shall go, with -o FILE or -o DIR, or --explain")


def _opened(archive: Archive, view: View, folder: FileId, name: str, extents: ExtentMap) -> Film:
    return open_film(Stored(archive.contents, extents), name, beside_in(archive.contents, view, folder, name))


def _film_lines(film: Film) -> Iterator[str]:
    facts = film.facts()
    counted = "" if film.timecode_from != "none" else ", counted from its beginning: it has no time code"
    drop = " drop-frame" if facts["drop_frame"] else ""
    yield f"{facts['start']} to {facts['end']}, {facts['frames']} frames at {facts['rate']}{drop}{counted}"


def _clip_lines(facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['clip']}"
    yield f"frames:   {facts['first']} to {facts['out']}, {facts['count']} at {facts['rate']} ({facts['exact_rate']})"
    yield f"of:       {facts['start']} to {facts['end']}, {facts['frames']} frames"
    origin = facts["timecode_from"]
    yield "counted:  " + (f"time code from {origin}" if origin != "none" else "from its beginning: it has no time code")
    head, tail = facts["handles"]
    if head or tail:
        cut = ", cut at the film's ends" if facts["handles_cut"] else ""
        yield f"handles:  {head} before, {tail} after{cut}"
    yield f"size:     {size(facts['size'])}, of which {size(facts['own_bytes'])} are not the film's own"


def _written(made: FilmClip, target: str) -> str:
    return f"{target}: {made.frames.count} frames, {size(made.map.size)}"
