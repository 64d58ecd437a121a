"""A range of an image sequence on the mount: `sh010@1011-1020/`, a directory of the frames themselves.

The frames are those of the directory `sh010` beside it, or files `sh010.1011.exr` of the same directory.
"""

from dataclasses import dataclass

from filmfs.archive.library import Trees
from filmfs.core.errors import NotFound
from filmfs.core.ids import FileId
from filmfs.core.ranges import Asked
from filmfs.core.sequences import select, sequence_called, split_sequence
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.timecode.origins import sequence_counting
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View
from filmfs.vfs.folders import Held


@dataclass(frozen=True, slots=True)
class SequenceAsked:
    """A range of a sequence, and the directory that its frames are in."""

    directory: FileId
    stem: str
    asked: Asked

    def build(self, contents: Contents, trees: Trees) -> Held:
        """The frames that are asked for. Raises BadTimecode with the reason, NotFound."""
        with trees() as view:
            frames = (each for each in view.entries(self.directory) if each.kind is Kind.FILE)
            entries = {each.name.decode(errors="surrogateescape"): each for each in frames}
            sequence = sequence_called(entries, self.stem)
            first = view.inode(entries[sequence.names[sequence.numbers[0]]].file)
        if first is None:
            raise NotFound(f"the first frame of {self.stem} is gone")
        counting = sequence_counting(sequence, Stored(contents, contents.map_of(first.content)))
        names = select(sequence, self.asked, counting)
        return Held({entries[name].name: entries[name] for name in names})


def sequence_asked(view: View, directory: FileId, name: str) -> SequenceAsked | None:
    """The range of a sequence that a name in a directory may ask for; None when it is no such name."""
    split = split_sequence(name)
    if split is None:
        return None
    stem, asked = split
    entry = view.find(directory, stem.encode(errors="surrogateescape"))
    is_folder = entry is not None and entry.kind is Kind.DIRECTORY
    return SequenceAsked(entry.file if entry is not None and is_folder else directory, stem, asked)
