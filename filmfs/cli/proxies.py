"""`proxy make`, `adopt`, `status`, `cancel`, `list`, `pick`: smaller renditions of films."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.cli import proxy_pick, proxy_queue
from filmfs.cli.common import ArchivePath, DryRun, Json, Output, Quiet, Verbose, command, help_if_bare, new_app, size
from filmfs.cli.proxy_films import Plan, find_films, plan, with_adoptions
from filmfs.control import refresh
from filmfs.core.errors import Busy, LeftOut, Usage
from filmfs.core.paths import parse_place
from filmfs.core.words import counted
from filmfs.proxy.book import STANDARD, Book
from filmfs.proxy.names import maker_of
from filmfs.store.derived import Derived

if TYPE_CHECKING:  # all of FFmpeg's libraries are behind these, and most commands need none
    from filmfs.archive.adopting import Candidate
    from filmfs.archive.footage import Footage, Unusable
    from filmfs.archive.queue import ProxyQueue
    from filmfs.proxy.executors import Executor
    from filmfs.store.jobs import Job

_ASKED_FOR = 10  # the priority of what somebody waits for
_LOOK_S = 0.5

Places = Annotated[list[str], typer.Argument(metavar="BRANCH:PATH...", help="Films, or directories of them.")]
Sizes = Annotated[
    str | None,
    typer.Option("--sizes", metavar="NAMES", help="Which of thumbnail, preview, editorial, editorial-prores …"),
]


def add_to(app: typer.Typer) -> None:
    """Adds this family's commands."""
    family = new_app("Smaller renditions of films, in step with them.", invoke_without_command=True)
    family.callback()(help_if_bare)
    commands = (
        ("make", make),
        ("adopt", adopt),
        ("status", proxy_queue.status),
        ("cancel", proxy_queue.cancel),
        ("clear", proxy_queue.clear),
        ("list", list_proxies),
        ("pick", proxy_pick.pick),
    )
    for name, function in commands:
        command(family, name)(function)
    app.add_typer(family, name="proxy")


