"""Proxies are in step with their originals: every picture, every time, the time code, the sound to the sample."""

import random
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from filmfs.proxy import originals
from filmfs.proxy.looking import look_at_packets, look_at_tables
from filmfs.proxy.originals import Colours
from filmfs.proxy.reading import Reading
from filmfs.proxy.recipes import EDITORIAL_H264, EDITORIAL_PRORES, Recipe
from tests.proxy.making import proxies
from tests.proxy.numbered import Numbered, Seen, Track, declared, lag, seen

H264 = Numbered(".mp4", "libx264", "yuv420p", tracks=(Track("aac", "stereo"),), options={"preset": "veryfast"})
_FROM_FIRST = {".ts", ".m2v"}  # containers whose times count from anywhere
UNEVEN = tuple(number * 3000 + (number * 7919) % 1400 for number in range(60))

FILMS = {
    "23.976": Numbered(rate=Fraction(24000, 1001), reel="A001"),
    "24": Numbered(),
    "25": Numbered(rate=Fraction(25), timecode="10:00:00:00"),
    "29.97 DF": Numbered(rate=Fraction(30000, 1001), timecode="00:59:59;20"),
    "29.97 NDF": Numbered(rate=Fraction(30000, 1001), timecode="00:59:59:20"),
    "30": Numbered(rate=Fraction(30)),
    "50": Numbered(rate=Fraction(50), frames=110),
    "59.94": Numbered(rate=Fraction(60000, 1001), frames=130, timecode="01:00:00;00"),
    "VFR of a phone": replace(H264, times=UNEVEN, unit=Fraction(1, 90_000), rate=Fraction(30), timecode=None),
    "VFR, cut at its beginning": replace(
        H264, times=tuple(time + 4321 for time in UNEVEN), unit=Fraction(1, 90_000), rate=Fraction(30), timecode=None
    ),
    "long groups with B-frames": replace(H264, group=40, options={"bf": "3", "preset": "fast"}),
    "open groups": replace(
        H264, codec="libx265", options={"x265-params": "keyint=12:open-gop=1:log-level=error"}, container={}
    ),
    "interlaced": Numbered(
        codec="mpeg2video",
        pixels="yuv422p",
        rate=Fraction(25),
        options={"flags": "+ilme+ildct", "b": "20M"},
    ),
    "anamorphic": Numbered(size=(720, 576), rate=Fraction(25), shape=Fraction(64, 45)),
    "turned": replace(H264, turned=90, timecode=None),
    "10 bit 4:2:2": Numbered(".mov", "libx264", "yuv422p10le", options={"preset": "veryfast"}),
    "alpha": Numbered(codec="prores_ks", pixels="yuva444p10le", options={"profile": "4444"}, alpha=200),
    "PQ": Numbered(".mp4", "libx265", "yuv420p10le", colours=(9, 16, 9), options={"x265-params": "log-level=error"},
                   tracks=(Track("aac"),)),
    "HLG": Numbered(".mp4", "libx265", "yuv420p10le", colours=(9, 18, 9), options={"x265-params": "log-level=error"},
                    tracks=(Track("aac"),)),
    "5.1": Numbered(tracks=(Track("pcm_s16le", "5.1"),)),
    "eight tracks": Numbered(tracks=tuple(Track("pcm_s24le") for _ in range(8))),
    "44.1 kHz": Numbered(tracks=(Track("pcm_s16le", "stereo", 44_100),)),
    "no sound": Numbered(tracks=()),
    "sound that begins later": Numbered(tracks=(Track(first=9_600, samples=60_001),)),
    "sound that is shorter": Numbered(tracks=(Track(samples=48_011),)),
    "MXF": Numbered(".mxf", "mpeg2video", "yuv422p", rate=Fraction(25), options={"b": "20M"},
                    tracks=(Track("pcm_s16le"),)),
    "Matroska": Numbered(".mkv", "libx264", "yuv420p", rate=Fraction(24000, 1001), timecode=None,
                         options={"preset": "veryfast"}, tracks=(Track("pcm_s16le"),)),
    "a transport stream": Numbered(".ts", "libx264", "yuv420p", rate=Fraction(25), timecode=None,
                                   options={"preset": "veryfast"}, tracks=(Track("aac", "stereo"),)),
    "Motion JPEG": Numbered(codec="mjpeg", pixels="yuvj422p", is_full=True),
    "RGB": Numbered(codec="qtrle", pixels="rgb24"),
    "one frame": Numbered(frames=1, tracks=()),
    "fragments": replace(H264, container={"movflags": "frag_keyframe+delay_moov"}, options={"bf": "2"}),
    "fragments without an edit list": replace(
        H264, container={"movflags": "frag_keyframe+empty_moov+default_base_moof"}, options={"bf": "0"}, tracks=()
    ),
    "4:4:4 of 12 bits": Numbered(codec="prores_ks", pixels="yuv444p10le", options={"profile": "4444"}),
    "DNxHR HQX": Numbered(codec="dnxhd", pixels="yuv422p10le", options={"profile": "dnxhr_hqx"}),
    "DNxHR 444 in MXF": Numbered(".mxf", "dnxhd", "yuv444p10le", options={"profile": "dnxhr_444"},
                                 tracks=(Track("pcm_s24le"),)),
    "JPEG 2000": Numbered(codec="jpeg2000", pixels="yuv422p10le", frames=30),
    "DV": Numbered(codec="dvvideo", pixels="yuv420p", rate=Fraction(25), size=(720, 576), shape=Fraction(16, 15),
                   tracks=(Track("pcm_s16le", "stereo"),)),
    "uncompressed": Numbered(codec="v210", pixels="yuv422p10le", size=(320, 180)),
    "FFV1": Numbered(".mkv", "ffv1", "yuv422p10le", timecode=None, rate=Fraction(25), tracks=(Track("pcm_s24le"),)),
    "AVI": Numbered(".avi", "mjpeg", "yuvj422p", is_full=True, timecode=None, tracks=(Track("pcm_s16le", "stereo"),)),
    "VP9": Numbered(".webm", "libvpx-vp9", "yuv420p", timecode=None, rate=Fraction(25),
                    options={"deadline": "realtime", "cpu-used": "8"}, tracks=()),
    "AV1": Numbered(".mp4", "libsvtav1", "yuv420p", tracks=(),
                    options={"preset": "8", "crf": "5", "svtav1-params": "lp=1"}),
    "ProRes, interlaced": Numbered(codec="prores_ks", rate=Fraction(25), options={"flags": "+ilme+ildct"}),
    "MPEG-2 without a container": Numbered(".m2v", "mpeg2video", "yuv420p", timecode=None, tracks=(),
                                           options={"b": "10M", "bf": "2"}),
    "a beginning that is late": Numbered(
        times=tuple(range(1, 51)), tracks=(), container={"movie_timescale": "24000"}
    ),
    "120 fps": replace(H264, rate=Fraction(120), frames=150, timecode=None),
}  # fmt: skip


