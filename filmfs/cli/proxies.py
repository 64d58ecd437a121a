"""`proxy make`, `proxy list`, `proxy pick`: smaller renditions of films."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.cli.common import ArchivePath, DryRun, Json, Output, Quiet, Verbose, command, help_if_bare, new_app, size
from filmfs.cli.files import PlaceText, resolve
from filmfs.control import refresh
from filmfs.core.errors import BadMedia, Busy, FilmFSError, LeftOut, NotFound, SourceUnreadable, Usage
from filmfs.core.ids import ContentId
from filmfs.core.models import ProxyResolution
from filmfs.core.paths import parse_place, shown
from filmfs.core.words import counted
from filmfs.proxy.names import is_original_name
from filmfs.proxy.recipes import RECIPES, Recipe
from filmfs.proxy.selection import Display, Rendition, select_proxy
from filmfs.store.derived import Derived
from filmfs.versioning.rows import Kind
from filmfs.versioning.view import View

if TYPE_CHECKING:  # all of FFmpeg's libraries are behind these, and most commands need none
    from filmfs.archive.proxies import Made, Proxies
    from filmfs.proxy.executors import Executor

_OWN_TROUBLE = (BadMedia, Busy, SourceUnreadable)  # of one film: the others are made

Places = Annotated[list[str], typer.Argument(metavar="BRANCH:PATH...", help="Films, or directories of them.")]
Sizes = Annotated[
    str, typer.Option("--sizes", metavar="NAMES", help="Which: thumbnail, preview, editorial; all if left out.")
]


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    family = new_app("Smaller renditions of films, in step with them.", invoke_without_command=True)
    family.callback()(help_if_bare)
    for name, function in (("make", make), ("list", list_proxies), ("pick", pick)):
        command(family, name)(function)
    app.add_typer(family, name="proxy")


@dataclass(frozen=True, slots=True)
class _Film:
    place: str
    name: str
    content: ContentId


def make(
    archive: ArchivePath,
    places: Places,
    sizes: Sizes = "",
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="How many processes; as many as there are cores.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make the proxies of films that are not there yet.

    All of a film's are made in one decoding, and are seen when they are whole and checked. What cannot be made is told,
    and the rest goes on.
    """
    from filmfs.archive.proxies import Proxies
    from filmfs.proxy.executors import Local

    output = Output(as_json, quiet, verbose)
    recipes = _recipes(sizes)
    refresh(archive)
    with Archive(archive, Mode.INGEST) as opened:
        proxies = Proxies(opened)
        films = [film for place in places for film in _films(opened, place)]
        once = {film.content: film for film in reversed(films)}  # the first name of each content
        wanted = {film: proxies.missing(film.content, recipes) for film in films if once[film.content] == film}
        wanted = {film: missing for film, missing in wanted.items() if missing and not proxies.is_proxy(film.content)}
        if dry_run:
            _tell_plan(output, wanted, len(films))
            return
        told: list[dict[str, Any]] = []
        with Local(processes) as workers:
            for film, missing in wanted.items():
                told.append(_made(proxies, film, missing, workers, output))
        left_out = [each for each in told if "error" in each]
        facts = {"films": told, "known": len(films) - len(wanted), "left_out": len(left_out)}
        output.result(facts, lambda: _made_lines(told, len(films) - len(wanted)))
        if left_out:
            error = LeftOut(f"{counted(len(left_out), 'film')} of {len(films)} could not be proxied")
            error.told = as_json
            raise error


def _made(
    proxies: "Proxies", film: _Film, recipes: list[Recipe], workers: "Executor", output: Output
) -> dict[str, Any]:
    """Makes one film's, and tells of it."""
    from filmfs.proxy.making import frames_of_work

    try:
        found = proxies.examine(film.content, film.name)
        with output.frames(film.place, frames_of_work(found)) as advance:
            made = proxies.make(film.content, found, recipes, workers, advance)
    except _OWN_TROUBLE as error:
        return {"place": film.place, "error": type(error).__name__, "message": str(error)}
    return {"place": film.place, "proxies": [_facts(each) for each in made.proxies.values()], **_remarks(made)}


def _remarks(made: "Made") -> dict[str, Any]:
    return {"damaged": list(made.damaged), "remarks": list(made.remarks)}


def _facts(made: Derived) -> dict[str, Any]:
    files = [{"kind": f.kind, "content": f.content.hex(), "size": f.size, "suffix": f.suffix} for f in made.files]
    return {"name": made.name, **made.facts, "files": files}


def _made_lines(told: list[dict[str, Any]], known: int) -> Iterator[str]:
    for each in told:
        if "error" in each:
            yield f"{each['place']}: {each['message']}"
            continue
        yield f"{each['place']}: " + ", ".join(_words(proxy) for proxy in each["proxies"])
        if each["damaged"]:
            count = len(each["damaged"])
            numbers = ", ".join(map(str, each["damaged"][:5])) + (" …" if count > 5 else "")
            yield f"  {counted(count, 'frame')} could not be decoded and repeat the one before: {numbers}"
        yield from (f"  {remark}" for remark in each["remarks"])
    if known:
        yield f"{counted(known, 'film')} had them, or are proxies"


