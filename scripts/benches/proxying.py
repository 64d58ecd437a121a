"""Proxies: all three of a film against FFmpeg's command line for the same three; a mount while they are made."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import rmtree

from benches.films import ffmpeg
from benches.frame import OURS, Figure, Outcome, Sample, Target, forget_pages, measured, rates, take_turns, times
from benches.places import FILMFS, MIB, Mounted, Place, filmfs
from filmfs.proxy.executors import Local
from filmfs.proxy.fitting import shown_colours
from filmfs.proxy.making import make
from filmfs.proxy.recipes import EDITORIAL, PREVIEW, RECIPES, THUMBNAIL, Recipe
from filmfs.proxy.sequences import examine_source
from filmfs.proxy.sources import FrameFiles, OnDisk, Source

FFMPEG = "ffmpeg"
ALONE = "one process"
_IDLE = "idle"
_SOURCE = "testsrc2=s={size}:r=24000/1001,noise=alls=10:allf=t+u"
_FRAME = "frame%05d"
_SOUND = "anoisesrc=r=48000:a=0.3"


@dataclass(frozen=True, slots=True)
class Codec:
    """How an original is encoded."""

    name: str
    suffix: str
    options: tuple[str, ...]
    size: tuple[int, int] = (1920, 1080)
    seconds: int = 20
    reading: tuple[str, ...] = ()  # what FFmpeg must be told to read it

    @property
    def is_sequence(self) -> bool:
        """Whether it is images, of which each is a file."""
        return self.suffix in (".exr", ".dpx")


_UHD = (3840, 2160)
_X264 = ("-c:v", "libx264", "-preset", "veryfast")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error")
_LIGHT = ("-apply_trc", "iec61966_2_1")
CODECS = (
    Codec("ProRes 422 HQ", ".mov", ("-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le")),
    Codec("ProRes 422 LT", ".mov", ("-c:v", "prores_ks", "-profile:v", "1", "-pix_fmt", "yuv422p10le")),
    Codec("DNxHR HQ", ".mov", ("-c:v", "dnxhd", "-profile:v", "dnxhr_hq", "-pix_fmt", "yuv422p")),
    Codec("H.264, 50 Mbit/s", ".mp4", (*_X264, "-b:v", "50M", "-g", "24")),
    Codec("HEVC 10 bit, 40 Mbit/s", ".mp4", (*_X265, "-b:v", "40M", "-g", "48")),
    Codec("MPEG-2 4:2:2, 50 Mbit/s", ".mov", ("-c:v", "mpeg2video", "-b:v", "50M", "-pix_fmt", "yuv422p")),
    Codec("Motion JPEG", ".mov", ("-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj422p")),
    Codec("ProRes 4444", ".mov", ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuv444p10le")),
    Codec("ProRes 422 HQ, UHD", ".mov", ("-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le"), _UHD, 12),
    Codec("DNxHR HQX", ".mov", ("-c:v", "dnxhd", "-profile:v", "dnxhr_hqx", "-pix_fmt", "yuv422p10le")),
    Codec("H.264 10 bit 4:2:2, intra", ".mp4", (*_X264, "-b:v", "100M", "-g", "1", "-pix_fmt", "yuv422p10le")),
    Codec("H.264 10 bit 4:2:2, UHD", ".mp4", (*_X264, "-b:v", "150M", "-g", "24", "-pix_fmt", "yuv422p10le"), _UHD, 12),
    Codec("HEVC 10 bit, UHD", ".mp4", (*_X265, "-b:v", "100M", "-g", "48"), _UHD, 12),
    Codec(
        "EXR, half, ZIP",
        ".exr",
        ("-c:v", "exr", "-compression", "zip16", "-format", "half"),
        seconds=12,
        reading=_LIGHT,
    ),
    Codec("DPX, 10 bit", ".dpx", ("-c:v", "dpx", "-pix_fmt", "gbrp10le"), seconds=20),
)


def proxies(place: Place) -> Outcome:
    """Thumbnail, preview and editorial of some seconds of grain with sound: filmfs by two processes, and by one."""
    directory, outcome = place.fresh("proxies"), Outcome()
    for codec in CODECS:
        film = _film(directory, codec, 2 if place.quick else codec.seconds)
        turns = {
            FFMPEG: partial(measured, partial(_by_ffmpeg, directory, film, codec, _editorial(film))),
            OURS: partial(measured, partial(_by_us, directory, film, 2)),
            ALONE: partial(measured, partial(_by_us, directory, film, 1)),
        }
        samples = take_turns(turns, min(3, place.rounds))
        frames = _frames(film)
        outcome.figures.append(
            rates(f"{codec.name}, by the clock", "fps", frames, samples, FFMPEG, Target("ratio", least=1.0))
        )
        outcome.figures.append(_processor_time(codec.name, frames, samples))
        film.unlink() if film.is_file() else rmtree(film)
    return outcome


def proxies_beside(place: Place) -> Outcome:
    """Reading a file through the mount while the queue of proxies is worked through, against when it is empty."""
    directory, outcome = place.fresh("proxies_beside"), Outcome()
    film = _film(directory, CODECS[0], 2 if place.quick else CODECS[0].seconds)
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
    source = _SOURCE.format(size="{}x{}".format(*codec.size))
    if codec.is_sequence:
        path = directory / "film"
        path.mkdir()
        ffmpeg("-f", "lavfi", "-i", source, "-t", str(seconds), *codec.options, path / f"{_FRAME}{codec.suffix}")
        return path
    path = directory / f"film{codec.suffix}"
    lavfi = ("-f", "lavfi", "-i", source, "-f", "lavfi", "-i", _SOUND, "-t", str(seconds), "-shortest", "-ac", "2")
    sound = "aac" if codec.suffix == ".mp4" else "pcm_s16le"
    ffmpeg(*lavfi, *codec.options, "-c:a", sound, path)
    return path


def _source(film: Path) -> Source:
    if film.is_file():
        return OnDisk(str(film))
    names = sorted(film.iterdir())
    return FrameFiles(1, tuple((number, OnDisk(str(name))) for number, name in enumerate(names, 1)))


def _editorial(film: Path) -> Recipe:
    """How filmfs makes it of this film: of BT.601, as that of Motion JPEG is, it is ProRes."""
    picture = examine_source(_source(film)).picture
    assert picture is not None
    return EDITORIAL.fit_for(picture.width, picture.height, shown_colours(picture).matrix)


def _frames(film: Path) -> int:
    picture = examine_source(_source(film)).picture
    assert picture is not None
    return picture.frames


def _by_us(directory: Path, film: Path, workers: int) -> None:
    folder = directory / "work"
    folder.mkdir()
    source = _source(film)
    with Local(workers, nice=0) as executor:
        executor.start()
        make("film", source, examine_source(source), list(RECIPES.values()), executor, str(folder))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def _by_ffmpeg(directory: Path, film: Path, codec: Codec, editorial: Recipe) -> None:
    """One decoding, each size scaled from the one before, the same encoders with the same options."""
    sizes = {recipe.name: recipe.size(*codec.size) for recipe in (editorial, PREVIEW, THUMBNAIL)}
    scale = {name: f"scale={width}:{height}:flags=area" for name, (width, height) in sizes.items()}
    graph = (
        f"[0:v]{scale['editorial']},format={editorial.pixels},split[e][x];"
        f"[x]{scale['preview']},format={PREVIEW.pixels},split[p][y];[y]{scale['thumbnail']}[t]"
    )
    sound = () if codec.is_sequence else ("-map", "0:a")
    outputs: list[str | Path] = ["-map", "[e]", *sound, *_options(editorial), "-c:a", "pcm_s16le"]
    outputs.append(directory / "editorial.mov")
    for recipe, label in ((PREVIEW, "[p]"), (THUMBNAIL, "[t]")):
        outputs += ["-map", label, *sound, *_options(recipe), "-g", "24", "-movflags", "faststart"]
        outputs += ["-c:a", "aac", "-aac_coder", "fast", "-b:a", "128k", directory / f"{recipe.name}.mp4"]
    place = film / f"{_FRAME}{codec.suffix}" if codec.is_sequence else film
    ffmpeg(*codec.reading, "-i", place, "-filter_complex", graph, *outputs)
    for recipe in (editorial, PREVIEW, THUMBNAIL):
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
