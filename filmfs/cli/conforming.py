"""`conform`: a cut list as trimmed media with a list that is linked to it, or as one movie."""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.archive.assembly import Assembly, Piece, assemble
from filmfs.archive.library import Library
from filmfs.archive.programme import Programme, programme_of
from filmfs.archive.reporting import report_of
from filmfs.archive.trimming import Trim, files_of, plan_trims
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose, command, size
from filmfs.cli.files import PlaceText, resolve
from filmfs.control import refresh
from filmfs.core.errors import BadCutList, BadMedia, Exists, FilmFSError, IsADirectory, LeftOut, Usage
from filmfs.core.extents import ExtentMap
from filmfs.core.paths import parse_place, shown
from filmfs.core.smpte import exact_rate
from filmfs.core.words import counted
from filmfs.cutlists.model import CutList
from filmfs.cutlists.otio import Media, write_otio
from filmfs.cutlists.reading import read_list
from filmfs.cutlists.writing import write_edl
from filmfs.store.exporting import export, write_all, write_file
from filmfs.timecode.films import SUFFIXES as FILM_SUFFIXES
from filmfs.timecode.films import clip_of
from filmfs.timecode.shelf import Shelf
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View

REPORT = "REPORT.txt"
_NOTES_TOLD = 5
_NO_DIRECTORY = (*set(FILM_SUFFIXES) - {".mov", ".qt"}, ".edl", ".otio", ".txt")


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    command(app, "conform")(conform)


