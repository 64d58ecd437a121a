"""Numbers for files, blobs and drafts, taken from the archive's counters in blocks."""

import threading

from filmfs.store.database import Database, Transaction, reserve

_IDS_AT_ONCE = 1 << 18  # a slow disk may take its time for one flush: none of them runs out meanwhile


class Numbers:
    """Hands out numbers that are never given twice, taken from the archive's counter in blocks."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._left = range(0)
        self._lock = threading.Lock()

    def next(self) -> int:
        """The next number. Safe to call from any thread."""
        while True:
            with self._lock:
                if self._left:
                    number, self._left = self._left[0], self._left[1:]
                    return number
            self.adopt(self._database.transact(self.refill))

    def refill(self, transaction: Transaction) -> range:
        """Takes another block when less than half of one is left, so that `next` seldom has to write.

        It is to be adopted when the transaction is done: one that fails has taken nothing.
        """
        if len(self._left) >= _IDS_AT_ONCE // 2:
            return range(0)
        first = reserve(transaction, self._name, _IDS_AT_ONCE)
        return range(first, first + _IDS_AT_ONCE)

    def adopt(self, block: range) -> None:
        """Hands out the numbers of a block that `refill` took."""
        with self._lock:
            follows = self._left and self._left.stop == block.start
            if block:
                self._left = range(self._left.start if follows else block.start, block.stop)
