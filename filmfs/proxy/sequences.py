"""Image sequences as originals: numbered frames, each a file of its own (OpenEXR, DPX, TIFF, PNG, JPEG).

Picture k is the frame whose number is k more than the first one's. A number that is missing, a file that cannot be
decoded and one of another size are shown as the picture before, and are damaged. What kind of file each is, its first
bytes say. `displaying` says what becomes of scene light and of densities.
"""

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from http.client import HTTPException
from io import BufferedReader, BytesIO
from typing import Any, BinaryIO

import av
from av.video.codeccontext import VideoCodecContext

from filmfs.core.errors import BadMedia, BadTimecode, Corrupt, DiskFailure, FilmFSError, from_os_error
from filmfs.core.smpte import label_of
from filmfs.media.images import DPX_HEADER, is_density, read_image_rate, read_image_time
from filmfs.media.openexr import MAGIC, find_lines, is_whole, read_header
from filmfs.proxy import inflating
from filmfs.proxy.decoding import Shown, Span
from filmfs.proxy.displaying import Display, Meaning
from filmfs.proxy.originals import Colours, Labels, Original, Picture, colours_of, examine, matrix_of
from filmfs.proxy.primaries import Matrix, to_bt709
from filmfs.proxy.reading import Reading
from filmfs.proxy.sources import FrameFiles, Source
from filmfs.store.containers import FileBytes

_RATE = Fraction(24)  # where nothing says one
_TRIES = 100  # files that are looked at for one that can be decoded
_GONE = (404, 410)  # HTTP
_FULL = 2
_KEPT = ("dpx",)  # its decoder fills all of a picture, and each header says all that it must know
_STRICT = ("png", "mjpeg")  # else damage is concealed; TIFF's is not, and what is odd in a header would be refused
_BYTES_MAX, _TOO_LARGE = (1 << 31) - 1024, "is larger than 2 GiB"  # of a packet
_PIECE = 16 << 20
_CODECS = {
    MAGIC: "exr",
    b"SDPX": "dpx",
    b"XPDS": "dpx",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "mjpeg",
}


_UNREADABLE = (BadMedia, DiskFailure, Corrupt)

Bytes = bytes | memoryview
"""All of a file; or a view of a packet that has it."""


def examine_source(source: Source, *, is_lenient: bool = False) -> Original:
    """Looks at an original of any kind. Raises BadMedia, and DiskFailure where bytes that it takes cannot be read.

    `is_lenient`: as far as it can be known without these (see originals.examine).
    """
    if isinstance(source, FrameFiles):
        return examine_frames(source, is_lenient=is_lenient)
    return examine(Reading(source.open, mends=is_lenient))


def examine_frames(source: FrameFiles, *, is_lenient: bool = False) -> Original:
    """Looks at an image sequence by the first frame that can be decoded. Raises BadMedia when it finds none."""
    number, data, image = _first(source, _UNREADABLE if is_lenient else (BadMedia,))
    name = f"image.{image.codec}"
    rate = source.rate or read_image_rate(FileBytes(BytesIO(data)), name) or _RATE
    count = source.frames[-1][0] - source.first + 1
    frame = Display().shown(image.frame, image.meaning, image.matrix)
    is_coded = image.meaning is Meaning.CODED
    picture = Picture(
        0,
        image.codec,
        frame.format.name,
        frame.width,
        frame.height,
        image.shape,
        rate,
        True,
        1 / rate,
        array("q", range(count)),
        array("q", range(count)),
        1,
        colours_of(frame) if is_coded else Colours(matrix=0, is_full=True),
        False,
        any(component.is_alpha for component in frame.format.components),
        matrix_of(image.frame),
    )
    return Original(picture, (), labels=Labels(_timecode(data, name, rate, number - source.first)))


