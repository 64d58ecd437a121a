"""A range of an image sequence on the mount: `sh010@1011-1020/`, a directory of the frames themselves.

The frames are those of the directory `sh010` beside it, or files `sh010.1011.exr` of the same directory.
"""

from dataclasses import dataclass

from filmfs.archive.library import Trees
from filmfs.archive.sequences import kept_sequence
from filmfs.core.errors import BadName
from filmfs.core.ids import FileId
from filmfs.core.ranges import Asked
from filmfs.core.sequences import split_sequence
from filmfs.store.contents import Contents
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View
from filmfs.vfs.folders import Held


@dataclass(frozen=True, slots=True)
class SequenceAsked:
    """A range of a sequence, and the directory that its frames are in."""

    directory: FileId
    stem: str
    asked: Asked
    is_loose: bool  # in a directory that is not called so

    def build(self, contents: Contents, trees: Trees) -> Held:
        """The frames that are asked for. Raises BadTimecode with the reason, NotFound."""
        kept = kept_sequence(trees, contents, self.directory, self.stem, is_loose=self.is_loose)
        return Held({entry.name: entry for entry in kept.frames(self.asked)})


def sequence_asked(view: View, directory: FileId, name: str) -> SequenceAsked | None:
    """The range of a sequence that a name in a directory may ask for; None when it is no such name."""
    split = split_sequence(name)
    if split is None:
        return None
    stem, asked = split
    try:
        entry = view.find(directory, stem.encode(errors="surrogateescape"))
    except BadName:
        return None  # nothing can be called so
    is_folder = entry is not None and entry.kind is Kind.DIRECTORY
    return SequenceAsked(
        entry.file if entry is not None and is_folder else directory, stem, asked, is_loose=not is_folder
    )
