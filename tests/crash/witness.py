"""A writer that notes what it was promised: python -m tests.crash.witness DIRECTORY JOURNAL SEED

It works on files below DIRECTORY until that dies under it. After each fsync that returned it appends a line of JSON to
JOURNAL, which lies on another file system's side of the crash:

    {"file": name, "state": n}      the file has had at least its n-th state since then
    {"gone": name}                  the file was removed, and the directory synced

A state is made of its number alone (see `state`), so that whoever looks later can tell which one a file is in. What was
written and not synced when the crash came may be there or not, but never in parts of one rename or one state.
"""

import json
import os
import random
import sys

SIZES = (300, 4097, 90_000, 700_000)


def state(name: str, number: int) -> bytes:
    """The bytes of the `number`-th state of a file: recognisable at the start, the same everywhere."""
    chance = random.Random(f"{name}:{number}")
    return b"%012d" % number + chance.randbytes(chance.choice(SIZES))


def replace(directory: str, name: str, number: int) -> None:
    """The careful way: a new file, synced, renamed over the old one; then the directory."""
    path = os.path.join(directory, name)
    _write(path + ".tmp", state(name, number))
    os.rename(path + ".tmp", path)
    _sync(directory)


def rewrite(directory: str, name: str, number: int) -> None:
    """Cut to nothing and written again, in pieces."""
    _write(os.path.join(directory, name), state(name, number))
    _sync(directory)


def remove(directory: str, name: str) -> None:
    """Removed for good."""
    os.unlink(os.path.join(directory, name))
    _sync(directory)


def main(directory: str, journal: str, seed: int) -> None:
    """Works until the mount is gone."""
    chance = random.Random(seed)
    numbers: dict[str, int] = {}
    with open(journal, "a", encoding="utf-8") as notes:

        def note(**facts: object) -> None:
            notes.write(json.dumps(facts) + "\n")
            notes.flush()

        while True:
            kind = chance.choice(("careful", "careless", "gone"))
            name = f"{kind}{chance.randrange(6)}"
            number = numbers.get(name, 0) + 1
            if kind == "gone" and number % 2 == 0:
                note(removing=name, state=number)
                remove(directory, name)
                note(gone=name, state=number)
            else:
                note(writing=name, state=number)
                (replace if kind == "careful" else rewrite)(directory, name, number)
                note(file=name, state=number)
            numbers[name] = number


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    try:
        middle = len(data) // 3
        os.write(descriptor, data[:middle])
        os.write(descriptor, data[middle:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    except OSError:
        sys.exit(0)  # the mount died, as it should