def conform(
    archive: ArchivePath,
    place: PlaceText,
    output_path: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="DIR|FILE", help="A directory for trimmed media, or FILE.mov for a movie."
        ),
    ] = None,
    handles: Annotated[int, typer.Option("--handles", min=0, help="Frames more on both sides of trimmed media.")] = 0,
    rate: Annotated[str | None, typer.Option("--rate", help="Frames a second of the list, if it does not say.")] = None,
    renders: Annotated[
        bool, typer.Option("--render", help="Encode the movie anew: transitions, speeds, gaps, mixed films.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Only say what each event is, and what can be.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find the media of a cut list in its branch, and write what the list needs of them without decoding it.

    To a directory go the stretches that are used, as NAME_S000.mov …, in one pass, with an EDL and an OTIO timeline
    that are linked to them and a report. To a file goes the programme in record order.
    """
    output = Output(as_json, quiet, verbose)
    if renders and (output_path is None or not _is_file(output_path)):
        raise Usage("say which movie shall be rendered, with -o FILE.mov")
    if output_path is not None and os.path.splitext(output_path)[1].lower() in _NO_DIRECTORY:
        raise Usage(f"one movie is a .mov file; {output_path} is neither that nor a directory")
    if handles and output_path is not None and _is_file(output_path):
        raise Usage("the events of one movie have no handles; -o DIR writes their media with handles")
    if output_path is not None and os.path.isfile(output_path) and not _is_file(output_path):
        raise Exists(f"{output_path} is a file; say a directory, or FILE.mov")
    if output_path is None and not explain:
        raise Usage("say where it shall go, with -o DIR or -o FILE.mov, or --explain")
    exact = None if rate is None else exact_rate(rate)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        view, file = resolve(opened, parse_place(place))
        inode = view.get_inode(file)
        if inode.kind is not Kind.FILE:
            raise IsADirectory(f"{place} is a {inode.kind.name.lower()}, not a cut list")
        name = shown(parse_place(place).path.rpartition(b"/")[2])
        with output.busy("reading the list and finding its media"):
            cuts = _read(opened, opened.contents.map_of(inode.content), name, place)
            if not cuts.events and not explain:
                raise BadCutList(f"{place} has no events")
            job = _Job(opened, view, name, cuts if exact is None else cuts.at(exact), handles)
        if explain:
            output.result({"place": place, **job.facts()}, lambda: iter(job.report.splitlines()))
        elif renders:
            job.render(output_path or "", output, place)
        elif _is_file(output_path or ""):
            job.write_movie(output_path or "", output, place)
        else:
            job.write_media(output_path or "", output, place)


def _is_file(path: str) -> bool:
    return not os.path.isdir(path) and os.path.splitext(path)[1].lower() in (".mov", ".qt")


def _read(archive: Archive, extents: ExtentMap, name: str, place: str) -> CutList:
    try:
        return read_list(archive.contents.read(extents, 0, extents.size), name)
    except BadCutList as error:
        raise BadCutList(f"{place}: {error}") from None


class _Job:
    """One list, the media that it means, and what becomes of them."""

    def __init__(self, archive: Archive, view: View, name: str, cuts: CutList, handles: int) -> None:
        self._archive = archive
        self._shelf = Shelf(archive.contents)
        self._library = Library(lambda: nullcontext(view), self._shelf, archive.contents.map_of)
        self._name = name
        self.assembly: Assembly = assemble(cuts, self._library, handles)
        self.hindrance: FilmFSError | None = None
        self._movie: ExtentMap | None = None
        try:
            self._movie = self._made(programme_of(self.assembly, self._library))
        except FilmFSError as error:
            self.hindrance = error

    def _made(self, programme: Programme) -> ExtentMap:
        contents = self._archive.contents
        maps = {each: contents.map_of(each) for source in programme.sources for each in source.contents}
        return programme.movie(contents, self._shelf, maps)

    @cached_property
    def checked(self) -> Assembly:
        """The assembly, in which events have no frames that cannot be clips after all."""
        return replace(self.assembly, pieces=tuple(map(self._checked, self.assembly.pieces)))

    def _checked(self, piece: Piece) -> Piece:
        if piece.path is None or piece.frames is None or piece.asked is None:
            return piece
        try:
            kept = self._library.kept(piece.path)
            clip_of(self._library.film(piece.path), kept.map, piece.asked, suffix=piece.suffix)
        except FilmFSError as error:
            return piece.refused(error)
        return piece

    @property
    def report(self) -> str:
        """What became of each event, for people."""
        return self._report(self.checked)

    def _report(self, assembly: Assembly) -> str:
        why = str(self.hindrance) if self.hindrance is not None else None
        return report_of(self._name, assembly, why)

    @property
    def missing(self) -> list[str]:
        """The events that should have media and have none, with the reason."""
        pieces = self.checked.pieces
        return [f"{p.event.shown}: {p.reason}" for p in pieces if p.frames is None and p.event.needs_media]

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        cuts = self.assembly.cuts
        return {
            "title": cuts.title,
            "rate": None if cuts.rate is None else str(cuts.rate),
            "drop_frame": cuts.drop,
            "events": [
                {
                    "number": piece.event.number,
                    "line": piece.event.line,
                    "clip": piece.name,
                    "path": piece.path,
                    "found_by": piece.by or None,
                    "first_frame": None if piece.frames is None else piece.frames.first,
                    "frames": None if piece.frames is None else piece.frames.count,
                    "handles": None if piece.frames is None else [piece.frames.head, piece.frames.tail],
                    "reason": piece.reason,
                }
                for piece in self.checked.pieces
            ],
            "notes": list(cuts.notes),
            "conform": None if self._movie is None else {"size": self._movie.size},
            "no_conform_because": None if self.hindrance is None else str(self.hindrance),
        }

    def write_movie(self, path: str, output: Output, place: str) -> None:
        """The programme as one movie. Raises BadMedia with the reason where it cannot be."""
        if self._movie is None:
            hint = "; --render encodes one anew" if self._can_be_rendered() else ""
            raise BadMedia(f"{place} cannot be one movie of its films' own bytes: {self.hindrance}{hint}")
        with output.progress(f"writing {path}", self._movie.size) as advance:
            export(self._archive.contents, self._movie, path, advance)
        events, length = len(self.assembly.pieces), self._movie.size
        facts = {"place": place, "output": path, "size": length, "events": events, "notes": self._notes}
        output.result(facts, lambda: iter([f"{path}: {counted(events, 'event')}, {size(length)}", *self._notes_told()]))

    def _can_be_rendered(self) -> bool:
        from filmfs.archive.rendering import rendering_of

        try:
            rendering_of(self.assembly, self._library, self._archive.contents)
        except FilmFSError:
            return False
        return all(piece.frames is not None for piece in self.checked.pieces if piece.event.needs_media)

    @property
    def _notes(self) -> list[str]:
        return list(self.assembly.cuts.notes)

    def _notes_told(self) -> list[str]:
        """What is odd in the list, for whoever does not ask for the report."""
        told, more = self._notes[:_NOTES_TOLD], len(self._notes) - _NOTES_TOLD
        return [f"note: {note}" for note in told] + (
            [f"and {counted(more, 'note')} more: --explain"] if more > 0 else []
        )

    def render(self, path: str, output: Output, place: str) -> None:
        """The programme as one movie, encoded anew. Raises BadMedia with the reason where it cannot be."""
        from filmfs.archive.rendering import rendering_of
        from filmfs.media.rendering import render  # PyAV: a tenth of a second that no other command should wait for

        rendering = rendering_of(self.assembly, self._library, self._archive.contents)
        total, what = rendering.frames, f"rendering {path}"

        def fill(descriptor: int) -> None:
            with os.fdopen(descriptor, "wb", closefd=False) as target, output.steps(what) as step:
                render(
                    rendering.events,
                    target,
                    rate=rendering.rate,
                    start=rendering.start,
                    drop=rendering.drop,
                    progress=lambda done: step(done, total, what),
                )

        write_file(path, 0, fill)
        length = os.path.getsize(path)
        facts = {"place": place, "output": path, "frames": total, "size": length, "notes": self._notes}
        output.result(facts, lambda: iter([f"{path}: {counted(total, 'frame')}, {size(length)}", *self._notes_told()]))

    def write_media(self, directory: str, output: Output, place: str) -> None:
        """Trimmed media, and the list linked to them. Raises LeftOut at the end when events have none."""
        trims = plan_trims(self.checked)
        texts = self._texts(trims)
        os.makedirs(directory, exist_ok=True)
        for name in (*(trim.name for trim in trims), *texts):
            if os.path.lexists(os.path.join(directory, name)):
                raise Exists(f"{os.path.join(directory, name)} is there already; choose an empty directory")
        maps = [self._map_of(trim) for trim in trims]
        with output.progress(f"writing {directory}", sum(extents.size for extents in maps)) as advance:
            for trim, extents in zip(trims, maps, strict=True):
                export(self._archive.contents, extents, os.path.join(directory, trim.name), advance)
        for name, text in texts.items():
            data = text.encode("utf-8", errors="replace")
            write_file(os.path.join(directory, name), len(data), partial(write_all, data=data, offset=0))
        facts = {
            "place": place,
            "output": directory,
            "files": [
                {"name": trim.name, "path": trim.path, "frames": trim.frames.count, "events": len(trim.events)}
                for trim in trims
            ],
            "size": sum(extents.size for extents in maps),
            "lists": list(texts),
            "missing": self.missing,
            "notes": self._notes,
        }
        output.result(facts, lambda: iter([*_media_lines(directory, facts), *self._notes_told()]))
        if self.missing:
            number = len(self.missing)
            raise LeftOut(f"{counted(number, 'event')} without media: {self.missing[0]}", told=True)

    def _map_of(self, trim: Trim) -> ExtentMap:
        kept = self._library.kept(trim.path)
        suffix = os.path.splitext(trim.name)[1]
        return clip_of(self._library.film(trim.path), kept.map, trim.asked, suffix=suffix).map

    def _texts(self, trims: tuple[Trim, ...]) -> dict[str, str]:
        """The lists that are linked to the files, and the report, by their names."""
        cuts, stem = self.assembly.cuts, os.path.splitext(self._name)[0]
        files = files_of(trims, len(cuts.events))
        texts = {f"{stem}.edl": write_edl(cuts, [None if file is None else file.name for file in files])}
        if cuts.rate is not None:
            media = [None if file is None else Media(file.name, file.name, file.shown) for file in files]
            texts[f"{stem}.otio"] = write_otio(replace(cuts, events=_linked(cuts, files)), media)
        pieces = zip(self.checked.pieces, files, strict=True)
        named = [piece if file is None else replace(piece, name=file.name) for piece, file in pieces]
        return {**texts, REPORT: self._report(replace(self.checked, pieces=tuple(named)))}


def _linked(cuts: CutList, files: list[Trim | None]) -> Any:
    pairs = zip(cuts.events, files, strict=True)
    return tuple(event if file is None else replace(event, clip_name=file.name) for event, file in pairs)


def _media_lines(directory: str, facts: dict[str, Any]) -> Iterator[str]:
    files = counted(len(facts["files"]), "file")
    yield f"{directory}: {files}, {size(facts['size'])}, and {', '.join(facts['lists'])}"
    for missing in facts["missing"]:
        yield f"no media: {missing}"
