"""Proxies of what an archive holds: which there are, and making those that are missing.

A proxy belongs to an original's content and a recipe, wherever that content is: all branches and copies share it. So
nothing of a name or of what lies beside a film is in it: time code and reel are those that the film's own bytes say.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from blake3 import blake3

from filmfs.archive.opening import Archive, ingesting
from filmfs.archive.queue import WORK
from filmfs.core.errors import BadMedia, BadTimecode, Busy, Unsupported, from_os_error
from filmfs.core.ids import ContentId
from filmfs.proxy.executors import Executor
from filmfs.proxy.harm import in_words
from filmfs.proxy.making import Making, Rendition, make
from filmfs.proxy.names import maker_of
from filmfs.proxy.originals import Labels, Original
from filmfs.proxy.recipes import Recipe
from filmfs.proxy.sequences import examine_source
from filmfs.proxy.sources import FrameFiles, InArchive, Source, share
from filmfs.store.database import Transaction
from filmfs.store.derived import (
    Derived,
    DerivedFile,
    all_derived,
    drop_derived,
    find_made_or_adopted,
    original_of,
    put_derived,
    recipe_key,
)
from filmfs.store.exporting import Stored
from filmfs.store.ingest import Ingest
from filmfs.timecode.films import is_film_name, open_film

FILM = "film"
_DAMAGED_TOLD = 1000  # numbers of damaged frames that are kept
_FLAWS_MAX, _FLAW_LENGTH = 16, 300


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a film: its proxies by the names of their recipes, and what there is to remark."""

    proxies: dict[str, Derived]
    damaged: int = 0  # frames
    flaws: tuple[str, ...] = ()  # what is wrong with the film, in words; it is kept with its proxies
    remarks: tuple[str, ...] = ()  # of how it went


class Proxies:
    """The proxies of an open archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        share(archive.root, archive.contents)

    def find(self, original: ContentId, recipe: Recipe) -> Derived | None:
        """What a recipe made of an original, or was adopted in its place."""
        with self._archive.database.read() as transaction:
            return find_made_or_adopted(transaction, original, recipe_key(recipe.identity), recipe.name)

    def all_of(self, original: ContentId) -> list[Derived]:
        """All that was made of an original."""
        with self._archive.database.read() as transaction:
            return [made for _, made in all_derived(transaction, original)]

    def is_proxy(self, content: ContentId) -> bool:
        """Whether these bytes are a proxy's, which is not proxied again."""
        with self._archive.database.read() as transaction:
            return original_of(transaction, content) is not None

    def is_only_adopted(self, original: ContentId, name: str) -> bool:
        """Whether others made proxies of what cannot be decoded here, so that there will never be more."""
        return maker_of(name) is not None and any("adopted" in made.facts for made in self.all_of(original))

    def missing(self, original: ContentId, recipes: Iterable[Recipe]) -> list[Recipe]:
        """Those that were not made of it yet."""
        return [recipe for recipe in recipes if self.find(original, recipe) is None]

    def forget(self, originals: Iterable[tuple[ContentId, Iterable[Recipe]]]) -> None:
        """Has recipes make anew what they made of originals; what was adopted stays."""

        def change(transaction: Transaction) -> None:
            for original, recipes in originals:
                for recipe in recipes:
                    drop_derived(transaction, original, recipe_key(recipe.identity))

        self._archive.database.transact(change)

    def examine(
        self, original: ContentId, name: str, source: Source | None = None, *, is_lenient: bool = False
    ) -> Original:
        """What an original is, with the labels that its bytes say. Raises BadMedia, Unsupported without a decoder.

        An image sequence is told by its `source`.
        """
        if source is not None and not isinstance(source, InArchive):
            return examine_source(source, is_lenient=is_lenient)
        try:
            found = examine_source(InArchive(self._archive.root, original), is_lenient=is_lenient)
        except BadMedia:
            maker = maker_of(name)
            if maker is None:
                raise
            raise Unsupported(f"no decoder here for {maker}; proxies of it that others made can be adopted") from None
        return replace(found, labels=_labels(self._archive, original, name) or found.labels)

    def make(
        self,
        original: ContentId,
        found: Original,
        recipes: Sequence[Recipe],
        executor: Executor,
        advance: Callable[[int], None] = lambda _: None,
        *,
        source: Source | None = None,
        is_lenient: bool = False,
    ) -> Made:
        """Makes proxies of what `examine` found, and keeps them: durable when this returns.

        `source` is how the executor's workers open the original, where they cannot open the archive. `is_lenient`: what
        cannot be read of it is damage (see proxy.making.make).

        Raises BadMedia, Busy while another process makes them, and what the archive's disk says.
        """
        source = source or InArchive(self._archive.root, original)
        identity = f"{original.hex()} {found.labels}"
        with _folder(self._archive.root, original, recipes) as folder:
            try:
                making = make(identity, source, found, recipes, executor, folder, advance, is_lenient=is_lenient)
                flaws = tuple(_flaws(making, source))
                proxies = self._keep(original, recipes, making, flaws)
            except BadMedia:  # nothing of it would ever be used
                shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)
        return Made(proxies, len(making.damaged), flaws, making.remarks)

    def drop_pieces(self, original: ContentId) -> None:
        """Removes what is left of work on an original that nobody will go on with."""
        work = os.path.join(self._archive.root, WORK)
        with suppress(OSError):
            for name in os.listdir(work):
                if name.startswith(_folder_name(original)):
                    shutil.rmtree(os.path.join(work, name), ignore_errors=True)

    def _keep(
        self, original: ContentId, recipes: Sequence[Recipe], making: Making, flaws: tuple[str, ...]
    ) -> dict[str, Derived]:
        archive = self._archive
        with ingesting(archive.root):
            ingest = Ingest(archive.database, archive.blobs, is_noted=False)
            kept = []
            for recipe, rendition in zip(recipes, making.renditions, strict=True):
                places = [(FILM, rendition.path, rendition.recipe.suffix)]
                places += [(str(still.kind), still.path, ".jpg") for still in rendition.stills]
                files = tuple(_taken(ingest, *place) for place in places)
                kept.append((recipe, Derived(recipe.name, files, _facts(rendition, making, flaws))))
            ingest.flush()

        def record(transaction: Transaction) -> None:
            for recipe, made in kept:
                put_derived(transaction, original, recipe_key(recipe.identity), made)

        archive.database.transact(record)
        return {recipe.name: made for recipe, made in kept}


