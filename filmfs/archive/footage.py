"""What of a tree can have proxies: films and sound files, and directories that are image sequences.

An image sequence is known by the numbers and contents of its frames, wherever they are.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from blake3 import blake3

from filmfs.archive.sequences import kept_sequence
from filmfs.core.errors import BadMedia, BadTimecode
from filmfs.core.ids import ContentId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import is_original_key
from filmfs.proxy.sources import FrameFiles, InArchive
from filmfs.store.contents import Contents
from filmfs.versioning.rows import Entry, Kind
from filmfs.versioning.view import View

_OF_FILMS = (b".exr", b".dpx", b".cin")  # a directory of other numbered pictures may be photographs


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


def footage_at(view: View, contents: Contents, file: FileId, place: str) -> Iterator[Footage]:
    """The original at a place, or all below a directory. Raises BadMedia for what is none, or is being hashed."""
    inode = view.get_inode(file)
    name = place.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    if inode.kind is Kind.FILE:
        if not isinstance(inode.content, bytes):
            raise BadMedia(f"{place} is empty, or being hashed")
        yield Footage(place, name, ContentId(inode.content))
    elif inode.kind is Kind.DIRECTORY:
        try:
            yield _sequence(view, contents, file, place.rstrip("/"), name)
        except BadTimecode:
            yield from _below(view, contents, file, place if place.endswith((":", "/")) else place + "/")
    else:
        raise BadMedia(f"{place} is a {inode.kind.name.lower()}, not a film")


def _below(view: View, contents: Contents, directory: FileId, above: str) -> Iterator[Footage]:
    for entry in view.entries(directory):
        name = shown(entry.name)
        if entry.kind is Kind.DIRECTORY:
            if _holds_film_frames(view, entry):
                try:
                    yield _sequence(view, contents, entry.file, above + name, name)
                    continue
                except (BadTimecode, BadMedia):
                    pass
            yield from _below(view, contents, entry.file, f"{above}{name}/")
        elif entry.kind is Kind.FILE and is_original_key(entry.name):
            inode = view.get_inode(entry.file)
            if isinstance(inode.content, bytes):
                yield Footage(above + name, name, ContentId(inode.content))


def _holds_film_frames(view: View, directory: Entry) -> bool:
    return any(entry.name.lower().endswith(_OF_FILMS) for entry in view.entries(directory.file))


def _sequence(view: View, contents: Contents, directory: FileId, place: str, name: str) -> Footage:
    """The image sequence that a directory is. Raises BadTimecode when it is none, BadMedia when it is being hashed."""
    kept = kept_sequence(lambda: nullcontext(view), contents, directory, name)
    frames = []
    for number in kept.sequence.numbers:
        content = view.get_inode(kept.entries[kept.sequence.names[number]].file).content
        if not isinstance(content, bytes):
            raise BadMedia(f"frame {number} of {place} is empty, or being hashed")
        frames.append((number, ContentId(content)))
    said = b"".join(number.to_bytes(8, "big") + content for number, content in frames)
    identity = blake3(said, derive_key_context="filmfs 2026 image sequence").digest()
    return Footage(place, name, ContentId(identity), tuple(frames))
