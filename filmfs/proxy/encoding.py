"""Encoders for a recipe's pictures and sound, set up in the same way wherever they run.

A picture encoder gives one packet for each picture, in order, so that what several of them make can be put together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from filmfs.core.errors import BadMedia
from filmfs.proxy.fitting import Size, shown_colours
from filmfs.proxy.originals import Colours, Original, Picture, Sound
from filmfs.proxy.packets import Coded
from filmfs.proxy.recipes import Recipe

_LIMITED = 1
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)


@dataclass(frozen=True, slots=True)
class PicturePlan:
    """How the pictures of a rendition are coded.

    Picture k is shown at `start` + k, in units of `unit` seconds, where the pace is steady; else `time_of` it.
    """

    recipe: Recipe
    size: Size
    shape: Fraction | None
    rate: Fraction
    unit: Fraction
    group: int
    colours: Colours
    turned: tuple[int, ...] | None


def plan_picture(original: Original, recipe: Recipe) -> PicturePlan:
    """The pictures of a recipe's rendition."""
    picture = original.picture
    assert picture is not None
    unit = 1 / picture.rate if _is_even(original, picture) else picture.time_base
    return PicturePlan(
        recipe,
        Size(*recipe.size(picture.width, picture.height), recipe.pixels),
        picture.shape,
        picture.rate,
        unit,
        recipe.group(picture.rate),
        shown_colours(picture),
        picture.turned,
    )


def picture_times(original: Original) -> list[tuple[int, int]]:
    """(time, duration) of each picture of all renditions, in `PicturePlan.unit`."""
    picture = original.picture
    assert picture is not None
    if _is_even(original, picture):
        first = round(_began(original, picture) * picture.rate)
        return [(first + number, 1) for number in range(picture.frames)]
    zero = round(original.zero / picture.time_base)
    times = [time - zero for time in picture.times]
    return [(time, after - time) for time, after in zip(times, [*times[1:], times[-1] + picture.last], strict=True)]


def _is_even(original: Original, picture: Picture) -> bool:
    """Whether each picture begins a whole number of frames after the beginning."""
    return picture.is_steady and (_began(original, picture) * picture.rate).denominator == 1


def _began(original: Original, picture: Picture) -> Fraction:
    return picture.times[0] * picture.time_base - original.zero


REFUSALS = (av.FFmpegError, ValueError, LookupError)
"""What PyAV raises where an encoder is not there, or not to be set up so."""


def refused(encoder: str, what: str, options: tuple[tuple[str, str], ...], error: Exception) -> BadMedia:
    """What is told of an encoder that cannot be set up: of a recipe's making, mostly."""
    said = f" with {', '.join(map('='.join, options))}" if options else ""
    return BadMedia(f"{encoder} cannot make {what}{said}: {getattr(error, 'strerror', None) or error}")


def set_up_picture(context: VideoCodecContext, plan: PicturePlan) -> None:
    """Sets an encoder that is not open yet."""
    context.width, context.height, context.pix_fmt = plan.size.width, plan.size.height, plan.size.pixels
    context.time_base, context.framerate = plan.unit, plan.rate
    context.gop_size = plan.group
    context.thread_count = 1
    if plan.shape is not None:
        context.sample_aspect_ratio = plan.shape
    context.color_primaries, context.color_trc = plan.colours.primaries, plan.colours.transfer
    context.colorspace, context.color_range = plan.colours.matrix, _LIMITED


class PictureEncoder:
    """An encoder of one span's pictures."""

    def __init__(self, plan: PicturePlan) -> None:
        try:
            context = av.CodecContext.create(plan.recipe.picture, "w")
            if not isinstance(context, VideoCodecContext):
                raise BadMedia(f"{plan.recipe.picture} is no encoder of pictures")
            set_up_picture(context, plan)
            context.options = dict(plan.recipe.picture_options)
            context.flags |= Flags.global_header
            context.open()
        except REFUSALS as error:
            what = f"pictures of {plan.size.width}×{plan.size.height} in {plan.size.pixels}"
            raise refused(plan.recipe.picture, what, plan.recipe.picture_options, error) from None
        self._context, self._unit = context, plan.unit
        self._latest: int | None = None
        self._durations: dict[int, int] = {}
        self.extradata = bytes(context.extradata or b"")

    def encode(self, frame: "av.VideoFrame | None", time: tuple[int, int] = (0, 0)) -> Iterator[Coded]:
        """Packets of a picture that is shown at a time, for so long; None: of those that are still inside."""
        if frame is not None:
            frame.pts, frame.time_base, frame.pict_type = time[0], self._unit, PictureType.NONE
            self._durations[time[0]] = time[1]
        for packet in self._context.encode(frame):
            assert packet.pts is not None
            if self._latest is not None and packet.pts < self._latest:
                raise BadMedia(f"{self._context.name} makes B-frames as it is told, which proxies have not: bf is 0")
            self._latest = packet.pts
            yield Coded(packet.pts, self._durations.pop(packet.pts), packet.is_keyframe, bytes(packet))


@dataclass(frozen=True, slots=True)
class SoundPlan:
    """A sound track of a rendition: of which tracks of the original (several: each is a channel), and how coded."""

    tracks: tuple[Sound, ...]
    codec: str
    options: tuple[tuple[str, str], ...]
    rate: int
    layout: str
    bit_rate: int | None


def plan_sounds(original: Original, recipe: Recipe) -> list[SoundPlan]:
    """The sound tracks of a recipe's rendition.

    All of the original's, where the recipe has no limit. Else one: of the first track; of the first two where both
    have one channel, as recorders write them: left and right.
    """
    if not original.sounds:
        return []
    if recipe.channels_max is None:
        return [_sound_plan(recipe, (sound,), sound.layout, sound.channels) for sound in original.sounds]
    first, *others = original.sounds
    is_split = first.channels == 1 and others and (others[0].channels, others[0].rate) == (1, first.rate)
    if recipe.channels_max > 1 and is_split:
        return [_sound_plan(recipe, (first, others[0]), "stereo", 2)]
    channels = min(recipe.channels_max, first.channels)
    layout = first.layout if channels == first.channels else {1: "mono", 2: "stereo"}[channels]
    return [_sound_plan(recipe, (first,), layout, channels)]


def _sound_plan(recipe: Recipe, tracks: tuple[Sound, ...], layout: str, channels: int) -> SoundPlan:
    codec = recipe.deep_sound if any(track.is_deep for track in tracks) else recipe.sound
    rate = tracks[0].rate
    if codec == "aac" and rate not in _AAC_RATES:
        rate = 48_000
    bit_rate = recipe.sound_bit_rate * channels if recipe.sound_bit_rate else None
    options = () if codec.startswith("pcm_") else recipe.sound_options
    return SoundPlan(tracks, codec, options, rate, layout, bit_rate)
