"""How scripts/bench measures: in turns, and as ratios.

Who is measured takes turns in every round, so that what else the machine does hits all alike. A figure keeps the best
of each one's rounds (the least disturbed) and the medians; its ratio is of the best, `median_ratio` of the medians.
"""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OURS = "filmfs"
NATIVE = "native"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: seconds by the clock, and of processor time in the client and in the file system's daemon."""

    wall_s: float
    client_s: float = 0.0
    daemon_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure shall reach: `of` is the ratio or the value."""

    of: str
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        words = [f"≥ {self.least:g}"] if self.least is not None else []
        words += [f"≤ {self.most:g}"] if self.most is not None else []
        return " and ".join(words) + (" ×" if self.of == "ratio" else "")

    def is_met(self, ratio: float | None, value: float) -> bool:
        """Whether the figure reaches it."""
        measured = value if self.of == "value" or ratio is None else ratio
        return (self.least is None or measured >= self.least) and (self.most is None or measured <= self.most)


@dataclass(slots=True)
class Figure:
    """What each of several did, in one unit: rates are better high, times (`s`, `ms`) and sizes better low."""

    what: str
    unit: str
    best: dict[str, float]
    median: dict[str, float] = field(default_factory=dict)
    against: str | None = None
    target: Target | None = None
    rounds: int = 1
    cpu_s: dict[str, list[float]] = field(default_factory=dict)  # of the best round: client, daemon

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return _ratio(self.best, self.against)

    def __str__(self) -> str:
        words = [f"{name} {value:.4g} {self.unit}" for name, value in self.best.items()]
        words += [f"{self.ratio:.3g} × {self.against}"] if self.ratio is not None else []
        words += [f"target {self.target}"] if self.target is not None else []
        return f"{self.what}: {', '.join(words)}"

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        ratio = self.ratio
        fields = asdict(self) | {"ratio": ratio, "median_ratio": _ratio(self.median, self.against)}
        if self.target is not None:
            fields |= {"target": str(self.target), "target_of": self.target.of}
            fields["met"] = self.target.is_met(ratio, self.best[OURS])
        return rounded(fields)  # type: ignore[no-any-return]


@dataclass(slots=True)
class Outcome:
    """What one bench found."""

    figures: list[Figure] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


Turn = Callable[[], Sample]
Samples = Mapping[str, list[Sample]]


def take_turns(turns: Mapping[str, Turn], rounds: int) -> dict[str, list[Sample]]:
    """Each one's samples. Who begins changes from round to round."""
    names = list(turns)
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(turns[name]())
    return samples


def rates(
    what: str,
    unit: str,
    amount: float,
    samples: Samples,
    against: str | None = None,
    target: Target | None = None,
) -> Figure:
    """A figure of so much work a second: `amount` was done in every turn."""
    values = {name: [(amount / each.wall_s, each) for each in of] for name, of in samples.items()}
    return _figure(what, unit, values, against, target, best=-1)


def times(
    what: str, samples: Samples, against: str | None = None, target: Target | None = None, *, unit: str = "s"
) -> Figure:
    """A figure of the time that a turn took, in `s` or `ms`."""
    scale = 1000 if unit == "ms" else 1
    values = {name: [(each.wall_s * scale, each) for each in of] for name, of in samples.items()}
    return _figure(what, unit, values, against, target, best=0)


def measured(work: Callable[[], object], pid: int | None = None) -> Sample:
    """What `work` took, child processes included, and what it cost the daemon `pid`."""
    own, daemons, start = _cpu(), cpu_of(pid), time.perf_counter()
    given = work()
    wall = given if isinstance(given, float) else time.perf_counter() - start
    return Sample(wall, _cpu() - own, cpu_of(pid) - daemons)


def cpu_of(pid: int | None) -> float:
    """Processor time that a process has used, in seconds."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(pid: int) -> dict[str, int]:
    """MiB that a process holds: all of it, its own, and of mapped files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmRSS", "Rss"))}
    return {"rss": kib["VmRSS"] >> 10, "own": kib["RssAnon"] >> 10, "mapped": kib["RssFile"] >> 10}


def bytes_read_by(pid: int) -> int:
    """Bytes that the process asked the kernel for: what a daemon out of the data path does not."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) >> 20
    return {
        "cpus": os.cpu_count(),
        "cpu": model[0] if model else os.uname().machine,
        "memory_gib": memory,
        "kernel": os.uname().release,
        "load": round(os.getloadavg()[0], 2),
    }


def rounded(value: Any) -> Any:
    """Numbers to four digits, wherever they stand."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return value


class Client:
    """client.c, compiled for this run."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / "client"
        source = Path(__file__).with_name("client.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-o", self._program, source], check=True)

    def run(self, mode: str, *places: Path, arguments: Sequence[object]) -> float:
        """A process for each place, all at once; seconds from the first loop's start to the last one's end."""
        commands = [[str(self._program), mode, str(place), *map(str, arguments)] for place in places]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
        said = [process.communicate()[0].split() for process in running]
        if any(process.returncode for process in running):
            raise RuntimeError(f"{commands} failed")
        return max(float(words[1]) for words in said) - min(float(words[0]) for words in said)


def forget_pages(path: Path) -> None:
    """Drops the pages that the mount itself holds of a file; those of the blob under it stay."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends a process when the block does."""
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _figure(
    what: str,
    unit: str,
    values: Mapping[str, list[tuple[float, Sample]]],
    against: str | None,
    target: Target | None,
    *,
    best: int,
) -> Figure:
    chosen = {name: sorted(of, key=lambda pair: pair[0])[best] for name, of in values.items()}
    return Figure(
        what,
        unit,
        {name: value for name, (value, _) in chosen.items()},
        {name: statistics.median(value for value, _ in of) for name, of in values.items()},
        against if against in values else None,
        target,
        max(len(of) for of in values.values()),
        {name: [sample.client_s, sample.daemon_s] for name, (_, sample) in chosen.items()},
    )


def _ratio(values: Mapping[str, float], against: str | None) -> float | None:
    if against is None or not values.get(against):
        return None
    return values[OURS] / values[against]


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
