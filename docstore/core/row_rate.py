"""
Keeping to a number of rows per second.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowRate:
    """
    When the next row may go; a value, replaced whenever rows have gone.

    Time that was not used is not saved up: after a pause the rate is kept to from then on.

    Args:
        free_at: From when on rows may go, in seconds of the caller's clock.
    """

    free_at: float = 0.0

    def after(self, rows: int, *, now: float, rate: float, since: float) -> "RowRate":
        """
        Return what holds after rows have gone.

        Args:
            rows: How many.
            now: The time.
            rate: Rows per second.
            since: When they began to go; the time that they took counts.
        """
        return RowRate(free_at=max(now, max(self.free_at, since) + rows / rate))

    def wait(self, now: float) -> float:
        """
        Return for how many seconds no row may go.
        """
        return max(0.0, self.free_at - now)
