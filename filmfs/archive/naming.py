"""Working out the CommitIds of large commits, in a process of its own.

Naming 200,000 changes is seconds of pure Python; in a thread of a mounted archive's daemon it would slow every request.
`python -m filmfs.archive.naming ROOT` prints {layer: id} of what is durable; the daemon records it.
"""

import json
import sys

from filmfs.archive.opening import Archive, Mode
from filmfs.core.ids import CommitId, LayerId


def names_of(output: bytes) -> dict[LayerId, CommitId]:
    """What the process printed."""
    return {LayerId(int(layer)): CommitId(bytes.fromhex(name)) for layer, name in json.loads(output).items()}


def main(root: str) -> None:
    """Prints the ids of the commits that can have one."""
    with Archive(root, Mode.READ) as archive:
        names = archive.history.find_names()
    sys.stdout.write(json.dumps({str(layer): name.hex() for layer, name in names.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
