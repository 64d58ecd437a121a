"""`ProxyGenerator` as it is called: a film in, finished proxies out, under asyncio and under trio."""

import asyncio
import functools
import logging
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import trio

from filmfs.archive import Archive, Mode
from filmfs.core.errors import BadMedia, Exists, NotFound
from filmfs.core.ids import identify
from filmfs.core.models import MediaFile, ProxyFile, ProxyResolution, VideoCodec
from filmfs.proxy.generator import ProxyGenerator
from tests.drive import Drive
from tests.proxy.numbered import Numbered, seen

FILM = Numbered(rate=Fraction(24), frames=40, size=(640, 360))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A film in a folder of its own."""
    (tmp_path / "footage").mkdir()
    return FILM.write(tmp_path / "footage" / "scene_001")


def generate(path: Path, *resolutions: ProxyResolution, generator: ProxyGenerator | None = None) -> list[ProxyFile]:
    call = (generator or ProxyGenerator()).generate_proxies
    return trio.run(functools.partial(call, MediaFile(path), resolutions or tuple(ProxyResolution)))


def test_it_runs_as_it_is_written_in_the_design(film: Path) -> None:
    media_file = MediaFile(
        file_path=film,
        size=film.stat().st_size,
        codec=VideoCodec.PRORES_422,
        frame_rate=24.0,
        resolution=(640, 360),
        audio_channels=1,
    )
    wanted = [ProxyResolution.THUMBNAIL, ProxyResolution.PREVIEW]
    proxies = asyncio.run(ProxyGenerator().generate_proxies(media_file, wanted))
    assert [proxy.resolution for proxy in proxies] == wanted
    for proxy in proxies:
        shown = seen(proxy.path)
        assert shown.numbers == tuple(range(40))
        assert (proxy.frames, proxy.frame_rate, proxy.start_timecode) == (40, Fraction(24), "01:00:00:00")
        assert proxy.size == shown.size
        assert proxy.content == identify([proxy.path.read_bytes()])[0]


def test_proxies_lie_where_resolve_looks(film: Path) -> None:
    proxies = generate(film)
    assert [os.path.relpath(proxy.path, film.parent) for proxy in proxies] == [
        "Proxy/scene_001.thumbnail.mp4",
        "Proxy/scene_001.preview.mp4",
        "Proxy/scene_001.mov",
    ]
    assert sorted(os.listdir(film.parent / "Proxy")) == sorted(proxy.path.name for proxy in proxies)
    assert os.listdir(film.parent) == ["Proxy", "scene_001.mov"] or os.listdir(film.parent) == [
        "scene_001.mov",
        "Proxy",
    ]


def test_or_where_is_asked(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    proxies = generate(film, generator=ProxyGenerator(output_dir=target, workers=1))
    assert sorted(os.listdir(target)) == [
        "scene_001.editorial.mov",
        "scene_001.preview.mp4",
        "scene_001.thumbnail.mp4",
    ]
    assert {proxy.path.parent for proxy in proxies} == {target}


def test_the_same_again_is_left_and_another_file_is_never_replaced(film: Path) -> None:
    (first,) = generate(film, ProxyResolution.PREVIEW)
    before = first.path.stat().st_mtime_ns
    assert generate(film, ProxyResolution.PREVIEW) == [first]
    assert first.path.stat().st_mtime_ns == before
    first.path.write_bytes(b"mine")
    with pytest.raises(Exists):
        generate(film, ProxyResolution.PREVIEW)
    assert first.path.read_bytes() == b"mine"


def test_an_archive_keeps_them(film: Path, tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", film)
    made = generate(Path("main:scene_001.mov"), generator=ProxyGenerator(drive.root))
    assert [proxy.resolution for proxy in made] == list(ProxyResolution)
    assert all(seen(proxy.path).numbers == tuple(range(40)) for proxy in made)
    with Archive(drive.root, Mode.INGEST) as archive:
        again = generate(Path("scene_001.mov"), ProxyResolution.PREVIEW, generator=ProxyGenerator(archive))
    assert again == [made[1]]
    listed: Any = drive.facts("proxy list", "main:scene_001.mov")
    assert len(listed["films"][0]["proxies"]) == 3
    drive.assert_sound()


def test_what_was_said_wrongly_is_told_and_the_film_wins(film: Path, caplog: pytest.LogCaptureFixture) -> None:
    described = MediaFile(film, frame_rate=25, resolution=(1920, 1080))
    with caplog.at_level(logging.WARNING):
        (proxy,) = trio.run(ProxyGenerator().generate_proxies, described, [ProxyResolution.THUMBNAIL])
    assert proxy.frame_rate == 24
    assert "25 frames a second" in caplog.text
    assert "1920 × 1080" in caplog.text


def test_nothing_is_left_of_what_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "no.mov"
    path.write_bytes(b"no film" * 100)
    with pytest.raises(BadMedia):
        generate(path)
    with pytest.raises(NotFound):
        generate(tmp_path / "nowhere.mov")
    assert os.listdir(tmp_path) == ["no.mov"]
