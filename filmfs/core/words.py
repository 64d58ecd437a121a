"""Words for people."""

from collections.abc import Iterable

_RUNS_MAX = 10


def counted(number: int, what: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def runs(numbers: Iterable[int]) -> str:
    """`3, 7–12`: whole numbers in rising order, each once. After ten runs `…` stands for the rest."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    told = [str(first) if first == last else f"{first}–{last}" for first, last in found[:_RUNS_MAX]]
    return ", ".join([*told, "…"] if len(found) > _RUNS_MAX else told)
