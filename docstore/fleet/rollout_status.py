"""
How rollouts stand, for people and programs.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from docstore.core.control_view import ControlView
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Situation
from docstore.core.rollout_state import RolloutState
from docstore.core.run_record import RunRecord
from docstore.core.run_state import RunState
from docstore.core.way_back import WayBack, before, release_blockers, way_back
from docstore.core.write_version import ControlState
from docstore.fleet.canary_watch import canary_figures
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.quarantine import Quarantine
from docstore.mongo.row_ends import row_ends
from docstore.mongo.runs import Runs

_FROZEN: Final = ConfigDict(frozen=True)


class CanaryStatus(BaseModel):
    """
    A canary, and what the nodes have counted since it began.
    """

    model_config = _FROZEN

    version: int
    #: 0 to 100.
    percent: float
    #: The rule by which it goes back by itself; null if only operators decide.
    abort_on: str | None
    #: Operations on rows at its version, and how many of them failed.
    operations: int
    failures: int


class RolloutRun(BaseModel):
    """
    The run that moves rows for a rollout.
    """

    model_config = _FROZEN

    run: str
    direction: Direction
    target: int
    state: RunState
    #: Rows that were left when they were last counted; null before that.
    remaining: int | None


class StuckRows(BaseModel):
    """
    Rows in quarantine that keep a rollout from its end, for one reason.
    """

    model_config = _FROZEN

    #: Where they stand; null where nobody knows.
    version: int | None
    #: The version that the step at fault produces; null where no step is.
    step: int | None
    #: The class of the error, and the field at fault where one is known.
    error: str
    path: str | None
    rows: int


class RolloutStatus(BaseModel):
    """
    How the rollout of a kind stands.
    """

    model_config = _FROZEN

    kind: str
    state: RolloutState
    write_version: int
    canary: CanaryStatus | None
    #: The version to which a rollback leads, or that is stored where there is none to roll back.
    version_before: int
    way_back: WayBack
    frozen: bool
    #: Live nodes that may still store what an earlier control record said.
    late: tuple[str, ...]
    #: Where rows stand at the ends; null where there are none.
    lowest_row: int | None
    highest_row: int | None
    #: The last run of the kind; null if there was none.
    run: RolloutRun | None
    #: What is in quarantine while rows are brought to the write version, or back to it.
    stuck: tuple[StuckRows, ...]
    #: What is in the way of releasing a binary that knows only `version_before`; nothing if it is safe.
    release_before_blocked_by: tuple[str, ...]


async def rollout_statuses(database: AnyDatabase, kinds: Iterable[Kind[Any]]) -> list[RolloutStatus]:
    """
    Return how the rollouts stand of those kinds that any node has worked with; reads only.

    Raises:
        StoreUnavailableError, StoreRejectedError: The database.
        RecordFormatError: A record is that of another release of docstore.
    """
    view = await ControlRecords(database).view()
    fleet = Fleet(await NodeRecords(database).all(), view.readers)
    return [
        await _status(database, kind, view.controls[kind.name], view, fleet)
        for kind in kinds
        if kind.name in view.controls
    ]


async def _status(
    database: AnyDatabase, kind: Kind[Any], control: ControlState, view: ControlView, fleet: Fleet
) -> RolloutStatus:
    rows = await row_ends(database, collection=kind.collection, field=kind.version_field, baseline=kind.baseline)
    floor = view.floors.get(kind.name)
    now = Situation(control, fleet, view.open_rollouts, frozen=view.freeze is not None, floor=floor)
    run = await Runs(database).last(kind.name)
    return RolloutStatus(
        kind=kind.name,
        state=control.state,
        write_version=control.write_version,
        canary=_canary(control, fleet),
        version_before=before(control),
        way_back=way_back(control, rows, floor=now.floor),
        frozen=now.frozen,
        late=tuple(node.name for node in fleet.late(control)),
        lowest_row=rows.lowest,
        highest_row=rows.highest,
        run=None if run is None else _run(run),
        stuck=await _stuck(database, kind, control),
        release_before_blocked_by=tuple(blocker.words for blocker in release_blockers(now, rows)),
    )


def _canary(control: ControlState, fleet: Fleet) -> CanaryStatus | None:
    canary, figures = control.canary, canary_figures(fleet.nodes, control)
    if canary is None or figures is None:
        return None
    return CanaryStatus(
        version=canary.version,
        percent=canary.percent,
        abort_on=None if canary.abort_on is None else str(canary.abort_on),
        operations=figures.operations,
        failures=figures.failures,
    )


def _run(run: RunRecord) -> RolloutRun:
    return RolloutRun(run=run.id, direction=run.direction, target=run.target, state=run.state, remaining=run.remaining)


async def _stuck(database: AnyDatabase, kind: Kind[Any], control: ControlState) -> tuple[StuckRows, ...]:
    directions = {RolloutState.BACKFILLING: Direction.UP, RolloutState.ROLLING_BACK: Direction.DOWN}
    direction = directions.get(control.state)
    if direction is None:
        return ()
    reasons: Counter[tuple[int | None, int | None, str, str | None]] = Counter()
    quarantine = Quarantine(database, kind.name)
    async with aclosing(quarantine.kept(kind.collection, kind.version_field)) as records:
        async for kept in records:
            record = kept.record
            if record.direction is direction:
                reasons[record.version, record.step, record.error, record.path] += 1
    return tuple(
        StuckRows(version=version, step=step, error=error, path=path, rows=rows)
        for (version, step, error, path), rows in reasons.most_common()
    )
