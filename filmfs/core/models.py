"""The words of the public calls: films as people describe them, time codes, ranges of them.

Frame rates are given as people write them (23.976, 24, Fraction(24000, 1001)) and are exact from then on. What is said
of a film that the film itself contradicts is reported where it is used, and the film wins.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from fractions import Fraction
from pathlib import Path

from filmfs.core.errors import BadTimecode, Usage
from filmfs.core.ids import ContentId
from filmfs.core.ranges import Asked
from filmfs.core.smpte import Label, exact_rate


class VideoCodec(Enum):
    """How pictures are coded; the value is the name that people know."""

    PRORES_422 = "ProRes 422"
    PRORES_422_HQ = "ProRes 422 HQ"
    PRORES_422_LT = "ProRes 422 LT"
    PRORES_422_PROXY = "ProRes 422 Proxy"
    PRORES_4444 = "ProRes 4444"
    PRORES_4444_XQ = "ProRes 4444 XQ"
    PRORES_RAW = "ProRes RAW"
    DNXHD = "DNxHD"
    DNXHR = "DNxHR"
    CINEFORM = "CineForm"
    MJPEG = "Motion JPEG"
    H264 = "H.264"
    HEVC = "HEVC"
    MPEG2 = "MPEG-2"
    AV1 = "AV1"
    UNCOMPRESSED = "uncompressed"


class ProxyResolution(StrEnum):
    """The sizes of proxies; the value is the name that they have."""

    THUMBNAIL = "thumbnail"
    PREVIEW = "preview"
    EDITORIAL = "editorial"


class Unit(StrEnum):
    """In what the work on an original is counted: of sound alone in seconds."""

    FRAMES = "frames"
    SECONDS = "seconds"

    def pace(self, rate: float) -> str:
        """So many of them in a second, as people write it."""
        return f"{rate:.0f} fps" if self is Unit.FRAMES else f"{rate:.0f}x"


@dataclass(frozen=True, slots=True)
class Timecode:
    """A label at a frame rate. `drop_frame` None: counted as the film is that it is looked up in.

    Raises BadTimecode for a label that does not exist.
    """

    hours: int
    minutes: int
    seconds: int
    frames: int
    frame_rate: float | Fraction
    drop_frame: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame_rate", exact_rate(self.frame_rate))
        self.label.number(self.rate, drop=bool(self.drop_frame))

    @property
    def rate(self) -> Fraction:
        """Frames a second, exactly."""
        return exact_rate(self.frame_rate)

    @property
    def label(self) -> Label:
        """Hours to frames."""
        return Label(self.hours, self.minutes, self.seconds, self.frames, self.drop_frame)

    def __str__(self) -> str:
        return str(self.label)


@dataclass(frozen=True, slots=True)
class TimecodeRange:
    """From `start` up to, and without, `end`; `handles` are frames more on both sides, as far as the film has them."""

    start: Timecode
    end: Timecode
    handles: int = 0

    def __post_init__(self) -> None:
        if self.start.rate != self.end.rate:
            raise BadTimecode(f"the range begins at {self.start.rate} frames a second and ends at {self.end.rate}")
        if self.handles < 0:
            raise Usage(f"{self.handles} frames of handles")

    @property
    def rate(self) -> Fraction:
        """Frames a second, exactly."""
        return self.start.rate

    @property
    def asked(self) -> Asked:
        """The range as one that is looked up in a film."""
        return Asked(self.start.label, self.end.label, head=self.handles, tail=self.handles)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A film or sound file as somebody describes it: its path (on disk, or inside what holds it); None is not said."""

    file_path: Path
    size: int | None = None
    codec: VideoCodec | None = None
    frame_rate: float | Fraction | None = None
    resolution: tuple[int, int] | None = None
    audio_channels: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "file_path", Path(self.file_path))
        if self.frame_rate is not None:
            object.__setattr__(self, "frame_rate", exact_rate(self.frame_rate))

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, exactly, if that is said."""
        return None if self.frame_rate is None else exact_rate(self.frame_rate)


@dataclass(frozen=True, slots=True)
class ProxyFile:
    """A finished proxy: `codec` as FFmpeg calls its encoder, `size` in points (None: sound alone)."""

    path: Path
    resolution: ProxyResolution
    codec: str
    frames: int
    frame_rate: Fraction | None
    start_timecode: str | None
    content: ContentId
    size: tuple[int, int] | None
