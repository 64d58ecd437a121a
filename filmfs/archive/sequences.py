"""An image sequence of a tree: which files of a directory are its frames, and how they are counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from unicodedata import normalize

from filmfs.archive.library import Trees
from filmfs.core.errors import NotFound
from filmfs.core.ids import FileId
from filmfs.core.ranges import Asked, Counting
from filmfs.core.sequences import ImageSequence, select, sequence_called
from filmfs.store.contents import Contents
from filmfs.store.exporting import Stored
from filmfs.timecode.origins import sequence_counting
from filmfs.versioning.rows import Entry, Kind

_IMAGES = (
    *(b".dpx", b".cin", b".exr", b".tif", b".tiff", b".png", b".jpg", b".jpeg", b".jp2", b".j2c", b".j2k", b".jxl"),
    *(b".dng", b".ari", b".arx", b".tga", b".sgi", b".rgb", b".bmp", b".hdr", b".pic", b".sxr", b".webp", b".avif"),
)


@dataclass(frozen=True, slots=True)
class KeptSequence:
    """A sequence, its files by name, and its time code if the first frame's header says one."""

    sequence: ImageSequence
    entries: Mapping[str, Entry]
    counting: Counting | None

    def frames(self, asked: Asked) -> list[Entry]:
        """The files of a range, in order. Raises BadTimecode with the reason."""
        return [self.entries[name] for name in select(self.sequence, asked, self.counting)]


def kept_sequence(
    trees: Trees, contents: Contents, directory: FileId, stem: str, *, is_loose: bool = False
) -> KeptSequence:
    """The sequence of a directory that is called so, or its only one. Raises BadTimecode, NotFound.

    With `is_loose` the directory holds other files too, and only a sequence that is called so is meant.
    """
    with trees() as view:
        entries = images(view.entries(directory))
        sequence = sequence_called(entries, normalize("NFC", stem))
        if is_loose and normalize("NFC", stem) not in (sequence.stem, sequence.before, sequence.pattern):
            raise NotFound(f"there is no image sequence {stem} here")
        first = view.inode(entries[sequence.names[sequence.numbers[0]]].file)
    if first is None:
        raise NotFound(f"the first frame of {stem} is gone")
    counting = sequence_counting(sequence, Stored(contents, contents.map_of(first.content)))
    return KeptSequence(sequence, entries, counting)


def images(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Those of a directory's entries that may be frames, by their names."""
    frames = (each for each in entries if each.kind is Kind.FILE and each.name.lower().endswith(_IMAGES))
    return {normalize("NFC", each.name.decode(errors="surrogateescape")): each for each in frames}