@pytest.mark.parametrize("name", FILMS)
def test_proxies_are_in_step(name: str, tmp_path: Path) -> None:
    film = FILMS[name]
    path = film.write(tmp_path / "original")
    original = seen(path)
    made = proxies(path, tmp_path)
    assert made.damaged == ()
    for rendition in made.renditions:
        assert_in_step(seen(rendition.path), original, rendition.recipe, film)
        if original.tracks and rendition.recipe.channels_max is not None:
            assert declared(rendition.path) == len(original.tracks[0].samples[0])


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("bf", ["0", "3"])
@pytest.mark.parametrize("group", [40, 300])
def test_a_clip_that_begins_within_a_group_is_in_step(group: int, bf: str, tmp_path: Path) -> None:
    film = replace(H264, group=group, frames=100, options={"bf": bf, "preset": "fast"}, timecode=None)
    path, clip = film.write(tmp_path / "original"), tmp_path / "clip.mp4"
    cut = ["-v", "error", "-ss", "0.75", "-i", path, "-t", "2", "-c", "copy", clip]
    subprocess.run(["ffmpeg", *cut], check=True)
    original = seen(clip)
    assert original.numbers[0] == 18  # its edit list begins there, in the middle of a group
    for rendition in proxies(clip, tmp_path).renditions:
        made = seen(rendition.path)
        assert (made.numbers, made.times) == (original.numbers, original.times)
        assert_sounds_alike(made, original, rendition.recipe, Fraction(0))


