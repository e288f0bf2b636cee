"""
Finding the row that takes its workers with it: a batch over which they died is halved until one row is left.
"""

from docstore.backfill import events
from docstore.backfill.context import RunContext
from docstore.backfill.patience import patiently
from docstore.core.batch_record import BatchRecord, BatchState, Tally
from docstore.core.failed_row import FailedRow
from docstore.core.id_range import BEGINNING
from docstore.core.suspicion import Course, course_of
from docstore.errors import WorkerDiedError
from docstore.mongo.batches import Batches
from docstore.mongo.old_rows import OldRows
from docstore.mongo.runs import Runs


class Suspecting:
    """
    Decides about the batches of one run whose leases have run out.
    """

    def __init__(self, runs: Runs, batches: Batches, context: RunContext) -> None:
        self._runs = runs
        self._batches = batches
        self._context = context

    async def is_to_be_tried(self, batch: BatchRecord) -> bool:
        """
        Tell whether a batch is to be worked on now, by a worker that holds it and works on nothing else.

        If not, it is halved by then, its row is put aside, or another worker has it. May be repeated after a crash.
        """
        rows, within = self._context.old_rows(batch.version), batch.range
        left = await patiently(lambda: rows.count(within.after, within.upto))
        course = course_of(batch, rows=left)
        if course is not Course.TRY:
            events.batch_suspected(run=batch.run, batch=batch.seq, rows=left, lost=batch.lost, deaths=batch.deaths)
            last = await patiently(lambda: rows.middle(within.after, within.upto, max(1, left // 2)))
            if last is not BEGINNING:
                await (self._halve(batch, last) if course is Course.HALVE else self._put_aside(batch, rows, last))
                return False
        return await patiently(lambda: self._batches.begin_alone(batch, rows=left))

    async def _halve(self, batch: BatchRecord, middle: object) -> None:
        await patiently(lambda: self._batches.split(batch, middle, tally=Tally(), seconds=0.0))

    async def _put_aside(self, batch: BatchRecord, rows: OldRows, row_id: object) -> None:
        kind = self._context.kind.name
        error = WorkerDiedError(kind=kind, id=row_id, version=rows.version, deaths=batch.deaths)
        await self._context.aside.put([FailedRow(row_id, error)], version=rows.version)
        # Before the batch is finished: the next pass meets the row again, and must not take it.
        await patiently(lambda: self._runs.avoid(batch.run, row_id))
        self._context.deadly.append(row_id)
        done = Tally(quarantined=1)
        await patiently(lambda: self._batches.finish(batch, BatchState.DONE, tally=done, seconds=0.0))
