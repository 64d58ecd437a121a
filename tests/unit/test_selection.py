"""Which proxy is shown: never more than link and display can take, never less than is there."""

from hypothesis import example, given
from hypothesis import strategies as st

from filmfs.proxy.selection import Display, Rendition, select_proxy

CODECS = ("h264", "dnxhd", "prores")
renditions = st.lists(
    st.builds(
        Rendition,
        name=st.text("abc", min_size=1, max_size=3),
        width=st.integers(2, 8192),
        height=st.integers(2, 4320),
        bit_rate=st.integers(1, 10**9),
        codec=st.sampled_from(CODECS),
    ),
    max_size=6,
)
displays = st.builds(Display, width=st.integers(1, 8192), height=st.integers(1, 4320))
links = st.integers(0, 10**9)
decoders = st.sets(st.sampled_from(CODECS))


def can_take(each: Rendition, link: int, display: Display) -> bool:
    return each.bit_rate <= link and each.width <= display.width and each.height <= display.height


@given(renditions, links, displays, decoders)
def test_what_is_chosen_fits_if_anything_does_and_nothing_larger_would(
    media: list[Rendition], link: int, display: Display, codecs: set[str]
) -> None:
    chosen = select_proxy(media, link, display, codecs)
    known = [each for each in media if each.codec in codecs]
    assert (chosen is None) == (not known)
    if chosen is None:
        return
    assert chosen in known
    fitting = [each for each in known if can_take(each, link, display)]
    if fitting:
        assert can_take(chosen, link, display)
        assert all(chosen.width * chosen.height >= each.width * each.height for each in fitting)
    else:
        assert all(chosen.bit_rate <= each.bit_rate for each in known)


@given(renditions, links, links, displays, decoders)
def test_a_faster_link_never_shows_fewer_points_of_what_fits(
    media: list[Rendition], link: int, more: int, display: Display, codecs: set[str]
) -> None:
    slow, fast = (select_proxy(media, bits, display, codecs) for bits in (link, link + more))
    if slow is not None and can_take(slow, link, display):
        assert fast is not None
        assert fast.width * fast.height >= slow.width * slow.height


@given(renditions, links, displays, decoders)
@example([Rendition("a", 2, 2, 1, "h264"), Rendition("a", 2, 2, 1, "dnxhd")], 0, Display(1, 1), {"h264", "dnxhd"})
@example([Rendition("a", 2, 8, 1, "h264"), Rendition("a", 4, 4, 1, "h264")], 9, Display(9, 9), {"h264"})
def test_the_order_in_which_they_are_given_does_not_matter(
    media: list[Rendition], link: int, display: Display, codecs: set[str]
) -> None:
    assert select_proxy(media, link, display, codecs) == select_proxy(reversed(media), link, display, codecs)
