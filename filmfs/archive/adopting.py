"""Adopting proxies that a camera or another program made: they stand for the archive's own, which are not made then.

An adopted proxy stays the file that it is, where it is, and is shown beside its original like one that was made.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from filmfs.archive.opening import Archive
from filmfs.archive.proxies import FILM, Proxies
from filmfs.core.errors import BadMedia, Unsupported
from filmfs.core.ids import ROOT_FILE, ContentId, FileId
from filmfs.core.paths import shown
from filmfs.proxy.adopting import originals_near, places_of, stands_for, why_not
from filmfs.proxy.names import is_original_key
from filmfs.proxy.originals import Original
from filmfs.store.database import Transaction
from filmfs.store.derived import Derived, DerivedFile, adopted_key, drop_derived_named, put_derived
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View


@dataclass(frozen=True, slots=True)
class Candidate:
    """A film that may be a proxy of an original: where it is, and for which size it stands, or why it is none.

    `is_new`: it did not stand for that before.
    """

    place: str
    resolution: str | None
    reason: str | None = None
    is_new: bool = False


def adopt(
    archive: Archive, view: View, path: bytes, content: ContentId, *, keeps: bool = True, replaces: bool = False
) -> list[Candidate]:
    """Looks for proxies of the original at a path of a tree, and adopts those that are; all that were looked at.

    Of an original that cannot be read here the name alone decides. Without `keeps` it only looks. `replaces`: they
    stand for those too that were made here, which are forgotten.
    """
    proxies = Proxies(archive)
    lying = list(_lying(view, tuple(shown(part) for part in path.split(b"/"))))
    original = _examined(proxies, content, shown(path.rpartition(b"/")[2])) if lying else None
    found: list[Candidate] = []
    taken: set[str] = set()
    for place, entry in lying:
        inode = view.get_inode(entry.file)
        if not isinstance(inode.content, bytes) or inode.content == content:
            continue
        proxy = _examined(proxies, ContentId(inode.content), shown(entry.name))
        reason = "it cannot be read" if proxy is None else why_not(original, proxy) if original is not None else None
        if proxy is None or reason is not None:
            found.append(Candidate(place, None, reason))
            continue
        resolution = stands_for(original, proxy).value
        if resolution in taken:
            found.append(Candidate(place, None, f"another stands for the {resolution} one already"))
            continue
        taken.add(resolution)
        adopted, made = _standing(proxies, content, resolution)
        is_new = adopted is None or adopted.film.content != inode.content
        if is_new and adopted is not None:
            found.append(Candidate(place, None, f"{adopted.facts['adopted']} stands for its {resolution}"))
        elif made is not None and not replaces:
            found.append(Candidate(place, None, f"its {resolution} was made here already"))
        else:
            found.append(Candidate(place, resolution, is_new=is_new or made is not None))
            if keeps and (is_new or made is not None):
                _keep(archive, content, resolution, ContentId(inode.content), inode.size, proxy, place, made or adopted)
    return found


def adopt_itself(archive: Archive, view: View, path: bytes) -> None:
    """Where a film lies where proxies do: has it adopted by its original, if that is there."""
    names = tuple(shown(part) for part in path.split(b"/"))
    for folder in originals_near(names):
        directory = _directory(view, folder)
        for entry in view.entries(directory) if directory is not None else ():
            inode = view.get_inode(entry.file)
            if not is_original(entry, inode):
                continue
            above = (*folder, shown(entry.name))
            if any(place.takes(names[-1]) for place in places_of(above)):
                there = "/".join(above).encode(errors="surrogateescape")
                adopt(archive, view, there, ContentId(bytes(inode.content or b"")))


def is_original(entry: Entry, inode: Inode) -> bool:
    """Whether a file may be an original, by its name."""
    return entry.kind is Kind.FILE and is_original_key(entry.name) and isinstance(inode.content, bytes)


def _examined(proxies: Proxies, content: ContentId, name: str) -> Original | None:
    try:
        return proxies.examine(content, name)
    except (BadMedia, Unsupported):
        return None


def _lying(view: View, path: tuple[str, ...]) -> Iterator[tuple[str, Entry]]:
    """Files where proxies of an original lie by custom, by their paths."""
    for place in places_of(path):
        directory = _directory(view, place.directory)
        if directory is None:
            continue
        for entry in view.entries(directory):
            if entry.kind is Kind.FILE and place.takes(shown(entry.name)):
                yield "/".join((*place.directory, shown(entry.name))), entry


def _directory(view: View, names: tuple[str, ...]) -> FileId | None:
    """A directory by names that may be spelt with other capitals, as cards are."""
    at = ROOT_FILE
    for name in names:
        entry = view.find(at, name.encode(errors="surrogateescape"))
        if entry is None:
            same = (each for each in view.entries(at) if shown(each.name).lower() == name.lower())
            entry = next(same, None)
        if entry is None or entry.kind is not Kind.DIRECTORY:
            return None
        at = entry.file
    return at


def _standing(proxies: Proxies, original: ContentId, resolution: str) -> tuple[Derived | None, Derived | None]:
    """What was adopted as a size of an original, and what was made here."""
    there = [each for each in proxies.all_of(original) if each.name == resolution]
    adopted = next((each for each in there if "adopted" in each.facts), None)
    return adopted, next((each for each in there if "adopted" not in each.facts), None)


def _keep(
    archive: Archive,
    original: ContentId,
    resolution: str,
    content: ContentId,
    size: int,
    proxy: Original,
    place: str,
    before: Derived | None,
) -> None:
    """Records it; the stills of what stood there before stay."""
    picture = proxy.picture
    assert picture is not None
    suffix = "." + place.rpartition(".")[2].lower()
    facts = {
        "width": picture.width,
        "height": picture.height,
        "frames": picture.frames,
        "rate": str(picture.rate),
        "timecode": proxy.labels.timecode,
        "reel": proxy.labels.reel,
        "picture": picture.codec,
        "damaged": 0,
        "stills": before.facts["stills"] if before is not None else {},
        "adopted": place,
    }
    stills = before.files[1:] if before is not None else ()
    made = Derived(resolution, (DerivedFile(FILM, content, size, suffix), *stills), facts)

    def record(transaction: Transaction) -> None:
        drop_derived_named(transaction, original, resolution)
        put_derived(transaction, original, adopted_key(resolution), made)

    archive.database.transact(record)
