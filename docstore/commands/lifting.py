"""
Lifting the rows of a restored backup that stand below the floor, by the steps that were retired and kept.
"""

import asyncio
import datetime
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill.ending import Ending
from docstore.backfill.progress import BackfillResult, OnProgress
from docstore.commands.as_node import as_node
from docstore.commands.backfill_run import backfill
from docstore.commands.floor_again import record_floor_again
from docstore.commands.process import this_process, utc_now
from docstore.commands.rollout_moving import rollout_advance
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.retired_steps import with_retired
from docstore.core.rollout_gates import Overrides
from docstore.core.run_record import RunOptions
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase


class LiftedRows(BaseModel):
    """
    What became of rows that stood below the floor.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: The lowest version from which rows could be lifted, and the lowest that services read.
    retired_floor: int
    floor: int
    #: One for each version that had to be stored on the way, the last one to the write version.
    runs: tuple[BackfillResult, ...]
    #: Whether the floor is recorded now, so that services open.
    recorded: bool = False
    #: Why the server refuses no rows below it, and the command that an administrator types; None where it does.
    unfenced: str | None = None
    command: str | None = None


async def backfill_with_retired(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    options: RunOptions | None = None,
    by: str | None = None,
    why: str = "",
    on_progress: OnProgress | None = None,
    stop: asyncio.Event | None = None,
    throttled: bool = True,
    now: Callable[[], datetime.datetime] = utc_now,
) -> LiftedRows:
    """
    Bring every row of a kind up to the write version, also those below its floor, and record the floor again.

    For a restored backup. Where the write version came from the backup and lies below the floor, it is brought up one
    version at a time, by the gates of a rollout, with all rows brought up before the next. The runs are ordinary ones,
    of a kind with more steps than that of services, so no other worker takes part. May be stopped, killed and repeated.

    Args:
        database: A Motor or PyMongo Async database.
        kind: The kind, as services have it; its package keeps the retired steps.
        options: Limits of the runs.
        by: Who asks, for the history; this process by default.
        why: What the history of the runs says of it.
        on_progress: Told after every batch; should return at once.
        stop: Once it is set, batches in flight are finished or given back, and the call ends; see `backfill`.
        throttled: Hold back when the server shows the load.
        now: The clock.

    Raises:
        RetiredStepsMissingError: The kind keeps no retired steps.
        KindDefinitionError: They are at fault.
        BackfillRefusedError: A run is open, for example one that was found in the backup; `backfill cancel` ends it.
        RolloutRefusedError: The write version cannot be raised, or the floor not be recorded; says why.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    extended, by = with_retired(kind), by or this_process().name
    if await _write_version(database, kind) is None:
        # The rows came without control records: what is stored is settled as by the first service.
        async with as_node(database, extended, service="docstore backfill", ending=Ending(stop), begins=True):
            pass
    runs: list[BackfillResult] = []

    def lifted(*, recorded: bool = False, unfenced: str | None = None, command: str | None = None) -> LiftedRows:
        return LiftedRows(
            kind=kind.name,
            retired_floor=extended.floor,
            floor=kind.floor,
            runs=tuple(runs),
            recorded=recorded,
            unfenced=unfenced,
            command=command,
        )

    while True:
        result = await backfill(
            database,
            extended,
            direction=Direction.UP,
            options=options,
            by=by,
            why=why,
            on_progress=on_progress,
            stop=stop,
            throttled=throttled,
            now=now,
        )
        runs.append(result)
        if not result.complete:
            return lifted()
        version = await _write_version(database, kind)
        if version is None or version >= kind.floor:
            break
        # Nobody reads these rows: the code that is deployed does not open before. And the step was rolled out before.
        overrides = Overrides(no_fleet=True, irreversible=True)
        aim = f"towards the floor {kind.floor}, for rows of a restored backup"
        await rollout_advance(database, extended, by=by, why=aim, overrides=overrides)
    unfenced = await record_floor_again(database, kind, by=by, now=now)
    if unfenced is None:
        return lifted(recorded=True)
    return lifted(recorded=True, unfenced=str(unfenced), command=unfenced.command)


async def _write_version(database: AnyDatabase, kind: Kind[Any]) -> int | None:
    control = (await ControlRecords(database).view()).controls.get(kind.name)
    return None if control is None else control.write_version
