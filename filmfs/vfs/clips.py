"""What a name such as `scene@01.00.00.00-01.00.30.00.mov` asks for, of which file beside it.

The source is the file with that stem and suffix, else the only film with that stem; `scene.mxf@….mov` says which. A
clip of a clip is a clip of the source. A name that asks for nothing is nobody's: it is not there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from filmfs.archive.folders import Sidecars
from filmfs.core.errors import BadMedia, BeingWritten, NotFound, NotHashed
from filmfs.core.extents import ExtentMap
from filmfs.core.ids import ContentId, FileId
from filmfs.core.paths import shown
from filmfs.core.ranges import Asked, split_name
from filmfs.timecode.films import SUFFIXES, FilmClip, clip_of, is_film_name
from filmfs.timecode.shelf import Shelf, Source
from filmfs.versioning.rows import Entry, Inode, Kind
from filmfs.versioning.view import View
from filmfs.vfs.derived import Made

FILM_ATTRIBUTES = (
    b"user.filmfs.timecode.start",
    b"user.filmfs.timecode.rate",
    b"user.filmfs.timecode.drop",
    b"user.filmfs.timecode.from",
    b"user.filmfs.reel",
)


@dataclass(frozen=True, slots=True)
class ClipRecipe:
    """A clip: of which film, which ranges (each within the one before), and in which kind of file."""

    source: Source
    asked: tuple[Asked, ...]
    suffix: str

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """What it needs."""
        return self.source.contents

    @property
    def identity(self) -> str:
        """All that the bytes depend on, as text."""
        return f"clip {self.source.identity} {self.asked!r} {self.suffix}"

    @property
    def is_only(self) -> bool:
        """There are many."""
        return False

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """Makes it. Raises BadTimecode, BadMedia, and what the disk says."""
        film = shelf.film(self.source, maps)
        clip = clip_of(film, maps[self.source.content], *self.asked, suffix=self.suffix)
        return Made(clip.map, told_of(clip))


@dataclass(frozen=True, slots=True)
class FilmRecipe:
    """What the attributes of a film tell of it. It makes no bytes."""

    source: Source

    @property
    def contents(self) -> tuple[ContentId, ...]:
        """What it needs."""
        return self.source.contents

    @property
    def identity(self) -> str:
        """All that is told depends on this."""
        return f"film {self.source.identity}"

    @property
    def is_only(self) -> bool:
        """There are many."""
        return False

    def make(self, shelf: Shelf, maps: Mapping[ContentId, ExtentMap]) -> Made:
        """Looks at the film. Raises BadMedia, and what the disk says."""
        facts = shelf.film(self.source, maps).facts()
        return Made(ExtentMap(), as_attributes({"timecode.start": str(facts["start"]), **film_told(facts)}))


@dataclass(frozen=True, slots=True)
class Found:
    """A file that something is made of: its entry and its inode."""

    file: FileId
    inode: Inode
    source: Source


IsWritten = Callable[[FileId], bool]
"""Whether somebody writes to a file: what its row says may be old."""

FindProxy = Callable[[str], Found | None]
"""The proxy that a name beside its original means, as a source."""


def clip_asked(
    view: View, sidecars: Sidecars, is_written: IsWritten, proxy: FindProxy, directory: FileId, name: bytes
) -> tuple[ClipRecipe, Found] | None:
    """The clip that a name in a directory asks for; None when it is no such name.

    Raises NotFound with the reason when nothing beside it can be meant, and what `found` does.
    """
    asked: list[Asked] = []
    stem, suffix = name.decode(errors="surrogateescape"), ""
    while (split := split_name(stem + suffix)) is not None:
        stem, each, suffix = split
        if not suffix:
            return None
        asked.insert(0, each)
        entry = find_source(view, directory, stem, suffix)
        if entry is not None:
            if is_written(entry.file):
                raise BeingWritten(f"{shown(entry.name)} is being written")
            source = found(view, sidecars, directory, entry)
            return ClipRecipe(source.source, tuple(asked), suffix.lower()), source
        made = proxy(stem + suffix)
        if made is not None:
            return ClipRecipe(made.source, tuple(asked), suffix.lower()), made
    return None


def find_source(view: View, directory: FileId, stem: str, suffix: str) -> Entry | None:
    """The film that `stem` means where a clip with a suffix is asked of it; None when there is none.

    Raises NotFound when it can be several.
    """
    entry = _find(view, directory, stem) if is_film_name(stem) else None
    entry = entry or _find(view, directory, stem + suffix)
    if entry is not None:
        return entry
    spellings = dict.fromkeys(each for plain in SUFFIXES for each in (plain, plain.upper()))
    others = [entry for each in spellings if (entry := _find(view, directory, stem + each)) is not None]
    if len(others) > 1:
        names = ", ".join(shown(entry.name) for entry in others)
        raise NotFound(f"{stem} can be {names}: write which, as in {shown(others[0].name)}@…")
    return others[0] if others else None


def found(view: View, sidecars: Sidecars, directory: FileId, entry: Entry) -> Found:
    """A file of a directory as a source. Raises NotHashed while it is written, NotFound when it is no file."""
    inode = view.get_inode(entry.file)
    if inode.kind is not Kind.FILE:
        raise NotFound(f"{shown(entry.name)} is a {inode.kind.name.lower()}, not a film")
    if isinstance(inode.content, int):
        raise NotHashed(f"{shown(entry.name)} is being hashed; try again in a moment")
    if inode.content is None:
        raise BadMedia(f"{shown(entry.name)} is empty")
    name = entry.name.decode(errors="surrogateescape")
    return Found(entry.file, inode, Source(inode.content, name, sidecars.of(directory, name)))


def _find(view: View, directory: FileId, name: str) -> Entry | None:
    return view.find(directory, name.encode(errors="surrogateescape"))


def told_of(clip: FilmClip) -> Mapping[bytes, bytes]:
    """What the extended attributes of a clip tell."""
    counting, frames = clip.counting, clip.frames
    first, out = (str(counting.label(counting.start + at)) for at in (frames.first, frames.end))
    cut = ", cut at the film's ends" if frames.clamped else ""
    handles = (
        f", of them handles {frames.head} before and {frames.tail} after{cut}" if frames.head or frames.tail else cut
    )
    told = {
        "range": f"{first}-{out} ({frames.count} frames, the out point is not among them{handles})",
        "frames": str(frames.count),
        "timecode.start": first,
        "accuracy": "exact",
        **film_told(clip.film.facts(clip.asked)),
    }
    return as_attributes(told)


def as_attributes(told: Mapping[str, str]) -> Mapping[bytes, bytes]:
    """What is told under names of ours, as extended attributes."""
    return {f"user.filmfs.{name}".encode(): value.encode() for name, value in told.items()}


def film_told(facts: Mapping[str, object]) -> dict[str, str]:
    """What a film's facts are called as attributes, without where its time code begins."""
    told = {
        "timecode.rate": str(Fraction(str(facts["exact_rate"]))),
        "timecode.drop": str(int(bool(facts["drop_frame"]))),
        "timecode.from": str(facts["timecode_from"]),
    }
    return told if facts["reel"] is None else {**told, "reel": str(facts["reel"])}
