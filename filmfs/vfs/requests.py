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
from filmfs.vfs.folders import Held
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
        self._sequences: dict[tuple[Space, FileId, bytes], tuple[ContentId, str]] = {}
        self.asked_for: Callable[[], None] = lambda: None  # called in any thread when there is a new job

    def before(self, space: Space, view: View, directory: FileId, name: bytes) -> Work | None:
        """Work that puts a proxy into the queue which is not there yet. Raises BeingMade while it is there.

        One that could not be made is nobody's until it is asked for otherwise.
        """
        wanted = self._proxies.wanted(view, directory, name) if self._queue is not None else None
        if wanted is None:
            return None
        return self._before(space, view, wanted.entry.file, wanted.content, wanted.recipe, name)

    def before_sequence(self, space: Space, view: View, directory: FileId, held: Held, name: bytes) -> Work | None:
        """The same for a proxy of an image sequence, which a directory beside it is."""
        of = self._proxies.sequence_asked(view, directory, name.decode(errors="surrogateescape"))
        if self._queue is None or of is None or held.sequence is None or name in held.children:
            return None
        if BranchId(space) not in self._history.table.branches:
            return None  # whoever works through the queue finds sequences by their branch
        recipe = self._proxies.wanted_of(held.sequence, name)
        if recipe is None:
            return None
        self._sequences[space, directory, name] = held.sequence, recipe
        return self._before(space, view, of, held.sequence, recipe, name)

    def raise_if_being_made(self, space: Space, directory: FileId, name: bytes) -> None:
        """Raises BeingMade for a proxy of a sequence that is: quickly, however many frames that has."""
        job = self._jobs.get(self._sequences.get((space, directory, name), (ContentId(b""), "")))
        if job is not None and self._queue is not None and self._queue.is_open(job):
            raise BeingMade(f"{shown(name)} is being made; see: filmfs proxy status")

    def _before(
        self, space: Space, view: View, file: FileId, content: ContentId, recipe: str, name: bytes
    ) -> Work | None:
        assert self._queue is not None
        key = content, recipe
        job = self._jobs.get(key)
        if job is None:
            path = view.path_of(file) or b""
            branch = self._history.table.branches.get(BranchId(space))
            place = f"{branch.name}:{shown(path)}" if branch is not None else shown(path)
            asked = Job(content, shown(path.rpartition(b"/")[2]), place, (recipe,), _BY_NAME)
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
