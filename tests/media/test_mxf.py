"""Clips of MXF films, as MXF and as QuickTime: the frames and samples that were asked for, as FFmpeg decodes them."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from filmfs.core.errors import BadMedia
from filmfs.core.extents import Extent, ExtentMap, Hole, Literal, MapBuilder
from filmfs.core.ranges import FrameRange, read_range
from filmfs.media.boxes import find
from filmfs.media.clipping import Clip
from filmfs.media.clips import plan
from filmfs.media.klv import INDEX_SEGMENT, write_item, write_klv
from filmfs.media.mxf import Mxf, open_mxf
from filmfs.media.mxf_clips import plan_mxf
from filmfs.media.mxf_movie import movie_of
from filmfs.media.quicktime import open_quicktime
from filmfs.timecode.films import clip_of, open_film
from tests.footage import SOUND_RATE, Film, pictures, samples, timecode
from tests.media.test_clips import InMemory, in_file, write_clip

NTSC = Fraction(30000, 1001)
FILMS = {
    "dnxhr.mxf": Film("dnxhd", "yuv422p", Fraction(25), 30, "pcm_s24le", 2, "23:59:59:15", {"profile": "dnxhr_sq"}),
    "prores.mxf": Film(sounds=2, metadata={"reel_name": "A001R2"}),
    "intra.mxf": Film("mpeg2video", "yuv422p", NTSC, 40, "pcm_s16le", 1, "00:59:59;15", {"bf": "0", "g": "1"}),
    "partitions.mxf": Film("mpeg2video", "yuv422p", NTSC, 300, "pcm_s24le", 2, "01:00:00;00", {"bf": "0", "g": "1"}),
    "jpeg2000.mxf": Film("jpeg2000", "yuv422p", Fraction(25), 14, "pcm_s16le", 1, layout="stereo"),
    "dv.mxf": Film("dvvideo", "yuv420p", Fraction(25), 14, "pcm_s16le", size=(720, 576)),
    "atom.mxf": Film(
        "dnxhd", "yuv422p", Fraction(25), 30, None, 0, "10:00:00:00", {"profile": "dnxhr_sq"}, format="mxf_opatom"
    ),
    "avc intra.mxf": Film(
        "libx264", "yuv422p10le", Fraction(50), 24, "pcm_s24le", 1, "10:00:00:00", {"g": "1", "bf": "0"}
    ),
    "long group.mxf": Film(
        "mpeg2video", "yuv422p", Fraction(25), 50, "pcm_s24le", 2, video_options={"bf": "2", "g": "12"}
    ),
    "avc.mxf": Film("libx264", "yuv420p", Fraction(25), 50, "pcm_s16le", 1, video_options={"bf": "2", "g": "12"}),
}
LONG_GROUPS = {"long group.mxf", "avc.mxf"}
RANGES = [(0, 1), (0, 12), (-1, 1), (7, 20), (13, 1), (0, 10_000), (240, 20)]


@pytest.fixture(scope="module", params=FILMS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Film, Path, Mxf]:
    made = FILMS[request.param]
    path = made.write(tmp_path_factory.mktemp("films") / request.param)
    return made, path, open_mxf(in_file(path))


def written(name: str, directory: Path) -> tuple[Film, Path, bytes]:
    path = FILMS[name].write(directory / name)
    return FILMS[name], path, path.read_bytes()


def as_movie(opened: Mxf, first: int, count: int) -> Clip:
    return plan(movie_of(opened, FrameRange(first, count)), FrameRange(first, count))


def proved(made: Film, path: Path, opened: Mxf, clip: Path, first: int, count: int) -> None:
    """The clip has the pictures, the samples and the time code of its range."""
    assert pictures(clip) == pictures(path)[first : first + count]
    if made.timecode is not None:
        assert timecode(clip) == str(opened.counting.label(opened.counting.start + first))
    for track in range(made.sounds if made.sound else 0):
        expected = samples(path, track)
        width = (2 if made.sound == "pcm_s16le" else 4) * (2 if made.layout == "stereo" else 1)
        begins, ends = (round(frame * SOUND_RATE / made.rate) * width for frame in (first, first + count))
        assert samples(clip, track) == expected[begins:ends]


def test_a_movie_of_a_film_says_where_readers_look_how_large_its_pictures_are(film: tuple[Film, Path, Mxf]) -> None:
    picture = movie_of(film[2]).movie.picture
    assert picture is not None
    data, (entry,) = picture.movie.data, picture.entries
    assert struct.unpack_from(">HH", data, entry.body + 24) == film[0].size
    assert find(data, "fiel", entry.body + 78, entry.end) is not None


@pytest.mark.parametrize("suffix", [".mov", ".mxf"])
def test_a_clip_has_the_frames_and_the_samples_of_its_range(
    film: tuple[Film, Path, Mxf], tmp_path: Path, suffix: str
) -> None:
    made, path, opened = film
    assert opened.counting.frames == made.frames
    if suffix == ".mxf" and path.name in LONG_GROUPS:
        with pytest.raises(BadMedia, match=r"as \.mov"):
            plan_mxf(opened, FrameRange(0, 1))
        return
    for first, count in RANGES:
        first = first % made.frames
        count = min(count, made.frames - first)
        made_of = as_movie(opened, first, count) if suffix == ".mov" else plan_mxf(opened, FrameRange(first, count))
        clip = write_clip(made_of, in_file(path), tmp_path / f"clip{suffix}")
        proved(made, path, opened, clip, first, count)


def test_a_clip_of_a_clip_is_the_clip_of_the_source(film: tuple[Film, Path, Mxf], tmp_path: Path) -> None:
    _, path, opened = film
    if path.name in LONG_GROUPS:
        clip = write_clip(as_movie(opened, 3, 9), in_file(path), tmp_path / "clip.mov")
        again = write_clip(plan(open_quicktime(in_file(clip)), FrameRange(4, 3)), in_file(clip), tmp_path / "again.mov")
    else:
        clip = write_clip(plan_mxf(opened, FrameRange(3, 9)), in_file(path), tmp_path / "clip.mxf")
        reopened = open_mxf(in_file(clip))
        assert (reopened.counting.frames, reopened.reel) == (9, opened.reel)
        again = write_clip(plan_mxf(reopened, FrameRange(4, 3)), in_file(clip), tmp_path / "again.mxf")
    assert pictures(again) == pictures(path)[7:10]
    assert timecode(again) == str(opened.counting.label(opened.counting.start + 7))


def test_a_clip_is_a_function_of_its_source_and_range(film: tuple[Film, Path, Mxf]) -> None:
    _, path, opened = film
    again = open_mxf(in_file(path))
    assert as_movie(opened, 3, 9) == as_movie(again, 3, 9)
    if opened.is_intra:
        assert plan_mxf(opened, FrameRange(3, 9)) == plan_mxf(again, FrameRange(3, 9))
        assert plan_mxf(opened, FrameRange(3, 9)).pieces[0] != plan_mxf(opened, FrameRange(4, 9)).pieces[0]


def test_runs_keep_their_place_in_a_block(film: tuple[Film, Path, Mxf]) -> None:
    opened, ranges = film[2], [(3, 9), (100, 190)] if film[0].frames > 200 else [(3, 9)]
    for first, count in ranges:
        plans = [as_movie(opened, first, count)]
        plans += [plan_mxf(opened, FrameRange(first, count))] if opened.is_intra else []
        for clip in plans:
            at = 0
            for piece in clip.pieces:
                if not isinstance(piece, bytes | Hole):
                    assert (at - piece.offset) % 4096 == 0
                at += len(piece) if isinstance(piece, bytes) else piece.length
            assert at == clip.size


def test_the_reel_is_that_of_the_tape_and_is_in_the_clip(tmp_path: Path) -> None:
    _, path, _ = written("prores.mxf", tmp_path)
    opened = open_mxf(in_file(path))
    assert opened.reel == "A001R2"
    clip = write_clip(as_movie(opened, 1, 2), in_file(path), tmp_path / "clip.mov")
    code = open_quicktime(in_file(clip)).timecode
    assert code is not None
    assert code.reel == "A001R2"


def test_a_film_that_begins_within_its_essence_is_counted_from_there(tmp_path: Path) -> None:
    made, path, data = written("prores.mxf", tmp_path)
    at = data.index(struct.pack(">HHq", 0x1201, 8, 0))  # of the material package
    moved = bytearray(data.replace(struct.pack(">HHq", 0x0202, 8, made.frames), struct.pack(">HHq", 0x0202, 8, 40)))
    moved[at : at + 12] = struct.pack(">HHq", 0x1201, 8, 5)
    opened = open_mxf(InMemory(bytes(moved)))
    assert opened.counting.frames == 40
    for number, planned in enumerate((as_movie(opened, 2, 6), plan_mxf(opened, FrameRange(2, 6)))):
        clip = write_clip(planned, InMemory(bytes(moved)), tmp_path / f"clip{('.mov', '.mxf')[number]}")
        assert pictures(clip) == pictures(path)[7:13]
        assert samples(clip) == samples(path)[7 * 2000 * 4 : 13 * 2000 * 4]
        assert timecode(clip) == "01:00:00:02"


def test_essence_in_one_piece_may_have_an_entry_for_each_frame(tmp_path: Path) -> None:
    made, path, data = written("atom.mxf", tmp_path)
    unit = open_mxf(in_file(path)).essence.index.unit_bytes
    start = data.rindex(INDEX_SEGMENT)
    entries = b"".join(struct.pack(">bbBQ", 0, 0, 0x80, unit * number) for number in range(made.frames))
    items = [(0x3F0B, struct.pack(">ii", 25, 1)), (0x3F0C, bytes(8)), (0x3F0D, struct.pack(">q", made.frames))]
    items += [(0x3F06, struct.pack(">I", 2)), (0x3F07, struct.pack(">I", 1))]
    items += [(0x3F0A, struct.pack(">II", made.frames, 11) + entries)]
    table = write_klv(INDEX_SEGMENT, b"".join(write_item(tag, value) for tag, value in items))
    moved = InMemory(data[:start] + table)
    opened = open_mxf(moved)
    assert not opened.essence.index.unit_bytes
    for suffix, planned in ((".mov", as_movie(opened, 5, 9)), (".mxf", plan_mxf(opened, FrameRange(5, 9)))):
        assert pictures(write_clip(planned, moved, tmp_path / f"clip{suffix}")) == pictures(path)[5:14]


def test_frames_are_looked_for_where_no_index_tells(tmp_path: Path) -> None:
    _, path, data = written("prores.mxf", tmp_path)
    blind = InMemory(data.replace(INDEX_SEGMENT, INDEX_SEGMENT[:-3] + b"\x7f\1\0"))
    opened = open_mxf(blind)
    assert opened.counting.frames == 48
    for suffix, planned in ((".mov", as_movie(opened, 5, 9)), (".mxf", plan_mxf(opened, FrameRange(5, 9)))):
        clip = write_clip(planned, blind, tmp_path / f"clip{suffix}")
        assert pictures(clip) == pictures(path)[5:14]
        assert samples(clip, 1) == samples(path, 1)[5 * 2000 * 4 : 14 * 2000 * 4]


def test_what_is_there_of_a_film_that_was_cut_off_is_found(tmp_path: Path) -> None:
    _, path, data = written("prores.mxf", tmp_path)
    half = InMemory(data[: len(data) // 2])
    opened = open_mxf(half)
    assert 20 <= opened.counting.frames < 24
    clip = write_clip(plan_mxf(opened, FrameRange(0, opened.counting.frames)), half, tmp_path / "clip.mxf")
    assert pictures(clip) == pictures(path)[: opened.counting.frames]


def test_without_an_index_nobody_knows_which_frames_need_others(tmp_path: Path) -> None:
    data = written("long group.mxf", tmp_path)[2]
    with pytest.raises(BadMedia, match="index table"):
        open_mxf(InMemory(data.replace(INDEX_SEGMENT, INDEX_SEGMENT[:-3] + b"\x7f\1\0")))


def test_what_is_no_film_says_so(tmp_path: Path) -> None:
    data = written("atom.mxf", tmp_path)[2]
    for wrong in (b"", b"\x06\x0e\x2b\x34", bytes(1000), data[:100], data[:3000], data[16:]):
        with pytest.raises(BadMedia):
            open_mxf(InMemory(wrong))


def test_partitions_that_lead_in_a_circle_are_left(tmp_path: Path) -> None:
    data = bytearray(written("prores.mxf", tmp_path)[2])
    footer = data.rindex(bytes.fromhex("060e2b34020501010d010201010404"))
    data[-4:] = bytes(4)  # no random index pack
    struct.pack_into(">Q", data, footer + 20 + 16, footer)
    assert open_mxf(InMemory(bytes(data))).counting.frames == 48


def test_the_suffix_says_which_container_a_clip_is(tmp_path: Path) -> None:
    for name, best in (("prores.mxf", ".mxf"), ("long group.mxf", ".mov")):
        _, path, data = written(name, tmp_path)
        builder = MapBuilder(ExtentMap())
        builder.write(Extent(0, len(data), Literal(data)))
        film = open_film(in_file(path), name)
        asked = read_range("01.00.00.05-01.00.00.09")
        assert film.timecode_from == "material package"
        assert clip_of(film, builder.value, asked).name == f"{path.stem}@01.00.00.05-01.00.00.09{best}"
        assert clip_of(film, builder.value, asked, suffix=".mov").name.endswith(".mov")
        with pytest.raises(BadMedia, match=r"\.mov"):
            clip_of(film, builder.value, asked, suffix=".mp4")
    with pytest.raises(BadMedia, match=r"offered as \.mov"):
        clip_of(film, builder.value, asked, suffix=".mxf")
    other = open_film(in_file(Film(frames=8).write(tmp_path / "film.mov")), "film.mov")
    with pytest.raises(BadMedia, match=r"a \.mov or \.mp4"):
        clip_of(other, ExtentMap(), read_range("01.00.00.00+2f"), suffix=".mxf")


def test_time_code_is_that_of_the_tape_where_nothing_nearer_has_any(tmp_path: Path) -> None:
    data = bytearray(written("prores.mxf", tmp_path)[2])
    component = bytes.fromhex("060e2b34025301010d01010101011400")
    for said_by in ("material package", "source package", "tape", "none"):
        film = open_film(InMemory(bytes(data)), "film.mxf")
        assert film.timecode_from == said_by
        if said_by != "none":
            assert str(film.counting().label(film.counting().start)) == "01:00:00:00"
            assert isinstance(film.of, Mxf)
            clip = write_clip(plan_mxf(film.of, FrameRange(7, 3)), InMemory(bytes(data)), tmp_path / "clip.mxf")
            again = open_mxf(in_file(clip)).counting
            assert str(again.label(again.start)) == "01:00:00:07"
            at = data.index(component)
            data[at + 14] = 0x7F


def test_an_index_that_says_that_all_frames_stand_by_themselves_is_not_believed(tmp_path: Path) -> None:
    for name in LONG_GROUPS:
        _, path, data = written(name, tmp_path)
        index = open_mxf(in_file(path)).essence.index
        said = bytearray(index.entries)
        said[0 :: index.width] = bytes(index.count)
        said[2 :: index.width] = b"\x80" * index.count
        assert index.entries in data
        with pytest.raises(BadMedia, match="need others"):
            open_mxf(InMemory(data.replace(index.entries, bytes(said))))
