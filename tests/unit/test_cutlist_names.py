"""The names of an edit list's clips, and the timeline that is written of one."""

import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.ranges import Counting
from filmfs.cutlists.cmx3600 import read_edl
from filmfs.cutlists.names import clip_name, clip_names
from filmfs.cutlists.otio import Media, write_otio

R24 = Fraction(24)
TEXT = """\
TITLE: Reel 3
001  ONE V     C        01:00:00:00 01:00:01:00 10:00:00:00 10:00:01:00
002  ONE V     C        01:00:01:00 01:00:01:00 10:00:01:00 10:00:01:00
002  TWO V     D    010 02:00:00:00 02:00:01:00 10:00:01:00 10:00:02:00
003  TWO V     C        02:00:01:00 02:00:03:00 10:00:03:00 10:00:04:00
M2   TWO       048.0                02:00:01:00
004  WILD AA   C        03:00:00:00 03:00:01:00 10:00:00:00 10:00:01:00
005  LOGO V2   C        00:00:00:00 00:00:01:00 10:00:00:00 10:00:01:00
"""


def test_names_are_in_order_and_say_where_a_clip_goes() -> None:
    cuts = read_edl(TEXT, R24)
    files = ["day1/A.mov", None, "B: take?.mov", "b. .mxf", "wild.wav", "logo.mov"]

    assert clip_names(cuts.events, files) == (
        *("001_A.mov", None, "003_B_ take_.mov", "004_b.mxf", "005_A1-2_wild.wav", "006_V2_logo.mov"),
    )


@given(st.text(min_size=1, max_size=400))
def test_any_file_gives_a_name_that_every_system_can_have(file: str) -> None:
    event = read_edl(TEXT, R24).events[0]
    name = clip_name("0001", event, file)

    assert len(name.encode()) <= 255
    assert not set('<>:"/\\|?*\0\n') & set(name)
    assert not name.endswith((".", " "))


def test_a_timeline_is_written_with_available_ranges_in_time_code_space() -> None:
    cuts = read_edl(TEXT, R24)
    media = [Media("file:///a.mov", "a.mov", Counting(86_000, 1000, R24)), *[None] * (len(cuts.events) - 1)]

    timeline = json.loads(write_otio(cuts, media))

    video, above, left, right = timeline["tracks"]["children"]
    assert [child["OTIO_SCHEMA"] for child in video["children"]] == [
        *("Clip.2", "Transition.1", "Clip.2", "Gap.1", "Clip.2"),
    ]
    clip = video["children"][0]
    assert clip["source_range"]["start_time"]["value"] == 86_400
    assert clip["media_references"]["DEFAULT_MEDIA"]["available_range"]["start_time"]["value"] == 86_000
    assert clip["metadata"]["filmfs"] == {"head": 400, "tail": 576}
    assert video["children"][-1]["effects"][0]["time_scalar"] == 2
    assert timeline["global_start_time"]["value"] == 864_000
    assert [track["name"] for track in (above, left, right)] == ["V2", "A1", "A2"]
