"""A cut list that is written and read again is the same list."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from filmfs.core.smpte import label_of
from filmfs.cutlists.cmx3600 import read_edl
from filmfs.cutlists.model import CutList, Event, Locator, Origin, Span, Speed, Transition
from filmfs.cutlists.tracks import tracks_of
from filmfs.cutlists.writing import write_edl

DROP, WHOLE = Fraction(30000, 1001), Fraction(25)
words = st.text("abcXYZ0189._-()äé", min_size=1, max_size=20).map(lambda text: f"q{text}")
names = st.none() | st.lists(words, min_size=1, max_size=3).map(" ".join)


def spans(drop: bool) -> st.SearchStrategy[Span]:
    rate = DROP if drop else WHOLE
    lengths = st.tuples(st.integers(0, 2_000_000), st.integers(0, 9_000))
    return lengths.map(
        lambda span: Span(
            *(replace(label_of(number, rate, drop=drop), drop=None) for number in (span[0], sum(span))), drop=drop
        )
    )


channels = st.lists(st.integers(1, 24), unique=True, max_size=4).map(lambda numbers: tuple(sorted(numbers)))
tracks = st.builds(lambda picture, sounds: tracks_of(picture=picture, sounds=sounds), st.booleans(), channels)
locators = st.builds(Locator, st.integers(0, 90_000).map(lambda n: replace(label_of(n, WHOLE, drop=False), drop=None)),
                     st.sampled_from(["RED", "BLUE"]), words)  # fmt: skip
speeds = st.builds(
    Speed, st.integers(-9_999, 9_999).map(lambda tenths: Fraction(tenths, 10)),
    st.integers(0, 90_000).map(lambda n: replace(label_of(n, WHOLE, drop=False), drop=None)),
)  # fmt: skip


@st.composite
def events(draw: st.DrawFn, number: int, drop: bool) -> list[Event]:
    reel = draw(names)
    origin = Origin.REEL if reel is not None else draw(st.sampled_from([Origin.AUXILIARY, Origin.BLACK, Origin.BARS]))
    event = Event(
        f"{number:03d}", draw(tracks), draw(spans(drop)), draw(spans(drop)), reel, origin,
        speed=draw(st.none() | speeds), clip_name=draw(names), source_file=draw(names), effect=draw(names),
        still=draw(st.booleans()), locators=tuple(draw(st.lists(locators, max_size=2))), sop=draw(st.just("(1 1 1)")),
        sat=draw(names), comments=tuple(draw(st.lists(words, max_size=2))),
    )  # fmt: skip
    if not event.needs_media:
        event = replace(event, clip_name=None, source_file=None)
    if draw(st.booleans()):
        return [event]
    incoming = replace(
        event, transition=draw(st.sampled_from([Transition.DISSOLVE, Transition.WIPE, Transition.KEY_OUT])),
        duration=draw(st.integers(0, 999)), reel="incoming", origin=Origin.REEL, clip_name=draw(names), speed=None,
    )  # fmt: skip
    incoming = replace(incoming, wipe="012" if incoming.transition is Transition.WIPE else None)
    return [event, incoming]


@st.composite
def cut_lists(draw: st.DrawFn) -> CutList:
    drop = draw(st.booleans())
    all_events = [event for number in range(draw(st.integers(1, 5))) for event in draw(events(number, drop))]
    return CutList(draw(words), DROP if drop else WHOLE, drop, tuple(all_events))


@given(cut_lists())
def test_a_list_that_is_written_is_read_as_it_was(cuts: CutList) -> None:
    again = read_edl(write_edl(cuts), cuts.rate)

    assert [replace(event, line=0) for event in again.events] == list(cuts.events)
    assert (again.title, again.rate, again.drop) == (cuts.title, cuts.rate, cuts.drop)


@given(cut_lists(), st.data())
def test_a_list_that_is_linked_anew_names_the_new_files_and_no_others(cuts: CutList, data: st.DataObject) -> None:
    files = [data.draw(words) if event.needs_media else None for event in cuts.events]

    again = read_edl(write_edl(cuts, files), cuts.rate)

    assert [event.clip_name for event in again.events] == files
    assert [event.source_file for event in again.events] == files
    assert [event.source for event in again.events] == [event.source for event in cuts.events]
