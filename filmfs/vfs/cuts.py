"""What the clips of a cut list are on the mount: `cut.edl@clips/`, with a report of what became of each event."""

from filmfs.archive.assembly import Piece, assemble
from filmfs.archive.library import Library
from filmfs.archive.reporting import report_of
from filmfs.core.errors import BadCutList, FilmFSError, NotHashed
from filmfs.core.ids import FileId
from filmfs.cutlists.reading import SIZE_MAX, read_list
from filmfs.store.contents import Contents
from filmfs.versioning.rows import Inode
from filmfs.versioning.view import View
from filmfs.vfs.clips import ClipRecipe
from filmfs.vfs.derived import Derived
from filmfs.vfs.folders import Child, Held, MadeChild
from filmfs.vfs.texts import TextRecipe

CLIPS = "@clips"
REPORT = b"REPORT.txt"


class CutFolder:
    """Works out, in a thread, what the folder of a cut list holds."""

    def __init__(self, contents: Contents, derived: Derived, handles: int) -> None:
        self._contents = contents
        self._derived = derived
        self._handles = handles

    def build(self, view: View, name: str, file: FileId, inode: Inode) -> Held:
        """The clips of a list, and the report. Raises BadCutList and what the disk says."""
        extents = self._contents.map_of(inode.content)
        if extents.size > SIZE_MAX:
            raise BadCutList(f"{name} has {extents.size} bytes, more than any cut list")
        cuts = read_list(self._contents.read(extents, 0, extents.size), name)
        children: dict[bytes, Child] = {}
        refused: dict[int, str] = {}
        library = Library(view, self._derived.shelf, self._contents.map_of)
        assembly = assemble(cuts, library, self._handles)
        for at, piece in enumerate(assembly.pieces):
            try:
                made = self._clip(library, piece)
            except FilmFSError as error:
                refused[at] = str(error)
            else:
                if made is not None and piece.name is not None:
                    children[piece.name.encode(errors="surrogateescape")] = made
        report = report_of(name, assembly, refused, "it is not built yet")
        children[REPORT] = MadeChild(TextRecipe(report.encode(errors="replace")), file, inode)
        waiting = any(isinstance(piece.error, NotHashed) for piece in assembly.pieces)
        return Held(children, is_whole=not waiting)

    def _clip(self, library: Library, piece: Piece) -> MadeChild | None:
        if piece.path is None or piece.frames is None or piece.asked is None:
            return None
        kept = library.kept(piece.path)
        recipe = ClipRecipe(kept.source, (piece.asked,), piece.suffix)
        self._derived.make_now(recipe, kept.maps)
        return MadeChild(recipe, kept.file, kept.inode)
