"""Proxies of a film, wherever that lies: the work behind `proxy.generator`.

Of a film in an archive they are made for its content and kept there. Of a file on disk they are written beside it, or
where is asked, and appear under their names when they are whole and checked.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from filmfs.archive.extracting import find_in_archive
from filmfs.archive.opening import Archive, Mode
from filmfs.archive.proxies import Proxies
from filmfs.core.errors import BadMedia, BadTimecode, Exists, NotFound, from_os_error
from filmfs.core.ids import ContentId, identify
from filmfs.core.models import MediaFile, ProxyFile, ProxyResolution
from filmfs.core.smpte import shown_rate
from filmfs.proxy.executors import Local
from filmfs.proxy.harm import in_words
from filmfs.proxy.making import Rendition, make
from filmfs.proxy.originals import Labels, Original, examine
from filmfs.proxy.recipes import RECIPES
from filmfs.proxy.sources import OnDisk
from filmfs.store.containers import FileBytes
from filmfs.store.derived import Derived
from filmfs.store.disk import sync_path
from filmfs.timecode.films import Film, is_film_name, open_film
from filmfs.timecode.telling import differences

log = logging.getLogger("filmfs.proxy")

_PIECE = 1 << 20
_EDITORS_FOLDER = "Proxy"  # where DaVinci Resolve looks


def generate_on_disk(
    described: MediaFile, resolutions: Sequence[ProxyResolution], output_dir: str | None, workers: int | None
) -> list[ProxyFile]:
    """Proxies of a file. Raises NotFound, BadMedia, Exists (another file has the name), NoSpace and its kind."""
    path = os.path.abspath(described.file_path)
    if not os.path.isfile(path):
        raise NotFound(f"{described.file_path} is not there, or is no file")
    original = examine(lambda: path)
    film = _film(path)
    if film is not None:
        original = replace(original, labels=_labels(film) or original.labels)
    _tell_differences(described, path, film, original)
    recipes = [RECIPES[each] for each in resolutions]
    folder = output_dir or os.path.join(os.path.dirname(path), _EDITORS_FOLDER)
    with _work_in(folder) as work, Local(workers) as executor:
        making = make(path, OnDisk(path), original, recipes, executor, work)
        for remark in (*in_words(making.damaged, making.harmed), *making.flaws, *making.remarks):
            log.warning("%s: %s", path, remark)
        stem = os.path.splitext(os.path.basename(path))[0]
        return [
            _published(resolution, rendition, os.path.join(folder, _name(stem, resolution, rendition, output_dir)))
            for resolution, rendition in zip(resolutions, making.renditions, strict=True)
        ]


def generate_in_archive(
    archive: Archive | str | os.PathLike[str],
    described: MediaFile,
    resolutions: Sequence[ProxyResolution],
    workers: int | None,
) -> list[ProxyFile]:
    """Proxies of a film in an archive, those that were made before included; they are the archive's.

    Raises NotFound, BadMedia, Busy while others make them, and what the archive's disk says.
    """
    if not isinstance(archive, Archive):
        with Archive(os.fspath(archive), Mode.INGEST) as opened:
            return generate_in_archive(opened, described, resolutions, workers)
    proxies = Proxies(archive)
    found = find_in_archive(archive, described.file_path)
    if found.content is None:
        raise BadMedia(f"{described.file_path} is empty, or being hashed; try again in a moment")
    recipes = [archive.settings.recipes[each] for each in resolutions]
    missing = proxies.missing(found.content, recipes)
    if missing:
        original = proxies.examine(found.content, found.name)
        with Local(workers) as executor:
            proxies.make(found.content, original, missing, executor)
    return [
        _kept(archive, resolution, made)
        for resolution, recipe in zip(resolutions, recipes, strict=True)
        if (made := proxies.find(found.content, recipe)) is not None
    ]


def _film(path: str) -> Film | None:
    """The file as one whose time code filmfs reads by itself."""
    if not is_film_name(path):
        return None
    with open(path, "rb") as file, suppress(BadMedia, BadTimecode):
        return open_film(FileBytes(file), "film" + os.path.splitext(path)[1])
    return None


def _labels(film: Film) -> Labels | None:
    with suppress(BadTimecode):
        counting = film.counting()
        start = None if film.timecode_from == "none" else str(counting.label(counting.start))
        return Labels(start, film.reel)
    return None


def _tell_differences(described: MediaFile, path: str, film: Film | None, original: Original) -> None:
    """Says in the log what was said of the file that is not so."""
    if film is not None:
        for difference in differences(described, os.path.getsize(path), film):
            log.warning("%s: %s", path, difference)
    elif original.picture is not None and described.rate not in (None, original.picture.rate):
        said = shown_rate(Fraction(described.frame_rate or 0))
        log.warning("%s: was said to have %s frames a second", path, said)


def _name(stem: str, resolution: ProxyResolution, rendition: Rendition, output_dir: str | None) -> str:
    """What a proxy is called: as editors look for it in their folder, else by its size."""
    suffix = rendition.recipe.suffix
    is_editors = resolution is ProxyResolution.EDITORIAL and output_dir is None
    return f"{stem}{suffix}" if is_editors else f"{stem}.{resolution.value}{suffix}"


@contextmanager
def _work_in(folder: str) -> Iterator[str]:
    """A directory for the pieces, on the disk where the proxies will be; gone with them."""
    try:
        os.makedirs(folder, exist_ok=True)
        work = tempfile.mkdtemp(prefix=".filmfs-", dir=folder)
    except OSError as error:
        raise from_os_error(error, f"making proxies in {folder}") from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):
            os.rmdir(folder)  # nothing came of it


def _published(resolution: ProxyResolution, rendition: Rendition, target: str) -> ProxyFile:
    content = _content_of(rendition.path)
    try:
        if not os.path.lexists(target):
            sync_path(rendition.path)
            os.link(rendition.path, target)  # never over what somebody made meanwhile
            sync_path(os.path.dirname(target))
        elif not os.path.isfile(target) or _content_of(target) != content:
            raise Exists(f"{target} is there already, and is another file")
    except OSError as error:
        raise from_os_error(error, f"writing {target}") from error
    return ProxyFile(
        Path(target),
        resolution,
        rendition.recipe.picture if rendition.size is not None else rendition.recipe.sound,
        rendition.frames,
        rendition.rate,
        rendition.labels.timecode,
        content,
        rendition.size,
    )


def _kept(archive: Archive, resolution: ProxyResolution, made: Derived) -> ProxyFile:
    facts = made.facts
    size = (facts["width"], facts["height"]) if facts["width"] else None
    rate = Fraction(facts["rate"]) if facts["rate"] else None
    path = Path(archive.blobs.sealed_path(made.film.content))
    return ProxyFile(
        path, resolution, facts["picture"] or "", facts["frames"], rate, facts["timecode"], made.film.content, size
    )


def _content_of(path: str) -> ContentId:
    with open(path, "rb") as file:
        return identify(iter(lambda: file.read(_PIECE), b""))[0]