def _words(proxy: dict[str, Any]) -> str:
    picture = f"{proxy['width']}×{proxy['height']}" if proxy["width"] else "sound"
    return f"{proxy['name']} {picture} ({size(proxy['files'][0]['size'])})"


def _tell_plan(output: Output, wanted: dict[_Film, list[Recipe]], films: int) -> None:
    facts = {
        "films": [{"place": film.place, "make": [each.name for each in missing]} for film, missing in wanted.items()],
        "known": films - len(wanted),
    }

    def lines() -> Iterator[str]:
        for film, missing in wanted.items():
            yield f"{film.place}: {', '.join(recipe.name for recipe in missing)}"
        if not wanted:
            yield "nothing is missing"

    output.result(facts, lines)


def list_proxies(
    archive: ArchivePath, places: Places, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> None:
    """Say which proxies films have."""
    from filmfs.archive.proxies import Proxies

    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        proxies = Proxies(opened)
        told = [
            {"place": film.place, "proxies": [_facts(each) for each in proxies.all_of(film.content)]}
            for place in places
            for film in _films(opened, place)
        ]

    def lines() -> Iterator[str]:
        for each in told:
            made = each["proxies"]
            assert isinstance(made, list)
            yield f"{each['place']}: " + (", ".join(map(_words, made)) or "no proxies")

    output.result({"films": told}, lines)


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
        films = list(_films(opened, place))
        if len(films) != 1:
            raise Usage(f"{place} is a directory; say one film of it")
        (film,) = films
        proxies = Proxies(opened)
        renditions = [*map(_rendition, proxies.all_of(film.content)), *_own(opened, proxies, film)]
    players = {each.codec for each in renditions} if not codecs else set(codecs.lower().split(","))
    picked = select_proxy(renditions, link, _display(display), players)
    if picked is None:
        raise NotFound(f"{place} has nothing that a player of {codecs} decodes")
    facts = {"place": place, "name": picked.name, "width": picked.width, "height": picked.height}
    facts |= {"bit_rate": picked.bit_rate, "codec": picked.codec}
    rate = f"{picked.bit_rate / 1e6:.1f} Mbit/s"
    output.result(facts, lambda: iter([f"{picked.name}: {picked.width}×{picked.height} {picked.codec}, {rate}"]))


def _rendition(made: Derived) -> Rendition:
    facts = made.facts
    length_s = Fraction(facts["frames"]) / Fraction(facts["rate"]) if facts.get("rate") else Fraction(1)
    codec = {"libx264": "h264", "prores_aw": "prores"}.get(facts["picture"], facts["picture"] or "aac")
    bits = int(made.film.size * 8 / length_s) if length_s else 0
    return Rendition(made.name, facts["width"] or 0, facts["height"] or 0, bits, codec)


def _own(opened: Archive, proxies: "Proxies", film: _Film) -> Iterator[Rendition]:
    """The original as one that can be picked too."""
    try:
        picture = proxies.examine(film.content, film.name).picture
    except FilmFSError:
        return
    if picture is not None:
        bytes_ = opened.contents.map_of(film.content).size
        bits = int(bytes_ * 8 * picture.rate / picture.frames)
        yield Rendition("original", picture.width, picture.height, bits, picture.codec)


def _recipes(sizes: str) -> list[Recipe]:
    names = [each.strip() for each in sizes.split(",") if each.strip()] or [each.value for each in ProxyResolution]
    known = {resolution.value: recipe for resolution, recipe in RECIPES.items()}
    for name in names:
        if name not in known:
            raise Usage(f"there is no size {name!r}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _films(opened: Archive, text: str) -> Iterator[_Film]:
    """The films at a place: one, or all that have the name of one below a directory. Raises NotFound, BadMedia."""
    place = parse_place(text)
    view, file = resolve(opened, place)
    inode = view.get_inode(file)
    if inode.kind is Kind.FILE:
        if not isinstance(inode.content, bytes):
            raise BadMedia(f"{text} is empty, or being hashed")
        yield _Film(text, shown(place.path.rpartition(b"/")[2]), inode.content)
    elif inode.kind is Kind.DIRECTORY:
        yield from _below(view, file, text if text.endswith((":", "/")) else text + "/")
    else:
        raise BadMedia(f"{text} is a {inode.kind.name.lower()}, not a film")


def _below(view: View, directory: Any, above: str) -> Iterator[_Film]:
    for entry in view.entries(directory):
        name = shown(entry.name)
        if entry.kind is Kind.DIRECTORY:
            yield from _below(view, entry.file, f"{above}{name}/")
        elif entry.kind is Kind.FILE and is_original_name(name):
            inode = view.get_inode(entry.file)
            if isinstance(inode.content, bytes):
                yield _Film(above + name, name, inode.content)


def _bits(text: str) -> int:
    units = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
    number, unit = (text[:-1], units.get(text[-1:].lower())) if text[-1:].isalpha() else (text, 1)
    try:
        return int(Fraction(number) * (unit or Fraction("nan")))
    except (ValueError, ZeroDivisionError):
        raise Usage(f"{text!r} is no number of bits a second; write 800k, 5M or 5000000") from None


def _display(text: str) -> Display:
    if not text:
        return Display(1 << 30, 1 << 30)
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not width.isdigit() or not height.isdigit():
        raise Usage(f"{text!r} is no size; write 1920x1080")
    return Display(int(width), int(height))
