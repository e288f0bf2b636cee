"""
Tagging rows that have no tag.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from docstore.backfill.adopting import AdoptResult, adopted, adoption_target
from docstore.backfill.adopting_on_mock import adopt_on_mock
from docstore.backfill.ceiling import ceiling_of
from docstore.backfill.ending import Ending
from docstore.backfill.in_this_process import silent_at_the_end, work_until_ended
from docstore.backfill.operating import Operating
from docstore.backfill.progress import OnProgress
from docstore.backfill.run_status import RunStatus, run_statuses
from docstore.backfill.throttling import Throttling
from docstore.commands.as_node import as_node
from docstore.commands.process import this_process, utc_now
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_record import RunOptions
from docstore.errors import RunNotFoundError
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.signals import open_signals


async def adopt(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str | None = None,
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> AdoptResult:
    """
    Tag every row that has no tag, with the kind's baseline or what its `detect` function says, in this process.

    Rows that `detect` puts above the write version are left without a tag, and counted as remaining.

    Nothing but the tag is written, each row atomically: no change of any other writer is lost. It is a run like those
    of the backfill: workers that are there help, and it may be paused, stopped, killed and repeated at any time.
    Builds the (tag, `_id`) index if it is missing.

    Args:
        database: A Motor or PyMongo Async database (or the mock, where no run is recorded).
        kind: Whose rows.
        by: Who asks, for the history; this process by default.
        on_progress: Told after every batch; should return at once.
        stop: Once it is set, the batches in flight are finished or given back, and the call ends in less than four
            seconds, whatever the database is at. The run stays open.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        VersionRangeError: The kind's floor is above its baseline.
        BackfillRefusedError: Another run of the kind is open.
        BackfillInterruptedError: *stop* was set before there was a run to work on.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    ending = Ending(stop)
    if driver_of(database) is Driver.MOCK:
        return await adopt_on_mock(database, kind, stop=ending.stop, now=now)
    who = this_process()
    operating = Operating(database, by=by or who.name)
    throttling = Throttling(open_signals(database) if throttled else ())
    async with as_node(database, kind, service="docstore adopt", ending=ending, throttling=throttling) as member:
        target = await ending.or_interrupted(_target(database, kind), kind=kind.name)
        asking = operating.start(kind, target, RunOptions(), direction=Direction.ADOPT, now=now)
        run = await ending.or_interrupted(asking, kind=kind.name)
        result = await work_until_ended(
            database,
            kind,
            run,
            who=who,
            on_progress=on_progress,
            ending=ending,
            now=now,
            throttling=throttling,
            coverage=operating.coverage,
            member=member,
        )
        outcome = await ending.in_time(adopted(database, kind, run, result, now=now))
    if outcome is None:
        raise silent_at_the_end()
    return outcome


async def adopt_start(database: AnyDatabase, kind: Kind[Any], *, by: str) -> RunStatus:
    """
    Ask for a run that tags rows, which workers then take up.

    Raises:
        VersionRangeError: The kind's floor is above its baseline.
        BackfillRefusedError: Another run of the kind is open.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    await Operating(database, by=by).start(
        kind, await _target(database, kind), RunOptions(), direction=Direction.ADOPT, now=utc_now
    )
    for status in await run_statuses(database, kind.name):
        return status
    raise RunNotFoundError(kind=kind.name)


async def _target(database: AnyDatabase, kind: Kind[Any]) -> int:
    ceiling = await ceiling_of(database, kind.name)
    target = adoption_target(kind)
    return target if ceiling is None else min(target, ceiling)
