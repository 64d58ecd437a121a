"""The header metadata of an MXF file (SMPTE ST 377-1, 9 and annexes A and B): which packages and tracks it has, and
what they are of.

The material package is the film as it is shown, with its time code; file packages describe the essence in the file;
further packages, if any, tell of the tape or card that it came from. Sets are found by their InstanceUID.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.media.klv import PRIMER, batch, items_of, read_header, set_kind

_TAPE_DESCRIPTOR = 0x012E
_MATERIAL, _SOURCE = 0x0136, 0x0137
_ESSENCE_DATA, _TIMECODE, _CLIP = 0x0123, 0x0114, 0x0111
_PRIMER_ITEM = 18
_SETS_MAX, _TRACKS_MAX, _CONTAINERS_MAX = 20_000, 1000, 64
UID, NAME, PACKAGE_UID, TRACKS, DESCRIPTOR = 0x3C0A, 0x4402, 0x4401, 0x4403, 0x4701
TRACK_ID, TRACK_NUMBER, EDIT_RATE, ORIGIN, SEQUENCE = 0x4801, 0x4804, 0x4B01, 0x4B02, 0x4803
DEFINITION, DURATION, COMPONENTS = 0x0201, 0x0202, 0x1001
START_POSITION, SOURCE_PACKAGE, SOURCE_TRACK = 0x1201, 0x1101, 0x1102
START_TIMECODE, TIMECODE_BASE, DROP_FRAME = 0x1501, 0x1502, 0x1503
LINKED_PACKAGE, INDEX_SID, BODY_SID = 0x2701, 0x3F06, 0x3F07
LINKED_TRACK, SAMPLE_RATE, CONTAINER_DURATION, CONTAINER, SUB_DESCRIPTORS = 0x3006, 0x3001, 0x3002, 0x3004, 0x3F01
_DATA_PICTURE, _DATA_SOUND = bytes.fromhex("01030202 01"), bytes.fromhex("01030202 02")


@dataclass(frozen=True, slots=True)
class Set:
    """A set of the metadata: its kind, and where in the metadata's bytes its items are."""

    data: bytes
    kind: int
    items: dict[int, tuple[int, int]]

    def value(self, tag: int) -> bytes | None:
        """An item's bytes; None where it has no such item."""
        place = self.items.get(tag)
        return None if place is None else self.data[place[0] : place[0] + place[1]]

    def number(self, tag: int, default: int = 0, *, signed: bool = False) -> int:
        """An item as a whole number."""
        value = self.value(tag)
        return int.from_bytes(value[:8], "big", signed=signed) if value else default

    def rational(self, tag: int) -> Fraction | None:
        """An item as a positive fraction; None where it is none."""
        value = self.value(tag)
        if value is None or len(value) < 8:
            return None
        over, under = unpack_from(">ii", value)
        return Fraction(over, under) if over > 0 and under > 0 else None

    def text(self, tag: int) -> str:
        """An item as text (UTF-16), up to its end mark."""
        return (self.value(tag) or b"").decode("utf-16-be", "replace").partition("\0")[0].strip()


class Metadata:
    """All sets of a file's header metadata. Nothing of it changes."""

    def __init__(self, data: bytes) -> None:
        """`data` begins with the primer pack. Raises BadMedia."""
        self.data = data
        self.sets: dict[bytes, Set] = {}
        self.tags: dict[int, bytes] = {}
        at = 0
        while len(data) - at >= 25 or (len(data) - at >= 17 and data[at + 16] < 0x80):
            key, value, length = read_header(data[at : at + 25], at)
            if value + length > len(data) or len(self.sets) > _SETS_MAX:
                raise BadMedia("the header metadata is cut off, or has too many sets")
            if set_kind(key):
                items = items_of(data, value, value + length)
                found = Set(data, set_kind(key), items)
                self.sets.setdefault(found.value(UID) or b"", found)
            elif key[13] == PRIMER and not self.tags:
                self._read_primer(data[value : value + length])
            at = value + length

    def _read_primer(self, data: bytes) -> None:
        for item in batch(data, _PRIMER_ITEM):
            self.tags[int.from_bytes(item[:2], "big")] = item[2:]

    def of_kind(self, kind: int) -> list[Set]:
        """All sets of a kind, as they come."""
        return [each for each in self.sets.values() if each.kind == kind]

    def referred(self, owner: Set, tag: int) -> Set | None:
        """The set that an item refers to."""
        return self.sets.get(owner.value(tag) or b"\0")

    def all_referred(self, owner: Set, tag: int) -> list[Set]:
        """The sets that an item lists. Raises BadMedia."""
        listed = batch(owner.value(tag) or b"", 16)[:_SETS_MAX]
        return [self.sets[each] for each in listed if each in self.sets]

    @cached_property
    def material(self) -> "Package":
        """The film as it is shown."""
        packages = self.of_kind(_MATERIAL)
        if not packages:
            raise BadMedia("the file has no material package: it is no film, or its header was not finished")
        return Package(self, packages[0])

    @cached_property
    def essence(self) -> list[tuple["Package", int, int]]:
        """The file packages whose essence is in the file, with their BodySID and IndexSID."""
        packages = {each.value(PACKAGE_UID): each for each in self.of_kind(_SOURCE)}
        found = []
        containers = self.of_kind(_ESSENCE_DATA)
        if len(containers) > _CONTAINERS_MAX:
            raise BadMedia(f"the file says that it has {len(containers)} essence containers")
        for data in containers:
            linked = packages.get(data.value(LINKED_PACKAGE))
            if linked is not None:
                found.append((Package(self, linked), data.number(BODY_SID), data.number(INDEX_SID)))
        return found

    def package(self, uid: bytes) -> "Package | None":
        """The source package of that identifier."""
        return next((Package(self, each) for each in self.of_kind(_SOURCE) if each.value(PACKAGE_UID) == uid), None)


