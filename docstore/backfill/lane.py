"""
One batch after another: claimed, worked on under its lease, and recorded as what it came to.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from docstore.backfill import events
from docstore.backfill.breathing import Breathing
from docstore.backfill.ceiling import above
from docstore.backfill.claiming import Claims
from docstore.backfill.concluding import Conclusion
from docstore.backfill.context import RunContext
from docstore.backfill.failing import Failing
from docstore.backfill.leasing import Held, LeaseLostError
from docstore.backfill.metrics import WorkerMetrics
from docstore.backfill.pacing import COURTESY, Pacing
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Meter, Path
from docstore.backfill.range_work import RangeWork, compiled
from docstore.backfill.suspecting import Suspecting
from docstore.backfill.throttling import Throttling
from docstore.backfill.tracing import batch_span
from docstore.backfill.turns import Turns
from docstore.backfill.verifying import Verifier
from docstore.core.batch_record import BatchRecord, BatchState, Tally
from docstore.core.id_range import BEGINNING
from docstore.core.run_record import RunRecord
from docstore.errors import StaleNodeError
from docstore.fleet.write_bound import WriteBound, bounded_write
from docstore.mongo.batches import Batches
from docstore.mongo.failures import Reaction
from docstore.mongo.leaving import LAST_WORDS, said
from docstore.mongo.runs import Runs

#: How long to wait where there is nothing to claim at the moment, in seconds; twice as long each further time.
_IDLE: Final = 0.05
_LONGEST_IDLE: Final = 1.0


class Lane:
    """
    Works on the batches of one run, one at a time; the next one is claimed meanwhile.

    Args:
        runs: The records of runs.
        batches: The records of batches, for this worker.
        context: What the parts of a run need to know.
        pacing: How large batches are; shared by the lanes of a worker.
        verifier: Holds the server path against Python; shared by the lanes of a worker.
        throttling: Says when a batch may begin; shared by all lanes of a worker.
        turns: Says beside whom; shared by all lanes of a worker, whatever their runs.
        metrics: Counts what batches come to, if anybody wants it.
        look: Told how the run stands.
        over: Set when this worker has nothing more to do on the run.
        lease: For how long a batch is claimed, in seconds.
        by: Who works, for the history.
    """

    def __init__(
        self,
        runs: Runs,
        batches: Batches,
        context: RunContext,
        pacing: Pacing,
        verifier: Verifier,
        *,
        throttling: Throttling,
        turns: Turns,
        metrics: WorkerMetrics | None,
        look: Callable[[RunRecord | None], None],
        over: asyncio.Event,
        lease: float,
        by: str,
    ) -> None:
        self._runs = runs
        self._batches = batches
        self._look = look
        self._context = context
        self._pacing = pacing
        self._over = over
        self._lease = lease
        self._claims = Claims(runs, batches, context)
        self._conclusion = Conclusion(runs, batches, context, by=by)
        self._verifier = verifier
        self._throttling = throttling
        self._turns = turns
        self._suspecting = Suspecting(runs, batches, context)
        self._metrics = metrics
        self._failing = Failing(runs, batches, by=by)
        self._paths: dict[int | None, Path] = {}
        #: Whether a batch is being worked on, or the limit alone keeps the next one from it.
        self.busy = False

    async def run(self, run_id: str) -> None:
        """
        Work until the worker is to stop, or has nothing more to do on the run.

        Raises:
            StoreUnavailableError: The database stayed away for a minute.
            StoreRejectedError: It refuses for good what the run needs; the run has failed then.
        """
        claiming: asyncio.Task[Held | None] | None = None
        idle = _IDLE
        try:
            while not self._is_over:
                await self._keep_to_the_rate()
                await self._throttling.before_batch(lambda: self._is_over)
                claiming = claiming or self._claim(run_id)
                # A claim that is cancelled on its way may have been granted: its batch would wait for the lease to end.
                held = await asyncio.shield(claiming)
                claiming = None
                if held is None:
                    self._look(await patiently(lambda: self._runs.get(run_id)))
                    await self._wait(idle)
                    idle = min(idle * 2, _LONGEST_IDLE)
                    continue
                idle = _IDLE
                if held.batch.task == "rows" and not held.batch.is_suspected and self._may_claim_ahead:
                    claiming = self._claim(run_id)
                await self._work_on(held)
        finally:
            if claiming is not None:
                await self._let_go(claiming)

    @property
    def _is_over(self) -> bool:
        return self._over.is_set() or self._context.stop.is_set()

    @property
    def _may_claim_ahead(self) -> bool:
        return not self._pacing.limited and self._throttling.hold is None and not self._is_over

    def _claim(self, run_id: str) -> "asyncio.Task[Held | None]":
        return asyncio.create_task(self._claimed(run_id))

    async def _claimed(self, run_id: str) -> Held | None:
        batch = await patiently(lambda: self._claims.claim(run_id, size=self._size))
        return None if batch is None else Held(self._batches, batch, lease=self._lease)

    def _size(self, version: int | None) -> int:
        path = self._path(version)
        trial = path is Path.SERVER and not self._verifier.knows(version)
        return self._pacing.size(path, trial=trial)

    def _path(self, version: int | None) -> Path:
        if version not in self._paths:
            self._paths[version] = Path.CLIENT if compiled(self._context, version) is None else Path.SERVER
        return self._paths[version]

    def _burst(self, path: Path) -> int | None:
        return self._pacing.burst(path) if self._throttling.in_bursts else None

    async def _keep_to_the_rate(self) -> None:
        """Wait until the next rows may go; the limit may be changed meanwhile."""
        try:
            while (seconds := self._pacing.wait(time.monotonic())) > 0 and not self._is_over:
                self.busy = True
                await self._wait(min(seconds, _LONGEST_IDLE))
        finally:
            self.busy = False

    async def _wait(self, seconds: float) -> None:
        """Wait, at most until the worker is to stop."""
        if seconds <= 0 or self._is_over:
            return
        ends = [asyncio.create_task(event.wait()) for event in (self._over, self._context.stop)]
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def _work_on(self, held: Held) -> None:
        batch = held.batch
        self.busy = True
        try:
            if self._is_over:
                await self._give_back(batch, Tally(), 0.0)
            elif batch.split_at is not BEGINNING:
                await patiently(lambda: self._batches.split(batch, batch.split_at, tally=Tally(), seconds=0.0))
            else:
                await self._work_in_turn(held)
        finally:
            self.busy = False
            held.let_go()

    async def _work_in_turn(self, held: Held) -> None:
        """Work on a batch beside others, or with no other in this process if workers have died over it."""
        batch = held.batch
        alone = batch.is_suspected and batch.task == "rows"
        try:
            await self._turns.begin(alone=alone)
        except asyncio.CancelledError:
            await self._give_back(batch, Tally(), 0.0)
            raise
        try:
            if batch.task == "count":
                await self._count(held)
            elif not alone or await self._is_to_be_tried(batch):
                await self._rewrite(held)
        finally:
            self._turns.end(alone=alone)

    async def _is_to_be_tried(self, batch: BatchRecord) -> bool:
        try:
            return await self._suspecting.is_to_be_tried(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
            await self._fail(batch, error, None, 0.0)
            return False

    async def _count(self, held: Held) -> None:
        batch = held.batch
        try:
            await held.do(self._conclusion.conclude(batch.run, batch.number_of_pass))
        except LeaseLostError:
            events.lease_lost(run=batch.run, batch=batch.seq)
        except asyncio.CancelledError:
            await self._give_back(batch, Tally(), 0.0)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
            await self._fail(batch, error, None, 0.0)
        else:
            await self._finish(batch, Tally(), 0.0)

    async def _rewrite(self, held: Held) -> None:
        batch, began = held.batch, time.monotonic()
        breathing = Breathing(self._throttling, lambda: self._is_over, COURTESY[self._path(batch.version)])
        context = replace(
            self._context,
            meter=Meter(whole=self._context.meter),
            breathe=breathing.breathe,
            computed=breathing.computed,
            burst=self._burst,
            page=self._pacing.page,
        )
        work, bound = RangeWork(context, batch, self._verifier), WriteBound()
        try:
            async with bounded_write(context.member, context.kind.name, bound):
                if above(context.member, context.kind.name, context.target, context.direction):
                    await self._give_back(batch, Tally(), 0.0)
                    return
                await self._rewrite_held(held, work, breathing)
        except LeaseLostError:
            events.lease_lost(run=batch.run, batch=batch.seq)
        except asyncio.CancelledError:
            await self._give_back(batch, work.tally, breathing.worked)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
            if isinstance(error, StaleNodeError) or bound.timeout.expired():
                # Others may take this node for dead; it goes on when it is heard of again.
                await self._give_back(batch, work.tally, breathing.worked)
                await self._wait(_LONGEST_IDLE)
            else:
                await self._fail(batch, error, work, breathing.worked)
        else:
            now, seconds = time.monotonic(), breathing.worked
            # Most of the comparing is done for the first range, so it says nothing of the next batch.
            took = seconds - work.comparing
            self._pacing.after(work.path, rows=work.tally.met, seconds=took, now=now, began=began)
            if self._context.stop.is_set():
                # Nobody knows whether the last page was reached.
                await self._give_back(batch, work.tally, seconds)
            else:
                await self._finish(batch, work.tally, seconds)

    async def _rewrite_held(self, held: Held, work: RangeWork, breathing: Breathing) -> None:
        """Rewrite the rows of a batch, and tell everybody who watches what it came to."""
        kind = self._context.kind.name
        try:
            with batch_span(kind, held.batch, target=self._context.target, path=work.path) as span:
                try:
                    await held.do(work.rewrite())
                finally:
                    span.came_to(work.tally)
        finally:
            breathing.end()
            if self._metrics is not None:
                self._metrics.batch(kind, work.path, work.tally, seconds=breathing.worked)

    async def _fail(self, batch: BatchRecord, error: Exception, work: RangeWork | None, seconds: float) -> None:
        tally = Tally() if work is None else work.tally
        rows = None if work is None else work.rows
        reaction = await self._failing.failed(batch, error, rows=rows, tally=tally, seconds=seconds)
        if reaction is Reaction.SPLIT and work is not None:
            self._pacing.halve(work.path)
        if reaction in {Reaction.RETRY, Reaction.FAIL}:
            raise error

    async def _finish(self, batch: BatchRecord, tally: Tally, seconds: float) -> None:
        await patiently(lambda: self._batches.finish(batch, BatchState.DONE, tally=tally, seconds=seconds))

    async def _give_back(self, batch: BatchRecord, tally: Tally, seconds: float) -> None:
        # If the database is away too, the lease runs out by itself.
        await said(self._batches.give_back(batch, tally=tally, seconds=seconds))

    async def _let_go(self, claiming: "asyncio.Task[Held | None]") -> None:
        """Give back what is just being claimed."""
        await asyncio.wait({claiming}, timeout=LAST_WORDS)
        if not claiming.done():
            claiming.cancel()
        elif not claiming.cancelled() and claiming.exception() is None and (held := claiming.result()) is not None:
            held.let_go()
            await said(self._batches.give_back(held.batch))
