"""Files of several blobs as one plain file that the kernel can read by itself: made by an EROFS image (see `erofs`).

The image has no name: it lies in an unlinked file on the archive's disk and is mounted where nobody sees it, so nothing
is left of either when the last user closes the file, or dies. Needs Linux 6.12 with EROFS of plain files, and the
rights to mount; without them, and until `Composer.prove` was called, there are no such files.
"""

import errno
import logging
import os
import threading
from _thread import start_new_thread
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from filmfs.core.errors import FilmFSError
from filmfs.core.extents import Extent, ExtentMap
from filmfs.core.ids import BlobId, ContentId
from filmfs.store.blobs import Blobs
from filmfs.store.disk import mount_image, write_back
from filmfs.store.erofs import BLOCK, DEVICES_MAX, NAME, divide, image

log = logging.getLogger("filmfs.store")

_KEPT = 128  # and their pages
_PASSING_ERRORS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.ENOSPC, errno.EDQUOT, errno.EIO}


class Composed:
    """A plain file that is there as long as this object, or an open descriptor of it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def open(self) -> int:
        """A descriptor for reading, the caller's to close. Raises OSError."""
        return os.dup(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Some of its bytes. Raises OSError."""
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        # Of a large file the kernel lets go of many pages, which takes longer than whoever holds it last may wait. This
        # may be called anywhere, at the interpreter's end too: nothing may be waited for, as Thread.start() does.
        try:
            start_new_thread(os.close, (self._descriptor,))
        except RuntimeError:
            os.close(self._descriptor)


class Composer:
    """Those that were used last. Safe to use from many threads."""

    def __init__(self, blobs: Blobs, read: Callable[[ExtentMap, int, int], bytes]) -> None:
        """`read` gives bytes of a file: (what it is made of, offset, length)."""
        self._blobs = blobs
        self._read = read
        self._known: OrderedDict[ContentId, Composed | None] = OrderedDict()  # None: cannot be
        self._lock = threading.Lock()
        self._is_hopeless = False
        self._is_proved = False

    @property
    def works(self) -> bool:
        """Whether the kernel was seen to compose files."""
        return self._is_proved and not self._is_hopeless

    def prove(self) -> None:
        """Finds out whether it does, if that is not known. May take some milliseconds, in any thread."""
        if not self._is_proved and not self._is_hopeless:
            try:
                _prove(self._blobs.staging_directory)
                self._is_proved = True
            except OSError as error:
                self.give_up(error)

    def making(self, content: ContentId, extents: ExtentMap) -> Callable[[], None] | None:
        """Work for another thread, after which `find` knows; None when there is none to do."""
        with self._lock:
            wanted = not self._is_hopeless and len(extents.extents) > 1 and content not in self._known
        return partial(self._make, content, extents) if wanted else None

    def find(self, content: ContentId) -> Composed | None:
        """The file of a content, if there is one."""
        with self._lock:
            found = self._known.get(content)
            if found is not None:
                self._known.move_to_end(content)
            return found

    def give_up(self, error: OSError) -> None:
        """The kernel has no such files or does not take them; or it is the disk, or want of descriptors, now."""
        if error.errno in _PASSING_ERRORS:
            log.info("a file of several blobs is read through the daemon: %s", error)
            return
        if not self._is_hopeless:
            log.info("files of several blobs are read through the daemon: %s", error)
        self._is_hopeless = True
        with self._lock:
            self._known = OrderedDict()

    def _make(self, content: ContentId, extents: ExtentMap) -> None:
        self.prove()
        if not self.works:
            return
        try:
            made = self._composed(extents)
        except FilmFSError:
            return  # reading will tell
        except OSError as error:
            self.give_up(error)
            return
        with self._lock:
            self._known[content] = made
            self._known.move_to_end(content)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)

    def _composed(self, extents: ExtentMap) -> Composed | None:
        blobs = sorted(extents.blobs())
        if len(blobs) > DEVICES_MAX:
            return None
        with self._blobs.borrow(blobs) as descriptors:
            files = dict(zip(blobs, descriptors, strict=True))
            return compose(self._blobs.staging_directory, extents, files, partial(self._read, extents))


def is_possible(directory: str) -> bool:
    """Whether the kernel composes files, for us and on the disk of `directory`."""
    try:
        _prove(directory)
    except OSError:
        return False
    return True


def compose(
    directory: str, extents: ExtentMap, files: Mapping[BlobId, int], read: Callable[[int, int], bytes]
) -> Composed | None:
    """The file that `extents` say; None when it cannot be so (see `erofs.divide`).

    `files` are descriptors of the blobs, `read` gives bytes of the file (offset, length); on the disk of `directory` is
    room. Raises OSError, and what `read` does.
    """
    layout = divide(extents, {blob: os.fstat(descriptor).st_size for blob, descriptor in files.items()})
    if layout is None:
        return None
    made = image(layout, {blob: number for number, blob in enumerate(files, 1)}, read)
    data = memoryview(made)
    kept = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(kept, data) :]
        # What the disk does not take would come back from it as zeros. It need not be durable, and an fdatasync waits
        # for all that others write.
        write_back(kept, 0, len(made))
        devices = [("device", _path_of(descriptor)) for descriptor in files.values()]
        root = mount_image(_path_of(kept), "erofs", devices)
    finally:
        os.close(kept)
    try:
        return Composed(os.open(NAME, os.O_RDONLY | os.O_CLOEXEC, dir_fd=root))
    finally:
        os.close(root)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _prove(directory: str) -> None:
    """Has the kernel show a small file of each kind of run. Raises OSError when what it shows is wrong.

    Of a blob that became shorter it must show an error: some kernels show zeros (`erofs_fileio_ki_complete`).
    """
    blobs = {BlobId(number): os.urandom(64 * BLOCK) for number in (1, 2)}
    runs = ((0, 100, 1, 7), (BLOCK, 2 * BLOCK, 2, BLOCK), (4 * BLOCK, 60 * BLOCK + 9, 1, BLOCK))
    extents = ExtentMap(64 * BLOCK + 9, tuple(Extent(at, size, BlobId(of), start) for at, size, of, start in runs))
    expected = bytearray(extents.size)
    for at, size, blob, start in runs:
        expected[at : at + size] = blobs[BlobId(blob)][start : start + size]
    files: dict[BlobId, int] = {}
    try:
        for blob, data in blobs.items():
            files[blob] = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.write(files[blob], data)
        composed = _of_proof(directory, extents, files, expected)
        if composed.read(0, extents.size + 1) != expected:
            raise OSError(errno.EOPNOTSUPP, "the kernel shows other bytes than an EROFS image says")
        composed = _of_proof(directory, extents, files, expected)
        os.ftruncate(files[BlobId(1)], 2 * BLOCK + 100)
        for at in (5 * BLOCK, 40 * BLOCK):
            if _can_be_read(composed, at):
                raise OSError(errno.EOPNOTSUPP, "the kernel shows zeros where an EROFS device has no bytes")
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _of_proof(directory: str, extents: ExtentMap, files: Mapping[BlobId, int], expected: bytearray) -> Composed:
    composed = compose(directory, extents, files, lambda offset, length: bytes(expected[offset : offset + length]))
    if composed is None:
        raise OSError(errno.EOPNOTSUPP, "a file of proof cannot be composed")
    return composed


def _can_be_read(composed: Composed, at: int) -> bool:
    try:
        composed.read(at, BLOCK)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return False
    return True
