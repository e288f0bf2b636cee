"""
Moving the write version of a kind, and what stands beside it.
"""

import datetime
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill.operating import Operating
from docstore.core.control_view import Freeze, Knob
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Overrides
from docstore.errors import IllegalTransitionError, RunNotFoundError
from docstore.fleet.controls import FleetControls
from docstore.fleet.operating import Rollouts
from docstore.fleet.status import RolloutStatus, rollout_statuses
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.runs import Runs


class RolloutEvent(BaseModel):
    """
    One entry of the history.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    #: A kind, a knob ("knob:NAME"), or "freeze".
    about: str
    at: datetime.datetime
    before: str | None
    after: str | None
    #: The write version after it, where it moved.
    write_version: int | None
    reason: str
    why: str
    by: str


async def rollout_status(database: AnyDatabase, kinds: Iterable[Kind[Any]]) -> list[RolloutStatus]:
    """
    Return how the rollouts stand, of those kinds that any node has worked with; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
    """
    return await rollout_statuses(database, kinds)


async def rollout_canary(
    database: AnyDatabase, kind: Kind[Any], percent: float, *, by: str, overrides: Overrides | None = None
) -> RolloutStatus:
    """
    Have the rows whose id falls under a percentage stored at N+1.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    await Rollouts(database, by=by).canary(kind, percent, overrides=overrides)
    return await _one(database, kind)


async def rollout_advance(
    database: AnyDatabase, kind: Kind[Any], *, by: str, overrides: Overrides | None = None
) -> RolloutStatus:
    """
    Have all rows stored at N+1.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    await Rollouts(database, by=by).advance(kind, overrides=overrides)
    return await _one(database, kind)


async def rollout_rollback(
    database: AnyDatabase, kind: Kind[Any], *, by: str, why: str = "", overrides: Overrides | None = None
) -> RolloutStatus:
    """
    Have all rows stored at N again, at once, and cancel an open run that takes rows above it.

    A freeze does not prevent it. Batches in flight are finished, so rows may come to stand at N+1 for a moment more.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    control = await Rollouts(database, by=by).rollback(kind.name, why=why, overrides=overrides)
    for run in await Runs(database).open(kind.name):
        if run.target > control.write_version:
            # It may end by itself at the same moment.
            with suppress(IllegalTransitionError, RunNotFoundError):
                await Operating(database, by=by).cancel(kind.name)
    return await _one(database, kind)


async def rollout_freeze(database: AnyDatabase, *, why: str, by: str) -> Freeze | None:
    """
    Let nobody advance anything until it is unfrozen; a freeze that is on stays as it is. Returns the freeze.
    """
    await FleetControls(database, by=by).freeze(why)
    return (await ControlRecords(database).view()).freeze


async def rollout_unfreeze(database: AnyDatabase, *, by: str) -> None:
    """
    End the freeze, if one is on.
    """
    await FleetControls(database, by=by).unfreeze()


async def rollout_history(database: AnyDatabase, kind: str | None = None, *, limit: int = 20) -> list[RolloutEvent]:
    """
    Return the newest changes, oldest first: of one kind, or of all kinds, knobs and freezes.
    """
    return [
        RolloutEvent(
            number=entry["_id"]["number"],
            about=entry["_id"]["control"],
            at=entry["at"],
            before=entry["before"],
            after=entry["after"],
            write_version=entry.get("write_version"),
            reason=entry["reason"],
            why=entry["why"],
            by=entry["by"],
        )
        for entry in await ControlRecords(database).history(kind=kind, limit=limit)
    ]


async def rollout_knob(database: AnyDatabase, name: str, value: Any, *, percent: float = 100.0, by: str) -> Knob:
    """
    Give a knob a value, for all keys or for a share of them; every node has it within two seconds.

    Raises:
        RolloutRefusedError: Everything is frozen.
    """
    return await FleetControls(database, by=by).turn(name, value, percent=percent)


async def _one(database: AnyDatabase, kind: Kind[Any]) -> RolloutStatus:
    return (await rollout_statuses(database, [kind]))[0]
