"""What lies beside a film in its folder, and says where its time code begins."""

from filmfs.core.errors import BadName
from filmfs.core.ids import ContentId, FileId
from filmfs.store.contents import Contents
from filmfs.timecode.origins import Beside, sony_sidecars
from filmfs.timecode.shelf import beside_of
from filmfs.versioning.listing import Listing
from filmfs.versioning.rows import Entry, Kind
from filmfs.versioning.view import View

_FOLDER_MAX = 1000  # a folder with more files is no camera card's


class Sidecars:
    """Those of the films of one tree. A folder's lists are looked for once."""

    def __init__(self, view: View, lists: dict[FileId, list[Entry]] | None = None) -> None:
        """`lists` are those that were found before, of the same names."""
        self._view = view
        self._lists = {} if lists is None else lists

    def of(self, directory: FileId, name: str) -> tuple[tuple[str, ContentId], ...]:
        """Names and contents of the sidecars that a film of a folder may have; those not hashed yet are left out."""
        entries = [self._find(directory, each) for each in sony_sidecars(name)]
        if directory not in self._lists:
            self._lists[directory] = self._lists_in(directory)
        return tuple(kept for entry in (*entries, *self._lists[directory]) if (kept := self._kept(entry)) is not None)

    def _find(self, directory: FileId, name: str) -> Entry | None:
        try:
            return self._view.find(directory, name.encode("utf-8", errors="surrogateescape"))
        except BadName:
            return None  # no file can be called so

    def _lists_in(self, directory: FileId) -> list[Entry]:
        found = Listing(self._view, directory).after(b"", _FOLDER_MAX + 1)
        if len(found) > _FOLDER_MAX:
            return []
        return [entry for _, entry in found if entry.name.lower().endswith(b".ale") and not entry.name.startswith(b".")]

    def _kept(self, entry: Entry | None) -> tuple[str, ContentId] | None:
        inode = self._view.inode(entry.file) if entry is not None and entry.kind is Kind.FILE else None
        if entry is None or inode is None or not isinstance(inode.content, bytes):
            return None
        return entry.name.decode(errors="surrogateescape"), inode.content


def beside_in(contents: Contents, view: View, directory: FileId, name: str) -> Beside:
    """What lies beside a film of a directory, looked up now: any thread may read it afterwards."""
    sidecars = Sidecars(view).of(directory, name)
    return beside_of(contents, {each: contents.map_of(content) for each, content in sidecars})
