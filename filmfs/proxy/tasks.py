"""What workers do: the pictures of a span at all sizes, the sound of all renditions, one rendition put together.

A task is a value, and so is what comes of it. Its files go to a folder under names that say which task made them, and
the last of them tells of the others: what is there whole need not be made again.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from blake3 import blake3

from filmfs.proxy import waveform
from filmfs.proxy.bitmaps import jpeg
from filmfs.proxy.checking import HEIGHT, WIDTH, Wanted, check, signature
from filmfs.proxy.decoding import FFmpegDecoder, Shown, Span
from filmfs.proxy.encoding import PictureEncoder, PicturePlan, SoundPlan
from filmfs.proxy.fitting import Fitter
from filmfs.proxy.joining import SoundPart, join
from filmfs.proxy.originals import Labels, Original, Picture
from filmfs.proxy.packets import PacketWriter
from filmfs.proxy.reading import Reading
from filmfs.proxy.recipes import Recipe
from filmfs.proxy.sequences import FramesDecoder
from filmfs.proxy.sounding import encode_sounds
from filmfs.proxy.sources import FrameFiles, Source
from filmfs.proxy.stills import StillKind, StillsKeeper, StillsPlan, filmstrip_file, poster_file

Advance = Callable[[int], None]
"""Told how many frames are done since it was told last. May raise to end the work."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made: names of files in its folder, and what there is to tell."""

    files: tuple[str, ...]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PictureTask:
    """Pictures of a span for each plan; `checked` numbers those of the film whose likeness is kept for the check."""

    identity: str
    source: Source
    picture: Picture
    span: Span
    times: tuple[tuple[int, int], ...]
    plans: tuple[PicturePlan, ...]
    checked: tuple[int, ...]
    threads: int = 1  # with which it is decoded
    stills: tuple[StillsPlan, ...] = ()  # what of the span they show
    is_lenient: bool = False  # towards bytes that cannot be read: their pictures are damaged

    @property
    def frames(self) -> int:
        """How many `advance` is told of."""
        return self.span.count

    @property
    def name(self) -> str:
        """What its files are called."""
        return _name(self.identity, "pictures", self.span.first, self.span.count, self.plans, self.stills)

    def carry_out(self, folder: str, advance: Advance) -> Result:
        """Makes the files: packets for each plan, then two for each of the stills. Raises BadMedia, DiskFailure."""
        order = sorted(range(len(self.plans)), key=lambda each: -self.plans[each].size.width)
        larger = [size for plan in self.stills for size in plan.sizes]
        fitter = Fitter(self.picture, [self.plans[each].size for each in order], larger)
        decoder = _decoder(self)
        damaged: list[int] = []
        others: dict[int, tuple[int, int]] = {}
        signatures: dict[int, list[int]] = {}
        names = tuple(f"{self.name}-{number}" for number in range(len(self.plans)))
        with ExitStack() as closing:
            closing.push(_forget_decoder)
            files = [closing.enter_context(open(os.path.join(folder, name), "wb")) for name in names]
            encoders = [PictureEncoder(plan) for plan in self.plans]
            writers = [PacketWriter(file, each.extradata) for file, each in zip(files, encoders, strict=True)]
            keepers = [StillsKeeper(plan, folder, f"{self.name}-stills{at}") for at, plan in enumerate(self.stills)]
            for keeper in keepers:
                closing.enter_context(keeper)

            def frames() -> Iterator[Any]:
                for shown in decoder.pictures(self.span):
                    self._note(shown, damaged, others)
                    yield shown.frame

            for number, sizes in enumerate(fitter.fitted(frames()), -self.span.before):
                if not 0 <= number < self.span.count:
                    continue
                if self.span.first + number in self.checked:
                    signatures[self.span.first + number] = list(signature(fitter.small(WIDTH, HEIGHT)))
                for keeper in keepers:
                    keeper.see(self.span.first + number, fitter)
                for each, frame in zip(order, sizes, strict=True):
                    for packet in encoders[each].encode(frame, self.times[number]):
                        writers[each].put(packet)
                advance(1)
            harmed = sorted(
                {self.span.first + each for each in decoder.harmed() if 0 <= each < self.span.count} - {*damaged}
            )
            for encoder, writer in zip(encoders, writers, strict=True):
                for packet in encoder.encode(None):
                    writer.put(packet)
        kept = tuple(name for keeper in keepers for name in keeper.names)
        lights = {number: each for keeper in keepers for number, each in keeper.lights.items()}
        likenesses = {"signatures": signatures, "lights": lights}
        return Result((*names, *kept), {"damaged": damaged, "others": others, "harmed": harmed, **likenesses})

    def _note(self, shown: Shown, damaged: list[int], others: dict[int, tuple[int, int]]) -> None:
        if shown.is_damaged and 0 <= shown.number < self.span.count:
            damaged.append(self.span.first + shown.number)
            if shown.other_size is not None:
                others[self.span.first + shown.number] = shown.other_size


_open: list[tuple[tuple[object, ...], FFmpegDecoder | FramesDecoder]] = []


def _decoder(task: PictureTask) -> FFmpegDecoder | FramesDecoder:
    """A decoder of the task's film: the last one that was used here, if it is that."""
    key = task.identity, task.source, task.threads, task.is_lenient
    if not _open or _open[0][0] != key:
        _forget_decoder(True)
        if isinstance(task.source, FrameFiles):
            _open.append((key, FramesDecoder(task.source, task.picture, is_lenient=task.is_lenient)))
        else:
            reading = Reading(task.source.open, mends=task.is_lenient)
            _open.append((key, FFmpegDecoder(reading, task.picture, task.threads)))
    return _open[0][1]


