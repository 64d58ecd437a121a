"""The public call for proxies of a film.

A door: it runs under asyncio and trio alike and decides nothing. The work is `archive.generating`'s, in a thread.
"""

import os
from collections.abc import Sequence
from functools import partial

from anyio import to_thread

from filmfs.archive import Archive
from filmfs.archive.generating import generate_in_archive, generate_on_disk
from filmfs.core.models import MediaFile, ProxyFile, ProxyResolution


class ProxyGenerator:
    """Makes smaller renditions of films, in step with them frame for frame."""

    def __init__(
        self,
        archive: Archive | str | os.PathLike[str] | None = None,
        *,
        output_dir: str | os.PathLike[str] | None = None,
        workers: int | None = None,
    ) -> None:
        """`archive` keeps the proxies of its films. Without one films are files, and proxies go to `output_dir` as
        NAME.preview.mp4 …, or into a folder `Proxy` beside the film, the editorial one under its name.

        `workers` is how many processes make them; None: as many as there are cores.
        """
        self._archive = archive
        self._output_dir = output_dir
        self._workers = workers

    async def generate_proxies(
        self,
        media_file: MediaFile,
        resolutions: Sequence[ProxyResolution] = tuple(ProxyResolution),
        *,
        output_dir: str | os.PathLike[str] | None = None,
    ) -> list[ProxyFile]:
        """Makes the proxies that are not there yet; a record of each, in the order of `resolutions`.

        All are made in one decoding and checked before they have a name. In an archive `media_file.file_path` is the
        path inside it (`main:A001/x.mov` also says the branch), and a record's path leads to the file that holds the
        proxy. What was said of the film that is not so is logged, and the film wins. Raises FilmFSError's kinds.
        """
        directory = output_dir if output_dir is not None else self._output_dir
        if self._archive is not None:
            work = partial(generate_in_archive, self._archive, media_file, resolutions, self._workers)
        else:
            target = None if directory is None else os.fspath(directory)
            work = partial(generate_on_disk, media_file, resolutions, target, self._workers)
        return await to_thread.run_sync(work)
