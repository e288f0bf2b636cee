"""
Recording the floor of a kind again, after the rows of a restored backup were lifted.
"""

import datetime
from collections.abc import Callable, Iterator
from typing import Any, Final

from docstore.backfill.looking import counted
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.control_view import ControlView
from docstore.core.coverage import Coverage, rows_below
from docstore.core.fence_level import FenceLevel
from docstore.core.fleet_facts import Fleet
from docstore.core.floor_state import FLOOR_PREFIX, FloorState, Proof
from docstore.core.kind import Kind
from docstore.core.rollout_gates import retiring_blocker
from docstore.errors import FenceRefusedError, NotInFleetError, RolloutRefusedError
from docstore.fleet.fencing import Fencing
from docstore.mongo.collection_identity import collection_uuid
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords

_WHY: Final = "rows of a restored backup were lifted"
_ASKED: Final = "recording the floor"


async def record_floor_again(
    database: AnyDatabase, kind: Kind[Any], *, by: str, now: Callable[[], datetime.datetime]
) -> FenceRefusedError | None:
    """
    Record the floor of the code, once no row stands below it and nobody stores any, with the fence in front of it.

    No soak time is asked for: the floor was proved before, and is what the deployed code needs. It counts as unproved
    until rows were counted under the fence, so a process may die at any point: what it recorded is true. May be
    repeated.

    Args:
        database: A Motor or PyMongo Async database.
        kind: The kind as services have it.
        by: Who asks, for the history.
        now: The clock that counts are dated with.

    Returns:
        Why no fence was put up, if none could be: the floor stays unproved then. None where it was.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    records, nodes = ControlRecords(database), NodeRecords(database)
    while True:
        view = await records.settled_view()
        fleet = Fleet(await nodes.all(), view.readers)
        coverage = await counted(database, kind, now)
        floor = _floor(kind, view)
        _refuse([*_writers(kind, floor, view, fleet), *_rows(kind, floor, coverage)])
        home = await collection_uuid(database, kind.collection)
        proof = _proof(by, now(), coverage, fenced=False)
        state = view.floor_of(kind.name).after(view.epoch + 1, floor=floor, proof=proof, home=home)
        if await _record(records, view, state, by=by, why=_WHY):
            break
    try:
        # A moderate one lets rows that break rules of the users' own go below the floor: it proves nothing.
        await Fencing(database, kind, by=by).put_up(level=FenceLevel.STRICT)
    except FenceRefusedError as error:
        return error
    while True:
        view = await records.settled_view()
        record = view.floor_of(kind.name)
        # Under the fence: what was on its way when it was put up is in.
        coverage = await counted(database, kind, now)
        _refuse([*_rows(kind, floor, coverage)])
        proved = record.after(view.epoch + 1, proof=_proof(by, now(), coverage, fenced=True))
        if await _record(records, view, proved, by=by, why=f"{_WHY}, and counted under the fence"):
            return None


async def _record(records: ControlRecords, view: ControlView, state: FloorState, *, by: str, why: str) -> bool:
    entry = {
        "about": state.kind,
        "kind": state.kind,
        "before": None,
        "after": None,
        "reason": "the floor was recorded again",
        "by": by,
        "why": f"{why}: none of {0 if state.proof is None else state.proof.rows} stands below version {state.floor}",
    }
    return await records.change(view, entry=entry, record=(FLOOR_PREFIX + state.kind, state.stored()))


def _floor(kind: Kind[Any], view: ControlView) -> int:
    return max(kind.floor, view.floor_of(kind.name).floor or 0)


def _proof(by: str, at: datetime.datetime, coverage: Coverage, *, fenced: bool) -> Proof:
    versions = {str(count.version): count.rows for count in coverage.versions}
    return Proof(by, at, coverage.total, versions, fenced=fenced, why=_WHY)


def _writers(kind: Kind[Any], floor: int, view: ControlView, fleet: Fleet) -> Iterator[Blocker]:
    control, retiring = view.controls.get(kind.name), view.floor_of(kind.name).retiring
    if control is None:
        raise NotInFleetError(what="control record of the kind", name=kind.name)
    if retiring is not None:
        yield retiring_blocker(kind.name, retiring)
    lowest = fleet.may_be_written(control).low
    if lowest < floor:
        words = f"{kind.name} may still be stored at version {lowest}, below the floor {floor}"
        yield Blocker(Cause.NOT_ACKNOWLEDGED, kind.name, words, {"version": lowest, "floor": floor})


def _rows(kind: Kind[Any], floor: int, coverage: Coverage) -> Iterator[Blocker]:
    below = rows_below(kind, coverage, floor)
    if below:
        words = f"{below:,} rows of {kind.name} stand, or may stand, below the floor {floor}"
        yield Blocker(Cause.ROWS_LEFT, kind.name, words, {"rows": below, "floor": floor})


def _refuse(blockers: list[Blocker]) -> None:
    if blockers:
        facts = [facts_of(blocker) for blocker in blockers]
        raise RolloutRefusedError(kind=blockers[0].kind, asked=_ASKED, blockers=facts)
