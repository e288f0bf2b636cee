"""
How many rows the next batch takes, so that it lasts about as long as it should.

A weighted mean of the rate, the newest batch counting most, times the target time. Growth is bounded, because a mean
of quick small batches says little about large ones; shrinking is not, because a database in trouble cannot wait.

Source: pt-online-schema-change (weighted average rate, weight 0.75); GitLab batched background migrations (at most
+20 % a step up, no limit down).
"""

from dataclasses import dataclass
from typing import Final

#: How much of the history is kept with each batch.
WEIGHT: Final = 0.75
#: How much larger than the last one a batch may be.
GROWTH: Final = 1.2
#: Rows in the first batch of a run.
FIRST: Final = 1_000
FLOOR: Final = 10
CEILING: Final = 50_000
#: How long a batch should take, unless the run says otherwise.
TARGET_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What the past batches tell; a value, replaced after each batch.

    Args:
        size: Rows that the next batch takes.
        rows: Weighted rows of the past.
        seconds: Weighted seconds of the past.
    """

    size: int = FIRST
    rows: float = 0.0
    seconds: float = 0.0

    @property
    def rate(self) -> float | None:
        """
        Rows per second, or None before the first batch.
        """
        return self.rows / self.seconds if self.seconds > 0 else None

    def after(self, *, rows: int, seconds: float, target: float) -> "Pace":
        """
        Return the pace after a batch.

        Args:
            rows: Rows that the batch really held; a batch cut short by the end of the range tells the rate too.
            seconds: How long it took, without time spent waiting for a throttle.
            target: How long a batch should take, in seconds.
        """
        if rows <= 0 or seconds <= 0:
            return self
        weighted_rows = self.rows * WEIGHT + rows
        weighted_seconds = self.seconds * WEIGHT + seconds
        wanted = weighted_rows / weighted_seconds * target
        largest = max(self.size + 1, int(self.size * GROWTH))
        return Pace(size=_clamped(int(min(wanted, largest))), rows=weighted_rows, seconds=weighted_seconds)

    def halved(self) -> "Pace":
        """
        Return the pace after a batch that timed out or was too large: half the size, and no trust in the past.
        """
        return Pace(size=_clamped(self.size // 2))


def _clamped(size: int) -> int:
    return max(FLOOR, min(CEILING, size))
