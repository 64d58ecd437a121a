"""How much room the disk has, without keeping anybody waiting for a slow one."""

import os
from collections.abc import Callable

import trio

_PROMPT_S = 0.01


class Room:
    """Asks in a thread, one at a time. Who asks meanwhile, or must wait for long, is told what was known last."""

    def __init__(self, ask: Callable[[], os.statvfs_result]) -> None:
        self._ask = ask
        self._asking = trio.CapacityLimiter(1)
        self._last: os.statvfs_result | None = None

    async def now(self) -> os.statvfs_result:
        """The disk's own answer, or the last one. Raises OSError."""
        if self._last is None:
            return await self._look()
        if self._asking.borrowed_tokens:
            return self._last
        with trio.move_on_after(_PROMPT_S):
            await self._look()
        return self._last

    async def _look(self) -> os.statvfs_result:
        self._last = await trio.to_thread.run_sync(self._note, limiter=self._asking, abandon_on_cancel=True)
        return self._last

    def _note(self) -> os.statvfs_result:
        """Notes the answer also when nobody waits for it any more."""
        self._last = answer = self._ask()
        return answer
