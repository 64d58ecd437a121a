"""The partitions of an MXF file (SMPTE ST 377-1, 7 and 12), and where the essence lies in them.

They are found by the random index pack at the file's end, by the links from the footer back, or by a walk through the
whole file where its end was cut off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import unpack_from

from filmfs.core.errors import BadMedia
from filmfs.core.ports import ByteSource
from filmfs.media.klv import BODY, FOOTER, HEADER, MANY, PRIMER, RANDOM_INDEX, Klv, klv_at, klvs_in, set_kind

_RUN_IN_MAX = 65_536
_PACK_START = bytes.fromhex("060e2b34020501")
_PACK_BYTES = 88
_PACK_MAX = 1 << 16
_GENERIC_STREAM = 0x11  # partitions of that status have subtitles and the like (ST 410)
_OPEN = (1, 3)
_METADATA_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition: what its pack says, and where in the file its parts are."""

    start: int
    end: int
    kind: int
    status: int
    pack: bytes  # the value of its pack
    metadata: tuple[int, int]
    index: tuple[Klv, ...]
    essence: Klv | None  # the first key and length of it

    @property
    def body_sid(self) -> int:
        """Which essence it has; 0 for none."""
        return int(unpack_from(">I", self.pack, 60)[0])

    @property
    def body_offset(self) -> int:
        """How much of that essence lies in partitions before it."""
        return int(unpack_from(">Q", self.pack, 52)[0])

    @property
    def is_open(self) -> bool:
        """Whether its metadata was not finished when it was written."""
        return self.status in _OPEN


@dataclass(frozen=True, slots=True)
class Stretch:
    """`length` bytes of an essence container from its byte `stream` on, which lie at `offset` of the file."""

    stream: int
    offset: int
    length: int


def read_partitions(source: ByteSource) -> list[Partition]:
    """All partitions, in the order of the file. Raises BadMedia when it is no MXF file."""
    base = _run_in(source)
    starts = _by_random_index(source, base) or _by_links(source, base) or _by_walking(source, base)
    partitions, looked_at = [], 0
    for start, end in zip(starts, [*starts[1:], source.size], strict=True):
        partition, count = _partition(source, start, end)
        looked_at += count
        if looked_at > MANY:
            raise BadMedia("the file has more keys and lengths around its essence than any film needs")
        if partition.status != _GENERIC_STREAM:
            partitions.append(partition)
    return partitions


def stretches(partitions: Sequence[Partition], sid: int) -> list[Stretch]:
    """Where the essence of an id lies, where each frame is wrapped by itself. Raises BadMedia."""
    found: list[Stretch] = []
    for each in partitions:
        if each.body_sid != sid or each.essence is None:
            continue
        if found and each.body_offset < found[-1].stream + 1:
            raise BadMedia("the partitions of the file contradict each other")
        found.append(Stretch(each.body_offset, each.essence.start, each.end - each.essence.start))
    return found


def _run_in(source: ByteSource) -> int:
    """Where the header partition begins: a file may have something else before it (ST 377-1, 6.5)."""
    head = source.read(0, min(source.size, _RUN_IN_MAX + 16))
    at = -1
    while (at := head.find(_PACK_START, at + 1)) >= 0:
        if len(head) - at >= 16 and Klv(head[at : at + 16], at, 0, 0).pack == HEADER:
            return at
    raise BadMedia("the file is no MXF")


def _by_random_index(source: ByteSource, base: int) -> list[int]:
    size = source.size
    length = int.from_bytes(source.read(max(size - 4, 0), min(size, 4)), "big")
    if not 21 <= length <= min(size, 12 * MANY):
        return []
    try:
        pack = klv_at(source, size - length)
    except BadMedia:
        return []
    if pack.pack != RANDOM_INDEX or pack.end != size:
        return []
    data = source.read(pack.value, pack.length)
    starts = sorted({base + unpack_from(">Q", data, at + 4)[0] for at in range(0, len(data) - 15, 12)})
    return starts if starts and starts[0] == base and _are_packs(source, starts) else []


def _by_links(source: ByteSource, base: int) -> list[int]:
    (footer,) = unpack_from(">Q", _pack(source, base)[1], 24)
    starts: list[int] = []
    at = base + footer
    while footer and base < at < source.size and len(starts) < MANY:
        if not _are_packs(source, [at]):
            return []
        starts.append(at)
        before = base + unpack_from(">Q", _pack(source, at)[1], 16)[0]
        if before >= at:
            return []
        at = before
    return [base, *reversed(starts)] if starts and at == base else []


def _by_walking(source: ByteSource, base: int) -> list[int]:
    return [each.start for each in klvs_in(source, base, source.size) if each.pack in (HEADER, BODY, FOOTER)]


def _are_packs(source: ByteSource, starts: list[int]) -> bool:
    try:
        return all(_pack(source, start) for start in starts)
    except BadMedia:
        return False


def _pack(source: ByteSource, start: int) -> tuple[Klv, bytes]:
    found = klv_at(source, start)
    if found.pack not in (HEADER, BODY, FOOTER) or not _PACK_BYTES <= found.length <= _PACK_MAX:
        raise BadMedia(f"there is no partition at {start}")
    return found, source.read(found.value, found.length)


def _partition(source: ByteSource, start: int, end: int) -> tuple[Partition, int]:
    head, pack = _pack(source, start)
    metadata, index, essence, count = (0, 0), [], None, 0
    for each in _before_essence(source, head.end, end):
        count += 1
        if each.is_essence:
            essence = each
        elif each.is_index:
            index.append(each)
        elif each.pack == PRIMER and metadata == (0, 0):
            metadata = each.start, each.end
        elif set_kind(each.key) and metadata[1]:
            metadata = metadata[0], each.end
    if metadata[1] - metadata[0] > _METADATA_MAX:
        raise BadMedia(f"the header metadata has {metadata[1] - metadata[0]} bytes")
    status = head.key[14]
    return Partition(start, end, head.pack, status, pack, metadata, tuple(index), essence), count


def _before_essence(source: ByteSource, start: int, end: int) -> Iterator[Klv]:
    """What comes in a partition up to, and with, the first piece of essence."""
    for each in klvs_in(source, start, end):
        if each.pack in (HEADER, BODY, FOOTER, RANDOM_INDEX):
            return
        yield each
        if each.is_essence:
            return
