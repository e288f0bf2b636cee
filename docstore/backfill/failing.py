"""
What becomes of a batch at which something went wrong, or of the first look, and of the run.
"""

import asyncio
import traceback
from pathlib import Path as File
from typing import Final

from docstore.backfill import events
from docstore.backfill.patience import patiently
from docstore.core.batch_record import BatchRecord, BatchState, Tally
from docstore.core.id_range import BEGINNING
from docstore.core.run_state import OPEN, RunState
from docstore.errors import DocstoreError, PathsDifferError, RecordFormatError
from docstore.mongo.batches import Batches
from docstore.mongo.failures import Reaction, reaction_to
from docstore.mongo.old_rows import OldRows
from docstore.mongo.runs import Runs

#: How often a batch, or the first look, is tried.
TRIES: Final = 3
#: How long it rests after its first failure, in seconds; twice as long after each further one.
REST: Final = 1.0
#: A run fails when more than half of its batches failed, once there are so many.
ENOUGH_BATCHES: Final = 50


class Failing:
    """
    Decides about failed batches of one worker: again, in halves, never again, or the run has failed.
    """

    def __init__(self, runs: Runs, batches: Batches, *, by: str) -> None:
        self._runs = runs
        self._batches = batches
        self._by = by

    async def failed(
        self, batch: BatchRecord, error: Exception, *, rows: OldRows | None, tally: Tally, seconds: float
    ) -> Reaction:
        """
        Record a failure, and return how it was reacted to.

        Args:
            batch: The batch, still held.
            error: What was raised.
            rows: The batch's rows; None if it has none.
            tally: What was done before it failed.
            seconds: How long that took.

        Raises:
            RecordFormatError: It was raised; the batch is left to workers of another release, and has not failed.
        """
        if isinstance(error, RecordFormatError):
            await self._batches.give_back(batch, tally=tally, seconds=seconds)
            raise error
        text = described(error)
        reaction = reaction_to(error)
        events.batch_failed(run=batch.run, batch=batch.seq, error=text, reaction=reaction.value, tries=batch.tries + 1)
        if isinstance(error, PathsDifferError):
            await self._batches.give_back(batch, tally=tally, seconds=seconds, error=text)
            await self._fail(batch.run, text)
            return Reaction.SKIP
        if reaction is Reaction.SPLIT and rows is not None:
            within = batch.range
            # A range can hold fewer rows than were wanted, and a part of them may be done.
            left = await patiently(lambda: rows.count(within.after, within.upto))
            middle = await patiently(lambda: rows.middle(within.after, within.upto, max(1, left // 2)))
            if left > 1 and middle is not BEGINNING:
                await self._batches.split(batch, middle, tally=tally, seconds=seconds, error=text)
                return Reaction.SPLIT
        if reaction is Reaction.RETRY:
            # The database was away for longer than this worker waits; the batch is not to blame.
            await self._batches.give_back(batch, tally=tally, seconds=seconds)
            return reaction
        if reaction is Reaction.FAIL:
            await self._batches.give_back(batch, tally=tally, seconds=seconds, error=text)
            await self._fail(batch.run, f"the database refuses what the run needs: {text}")
            return reaction
        await self._try_again(batch, text, tally=tally, seconds=seconds)
        return Reaction.SKIP

    async def at_first_look(self, run_id: str, error: Exception, *, tries: int) -> bool:
        """
        Rest and return true if the first look at a run is to be taken again; otherwise the run has failed.

        While the database is away nothing fails: whoever looks for open runs finds this one again. Nor does it where
        records are those of another release, whose workers may know them.

        Args:
            run_id: The run; no batch of it is held.
            error: What was raised.
            tries: How often this worker has looked.
        """
        reaction = reaction_to(error)
        if reaction is Reaction.RETRY or isinstance(error, RecordFormatError):
            return False
        if reaction is not Reaction.FAIL and tries < TRIES:
            await asyncio.sleep(REST * 2 ** (tries - 1))
            return True
        await self._fail(run_id, f"the first look at the rows went wrong: {described(error)}")
        return False

    async def _try_again(self, batch: BatchRecord, text: str, *, tally: Tally, seconds: float) -> None:
        tries = batch.tries + 1
        if tries < TRIES:
            rest = REST * 2 ** (tries - 1)
            await self._batches.give_back(batch, tally=tally, seconds=seconds, error=text, wait=rest)
            return
        if not await self._batches.finish(batch, BatchState.FAILED, tally=tally, seconds=seconds, error=text):
            # Another worker has it by now.
            return
        if batch.task == "count":
            await self._fail(batch.run, f"the rows that are left could not be counted: {text}")
            return
        run = await self._runs.get(batch.run)
        if run is None:
            return
        made = await self._batches.totals(run.id, from_seq=run.failures_from)
        if made.done + made.failed >= ENOUGH_BATCHES and made.failed * 2 > made.done + made.failed:
            await self._fail(
                run.id, f"{made.failed} of {made.done + made.failed} batches failed, the last one with: {text}"
            )

    async def _fail(self, run_id: str, why: str) -> None:
        run = await self._runs.get(run_id)
        if run is not None and run.state in OPEN - {RunState.PAUSED}:
            await self._runs.move(run.id, run.state, RunState.FAILED, by=self._by, why=why)


def described(error: Exception) -> str:
    """
    Say what was raised, without what may hold values of a row.
    """
    if isinstance(error, DocstoreError):
        return f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {File(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
