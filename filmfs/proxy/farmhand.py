"""What is done at a worker of a farm: it has a task carried out and keeps the files until they were fetched.

Functions here are called by Dask, in a process of Dask's at the worker's machine.
"""

import os
import threading
import time
import weakref
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

import av

from filmfs import __version__
from filmfs.core.errors import FilmFSError, Unsupported
from filmfs.proxy.executors import Local
from filmfs.proxy.parcels import Parcel, wrap
from filmfs.proxy.tasks import Result, Task

TOPIC = "filmfs-frames"  # of what workers tell: key of a task, address, frames that are done
_TELL_S = 1.0
_IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a task at a worker. Its files are there until Dask is told that nobody wants the result."""

    address: str
    result: Result | FilmFSError
    frames: int = 0
    remarks: tuple[str, ...] = ()
    parcels: tuple[Parcel, ...] = ()


def versions() -> tuple[str, ...]:
    """Spans are one stream only when the same encoders made them."""
    return f"filmfs {__version__}", f"PyAV {av.__version__}", str(sorted(av.library_versions.items()))


def carry_out(key: str, task: Task, wanted: tuple[str, ...], silence_s: float) -> "_Kept | Made":
    """Has a process of the worker's machine carry out a task. It may crash or hang: the worker does not.

    The process is ended when Dask wants the task no more.
    """
    from distributed import get_worker
    from distributed.utils import sync

    worker = get_worker()
    if wanted != versions():
        differing = [f"{is_} and not {shall}" for shall, is_ in zip(wanted, versions(), strict=True) if is_ != shall]
        return Made(worker.address, Unsupported(f"the worker at {worker.address} has {', '.join(differing)}"))
    frames, told = 0, 0.0

    def advance(count: int) -> None:
        nonlocal frames, told
        frames += count
        if time.monotonic() - told < _TELL_S:
            return
        known = worker.state.tasks.get(key)
        if known is None or known.state == "cancelled":
            raise InterruptedError("nobody wants it any more")
        worker.log_event(TOPIC, (key, worker.address, frames))
        told = time.monotonic()

    sync(worker.loop, worker.scheduler.log_event, topic=TOPIC, msg=(key, worker.address, 0))  # known before it can hang
    worker.handlers["filmfs_read"] = _read
    folder = TemporaryDirectory(prefix="filmfs-", dir=worker.local_directory)
    local = _hired(silence_s)
    try:
        (outcome,) = local.run([task], folder.name, advance)
    finally:
        _put_back(silence_s, local)
    made = Made(worker.address, outcome.result, frames, outcome.remarks)
    if isinstance(outcome.result, FilmFSError):
        return made
    return _Kept(key, replace(made, parcels=wrap(folder.name, outcome.result.files)), folder)


class _Kept:
    """A result at its worker: what is sent is a Made, and the files go when this does."""

    def __init__(self, key: str, made: Made, folder: "TemporaryDirectory[str]") -> None:
        self._made = made
        _folders[key] = folder.name
        weakref.finalize(self, _forget, key, folder)

    def __reduce__(self) -> tuple[Any, ...]:
        return replace, (self._made,)


def _forget(key: str, folder: "TemporaryDirectory[str]") -> None:
    _folders.pop(key, None)
    folder.cleanup()


def _read(key: str, name: str, offset: int, length: int) -> dict[str, Any]:
    from distributed.protocol.serialize import to_serialize

    as_it_is: Any = to_serialize  # four times as fast as bytes within a message
    with open(os.path.join(_folders[key], name), "rb") as file:
        file.seek(offset)
        return {"data": as_it_is(file.read(length))}


_folders: dict[str, str] = {}
_idle: list[tuple[float, Local]] = []  # by how long they may tell nothing
_changing_idle = threading.Lock()


def _hired(silence_s: float) -> Local:
    """A process for a task; one that did another task just now may have the same original open."""
    with _changing_idle:
        found = next((each for each in _idle if each[0] == silence_s), None)
        if found is not None:
            _idle.remove(found)
            return found[1]
    return Local(1, silence_s=silence_s)


def _put_back(silence_s: float, local: Local) -> None:
    with _changing_idle:
        _idle.append((silence_s, local))
    closing = threading.Timer(_IDLE_S, _dismiss, [silence_s, local])
    closing.daemon = True
    closing.start()


def _dismiss(silence_s: float, local: Local) -> None:
    """Lets a process go that is still idle: it may have a file of an archive open."""
    with _changing_idle:
        if (silence_s, local) not in _idle:
            return
        _idle.remove((silence_s, local))
    local.close()