def _forget_decoder(has_failed: object, *_: object) -> None:
    if has_failed:
        while _open:
            _open.pop()[1].close()


@dataclass(frozen=True, slots=True)
class SoundTask:
    """The sound tracks of all renditions."""

    identity: str
    source: Source
    original: Original  # without its picture
    plans: tuple[SoundPlan, ...]
    frames: int = 0  # that `advance` is told of: seconds, where there are no pictures
    is_lenient: bool = False  # towards bytes that cannot be read: they are silence

    @property
    def name(self) -> str:
        """What its files are called."""
        return _name(self.identity, "sound", *map(str, self.plans))

    def carry_out(self, folder: str, advance: Advance) -> Result:
        """Makes the files. Raises BadMedia."""
        names = tuple(f"{self.name}-{number}" for number in range(len(self.plans)))
        with ExitStack() as closing:
            files = [closing.enter_context(open(os.path.join(folder, name), "wb")) for name in names]
            reading = Reading(self.source.open, mends=self.is_lenient)
            told = 0

            def hear(seconds: int) -> None:
                nonlocal told
                more = max(0, min(seconds, self.frames) - told)
                told += more
                advance(more)

            heard = encode_sounds(reading, self.original, self.plans, files, hear)
            hear(self.frames)
        return Result(names, {"tracks": [asdict(each) for each in heard]})


@dataclass(frozen=True, slots=True)
class JoinTask:
    """One rendition, of the files that other tasks made in the same folder; checked when it is whole."""

    identity: str
    recipe: Recipe
    plan: PicturePlan | None
    spans: tuple[str, ...]
    sounds: tuple[SoundPart, ...]
    labels: Labels
    wanted: Wanted

    @property
    def name(self) -> str:
        """What its file is called."""
        sounds = [part.file for part in self.sounds]
        return _name(self.identity, "join", self.recipe.identity, str(self.plan), *self.spans, *sounds)

    def carry_out(self, folder: str, advance: Advance) -> Result:
        """Makes the file. Raises BadMedia when it is not what it should be."""
        name = self.name + self.recipe.suffix
        target = os.path.join(folder, name)
        join(
            target,
            self.recipe.suffix,
            self.plan,
            [os.path.join(folder, span) for span in self.spans],
            [replace(part, file=os.path.join(folder, part.file)) for part in self.sounds],
            self.labels,
        )
        advance(0)
        check(target, self.wanted)
        return Result((name,), {})


@dataclass(frozen=True, slots=True)
class StillsTask:
    """The stills of a film, of the files in which its workers kept what they show; `poster` is the candidate for it."""

    identity: str
    plan: StillsPlan
    poster: int | None
    candidates: tuple[str, ...]
    tiles: tuple[str, ...]

    @property
    def name(self) -> str:
        """What its files are called."""
        return _name(self.identity, "stills", self.plan, self.poster, self.candidates, self.tiles)

    def carry_out(self, folder: str, advance: Advance) -> Result:
        """Makes the files: the poster, then the filmstrip, as far as there are to be any. Raises BadMedia, Corrupt."""
        made = {}
        if self.poster is not None:
            paths = [os.path.join(folder, name) for name in self.candidates]
            made[f"{self.name}.{StillKind.POSTER}.jpg"] = poster_file(self.plan, paths, self.poster)
        if self.plan.tiles:
            paths = [os.path.join(folder, name) for name in self.tiles]
            made[f"{self.name}.{StillKind.FILMSTRIP}.jpg"] = filmstrip_file(self.plan, paths)
        for name, data in made.items():
            _write(os.path.join(folder, name), data)
        advance(0)
        return Result(tuple(made), {})


@dataclass(frozen=True, slots=True)
class WaveformTask:
    """A picture of the sound of an original that has no others."""

    identity: str
    source: Source
    original: Original
    is_lenient: bool = False

    @property
    def name(self) -> str:
        """What its file is called."""
        return _name(self.identity, "waveform", waveform.WIDTH, waveform.HEIGHT)

    def carry_out(self, folder: str, advance: Advance) -> Result:
        """Makes the file. Raises BadMedia."""
        reading = Reading(self.source.open, mends=self.is_lenient)
        lanes = waveform.hear(reading, self.original, lambda: advance(0))
        name = f"{self.name}.{StillKind.POSTER}.jpg"
        _write(os.path.join(folder, name), jpeg(waveform.draw(lanes)))
        return Result((name,), {})


Task = PictureTask | SoundTask | JoinTask | StillsTask | WaveformTask


def done_before(task: Task, folder: str) -> Result | None:
    """What a task made in an earlier run, if all of it is there."""
    try:
        with open(_told(task, folder)) as file:
            told = json.load(file)
        if all(os.path.getsize(os.path.join(folder, name)) == size for name, size in told["files"].items()):
            return Result(tuple(told["files"]), told["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def tell(task: Task, folder: str, result: Result) -> Result:
    """Writes down what a task made, for `done_before`; the result as that gives it."""
    sizes = {name: os.path.getsize(os.path.join(folder, name)) for name in result.files}
    text = json.dumps({"files": sizes, "facts": result.facts})
    part = _told(task, folder) + ".part"
    with open(part, "w") as file:
        file.write(text)
    os.rename(part, _told(task, folder))
    return replace(result, facts=json.loads(text)["facts"])


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _told(task: Task, folder: str) -> str:
    return os.path.join(folder, task.name + ".json")


def _name(*said: object) -> str:
    return blake3(repr(said).encode()).hexdigest(16)
