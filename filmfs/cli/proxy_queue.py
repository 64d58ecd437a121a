"""`proxy status` and `proxy cancel`: the queue of proxies."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from filmfs.archive import Archive, Mode
from filmfs.archive.queue import Progress, ProxyQueue, is_worked_on, progress_of
from filmfs.cli.common import ArchivePath, Json, Output, Quiet, Verbose, when
from filmfs.core.errors import NotFound, Usage
from filmfs.core.words import counted
from filmfs.store.jobs import OPEN, JobState

_LOOK_S, _IDLE_S = 0.5, 5.0


def status(
    archive: ArchivePath,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show how far it is until nothing waits.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what is in the queue, what is being made, and what became of the last ones."""
    output = Output(as_json, quiet, verbose)
    with Archive(archive, Mode.READ) as opened:
        queue = ProxyQueue(opened)
        if follow:
            _follow(queue, opened.root, output)
        jobs = queue.jobs()
        progress = progress_of(opened.root)
        if not is_worked_on(opened.root):  # whoever was at it is gone
            jobs = [replace(job, state=JobState.WAITING) if job.state is JobState.RUNNING else job for job in jobs]
    counts = Counter(str(job.state) for job in jobs)
    told: list[dict[str, Any]] = [
        {
            "job": job.number,
            "place": job.place,
            "sizes": list(job.recipes),
            "state": str(job.state),
            "tries": job.tries,
            "damaged": job.damaged,
            "error": job.error,
            "remarks": list(job.remarks),
            "ended": job.ended or None,
        }
        for job in jobs
    ]
    running = None if progress is None else asdict(progress)

    def lines() -> Iterator[str]:
        yield ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "the queue is empty"
        newest = set({(job.content, job.recipes): job.number for job in jobs}.values())
        for job in told:
            if job["job"] not in newest and job["state"] not in OPEN:
                continue  # what became of it later counts
            if job["state"] == "running" and progress is not None and progress.job == job["job"]:
                yield f"{job['job']:>6} running    {job['place']}: {_how_far(progress)}"
            elif job["state"] != "done" or job["remarks"]:
                why = "; ".join(filter(None, (str(job["error"]), *job["remarks"])))
                ended = f" ({when(job['ended'])})" if job["ended"] else ""
                yield f"{job['job']:>6} {job['state']:<10} {job['place']}{ended}" + (f": {why}" if why else "")

    output.result({"jobs": told, "counts": dict(counts), "running": running}, lines)


def _how_far(progress: Progress) -> str:
    if not progress.total:
        return "begun"
    if progress.done >= progress.total:
        return "100 %, its files are being finished"
    return f"{100 * progress.done // progress.total} %, {progress.unit.pace(progress.fps)}"


def _follow(queue: ProxyQueue, root: str, output: Output) -> None:
    """Until nothing waits, or nobody has worked through the queue for a while."""
    waiting = {job.number: job.place for job in queue.jobs() if job.state in OPEN}
    idle_s = 0.0
    with output.films(len(waiting)) as bar:
        while waiting and idle_s < _IDLE_S:
            progress = progress_of(root)
            idle_s = 0.0 if is_worked_on(root) else idle_s + _LOOK_S
            bar.show(progress)
            time.sleep(_LOOK_S)
            open_now = {job.number for job in queue.jobs() if job.state in OPEN}
            for number in waiting.keys() - open_now:
                bar.end(waiting.pop(number))
    if waiting:
        output.remark("nobody works through the queue: mount the archive, or say `filmfs proxy make`")


def cancel(
    archive: ArchivePath,
    jobs: Annotated[list[int] | None, typer.Argument(metavar="[JOB...]", help="Numbers, as status tells.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is not over.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take jobs out of the queue; one that is running stops. What was made stays."""
    output = Output(as_json, quiet, verbose)
    if bool(jobs) == everything:
        raise Usage("say which jobs, by the numbers that `filmfs proxy status` tells, or --all")
    with Archive(archive, Mode.INGEST) as opened:
        cancelled = ProxyQueue(opened).cancel(None if everything else jobs)
    unknown = sorted({*(jobs or [])} - {job.number for job in cancelled})
    if unknown and not cancelled:
        raise NotFound(f"no job {', '.join(map(str, unknown))} waits or runs")
    if unknown:
        output.remark(f"no job {', '.join(map(str, unknown))} waits or runs")
    facts = {"cancelled": [job.number for job in cancelled]}
    output.result(facts, lambda: iter([f"{counted(len(cancelled), 'job')} cancelled"]))


def clear(archive: ArchivePath, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Forget jobs that are over: `proxy status` tells of them no longer. Proxies and what waits stay."""
    output = Output(as_json, quiet, verbose)
    with Archive(archive, Mode.INGEST) as opened:
        cleared = ProxyQueue(opened).clear()
    output.result({"cleared": cleared}, lambda: iter([f"{counted(cleared, 'job')} cleared"]))
