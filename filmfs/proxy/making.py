"""All renditions of one original: planned, given to workers, put together, checked.

The original is decoded once: the pictures of all renditions are made in spans, side by side, while another worker does
the sound. Then each rendition is put together from these pieces and checked, and its stills beside it. What is
finished is in the job's folder, and whoever asked publishes it; a run that is cut off goes on from the pieces that it
finds there.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm

from filmfs.core.errors import BadMedia, FilmFSError
from filmfs.core.models import Unit
from filmfs.proxy import waveform
from filmfs.proxy.checking import Wanted
from filmfs.proxy.decoding import Span, plan_spans
from filmfs.proxy.encoding import PicturePlan, SoundPlan, picture_times, plan_picture, plan_sounds
from filmfs.proxy.executors import Executor, Outcome
from filmfs.proxy.fitting import shown_colours
from filmfs.proxy.joining import SoundPart
from filmfs.proxy.originals import Labels, Original, Sound
from filmfs.proxy.recipes import Recipe
from filmfs.proxy.sources import Source, part_of
from filmfs.proxy.stills import Still, StillKind, StillsPlan, choose_poster, finished_stills, plan_stills
from filmfs.proxy.tasks import JoinTask, PictureTask, Result, SoundTask, StillsTask, Task, WaveformTask

_SPAN_FRAMES = 240  # of pictures that stand by themselves
_LONG_SPAN_FRAMES = 960  # of others: some are decoded in vain before a span
_THREADS_MAX = 8  # more would be on other machines, or stand in each other's way
_LOST_TOLD_S = 0.01
_CHECKED = 8  # pictures of a film that are compared


@dataclass(frozen=True, slots=True)
class Rendition:
    """A finished rendition of an original, in a file that is yet to be published."""

    recipe: Recipe
    path: str
    size: tuple[int, int] | None
    frames: int
    rate: Fraction | None
    labels: Labels
    seconds: Fraction
    sound: str | None = None  # how its first sound track is coded
    stills: tuple[Still, ...] = ()


@dataclass(frozen=True, slots=True)
class Making:
    """What came of an original: renditions, and what there is to remark.

    Frames that are `damaged` could not be decoded, or not wholly; those that are `harmed` may show it, as they may
    refer to them.
    """

    renditions: tuple[Rendition, ...]
    damaged: tuple[int, ...] = ()
    harmed: tuple[int, ...] = ()
    others: Mapping[int, tuple[int, int]] = field(default_factory=dict)  # sizes of damaged ones that have their own
    flaws: tuple[str, ...] = ()  # what else is wrong with the original, in words
    remarks: tuple[str, ...] = ()


Advance = Callable[[int], None]


@dataclass
class _Pieces:
    spans: dict[int, tuple[str, ...]] = field(default_factory=dict)
    kept: dict[int, tuple[str, ...]] = field(default_factory=dict)  # of a span: two files for each plan of stills
    lights: dict[int, int] = field(default_factory=dict)  # of candidates for posters
    waveform: str = ""
    sounds: dict[SoundPlan, tuple[str, int]] = field(default_factory=dict)  # files, and how much padding each has
    seconds: Fraction = Fraction(0)  # of the longest sound track
    damaged: list[int] = field(default_factory=list)
    harmed: list[int] = field(default_factory=list)
    others: dict[int, tuple[int, int]] = field(default_factory=dict)
    flaws: list[str] = field(default_factory=list)
    signatures: dict[int, tuple[int, ...]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def make(
    identity: str,
    source: Source,
    original: Original,
    recipes: Sequence[Recipe],
    executor: Executor,
    folder: str,
    advance: Advance = lambda _: None,
    *,
    is_lenient: bool = False,
) -> Making:
    """Makes the renditions; their files are in `folder` then. `identity` names the original's bytes and labels.

    `is_lenient`: pictures whose bytes cannot be read are damaged, and sound is silence.

    Raises BadMedia when a part of the original can be made nothing of, and what the disk says.
    """
    picture = original.picture
    if picture is not None:
        matrix = shown_colours(picture).matrix
        recipes = [recipe.fit_for(picture.width, picture.height, matrix) for recipe in recipes]
    pictures = [plan_picture(original, recipe) for recipe in recipes] if picture is not None else []
    sounds = [plan_sounds(original, recipe) for recipe in recipes]
    times = tuple(picture_times(original)) if original.picture is not None else ()
    stills = _plan_stills(original, pictures, times)
    checked = _checked(len(times))
    tasks = _tasks(
        identity, source, original, pictures, sounds, times, checked, executor.workers, list(stills.values())
    )
    if picture is None and any(StillKind.POSTER in recipe.stills for recipe in recipes):
        tasks.append(WaveformTask(identity, source, original))
    if is_lenient:
        tasks = [task if isinstance(task, JoinTask | StillsTask) else replace(task, is_lenient=True) for task in tasks]
    pieces = _Pieces()
    for outcome in executor.run(tasks, folder, advance):
        _collect(pieces, outcome)
    if times and len(pieces.damaged) == len(times):
        raise BadMedia("none of its pictures can be decoded")
    joins = _joins(identity, original, recipes, pictures, sounds, times, checked, pieces)
    sheets = _still_tasks(identity, stills, pieces)
    paths: dict[str, tuple[str, ...]] = {}
    for outcome in executor.run([*joins, *sheets.values()], folder, advance):
        paths[outcome.task.name] = tuple(os.path.join(folder, name) for name in _result(outcome, pieces).files)
    made = tuple(
        Rendition(
            recipe,
            paths[joins[number].name][0],
            (pictures[number].size.width, pictures[number].size.height) if pictures else None,
            len(times),
            original.picture.rate if original.picture is not None else None,
            original.labels,
            _seconds(times, pictures[number].unit) if pictures else pieces.seconds,
            sounds[number][0].codec if sounds[number] else None,
            _stills(recipe, sheets.get(number), paths, os.path.join(folder, pieces.waveform)),
        )
        for number, recipe in enumerate(recipes)
    )
    flaws = (*original.flaws, *pieces.flaws)
    damaged, harmed = tuple(sorted(pieces.damaged)), tuple(sorted(pieces.harmed))
    return Making(made, damaged, harmed, pieces.others, flaws, tuple(pieces.remarks))


@dataclass(frozen=True, slots=True)
class Work:
    """What `advance` will be told of."""

    total: int
    unit: Unit


def work_of(original: Original) -> Work:
    """How much there is to do."""
    if original.picture is None:
        return Work(original.seconds, Unit.SECONDS)
    return Work(original.picture.frames, Unit.FRAMES)


def _tasks(
    identity: str,
    source: Source,
    original: Original,
    pictures: Sequence[PicturePlan],
    sounds: Sequence[Sequence[SoundPlan]],
    times: tuple[tuple[int, int], ...],
    checked: tuple[int, ...],
    workers: int,
    stills: Sequence[StillsPlan],
) -> list[Task]:
    tasks: list[Task] = []
    near = tuple(sorted({number + step for number in checked for step in (-1, 0, 1)}))
    if original.picture is not None:
        spans = _spans(original, pictures, workers)
        threads = min(_THREADS_MAX, max(1, workers // len(spans)))  # where a film cannot be split
        for span in sorted(spans, key=lambda span: -span.effort):  # a long one that comes last is waited for
            end = span.first + span.count
            tasks.append(
                PictureTask(
                    identity,
                    part_of(source, span.first - span.before, end + span.after),
                    original.picture.without_times(),
                    span,
                    times[span.first : end],
                    tuple(pictures),
                    tuple(number for number in near if span.first <= number < end),
                    threads,
                    tuple(plan.within(span.first, end) for plan in stills),
                )
            )
    plans = tuple(dict.fromkeys(plan for each in sounds for plan in each))  # two renditions may have the same
    if plans:
        sound = SoundTask(identity, source, replace(original, picture=None), plans, original.seconds)
        tasks.insert(min(len(tasks), workers - 1), sound)
    return tasks


def _spans(original: Original, plans: Sequence[PicturePlan], workers: int) -> list[Span]:
    picture = original.picture
    assert picture is not None
    whole = lcm(*(plan.group for plan in plans))
    is_dense = len(picture.starts) == picture.frames
    most = _SPAN_FRAMES if is_dense else _LONG_SPAN_FRAMES
    return plan_spans(picture, most, whole, 2 if picture.is_interlaced else 0, max(1, workers))


def _seconds(times: Sequence[tuple[int, int]], unit: Fraction) -> Fraction:
    return (times[-1][0] + times[-1][1] - times[0][0]) * unit if times else Fraction(0)


def _plan_stills(
    original: Original, pictures: Sequence[PicturePlan], times: Sequence[tuple[int, int]]
) -> dict[int, StillsPlan]:
    """Of the recipes that have some, by the recipe's number."""
    picture = original.picture
    if picture is None:
        return {}
    plans = {number: plan_stills(picture, each.recipe, times, each.unit) for number, each in enumerate(pictures)}
    return {number: plan for number, plan in plans.items() if plan is not None}


