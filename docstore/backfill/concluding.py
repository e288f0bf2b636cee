"""
The end of a pass: an exact count, and what follows from it.
"""

from dataclasses import dataclass
from typing import Final

from docstore.backfill.context import RunContext
from docstore.backfill.looking import count_aside, counted, put_unreadable_aside
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Phase
from docstore.backfill.recording import record_left, time_before
from docstore.backfill.untagged import untagged_elsewhere
from docstore.core.batch_record import RunTotals
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet
from docstore.core.known_writers import known_writers
from docstore.core.run_record import RunRecord, Stored
from docstore.core.run_state import OPEN, RunState
from docstore.errors import BackfillRefusedError, RecordFormatError
from docstore.mongo.batches import Batches
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.runs import Runs
from docstore.mongo.tag_filters import short_of

#: How many passes after the first one may end with rows left before the run waits for their writers to go.
FINAL_PASSES: Final = 3
#: How long it waits then, in seconds.
WRITERS_HOLD: Final = 60.0
#: The reasons of that hold, on the way up and on the way down.
OLD_WRITERS: Final = "old_writers"
NEW_WRITERS: Final = "new_writers"
_WRITERS: Final = {Direction.UP: OLD_WRITERS, Direction.DOWN: NEW_WRITERS, Direction.ADOPT: OLD_WRITERS}
#: The reason where the pass has met all of the rows that are left, and others were quicker each time.
RESTLESS_ROWS: Final = "restless_rows"
#: Holds of these reasons end when somebody says that the writers are gone, by asking for the run again.
WAITS_FOR_WRITERS: Final = frozenset({*_WRITERS.values(), RESTLESS_ROWS})


_STAND: Final = {
    Direction.UP: "stand below version {}",
    Direction.DOWN: "stand above version {}",
    Direction.ADOPT: "have no tag",
}
_SUCH: Final = {Direction.UP: "old", Direction.DOWN: "newer", Direction.ADOPT: "untagged"}


@dataclass(frozen=True, slots=True)
class _Left:
    """
    What an exact count found of the rows that the run is about.
    """

    coverage: Coverage
    rows: int
    aside: int
    newer: int

    @property
    def unexplained(self) -> int:
        return max(self.rows - self.aside, 0)


class Conclusion:
    """
    Counts what a pass has left, and lets the run succeed, go on, wait or fail.

    Idempotent: each outcome is one update that rests on the pass being the one that was counted.
    """

    def __init__(self, runs: Runs, batches: Batches, context: RunContext, *, by: str) -> None:
        self._runs = runs
        self._batches = batches
        self._context = context
        self._by = by

    async def conclude(self, run_id: str, number_of_pass: int) -> None:
        """
        Count, and say in the run's record what follows.
        """
        self._context.meter.set(phase=Phase.COUNT)
        begun = await self._runs.get(run_id)
        if begun is None:
            return
        left = await self._count(begun)
        run = await self._runs.get(run_id)
        if run is None or run.state not in OPEN or run.number_of_pass != number_of_pass:
            return
        made = await self._batches.totals(run.id, number_of_pass=number_of_pass)
        # Where a batch was given up, rows that an earlier run has put aside may not have been tried again.
        if not left.rows or not (left.unexplained or made.failed):
            scope = self._context.scope
            changes = {
                "remaining": left.rows,
                "newer": left.newer,
                "cursor": run.cursor.stored(),
            }
            why = scope.about_newer(left.newer)
            await self._end(run, RunState.SUCCEEDED, why=why, changes=changes)
            return
        # The next pass would be as fruitless: each of these batches was tried several times.
        if made.failed and not made.tally.server + made.tally.client:
            error = await self._batches.last_error(run.id)
            batches = f"{made.failed} of its {made.failed + made.done} batches"
            why = f"pass {run.number_of_pass} rewrote no row, and {batches} failed, the last one with: {error}"
            await self._end(run, RunState.FAILED, why=why)
            return
        try:
            self._context.scope.refuse_one_way(left.coverage)
        except BackfillRefusedError as error:
            await self._end(run, RunState.FAILED, why=error.reason)
            return
        await self._go_on(run, left, made)

    async def _end(self, run: RunRecord, state: RunState, *, why: str, changes: Stored | None = None) -> None:
        only = {"pass": run.number_of_pass}
        await self._runs.move(run.id, run.state, state, by=self._by, why=why, changes=changes, only=only)

    async def _go_on(self, run: RunRecord, left: _Left, made: RunTotals) -> None:
        unfinished, scope, restless = run.unfinished_passes + 1, self._context.scope, made.tally.contested
        if unfinished > FINAL_PASSES:
            rows = (
                f"{left.unexplained:,} rows still {_STAND[run.direction].format(run.target)} after pass "
                f"{run.number_of_pass} ({scope.whereabouts(left.coverage)})"
            )
            if restless >= left.unexplained and not made.failed:
                reason, cause = RESTLESS_ROWS, "others changed each of them at every try"
            else:
                reason = _WRITERS[run.direction]
                cause = (
                    f"a process that writes {_SUCH[run.direction]} rows is still running; {await self._writers(run)}"
                )
                cause += f"; others changed {restless:,} of them at every try" if restless else ""
            if made.failed:
                error = await self._batches.last_error(run.id)
                cause += f"; {made.failed} of the batches of that pass failed, the last one with: {error}"
            await self._runs.hold(run.id, reason, f"{rows}: {cause}", seconds=WRITERS_HOLD, by=self._by)
        await self._runs.begin_pass(
            run,
            run.number_of_pass + 1,
            scope.sources(left.coverage),
            remaining=left.rows,
            unfinished=unfinished,
        )

    async def _writers(self, run: RunRecord) -> str:
        """
        Say who of those that are known writes such rows.
        """
        database = self._context.database
        try:
            view = await patiently(ControlRecords(database).view)
            fleet = Fleet(await patiently(NodeRecords(database).all), view.readers)
        except RecordFormatError as error:
            return f"who it is cannot be told: {error}"
        known = known_writers(run.kind, fleet, target=run.target, direction=run.direction)
        return ", ".join(known) or "no node and no declared reader is known to: look for what writes without them"

    async def _count(self, run: RunRecord) -> _Left:
        context = self._context
        kind, database = context.kind, context.database
        quarantine = Quarantine(database, kind.name)
        await patiently(lambda: quarantine.settle(kind.collection, kind.version_field))
        selection = context.selection
        # What has been done is not looked at again, so that a count costs as much as there is left.
        only = None if run.odd_tags else short_of(context.scope.direction, context.scope.target)
        before = await time_before(database)
        coverage = await counted(database, kind, context.now, selection=selection, only=only)
        if context.scope.unreadable(coverage):
            await put_unreadable_aside(database, kind, context.aside, selection=selection)
            coverage = await counted(database, kind, context.now, selection=selection, only=only)
        if selection is None:
            await record_left(database, context.scope, coverage, before=before)
        elsewhere = await untagged_elsewhere(context, coverage)
        rows = max(context.scope.rows(coverage) - elsewhere.rows, 0)
        # The first is of the same moment as the count, the second leaves out what failed on another way.
        failed = await patiently(lambda: count_aside(database, context.scope, selection=selection))
        aside = min(coverage.quarantined, failed)
        newer = context.scope.newer(coverage, elsewhere.newer)
        return _Left(coverage=coverage, rows=rows, aside=min(aside, rows), newer=newer)
