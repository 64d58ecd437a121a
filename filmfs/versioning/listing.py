"""Listing a directory piece by piece, however large it is and whatever changes meanwhile.

What is in the directory all the while is listed once; what comes or goes meanwhile may be listed or not.
"""

from bisect import bisect_right
from itertools import islice

from filmfs.core.ids import FileId
from filmfs.versioning.rows import Entry
from filmfs.versioning.view import View


class Listing:
    """The entries of one directory in the order of their name keys."""

    def __init__(self, view: View, directory: FileId) -> None:
        self._view = view
        self._directory = directory
        # Those that are stored by the time that they come up are found there too, and listed once.
        self._changed = sorted({key for entries in view.changed_entries(directory) for key in entries})

    def after(self, key: bytes, count: int) -> list[tuple[bytes, Entry]]:
        """The next entries after a name key (empty: the first ones), with theirs: `count` of them or a few less."""
        while True:
            rows = list(islice(self._view.stored_entries(self._directory, key), count))
            first = bisect_right(self._changed, key)
            waiting = self._changed[first : first + count]
            buffers = self._view.changed_entries(self._directory)
            if not waiting and not buffers:
                return rows
            stored = dict(rows)
            keys = sorted({*stored, *waiting})[:count]
            found = []
            for each in keys:
                entry = stored.get(each)
                for entries in buffers:
                    if each in entries:
                        entry = entries[each]
                        break
                if entry is not None:
                    found.append((each, entry))
            if found or not keys:
                return found
            key = keys[-1]

    def changes(self) -> int:
        """Another number than before once any entry was changed."""
        return self._view.entry_changes

    def at(self, key: bytes) -> Entry | None:
        """The entry under a name key, as it is now."""
        return self._view.entry_at(self._directory, key)
