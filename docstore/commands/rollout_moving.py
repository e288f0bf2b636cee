"""
Moving the write version of a kind: to N+1 for some rows, for all, and back.
"""

from contextlib import suppress
from typing import Any

from docstore.backfill.accepting_loss import AcceptedLoss, accept_loss
from docstore.backfill.operating import Operating
from docstore.backfill.rollout_following import SETTLING, RolloutFollowing
from docstore.commands.as_node import as_node
from docstore.commands.process import utc_now
from docstore.commands.views_in_step import views_keep
from docstore.core.abort_rule import AbortRule
from docstore.core.direction import Direction
from docstore.core.kind import Kind
from docstore.core.rollout_gates import Overrides
from docstore.core.write_version import ControlState
from docstore.errors import IllegalTransitionError, NotInFleetError, RunNotFoundError
from docstore.fleet.operating import Rollouts
from docstore.fleet.rollout_status import RolloutStatus, rollout_statuses
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.declared_indexes import build_indexes, missing_indexes
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.runs import Runs


async def rollout_canary(
    database: AnyDatabase,
    kind: Kind[Any],
    percent: float,
    *,
    by: str,
    why: str = "",
    abort_on: str | None = None,
    create_indexes: bool = False,
    overrides: Overrides | None = None,
) -> RolloutStatus:
    """
    Have the rows whose id falls under a percentage stored at N+1.

    Views that docstore has made of the kind are brought into step before (`views_keep`).

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        percent: The share of the ids, 0 to 100.
        by: Who asks, for the history.
        why: What the history says of it.
        abort_on: The rule by which the nodes roll it back by themselves: "errors>1%". Another percentage keeps the
            rule that was given before.
        create_indexes: Build the indexes first that the kind declares for N+1 and that are missing.
        overrides: What the operator takes upon himself.

    Raises:
        AbortRuleError: The rule cannot be understood.
        ValueError: *percent* is not from 0 to 100.
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    rule = None if abort_on is None else AbortRule.parse(abort_on)
    if create_indexes:
        await _create_indexes(database, kind)
    await views_keep(database, kind)
    await Rollouts(database, by=by).canary(kind, percent, overrides=overrides, abort_on=rule, why=why)
    return await _status(database, kind)


async def rollout_advance(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str,
    why: str = "",
    create_indexes: bool = False,
    overrides: Overrides | None = None,
) -> RolloutStatus:
    """
    Have all rows stored at N+1. A run that was bringing rows back to N is cancelled.

    Views that docstore has made of the kind are brought into step before (`views_keep`).

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        by: Who asks, for the history.
        why: What the history says of it.
        create_indexes: Build the indexes first that the kind declares for N+1 and that are missing.
        overrides: What the operator takes upon himself.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    if create_indexes:
        await _create_indexes(database, kind)
    await views_keep(database, kind)
    control = await Rollouts(database, by=by).advance(kind, overrides=overrides, why=why)
    for run in await Runs(database).open(kind.name):
        if run.direction is Direction.DOWN and run.target < control.write_version:
            # It may end by itself at the same moment.
            with suppress(IllegalTransitionError, RunNotFoundError):
                await Operating(database, by=by).cancel(kind.name)
    return await _status(database, kind)


async def rollout_rollback(
    database: AnyDatabase,
    kind: Kind[Any],
    *,
    by: str,
    why: str = "",
    overrides: Overrides | None = None,
    settling: float = SETTLING,
) -> RolloutStatus:
    """
    Have all rows stored at N again, at once; a freeze does not prevent it.

    A run that takes rows above N is cancelled (its batches in flight are finished), and one that brings rows back is
    asked for, for workers to take up. Where no row stands above and every node has acknowledged it in time, the
    rollback is over when this returns.

    Args:
        database: A Motor or PyMongo Async database.
        kind: Whose rows.
        by: Who asks, for the history.
        why: What the history says of it.
        overrides: What the operator takes upon himself.
        settling: How long to wait for the nodes to acknowledge, in seconds.

    Raises:
        RolloutRefusedError: Carries everything that is in the way.
        NotInFleetError: No node has ever worked with the kind.
    """
    await Rollouts(database, by=by).rollback(kind.name, why=why, overrides=overrides, floor=kind.floor)
    await RolloutFollowing(database, by=by, now=utc_now).wait(kind, seconds=settling)
    return await _status(database, kind)


async def rollout_accept_loss(database: AnyDatabase, kind: Kind[Any], *, by: str, why: str = "") -> AcceptedLoss:
    """
    Finish a rollback whose last rows cannot be brought down without a loss.

    Rows that a reverse run has put aside, because N has no place for something in them, are brought down without it.
    Rows that no step takes down stay where they are.

    Raises:
        RolloutRefusedError: The kind is not rolling back, a node has not acknowledged that, a run is open, or rows
            stand above that no run has tried.
        NotInFleetError: No node has ever worked with the kind.
    """
    async with as_node(database, kind, service="docstore rollout") as member:
        return await accept_loss(database, kind, by=by, why=why, now=utc_now, member=member)


async def _create_indexes(database: AnyDatabase, kind: Kind[Any]) -> None:
    declared = kind.indexes.get((await _control(database, kind)).next, ())
    await build_indexes(database, kind.collection, await missing_indexes(database, kind.collection, declared))


async def _control(database: AnyDatabase, kind: Kind[Any]) -> ControlState:
    control = (await ControlRecords(database).view()).controls.get(kind.name)
    if control is None:
        raise NotInFleetError(what="control record of the kind", name=kind.name)
    return control


async def _status(database: AnyDatabase, kind: Kind[Any]) -> RolloutStatus:
    return (await rollout_statuses(database, [kind]))[0]
