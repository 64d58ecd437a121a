"""What a cut list is on the mount: a folder of clips, `cut.edl@clips/`, and a movie, `cut.edl@conform.mov`.

The folder has a report of what became of each event, and of why there is no movie.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from blake3 import blake3

from filmfs.archive.assembly import Assembly, Piece, assemble
from filmfs.archive.library import Library, Trees
from filmfs.archive.permissions import common
from filmfs.archive.programme import Programme, programme_of
from filmfs.archive.reporting import report_of
from filmfs.core.errors import BadCutList, FilmFSError, NotHashed
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId, FileId
from filmfs.core.smpte import label_of
from filmfs.cutlists.reading import SIZE_MAX, read_list
from filmfs.store.contents import Contents
from filmfs.timecode.shelf import Shelf
from filmfs.versioning.rows import Inode
from filmfs.vfs.clips import ClipRecipe, as_attributes
from filmfs.vfs.derived import Derived, Made
from filmfs.vfs.folders import Child, Held, MadeChild
from filmfs.vfs.texts import TextRecipe

CLIPS = "@clips"
MOVIE = "@conform.mov"
REPORT = b"REPORT.txt"


class ConformRecipe:
    """A programme as one movie."""

    is_only = True

    def __init__(self, programme: Programme, contents: Contents) -> None:
        self._programme = programme
        self._kept = contents
        self.identity = f"conform {blake3(programme.identity.encode()).hexdigest()}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConformRecipe) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """What it needs."""
        return tuple(content for source in self._programme.sources for content in source.contents)

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """Makes it. Raises BadMedia, and what the disk says."""
        programme = self._programme
        start = label_of(programme.start, programme.rate, drop=programme.drop)
        told = {"timecode.start": str(start), "timecode.rate": str(programme.rate), "accuracy": "exact"}
        return Made(programme.movie(self._kept, shelf, maps), as_attributes(told))


class CutFolder:
    """Works out, in a thread, what the folder of a cut list holds."""

    def __init__(self, contents: Contents, derived: Derived, handles: int) -> None:
        self._contents = contents
        self._derived = derived
        self._handles = handles

    def build(self, trees: Trees, name: str, file: FileId, inode: Inode) -> Held:
        """The clips of a list, and the report. Raises BadCutList and what the disk says."""
        extents = self._contents.map_of(inode.content)
        if extents.size > SIZE_MAX:
            raise BadCutList(f"{name} has {extents.size} bytes, more than any cut list")
        cuts = read_list(self._contents.read(extents, 0, extents.size), name)
        children: dict[bytes, Child] = {}
        pieces: list[Piece] = []
        library = Library(trees, self._derived.shelf, self._contents.map_of)
        assembly = assemble(cuts, library, self._handles)
        for piece in assembly.pieces:
            try:
                made = self._clip(library, piece)
            except FilmFSError as error:
                pieces.append(piece.refused(error))
                continue
            pieces.append(piece)
            if made is not None and piece.name is not None:
                children[piece.name.encode(errors="surrogateescape")] = made
        movie = self._movie(assembly, library, file, inode)
        why = str(movie) if isinstance(movie, FilmFSError) else None
        report = report_of(name, replace(assembly, pieces=tuple(pieces)), why)
        owned = _readable_to_all(inode, assembly, library)
        text = TextRecipe.of(report.encode(errors="replace"))
        children[REPORT] = MadeChild(text, text.facts, file, owned)
        waiting = any(isinstance(piece.error, NotHashed) for piece in pieces)
        clips = (child for child in children.values() if isinstance(child, MadeChild))
        films = {child.file: child.recipe.contents[0] for child in clips if child.recipe.contents}
        return Held(children, movie, is_whole=not waiting, films=films)

    def _movie(self, assembly: Assembly, library: Library, file: FileId, inode: Inode) -> MadeChild | FilmFSError:
        """All of a list as one movie, or the reason why there is none."""
        try:
            recipe = ConformRecipe(programme_of(assembly, library), self._contents)
            facts = self._derived.make_now(recipe, {each: self._contents.map_of(each) for each in recipe.contents})
        except FilmFSError as error:
            return error
        return MadeChild(recipe, facts, file, _readable_to_all(inode, assembly, library))

    def _clip(self, library: Library, piece: Piece) -> MadeChild | None:
        if piece.path is None or piece.frames is None or piece.asked is None:
            return None
        kept = library.kept(piece.path)
        recipe = ClipRecipe(kept.source, (piece.asked,), piece.suffix)
        return MadeChild(
            recipe, self._derived.make_now(recipe, kept.maps), kept.file, kept.inode.changed(mode=kept.readable)
        )


def _readable_to_all(inode: Inode, assembly: Assembly, library: Library) -> Inode:
    """A list's inode with the mode of what is made of its films."""
    films = []
    told = {piece.path for piece in assembly.pieces if piece.path is not None}
    for path in told.union(*(piece.candidates for piece in assembly.pieces)):
        with suppress(FilmFSError):  # of such a film nothing is told but its name
            kept = library.kept(path)
            films.append((kept.inode, kept.readable))
    return inode.changed(mode=common(inode, films))
