"""
One process's share of one run: it claims batches, works on them, and says how they ended, until nothing is left.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill.ceiling import above
from docstore.backfill.concluding import WAITS_FOR_WRITERS
from docstore.backfill.context import RunContext
from docstore.backfill.ending import first_of
from docstore.backfill.failing import Failing
from docstore.backfill.joining import begin, context_of
from docstore.backfill.lane import Lane
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.pacing import Pacing
from docstore.backfill.patience import patiently
from docstore.backfill.presence import Presence
from docstore.backfill.progress import Meter, Phase
from docstore.backfill.settling import settled
from docstore.backfill.throttling import Throttling
from docstore.backfill.turns import Turns
from docstore.backfill.verifying import Verifier
from docstore.backfill.waiting import Waits
from docstore.backfill.who import Who
from docstore.core.bson_values import comparison_key
from docstore.core.coverage import Coverage
from docstore.core.fingerprint import OF_KIND, differences, fingerprints
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_state import CLAIMABLE
from docstore.fleet.membership import Alone, Membership
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.leaving import ended, said
from docstore.mongo.runs import Runs

#: Why a worker does not work on a run whose `workers_max` others do.
_NO_PLACE: Final = "waits for a place: the run has as many workers as it may have"


class RunWork:
    """
    Works on one run, together with any number of other processes.

    May be killed at any moment: whatever it holds is claimed by others when its lease has run out. Cancelled, or asked
    to stop, it gives back what it holds.

    Args:
        database: Where the rows and the records are.
        kind: Whose rows.
        who: This worker.
        meter: Counts what this worker does.
        stop: Once it is set, pages in flight are finished, batches given back, and `work` returns.
        now: The clock that quarantine records are dated with.
        lease: For how long a batch is claimed, in seconds.
        concurrency: How many batches to work on at the same time.
        wait_for_writers: Stay while the run waits for writers of old rows to go.
        throttling: Says when a batch may begin; without one only the batches' own time holds back.
        turns: Says beside whom, where this process works on other runs too.
        metrics: Counts what batches come to, if anybody wants it.
        coverage: Where all rows stood a moment ago, if that is known.
        member: This process as a part of its fleet; without one it works alone.
    """

    def __init__(
        self,
        database: AnyDatabase,
        kind: Kind[Any],
        *,
        who: Who,
        meter: Meter,
        stop: asyncio.Event,
        now: Callable[[], datetime.datetime],
        lease: float,
        member: Membership | None = None,
        concurrency: int = 1,
        wait_for_writers: bool = True,
        throttling: Throttling | None = None,
        turns: Turns | None = None,
        metrics: WorkerMetrics | None = None,
        coverage: Coverage | None = None,
    ) -> None:
        self._database = database
        self._kind = kind
        self._who = who
        self._meter = meter
        self._stop = stop
        self._now = now
        self._lease = lease
        self._member = member or Alone([kind])
        self._concurrency = concurrency
        self._wait_for_writers = wait_for_writers
        self._runs = Runs(database)
        self._batches = Batches(database, owner=who.id, lease=lease)
        self._pacing = Pacing()
        self._throttling = throttling or Throttling()
        self._turns = turns or Turns()
        self._metrics = metrics
        self._coverage = coverage
        self._lanes: list[Lane] = []
        self._waits = Waits()
        self._presence = Presence(
            database, who, pacing=self._pacing, throttling=self._throttling, waits=self._waits, metrics=metrics
        )
        #: The rows that no worker is to take; the lanes see what is added here.
        self._deadly: list[Any] = []
        #: Set once this worker has nothing more to do on the run, whatever the reason.
        self._over = asyncio.Event()

    async def work(self, run_id: str) -> RunRecord | None:
        """
        Work on a run until it has ended, may not go on, or this worker is to stop; return it as it is then.

        Raises:
            StoreUnavailableError: The database stayed away for a minute.
            StoreRejectedError: It refuses for good what the run needs; the run has failed then.
        """
        run = await patiently(lambda: self._runs.get(run_id))
        if run is None or run.state not in CLAIMABLE:
            return run
        note = self.obstacle(run)
        joined = await patiently(lambda: self._presence.beat(run_id, note=note))
        if note or joined is None:
            return joined
        if not self._presence.is_in(joined):
            return await patiently(lambda: self._presence.beat(run_id, note=_NO_PLACE))
        try:
            with self._waits.at_hand():
                await self._joined(joined)
        finally:
            await said(self._presence.leave(run_id))
        return joined if self._stop.is_set() else await patiently(lambda: self.settle(run_id))

    async def settle(self, run_id: str) -> RunRecord | None:
        """
        Let a run be paused or cancelled, if that is wanted and nobody holds a batch of it any more.
        """
        run = await self._runs.get(run_id)
        return None if run is None else await settled(self._runs, self._batches, run, by=self._who.name)

    async def tell(self, run_id: str, note: str) -> None:
        """
        Have the run's record show that this worker is there, and why it does not work on the run.
        """
        await self._presence.beat(run_id, note=note)

    def obstacle(self, run: RunRecord) -> str:
        """
        Return why this worker cannot work on a run as things stand; empty if it can.
        """
        if reason := above(self._member, run.kind, run.target, run.direction):
            return reason
        ours = fingerprints(self._kind, min(run.target, self._kind.latest), run.direction)
        differing = differences(ours, run.fingerprints)
        if not differing:
            return ""
        return f"its code differs from that of the run: {', '.join(map(_named, differing))}"

    async def _joined(self, run: RunRecord) -> None:
        # A run that was paused and resumed is joined again.
        self._over = asyncio.Event()
        beating = asyncio.create_task(self._presence.keep(run.id, self._is_busy, look=self._look, over=self._over))
        # Who works on the server is known by the time that the rows are counted.
        looking = asyncio.create_task(self._throttling.look())
        try:
            context = await self._first_look(run)
            if context is None:
                return
            self._deadly = context.deadly
            verifier = Verifier(self._kind, context.target, context.results, context.validation)
            self._lanes = [
                Lane(
                    self._runs,
                    self._batches,
                    context,
                    self._pacing,
                    verifier,
                    throttling=self._throttling,
                    turns=self._turns,
                    metrics=self._metrics,
                    look=self._look,
                    over=self._over,
                    lease=self._lease,
                    by=self._who.name,
                )
                for _ in range(self._concurrency)
            ]
            async with asyncio.TaskGroup() as lanes:
                for lane in self._lanes:
                    lanes.create_task(lane.run(run.id))
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors
        finally:
            await ended([beating, looking])

    async def _first_look(self, run: RunRecord) -> RunContext | None:
        """
        Let a run begin, and return what its parts need to know; None if there is nothing to do for this worker.

        What goes wrong here fails the run: no batch counts it, so it would go wrong again for ever.
        """
        failing, tries = Failing(self._runs, self._batches, by=self._who.name), 0
        while True:
            tries += 1
            try:
                return await self._begun(run)
            except Exception as error:
                if not await failing.at_first_look(run.id, error, tries=tries):
                    raise

    async def _begun(self, run: RunRecord) -> RunContext | None:
        await self._batches.prepare()
        database, kind, meter = self._database, self._kind, self._meter
        # Good for the first time only: a run that goes on after a pause finds the rows elsewhere.
        coverage, self._coverage = self._coverage, None
        begun = await patiently(
            lambda: begin(
                database, self._runs, kind, run, by=self._who.name, meter=meter, now=self._now, coverage=coverage
            )
        )
        if begun is None or begun.state not in CLAIMABLE:
            return None
        meter.set(phase=Phase.REWRITE, total=begun.total)
        return await context_of(database, kind, begun, meter=meter, stop=self._stop, now=self._now, member=self._member)

    def _look(self, run: RunRecord | None) -> None:
        """
        Have the lanes end where there is nothing to do for this worker any more.
        """
        waits_for_writers = run is not None and run.held is not None and run.held.reason in WAITS_FOR_WRITERS
        if run is None or run.state not in CLAIMABLE or (waits_for_writers and not self._wait_for_writers):
            self._over.set()
        elif above(self._member, run.kind, run.target, run.direction):
            # The write version fell: what is to come now is the way back.
            self._over.set()
        if run is not None:
            # None is taken out: this may be the run as it was before the last ones were recorded.
            known = {comparison_key(row_id) for row_id in self._deadly}
            self._deadly += [row_id for row_id in run.deadly if comparison_key(row_id) not in known]
            self._presence.looked(run)

    def _is_busy(self) -> bool:
        return any(lane.busy for lane in self._lanes)


def _named(name: str) -> str:
    return "the kind's settings" if name == OF_KIND else f"step {name}"
