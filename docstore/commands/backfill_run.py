"""
A backfill from beginning to end in this process, or tried without a write.
"""

import asyncio
import datetime
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from docstore.backfill.ceiling import refuse_retired, target_of
from docstore.backfill.choosing import chosen_by
from docstore.backfill.dry_run import DryRun
from docstore.backfill.dry_run_result import DryRunResult
from docstore.backfill.ending import Ending
from docstore.backfill.in_this_process import work_until_ended
from docstore.backfill.looking import counted
from docstore.backfill.on_mock import backfill_on_mock
from docstore.backfill.operating import Operating
from docstore.backfill.progress import BackfillResult, OnProgress
from docstore.backfill.throttling import Throttling
from docstore.commands.as_node import as_node
from docstore.commands.process import this_process, utc_now
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_record import RunOptions
from docstore.core.run_scope import direction_of
from docstore.errors import BackfillRefusedError
from docstore.mongo.driver import AnyDatabase, Driver, driver_of
from docstore.mongo.signals import open_signals


async def backfill(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    to: int | None = None,
    direction: Direction | None = None,
    options: RunOptions | None = None,
    ids: Sequence[Any] | None = None,
    sample: int | None = None,
    record_error_text: bool = False,
    by: str | None = None,
    why: str = "",
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> BackfillResult:
    """
    Bring every row of a kind on one side of a version to it, in this process, while others read and write.

    Rows below the version go up by the upgraders. If rows stand above it only, they go down by the downgraders: those
    that lose nothing on the way, which is when coming up again gives back all that they hold (P11). Rows above latest
    are left alone (P4) and counted as `newer`.

    Each rewrite is atomic, and takes effect only if the row is still what it was computed from: no change of any other
    writer is lost, and no step is applied twice. Rows that cannot be upgraded stay as they are and are recorded in
    `docstore_quarantine`. May be stopped, cancelled or killed at any time, and be run again, also by several processes
    at once; workers that are there help. Builds the (tag, `_id`) index if it is missing.

    Returns when the run has ended, was paused by an operator, or has to wait: for a process that writes old rows, or
    because a rollback has brought the write version below its target. The process is a node of the fleet meanwhile.

    Args:
        database: A Motor or PyMongo Async database. On the mock rows go through Python one by one, unguarded against
            writers in other processes, which the mock does not have.
        kind: Whose rows.
        to: The version to bring them to: the write version by default, or latest where there is none yet.
        direction: Which rows are to move, where some stand below the version and others above it. The others are left
            alone.
        options: Limits of the run; not on the mock.
        ids: Do the rows with these ids only; not on the mock.
        sample: Do so many rows only, picked at random among the old ones; not together with *ids*, not on the mock.
        record_error_text: Keep what the user's functions or the model said about a row in its quarantine record. That
            can hold values of the row.
        by: Who asks, for the history; this process by default.
        why: What the history says of it.
        on_progress: Told after every batch; should return at once.
        stop: Once it is set, batches in flight are finished or given back, and the call ends in less than four seconds,
            whatever the database is at. The run stays open.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: *to* lies above the write version, rows stand on both sides of it and no direction was
            given, the way leads down over a step that has no way back (nothing was touched), every row stands above
            latest, another run of the kind is open, none of the ids names a row, or some rows only were asked for on
            the mock.
        BackfillInterruptedError: *stop* was set before there was a run to work on.
        StoreUnavailableError: The database stayed away for a minute. Run it again.
        StoreRejectedError: The database refused what the run needs, missing privileges for example.
    """
    ending = Ending(stop)
    target = await ending.or_interrupted(target_of(database, kind, to), kind=kind.name)
    asked = options or RunOptions()
    asked = replace(asked, record_error_text=record_error_text or asked.record_error_text)
    chosen = chosen_by(ids, sample)
    if driver_of(database) is Driver.MOCK:
        if chosen is not None:
            raise BackfillRefusedError(kind=kind.name, reason="on the mock a run is about every row")
        return await backfill_on_mock(
            database,
            kind,
            target=target,
            direction=direction,
            with_text=asked.record_error_text,
            on_progress=on_progress,
            stop=ending.stop,
            now=now,
        )
    who = this_process()
    operating = Operating(database, by=by or who.name, why=why)
    throttling = Throttling(open_signals(database) if throttled else ())
    async with as_node(database, kind, service="docstore backfill", ending=ending, throttling=throttling) as member:
        asking = operating.start(kind, target, asked, direction=direction, chosen=chosen, now=now)
        run = await ending.or_interrupted(asking, kind=kind.name)
        return await work_until_ended(
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


async def backfill_dry_run(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    to: int | None = None,
    direction: Direction | None = None,
    ids: Sequence[Any] | None = None,
    sample: int = 0,
    validate: bool = True,
    every_row: bool = False,
    now: Callable[[], datetime.datetime] = utc_now,
) -> DryRunResult:
    """
    Say what a backfill would do, tried in memory on a batch of rows of every old version. Writes nothing at all.

    Where rows would be rewritten by the server, it is asked what it would make of them, and that is compared with what
    Python makes of the same image of each row.

    Args:
        database: A Motor or PyMongo Async database. On the mock there is no server to compare with, and no sample.
        kind: Whose rows.
        to: The version to bring them to: the write version by default, or latest where there is none yet.
        direction: Which rows are to move, where some stand below the version and others above it.
        ids: Look at the rows with these ids instead, all of them; not together with *sample*.
        sample: Look at so many random rows besides.
        validate: Hold rows that reach latest against the model.
        every_row: Say what becomes of them where every row has to fit the model: Python upgrades all of them then.
        now: The clock.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: A backfill would be refused.
        ValueError: Both ids and a sample were asked for.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    chosen_by(ids, sample or None)
    target = await target_of(database, kind, to)
    await refuse_retired(database, kind.name, target)
    coverage = await counted(database, kind, now)
    way = direction_of(kind, coverage, target, direction)
    trial = DryRun(
        database,
        kind,
        target=target,
        direction=way,
        sample=sample,
        validates=validate,
        every_row=every_row,
        ids=ids,
    )
    return await trial.run(coverage)
