"""
How large the next batch of a worker is, and when it may begin.
"""

import math
from typing import Final

from docstore.backfill.progress import Path
from docstore.core.batch_size import FIRST, Pace
from docstore.core.row_rate import RowRate
from docstore.core.run_record import RunOptions, RunRecord

#: Rows in the first batch of a run in Python.
FIRST_IN_PYTHON: Final = FIRST
#: Rows in the first batch of a run inside the server, where a row costs a fraction of what it costs in Python.
FIRST_ON_SERVER: Final = 5 * FIRST
#: Rows in a range that is compared as a whole before the server rewrites it; Python needs a while for each of them.
TRIAL: Final = FIRST // 2
#: How long the rows that Python reads, upgrades and writes together may keep it busy, in seconds. More rows make fewer
#: commands, which spares both sides a tenth of the work; fewer are written sooner after they were read, so that a
#: conflict is unlikelier and slow steps keep few rows waiting.
PAGE: Final = 0.15
#: Rows that are read together as long as nobody knows how long they take.
FIRST_PAGE: Final = 250
LEAST_PAGE: Final = 10
MOST_PAGE: Final = 1000
#: How long rows are rewritten at a time while the backfill holds back, in seconds; then there is a pause. A long burst
#: keeps somebody else waiting for longer; short ones cost more for the same rows, and more of the others meet one.
BURST: Final = {Path.SERVER: 0.0045, Path.CLIENT: 0.0035}
#: Fewer rows at a time cost more for the call than for the rows.
LEAST_AT_ONCE: Final = {Path.SERVER: 20, Path.CLIENT: 20}
#: The pause after a burst, as a share of its time, where others are there and nothing is slow. In Python a burst holds
#: a pause of its own, while it is encoded and waits for the log; what others wait for then is how long it takes.
COURTESY: Final = {Path.SERVER: 5.0, Path.CLIENT: 0.6}


class Pacing:
    """
    Keeps one worker's batches as long as they should be, and its rows below its share of the run's rate.
    """

    def __init__(self) -> None:
        self._paces = {Path.CLIENT: Pace(size=FIRST_IN_PYTHON), Path.SERVER: Pace(size=FIRST_ON_SERVER)}
        self._last = Path.CLIENT
        self._rows = RowRate()
        self._options = RunOptions()
        self._workers = 1
        #: The share of the time of batches that was no pause, the newest counting most; None before the first.
        self._at_work: float | None = None

    @property
    def rate(self) -> float | None:
        """
        Rows per second of the batches at hand, with the pauses that they hold.
        """
        rate = self._paces[self._last].rate
        return rate if rate is None or self._at_work is None else rate * self._at_work

    @property
    def limited(self) -> bool:
        """
        Whether there may be pauses between batches.
        """
        return self._options.rate is not None

    def look(self, run: RunRecord) -> None:
        """
        Keep to what the run's record says from now on.
        """
        if run.options.rate != self._options.rate:
            # What is owed was reckoned with the old limit.
            self._rows = RowRate()
        self._options = run.options
        self._workers = max(1, sum(not entry.note for entry in run.workers))

    def size(self, path: Path, *, trial: bool = False) -> int:
        """
        Return how many rows the next batch takes.

        Args:
            path: How they are rewritten.
            trial: The batch is the first of its version inside the server.
        """
        size = min(self._paces[path].size, TRIAL) if trial else self._paces[path].size
        share = self._share()
        return size if share is None else max(1, math.ceil(min(size, share * max(self._options.batch_seconds, 1.0))))

    def after(self, path: Path, *, rows: int, seconds: float, now: float, began: float | None = None) -> None:
        """
        Learn from a batch that has just ended.

        Args:
            path: How its rows were rewritten.
            rows: How many.
            seconds: How long that took, pauses left out.
            now: The time.
            began: When it began, if it paused in between: pauses keep to a limit as well as waiting does.
        """
        self._last = path
        if began is not None and now > began:
            at_work = min(1.0, seconds / (now - began))
            self._at_work = at_work if self._at_work is None else (self._at_work + at_work) / 2
        self._paces[path] = self._paces[path].after(rows=rows, seconds=seconds, target=self._options.batch_seconds)
        share = self._share()
        if share is not None:
            self._rows = self._rows.after(rows, now=now, rate=share, since=now - seconds if began is None else began)

    def burst(self, path: Path) -> int:
        """
        Return how many rows of a batch are rewritten between two pauses, while the backfill holds back.
        """
        rate = self._paces[path].rate
        return LEAST_AT_ONCE[path] if rate is None else max(LEAST_AT_ONCE[path], int(rate * BURST[path]))

    def page(self) -> int:
        """
        Return how many rows of a batch Python reads, upgrades and writes together.
        """
        rate = self._paces[Path.CLIENT].rate
        return FIRST_PAGE if rate is None else max(LEAST_PAGE, min(MOST_PAGE, int(rate * PAGE)))

    def halve(self, path: Path) -> None:
        """
        Learn from a batch that was too much.
        """
        self._paces[path] = self._paces[path].halved()

    def wait(self, now: float) -> float:
        """
        Return for how many seconds no batch may begin.
        """
        return self._rows.wait(now) if self.limited else 0.0

    def _share(self) -> float | None:
        return None if self._options.rate is None else self._options.rate / self._workers
