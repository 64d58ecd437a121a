"""Proxies that cameras and other programs made are adopted, if they are what their names say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.drive import Drive, answer
from tests.proxy.numbered import Numbered

ORIGINAL = Numbered(
    ".mp4", "libx264", "yuv420p", frames=30, options={"preset": "ultrafast"}, size=(640, 360), tracks=()
)
SUB = replace(ORIGINAL, size=(320, 180))
CARDS = {
    "Sony XAVC S": ("PRIVATE/M4ROOT/CLIP/C0001.MP4", "PRIVATE/M4ROOT/SUB/C0001S03.MP4"),
    "Sony XDCAM": ("XDROOT/Clip/C0001.mp4", "XDROOT/Sub/C0001S01.MP4"),
    "Panasonic P2": ("CONTENTS/VIDEO/0001AB.mp4", "CONTENTS/PROXY/0001AB.MP4"),
    "Resolve": ("A001/scene.mp4", "A001/Proxy/scene.mp4"),
    "Premiere": ("A001/scene.mp4", "A001/Proxies/scene_Proxy.mp4"),
}


def card(folder: Path, original: str, proxy: str, film: Numbered = SUB) -> Path:
    """A card with both."""
    for name, made in ((original, ORIGINAL), (proxy, film)):
        path = folder / "card" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write(folder / "made").rename(path)
    return folder / "card"


@pytest.mark.parametrize("kind", CARDS)
def test_proxies_of_cameras_and_editors_are_adopted_and_not_made(kind: str, tmp_path: Path) -> None:
    original, proxy = CARDS[kind]
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{card(tmp_path, original, proxy)}/")
    (told,) = drive.facts("proxy adopt", f"main:{original}", "--dry-run")["films"]
    assert (told["proxy"], told["stands_for"]) == (proxy, "editorial")
    assert drive.facts("proxy list", f"main:{original}")["films"][0]["proxies"] == []
    drive.filmfs("proxy make", "main:", "--sizes", "thumbnail,editorial")
    (listed,) = drive.facts("proxy list", f"main:{original}")["films"]
    made = {each["name"]: each for each in listed["proxies"]}
    assert made["editorial"]["adopted"] == proxy
    assert "adopted" not in made["thumbnail"]
    assert drive.facts("proxy list", f"main:{proxy}")["films"][0]["proxies"] == []
    drive.assert_sound()


@pytest.mark.parametrize(
    ("film", "reason"),
    [
        (replace(SUB, frames=29), "it has 29 frames, and the original 30"),
        (replace(SUB, rate=ORIGINAL.rate + 1), "25.000 frames a second"),
        (replace(SUB, timecode="02:00:00:00"), "it begins at 02:00:00:00"),
        (ORIGINAL, "not smaller"),
    ],
)
def test_what_is_no_proxy_of_it_is_told_and_left(film: Numbered, reason: str, tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    film = replace(film, first=1)  # other bytes than the original's
    drive.filmfs("add", f"{card(tmp_path, 'scene.mp4', 'Proxy/scene.mp4', film)}/")
    (told,) = drive.facts("proxy adopt", "main:scene.mp4")["films"]
    assert told["stands_for"] is None
    assert reason in told["reason"]
    assert drive.facts("proxy list", "main:scene.mp4")["films"][0]["proxies"] == []


def test_an_original_without_a_decoder_here_has_the_proxies_that_its_maker_made(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    folder = card(tmp_path, "other.mp4", "Proxy/A001_C001.mp4")
    (folder / "A001_C001.R3D").write_bytes(b"\0\0\1\0RED2" * 1000)
    drive.filmfs("add", f"{folder}/")
    done = answer("proxy", "make", drive.root, "main:A001_C001.R3D", "--json")
    assert done.returncode == 0
    (made,) = json.loads(done.stdout)["films"][0]["proxies"]
    assert made["adopted"] == "Proxy/A001_C001.mp4"
    (listed,) = drive.facts("proxy list", "main:A001_C001.R3D")["films"]
    assert [each["adopted"] for each in listed["proxies"]] == ["Proxy/A001_C001.mp4"]


def test_one_that_was_made_before_is_replaced_where_somebody_says_so(tmp_path: Path) -> None:
    drive = Drive(tmp_path)
    folder = card(tmp_path, "scene.mp4", "Proxy/scene.mp4")
    drive.filmfs("add", folder / "scene.mp4")
    with open(f"{drive.root}/archive.toml", "a") as settings:
        settings.write('[recipes.editorial]\nstills = ["poster"]\n')
    drive.filmfs("proxy make", "main:", "--sizes", "editorial")
    drive.filmfs("add", folder / "Proxy")
    drive.filmfs("proxy make", "main:scene.mp4", "--sizes", "editorial,thumbnail")
    assert [each.get("adopted") for each in listed(drive)] == [None, None]
    (plan,) = drive.facts("proxy make", "main:scene.mp4", "--sizes", "editorial", "--again", "--dry-run")["films"]
    assert (plan["make"], plan["adopt"]) == ([], {"editorial": "main:Proxy/scene.mp4"})
    assert "scene.mp4: Proxy/scene.mp4 stands for its editorial\n1 file adopted" in drive.filmfs("proxy adopt", "main:")
    assert sorted((each["name"], each.get("adopted")) for each in listed(drive)) == [
        ("editorial", "Proxy/scene.mp4"),
        ("thumbnail", None),
    ]
    (editorial,) = [each for each in listed(drive) if each["name"] == "editorial"]
    assert [each["kind"] for each in editorial["files"]] == ["film", "poster"]
    assert "stands for its editorial already\n0 files adopted" in drive.filmfs("proxy adopt", "main:")
    drive.assert_sound()


def listed(drive: Drive) -> list[dict[str, Any]]:
    """The film's proxies."""
    films: list[dict[str, Any]] = drive.facts("proxy list", "main:scene.mp4")["films"]
    return list(films[0]["proxies"])
