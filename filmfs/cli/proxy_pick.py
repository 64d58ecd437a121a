"""`proxy pick`: which rendition of a film a link, a display and a player can take."""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer

from filmfs.archive import Archive, Mode
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose
from filmfs.cli.files import PlaceText
from filmfs.cli.proxy_films import films_at
from filmfs.control import refresh
from filmfs.core.errors import BadMedia, FilmFSError, NotFound, Usage
from filmfs.proxy.selection import Display, Rendition, select_proxy
from filmfs.store.derived import Derived

if TYPE_CHECKING:  # all of FFmpeg's libraries are behind these
    from filmfs.archive.footage import Footage
    from filmfs.archive.proxies import Proxies

_ALSO = {"h265": "hevc", "avc": "h264", "x264": "h264", "dnxhr": "dnxhd", "mpeg2": "mpeg2video"}
_CODECS = {"libx264": "h264", "libx265": "hevc", "prores_aw": "prores", "prores_ks": "prores"}  # by their encoders


def pick(
    archive: ArchivePath,
    place: PlaceText,
    bandwidth: Annotated[str, typer.Option("--bandwidth", help="Of the link: bits a second, such as 5M.")] = "",
    display: Annotated[str, typer.Option("--display", metavar="W×H", help="Points of what shows it.")] = "",
    codecs: Annotated[str, typer.Option("--codecs", help="What the player decodes, such as h264,prores.")] = "",
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say which rendition of a film a link, a display and a player can take: the best that is there."""
    from filmfs.archive.proxies import Proxies

    output = Output(as_json, quiet, verbose)
    link = _bits(bandwidth) if bandwidth else 1 << 62
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        film = _one(opened, place)
        proxies = Proxies(opened)
        renditions = [*map(_rendition, proxies.all_of(film.content)), *_own(opened, proxies, film)]
    named = {each.strip() for each in codecs.lower().split(",")}
    players = {_ALSO.get(each, each) for each in named} if codecs else {each.codec for each in renditions}
    picked = select_proxy(renditions, link, _display(display), players)
    if picked is None:
        of = f"that a player of {codecs} decodes" if codecs and renditions else "to be played"
        raise NotFound(f"{place} has nothing {of}")
    if picked.bit_rate > link:
        output.remark("more than the link takes: there is nothing smaller")
    facts = {"place": place, "name": picked.name, "width": picked.width, "height": picked.height}
    facts |= {"bit_rate": picked.bit_rate, "codec": picked.codec}
    rate = f"{picked.bit_rate / 1e6:.1f} Mbit/s"
    points = f"{picked.width}×{picked.height} " if picked.width else ""
    output.result(facts, lambda: iter([f"{picked.name}: {points}{picked.codec}, {rate}"]))


def _one(opened: Archive, place: str) -> "Footage":
    """The film at a place. Raises Usage, BadMedia."""
    from filmfs.archive.footage import Footage

    films = list(films_at(opened, place))
    if len(films) != 1:
        raise Usage(f"{place} is a directory; say one film of it")
    (film,) = films
    if not isinstance(film, Footage):
        raise BadMedia(f"{place} {film.why}")
    return film


def _rendition(made: Derived) -> Rendition:
    facts = made.facts
    length_s = Fraction(facts["frames"]) / Fraction(facts["rate"]) if facts.get("rate") else Fraction(1)
    length_s = Fraction(facts.get("seconds") or length_s)
    coded = facts["picture"] or facts.get("sound") or "aac"
    codec = "pcm" if coded.startswith("pcm_") else _CODECS.get(coded, coded)
    bits = int(made.film.size * 8 / length_s) if length_s else 0
    return Rendition(made.name, facts["width"] or 0, facts["height"] or 0, bits, codec)


def _own(opened: Archive, proxies: "Proxies", film: "Footage") -> Iterator[Rendition]:
    """The original as one that can be picked too."""
    if film.frames:
        return  # which no player takes
    try:
        picture = proxies.examine(film.content, film.name).picture
    except FilmFSError:
        return
    if picture is not None:
        bytes_ = opened.contents.map_of(film.content).size
        bits = int(bytes_ * 8 * picture.rate / picture.frames)
        yield Rendition("original", picture.width, picture.height, bits, picture.codec)


def _bits(text: str) -> int:
    units = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
    number, unit = (text[:-1], units.get(text[-1:].lower())) if text[-1:].isalpha() else (text, 1)
    try:
        bits = int(Fraction(number) * (unit or Fraction("nan")))
        if bits <= 0:
            raise ValueError
        return bits
    except (ValueError, ZeroDivisionError):
        raise Usage(f"{text!r} is no number of bits a second; write 800k, 5M or 5000000") from None


def _display(text: str) -> Display:
    if not text:
        return Display(1 << 30, 1 << 30)
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise Usage(f"{text!r} is no size; write 1920x1080")
    return Display(int(width), int(height))
