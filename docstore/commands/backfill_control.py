"""
Asking for a run, watching it, and telling its workers what to do.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from docstore.backfill.ceiling import target_of
from docstore.backfill.choosing import chosen_by
from docstore.backfill.ending import Ending
from docstore.backfill.operating import LiveOption, Operating
from docstore.backfill.patience import patiently
from docstore.backfill.rollout_following import RolloutFollowing
from docstore.backfill.run_status import RunStatus, run_statuses
from docstore.commands.process import this_process, utc_now
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.run_record import RunOptions
from docstore.core.run_state import ENDED, SETTLED
from docstore.errors import RunNotFoundError, StoreUnavailableError
from docstore.mongo.driver import AnyDatabase


async def backfill_start(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    to: int | None = None,
    direction: Direction | None = None,
    options: RunOptions | None = None,
    ids: Sequence[Any] | None = None,
    sample: int | None = None,
    by: str,
    why: str = "",
) -> RunStatus:
    """
    Ask for a run, which workers then take up; an open run to the same version is left to go on.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        to: The version to bring them to: the write version by default, or latest where there is none yet.
        direction: Which rows are to move, where some stand below the version and others above it.
        options: Limits of the run.
        ids: Do the rows with these ids only. They are recorded, so workers need not know them.
        sample: Do so many rows only, picked at random among the old ones; not together with *ids*.
        by: Who asks, for the history.
        why: What the history says of it.

    Raises:
        VersionRangeError: *to* is no version of the kind.
        BackfillRefusedError: *to* lies above the write version, rows stand on both sides of it and no direction was
            given, the way leads down over a step that has no way back, every row stands above latest, another run of
            the kind is open, or none of the ids names a row.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    target = await target_of(database, kind, to)
    await Operating(database, by=by, why=why).start(
        kind, target, options or RunOptions(), direction=direction, chosen=chosen_by(ids, sample), now=utc_now
    )
    # The rollout of the kind, if one is open, is in the state "backfilling" from now on.
    await RolloutFollowing(database, by=by, now=utc_now).look([kind])
    return await _status(database, kind.name)


async def backfill_status(database: AnyDatabase, kind: str | None = None) -> list[RunStatus]:
    """
    Return how the last run of each kind stands, or of one kind; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await run_statuses(database, kind)


async def backfill_pause(database: AnyDatabase, kind: str, *, by: str, why: str = "") -> RunStatus:
    """
    Have nobody work on the kind's run until it is resumed; batches in flight are finished.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run is being cancelled, or has ended.
    """
    await Operating(database, by=by, why=why).pause(kind)
    return await _status(database, kind)


async def backfill_resume(database: AnyDatabase, kind: str, *, by: str, why: str = "") -> RunStatus:
    """
    Have the kind's paused or failed run go on where it stopped.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run has succeeded or was cancelled.
    """
    await Operating(database, by=by, why=why).resume(kind)
    return await _status(database, kind)


async def backfill_cancel(database: AnyDatabase, kind: str, *, by: str, why: str = "") -> RunStatus:
    """
    End the kind's run for good. Rows that were rewritten stay so; batches in flight are finished.

    Raises:
        RunNotFoundError: The kind has no run.
        IllegalTransitionError: The run has ended already.
    """
    await Operating(database, by=by, why=why).cancel(kind)
    return await _status(database, kind)


async def backfill_set(
    database: AnyDatabase,
    kind: str,
    option: LiveOption,
    value: float | None,
    *,
    seconds: float | None,
    by: str,
    why: str = "",
) -> RunStatus:
    """
    Change an option of the kind's open run, for good or for so many seconds; workers keep to it within about a second.

    Raises:
        RunNotFoundError: The kind has no open run.
        ValueError: *seconds* is not above 0, or more than ten years.
    """
    await Operating(database, by=by, why=why).set(kind, option, value, seconds=seconds)
    return await _status(database, kind)


async def backfill_wait(
    database: AnyDatabase,
    kind: str,
    *,
    by: str | None = None,
    poll: float = 1.0,
    stop: asyncio.Event | None = None,
    on_look: Callable[[RunStatus], None] | None = None,
) -> RunStatus:
    """
    Return how the kind's run stands when it has ended, waits for people to end a writer of old rows, or *stop* is set.

    A run that is being paused or cancelled is let be so when nobody holds a batch of it any more, as a worker would do
    if one were there. Nothing else is written.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose run.
        by: Who waits, for the history; this process by default.
        poll: How often to look, in seconds.
        stop: Ends the waiting once it is set.
        on_look: Told how the run stands, each time.

    Once *stop* is set, returns within about two seconds, whatever the database is at: it tells then what it has seen
    last.

    Raises:
        RunNotFoundError: The kind has no run.
        StoreUnavailableError: The database stayed away for a minute, or had not answered yet when *stop* was set.
    """
    ending, stop = Ending(stop), stop or asyncio.Event()
    operating, seen = Operating(database, by=by or this_process().name), list[RunStatus]()

    async def look() -> None:
        status = await patiently(lambda: _status(database, kind))
        while status.state in SETTLED and await patiently(lambda: operating.settle(kind)):
            status = await patiently(lambda: _status(database, kind))
        seen[:] = [status]

    while True:
        await ending.unless_stopped(look())
        if not seen:
            raise StoreUnavailableError(reason="it did not answer before this process was told to end")
        (status,) = seen
        if on_look is not None:
            on_look(status)
        if status.state in ENDED or status.waits_for_writers or stop.is_set():
            return status
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), poll)


async def _status(database: AnyDatabase, kind: str) -> RunStatus:
    for status in await run_statuses(database, kind):
        return status
    raise RunNotFoundError(kind=kind)
