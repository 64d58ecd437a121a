"""Processes that carry out tasks, which come as pickles over a socket, and go back as what comes of them.

Only filmfs.proxy.executors speaks with them. Messages: a number of frames that are done, then the result or the error.
"""

import gc
import os
import pickle
import socket
import struct
import sys
import time
import traceback
from typing import BinaryIO, NoReturn

from filmfs.core.errors import FilmFSError
from filmfs.proxy.executors import carried_out

_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<i")
_GARBAGE = 50_000  # objects between two looks for cycles, of which there are hardly any
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
    """Grows workers, and tells how they ended, as it is told on its standard input, which is a socket.

    0 with a descriptor: a worker that serves there; the answer is its pid. A pid: the answer is how that one ended.
    """
    os.nice(int(sys.argv[1]))
    gc.freeze()  # workers need not look at what they share
    orders = socket.socket(fileno=os.dup(0))
    os.dup2(1, 0)
    while True:
        data, descriptors, *_ = socket.recv_fds(orders, _NUMBER.size, 1)
        if not data:
            return
        if descriptors:
            pid = os.fork()
            if not pid:
                orders.close()
                _work(descriptors[0])
            os.close(descriptors[0])
            orders.sendall(_NUMBER.pack(pid))
        else:
            (pid,) = _NUMBER.unpack(data)
            _, status = os.waitpid(pid, 0)
            orders.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))


def _work(descriptor: int) -> NoReturn:
    code = 1
    try:
        gc.set_threshold(_GARBAGE)
        tasks, answers = os.fdopen(descriptor, "rb"), os.fdopen(os.dup(descriptor), "wb")
        serve(tasks, answers)
        code = 0
    except ConnectionError:  # nobody wants to know any more
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # which ends the connection, so all is said before it is known


if __name__ == "__main__":
    main()