def make(
    archive: ArchivePath,
    places: Places,
    sizes: Sizes = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="How many processes; as many as there are cores.")
    ] = None,
    farm: Annotated[
        str, typer.Option("--farm", metavar="tcp://HOST:PORT", help="A Dask scheduler, whose workers make them.")
    ] = "",
    moved: Annotated[
        list[str] | None,
        typer.Option("--moved", metavar="HERE=THERE", help="Where the farm's workers have what is here at a path."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make those anew that are there, as after damage was mended.")
    ] = False,
    later: Annotated[bool, typer.Option("--later", help="Only put them into the queue.")] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make the proxies of films that are not there yet.

    All of a film's are made in one decoding, and are seen when they are whole and checked. What cannot be made is told,
    and the rest goes on. They go through the archive's queue: what is interrupted goes on with the next `proxy make`,
    and where a mount's daemon is at work already, this waits for it.
    """
    from filmfs.archive.proxies import Proxies
    from filmfs.archive.queue import ProxyQueue
    from filmfs.store.jobs import Job

    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.INGEST) as opened:
        proxies, queue, recipes = Proxies(opened), ProxyQueue(opened), _recipes(opened, sizes)
        films = find_films(opened, places, output, waits=not dry_run)
        plans = plan(proxies, films.usable, recipes, again=again)
        known = len(films.usable) - len(plans)
        planned = {each.film.content for each in plans}
        there = {film.content: film for film in films.usable if film.content not in planned}
        if dry_run:
            _tell_plan(output, with_adoptions(opened, plans, recipes, again=again), films.unusable, known)
            return
        jobs = [
            Job(each.film.content, each.film.name, each.film.place, each.make, priority=_ASKED_FOR) for each in plans
        ]
        dropped = [(each.film.content, [recipes[name] for name in each.make]) for each in plans if again]
        ended: dict[int, Job] = {}
        if later or not jobs:
            proxies.forget(dropped)
            numbers = queue.add(jobs)
        else:
            with _executor(processes, farm, moved or []) as executor:
                proxies.forget(dropped)
                numbers = queue.add(jobs)
                ended = _work(opened, queue, set(numbers), executor, output, is_elsewhere=bool(farm))
        worked = list(zip(plans, numbers, strict=True)) if jobs and not later else []
        told = [_told(opened, each.film, each.make, ended.get(number)) for each, number in worked]
        told += [each for film in there.values() if (each := _told_of(opened, film))["flaws"]]
    told += [{"place": each.place, "error": "unusable", "message": each.why} for each in films.unusable]
    left_out = [each for each in told if "error" in each]
    facts: dict[str, Any] = {"films": told, "known": known, "left_out": len(left_out)}
    if later:
        facts["queued"] = numbers
    output.result(facts, lambda: _made_lines(told, known, len(numbers) if later else 0))
    flawed = [each for each in told if each.get("flaws")]
    count = len(films.usable) + len(films.unusable)
    what = [f"{counted(len(left_out), 'film')} of {count} could not be proxied"] if left_out else []
    if quiet and left_out:
        what = [f"{each['place']}: {each['message']}" for each in left_out]
    what += [f"{counted(len(flawed), 'film')} found damaged or not whole"] if flawed else []
    if what:
        raise LeftOut("; ".join(what), told=as_json)


def _work(
    archive: Archive,
    queue: "ProxyQueue",
    numbers: set[int],
    executor: "Executor",
    output: Output,
    *,
    is_elsewhere: bool,
) -> "dict[int, Job]":
    """Has the jobs of these numbers be over, here or in the process that works through the queue already."""
    from filmfs.archive.proxying import ProxyWork, source_elsewhere
    from filmfs.archive.queue import is_worked_on, progress_of
    from filmfs.store.jobs import OPEN

    work = ProxyWork(archive, partial(source_elsewhere, archive) if is_elsewhere else None)
    over: dict[int, Job] = {}  # of those that ended the queue keeps the newest alone, or is told to forget them
    with output.films(len(numbers)) as bar, _telling_what_waits(queue, numbers, output):
        while True:
            now = {job.number: job for job in queue.jobs() if job.number in numbers}
            over |= {number: job for number, job in now.items() if job.state not in OPEN}
            if now.keys() <= over.keys():
                return over
            try:
                for job in work.run(executor, bar.begin, bar.advance):
                    bar.end(job.place)
                    over[job.number] = job
                    if not {each.number for each in queue.jobs() if each.state in OPEN} & numbers:
                        break
            except Busy:  # the daemon, or another command
                while is_worked_on(archive.root):
                    bar.show(progress_of(archive.root))
                    if not {each.number for each in queue.jobs() if each.state in OPEN} & numbers:
                        break
                    time.sleep(_LOOK_S)


@contextmanager
def _telling_what_waits(queue: "ProxyQueue", numbers: set[int], output: Output) -> "Iterator[None]":
    """Whoever interrupts it is told what is done, and how the rest goes on or is taken out."""
    from filmfs.store.jobs import OPEN, JobState

    try:
        yield
    except KeyboardInterrupt:
        jobs = [job for job in queue.jobs() if job.number in numbers]
        if any(job.state in OPEN for job in jobs):
            done = sum(job.state is JobState.DONE for job in jobs)
            output.remark(
                f"{done} of {counted(len(numbers), 'film')} done; what is left waits in the queue, and the "
                "next `filmfs proxy make` or a mount goes on with it (`filmfs proxy cancel --all` takes it out)"
            )
        raise


@contextmanager
def _executor(processes: int | None, farm: str, moved: list[str]) -> "Iterator[Executor]":
    """Processes of this machine, or the workers of a farm. Raises Usage, NotFound when the farm does not answer."""
    if not farm:
        from filmfs.proxy.executors import Local

        with Local(processes) as local:
            local.start()
            yield local
        return
    from filmfs.proxy.farm import Farm

    pairs = [each.partition("=") for each in moved]
    if not all(here and there for here, _, there in pairs):
        raise Usage("--moved is a path here and one there, such as /mnt/film=/net/film")
    with Farm(farm, moved={here: there for here, _, there in pairs}) as elsewhere:
        yield elsewhere


def _told(opened: Archive, film: "Footage", sizes: tuple[str, ...], job: "Job | None") -> dict[str, Any]:
    """What became of a film's job; None: it is over and was forgotten."""
    if job is not None and job.state != "done":
        return {"place": film.place, "error": str(job.state), "message": job.error or "it was cancelled"}
    told = _told_of(opened, film, sizes)
    if job is None and not told["proxies"]:
        return {"place": film.place, "error": "forgotten", "message": "how its job ended was forgotten: make it again"}
    told["remarks"] = [remark for remark in (job.remarks if job is not None else ()) if remark not in told["flaws"]]
    return told


def _told_of(opened: Archive, film: "Footage", sizes: Iterable[str] = ()) -> dict[str, Any]:
    """What there is of a film: proxies of some sizes, or all that there are."""
    from filmfs.archive.proxies import Proxies

    proxies, book = Proxies(opened), opened.settings.recipes
    found = {name: proxies.find(film.content, recipe) for name, recipe in book.items()}
    shown = [made for made in found.values() if made is not None]
    told = [made for name in sizes if (made := found.get(name)) is not None] if sizes else proxies.all_of(film.content)
    return {
        "place": film.place,
        "proxies": [_facts(each) for each in told],
        "damaged": max((each.facts.get("damaged", 0) for each in shown), default=0),
        "harmed": max((each.facts.get("harmed", 0) for each in shown), default=0),
        "flaws": list(dict.fromkeys(flaw for each in shown for flaw in each.facts.get("flaws", ()))),
        "remarks": [],
    }


def _facts(made: Derived) -> dict[str, Any]:
    files = [{"kind": f.kind, "content": f.content.hex(), "size": f.size, "suffix": f.suffix} for f in made.files]
    return {"name": made.name, **made.facts, "files": files}


def _made_lines(told: list[dict[str, Any]], known: int, queued: int) -> Iterator[str]:
    for each in told:
        if "error" in each:
            yield f"{each['place']}: {each['message']}"
            continue
        made = ", ".join(map(_words, _by_size(each["proxies"])))
        yield f"{each['place']}: {made or 'it is a proxy itself'}"
        yield from (f"  {remark}" for remark in (*each["flaws"], *each["remarks"]))
    if queued:
        yield f"{counted(queued, 'film')} in the queue"
    if known:
        yield f"{counted(known, 'film')} had them, or are proxies"
    if not (told or queued or known):
        yield "there are no films"


def _by_size(proxies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(proxies, key=lambda proxy: proxy["width"] or 0)


def _words(proxy: dict[str, Any]) -> str:
    picture = f"{proxy['width']}×{proxy['height']}" if proxy["width"] else "sound"
    adopted = ", adopted" if proxy.get("adopted") else ""
    return f"{proxy['name']} {picture} ({size(proxy['files'][0]['size'])}{adopted})"


def _tell_plan(output: Output, plans: list[Plan], unusable: "list[Unusable]", known: int) -> None:
    films: list[dict[str, Any]] = []
    for each in plans:
        maker = None if each.adopt else maker_of(each.film.name)
        error = {"error": f"no decoder here for {maker}"} if maker else {}
        films.append({"place": each.film.place, "make": [] if maker else each.make, "adopt": each.adopt, **error})
    films += [{"place": each.place, "make": [], "adopt": {}, "error": each.why} for each in unusable]

    def lines() -> Iterator[str]:
        for each in films:
            adopted = [f"adopt {place} as its {size}" for size, place in each["adopt"].items()]
            yield f"{each['place']}: {each.get('error') or ', '.join([*each['make'], *adopted])}"
        if not films:
            yield "nothing is missing"

    output.result({"films": films, "known": known}, lines)


def adopt(
    archive: ArchivePath,
    places: Places,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Find proxies that a camera or another program made, and have them stand for the archive's own."""
    from filmfs.archive.adopting import adopt as look_for

    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ if dry_run else Mode.INGEST) as opened:
        told = []
        for film in (film for film in find_films(opened, places, output, waits=not dry_run).usable if not film.frames):
            place = parse_place(film.place)
            view = opened.history.view_of(place.point)
            found = look_for(opened, view, place.path, film.content, keeps=not dry_run, replaces=True)
            told += [{"place": film.place, "proxy": each.place, **_adopted(each)} for each in found]
    count = sum(each["is_new"] for each in told)

    def lines() -> Iterator[str]:
        for each in told:
            already = "" if each["is_new"] else " already"
            stands = f"stands for its {each['stands_for']}{already}"
            what = stands if each["stands_for"] else f"is not adopted: {each['reason']}"
            yield f"{each['place']}: {each['proxy']} {what}"
        yield f"{counted(count, 'file')} {'would be ' if dry_run else ''}adopted"

    output.result({"films": told, "adopted": count}, lines)


def _adopted(candidate: "Candidate") -> dict[str, Any]:
    return {"stands_for": candidate.resolution, "reason": candidate.reason, "is_new": candidate.is_new}


def list_proxies(
    archive: ArchivePath, places: Places, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False
) -> None:
    """Say which proxies films have."""

    output = Output(as_json, quiet, verbose)
    refresh(archive)
    with Archive(archive, Mode.READ) as opened:
        told = []
        for film in find_films(opened, places, output, waits=False).usable:
            told.append(_told_of(opened, film))
            if (maker := maker_of(film.name)) and not told[-1]["proxies"]:
                told[-1]["error"] = f"no decoder here for {maker}"

    def lines() -> Iterator[str]:
        for each in told:
            none = each.get("error", "no proxies")
            yield f"{each['place']}: " + (", ".join(map(_words, _by_size(each["proxies"]))) or none)
            yield from (f"  {flaw}" for flaw in each["flaws"])

    output.result({"films": told}, lines)


def _recipes(opened: Archive, sizes: str | None) -> Book:
    """The recipes that are asked for, by their names. Raises Usage."""
    book = opened.settings.recipes
    names = STANDARD if sizes is None else [each.strip() for each in sizes.split(",") if each.strip()]
    if not names:
        raise Usage(f"--sizes names none; there are {', '.join(book)}")
    for name in names:
        if name not in book:
            raise Usage(f"there is no size {name!r}; there are {', '.join(book)}")
    return {name: book[name] for name in names}
