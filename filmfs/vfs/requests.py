"""Proxies that are made because somebody wants them: by their names, or as films come in."""

from collections.abc import Callable, Iterable
from functools import partial

from filmfs.archive import Archive
from filmfs.archive.queue import ProxyQueue
from filmfs.core.errors import BeingMade
from filmfs.core.ids import BranchId, ContentId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.names import is_original_key
from filmfs.store.jobs import Job
from filmfs.versioning.view import View
from filmfs.vfs.nodes import Space
from filmfs.vfs.proxies import ProxyFiles
from filmfs.vfs.spaces import Spaces
from filmfs.vfs.work import Work

_BY_NAME = 20  # the priority of proxies that somebody waits for


class ProxyRequests:
    """Those of a mount. Owned by the thread that owns the tree, but for the work that `before` gives."""

    def __init__(self, archive: Archive, spaces: Spaces, proxies: ProxyFiles, *, is_on: bool) -> None:
        """`is_on`: a proxy whose name somebody asks for goes into the queue."""
        self._history = archive.history
        self._spaces, self._proxies = spaces, proxies
        self._queue = ProxyQueue(archive) if is_on else None
        self._jobs: dict[tuple[ContentId, str], int] = {}
        self.asked_for: Callable[[], None] = lambda: None  # called in any thread when there is a new job

    def before(self, space: Space, view: View, directory: FileId, name: bytes) -> Work | None:
        """Work that puts a proxy into the queue which is not there yet. Raises BeingMade while it is there.

        One that could not be made is nobody's until it is asked for otherwise.
        """
        wanted = self._proxies.wanted(view, directory, name) if self._queue is not None else None
        if wanted is None or self._queue is None:
            return None
        key = wanted.content, wanted.recipe
        job = self._jobs.get(key)
        if job is None:
            place = shown(view.path_of(wanted.entry.file) or wanted.entry.name)
            branch = self._history.table.branches.get(BranchId(space))
            place = f"{branch.name}:{place}" if branch is not None else place
            asked = Job(wanted.content, shown(wanted.entry.name), place, (wanted.recipe,), _BY_NAME)
            return Work(key, partial(self._ask_for, key, asked, self._queue))
        if self._queue.is_open(job):
            raise BeingMade(f"{shown(name)} is being made; see: filmfs proxy status")
        return None

    def of_content(self, content: ContentId, files: Iterable[FileId], recipes: tuple[str, ...]) -> list[Job]:
        """The job that makes proxies of a content, if one of the files that have it is called like a film."""
        for branch in self._history.table.alive():
            view = self._spaces.view(Space(branch.id))
            for file in files:
                path = view.path_of(file)
                name = path.rpartition(b"/")[2] if path is not None else b""
                if path is not None and is_original_key(name) and not self._proxies.is_proxy(content):
                    return [Job(content, shown(name), f"{branch.name}:{shown(path)}", recipes)]
        return []

    def _ask_for(self, key: tuple[ContentId, str], job: Job, queue: ProxyQueue) -> None:
        (self._jobs[key],) = queue.add([job])
        self.asked_for()
