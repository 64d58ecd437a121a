"""Proxies: all three of a film against FFmpeg's command line for the same three; a mount while they are made."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benches.films import ffmpeg
from benches.frame import OURS, Figure, Outcome, Sample, Target, forget_pages, measured, rates, take_turns, times
from benches.places import FILMFS, MIB, Mounted, Place, filmfs
from filmfs.proxy.executors import Local
from filmfs.proxy.making import make
from filmfs.proxy.originals import examine
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, RECIPES, THUMBNAIL, Recipe
from filmfs.proxy.sources import OnDisk

FFMPEG = "ffmpeg"
ALONE = "one process"
_IDLE = "idle"
_SECONDS = 20
_SOURCE = "testsrc2=s={size}:r=24000/1001,noise=alls=10:allf=t+u"
_SOUND = "anoisesrc=r=48000:a=0.3"


@dataclass(frozen=True, slots=True)
class Codec:
    """How an original is encoded."""

    name: str
    suffix: str
    options: tuple[str, ...]
    size: tuple[int, int] = (1920, 1080)


CODECS = (
    Codec("ProRes 422 HQ", ".mov", ("-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le")),
    Codec("ProRes 422 LT", ".mov", ("-c:v", "prores_ks", "-profile:v", "1", "-pix_fmt", "yuv422p10le")),
    Codec("DNxHR HQ", ".mov", ("-c:v", "dnxhd", "-profile:v", "dnxhr_hq", "-pix_fmt", "yuv422p")),
    Codec("H.264, 50 Mbit/s", ".mp4", ("-c:v", "libx264", "-preset", "veryfast", "-b:v", "50M", "-g", "24")),
    Codec("HEVC 10 bit, 40 Mbit/s", ".mp4", ("-c:v", "libx265", "-preset", "ultrafast", "-b:v", "40M", "-g", "48")),
    Codec("MPEG-2 4:2:2, 50 Mbit/s", ".mov", ("-c:v", "mpeg2video", "-b:v", "50M", "-pix_fmt", "yuv422p")),
    Codec("Motion JPEG", ".mov", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj422p")),
)
_PIXELS = {"HEVC 10 bit, 40 Mbit/s": ("-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error")}


def proxies(place: Place) -> Outcome:
    """Thumbnail, preview and editorial of 20 s of grainy HD, sound included: filmfs by two processes, and by one."""
    directory, outcome = place.fresh("proxies"), Outcome()
    for codec in CODECS:
        film = _film(directory, codec, 2 if place.quick else _SECONDS)
        turns = {
            FFMPEG: partial(measured, partial(_by_ffmpeg, directory, film, codec)),
            OURS: partial(measured, partial(_by_us, directory, film, 2)),
            ALONE: partial(measured, partial(_by_us, directory, film, 1)),
        }
        samples = take_turns(turns, min(3, place.rounds))
        frames = _frames(film)
        outcome.figures.append(
            rates(f"{codec.name}, by the clock", "fps", frames, samples, FFMPEG, Target("ratio", least=1.0))
        )
        outcome.figures.append(_processor_time(codec.name, frames, samples))
        film.unlink()
    return outcome


def proxies_beside(place: Place) -> Outcome:
    """Reading a file through the mount while the queue of proxies is worked through, against when it is empty."""
    directory, outcome = place.fresh("proxies_beside"), Outcome()
    film = _film(directory, CODECS[0], 2 if place.quick else _SECONDS)
    with Mounted(directory) as mounted:
        mounted.add(film)
        large = mounted.main / "large"
        large.write_bytes(os.urandom(MIB) * (64 if place.quick else 1024))
        mounted.settle()
        samples: dict[str, list[Sample]] = {_IDLE: [], OURS: []}
        for _ in range(place.rounds):
            samples[_IDLE].append(_read(place, large, mounted.pid))
        filmfs("proxy", "make", mounted.root, "main:", "--later")
        _await(lambda: b'"running": {' in _status(mounted))
        while b'"running": {' in _status(mounted) and len(samples[OURS]) < 3 * place.rounds:
            samples[OURS].append(_read(place, large, mounted.pid))
        subprocess.run([*FILMFS, "proxy", "cancel", str(mounted.root), "--all"], check=False, capture_output=True)
    size = 64 if place.quick else 1024
    target = Target("ratio", least=0.5)
    outcome.figures.append(rates("read, 1 MiB at a time, proxies being made", "MiB/s", size, samples, _IDLE, target))
    outcome.facts["rounds_while_busy"] = len(samples[OURS])
    return outcome


def _film(directory: Path, codec: Codec, seconds: int) -> Path:
    path = directory / f"film{codec.suffix}"
    source = _SOURCE.format(size="{}x{}".format(*codec.size))
    lavfi = ("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", _SOUND, "-t", str(seconds), "-shortest", "-ac", "2")
    sound = "aac" if codec.suffix == ".mp4" else "pcm_s16le"
    ffmpeg(*lavfi, *codec.options, *_PIXELS.get(codec.name, ()), "-c:a", sound, path)
    return path


def _frames(film: Path) -> int:
    picture = examine(lambda: str(film)).picture
    assert picture is not None
    return picture.frames


def _by_us(directory: Path, film: Path, workers: int) -> None:
    folder = directory / "work"
    folder.mkdir()
    source = OnDisk(str(film))
    with Local(workers, nice=0) as executor:
        executor.start()
        make("film", source, examine(source.open), list(RECIPES.values()), executor, str(folder))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _by_ffmpeg(directory: Path, film: Path, codec: Codec) -> None:
    """One decoding, each size scaled from the one before, the same encoders with the same options."""
    sizes = {recipe.name: recipe.size(*codec.size) for recipe in (EDITORIAL, PREVIEW, THUMBNAIL)}
    scale = {name: f"scale={width}:{height}:flags=area" for name, (width, height) in sizes.items()}
    graph = (
        f"[0:v]{scale['editorial']},format={EDITORIAL.pixels},split[e][x];"
        f"[x]{scale['preview']},format={PREVIEW.pixels},split[p][y];[y]{scale['thumbnail']}[t]"
    )
    outputs: list[str | Path] = ["-map", "[e]", "-map", "0:a", *_options(EDITORIAL), "-c:a", "pcm_s16le"]
    outputs.append(directory / "editorial.mov")
    for recipe, label in ((PREVIEW, "[p]"), (THUMBNAIL, "[t]")):
        outputs += ["-map", label, "-map", "0:a", *_options(recipe), "-g", "24", "-movflags", "faststart"]
        outputs += ["-c:a", "aac", "-aac_coder", "fast", "-b:a", "128k", directory / f"{recipe.name}.mp4"]
    ffmpeg("-i", film, "-filter_complex", graph, *outputs)
    for recipe in (EDITORIAL, PREVIEW, THUMBNAIL):
        (directory / f"{recipe.name}{recipe.suffix}").unlink()


def _options(recipe: Recipe) -> list[str]:
    names = {"profile": "-profile:v", "preset": "-preset", "bf": "-bf", "crf": "-crf"}
    said = [each for key, value in recipe.picture_options for each in (names.get(key, f"-{key}"), value)]
    return ["-c:v", recipe.picture, *said]


def _processor_time(name: str, frames: int, samples: dict[str, list[Sample]]) -> Figure:
    """Milliseconds of processor time a frame; the ratio is ours to theirs, so less is better."""
    spent = {who: [Sample(each.client_s / frames) for each in of] for who, of in samples.items()}
    return times(f"{name}, processor time a frame", spent, FFMPEG, Target("ratio", most=1.0), unit="ms")


def _read(place: Place, path: Path, pid: int) -> Sample:
    forget_pages(path)
    return measured(lambda: place.client.run("seq", path, arguments=[MIB]), pid)


def _status(mounted: Mounted) -> bytes:
    command = [*FILMFS, "proxy", "status", str(mounted.root), "--json"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _await(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
    raise RuntimeError("the queue was not begun")
