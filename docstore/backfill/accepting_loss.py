"""
Finishing a rollback whose last rows cannot be brought down without a loss.
"""

import datetime
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from docstore.backfill import events
from docstore.backfill.looking import count_aside, counted
from docstore.backfill.operating import Operating
from docstore.backfill.retrying import Retry
from docstore.backfill.rollout_following import ends_of
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.direction import Direction
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.rollout_state import RolloutState
from docstore.core.run_record import RunRecord
from docstore.core.run_scope import RunScope
from docstore.core.run_state import ENDED
from docstore.core.write_version import ControlState
from docstore.errors import NotInFleetError, RolloutRefusedError
from docstore.fleet.membership import Membership
from docstore.fleet.operating import Rollouts
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords
from docstore.mongo.runs import Runs

_ASKED = "finishing the rollback with a loss"


class AcceptedLoss(BaseModel):
    """
    What finishing a rollback has cost.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    #: N: where all rows are stored again.
    version: int
    #: Rows that were brought down without what N has no place for.
    trimmed: int
    #: Rows that no step takes down; they stay where they are, and no release that ends at N is admitted beside them.
    left: int


async def accept_loss(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str,
    why: str,
    now: Callable[[], datetime.datetime],
    member: Membership,
) -> AcceptedLoss:
    """
    Bring down what a reverse run has put aside, without what the lower version has no place for, and end the rollback.

    Each row is rewritten atomically, and only if it is still the one that was put aside or a later form of it. What a
    step's downgrade refuses stays as it is. May be stopped and repeated at any time.

    Raises:
        RolloutRefusedError: The kind is not rolling back, a run is open, or rows stand above that no run has tried.
        NotInFleetError: No node has ever worked with the kind.
        StoreUnavailableError, StoreRejectedError: The database.
    """
    view = await ControlRecords(database).settled_view()
    control = view.controls.get(kind.name)
    if control is None:
        raise NotInFleetError(what="control record of the kind", name=kind.name)
    runs = [await Operating(database, by=by).settled(run) for run in await Runs(database).open(kind.name)]
    scope = RunScope(kind, control.write_version, Direction.DOWN)
    coverage = await counted(database, kind, now)
    untried = scope.rows(coverage) - await count_aside(database, scope)
    fleet = Fleet(await NodeRecords(database).all(), view.readers)
    found = list(_blockers(control, fleet, runs, untried=untried, newer=coverage.newer))
    if found:
        raise RolloutRefusedError(kind=kind.name, asked=_ASKED, blockers=[facts_of(blocker) for blocker in found])
    retry = Retry(database, kind, record_error_text=False, now=now, member=member, trims_to=control.write_version)
    trimmed = (await retry.retry(None)).succeeded
    coverage = await counted(database, kind, now)
    left = scope.rows(coverage)
    loss = f"the loss was accepted: {trimmed:,} rows were trimmed, {left:,} stay above version {control.write_version}"
    await Rollouts(database, by=by).complete(
        kind.name,
        ends_of(kind, coverage),
        accept_loss=True,
        only_epoch=control.epoch,
        why=f"{loss}; {why}" if why else loss,
    )
    events.loss_accepted(kind=kind.name, version=control.write_version, trimmed=trimmed, left=left)
    return AcceptedLoss(kind=kind.name, version=control.write_version, trimmed=trimmed, left=left)


def _blockers(
    control: ControlState, fleet: Fleet, runs: list[RunRecord], *, untried: int, newer: int
) -> Iterator[Blocker]:
    kind = control.kind
    if control.state is not RolloutState.ROLLING_BACK:
        words = f"the rollout of {kind} is {control.state}, and only a rollback can be finished with a loss"
        yield Blocker(Cause.WRONG_STATE, kind, words, {"before": control.state.value})
        return
    for node in fleet.late(control):
        words = f"{node.name} has not acknowledged that {kind} is stored at version {control.write_version}"
        yield Blocker(Cause.NOT_ACKNOWLEDGED, kind, words, {"node": node.id, "service": node.service})
    for run in runs:
        if run.state not in ENDED:
            words = f"the run {run.id} is {run.state}, and may bring rows down without a loss"
            yield Blocker(Cause.RUN_OPEN, kind, words, {"run": run.id, "state": run.state.value})
    if untried > 0:
        words = f"{untried:,} rows above version {control.write_version} were not tried by any run"
        yield Blocker(Cause.ROWS_LEFT, kind, words, {"rows": untried})
    if newer:
        words = f"{newer:,} rows stand above the latest version that this code knows"
        yield Blocker(Cause.ROWS_LEFT, kind, words, {"rows": newer})
