"""
Claiming the next batch of a run: one that waits, the next range of old rows, or the counting that ends a pass.
"""

from collections.abc import Callable

from docstore.backfill.ceiling import above
from docstore.backfill.context import RunContext
from docstore.core.batch_record import BatchRecord
from docstore.core.id_range import BEGINNING, IdRange
from docstore.core.run_record import Cursor, RunRecord
from docstore.core.run_state import RunState
from docstore.mongo.batches import Batches
from docstore.mongo.runs import Runs


class Claims:
    """
    Claims batches of one run.

    A range is computed when it is claimed, from where the run's cursor stands: the batch is recorded first, under the
    number that follows, and the cursor moves on after it. The number can be taken once only. A worker that finds it
    taken moves the cursor on itself, so that nothing depends on the worker that died in between.
    """

    def __init__(self, runs: Runs, batches: Batches, context: RunContext) -> None:
        self._runs = runs
        self._batches = batches
        self._context = context

    async def claim(self, run_id: str, *, size: Callable[[int | None], int]) -> BatchRecord | None:
        """
        Claim a batch; None if there is nothing to claim at the moment.

        Args:
            run_id: The run.
            size: Says how many rows a new range of a version holds.
        """
        waiting = await self._batches.claim_waiting(run_id)
        if waiting is not None:
            return await self._if_running(run_id, waiting)
        while True:
            run = await self._runs.get(run_id)
            if run is None or not self._may_go_on(run):
                return None
            batch, cursor = await self._open_next(run, size)
            if cursor is None:
                return None
            moved = await self._runs.advance(run, cursor)
            if batch is not None:
                return batch if moved else await self._if_running(run_id, batch)

    async def _open_next(
        self, run: RunRecord, size: Callable[[int | None], int]
    ) -> tuple[BatchRecord | None, Cursor | None]:
        """
        Open what follows the cursor; return it, if it is ours, and where the cursor is to go.
        """
        here = run.cursor
        if run.in_ranges:
            rows, wanted = self._context.old_rows(run.source), size(run.source)
            upto, is_last = await rows.end_of_range(here.after, wanted)
            if upto is BEGINNING:
                return None, Cursor(here.seq, here.source + 1)
            batch = await self._batches.open_new(
                run, "rows", version=run.source, range=IdRange(here.after, upto), size=wanted
            )
            if batch is not None:
                # Whoever appends old rows all the time would keep the pass from its end: the next one has those.
                place = (here.source + 1,) if is_last else (here.source, upto)
                return batch, Cursor(here.seq + 1, *place)
        else:
            # Batches that others work on belong to the pass that is to be counted.
            if await self._batches.count_open(run.id):
                return None, None
            batch = await self._batches.open_new(run, "count", range=IdRange())
            if batch is not None:
                return batch, Cursor(here.seq + 1, here.source)
        following = await self._batches.following(run)
        if following is None:
            return None, None
        taken, source = following
        if taken.number_of_pass != run.number_of_pass:
            # Its worker died before it moved the cursor on, and others ended the pass: only the number is taken.
            return None, Cursor(here.seq + 1, here.source, here.after)
        return None, Cursor(here.seq + 1, source, taken.range.upto)

    async def _if_running(self, run_id: str, batch: BatchRecord) -> BatchRecord | None:
        """
        Return a batch, or give it back untouched if the run was paused or ended since.
        """
        run = await self._runs.get(run_id)
        if run is not None and self._may_go_on(run):
            return batch
        await self._batches.give_back(batch)
        return None

    def _may_go_on(self, run: RunRecord) -> bool:
        if run.state is not RunState.RUNNING or run.held is not None:
            return False
        return not above(self._context.member, run.kind, run.target, run.direction)
