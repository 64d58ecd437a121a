"""A stored file as an open file, for libraries that read those."""

import io

from filmfs.core.ports import ByteSource


class StoredFile(io.RawIOBase):
    """The bytes of a source as a file that can be read and sought. One thread at a time."""

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """See io.IOBase."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """See io.RawIOBase."""
        left = max(0, self._source.size - self._at)
        data = self._source.read(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data
