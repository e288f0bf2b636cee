"""
What operators do to the write version of a kind: begin a rollout, flip, roll back, end it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from docstore.core.abort_rule import AbortRule
from docstore.core.blocker import Blocker, Cause, facts_of
from docstore.core.canonical_id import refuse_share
from docstore.core.control_view import KIND_PREFIX, ControlView
from docstore.core.fleet_facts import Fleet
from docstore.core.kind import Kind
from docstore.core.rollout_gates import (
    Overrides,
    Situation,
    StepFacts,
    completion_blockers,
    forward_blockers,
    rollback_blockers,
)
from docstore.core.rollout_moves import advanced, backfill_began, backfill_stopped, canaried, completed, rolled_back
from docstore.core.rollout_state import RolloutState, reason_for
from docstore.core.write_version import ControlState, StoredRows
from docstore.errors import NotInFleetError, RolloutRefusedError
from docstore.fleet.fencing import Fencing
from docstore.fleet.move import Move
from docstore.fleet.next_step import next_step
from docstore.mongo.control_records import ControlRecords
from docstore.mongo.driver import AnyDatabase
from docstore.mongo.node_records import NodeRecords


class Rollouts:
    """
    An operator's hands on the control records.

    Every change rests on one moment of the fleet: if a node joins meanwhile the verdict is made anew, and if another
    operator was quicker the change is refused.

    Args:
        database: Where the records are.
        by: Who asks, for the history.
    """

    def __init__(self, database: AnyDatabase, *, by: str) -> None:
        self._database = database
        self._control = ControlRecords(database)
        self._nodes = NodeRecords(database)
        self._by = by

    async def canary(
        self,
        kind: Kind[Any],
        percent: float,
        *,
        step: StepFacts | None = None,
        overrides: Overrides | None = None,
        abort_on: AbortRule | None = None,
        why: str = "",
    ) -> ControlState:
        """
        Have a share of the rows stored at N+1: those whose id falls under *percent*.

        With a rule the nodes roll it back by themselves; another percentage keeps the rule that was given before.

        Raises:
            ValueError: *percent* is not from 0 to 100.
            RolloutRefusedError: Carries everything that is in the way.
            NotInFleetError: No node has ever worked with the kind.
        """
        refuse_share(percent)
        return await self._go_forward(
            kind,
            "the canary",
            RolloutState.CANARY,
            partial(canaried, percent=percent, abort_on=abort_on),
            step=step,
            overrides=overrides,
            why=f"{percent:g} % of the ids"
            + ("" if abort_on is None else f", back if {abort_on}")
            + (f"; {why}" if why else ""),
        )

    async def advance(
        self,
        kind: Kind[Any],
        *,
        step: StepFacts | None = None,
        overrides: Overrides | None = None,
        why: str = "",
    ) -> ControlState:
        """
        Have all rows stored at N+1.

        Raises:
            RolloutRefusedError: Carries everything that is in the way.
            NotInFleetError: No node has ever worked with the kind.
        """
        return await self._go_forward(
            kind, "advancing", RolloutState.OPEN, advanced, step=step, overrides=overrides, why=why
        )

    async def rollback(
        self,
        kind: str,
        *,
        overrides: Overrides | None = None,
        why: str = "",
        floor: int | None = None,
        only_epoch: int | None = None,
    ) -> ControlState:
        """
        Have all rows stored at N again; a freeze does not prevent it. Rows that stand at N+1 are left to a backfill.

        Args:
            kind: The kind's name.
            overrides: What the operator takes upon himself.
            why: What the history says of it.
            floor: The lowest version that the code at hand still has; a way back below it is refused.
            only_epoch: The epoch of the control state that it was decided on: refused if that was changed since.

        Raises:
            RolloutRefusedError: Carries everything that is in the way.
            NotInFleetError: No node has ever worked with the kind.
        """
        return await self._move(
            Move(
                kind,
                "rolling back",
                lambda now: rollback_blockers(now, overrides or Overrides(), floor=floor),
                lambda now, epoch: rolled_back(now.control, epoch=epoch, settled=now.fleet.settled(now.control)),
                why,
                only_epoch,
            )
        )

    async def begin_backfill(self, kind: str, *, only_epoch: int | None = None) -> ControlState:
        """
        Say that a backfill to the write version has begun.

        Raises:
            RolloutRefusedError, NotInFleetError: See `rollback`.
            IllegalTransitionError: No rollout is open.
        """
        return await self._move(
            Move(
                kind,
                "the backfill",
                lambda _: (),
                lambda now, epoch: backfill_began(now.control, epoch=epoch),
                only_epoch=only_epoch,
            )
        )

    async def stop_backfill(self, kind: str, *, only_epoch: int | None = None, why: str = "") -> ControlState:
        """
        Say that the backfill ended with rows left.

        Raises:
            RolloutRefusedError, NotInFleetError: See `rollback`.
            IllegalTransitionError: None was on.
        """
        return await self._move(
            Move(
                kind,
                "the end of the backfill",
                lambda _: (),
                lambda now, epoch: backfill_stopped(now.control, epoch=epoch),
                why,
                only_epoch,
            )
        )

    async def complete(
        self,
        kind: str,
        rows: StoredRows,
        *,
        quarantined: int = 0,
        accept_loss: bool = False,
        only_epoch: int | None = None,
        why: str = "",
    ) -> ControlState:
        """
        End a rollout whose rows are all where they belong: complete, or stable after a rollback.

        Args:
            kind: The kind's name.
            rows: Where its rows stand, counted after every node had acknowledged the control state.
            quarantined: How many rows are put aside.
            accept_loss: End a rollback although rows are left above that cannot be brought down.
            only_epoch: The epoch of the control state under which was counted: refused if that was changed since.
            why: What the history says of it.

        Raises:
            RolloutRefusedError: Carries everything that is in the way.
            NotInFleetError: No node has ever worked with the kind.
        """
        return await self._move(
            Move(
                kind,
                "completing",
                lambda now: completion_blockers(now, rows, quarantined=quarantined, accept_loss=accept_loss),
                lambda now, epoch: completed(
                    now.control,
                    epoch=epoch,
                    left_above=rows.highest is not None and rows.highest > now.control.write_version,
                ),
                why,
                only_epoch,
            )
        )

    async def _go_forward(
        self,
        kind: Kind[Any],
        asked: str,
        after: RolloutState,
        move: Callable[..., ControlState],
        *,
        step: StepFacts | None,
        overrides: Overrides | None,
        why: str = "",
    ) -> ControlState:
        known = await next_step(self._database, kind, step)
        fencing = Fencing(self._database, kind, by=self._by)

        async def prepare(view: ControlView) -> bool:
            # Before anybody hears that it may be stored: no write of it is refused.
            return await fencing.make_room(view, view.controls[kind.name].next)

        def make(now: Situation, epoch: int) -> ControlState:
            return move(
                now.control,
                epoch=epoch,
                settled=now.fleet.settled(now.control),
                step=known(now.control).fingerprint,
                irreversible=not known(now.control).invertible,
            )

        moved = await self._move(
            Move(
                kind.name,
                asked,
                lambda now: forward_blockers(now, after, known(now.control), overrides or Overrides()),
                make,
                why,
                prepare=prepare,
            )
        )
        # Somebody who lowered it after an earlier rollback may have come late.
        await fencing.settle()
        return moved

    async def _move(self, move: Move) -> ControlState:
        seen = move.only_epoch
        while True:
            view, fleet = await self._look()
            control = view.controls.get(move.kind)
            if control is None:
                raise NotInFleetError(what="control record of the kind", name=move.kind)
            floor = view.floors.get(move.kind)
            now = Situation(control, fleet, view.open_rollouts, frozen=view.freeze is not None, floor=floor)
            if seen is not None and control.epoch != seen:
                words = f"another operator was quicker: the rollout of {move.kind} is {control.state} now"
                blockers = [Blocker(Cause.OTHER_OPERATOR, move.kind, words, {"state": str(control.state)})]
            else:
                blockers = list(move.blockers(now))
            if blockers:
                facts = [facts_of(blocker) for blocker in blockers]
                raise RolloutRefusedError(kind=move.kind, asked=move.asked, blockers=facts)
            seen = control.epoch
            if move.prepare is not None and await move.prepare(view):
                continue
            after = move.make(now, view.epoch + 1)
            reason = reason_for(control.state, after.state)
            entry = {
                "about": move.kind,
                "kind": move.kind,
                "before": control.state.value,
                "after": after.state.value,
                "reason": reason,
                "by": self._by,
                "why": move.why,
                "write_version": after.write_version,
            }
            if await self._control.change(view, entry=entry, record=(KIND_PREFIX + move.kind, after.stored())):
                return after

    async def _look(self) -> tuple[ControlView, Fleet]:
        view = await self._control.settled_view()
        return view, Fleet(await self._nodes.all(), view.readers)