def _labels(archive: Archive, original: ContentId, name: str) -> Labels | None:
    """The time code and reel that a film's own bytes say; None where it is no film that filmfs reads by itself.

    The name tells what kind of file it is, and no more.
    """
    if not is_film_name(name):
        return None
    stored = Stored(archive.contents, archive.contents.map_of(original))
    try:
        film = open_film(stored, "film" + os.path.splitext(name)[1])
        counting = film.counting()
    except (BadMedia, BadTimecode):
        return None
    if film.timecode_from == "none":
        return Labels(None, film.reel)
    return Labels(str(counting.label(counting.start)), film.reel)


def _taken(ingest: Ingest, kind: str, path: str, suffix: str) -> DerivedFile:
    taken = ingest.take(os.fsencode(path))
    return DerivedFile(kind, taken.content, taken.size, suffix)


def _flaws(making: Making, source: Source) -> Iterator[str]:
    """What is wrong with an original, in words: of a sequence by the numbers in the names of its files."""
    first = source.first if isinstance(source, FrameFiles) else 0
    damaged = {number + first for number in making.damaged}
    others = {number + first: size for number, size in making.others.items()}
    missing = damaged - {number for number, _ in source.frames} if isinstance(source, FrameFiles) else set[int]()
    yield from in_words(damaged - missing - others.keys(), making.harmed, missing, others)
    yield from making.flaws


def _facts(rendition: Rendition, making: Making, flaws: tuple[str, ...]) -> dict[str, Any]:
    return {
        "width": rendition.size[0] if rendition.size is not None else None,
        "height": rendition.size[1] if rendition.size is not None else None,
        "frames": rendition.frames,
        "rate": str(rendition.rate) if rendition.rate is not None else None,
        "timecode": rendition.labels.timecode,
        "reel": rendition.labels.reel,
        "picture": rendition.recipe.picture if rendition.size is not None else None,
        "sound": rendition.sound,
        "seconds": float(rendition.seconds),
        "damaged": len(making.damaged),
        "damaged_frames": list(making.damaged[:_DAMAGED_TOLD]),
        "harmed": len(making.harmed),
        "harmed_frames": list(making.harmed[:_DAMAGED_TOLD]),
        "flaws": [flaw[:_FLAW_LENGTH] for flaw in flaws[:_FLAWS_MAX]],
        "stills": {
            str(still.kind): {
                "size": list(still.size),
                "tile": list(still.tile),
                "columns": still.columns,
                "frames": list(still.frames),
            }
            for still in rendition.stills
        },
    }


def _folder_name(original: ContentId) -> str:
    return f"{original.hex()[:32]}-"


@contextmanager
def _folder(root: str, original: ContentId, recipes: Sequence[Recipe]) -> Iterator[str]:
    """Where pieces of the work are; what a run that was cut off left there is used again. Raises Busy."""
    keys = blake3("".join(recipe.identity for recipe in recipes).encode()).hexdigest(8)
    folder = os.path.join(root, WORK, _folder_name(original) + keys)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(folder + ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("another process makes these proxies") from None
            yield folder
            with suppress(OSError):
                os.unlink(folder + ".lock")
    except OSError as error:
        raise from_os_error(error, f"working in {folder}") from error
