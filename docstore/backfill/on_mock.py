"""
A backfill on the mock: in this process alone, row by row, without a record of the run.
"""

import asyncio
import datetime
import random
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill import events
from docstore.backfill.client_path import ClientPath
from docstore.backfill.context import RunContext
from docstore.backfill.looking import counted, put_unreadable_aside
from docstore.backfill.progress import BackfillResult, Meter, OnProgress, Path, Phase
from docstore.backfill.untagged import untagged_elsewhere
from docstore.backfill.validation import Validation
from docstore.core.coverage import Coverage
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_scope import RunScope, direction_of
from docstore.core.run_state import RunState
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.tag_index import build_tag_index, find_tag_index

#: How often the old rows are gone through at most.
MAX_PASSES: Final = 4


async def backfill_on_mock(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    target: int,
    direction: Direction | None,
    with_text: bool,
    on_progress: OnProgress | None,
    stop: asyncio.Event,
    now: Callable[[], datetime.datetime],
) -> BackfillResult:
    """
    Bring the rows on one side of *target* to it, as `commands.backfill` does on a server.

    Raises:
        VersionRangeError: *target* is no version of the kind.
        BackfillRefusedError: See `direction_of`.
    """
    begun, meter = now(), Meter(on_progress)
    coverage = await counted(database, kind, now)
    scope = RunScope(kind, target, direction_of(kind, coverage, target, direction))
    remaining = scope.rows(coverage)
    events.backfill_started(kind=kind.name, target=target, direction=scope.direction.value, rows=remaining)
    built = bool(remaining) and await find_tag_index(database, kind.collection, kind.version_field) is None
    if built:
        await build_tag_index(database, kind.collection, kind.version_field)
    context = RunContext(
        database=database,
        kind=kind,
        target=target,
        direction=scope.direction,
        meter=meter,
        stop=stop,
        begun=begun,
        with_text=with_text,
        now=now,
        index="",
        collated=False,
        validation=Validation(None, chance=random.Random()),  # noqa: S311 - a sample guards nothing
    )
    meter.set(phase=Phase.REWRITE, total=remaining)
    passes = 0
    while remaining and not stop.is_set() and passes < MAX_PASSES:
        rewritten = meter.now.rewritten
        meter.begin_pass()
        untouched = await _one_pass(context, coverage)
        passes += 1
        meter.set(phase=Phase.COUNT)
        coverage = await counted(database, kind, now)
        remaining = max(scope.rows(coverage) - untouched, 0)
        if meter.now.rewritten == rewritten:
            break
    await Quarantine(database, kind.name).settle(kind.collection, kind.version_field)
    newer = scope.newer(coverage, (await untagged_elsewhere(context, coverage)).newer)
    result = BackfillResult(
        kind=kind.name,
        target=target,
        direction=scope.direction,
        state=RunState.PAUSED if stop.is_set() else RunState.SUCCEEDED,
        reason=scope.about_newer(newer),
        server=0,
        client=meter.now.client,
        conflicts=meter.now.conflicts,
        quarantined=meter.now.quarantined if remaining else 0,
        remaining=remaining,
        newer=newer,
        passes=passes,
        seconds=(now() - begun).total_seconds(),
        index_built=built,
        interrupted=stop.is_set(),
    )
    events.backfill_ended(**result.model_dump())
    return result


async def _one_pass(context: RunContext, coverage: Coverage) -> int:
    """
    Meet every old row once; return how many of them need nothing.
    """
    untouched = 0
    for source in context.scope.sources(coverage):
        context.meter.set(phase=Phase.REWRITE, path=Path.CLIENT, version=source)
        client = ClientPath(context, context.old_rows(source))
        await client.rewrite()
        untouched += client.untouched
    if coverage.unreadable:
        await put_unreadable_aside(context.database, context.kind, context.aside)
    return untouched
