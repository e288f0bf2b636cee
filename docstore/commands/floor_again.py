"""
Recording the floor of a kind again, after the rows of a restored backup were lifted.
"""

import datetime
from collections.abc import Callable
from typing import Any, Final

from docstore.backfill.looking import counted
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.coverage import Coverage, rows_below
from docstore.core.fence import FenceBounds
from docstore.core.fleet_facts import Fleet
from docstore.core.floor_state import FLOOR_PREFIX, FenceRecord, FloorState, Proof
from docstore.core.kind import Kind
from docstore.core.write_version import ControlState
from docstore.errors import FenceRefusedError, NotInFleetError, RolloutRefusedError
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.fence import RaisedFence, put_back, raise_fence
from docstore.mongo.node_records import NodeRecords

_WHY: Final = "rows of a restored backup were lifted"
_ASKED: Final = "recording the floor"


async def record_floor_again(
    database: AnyDatabase, kind: Kind[Any], *, by: str, now: Callable[[], datetime.datetime]
) -> FenceRefusedError | None:
    """
    Record the floor of the code, once no row stands below it and nobody stores any, with the fence in front of it.

    No soak time is asked for: the floor was proved before, and is what the deployed code needs. May be repeated; where
    the process dies in between, the fence may be up before the floor is recorded, which the next one finds so.

    Args:
        database: A Motor or PyMongo Async database.
        kind: The kind as services have it.
        by: Who asks, for the history.
        now: The clock that counts are dated with.

    Returns:
        Why no fence was raised, if none could be: the floor is unproved then. None where it was.

    Raises:
        RolloutRefusedError: Carries everything that is in the way; the collection is validated as it was.
        NotInFleetError: No node has ever worked with the kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    control_records, nodes = ControlRecords(database), NodeRecords(database)
    while True:
        view = await control_records.settled_view()
        fleet = Fleet(await nodes.all(), view.readers)
        control, record = view.controls.get(kind.name), view.floor_of(kind.name)
        if control is None:
            raise NotInFleetError(what="control record of the kind", name=kind.name)
        floor = max(kind.floor, record.floor or 0)
        _refuse([*_writers(kind, floor, control, fleet), *_rows(kind, floor, await counted(database, kind, now))])
        bounds = FenceBounds(kind.name, kind.version_field, floor, fleet.may_be_written(control).high)
        raised, unfenced = await _raised(database, kind, bounds, record)
        # Under the fence: what was on its way when it was raised is in.
        coverage = await counted(database, kind, now)
        if found := _rows(kind, floor, coverage):
            if raised is not None and raised.before is not None:
                await put_back(database, kind.collection, raised.before, kind=kind.name)
            _refuse(found)
        state = record.after(
            view.epoch + 1,
            floor=floor,
            retiring=None,
            proof=_proof(by, now(), coverage, fenced=raised is not None),
            fence=None if raised is None else FenceRecord(bounds.low, bounds.high, raised.level.value, raised.own),
            home=await collection_uuid(database, kind.collection),
        )
        entry = {
            "about": kind.name,
            "kind": kind.name,
            "before": None,
            "after": None,
            "reason": "the floor was recorded again",
            "by": by,
            "why": f"{_WHY}: no row of {coverage.total} stands below version {floor}",
        }
        if await control_records.change(view, entry=entry, record=(FLOOR_PREFIX + kind.name, state.stored())):
            return unfenced


async def _raised(
    database: AnyDatabase, kind: Kind[Any], bounds: FenceBounds, record: FloorState
) -> tuple[RaisedFence | None, FenceRefusedError | None]:
    was = None if record.fence is None else record.fence.own
    try:
        return await raise_fence(database, kind.collection, bounds, was=was), None
    except FenceRefusedError as error:
        return None, error


def _proof(by: str, at: datetime.datetime, coverage: Coverage, *, fenced: bool) -> Proof:
    versions = {str(count.version): count.rows for count in coverage.versions}
    return Proof(by, at, coverage.total, versions, fenced=fenced, why=_WHY)


def _writers(kind: Kind[Any], floor: int, control: ControlState, fleet: Fleet) -> list[Blocker]:
    lowest = fleet.may_be_written(control).low
    if lowest >= floor:
        return []
    words = f"{kind.name} may still be stored at version {lowest}, below the floor {floor}"
    return [Blocker(Cause.NOT_ACKNOWLEDGED, kind.name, words, {"version": lowest, "floor": floor})]


def _rows(kind: Kind[Any], floor: int, coverage: Coverage) -> list[Blocker]:
    below = rows_below(kind, coverage, floor)
    if not below:
        return []
    words = f"{below:,} rows of {kind.name} stand, or may stand, below the floor {floor}"
    return [Blocker(Cause.ROWS_LEFT, kind.name, words, {"rows": below, "floor": floor})]


def _refuse(blockers: list[Blocker]) -> None:
    if blockers:
        facts = [facts_of(blocker) for blocker in blockers]
        raise RolloutRefusedError(kind=blockers[0].kind, asked=_ASKED, blockers=facts)