@pytest.mark.parametrize("recipe", [EDITORIAL_PRORES, EDITORIAL_H264], ids=["ProRes", "H.264"])
def test_other_editorial_recipes_are_in_step_too(recipe: Recipe, tmp_path: Path) -> None:
    film = FILMS["23.976"]
    path = film.write(tmp_path / "original")
    (rendition,) = proxies(path, tmp_path, (recipe,)).renditions
    assert_in_step(seen(rendition.path), seen(path), recipe, film)


def assert_in_step(proxy: Seen, original: Seen, recipe: Recipe, film: Numbered) -> None:
    first = (
        min([original.times[0], *(track.begins for track in original.tracks)])
        if film.suffix in _FROM_FIRST
        else Fraction(0)
    )
    assert proxy.numbers == original.numbers == tuple(range(len(original.numbers)))
    if film.suffix != ".mkv":  # whose clock has milliseconds
        assert proxy.times == tuple(time - first for time in original.times)
    if film.times is None:
        assert proxy.rate == film.rate
        assert proxy.times == tuple(proxy.times[0] + number / film.rate for number in range(len(proxy.times)))
    assert proxy.size == recipe.size(*film.size)
    assert proxy.shape == original.shape
    assert proxy.turned == original.turned
    assert proxy.timecode == original.timecode
    if recipe.suffix == ".mov":
        assert proxy.reel == original.reel
    if film.colours is not None:
        assert proxy.colours == (1, 1, 1)
    assert_sounds_alike(proxy, original, recipe, first)


def assert_sounds_alike(proxy: Seen, original: Seen, recipe: Recipe, first: Fraction) -> None:
    if recipe.channels_max is None:
        assert [track.channels for track in proxy.tracks] == [track.channels for track in original.tracks]
    else:
        assert len(proxy.tracks) == min(1, len(original.tracks))
    for made, heard in zip(proxy.tracks, original.tracks, strict=False):
        assert made.rate == heard.rate
        assert made.begins == heard.begins - first
        count = len(heard.samples[0])
        if recipe.channels_max is None:
            assert [len(channel) for channel in made.samples] == [count] * heard.channels
            for one, other in zip(made.samples, heard.samples, strict=True):
                assert max(abs(a - b) for a, b in zip(one[::7], other[::7], strict=True)) < 1 / 32000
        else:
            if heard.channels <= 2:
                assert lag(heard.samples[0], made.samples[0]) == 0


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".h264"), ("libx265", ".hevc")])
def test_pictures_without_times_are_shown_evenly(codec: str, suffix: str, tmp_path: Path) -> None:
    film = replace(H264, suffix=suffix, codec=codec, rate=Fraction(25), timecode=None, tracks=(),
                   options={"preset": "veryfast", "bf": "2", "x265-params": "log-level=error"})  # fmt: skip
    for rendition in proxies(film.write(tmp_path / "original"), tmp_path).renditions:
        shown = seen(rendition.path)
        assert shown.numbers == tuple(range(50))
        assert shown.times == tuple(number / Fraction(25) for number in range(50))


