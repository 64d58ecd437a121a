"""A time code range of a film, wherever that lies, as a file: the work behind `timecode.extractor`.

The film may be in an open archive or one on disk, in a ZIP or TAR of stored members, a file, or an open binary file. It
is found, cut (`timecode.films`) and written; what was said of it that is not so is logged, and the film wins. The clip
is called NAME@RANGE.ext. It goes where is asked, else beside a film that is a file, else into the current directory.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from filmfs.archive.folders import beside_in
from filmfs.archive.opening import Archive, Mode
from filmfs.core.errors import BadTimecode, Exists, IsADirectory, SourceChanged, Usage, from_os_error
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal
from filmfs.core.ids import BlobId, ContentId
from filmfs.core.models import MediaFile, TimecodeRange
from filmfs.core.paths import Place, parse_place, shown
from filmfs.core.ports import ByteSource
from filmfs.core.ranges import Asked
from filmfs.core.smpte import nominal, shown_rate
from filmfs.media.sidecars import SIDECAR_MAX
from filmfs.media.wave import Wave
from filmfs.store.containers import FileBytes, Member, find_member, is_container
from filmfs.store.exporting import PIECE, Stored, copy_bytes, export, write_all, write_file
from filmfs.timecode.films import Film, clip_of, open_film
from filmfs.timecode.origins import NOTHING, Beside
from filmfs.timecode.telling import differences
from filmfs.versioning.rows import Kind

log = logging.getLogger("filmfs.timecode")

ArchiveData = Archive | str | os.PathLike[str] | BinaryIO | None


@dataclass(frozen=True)
class Found:
    """A film where it lies: its bytes, what beside it speaks of it, and how a clip of it is read and written."""

    name: str
    source: ByteSource
    extents: ExtentMap
    beside: Beside
    clipped: Callable[[ExtentMap], ByteSource]
    write: Callable[[ExtentMap, str], None]
    folder: str | None = None  # None where it is inside something
    content: ContentId | None = None  # in an archive, once it is hashed


def find_in_archive(archive: Archive, path: Path) -> Found:
    """A film in an open archive: `main:A001/x.mov`, or `A001/x.mov` in its main branch. Raises NotFound, IsADirectory.

    All that belongs to the archive's owner is looked up now: another thread may read what was found.
    """
    place = _place(archive, str(path))
    view = archive.history.view_of(place.point)
    *folder, name = place.parts or [b""]
    inode = view.get_inode(view.resolve(place.parts))
    if inode.kind is not Kind.FILE:
        raise IsADirectory(f"{place} is a {inode.kind.name.lower()}, not a film")
    contents = archive.contents
    stored = Stored(contents, contents.map_of(inode.content))
    around = beside_in(contents, view, view.resolve(folder), shown(name))
    return Found(
        shown(name),
        stored,
        stored.extents,
        around,
        lambda extents: Stored(contents, extents),
        lambda extents, target: export(contents, extents, target, lambda _: None),
        content=ContentId(inode.content) if isinstance(inode.content, bytes) else None,
    )


@contextmanager
def finding(data: ArchiveData, path: Path) -> Iterator[Found]:
    """The film that `path` names in what holds it, while this lasts. Raises NotFound, NotAnArchive, BadMedia."""
    with ExitStack() as closing:
        if isinstance(data, Archive):
            yield find_in_archive(data, path)
        elif data is None or isinstance(data, str | os.PathLike):
            holder = os.path.abspath(os.fspath(path if data is None else data))
            if os.path.isdir(holder):
                yield find_in_archive(closing.enter_context(Archive(holder, Mode.READ)), path)
            else:
                file = closing.enter_context(_opened(holder))
                yield _in_file(FileBytes(file, file.fileno()), path, holder)
        elif hasattr(data, "read") and hasattr(data, "seek"):
            yield _in_file(FileBytes(data), path, None)
        else:
            raise Usage(f"{type(data).__name__} holds no film: give an archive, a path, or an open binary file")


def extract(found: Found, described: MediaFile, tc_range: TimecodeRange, output_dir: str | None) -> str:
    """Writes the range; the path of the file. The same clip that is there already is left as it is.

    Raises BadTimecode, BadMedia, Exists (another file has the name), NoSpace and its kind.
    """
    film = open_film(found.source, found.name, found.beside)
    asked = _asked(film, tc_range)
    clip = clip_of(film, found.extents, asked)
    for difference in differences(described, found.source.size, film):
        log.warning("%s: %s", found.name, difference)
    if clip.frames.clamped:
        log.warning("%s: the film ends before the handles do; the clip has %s", found.name, clip.name)
    target = os.path.join(output_dir or found.folder or os.getcwd(), clip.name)
    if not os.path.lexists(target):
        with suppress(Exists):  # somebody else wrote it meanwhile
            found.write(clip.map, target)
            return target
    if not _is_the_same(target, found.clipped(clip.map)):
        raise Exists(f"{target} is there already, and is another file")
    return target


def _asked(film: Film, tc_range: TimecodeRange) -> Asked:
    """The range as the film's frames are counted. Raises BadTimecode where its labels count another number a second."""
    asked = tc_range.asked
    if isinstance(film.of, Wave) and film.of.rate is None:
        return replace(asked, rate=shown_rate(tc_range.rate))
    counting = film.counting(asked)
    if nominal(counting.rate) != nominal(tc_range.rate):
        raise BadTimecode(
            f"the range counts {shown_rate(tc_range.rate)} frames a second, and the film has {counting.shown}"
        )
    if counting.rate != tc_range.rate:
        told, has = shown_rate(tc_range.rate), shown_rate(counting.rate)
        log.warning("%s: the range was asked for at %s frames a second; it has %s", film.name, told, has)
    return asked


