"""A process that carries out tasks, which come as pickles on its standard input; what comes of them goes to its output.

Only filmfs.proxy.executors speaks with it. Messages: a number of frames that are done, then the result or the error.
"""

import os
import pickle
import struct
import sys
import time
from typing import BinaryIO

from filmfs.core.errors import FilmFSError
from filmfs.proxy.executors import carried_out

_LENGTH = struct.Struct("<I")
_TELL_S = 0.2


def serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    """Until no more tasks come."""

    def send(message: object) -> None:
        data = pickle.dumps(message)
        answers.write(_LENGTH.pack(len(data)) + data)
        answers.flush()

    told, frames = time.monotonic(), 0

    def advance(count: int) -> None:
        nonlocal told, frames
        frames += count
        if time.monotonic() - told > _TELL_S:
            send(frames)
            told, frames = time.monotonic(), 0

    while head := tasks.read(_LENGTH.size):
        task, folder = pickle.loads(tasks.read(_LENGTH.unpack(head)[0]))
        result = carried_out(task, folder, advance)
        send(frames)
        frames = 0
        send(result if not isinstance(result, FilmFSError) else _plain(result))


def _plain(error: FilmFSError) -> FilmFSError:
    """An error without what it came from, which may be no value."""
    return type(error)(str(error))


def main() -> None:
    """Its output belongs to the answers alone: libraries that print to it write to its error output."""
    os.nice(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
