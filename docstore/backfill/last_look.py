"""
What a process that worked on a run says of it when it ends: how the run stands, and how many rows are left.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docstore.backfill.joining import selection_of
from docstore.backfill.looking import count_aside, counted
from docstore.backfill.patience import patiently
from docstore.core.batch_record import RunTotals
from docstore.core.kind import Kind
from docstore.core.run_record import RunRecord
from docstore.core.run_scope import RunScope
from docstore.core.run_state import RunState
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.runs import Runs


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How a run stands, and what its batches did.
    """

    run: RunRecord
    totals: RunTotals


@dataclass(frozen=True, slots=True)
class Left:
    """
    Rows that are left, those of them that are in quarantine, and those above latest.
    """

    rows: int
    aside: int
    newer: int


async def standing_of(database: AnyDatabase, run: RunRecord) -> Standing:
    """
    Return how a run stands.
    """
    after = await patiently(lambda: Runs(database).get(run.id)) or run
    totals = await patiently(lambda: Batches(database, owner="", lease=0.0).totals(run.id))
    return Standing(after, totals)


async def left_of(
    database: AnyDatabase, kind: Kind[Any], run: RunRecord, *, now: Callable[[], datetime.datetime]
) -> Left:
    """
    Return what is left: as the run itself has counted it when it succeeded, else counted now.
    """
    if run.state is RunState.SUCCEEDED and run.remaining is not None:
        return Left(rows=run.remaining, aside=run.remaining, newer=run.newer)
    selection = selection_of(database, run)
    coverage = await counted(database, kind, now, selection=selection)
    scope = RunScope(kind, run.target, run.direction)
    aside = await patiently(lambda: count_aside(database, scope, selection=selection))
    return Left(rows=scope.rows(coverage), aside=aside, newer=scope.newer(coverage))


def about(standing: Standing) -> Left:
    """
    Return what is left as far as the counters tell, for want of time to count.
    """
    run, totals = standing.run, standing.totals
    return Left(rows=totals.left_of(run) or 0, aside=totals.tally.quarantined, newer=run.newer)
