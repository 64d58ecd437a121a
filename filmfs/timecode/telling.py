"""What somebody says of a film, compared with what the film says."""

from collections.abc import Iterator
from struct import unpack_from

from filmfs.core.models import MediaFile, VideoCodec
from filmfs.core.smpte import shown_rate
from filmfs.media.movie import Track
from filmfs.media.quicktime import QuickTime
from filmfs.media.sound import channels_of
from filmfs.timecode.films import Film

CODECS = {
    b"apcn": VideoCodec.PRORES_422,
    b"apch": VideoCodec.PRORES_422_HQ,
    b"apcs": VideoCodec.PRORES_422_LT,
    b"apco": VideoCodec.PRORES_422_PROXY,
    b"ap4h": VideoCodec.PRORES_4444,
    b"ap4x": VideoCodec.PRORES_4444_XQ,
    b"aprn": VideoCodec.PRORES_RAW,
    b"aprh": VideoCodec.PRORES_RAW,
    b"AVdn": VideoCodec.DNXHD,
    b"AVdh": VideoCodec.DNXHR,
    b"CFHD": VideoCodec.CINEFORM,
    b"jpeg": VideoCodec.MJPEG,
    b"mjpa": VideoCodec.MJPEG,
    b"avc1": VideoCodec.H264,
    b"avc3": VideoCodec.H264,
    b"hvc1": VideoCodec.HEVC,
    b"hev1": VideoCodec.HEVC,
    b"m2v1": VideoCodec.MPEG2,
    b"xdv1": VideoCodec.MPEG2,
    b"av01": VideoCodec.AV1,
    b"v210": VideoCodec.UNCOMPRESSED,
    b"2vuy": VideoCodec.UNCOMPRESSED,
}


def differences(described: MediaFile, size: int, film: Film) -> Iterator[str]:
    """In which ways a film is not as it was described, in words."""
    if described.size is not None and described.size != size:
        yield f"was said to have {described.size} bytes, and has {size}"
    if not isinstance(film.of, QuickTime) or film.of.movie.picture is None:
        return
    picture = film.of.movie.picture
    if described.rate is not None and described.rate != film.of.rate:
        yield f"was said to have {shown_rate(described.rate)} frames a second, and has {shown_rate(film.of.rate)}"
    codec = CODECS.get(picture.entries[0].kind) if picture.entries else None
    if described.codec is not None and codec is not None and described.codec is not codec:
        yield f"was said to be {described.codec.value}, and is {codec.value}"
    pixels = _size(picture)
    if described.resolution is not None and pixels is not None and described.resolution != pixels:
        yield f"was said to have {_by(described.resolution)} pixels, and has {_by(pixels)}"
    channels = sum(channels_of(track) for track in film.of.movie.sounds)
    if described.audio_channels not in (None, channels):
        yield f"was said to have {described.audio_channels} channels of sound, and has {channels}"


def _size(picture: Track) -> tuple[int, int] | None:
    entry = picture.entries[0] if picture.entries else None
    if entry is None or entry.length < 28:
        return None
    width, height = unpack_from(">HH", picture.movie.data, entry.body + 24)
    return width, height


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"
