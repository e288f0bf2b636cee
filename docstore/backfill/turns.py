"""
Who works beside whom within one process.
"""

import asyncio


class Turns:
    """
    Lets any number of batches be worked on side by side, or one alone.

    Who waits to be alone goes before those who come later, so it waits for the batches at hand only.
    """

    def __init__(self) -> None:
        self._beside = 0
        self._is_alone = False
        self._waiting = 0
        self._moved = asyncio.Event()

    async def begin(self, *, alone: bool) -> None:
        """
        Return when a batch may be worked on; `end` has to follow, unless this was cancelled.
        """
        if not alone:
            while self._is_alone or self._waiting:
                await self._moved.wait()
            self._beside += 1
            return
        self._waiting += 1
        try:
            while self._is_alone or self._beside:
                await self._moved.wait()
            self._is_alone = True
        finally:
            self._waiting -= 1
            self._tell()

    def end(self, *, alone: bool) -> None:
        """
        Say that a batch is not worked on any more.
        """
        if alone:
            self._is_alone = False
        else:
            self._beside -= 1
        self._tell()

    def _tell(self) -> None:
        # Everybody who waits looks again, and those who have to wait on do so for what happens next.
        self._moved.set()
        self._moved = asyncio.Event()