def _place(archive: Archive, path: str) -> Place:
    if ":" in path.partition("/")[0]:
        return parse_place(path)
    return Place(archive.history.default.name, path.encode("utf-8", errors="surrogateescape"))


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise from_os_error(error, f"opening {path}") from error
    with file:
        yield file


def _in_file(whole: FileBytes, path: Path, on_disk: str | None) -> Found:
    if is_container(whole):
        member, name = find_member(whole, str(path))
        if name != str(path).lstrip("/"):
            log.warning("%s: taken for %s, the only one of that name", name, path)
        return _found(member, os.path.basename(name), NOTHING, None)
    if on_disk is None:
        return _found(whole, path.name, NOTHING, None)
    folder, name = os.path.split(on_disk)
    return _found(whole, name, _beside_on_disk(folder), folder)


def _found(source: FileBytes | Member, name: str, around: Beside, folder: str | None) -> Found:
    blob = ExtentMap(source.size, (Extent(0, source.size, BlobId(0)),)) if source.size else ExtentMap()

    def clipped(extents: ExtentMap) -> ByteSource:
        return _Clipped(source, extents)

    def write(extents: ExtentMap, target: str) -> None:
        write_file(target, extents.size, lambda descriptor: _fill(source, extents, descriptor))

    return Found(name, source, blob, around, clipped, write, folder)


def _fill(source: FileBytes | Member, extents: ExtentMap, target: int) -> None:
    """Writes a clip's bytes; those of the film the kernel copies by itself where it can."""
    for piece in extents.pieces(0, extents.size):
        for at in range(0, piece.length, PIECE):
            length = min(PIECE, piece.length - at)
            if isinstance(piece, Hole):
                continue
            if isinstance(piece.source, Literal) or source.descriptor is None:
                write_all(target, _Clipped(source, extents).read(piece.offset + at, length), piece.offset + at)
                continue
            while length:
                begins = source.start + piece.source_offset + at
                copied = copy_bytes(source.descriptor, target, length, begins, piece.offset + at)
                if not copied:
                    raise SourceChanged("the film became shorter while it was read")
                at, length = at + copied, length - copied


class _Clipped:
    """A clip whose one blob is a source that no archive holds."""

    def __init__(self, source: ByteSource, extents: ExtentMap) -> None:
        self._source, self._extents = source, extents

    @property
    def size(self) -> int:
        return self._extents.size

    def read(self, offset: int, length: int) -> bytes:
        return b"".join(map(self._bytes, self._extents.pieces(offset, offset + length)))

    def _bytes(self, piece: Extent | Hole) -> bytes:
        if isinstance(piece, Hole):
            return bytes(piece.length)
        if isinstance(piece.source, Literal):
            return piece.source.data[piece.source_offset : piece.source_offset + piece.length]
        data = self._source.read(piece.source_offset, piece.length)
        if len(data) < piece.length:
            raise SourceChanged("the film became shorter while it was read")
        return data


def _beside_on_disk(folder: str) -> Beside:
    def open_file(name: str) -> ByteSource | None:
        path = os.path.join(folder, name)
        if not os.path.isfile(path) or os.path.getsize(path) > SIDECAR_MAX:
            return None
        with _opened(path) as file:
            return _InMemory(file.read())

    return Beside(open_file, lambda: os.listdir(folder))


@dataclass(frozen=True)
class _InMemory:
    """Bytes of a small file."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


def _is_the_same(path: str, clip: ByteSource) -> bool:
    try:
        if not os.path.isfile(path) or os.path.getsize(path) != clip.size:
            return False
        with _opened(path) as file:
            there = FileBytes(file)
            return all(there.read(at, PIECE) == clip.read(at, PIECE) for at in range(0, clip.size, PIECE))
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