def _first(source: FrameFiles, passed_over: tuple[type[FilmFSError], ...]) -> tuple[int, Bytes, "_Image"]:
    if not source.frames:
        raise BadMedia("there are no frames")
    why: list[str] = []
    for number, file in source.frames[:_TRIES]:
        try:
            data = _bytes(file)
            return number, data, _Images().decoded(data)
        except passed_over as error:
            why.append(f"frame {number} {error}")
    raise BadMedia(f"no frame can be decoded: {why[0]}")


def _timecode(data: Bytes, name: str, rate: Fraction, number: int) -> str | None:
    """That of the first picture, as the header of one says its own."""
    said = read_image_time(FileBytes(BytesIO(data)), name)
    if said is None:
        return None
    try:
        start, drop = said.start(rate)
        return str(label_of(start - number, rate, drop=drop))
    except BadTimecode:
        return None


class FramesDecoder:
    """Decodes one file after another. See decoding.Decoder.

    A file that cannot be read raises DiskFailure and its kind; `is_lenient`: it is a damaged picture.
    """

    def __init__(self, source: FrameFiles, picture: Picture, *, is_lenient: bool = False) -> None:
        self._source = source
        self._size = picture.width, picture.height
        self._images = _Images()
        self._display = Display()
        self._passed_over = _UNREADABLE if is_lenient else (BadMedia,)

    def close(self) -> None:
        """Nothing stays open."""

    def pictures(self, span: Span) -> Iterator[Shown]:
        """See Decoder."""
        first = span.first - span.before
        files = dict(self._source.frames)
        latest, waiting = None, 0
        sizes: dict[int, tuple[int, int]] = {}
        for at in range(len(span.times)):
            number = self._source.first + first + at
            found = self._find(files[number]) if number in files else None
            if isinstance(found, tuple):
                sizes[at], found = found, None
            if found is None and at == 0:
                latest = self._before(number)
            latest = found or latest
            if latest is None:  # there is nothing yet that could be shown
                waiting += 1
                continue
            for missed in range(at - waiting, at):
                yield Shown(missed - span.before, latest, True, sizes.get(missed))
            waiting = 0
            yield Shown(at - span.before, latest, found is None, sizes.get(at))
        if latest is None:
            raise BadMedia(f"frames {span.first} to {span.first + span.count - 1} cannot be decoded")

    def harmed(self) -> set[int]:
        """See decoding.Decoder: none refers to another."""
        return set()

    def _before(self, number: int) -> "av.VideoFrame | None":
        earlier = (self._find(file) for each, file in reversed(self._source.frames) if each < number)
        return next((frame for frame in earlier if frame is not None and not isinstance(frame, tuple)), None)

    def _find(self, file: Source) -> "av.VideoFrame | tuple[int, int] | None":
        """The picture; its size where it is not that of the first."""
        try:
            image = self._images.decoded(_bytes(file))
        except self._passed_over:
            return None
        size = image.frame.width, image.frame.height
        if size != self._size:
            return size
        return self._display.shown(image.frame, image.meaning, image.matrix)


@dataclass(frozen=True, slots=True)
class _Image:
    codec: str
    frame: "av.VideoFrame"
    meaning: Meaning
    shape: Fraction | None
    matrix: Matrix | None  # what its light is multiplied with


def _bytes(source: Source) -> Bytes:
    """Raises BadMedia for a file that is not there or too large, and what its disk says: that is no damage of it."""
    try:
        place = source.open()
        if isinstance(place, str) and not place.startswith(("http://", "https://")):
            with open(place, "rb") as file:
                return _all_of(file)
        with _opened(place) as remote:
            return _read(remote)
    except FileNotFoundError:
        raise BadMedia("is not there") from None
    except OSError as error:
        if getattr(error, "code", None) in _GONE:
            raise BadMedia("is not there") from None
        raise from_os_error(error, "reading a frame") from error
    except HTTPException as error:
        raise DiskFailure(f"reading a frame: {error!r}") from error


