"""What of a tree can have proxies: films and sound files, and directories that are image sequences.

An image sequence is known by the numbers and contents of its frames, wherever they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from blake3 import blake3

from filmfs.archive.sequences import images
from filmfs.core.errors import BadMedia
from filmfs.core.ids import EMPTY_CONTENT, ContentId, FileId
from filmfs.core.paths import shown
from filmfs.core.sequences import ImageSequence, find_sequences
from filmfs.proxy.names import is_original_key, maker_of
from filmfs.proxy.sources import FrameFiles, InArchive
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View

_OF_FILMS = (".exr", ".dpx", ".cin", ".ari")  # other numbered pictures may be photographs
_TOLD = 3


@dataclass(frozen=True, slots=True)
class Footage:
    """An original: where it is, what it is called, and its bytes; of an image sequence the contents of its frames."""

    place: str
    name: str
    content: ContentId
    frames: tuple[tuple[int, ContentId], ...] = ()

    def source(self, root: str) -> FrameFiles | InArchive:
        """How a worker opens it that can open the archive at `root`."""
        if not self.frames:
            return InArchive(root, self.content)
        return FrameFiles(
            self.frames[0][0], tuple((number, InArchive(root, content)) for number, content in self.frames)
        )


@dataclass(frozen=True, slots=True)
class Unusable:
    """What looks like an original and cannot be one, and why; `is_waiting`: it can when it is hashed, in a moment."""

    place: str
    why: str
    is_waiting: bool = False


def footage_at(view: View, file: FileId, place: str) -> Iterator[Footage]:
    """The original at a place, or all at and below a directory. Raises BadMedia for a file that is none."""
    is_file = view.get_inode(file).kind is not Kind.DIRECTORY
    for each in survey(view, file, place):
        if isinstance(each, Footage):
            yield each
        elif is_file:
            raise BadMedia(f"{place} {each.why}")


def survey(view: View, file: FileId, place: str) -> Iterator[Footage | Unusable]:
    """The original at a place, or all at and below a directory, and what cannot be one.

    A directory is an image sequence itself if there is one in it: of EXR, DPX or Cineon frames, two at least; or, where
    it is asked for and no film is in it, of any pictures.
    """
    inode = view.get_inode(file)
    place = place.rstrip("/")
    name = place.rpartition("/")[2].rpartition(":")[2]
    if inode.kind is Kind.FILE:
        yield _film(place, name, inode)
    elif inode.kind is Kind.DIRECTORY:
        yield from _below(view, file, place, name, is_asked=True)
    else:
        yield Unusable(place, f"is a {inode.kind.name.lower()}, not a film")


def sequence_at(view: View, directory: FileId, place: str, *, is_asked: bool = True) -> Footage | Unusable | None:
    """The image sequence that a directory is; as in `survey`, where it is asked for or not."""
    name = place.rpartition("/")[2].rpartition(":")[2]
    return _sequence(view, list(view.entries(directory)), place, name, is_asked=is_asked)


def _below(
    view: View, directory: FileId, place: str, name: str, *, is_asked: bool = False
) -> Iterator[Footage | Unusable]:
    entries = list(view.entries(directory))
    sequence = _sequence(view, entries, place, name, is_asked=is_asked)
    if sequence is not None:
        yield sequence
    above = place if place.endswith(":") else f"{place}/"
    for entry in entries:
        called = shown(entry.name)
        if entry.kind is Kind.DIRECTORY:
            yield from _below(view, entry.file, above + called, called)
        elif _is_film(entry) and not (sequence is not None and maker_of(called) and is_frame_name(called)):
            yield _film(above + called, called, view.get_inode(entry.file))


def _is_film(entry: Entry) -> bool:
    return entry.kind is Kind.FILE and is_original_key(entry.name)


def is_frame_name(name: str) -> bool:
    """Whether a file of that name is a film's frame, and no photograph."""
    return name.lower().endswith(_OF_FILMS)


def _film(place: str, name: str, inode: Inode) -> Footage | Unusable:
    if isinstance(inode.content, bytes):
        return Footage(place, name, ContentId(inode.content))
    return _not_yet(place, "", inode)


def _not_yet(place: str, which: str, inode: Inode) -> Unusable:
    if not inode.size:
        return Unusable(place, f"{which}is empty")
    return Unusable(place, f"{which}is being hashed: it can be read in a moment", is_waiting=True)


def _sequence(
    view: View, entries: Sequence[Entry], place: str, name: str, *, is_asked: bool
) -> Footage | Unusable | None:
    """The image sequence that a directory is, if it is one."""
    if not name:
        return None  # a branch itself has no name to be called by
    frames = images(entries)
    takes_all = is_asked and not any(_is_film(entry) and not is_frame_name(shown(entry.name)) for entry in entries)
    has_more = any(entry.kind is Kind.DIRECTORY for entry in entries)
    groups = find_sequences(frames)
    of_films = [each for each in groups if is_frame_name(each.after)]
    found = [each for each in of_films if len(each.numbers) > 1]
    if not found and takes_all:  # pictures of any kind; beside other directories they may be anything
        found = of_films or [each for each in groups if len(each.numbers) > 1 or not has_more]
        found = [] if has_more and len(found) > 1 else found
    found = [each for each in found if name in (each.stem, each.before, each.pattern)] or found
    if not found:
        return None
    if len(found) > 1:
        which = ", ".join(each.pattern for each in found[:_TOLD])
        more = ", …" if len(found) > _TOLD else ""
        return Unusable(place, f"could be any of several image sequences: {which}{more}; let each have its directory")
    maker = maker_of(f"frame{found[0].after}")
    if maker is not None:
        return Unusable(place, f"no decoder here for {maker} ({len(found[0].numbers)} frames)")
    return _of_frames(view, found[0], frames, place, name)


def _of_frames(
    view: View, sequence: ImageSequence, entries: Mapping[str, Entry], place: str, name: str
) -> Footage | Unusable:
    frames = []
    for number in sequence.numbers:
        inode = view.get_inode(entries[sequence.names[number]].file)
        content = EMPTY_CONTENT if inode.content is None else inode.content  # that frame is damaged
        if not isinstance(content, bytes):
            return _not_yet(place, f"frame {number} ", inode)
        frames.append((number, ContentId(content)))
    said = b"".join(number.to_bytes(8, "big") + content for number, content in frames)
    identity = blake3(said, derive_key_context="filmfs 2026 image sequence").digest()
    return Footage(place, name, ContentId(identity), tuple(frames))