def _checked(frames: int) -> tuple[int, ...]:
    """Pictures here and there, the first and the last among them."""
    if frames <= _CHECKED:
        return tuple(range(frames))
    return tuple(number * (frames - 1) // (_CHECKED - 1) for number in range(_CHECKED))


def _collect(pieces: _Pieces, outcome: Outcome) -> None:
    result = _result(outcome, pieces)
    if isinstance(outcome.task, PictureTask):
        first, packets = outcome.task.span.first, len(outcome.task.plans)
        pieces.spans[first], pieces.kept[first] = result.files[:packets], result.files[packets:]
        pieces.lights.update({int(number): light for number, light in result.facts["lights"].items()})
        pieces.damaged += result.facts["damaged"]
        pieces.others |= {int(number): tuple(size) for number, size in result.facts.get("others", {}).items()}
        pieces.harmed += result.facts.get("harmed", ())  # earlier versions left none
        pieces.signatures.update({int(number): tuple(s) for number, s in result.facts["signatures"].items()})
    elif isinstance(outcome.task, SoundTask):
        tracks = list(zip(outcome.task.plans, result.files, result.facts["tracks"], strict=True))
        for plan, file, track in tracks:
            pieces.sounds[plan] = file, track["padding"]
            pieces.seconds = max(pieces.seconds, Fraction(track["samples"], plan.tracks[0].rate))
        pieces.flaws += _of_sounds({plan.tracks[0]: track for plan, _, track in tracks})
    elif isinstance(outcome.task, WaveformTask):
        (pieces.waveform,) = result.files


def _of_sounds(tracks: Mapping[Sound, Mapping[str, int]]) -> Iterator[str]:
    """What is not there of the original's tracks."""
    for sound, track in tracks.items():
        seconds = track["lost"] / sound.rate
        if not track["samples"]:
            yield f"nothing of sound track {sound.stream + 1} can be decoded: it is silent"
        elif seconds >= _LOST_TOLD_S:
            yield f"sound track {sound.stream + 1} lacks {seconds:.2f} s: they are silent"


def _result(outcome: Outcome, pieces: _Pieces) -> Result:
    pieces.remarks += outcome.remarks
    if isinstance(outcome.result, FilmFSError):
        raise outcome.result
    return outcome.result


def _joins(
    identity: str,
    original: Original,
    recipes: Sequence[Recipe],
    pictures: Sequence[PicturePlan],
    sounds: Sequence[Sequence[SoundPlan]],
    times: tuple[tuple[int, int], ...],
    checked: tuple[int, ...],
    pieces: _Pieces,
) -> list[JoinTask]:
    joins = []
    fine = tuple(number for number in checked if number not in set(pieces.damaged))
    for number, recipe in enumerate(recipes):
        tracks = tuple(SoundPart(plan, *pieces.sounds[plan]) for plan in sounds[number])
        plan = pictures[number] if pictures else None
        spans = tuple(files[number] for _, files in sorted(pieces.spans.items()))
        unit = plan.unit if plan is not None else Fraction(1)
        wanted = Wanted(times, unit, pieces.signatures, fine if plan is not None else (), len(tracks))
        joins.append(JoinTask(identity, recipe, plan, spans, tracks, original.labels, wanted))
    return joins


def _still_tasks(identity: str, stills: Mapping[int, StillsPlan], pieces: _Pieces) -> dict[int, StillsTask]:
    """What puts stills together, by the recipe's number."""
    tasks = {}
    kept = [files for _, files in sorted(pieces.kept.items())]
    for at, (number, plan) in enumerate(stills.items()):
        lights = {candidate: pieces.lights[candidate] for candidate in plan.candidates}
        poster = choose_poster(lights, [*pieces.damaged, *pieces.harmed]) if lights else None
        candidates = tuple(files[2 * at] for files in kept)
        tiles = tuple(files[2 * at + 1] for files in kept)
        tasks[number] = StillsTask(identity, plan, poster, candidates, tiles)
    return tasks


def _stills(
    recipe: Recipe, task: StillsTask | None, paths: Mapping[str, tuple[str, ...]], sound: str
) -> tuple[Still, ...]:
    """What there is now; `sound` is the path of a picture of sound, for an original that has no others."""
    if task is not None:
        return finished_stills(task.plan, task.poster, paths[task.name])
    if StillKind.POSTER in recipe.stills:
        return (Still(StillKind.POSTER, sound, (waveform.WIDTH, waveform.HEIGHT)),)
    return ()