def _all_of(file: BufferedReader) -> Bytes:
    """In a packet with the zeros behind it that FFmpeg asks for, but for what filmfs decodes itself."""
    size = os.fstat(file.fileno()).st_size
    if size > _BYTES_MAX:
        raise BadMedia(_TOO_LARGE)
    if not size or file.peek(len(MAGIC)).startswith(MAGIC):
        return _read(file)
    try:
        view = memoryview(av.Packet(size))
    except MemoryError:
        raise BadMedia("is larger than the memory that there is") from None
    read = file.readinto(view)
    return view if read == size else bytes(view[:read])


def _read(file: BinaryIO) -> bytes:
    """To the end, which a connection may be cut off before. Raises BadMedia, DiskFailure and what the disk says."""
    pieces, left = [], _BYTES_MAX
    while piece := file.read(_PIECE):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise BadMedia(_TOO_LARGE)
    if getattr(file, "length", None):  # that of HTTP still expects so many
        raise DiskFailure("reading a frame: the connection ended before it")
    return b"".join(pieces)


def _opened(place: str | BinaryIO) -> BinaryIO:
    if not isinstance(place, str):
        return place
    from urllib.request import urlopen

    opened: BinaryIO = urlopen(place)
    return opened


def _decoder(codec: str, options: dict[str, str]) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count, context.options = 1, options
    return context


def _packet(data: Bytes) -> "av.Packet[Any]":
    if isinstance(data, memoryview):
        assert isinstance(data.obj, av.Packet)
        return data.obj
    return av.Packet(data)


class _Images:
    """Decodes files one by one. A decoder is kept where it can be: a new one has its picture's memory zeroed first."""

    def __init__(self) -> None:
        self._kept: dict[str, VideoCodecContext] = {}

    def decoded(self, data: Bytes) -> _Image:
        """Raises BadMedia with what is wrong."""
        codec = next((name for magic, name in _CODECS.items() if data[: len(magic)] == magic), None)
        if codec is None:
            raise BadMedia("is no EXR, DPX, TIFF, PNG or JPEG image")
        if codec == "exr":
            return self._decoded_exr(bytes(data))
        image = self._by_ffmpeg(data, codec, {"err_detect": "explode"} if codec in _STRICT else {})
        if codec == "dpx" and is_density(bytes(data[:DPX_HEADER])):
            return replace(image, meaning=Meaning.DENSITY)
        return image

    def _by_ffmpeg(self, data: Bytes, codec: str, options: dict[str, str]) -> _Image:
        context = self._kept.pop(codec, None) or _decoder(codec, options)
        try:
            frames = context.decode(_packet(data))
            if frames and codec in _KEPT:
                self._kept[codec] = context
            frames = frames or context.decode(None)
        except av.FFmpegError as error:
            raise BadMedia(f"cannot be decoded: {error.strerror or error}") from None
        if not frames or frames[0].is_corrupt:
            raise BadMedia("cannot be decoded")
        frame = frames[0]
        if frame.format.name.startswith("gray"):  # decoders do not say so of all files
            frame.color_range = _FULL
        return _Image(codec, frame, Meaning.CODED, context.sample_aspect_ratio or None, None)

    def _decoded_exr(self, data: bytes) -> _Image:
        header = read_header(data)
        if header is None or not is_whole(data, header):
            raise BadMedia("is not whole")
        found = header.find_colours()
        if found is None:
            names = ", ".join(name for names in header.channels for name in names)
            raise BadMedia(f"has no colours, only {names}")
        part, layer = found
        matrix = to_bt709(header.chromaticities[part])
        lines = find_lines(data, header, layer)
        if lines is not None and lines.offsets is not None and inflating.can_take():
            return _Image("exr", inflating.picture(data, lines), Meaning.LIGHT, lines.shape, matrix)
        if lines is not None:
            inflating.check(data, lines)
        options = {"part": str(part), **({"layer": layer} if layer else {})}
        return replace(self._by_ffmpeg(data, "exr", options), meaning=Meaning.LIGHT, matrix=matrix)