@dataclass(frozen=True)
class Package:
    """A package of the metadata."""

    of: Metadata
    set: Set

    @cached_property
    def tracks(self) -> list["PackageTrack"]:
        """Its tracks."""
        return [PackageTrack(self.of, each) for each in self.of.all_referred(self.set, TRACKS)[:_TRACKS_MAX]]

    @cached_property
    def picture(self) -> "PackageTrack | None":
        """Its first track of pictures."""
        return next((track for track in self.tracks if track.is_picture), None)

    @cached_property
    def timecode(self) -> Set | None:
        """The component that says its time code. Raises BadMedia where that jumps."""
        for track in self.tracks:
            codes = [each for each in track.components if each.kind == _TIMECODE]
            if len(codes) > 1:
                raise BadMedia("the time code jumps")
            if codes:
                return codes[0]
        return None

    @cached_property
    def descriptors(self) -> list[Set]:
        """What describes its essence, one for each track."""
        descriptor = self.of.referred(self.set, DESCRIPTOR)
        if descriptor is None:
            return []
        return self.of.all_referred(descriptor, SUB_DESCRIPTORS) or [descriptor]

    def described(self, track: "PackageTrack") -> Set | None:
        """The descriptor of a track."""
        number = track.set.number(TRACK_ID)
        linked = [each for each in self.descriptors if each.number(LINKED_TRACK) == number]
        return linked[0] if linked else self.descriptors[0] if len(self.descriptors) == 1 else None

    @cached_property
    def is_tape(self) -> bool:
        """Whether it stands for a tape, or a card that is named like one."""
        descriptor = self.of.referred(self.set, DESCRIPTOR)
        return descriptor is not None and descriptor.kind == _TAPE_DESCRIPTOR


@dataclass(frozen=True)
class PackageTrack:
    """A track of a package."""

    of: Metadata
    set: Set

    @cached_property
    def sequence(self) -> Set | None:
        """What it is a sequence of: a set of its own, or its one component."""
        return self.of.referred(self.set, SEQUENCE)

    @cached_property
    def components(self) -> list[Set]:
        """What is shown one after the other."""
        if self.sequence is None:
            return []
        return self.of.all_referred(self.sequence, COMPONENTS) or [self.sequence]

    @cached_property
    def clip(self) -> Set | None:
        """The one stretch of a source that it shows. Raises BadMedia where it shows several."""
        clips = [each for each in self.components if each.kind == _CLIP]
        if len(self.components) > 1:
            raise BadMedia("the film is shown in several pieces")
        return clips[0] if clips else None

    @property
    def rate(self) -> Fraction | None:
        """Edit units in a second."""
        return self.set.rational(EDIT_RATE)

    @property
    def is_picture(self) -> bool:
        """Whether it is of pictures."""
        return self._definition == _DATA_PICTURE

    @property
    def is_sound(self) -> bool:
        """Whether it is of sound."""
        return self._definition == _DATA_SOUND

    @property
    def _definition(self) -> bytes:
        value = self.sequence.value(DEFINITION) if self.sequence is not None else None
        return (value or b"")[8:13]
