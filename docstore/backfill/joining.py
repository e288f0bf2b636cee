"""
Joining a run: what a worker has to know of the collection, and the first look that lets a run begin.
"""

import asyncio
import datetime
import random
from collections.abc import Callable
from typing import Any

from docstore.backfill import events
from docstore.backfill.context import RunContext
from docstore.backfill.looking import counted
from docstore.backfill.patience import patiently
from docstore.backfill.progress import Meter, Phase
from docstore.backfill.recording import record_left, time_before
from docstore.backfill.validation import SAMPLE, Validate, Validation
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_record import Cursor, RunRecord
from docstore.core.run_scope import RunScope
from docstore.core.run_state import RunState
from docstore.errors import BackfillRefusedError
from docstore.fleet.membership import Membership
from docstore.mongo.batches import Batches
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.reading import RowSource
from docstore.mongo.runs import Runs
from docstore.mongo.selections import Selection
from docstore.mongo.tag_index import build_tag_index, find_tag_index


async def begin(
    database: AnyDatabase,
    runs: Runs,
    kind: Kind[Any],
    run: RunRecord,
    *,
    by: str,
    meter: Meter,
    now: Callable[[], datetime.datetime],
    coverage: Coverage | None = None,
) -> RunRecord | None:
    """
    Let a run begin that was asked for, or that goes on after a pause; return it as it is now.

    Several workers may do so at the same time: one of them moves the run on, and the others find it moved.

    Args:
        database: Where the rows and the records are.
        runs: The records of runs.
        kind: Whose rows.
        run: The run.
        by: Who works, for the history.
        meter: Told when the index is built.
        now: The clock.
        coverage: Where all rows stand, if somebody has just counted them.
    """
    if run.state is not RunState.ENQUEUED:
        return run
    if run.sources is not None:
        moved = await runs.move(run.id, RunState.ENQUEUED, RunState.RUNNING, by=by)
        return moved or await runs.get(run.id)
    before = None
    if coverage is None or run.selection is not None:
        before = await time_before(database)
        coverage = await counted(database, kind, now, selection=selection_of(database, run))
    scope = RunScope(kind, run.target, run.direction)
    if run.selection is None:
        await record_left(database, scope, coverage, before=before)
    try:
        scope.refuse_one_way(coverage)
    except BackfillRefusedError as error:
        moved = await runs.move(run.id, RunState.ENQUEUED, RunState.FAILED, by=by, why=error.reason)
        return moved or await runs.get(run.id)
    rows = scope.rows(coverage)
    if not rows:
        await patiently(lambda: Quarantine(database, kind.name).settle(kind.collection, kind.version_field))
        newer = scope.newer(coverage)
        ended, why = {"remaining": 0, "newer": newer}, scope.about_newer(newer)
        moved = await runs.move(run.id, RunState.ENQUEUED, RunState.SUCCEEDED, by=by, why=why, changes=ended)
        return moved or await runs.get(run.id)
    if await find_tag_index(database, kind.collection, kind.version_field) is None:
        meter.set(phase=Phase.INDEX)
        events.building_index(kind=kind.name, collection=kind.collection)
        await patiently(lambda: build_tag_index(database, kind.collection, kind.version_field))
        await runs.set_fields(run.id, index_built=True)
    # A failed run that was resumed has done a part of its rows.
    done = (await Batches(database, owner="", lease=0.0).totals(run.id)).tally
    changes = {
        "sources": scope.sources(coverage),
        "cursor": Cursor(seq=run.cursor.seq).stored(),
        "pass": run.number_of_pass + 1,
        "total": rows + done.server + done.client,
        "remaining": rows,
        "newer": scope.newer(coverage),
        "unfinished_passes": 0,
        "odd_tags": bool(coverage.unreadable),
        "failures_from": run.cursor.seq + 1,
    }
    moved = await runs.move(run.id, RunState.ENQUEUED, RunState.RUNNING, by=by, changes=changes)
    if moved is not None:
        events.backfill_started(kind=kind.name, target=run.target, direction=run.direction.value, rows=rows)
    return moved or await runs.get(run.id)


def selection_of(database: AnyDatabase, run: RunRecord) -> Selection | None:
    """
    Return the ids of the rows that a run is limited to; None if it is about every row.
    """
    return None if run.selection is None else Selection(database, run.selection.id)


async def context_of(
    database: AnyDatabase,
    kind: Kind[Any],
    run: RunRecord,
    *,
    meter: Meter,
    stop: asyncio.Event,
    now: Callable[[], datetime.datetime],
    member: Membership,
) -> RunContext:
    """
    Return what the parts of a run need to know.
    """
    index = await patiently(lambda: find_tag_index(database, kind.collection, kind.version_field))
    if index is None:
        index = await patiently(lambda: build_tag_index(database, kind.collection, kind.version_field))
    return RunContext(
        database=database,
        kind=kind,
        target=run.target,
        meter=meter,
        stop=stop,
        begun=run.created,
        with_text=run.options.record_error_text,
        now=now,
        index=index,
        collated=await patiently(RowSource(database, kind.collection).has_collation),
        direction=run.direction,
        validation=Validation(
            _choice(run),
            chance=random.Random(),  # noqa: S311 - a sample guards nothing
            # A run over some rows tries what is to come: all of its rows are compared.
            share=SAMPLE if run.selection is None else 1.0,
        ),
        selection=selection_of(database, run),
        deadly=list(run.deadly),
        member=member,
    )


def _choice(run: RunRecord) -> Validate | None:
    if run.direction is Direction.ADOPT:
        # Rows stay what they are, so nothing about them is for the model to refuse.
        return Validate.NONE
    return None if run.options.validate is None else Validate(run.options.validate)
