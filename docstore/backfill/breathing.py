"""
Pauses in the midst of a batch, so that those who work on the same server get their turn after every few rows.
"""

import time
from collections.abc import Callable
from typing import Final

from docstore.backfill.throttling import Throttling

#: Reads and inserts that a batch costs besides those of its rows, about.
OF_A_BATCH: Final = 2


class Breathing:
    """
    Has one batch pause as the throttling says, and knows how much of its time was work.

    Args:
        throttling: Says how long.
        is_over: Says that there is nothing to wait for any more.
        courtesy: The pause that is enough for others who are just there, as a share of the work; None stands for what
            the throttling says.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        throttling: Throttling,
        is_over: Callable[[], bool],
        courtesy: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._throttling = throttling
        self._is_over = is_over
        self._courtesy = courtesy
        self._clock = clock
        self._begun = self._breathed = clock()
        #: Seconds that were no work.
        self.paused = 0.0
        #: Seconds since the last pause of which the server noticed nothing.
        self._computed = 0.0

    @property
    def worked(self) -> float:
        """
        Seconds of work so far.
        """
        return self._clock() - self._begun - self.paused

    def computed(self, seconds: float) -> None:
        """
        Say that this process was busy with itself for so long: nobody needs a pause from that.
        """
        self._computed += seconds

    async def breathe(self, reads: int) -> None:
        """
        Pause after some rows, for as long as the work since the last pause asks for.

        Args:
            reads: How many reads that work needed.
        """
        now = self._clock()
        self._tell(now, operations=reads)
        self._computed = 0.0
        await self._throttling.before_batch(self._is_over)
        self._breathed = self._clock()
        self.paused += self._breathed - now

    def end(self) -> None:
        """
        Say that the batch has ended, so that the next one begins when it should.
        """
        self._tell(self._clock(), operations=OF_A_BATCH)
        self._throttling.after_batch(seconds=self.worked)

    def _tell(self, now: float, *, operations: int) -> None:
        seconds = now - self._breathed - self._computed
        self._throttling.worked(seconds=seconds, operations=operations, courtesy=self._courtesy)