def test_of_two_pictures_with_one_time_the_second_is_a_tick_later_and_all_others_are_where_they_were(
    tmp_path: Path,
) -> None:
    times = [number * 40 for number in range(20)] + [3000 + number * 40 for number in range(20)]  # after a pause
    times[7] = times[6]
    film = Numbered(".mkv", "ffv1", "yuv420p", times=tuple(times), unit=Fraction(1, 1000), tracks=(),
                    timecode=None, rate=Fraction(25))  # fmt: skip
    path = film.write(tmp_path / "original")
    assert seen(path).times[6] == seen(path).times[7]
    times[7] += 1
    for rendition in proxies(path, tmp_path).renditions:
        shown = seen(rendition.path)
        assert shown.numbers == tuple(range(40))
        assert shown.times == tuple(Fraction(time, 1000) for time in times)


def test_where_a_clock_says_the_same_of_many_pictures_they_are_even(tmp_path: Path) -> None:
    times = tuple(number // 25 * 1000 for number in range(50))
    film = Numbered(".mkv", "ffv1", "yuv420p", times=times, unit=Fraction(1, 1000), tracks=(), timecode=None,
                    rate=Fraction(25))  # fmt: skip
    for rendition in proxies(film.write(tmp_path / "original"), tmp_path).renditions:
        shown = seen(rendition.path)
        assert shown.numbers == tuple(range(50))
        assert shown.times == tuple(number * Fraction(1, 25) for number in range(50))


@pytest.mark.parametrize("group", [12, 300])
def test_times_that_are_not_those_of_pictures_as_shown_are_no_use_and_pictures_are_counted(
    group: int, tmp_path: Path
) -> None:
    """MXF, where FFmpeg says when pictures are decoded and not when they are shown."""
    film = Numbered(".mxf", "libx264", "yuv420p", rate=Fraction(25), frames=75, group=group, tracks=(),
                    options={"preset": "veryfast", "bf": "3"})  # fmt: skip
    path = film.write(tmp_path / "original")
    times = seen(path).times
    assert list(times) != sorted(times)
    made = proxies(path, tmp_path)
    assert (made.damaged, made.harmed) == ((), ())
    for rendition in made.renditions:
        shown = seen(rendition.path)
        assert shown.numbers == tuple(range(75))
        assert shown.times == tuple(number / Fraction(25) for number in range(75))


@pytest.mark.parametrize("name", [name for name, film in FILMS.items() if film.suffix in (".mov", ".mp4")])
def test_tables_say_what_the_packets_do(name: str, tmp_path: Path) -> None:
    path = str(FILMS[name].write(tmp_path / "original"))
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert look_at_tables(lambda: path, stream) == look_at_packets(Reading(lambda: path), container, stream)


class Loud(Numbered):
    """Its first pictures are noise, which takes many bytes."""

    def picture(self, number: int) -> "av.VideoFrame":
        frame = super().picture(number)
        if number < self.group:
            plane = frame.planes[0]
            plane.update(random.Random(number).randbytes(plane.buffer_size))
        return frame


def test_an_original_is_the_same_by_whichever_picture_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = Loud(".mp4", "libx264", "yuv420p", options={"crf": "12", "bf": "2"}, tracks=(), shape=Fraction(4, 3))
    path = str(film.write(tmp_path / "original"))
    by_a_small_one = originals.examine(lambda: path)
    decoded = []
    monkeypatch.setattr(originals, "_FAR", 1 << 30)
    monkeypatch.setattr(originals, "colours_of", lambda frame: decoded.append(frame.pts) or Colours())
    by_the_first = originals.examine(lambda: path)
    assert replace(by_a_small_one, picture=None) == replace(by_the_first, picture=None)
    assert by_a_small_one.picture is not None
    assert by_the_first.picture is not None
    assert replace(by_a_small_one.picture, colours=Colours()) == by_the_first.picture
    monkeypatch.undo()
    monkeypatch.setattr(originals, "colours_of", lambda frame: decoded.append(frame.pts) or Colours())
    originals.examine(lambda: path)
    first, small = decoded
    assert first == by_the_first.picture.times[0] < small
