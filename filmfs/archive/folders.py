"""What lies beside a film of an archive."""

from collections.abc import Iterator

from filmfs.archive.opening import Archive
from filmfs.core.errors import BadName
from filmfs.core.ids import FileId
from filmfs.core.paths import shown
from filmfs.store.exporting import Stored
from filmfs.timecode.origins import Beside
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View


def beside(archive: Archive, view: View, directory: FileId) -> Beside:
    """The files of a directory, as a film in it finds its sidecars."""

    def open_file(name: str) -> Stored | None:
        try:
            entry = view.find(directory, name.encode("utf-8", errors="surrogateescape"))
        except BadName:
            return None  # no file can be called so
        inode = view.inode(entry.file) if entry is not None and entry.kind is Kind.FILE else None
        return Stored(archive.contents, archive.contents.map_of(inode.content)) if inode is not None else None

    def names() -> Iterator[str]:
        return (shown(entry.name) for entry in view.entries(directory) if entry.kind is Kind.FILE)

    return Beside(open_file, names)
