"""
A worker's sign of life on a run, and what it says with it: how fast it is, what it waits for, and that it holds back.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.pacing import Pacing
from docstore.backfill.throttling import Throttling
from docstore.backfill.waiting import Waits
from docstore.backfill.who import Who
from docstore.core.run_record import RunRecord
from docstore.core.run_state import RunState
from docstore.errors import StoreError
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import is_told_to_end
from docstore.mongo.run_totals import RunningTotals
from docstore.mongo.run_workers import RunWorkers
from docstore.mongo.runs import Runs

#: How often a worker says that it is there, and looks whether the run may go on, in seconds.
BEAT: Final = 1.0
#: The reason of a hold that the throttle asks for, and for how many seconds it is put on at a time.
THROTTLED: Final = "throttled"
_HOLD: Final = 5 * BEAT


class Presence:
    """
    One worker, as the record of a run shows it to everybody.

    Args:
        database: Where the records are.
        who: This worker.
        pacing: Knows how fast it is, and keeps to the limits that the record holds.
        throttling: Knows whether it holds back, and why.
        waits: Knows what it waits for.
        metrics: Is told how many rows are left, if anybody wants that.
    """

    def __init__(
        self,
        database: AnyDatabase,
        who: Who,
        *,
        pacing: Pacing,
        throttling: Throttling,
        waits: Waits,
        metrics: WorkerMetrics | None,
    ) -> None:
        self._database = database
        self._who = who
        self._pacing = pacing
        self._throttling = throttling
        self._waits = waits
        self._metrics = metrics
        self._runs = Runs(database)
        self._workers = RunWorkers(database)
        #: Whether this worker put the run on hold.
        self._holds = False

    async def beat(self, run_id: str, *, note: str = "", busy: bool = False) -> RunRecord | None:
        """
        Say once that this worker is there; return the run as it is then.

        Args:
            run_id: The run.
            note: Why it does not work on the run; empty if it does.
            busy: Whether it works on a batch at the moment.
        """
        run = await self._workers.beat(
            run_id,
            worker=self._who.id,
            host=self._who.host,
            pid=self._who.pid,
            rate=self._pacing.rate,
            note=note,
            waits=self._waits.reason or self._pauses,
            busy=busy,
        )
        if run is not None:
            self._pacing.look(run)
        return run

    async def keep(
        self,
        run_id: str,
        is_busy: Callable[[], bool],
        *,
        look: Callable[[RunRecord | None], None],
        over: asyncio.Event,
    ) -> None:
        """
        Go on saying so until cancelled.

        Args:
            run_id: The run.
            is_busy: Tells whether this worker works on a batch.
            look: Told each time how the run stands.
            over: Set if others took this worker's place, because it was silent for so long.
        """
        totals = RunningTotals(self._database, run_id)
        while not is_told_to_end():
            try:
                run = await self.beat(run_id, busy=is_busy())
                look(run)
                if run is not None and not self.is_in(run):
                    over.set()
                await self._tell_hold(run)
                if run is not None and self._metrics is not None:
                    self._tell_left(run.kind, (await totals.look()).left_of(run))
            except StoreError as error:
                # The beat may be there nevertheless, and so may the next one.
                self._waits.put("beat", str(error))
            else:
                self._waits.remove("beat")
            await asyncio.sleep(BEAT)

    async def leave(self, run_id: str) -> None:
        """
        Say that this worker is gone.
        """
        await self._workers.leave(run_id, self._who.id)

    def is_in(self, run: RunRecord) -> bool:
        """
        Tell whether a run's record shows this worker.
        """
        return any(entry.id == self._who.id for entry in run.workers)

    def looked(self, run: RunRecord) -> None:
        """
        Take note of a run as it is: how many rows it has left behind.
        """
        if run.state is RunState.SUCCEEDED:
            self._tell_left(run.kind, run.remaining)

    async def _tell_hold(self, run: RunRecord | None) -> None:
        """
        Put the run on hold as long as the throttle lets no batch begin, for everybody to see and to keep to.
        """
        hold = self._throttling.hold
        if run is None or (run.held is not None and run.held.reason != THROTTLED):
            return
        if hold is not None and hold.stopped:
            # It goes on by being renewed: one that has run out was that of a worker which is gone. Not in the history:
            # under load these come and go, and would push out what operators did.
            await self._runs.hold(run.id, THROTTLED, hold.reason, seconds=_HOLD, anew=True)
            self._holds = True
        elif self._holds:
            await self._runs.release(run.id, THROTTLED)
            self._holds = False

    @property
    def _pauses(self) -> str:
        """
        Why this worker pauses between rows; empty if it does not. That it is stopped, the run's hold tells.
        """
        hold = self._throttling.hold
        return "" if hold is None or hold.stopped else f"between rows ({hold.reason})"

    def _tell_left(self, kind: str, rows: int | None) -> None:
        if self._metrics is not None and rows is not None:
            self._metrics.remaining(kind, rows)
