"""`filmfs proxy` as a person uses it."""

import json
import os
import random
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from filmfs.core import errors
from tests.drive import Drive, answer
from tests.proxy.numbered import Numbered, seen
from tests.proxy.test_damage import damage

FILM = Numbered(rate=Fraction(30000, 1001), frames=40, timecode="00:59:59;15", size=(640, 360))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card with a film, the same film again, something that is none, and a note."""
    card = tmp_path_factory.mktemp("card")
    path = FILM.write(card / "scene")
    (card / "again").mkdir()
    (card / "again" / "copy.mov").write_bytes(path.read_bytes())
    (card / "broken.mov").write_bytes(b"no film" * 1000)
    (card / "notes.txt").write_text("notes")
    return card


@pytest.fixture
def shoot(tmp_path: Path, card: Path) -> Drive:
    """An archive with what is on the card."""
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{card}/")
    return drive


def test_what_can_be_made_is_made_and_what_cannot_is_told(shoot: Drive) -> None:
    done = answer("proxy", "make", shoot.root, "main:")
    assert done.returncode == errors.LeftOut.exit_code
    assert "main:broken.mov: FFmpeg cannot read it" in done.stdout
    assert "main:again/copy.mov: thumbnail 80×46" in done.stdout
    assert "1 film of 3" in done.stderr
    shoot.assert_sound()


def test_the_same_content_is_proxied_once(shoot: Drive) -> None:
    facts = json.loads(answer("proxy", "make", shoot.root, "main:", "--json").stdout)
    assert facts["known"] == 1
    assert [each["place"] for each in facts["films"]] == ["main:again/copy.mov", "main:broken.mov"]
    listed = shoot.facts("proxy list", "main:")["films"]
    assert [len(each["proxies"]) for each in listed] == [3, 0, 3]


def test_a_plan_makes_nothing(shoot: Drive) -> None:
    facts = shoot.facts("proxy make", "main:scene.mov", "--dry-run", "--sizes", "preview")
    assert facts["films"] == [{"place": "main:scene.mov", "make": ["preview"], "adopt": {}}]
    assert shoot.facts("proxy list", "main:scene.mov")["films"][0]["proxies"] == []


def test_sizes_are_made_as_they_are_asked_for(shoot: Drive) -> None:
    shoot.filmfs("proxy make", "main:scene.mov", "--sizes", "thumbnail")
    facts = shoot.facts("proxy make", "main:scene.mov")
    assert {each["name"] for each in facts["films"][0]["proxies"]} == {"preview", "editorial"}
    facts = shoot.facts("proxy make", "main:scene.mov")
    assert facts == {"films": [], "known": 1, "left_out": 0}
    refused = answer("proxy", "make", shoot.root, "main:", "--sizes", "huge")
    assert refused.returncode == 2
    assert "thumbnail, preview, editorial" in refused.stderr


def test_what_is_made_is_what_is_told(shoot: Drive, tmp_path: Path) -> None:
    facts = shoot.facts("proxy make", "main:scene.mov")["films"][0]
    for proxy in facts["proxies"]:
        (film,) = (file for file in proxy["files"] if file["kind"] == "film")
        path = Path(shoot.root) / "blobs" / film["content"][:2] / film["content"][2:]
        shown = seen(path)
        assert len(shown.numbers) == proxy["frames"] == 40
        assert shown.size == (proxy["width"], proxy["height"])
        assert Fraction(proxy["rate"]) == shown.rate == FILM.rate
        assert proxy["timecode"] == shown.timecode == "00:59:59;15"
        assert path.stat().st_size == film["size"]


@pytest.mark.parametrize(
    ("arguments", "picked"),
    [
        ((), "original"),
        (("--display", "640x360"), "original"),
        (("--display", "639x360"), "editorial"),
        (("--display", "160x90", "--codecs", "h264"), "preview"),
        (("--display", "100x100"), "thumbnail"),
        (("--bandwidth", "1k", "--codecs", "h264"), "thumbnail"),
        (("--codecs", "AVC, h265"), "preview"),
    ],
)
def test_the_best_that_link_and_display_can_take_is_picked(
    arguments: tuple[str, ...], picked: str, shoot: Drive
) -> None:
    shoot.filmfs("proxy make", "main:scene.mov")
    assert shoot.facts("proxy pick", "main:scene.mov", *arguments)["name"] == picked


def test_sound_is_picked_by_what_a_second_of_it_takes(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "wild.wav"), "wb") as sound:
        sound.setparams((2, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(random.Random(1).randbytes(4 * 4 * 48_000))
    drive = Drive(tmp_path)
    drive.filmfs("add", tmp_path / "wild.wav")
    drive.filmfs("proxy make", "main:wild.wav")
    best = drive.facts("proxy pick", "main:wild.wav")
    assert (best["name"], best["codec"]) == ("editorial", "pcm")
    assert best["bit_rate"] == pytest.approx(48_000 * 32, rel=0.02)
    assert drive.facts("proxy pick", "main:wild.wav", "--codecs", "aac")["codec"] == "aac"


def test_nonsense_is_refused_in_a_sentence(shoot: Drive) -> None:
    for arguments, exit_code in (
        (("pick", shoot.root, "main:scene.mov", "--bandwidth", "fast"), 2),
        (("pick", shoot.root, "main:scene.mov", "--display", "big"), 2),
        (("pick", shoot.root, "main:scene.mov", "--display", "0x0"), 2),
        (("make", shoot.root, "main:scene.mov", "--sizes", ""), 2),
        (("pick", shoot.root, "main:"), 2),
        (("pick", shoot.root, "main:scene.mov", "--bandwidth", "-5"), 2),
        (("make", shoot.root, "main:scene.mov", "--farm", "bogus"), 2),
        (("pick", shoot.root, "main:scene.mov", "--codecs", "realvideo"), errors.NotFound.exit_code),
        (("make", shoot.root, "main:nowhere.mov"), errors.NotFound.exit_code),
    ):
        refused = answer("proxy", *arguments)
        assert refused.returncode == exit_code, arguments
        assert refused.stderr.startswith("filmfs: ")
        assert "Traceback" not in refused.stderr


def test_an_image_sequence_is_a_film_too(tmp_path: Path) -> None:
    folder = tmp_path / "card" / "sh010"
    folder.mkdir(parents=True)
    film = Numbered(size=(320, 180))
    for number in range(1001, 1013):
        film.still(number - 1001, folder / f"sh010.{number}.dpx")
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    facts = drive.facts("proxy make", "main:", "--sizes", "editorial")
    assert [each["place"] for each in facts["films"]] == ["main:sh010"]
    (proxy,) = facts["films"][0]["proxies"]
    content = proxy["files"][0]["content"]
    assert seen(Path(drive.root) / "blobs" / content[:2] / content[2:]).numbers == tuple(range(12))
    assert drive.facts("proxy make", "main:sh010", "--sizes", "editorial")["known"] == 1
    drive.assert_sound()


def test_a_directory_of_films_with_a_numbered_picture_is_no_sequence(tmp_path: Path) -> None:
    folder = tmp_path / "card" / "DCIM"
    folder.mkdir(parents=True)
    film = Numbered(size=(320, 180), frames=6)
    for number in (1, 3):
        replace(film, first=number).write(folder / f"MVI_{number:04}")
    film.still(2, folder / "IMG_0002.dpx")
    (folder / "empty.mov").touch()
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    for place in ("main:DCIM", "main:", "main"):
        facts = json.loads(answer("proxy", "make", drive.root, place, "--dry-run", "--json").stdout)
        assert [each["place"] for each in facts["films"]] == [
            "main:DCIM/MVI_0001.mov",
            "main:DCIM/MVI_0003.mov",
            "main:DCIM/empty.mov",
        ]
        assert facts["films"][2]["error"] == "is empty"
    done = answer("proxy", "make", drive.root, "main:DCIM", "--sizes", "thumbnail")
    assert done.returncode == errors.LeftOut.exit_code
    assert "main:DCIM/empty.mov: is empty" in done.stdout
    assert len([each for each in drive.facts("proxy list", "main")["films"] if each["proxies"]]) == 2


def test_a_sequence_beside_films_and_two_sequences_and_frames_without_a_decoder(tmp_path: Path) -> None:
    film = Numbered(size=(320, 180), frames=6)
    for folder, names in {
        "both": ["a.1.dpx", "a.2.dpx"],
        "two": ["a.1.dpx", "a.2.dpx", "b.1.dpx", "b.2.dpx"],
    }.items():
        (tmp_path / "card" / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            film.still(number, tmp_path / "card" / folder / name)
    film.write(tmp_path / "card" / "both" / "film")
    (tmp_path / "card" / "arri").mkdir()
    for number in range(3):
        (tmp_path / "card" / "arri" / f"c.{number:07}.ari").write_bytes(b"ARRI" + bytes([number]) * 5000)
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    facts = json.loads(answer("proxy", "make", drive.root, "main:", "--sizes", "thumbnail", "--json").stdout)
    told = {each["place"]: each.get("message") for each in facts["films"]}
    assert told == {
        "main:arri": "no decoder here for ARRIRAW (3 frames)",
        "main:both": None,
        "main:both/film.mov": None,
        "main:two": "could be any of several image sequences: a.%d.dpx, b.%d.dpx; let each have its directory",
    }
    again = answer("proxy", "make", drive.root, "main:two")
    assert again.returncode == errors.LeftOut.exit_code
    assert "several image sequences" in again.stdout


def test_of_several_places_one_that_is_wrong_keeps_no_other_from_being_made(shoot: Drive) -> None:
    done = answer("proxy", "make", shoot.root, "main:nothing.mov", "main:scene.mov", "--sizes", "thumbnail")
    assert done.returncode == errors.LeftOut.exit_code
    assert "main:nothing.mov: there is no" in done.stdout
    assert "main:scene.mov: thumbnail" in done.stdout


def test_a_plan_tells_which_files_will_stand_for_proxies(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    (folder / "Proxy").mkdir(parents=True)
    FILM.write(folder / "scene")
    replace(FILM, size=(320, 180)).write(folder / "Proxy" / "scene")
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{folder}/")
    (planned,) = drive.facts("proxy make", "main:", "--dry-run")["films"]
    assert planned["place"] == "main:scene.mov"
    assert planned["adopt"] == {"editorial": "main:Proxy/scene.mov"}
    assert planned["make"] == ["thumbnail", "preview"]
    drive.filmfs("proxy make", "main")
    listed = drive.facts("proxy list", "main:")["films"]
    names = {each["place"]: {one["name"] for one in each["proxies"]} for each in listed}
    assert names == {"main:scene.mov": {"editorial", "preview", "thumbnail"}, "main:Proxy/scene.mov": set()}


def test_raw_films_with_adopted_proxies_are_done(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    (folder / "Proxy").mkdir(parents=True)
    (folder / "A001.R3D").write_bytes(os.urandom(100_000))
    (folder / "B002.R3D").write_bytes(os.urandom(100_000))
    replace(FILM, size=(320, 180)).write(folder / "Proxy" / "A001")
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{folder}/")
    planned = {each["place"]: each.get("error") for each in drive.facts("proxy make", "main:", "--dry-run")["films"]}
    assert planned == {"main:A001.R3D": None, "main:B002.R3D": "no decoder here for RED's R3D"}
    assert answer("proxy", "make", drive.root, "main:A001.R3D").returncode == 0
    again = answer("proxy", "make", drive.root, "main:A001.R3D")
    assert (again.returncode, again.stdout) == (0, "1 film had them, or are proxies\n")
    assert "main:B002.R3D: no decoder here for RED's R3D\n" in drive.filmfs("proxy list", "main:")


def test_frames_that_cannot_be_decoded_are_told_and_the_proxies_are_whole(tmp_path: Path) -> None:
    path = Numbered(size=(512, 288), frames=30).write(tmp_path / "wounded")
    damage(path, 12)
    drive = Drive(tmp_path)
    drive.filmfs("add", path)
    done = answer("proxy", "make", drive.root, "main:wounded.mov", "--sizes", "editorial")
    assert done.returncode == errors.LeftOut.exit_code
    assert "1 frame damaged (12)" in done.stdout
    (proxy,) = drive.facts("proxy list", "main:wounded.mov")["films"][0]["proxies"]
    assert (proxy["frames"], proxy["damaged"]) == (30, 1)
    assert "1 frame damaged (12)" in drive.filmfs("proxy status")
    assert "1 frame damaged (12)" in drive.filmfs("proxy list", "main:")
    again = answer("proxy", "make", drive.root, "main:", "--sizes", "editorial")
    assert (again.returncode, again.stdout) == (done.returncode, done.stdout + "1 film had them, or are proxies\n")
    drive.filmfs("proxy clear")
    assert drive.filmfs("proxy status") == "the queue is empty\n"


def test_a_film_that_was_cut_off_is_told_each_time(tmp_path: Path) -> None:
    path = Numbered(size=(320, 180), suffix=".mkv", codec="mjpeg", pixels="yuvj422p", timecode=None).write(
        tmp_path / "cut"
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    drive = Drive(tmp_path)
    drive.filmfs("add", path)
    for _ in range(2):
        done = answer("proxy", "make", drive.root, "main:", "--sizes", "thumbnail")
        assert done.returncode == errors.LeftOut.exit_code
        assert f"the file ends {len(whole) - path.stat().st_size:,} bytes too early" in done.stdout
        assert "1 film found damaged or not whole" in done.stderr


def test_frames_of_a_sequence_that_are_missing_are_told_apart_from_damaged_ones(tmp_path: Path) -> None:
    folder = tmp_path / "sh010"
    folder.mkdir()
    film = Numbered(size=(320, 180))
    for number in (1, 2, 3, 6, 7):
        film.still(number, folder / f"sh010.{number:04}.dpx")
    (folder / "sh010.0007.dpx").write_bytes(b"SDPX but no picture")
    replace(film, size=(640, 360)).still(8, folder / "sh010.0008.dpx")
    (folder / "sh010.0009.dpx").write_bytes(b"")
    drive = Drive(tmp_path)
    drive.filmfs("add", folder)
    told = json.loads(answer("proxy", "make", drive.root, "main:sh010", "--sizes", "thumbnail", "--json").stdout)
    assert told["films"][0]["proxies"][0]["frames"] == 9
    assert told["films"][0]["flaws"] == [
        "1 frame of 640×360, unlike the first (8): the nearest one of the first's size is shown instead",
        "2 frames missing (4–5): the nearest one is shown instead",
        "2 frames damaged (7, 9): shown as far as it can be decoded, else as the nearest one",
    ]


def test_those_that_are_there_are_made_again(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    drive.filmfs("add", card / "scene.mov")
    drive.filmfs("proxy make", "main:", "--sizes", "thumbnail")
    refused = answer("proxy", "make", drive.root, "main:", "--again", "--farm", "tcp://127.0.0.1:1")
    assert refused.returncode == errors.NotFound.exit_code
    (listed,) = drive.facts("proxy list", "main:")["films"]
    assert [each["name"] for each in listed["proxies"]] == ["thumbnail"]
    drive.filmfs("proxy make", "main:", "--sizes", "thumbnail", "--again", "--later")
    assert drive.facts("proxy list", "main:")["films"][0]["proxies"] == []
    (made,) = drive.facts("proxy make", "main:", "--sizes", "thumbnail")["films"]
    assert [each["name"] for each in made["proxies"]] == ["thumbnail"]


def test_a_directory_is_the_same_sequence_however_it_is_come_to(tmp_path: Path) -> None:
    film = Numbered(size=(320, 180))
    shot = tmp_path / "card" / "shot"
    (shot / "cards").mkdir(parents=True)
    for number in range(1, 5):
        film.still(number, shot / f"plate.{number:04}.dpx")
    (shot / "slate_01.jpg").write_bytes(b"a photograph")
    (tmp_path / "card" / "day").mkdir()
    for name in ("clap1.jpg", "slate2.jpg"):
        (tmp_path / "card" / "day" / name).write_bytes(b"a photograph")
    (tmp_path / "card" / "day" / "cards").mkdir()
    film.write(tmp_path / "card" / "day" / "cards" / "a")
    drive = Drive(tmp_path)
    drive.filmfs("add", f"{tmp_path / 'card'}/")
    for place, films in {
        "main:": ["main:day/cards/a.mov", "main:shot"],
        "main:shot": ["main:shot"],
        "main:day": ["main:day/cards/a.mov"],
    }.items():
        assert [each["place"] for each in drive.facts("proxy make", place, "--dry-run")["films"]] == films
    done = drive.facts("proxy make", "main:", "--sizes", "thumbnail")
    assert [each["proxies"][0]["frames"] for each in done["films"]] == [50, 4]


def test_recipes_of_the_archives_settings_are_made_and_shown(tmp_path: Path, card: Path) -> None:
    drive = Drive(tmp_path)
    settings = Path(drive.root) / "archive.toml"
    example = (
        Path("docs/proxies.md").read_text().partition("```toml\n")[2].partition("```")[0].partition("[recipes.ed")[0]
    )
    more = '[recipes.same]\nlike = "preview"\n[recipes.wide]\nlike = "preview"\nscale = "1/2"\n'
    settings.write_text(f"{settings.read_text()}{example}{more}")
    drive.filmfs("add", card / "scene.mov")
    drive.filmfs("proxy make", "main:scene.mov", "--sizes", "web,same,wide,editorial-prores")
    listed = {each["name"]: each for each in drive.facts("proxy list", "main:scene.mov")["films"][0]["proxies"]}
    assert (listed["web"]["width"], listed["web"]["picture"]) == (214, "libx264")
    assert listed["editorial"]["picture"] == "prores_aw"
    with drive.soundly():
        assert sorted(os.listdir(drive.main)) == [
            "scene.editorial.mov",
            "scene.mov",
            *("scene.preview.mp4", "scene.same.mp4", "scene.web.mp4", "scene.wide.mp4"),
        ]
        assert seen(drive.main / "Proxy" / "scene.mov").numbers == tuple(range(40))
