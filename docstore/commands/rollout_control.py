"""
How rollouts stand and what became of them, and what stands beside them: the freeze and the knobs.
"""

import datetime
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.core.control_view import Freeze, Knob
from docstore.core.kind import Kind
from docstore.fleet.controls import FleetControls
from docstore.fleet.rollout_status import RolloutStatus, rollout_statuses
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase


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
        ValueError: *percent* is not from 0 to 100.
        RolloutRefusedError: Everything is frozen.
    """
    return await FleetControls(database, by=by).turn(name, value, percent=percent)


async def rollout_knobs(database: AnyDatabase) -> list[Knob]:
    """
    Return what every knob is turned to that anybody has ever turned, by name; reads only.

    Raises:
        RecordFormatError: A record is that of another release of docstore.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    view = await ControlRecords(database).view()
    return [knob for _, knob in sorted(view.knobs.items())]
